"""What a search begins with, and what it refuses."""

import copy
import fcntl
import multiprocessing
from pathlib import Path

import pandas as pd
import pytest
import yaml

from sanrec import artifacts, cli
from sanrec.errors import ConfigError, DataError, SanrecError
from sanrec.load import load_config
from sanrec.training.search import tune


def test_the_first_trial_has_the_data_set_s_values_even_those_outside_their_ranges(clips):
    values = copy.deepcopy(clips.values)
    values["datasets"]["clips"]["settings"]["lightgcn"] = {"regularization": 0.0, "learning_rate": 0.5}
    record = tune(load_config(values), "clips", "lightgcn", "ID")
    table = pd.read_csv("results/clips/tuning/lightgcn/ID.csv")
    assert table.loc[0, "regularization"] == 0
    assert table.loc[0, "learning_rate"] == 0.5
    assert (table.loc[1:, "regularization"] > 0).all()
    assert record["value"] >= table.loc[0, "score"]


def test_all_settings_given_leave_nothing_to_search_for(clips):
    with pytest.raises(ConfigError, match=r"no setting of 'mf' is left to search for: the variant '.*' gives them all"):
        tune(clips.config, "clips", "mf", "ID", "regularization=0.01,learning_rate=0.01")


def test_missing_data_is_named_with_what_makes_it(clips, capsys, monkeypatch):
    Path("config.yaml").write_text(yaml.safe_dump(clips.values))
    Path(artifacts.interactions("clips")).unlink()
    wanted = "results/clips/interactions.parquet: no such file. Make it: snakemake results/clips/interactions.parquet"
    for command in (["tune", "results/clips/tuning/mf/ID.yaml"], ["train", "results/clips/runs/mf/ID/default/seed=0"]):
        assert cli.main(["--config", "config.yaml", *command]) == 1
        assert wanted in capsys.readouterr().err


def _hold(path, held, done):
    with Path(path).open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        held.set()
        done.wait(60)


def test_two_searches_of_one_path_do_not_meet(clips):
    Path("results/clips/tuning/mf").mkdir(parents=True)
    context = multiprocessing.get_context("fork")
    held, done = context.Event(), context.Event()
    other = context.Process(target=_hold, args=("results/clips/tuning/mf/ID.lock", held, done))
    other.start()
    try:
        assert held.wait(60)
        with pytest.raises(SanrecError, match="another process searches there"):
            tune(clips.config, "clips", "mf", "ID")
    finally:
        done.set()
        other.join()
    assert tune(clips.config, "clips", "mf", "ID")["trials"] == 4  # the lock ends with its holder


def test_a_search_has_one_path():
    with pytest.raises(ConfigError, match=r"is written 'results/clips/tuning/mf/ID\.yaml'"):
        artifacts.parse_tuning("results/clips/tuning/mf/ID/default.yaml")


def test_layers_that_a_backbone_does_not_have():
    config = load_config({})
    with pytest.raises(ConfigError, match=r"'bert-base' has 12 blocks, so its layers are 0 to 12"):
        artifacts.run(config, "microlens-100k", "sasrec", "ID+T", "feature_layer=13")
    assert artifacts.run(config, "microlens-100k", "sasrec", "ID+T", "feature_layer=12").settings.feature_layer == "12"


def test_needs_that_are_there_are_not_complained_of(tmp_path):
    (tmp_path / "there").touch()
    artifacts.require([str(tmp_path / "there")])
    with pytest.raises(DataError, match="snakemake"):
        artifacts.require([str(tmp_path / "there"), str(tmp_path / "gone")])
