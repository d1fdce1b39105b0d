"""What is measured for figures: the steps that are trained, each point in a process of its own."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from sanrec import artifacts
from sanrec.config import Settings, Timing
from sanrec.data.interactions import load_sequences
from sanrec.data.split import log_popularity
from sanrec.errors import SanrecError, StoreError
from sanrec.files import read_json, write_json
from sanrec.hardware import machine_of
from sanrec.methods import DROPPED, FULL, READS, RESIDENT
from sanrec.training import costs
from sanrec.training.batches import epoch_batches
from sanrec.training.costs import measure_costs, measure_point, processes, time_steps
from sanrec.training.loading import load_source
from sanrec.training.loop import adam, training_loss
from sanrec.training.machine import restart_peak_memory
from sanrec.training.sequences import training_windows, untrained
from sanrec.training.streamed import load_streamed
from tests.training.bare import bare

CPU = torch.device("cpu")
LINUX = pytest.mark.skipif(sys.platform != "linux", reason="only Linux forks here, and counts a peak anew")


def shop_run(shop, model="iisan", **settings):
    return artifacts.run(shop.config, "shop", model, "TI", settings)


def sequences_of_shop():
    return load_sequences(artifacts.interactions("shop"))


# -- how hidden states are read ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("settings", [{}, {"layers": "top1"}, {"layers": "full"}, {"layers": "1-3+top1"}])
def test_moved_with_each_batch_or_not_the_states_are_the_same(shop, settings):
    run, sequences = shop_run(shop, **settings), sequences_of_shop()
    resident, shape = load_source(shop.config, run, sequences, CPU)
    wanted = torch.tensor([7, 1, 24])
    for every_layer in (True, False):
        streamed, same = load_streamed(shop.config, run, sequences, CPU, every_layer)
        assert same == shape
        assert streamed.items == resident.items == 24
        streamed, resident = bare(streamed), bare(resident)
        found, expected = streamed.gather(wanted), resident.gather(wanted)
        assert type(found) is type(expected)
        for one, other in zip(found, expected, strict=True):
            assert one.dtype == other.dtype
            assert torch.equal(one, other)
        layers = [len(bank) for bank in streamed.banks]
        assert layers == ([4, 4] if every_layer else list(shape.depths))  # of 3 blocks and the embeddings


def test_vectors_beside_are_moved_with_the_states(shop):
    run, sequences = artifacts.run(shop.config, "shop", "crossan", "ID+TI"), sequences_of_shop()
    resident, shape = load_source(shop.config, run, sequences, CPU)
    streamed, same = load_streamed(shop.config, run, sequences, CPU, every_layer=True)
    assert same == shape
    assert shape.beside
    wanted = torch.tensor([7, 1, 24])
    (items, found), (_, expected) = streamed.gather(wanted), resident.gather(wanted)
    assert items is wanted
    assert torch.equal(found.inputs, expected.inputs)


def test_all_layers_can_only_be_moved_where_all_are_stored(shop, monkeypatch):
    from sanrec.backbones.store import HiddenStates

    opened = HiddenStates.__init__

    def with_two_layers(self, manifest):
        opened(self, manifest)
        self.stored = (0, 1, 3)

    monkeypatch.setattr(HiddenStates, "__init__", with_two_layers)
    run = shop_run(shop)
    load_streamed(shop.config, run, sequences_of_shop(), CPU, every_layer=False)
    with pytest.raises(StoreError, match="kept_layers"):
        load_streamed(shop.config, run, sequences_of_shop(), CPU, every_layer=True)


@pytest.mark.parametrize("standardize", [False, True])
def test_losses_are_the_same_to_the_last_bit_however_states_are_read(shop, standardize):
    run = shop_run(shop, standardize=standardize)
    losses = {reads: measure_point(shop.config, run, reads)["losses"] for reads in READS}
    assert losses[RESIDENT] == losses[FULL] == losses[DROPPED]
    assert len(set(losses[RESIDENT])) == len(losses[RESIDENT])  # it trains


# -- steps -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["crossan", "bitfit"])
def test_the_steps_are_those_of_training_without_the_small_last_batch(shop, model):
    run, sequences = shop_run(shop, model), sequences_of_shop()
    windows, log_p = training_windows(sequences), log_popularity(sequences)
    assert (len(windows), run.settings.batch_size) == (40, 16)  # two whole batches, and one of 8
    source, one = untrained(shop.config, run, sequences, CPU)
    timing = Timing(warm_up_steps=1, steps=4)
    cost = time_steps(one, source, windows, log_p, run.settings, 0, CPU, timing, "steps")
    source, twin = untrained(shop.config, run, sequences, CPU)
    optimizer, expected = adam(twin, run.settings), []
    for epoch in (1, 2, 3):
        torch.manual_seed(epoch)
        twin.train()
        for batch in list(epoch_batches(windows, 16, 0, epoch))[:2]:
            loss = training_loss(twin, source, batch, torch.from_numpy(log_p).float())
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            expected.append(loss.item())
    assert cost["losses"] == expected[:5]
    assert (len(cost["step_seconds"]), len(cost["warm_up_step_seconds"])) == (4, 1)


def test_an_epoch_is_the_median_step_times_its_steps(shop, monkeypatch):
    clock, taken = [0.0], iter([100.0, 3.0, 1.0, 2.5, 9.0])

    def step(*_):
        clock[0] += next(taken)
        return torch.tensor(1.5)

    monkeypatch.setattr(costs, "train_step", step)
    monkeypatch.setattr(costs.time, "perf_counter", lambda: clock[0])
    source, model = untrained(shop.config, shop_run(shop), sequences_of_shop(), CPU)
    sequences = np.tile(np.arange(11), (7, 1))
    timing = Timing(warm_up_steps=1, steps=4)
    cost = time_steps(model, source, sequences, np.zeros(25), Settings(batch_size=2), 0, CPU, timing, "")
    assert (cost["step_seconds"], cost["warm_up_step_seconds"]) == ([3.0, 1.0, 2.5, 9.0], [100.0])
    assert (cost["seconds_per_step"], cost["steps"], cost["seconds_per_epoch"]) == (2.75, 4, 11.0)
    assert (cost["users"], cost["items_per_step"], cost["losses"]) == (7, 10, [1.5] * 5)


def test_fewer_users_than_a_step_takes_are_one_step(shop):
    source, model = untrained(shop.config, shop_run(shop), sequences_of_shop(), CPU)
    sequences = np.tile(np.arange(11), (7, 1))
    cost = time_steps(model, source, sequences, np.zeros(25), Settings(batch_size=64), 0, CPU, Timing(steps=3), "")
    assert (cost["steps"], len(cost["step_seconds"])) == (1, 3)


def test_a_loss_that_is_no_number_is_an_error(shop, monkeypatch):
    monkeypatch.setattr(costs, "train_step", lambda *_: torch.tensor(float("nan")))
    with pytest.raises(SanrecError, match=r"the loss of iisan/TI/default is no number"):
        measure_point(shop.config, shop_run(shop), RESIDENT)


# -- the whole measurement ---------------------------------------------------------------------------------------------


def test_a_measurement_holds_every_point_from_a_process_of_its_own(shop):
    points = [(shop_run(shop, batch_size=size), RESIDENT) for size in (4, 8)] + [(shop_run(shop), FULL)]
    machine = machine_of(shop.config)
    quick = shop.config.model_copy(update={"timing": Timing(warm_up_steps=1, steps=2)})
    record = measure_costs(quick, "shop", points, machine, "batch-size")
    path = artifacts.costs("shop", machine, "batch-size")
    assert record == read_json(path)
    assert artifacts.parse_costs(path) == ("shop", machine, "batch-size")
    assert list(record["points"]) == [
        "iisan/TI/batch_size=4/resident", "iisan/TI/batch_size=8/resident", "iisan/TI/default/full",
    ]  # fmt: skip
    assert (record["dataset"], record["machine"], record["measurement"]) == ("shop", machine, "batch-size")
    assert (record["memory"], record["timing"]) == ("process", {"warm_up_steps": 1, "steps": 2})
    found = record["points"].values()
    assert len({cost["process"] for cost in found} | {os.getpid()}) == 4
    for cost, (run, reads) in zip(found, points, strict=True):
        assert (cost["settings"]["batch_size"], cost["reads"]) == (run.settings.batch_size, reads)
        assert 2e7 < cost["memory_before_bytes"] < cost["peak_memory_bytes"] < 4e9
        assert len(cost["step_seconds"]) == 2  # so it reads the very config that the call was given
    assert [left.name for left in Path(path).parent.iterdir()] == ["batch-size.json"]  # nothing unfinished is left
    assert not (shop.folder / points[0][0].folder).exists()


def measured_by(monkeypatch, fail_at=None):
    """A stand-in for the processes, which fails at that call; and what it is asked for."""
    asked = []

    def process(config, words):
        command, reads, *pairs = words
        assert command == "measure-steps"
        for run, file in zip(pairs[::2], pairs[1::2], strict=True):
            asked.append(run.split("/")[5])
            if len(asked) == fail_at:
                return 1
            write_json(file, {"hardware": "this", "memory": "process", "number": len(asked)})
        return 0

    monkeypatch.setattr(costs, "in_own_process", process)
    return asked


def test_a_killed_measurement_goes_on_where_it_was(shop, monkeypatch):
    points = [(shop_run(shop, batch_size=size), RESIDENT) for size in (1, 2, 4)]
    machine = machine_of(shop.config)
    monkeypatch.setattr(costs, "CAN_FORK", True)
    asked = measured_by(monkeypatch, fail_at=3)
    with pytest.raises(SanrecError, match=r"batch_size=4 on shop could not be measured \(exit status 1\)"):
        measure_costs(shop.config, "shop", points, machine, "again")
    assert asked == ["batch_size=1", "batch_size=2", "batch_size=4"]
    asked = measured_by(monkeypatch)
    record = measure_costs(shop.config, "shop", points, machine, "again")
    assert asked == ["batch_size=4"]
    assert [cost["number"] for cost in record["points"].values()] == [1, 2, 1]
    asked = measured_by(monkeypatch)
    measure_costs(shop.config, "shop", points, machine, "again")
    assert len(asked) == 3  # one that was finished is measured anew as a whole


@pytest.mark.parametrize("key", ["timing", "data", "threads"])
def test_what_was_measured_otherwise_is_not_taken(shop, monkeypatch, key):
    points = [(shop_run(shop, batch_size=size), RESIDENT) for size in (1, 2)]
    measured_by(monkeypatch, fail_at=2)
    machine = machine_of(shop.config)
    with pytest.raises(SanrecError):
        measure_costs(shop.config, "shop", points, machine, key)
    config = shop.config
    if key == "timing":
        config = config.model_copy(update={"timing": Timing(steps=3)})
    elif key == "threads":
        config = config.model_copy(update={"threads": config.threads.model_copy(update={"train": 2})})
    else:
        monkeypatch.setattr(costs, "run_fingerprint", lambda *_: "of other stores")
    asked = measured_by(monkeypatch)
    measure_costs(config, "shop", points, machine, key)
    assert asked == ["batch_size=1", "batch_size=2"]


def test_points_share_a_process_where_it_can_be_forked_and_libraries_are_the_same(shop):
    points = [
        (shop_run(shop, model, batch_size=size, **settings), RESIDENT)
        for size in (1, 2)
        for model, settings in [("full", {}), ("lora", {}), ("iisan", {}), ("iisan", {"cached": False})]
    ]
    groups = processes([*points, (shop_run(shop), FULL)], together=True)
    assert [[run.model for run, _ in group] for group in groups] == [
        ["full", "iisan", "full", "iisan"], ["lora", "lora"], ["iisan", "iisan"], ["iisan"],
    ]  # fmt: skip
    assert processes(points, together=False) == [[point] for point in points]


def test_another_machine_than_asked_for_is_refused(shop):
    with pytest.raises(SanrecError, match="elsewhere is to be measured, but this is"):
        measure_costs(shop.config, "shop", [(shop_run(shop), RESIDENT)], "elsewhere", "batch-size")


@LINUX
def test_a_fork_that_fails_is_an_error_of_its_run(shop, capfd, monkeypatch):
    def fail(*_):
        raise SanrecError("the store is gone")

    monkeypatch.setattr(costs, "_measure_to", fail)
    with pytest.raises(SanrecError, match=r"iisan/TI/layers=top2 failed \(exit status 1\)"):
        costs.measure_steps(shop.config, RESIDENT, [(shop_run(shop, layers="top2"), "never.json")])
    assert "the store is gone" in capfd.readouterr().err
    assert not Path("never.json").exists()


def test_on_a_gpu_points_follow_each_other_in_one_process(shop, monkeypatch):
    """A process that has asked for a GPU cannot be forked; the allocator's peak can be counted anew."""
    asked = []
    monkeypatch.setattr(costs, "chosen_device", lambda _: torch.device("cuda"))
    monkeypatch.setattr(costs, "_measure_to", lambda config, run, reads, file: asked.append((os.getpid(), file)))
    runs = [(shop_run(shop, batch_size=size), f"{size}.json") for size in (1, 2)]
    costs.measure_steps(shop.config, RESIDENT, runs)
    assert asked == [(os.getpid(), "1.json"), (os.getpid(), "2.json")]


@LINUX
def test_a_peak_is_counted_anew():
    """In a process of its own: the peak falls to what is held when it is counted anew."""
    code = """
import json, numpy, torch
from sanrec.training.machine import peak_memory, restart_peak_memory
device = torch.device("cpu")
large = numpy.ones(40_000_000)
high = peak_memory(device)
del large
assert restart_peak_memory(device)
low = peak_memory(device)
small = numpy.ones(10_000_000)
print(json.dumps([high, low, peak_memory(device)]))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    high, low, again = json.loads(done.stdout)
    assert high - low > 300e6
    assert 70e6 < again - low < 100e6


def test_where_a_peak_cannot_be_counted_anew_it_says_so(shop, monkeypatch, tmp_path):
    monkeypatch.setattr("sanrec.training.machine.PEAK_RESET", tmp_path / "no" / "such")
    assert not restart_peak_memory(CPU)
    assert measure_point(shop.config, shop_run(shop), RESIDENT)["peak_since"] == "start"
