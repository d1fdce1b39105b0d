"""Hidden states that exceed `memory_budget`: the same numbers, from memory and from a file."""

import errno
import os

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from sanrec import artifacts
from sanrec.config import Config
from sanrec.data.interactions import load_sequences
from sanrec.errors import SanrecError
from sanrec.files import read_json
from sanrec.training.budget import RESIDENT_SHARE, BudgetedSource
from sanrec.training.loading import load_source
from sanrec.training.run import train_run
from sanrec.training.sources import HiddenSource
from tests.training.bare import bare

CPU = torch.device("cpu")


def both(shop, budget, inputs="TI", **settings):
    """The same run's source, with all in memory and within a budget."""
    run = artifacts.run(shop.config, "shop", "crossan", inputs, settings)
    sequences = load_sequences(artifacts.interactions("shop"))
    within = shop.config.model_copy(update={"memory_budget": budget})
    return (bare(load_source(config, run, sequences, CPU)[0]) for config in (shop.config, within))


def assert_alike(found, expected):
    found, expected = ([x] if torch.is_tensor(x) else x for x in (found, expected))
    for one, other in zip(found, expected, strict=True):
        assert one.dtype == other.dtype
        assert torch.equal(one, other)


@pytest.mark.parametrize("settings", [{}, {"standardize": True}, {"precision": "bfloat16"}])
@pytest.mark.parametrize(("inputs", "layers"), [("TI", "even"), ("TI", "full+top2")])
def test_states_are_those_of_a_source_with_all_in_memory(shop, settings, inputs, layers):
    settings = settings | ({"blocks": 2} if layers == "even" else {"layers": layers})
    resident, budgeted = both(shop, 1000, inputs, **settings)
    assert isinstance(budgeted, BudgetedSource)
    assert budgeted.equal == isinstance(resident, HiddenSource)
    everything, some = torch.arange(1, resident.items + 1), torch.tensor([9, 1, 24, 4])
    budgeted.expect(some)
    assert_alike(budgeted.gather(everything), resident.gather(everything))  # another batch than the one expected
    assert_alike(budgeted.gather(some), resident.gather(some))


def test_the_items_met_most_often_are_resident(shop):
    _, budgeted = both(shop, 1000, blocks=2)
    sequences = load_sequences(artifacts.interactions("shop"))
    often = np.bincount(sequences.training_items()[0], minlength=sequences.item_count + 1)[1:]
    resident = budgeted.places >= 0
    assert 0 < resident.sum() == int(1000 * RESIDENT_SHARE) // budgeted.layout.item_bytes
    assert often[resident].min() >= often[~resident].max()
    assert budgeted.resident.numel() * 2 <= 1000


def test_what_fits_is_all_in_memory(shop):
    assert all(isinstance(source, HiddenSource) for source in both(shop, 10**9, blocks=2))


def test_the_file_has_no_name(shop):
    _, budgeted = both(shop, 1000, blocks=2, dropout=0.37)
    run = artifacts.run(shop.config, "shop", "crossan", "TI", {"blocks": 2, "dropout": 0.37})  # no other test trains it
    assert os.fstat(budgeted.file).st_size > 0
    assert not shop.folder.joinpath(run.folder).exists()
    descriptor = budgeted.file
    del budgeted
    with pytest.raises(OSError, match="Bad file descriptor"):
        os.fstat(descriptor)


def test_a_file_that_ends_early_is_no_source_of_zeros(shop):
    _, budgeted = both(shop, 1000, blocks=2)
    lacking = torch.from_numpy(np.flatnonzero(budgeted.places < 0) + 1)
    os.truncate(f"/proc/self/fd/{budgeted.file}", 10)
    with pytest.raises(SanrecError, match="ends early"):
        budgeted.gather(lacking)


def test_a_source_let_go_of_while_it_reads_leaves_its_file(shop):
    """As when an epoch breaks off: the next batch is always being read then."""
    for _ in range(5):
        _, budgeted = both(shop, 1000, blocks=2)
        descriptor = budgeted.file
        for _ in range(3):
            budgeted.expect(torch.arange(1, 25).roll(_))
        assert len(budgeted._ahead) == 2  # what will never be asked for is forgotten
        del budgeted
        with pytest.raises(OSError, match="Bad file descriptor"):
            os.fstat(descriptor)


def test_a_full_disk_says_how_much_is_needed(shop, monkeypatch):
    def full(*args, **kwargs):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr("sanrec.training.budget.tempfile.TemporaryFile", full)
    with pytest.raises(SanrecError, match=r"GB there while a run trains.*No space left on device.*memory_budget"):
        list(both(shop, 1000, blocks=2))


@pytest.mark.parametrize("inputs", ["TI", "ID+TI"])
def test_a_run_within_a_budget_ends_with_the_same_weights(shop, inputs):
    run = artifacts.run(shop.config, "shop", "crossan", inputs, {"blocks": 2, "max_epochs": 2, "batch_size": 4})
    folder = shop.folder / run.folder
    expected = train_run(shop.config, run)
    weights = (folder / "model.safetensors").read_bytes()
    (folder / "metrics.json").unlink()
    found = train_run(shop.config.model_copy(update={"memory_budget": 1000}), run)
    assert {k: found[k] for k in ("test", "validation", "best_epoch")} == {
        k: expected[k] for k in ("test", "validation", "best_epoch")
    }
    assert (folder / "model.safetensors").read_bytes() == weights
    assert read_json(folder / "metrics.json")["config_hash"] == expected["config_hash"]


def test_a_budget_is_written_with_its_unit():
    assert Config(memory_budget="8GB").memory_budget == 8 * 10**9
    for wrong in ("much", 0):
        with pytest.raises(ValidationError, match="memory_budget"):
            Config(memory_budget=wrong)
