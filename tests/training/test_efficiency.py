"""What training costs: the epoch that is timed is the one that is trained, and every row has a process of its own."""

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
from sanrec.errors import SanrecError
from sanrec.files import read_json
from sanrec.hardware import hardware_name, machine_of, slug
from sanrec.load import load_config
from sanrec.models.registry import trainable_parameters
from sanrec.training import efficiency
from sanrec.training.checkpoint import trained_weights
from sanrec.training.efficiency import libraries, measure, measure_efficiency, measure_run
from sanrec.training.loop import adam, train_epoch
from sanrec.training.machine import peak_memory
from sanrec.training.sequences import training_windows, untrained

CPU = torch.device("cpu")


def shop_run(shop, model="crossan", **settings):
    return artifacts.run(shop.config, "shop", model, "TI", settings)


def test_a_row_is_measured_in_a_process_of_its_own(shop):
    run, machine = shop_run(shop), machine_of(shop.config)
    record = measure_efficiency(shop.config, "shop", [run], machine)
    assert record == read_json(artifacts.efficiency("shop", machine))
    assert (record["dataset"], record["machine"], record["memory"]) == ("shop", machine, "process")
    cost = record["runs"]["crossan/TI/default"]
    assert cost["process"] != os.getpid()
    assert shop.config.timing != Timing()  # so it reads the very config that the call was given
    assert len(cost["seconds"]) == shop.config.timing.repeats
    assert len(cost["warm_up_seconds"]) == shop.config.timing.warm_up
    assert cost["seconds_per_epoch"] == np.median(cost["seconds"]) > 0
    assert 5e7 < cost["memory_before_bytes"] < cost["peak_memory_bytes"] < 4e9
    sequences = load_sequences(artifacts.interactions("shop"))
    assert (cost["users"], cost["steps"], cost["items"]) == (len(training_windows(sequences)), 3, 24)
    assert cost["settings"] == run.settings.model_dump(include=artifacts.recorded_settings(run))
    assert cost["hardware"] == f"{hardware_name('cpu').rpartition(',')[0]}, 1 of {os.cpu_count()} threads"
    assert cost["trainable_parameters"] == trainable_parameters(untrained(shop.config, run, sequences, CPU)[1])


def test_one_call_measures_each_system_once_in_order(shop, monkeypatch):
    asked = []

    def one(config, run):
        asked.append(run.system)
        return {"hardware": "this", "memory": "process"}

    monkeypatch.setattr(efficiency, "_in_own_process", one)
    runs = [shop_run(shop), shop_run(shop, "full"), shop_run(shop), shop_run(shop, "iisan", cached=False)]
    record = measure_efficiency(shop.config, "shop", runs, machine_of(shop.config))
    assert asked == list(record["runs"]) == ["crossan/TI/default", "full/TI/default", "iisan/TI/cached=false"]


def test_libraries_stand_before_the_training(shop):
    always = libraries(shop_run(shop))
    assert libraries(shop_run(shop, cached=False)) == libraries(shop_run(shop, "full")) == [*always, "transformers"]
    assert libraries(shop_run(shop, "lora")) == [*always, "transformers", "peft"]


def test_what_is_timed_is_what_is_trained(shop):
    """The measured epochs leave the weights that as many epochs of the loop leave: nothing is skipped or done twice."""
    run, sequences = shop_run(shop), load_sequences(artifacts.interactions("shop"))
    windows, log_p = training_windows(sequences), log_popularity(sequences)
    source, model = untrained(shop.config, run, sequences, CPU)
    measure(model, source, windows, log_p, run.settings, 0, CPU, Timing(warm_up=2, repeats=1), "timed")
    source, twin = untrained(shop.config, run, sequences, CPU)
    optimizer = adam(twin, run.settings)
    for epoch in (1, 2, 3):
        train_epoch(twin, source, windows, torch.from_numpy(log_p), optimizer, run.settings, 0, epoch, CPU)
    assert all(torch.equal(value, trained_weights(model)[name]) for name, value in trained_weights(twin).items())


def test_the_median_is_over_the_timed_epochs_alone(shop, monkeypatch):
    taken = iter([100.0, 3.0, 1.0, 2.0])
    monkeypatch.setattr(efficiency, "train_epoch", lambda *_: (0.0, next(taken)))
    source, model = untrained(shop.config, shop_run(shop), load_sequences(artifacts.interactions("shop")), CPU)
    timing = Timing(warm_up=1, repeats=3)
    cost = measure(model, source, np.zeros((7, 11)), np.zeros(25), Settings(batch_size=2), 0, CPU, timing, "")
    assert (cost["seconds_per_epoch"], cost["seconds"], cost["warm_up_seconds"]) == (2.0, [3.0, 1.0, 2.0], [100.0])
    assert (cost["users"], cost["steps"]) == (7, 4)


def test_another_machine_than_asked_for_is_refused(shop):
    with pytest.raises(
        SanrecError, match=f"elsewhere is to be measured, but this is {slug(hardware_name('cpu'))}"
    ) as e:
        measure_efficiency(shop.config, "shop", [shop_run(shop)], "elsewhere")
    assert "config key 'machine'" in str(e.value)
    named = load_config({"machine": "node-7"})
    efficiency.check_machine(named, "node-7")
    with pytest.raises(SanrecError, match="this is node-7"):
        efficiency.check_machine(named, machine_of(shop.config))


def test_a_gpu_that_torch_cannot_use_is_not_what_was_measured(shop, monkeypatch):
    monkeypatch.setattr("sanrec.hardware.gpu_names", lambda: ("NVIDIA H200",))
    assert machine_of(shop.config) == "nvidia-h200"
    with pytest.raises(SanrecError, match="nvidia-h200 is to be measured, but this is"):
        efficiency.check_machine(shop.config, "nvidia-h200")


def test_a_row_that_fails_names_itself(shop):
    broken = shop.config.model_copy(update={"device": "cuda:7"})
    with pytest.raises(SanrecError, match=r"crossan/TI/default on shop could not be measured \(exit status 1\)"):
        efficiency._in_own_process(broken, shop_run(shop))


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="only Linux tells a process its own peak")
def test_peak_memory_is_the_process_own_whatever_started_it():
    """A process started by a large one is not charged with its parent's memory."""
    ballast = np.ones(60_000_000)  # 480 MB
    code = "import torch; from sanrec.training.machine import peak_memory; print(peak_memory(torch.device('cpu')))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert peak_memory(CPU) > ballast.nbytes
    assert int(done.stdout) < 450e6


def test_nothing_of_a_measured_run_is_kept(shop):
    run = shop_run(shop, "lora")
    assert measure_run(shop.config, run)["model"] == "lora"
    assert not (shop.folder / run.folder).exists()
