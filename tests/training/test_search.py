"""The search: the same trials for all, on validation alone, and a killed one ends as one that was not."""

import copy
from pathlib import Path

import optuna
import pandas as pd
import pytest
import yaml

from sanrec import artifacts
from sanrec.config import Settings
from sanrec.data.split import Sequences
from sanrec.errors import ConfigError, DataError, SanrecError
from sanrec.load import load_config
from sanrec.methods import METHODS
from sanrec.reporting.tuned import make_tuned, tuned_table
from sanrec.searches import read_search, settled
from sanrec.spaces import Choice, Range, described, first_values, space
from sanrec.training import search
from sanrec.training.run import train_run
from sanrec.training.search import tune

SEARCH = "results/clips/tuning/mf/ID"


def changed(clips, **keys):
    return load_config(copy.deepcopy(clips.values) | keys)


def trials(path=SEARCH):
    return pd.read_csv(f"{path}.csv")


def test_spaces_name_settings_that_the_method_has():
    for model, method in METHODS.items():
        searched = space(model)
        assert searched.keys() <= set(method.valid_settings)
        assert "learning_rate" in searched
        assert not searched.keys() & {"max_epochs", "patience", "batch_size", "recommender_width", "feature_layer"}
        own = Settings.model_validate(dict(method.defaults))
        assert first_values(own, searched).keys() == searched.keys() - unholdable(model)
        assert described(searched).keys() == searched.keys()


def unholdable(model):
    """Settings whose own value is off (0), which a logarithmic range cannot hold."""
    own = Settings.model_validate(dict(METHODS[model].defaults))
    return {name for name, where in space(model).items() if isinstance(where, Range) and not getattr(own, name)} - {
        "dropout",
        "edge_dropout",
        "hidden_layers",
    }


def test_every_value_that_can_be_drawn_is_a_setting():
    for model in METHODS:
        for name, where in space(model).items():
            values = where.values if isinstance(where, Choice) else (where.low, where.high)
            for value in values:
                whole = isinstance(where, Range) and where.whole
                Settings.model_validate({name: int(value) if whole else value})


def test_a_search_writes_the_best_values_and_all_trials(clips):
    record = tune(clips.config, "clips", "mf", "ID")
    assert yaml.safe_load(Path(f"{SEARCH}.yaml").read_text()) == record
    table, own = trials(), artifacts.default_settings(clips.config, "clips", "mf")
    assert (len(table), record["trials"], record["metric"]) == (4, 4, "Recall@20")
    assert record["cut_short"] == (table["state"] == "cut short").sum()
    whole = table[table["state"] == "complete"]
    best = whole.loc[whole["score"].idxmax()]
    assert record["value"] == best["score"]
    assert record["best"] == pytest.approx(best[list(record["best"])].to_dict())
    assert table.loc[0, list(record["best"])].to_dict() == pytest.approx(first_values(own, space("mf")))
    assert record["best"]["learning_rate"] == float(f"{record['best']['learning_rate']:.2g}")
    variant = artifacts.format_variant(clips.config, "clips", "mf", record["best"])
    metrics = train_run(clips.config, artifacts.run(clips.config, "clips", "mf", "ID", variant))
    assert metrics["validation"]["Recall@20"] == record["value"]  # the run itself reaches what the search says
    assert metrics["best_epoch"] == record["best_epoch"]


def test_the_test_split_is_never_scored(clips, monkeypatch):
    asked = []
    targets = Sequences.targets
    monkeypatch.setattr(Sequences, "targets", lambda self, split, *a: asked.append(split) or targets(self, split, *a))
    tune(clips.config, "clips", "lightgcn", "ID")
    assert set(asked) == {"validation"}
    assert not Path("results/clips/runs").exists()


def test_a_killed_search_goes_on_and_ends_as_one_that_was_not(clips, monkeypatch):
    whole = tune(clips.config, "clips", "mf", "ID")
    table = trials().drop(columns="seconds")
    Path(f"{SEARCH}.sqlite3").unlink()
    prepare, begun = search.prepare_training, []

    def dies(*given):
        begun.append(1)
        if len(begun) in (1, 4):
            raise KeyboardInterrupt
        return prepare(*given)

    monkeypatch.setattr(search, "prepare_training", dies)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            tune(clips.config, "clips", "mf", "ID")
    assert tune(clips.config, "clips", "mf", "ID") == whole
    assert len(begun) == 6
    pd.testing.assert_frame_equal(trials().drop(columns="seconds"), table)


