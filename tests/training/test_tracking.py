"""Event files for TensorBoard, read back by TensorBoard itself."""

import sys
from pathlib import Path

import pandas as pd
import pytest
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from tensorboard.plugins.hparams.plugin_data_pb2 import HParamsPluginData

from sanrec import artifacts
from sanrec.errors import ConfigError
from sanrec.load import load_config
from sanrec.training import loop, pairs
from sanrec.training.run import OUTPUTS, STATE_FILE, train_run
from sanrec.training.tracking import Tracker


def tracked(values):
    return load_config({**values, "tracking": "tensorboard"})


def read_back(run):
    """What the event files of a run hold, with what a resumed run has hidden left out."""
    return EventAccumulator(str(Path(run.folder) / "tensorboard"), {"scalars": 0, "tensors": 0}).Reload()


def points(events, tag):
    return [(event.step, event.value) for event in events.Scalars(tag)]


def curve(history, column):
    """The points that a column of history.csv makes; event files have float32."""
    return [(epoch, pytest.approx(value)) for epoch, value in zip(history["epoch"], history[column], strict=True)]


@pytest.fixture
def run(clips):
    return artifacts.run(clips.config, "clips", "lightgcn", "ID", {"learning_rate": 0.002})


def test_nothing_is_written_unless_it_is_asked_for(clips, run):
    train_run(clips.config, run)
    assert {path.name for path in Path(run.folder).iterdir()} == set(OUTPUTS)


def test_every_epoch_has_its_scalars(clips, run):
    metrics = train_run(tracked(clips.values), run)
    assert {path.name for path in Path(run.folder).iterdir()} == {*OUTPUTS, "tensorboard"}
    history = pd.read_csv(Path(run.folder) / "history.csv")
    events = read_back(run)
    shown = {"loss/train": "loss", "cost/seconds per epoch": "seconds"}
    shown |= {f"validation/{name}": name for name in history.columns.drop(["epoch", "loss", "seconds"])}
    for tag, column in shown.items():
        assert points(events, tag) == curve(history, column)
    assert points(events, "learning rate/learning_rate") == [(e, pytest.approx(0.002)) for e in history["epoch"]]
    assert "learning rate/adapter_learning_rate" not in events.Tags()["scalars"]  # it has no adapters
    memory = [value * 2**20 for _, value in points(events, "cost/peak memory in MiB")]
    assert memory == sorted(memory)
    assert memory[-1] == pytest.approx(metrics["peak_memory_bytes"])


def test_methods_with_adapters_show_both_rates(shop):
    config = shop.config.model_copy(update={"tracking": "tensorboard"})
    this = artifacts.run(config, "shop", "crossan", "TI", {"adapter_learning_rate": 0.003, "max_epochs": 1}, 11)
    train_run(config, this)
    events = read_back(this)
    assert points(events, "learning rate/adapter_learning_rate") == [(1, pytest.approx(0.003))]
    assert points(events, "learning rate/learning_rate") == [(1, pytest.approx(0.005))]


def test_settings_and_what_came_of_them_are_there(clips, run):
    metrics = train_run(tracked(clips.values), run)
    events = read_back(run)
    (text,) = events.Tensors("settings/text_summary")
    assert b"| learning_rate | 0.002 |" in text.tensor_proto.string_val[0]
    content = events.SummaryMetadata("_hparams_/session_start_info").plugin_data.content
    found = HParamsPluginData.FromString(content).session_start_info.hparams
    assert found["learning_rate"].number_value == 0.002
    assert (found["model"].string_value, found["dataset"].string_value) == ("lightgcn", "clips")
    assert points(events, "test Recall@20") == [(metrics["best_epoch"], pytest.approx(metrics["test"]["Recall@20"]))]


def test_a_resumed_run_has_each_point_once(clips, run, monkeypatch):
    """Killed after the third epoch's points were written and before its state was: that epoch is trained twice."""
    monkeypatch.setattr(pairs, "SAVE_SECONDS", 0.0)
    save, write = loop.save_progress, Tracker.after_epoch

    def killed(tracker, progress):
        write(tracker, progress)
        if len(progress.epochs) == 3:
            raise KeyboardInterrupt

    with monkeypatch.context() as first:
        first.setattr(loop, "save_progress", lambda *a: save(*a) if len(a[3].epochs) < 3 else None)
        first.setattr(Tracker, "after_epoch", killed)
        with pytest.raises(KeyboardInterrupt):
            train_run(tracked(clips.values), run)
    assert (Path(run.folder) / STATE_FILE).exists()
    assert [step for step, _ in points(read_back(run), "loss/train")] == [1, 2, 3]
    train_run(tracked(clips.values), run)
    events = read_back(run)
    history = pd.read_csv(Path(run.folder) / "history.csv")
    assert points(events, "loss/train") == curve(history, "loss")
    assert len(events.Tensors("settings/text_summary")) == 1
    written = sum(path.read_bytes().count(b"loss/train") for path in (Path(run.folder) / "tensorboard").iterdir())
    assert written == len(history) + 1  # the third one twice, of which the first is hidden


def test_a_run_that_begins_anew_takes_the_events_of_the_last_away(clips, run):
    train_run(tracked(clips.values), run)
    (Path(run.folder) / "metrics.json").unlink()
    train_run(tracked(clips.values), run)
    history = pd.read_csv(Path(run.folder) / "history.csv")
    assert [step for step, _ in points(read_back(run), "loss/train")] == history["epoch"].tolist()
    files = list((Path(run.folder) / "tensorboard").iterdir())
    assert sum(path.read_bytes().count(b"loss/train") for path in files) == len(history)


def test_watching_changes_no_number_and_trains_nothing_anew(clips, run):
    alone = train_run(clips.config, run)
    files = {name: (Path(run.folder) / name).read_bytes() for name in ("model.safetensors", "ranks.parquet")}
    assert train_run(tracked(clips.values), run) == alone
    assert not (Path(run.folder) / "tensorboard").exists()
    (Path(run.folder) / "metrics.json").unlink()
    assert train_run(tracked(clips.values), run)["config_hash"] == alone["config_hash"]
    assert {name: (Path(run.folder) / name).read_bytes() for name in files} == files


def test_a_missing_library_is_named_before_anything_is_trained(clips, run, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    with pytest.raises(ConfigError, match=r"tensorboard is not installed.*pip install .*\[tracking\].*tracking: none"):
        train_run(tracked(clips.values), run)
    assert not Path(run.folder).exists()
    train_run(clips.config, run)  # without it all is well


def test_other_trackers_are_refused():
    with pytest.raises(ConfigError, match="tracking"):
        load_config({"tracking": "wandb"})