def test_more_trials_go_on_from_those_there_are(clips, monkeypatch):
    tune(clips.config, "clips", "mf", "ID")
    before = trials()
    begun = []
    prepare = search.prepare_training
    monkeypatch.setattr(search, "prepare_training", lambda *given: begun.append(1) or prepare(*given))
    more = changed(clips, tuning={**clips.values["tuning"], "trials": 5})
    assert tune(more, "clips", "mf", "ID")["trials"] == 5
    assert len(begun) == 1
    pd.testing.assert_frame_equal(trials().iloc[:4], before)
    fewer = changed(clips, tuning={**clips.values["tuning"], "trials": 2})
    assert tune(fewer, "clips", "mf", "ID")["trials"] == 2
    assert len(begun) == 1
    pd.testing.assert_frame_equal(trials(), before.iloc[:2])


def test_another_search_is_another_study(clips):
    tune(clips.config, "clips", "mf", "ID")
    longer = copy.deepcopy(clips.values)
    longer["datasets"]["clips"]["settings"]["all"]["max_epochs"] = 5
    assert tune(load_config(longer), "clips", "mf", "ID")["settings"]["max_epochs"] == 5
    assert len(optuna.get_all_study_names(f"sqlite:///{SEARCH}.sqlite3")) == 2


def test_trials_that_run_away_are_counted_and_not_taken(clips, monkeypatch):
    monkeypatch.setattr(search, "space", lambda *_: {"learning_rate": Range(1e-3, 1e30, log=True)})
    values = copy.deepcopy(clips.values)
    values["datasets"]["clips"]["settings"]["mf"] = {"learning_rate": 1e30}
    record = tune(load_config(values), "clips", "mf", "ID")
    table = trials()
    assert record["diverged"] == (table["state"] == "diverged").sum() > 0
    assert table.loc[0, "state"] == "diverged"
    monkeypatch.setattr(search, "space", lambda *_: {"learning_rate": Range(1e29, 1e30, log=True)})
    with pytest.raises(SanrecError, match="none of 4 trials trained to its end"):
        tune(load_config(values), "clips", "mf", "ID")


def test_a_method_with_nothing_to_search_says_so(clips, monkeypatch):
    monkeypatch.setattr(search, "space", lambda *_, **__: {})
    with pytest.raises(ConfigError, match="no setting of 'mf' is left to search for"):
        tune(clips.config, "clips", "mf", "ID")


def test_the_table_and_the_lines_to_paste(clips):
    with pytest.raises(ConfigError, match="nothing was tuned on data set 'clips' yet"):
        tuned_table(clips.config, "clips")
    records = {(m, i): tune(clips.config, "clips", m, i) for m, i in (("mf", "ID"), ("bm3", "ID+V"), ("mmgcn", "ID"))}
    records["mmgcn", "ID+V"] = tune(clips.config, "clips", "mmgcn", "ID+V")
    printed = make_tuned(clips.config, "clips")
    table = pd.read_csv("results/clips/tuning.csv")
    assert table["model"].tolist() == ["mf", "mmgcn", "mmgcn", "bm3"]  # as the registry has them
    assert table["inputs"].tolist() == ["ID", "ID", "ID+V", "ID+V"]
    for row in table.itertuples():
        record = records[row.model, row.inputs]
        assert row.value == record["value"]
        assert row.learning_rate == record["best"]["learning_rate"]
        run = artifacts.run(clips.config, "clips", row.model, row.inputs, row.variant)
        assert run.metrics in printed
    pasted = yaml.safe_load(printed[printed.index("# into config.yaml:") : printed.index("# or by")])
    better = max((records["mmgcn", inputs] for inputs in ("ID", "ID+V")), key=lambda record: record["value"])
    assert pasted["datasets"]["clips"]["settings"]["mmgcn"] == better["best"]
    values = copy.deepcopy(clips.values)
    values["datasets"]["clips"]["settings"] |= pasted["datasets"]["clips"]["settings"]
    config = load_config(values)
    assert (
        artifacts.default_settings(config, "clips", "mf").learning_rate == records["mf", "ID"]["best"]["learning_rate"]
    )
    assert artifacts.format_variant(config, "clips", "mf", records["mf", "ID"]["best"]) == "default"
    assert tune(config, "clips", "mf", "ID") == records["mf", "ID"]  # what is pasted makes no new search


def test_a_damaged_record_is_named(clips):
    tune(clips.config, "clips", "mf", "ID")
    Path(f"{SEARCH}.yaml").write_text("model: mf\n")
    with pytest.raises(DataError, match=r"tuning/mf/ID.yaml: has no inputs, given, metric"):
        tuned_table(clips.config, "clips")


@pytest.mark.parametrize("path", ["results/clips/tuning.csv", "results/clips/tuning/mf.yaml", "tuning/mf/ID.yaml"])
def test_paths_that_name_no_search(path):
    with pytest.raises(ConfigError, match="is no search"):
        artifacts.parse_tuning(path)


def test_paths_name_searches_both_ways():
    path = artifacts.tuning("clips", "bm3", "ID+V")
    assert artifacts.parse_tuning(path) == ("clips", "bm3", "ID+V", "default")
    path = artifacts.tuning("clips", "bm3", "ID+V", "dropout=0.5")
    assert path == "results/clips/tuning/bm3/ID+V/dropout=0.5.yaml"
    assert artifacts.parse_tuning(path) == ("clips", "bm3", "ID+V", "dropout=0.5")


def test_what_is_given_is_not_searched_for(clips):
    assert space("lightgcn", "graph_layers=1").keys() == space("lightgcn").keys() - {"graph_layers"}
    record = tune(clips.config, "clips", "lightgcn", "ID", "graph_layers=1")
    assert record["given"] == "graph_layers=1"
    assert "graph_layers" not in record["best"]
    assert record["settings"]["graph_layers"] == 1
    assert read_search("results/clips/tuning/lightgcn/ID/graph_layers=1.yaml") == record
    printed = make_tuned(clips.config, "clips")
    run = artifacts.run(clips.config, "clips", "lightgcn", "ID", {"graph_layers": 1, **record["best"]})
    assert run.metrics in printed
    assert yaml.safe_load(printed[printed.index("# into") : printed.index("# or by")])["datasets"]["clips"] == {
        "settings": {}
    }
    with pytest.raises(ConfigError, match="is itself searched for"):
        tune(clips.config, "clips", "lightgcn", "ID", "tuned")


def test_a_tuned_run_is_the_run_with_what_was_found(clips):
    for given in ("default", "graph_layers=2"):
        run = artifacts.run(clips.config, "clips", "lightgcn", "ID", artifacts.tuned_variant(given))
        assert artifacts.run_needs(clips.config, run)[0] == run.search
        with pytest.raises(DataError, match=r"no such search. Make it: snakemake results/clips/tuning/lightgcn/ID"):
            train_run(clips.config, run)
        record = tune(clips.config, "clips", "lightgcn", "ID", given)
        found = {name: getattr(run.settings, name) for name in artifacts.given_names(given)} | record["best"]
        other = artifacts.run(clips.config, "clips", "lightgcn", "ID", found)
        assert settled(run).settings == other.settings
        metrics, same = train_run(clips.config, run), train_run(clips.config, other)
        assert metrics["run"]["variant"] == run.variant
        assert metrics["validation"]["Recall@20"] == record["value"]
        assert {k: metrics[k] for k in ("test", "settings")} == {k: same[k] for k in ("test", "settings")}


def test_a_search_that_goes_on_and_finds_the_same_trains_no_run_anew(clips, monkeypatch):
    run = artifacts.run(clips.config, "clips", "mf", "ID", "tuned")
    record = tune(clips.config, "clips", "mf", "ID")
    metrics = train_run(clips.config, run)
    Path(run.search).write_text(yaml.safe_dump(record | {"trials": 99}))
    assert train_run(clips.config, run) == metrics
    Path(run.search).write_text(yaml.safe_dump(record | {"best": record["best"] | {"learning_rate": 0.5}}))
    assert train_run(clips.config, run)["settings"]["learning_rate"] == 0.5


@pytest.mark.parametrize(
    ("variant", "message"),
    [
        ("tuned,default", "is written 'tuned'"),
        ("tuned,graph_layers=-1", "graph_layers"),
        ("graph_layers=2,tuned", "'tuned'"),
        ("tuned,fusion=concat", "fusion"),
    ],
)
def test_tuned_variants_that_make_no_sense(clips, variant, message):
    with pytest.raises(ConfigError, match=message):
        artifacts.run(clips.config, "clips", "lightgcn", "ID", variant)
