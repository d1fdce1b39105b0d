"""CROSSAN's Tables 1, 5, 6 and 7: the runs they take, the figures they print, the column of mutual information."""

import json

import numpy as np
import pandas as pd
import pytest

from sanrec.errors import DataError
from sanrec.load import load_config
from sanrec.reporting.reference import read_reference
from sanrec.reporting.specs import load_table
from sanrec.reporting.table_runs import needs_of, row_runs, runs_of
from sanrec.reporting.tables import make_table

PAPER = {"study": "paper", "seeds": [1]}


@pytest.fixture
def table(repository):
    return lambda name: load_table(repository / f"workflow/tables/{name}.yaml")


def variants(config, table):
    return {place: runs[0].variant for place, runs in row_runs(load_config(config), table).items()}


def test_table_1_takes_concat_fusion_on_the_first_data_set_alone(table):
    runs = runs_of(load_config(PAPER), table("table1"))
    found = [(run.dataset, run.model, run.inputs_text, run.settings.fusion) for run in runs]
    assert found == [("microlens-100k", "indsan", "TI", "concat"), ("microlens-100k", "crossan", "TI", "concat")]


def test_table_1_needs_the_mutual_information_of_its_runs(table):
    needs = needs_of(load_config(PAPER), table("table1"))
    assert [path for path in needs if path.endswith("information.json")] == [
        f"results/microlens-100k/runs/{model}/TI/fusion=concat/seed=1/information.json"
        for model in ("indsan", "crossan")
    ]
    assert not any("information" in path for path in needs_of(load_config(PAPER), table("table6")))


def test_tables_5_and_7_share_the_default_runs_of_each_data_set(table):
    """k = 2 is MicroLens-100K's default and k = 3 is 50K's: those rows are the very runs of Table 3."""
    fusions, experts = variants(PAPER, table("table5")), variants(PAPER, table("table7"))
    assert {place: text for place, text in fusions.items() if text == "default"} == {
        ("MOMEF", "microlens-100k"): "default",
        ("MOMEF", "microlens-50k"): "default",
    }
    assert {fusions[row, "microlens-50k"] for row in ("D-Gated Fusion", "S-Gated Fusion", "Concat Fusion")} == {
        "fusion=dynamic",
        "fusion=static",
        "fusion=concat",
    }
    assert experts["2", "microlens-100k"] == experts["3", "microlens-50k"] == "default"
    assert experts["3", "microlens-100k"] == "top_k=3"
    assert experts["2", "microlens-50k"] == "top_k=2"


def test_table_6_has_independent_towers_and_plain_sums(table):
    runs = runs_of(load_config({"study": "paper", "seeds": [1]}), table("table6"))
    found = [(run.model, run.variant) for run in runs if run.dataset == "microlens-50k"]
    assert found == [("crossan", "default"), ("indsan", "default"), ("crossan", "gating=false")]


@pytest.mark.parametrize(
    ("name", "cells", "sample"),
    [
        ("table1", 10, ("Microlens-100K", "CROSSAN", "Mutual information", "0.2001")),
        ("table5", 32, ("Microlens-50K", "Concat Fusion", "NDCG@20", "0.0534")),
        ("table6", 16, ("Microlens-100K", "Independent", "HR@20", "0.1418")),
        ("table7", 32, ("Microlens-100K", "3", "HR@20", "0.1459")),
    ],
)
def test_references_are_whole_and_as_printed(repository, table, name, cells, sample):
    frame = read_reference(repository / f"workflow/reference/{name}.csv", table(name))
    assert len(frame) == cells
    assert frame.loc[sample[:3], "value"] == sample[3]


def test_the_papers_tables_disagree_where_they_are_known_to(repository, table):
    """HR@20 of the full CROSSAN on 50K: .1222 in Table 3, .1224 in Tables 5 to 7; everything else of it agrees."""
    rows = {"table3": "CROSSAN (T+I+V+A)", "table5": "MOMEF", "table6": "Cross-modal", "table7": "3"}
    printed = {}
    for name, row in rows.items():
        frame = read_reference(repository / f"workflow/reference/{name}.csv", table(name))
        printed[name] = {
            metric: frame.loc[("Microlens-50K", row, metric), "value"]
            for metric in ("HR@10", "NDCG@10", "HR@20", "NDCG@20")
        }
    differing = {metric for metric in printed["table3"] if len({values[metric] for values in printed.values()}) > 1}
    assert differing == {"HR@20"}
    assert {name: values["HR@20"] for name, values in printed.items()} == {
        "table3": "0.1222",
        "table5": "0.1224",
        "table6": "0.1224",
        "table7": "0.1224",
    }


@pytest.fixture
def table_1(repository, tmp_path, table, write_run):
    """Make Table 1 from hand-made runs, with these estimates per model and seed."""

    def make(estimates, key="title+cover"):
        config = load_config({"seeds": list(range(len(next(iter(estimates.values())))))})
        for run in runs_of(config, table("table1")):
            write_run(run, [1, 2, 30] if run.model == "crossan" else [9, 20, 30])
            eta_dv, ksg = estimates[run.model][run.seed]
            pairs = {key: {"eta_dv": {"value": eta_dv, "spread": 0.0}, "ksg": {"value": ksg}}}
            (tmp_path / run.information).write_text(json.dumps({"unit": "nats", "pairs": pairs}))
        make_table(config, table("table1"), repository / "workflow/reference/table1.csv", tmp_path / "table1", tmp_path)
        return pd.read_csv(tmp_path / "table1.csv").set_index(["row", "kind"])

    return make


def test_table_1_shows_both_estimates_over_seeds_beside_the_papers(table_1, tmp_path):
    made = table_1({"indsan": [(0.1, 0.02), (0.3, 0.04)], "crossan": [(1.0, 0.5), (1.5, 0.7)]})
    crossan, indsan = made.loc["CROSSAN", "system"], made.loc["INDSAN", "system"]
    assert crossan["Demo Mutual information"] == pytest.approx(1.25)
    assert crossan["Demo Mutual information sd"] == pytest.approx(np.std([1.0, 1.5], ddof=1))
    assert indsan["Demo Mutual information (KSG)"] == pytest.approx(0.03)
    assert crossan["paper Microlens-100K Mutual information"] == 0.2001
    assert not [c for c in made.columns if "information" in c and "difference" in c]  # not to be subtracted
    assert "paper Microlens-100K Mutual information (KSG)" not in made.columns
    over = made.loc["CROSSAN over INDSAN", "(ours - other) / other"]
    assert over["Demo Mutual information"] == pytest.approx(1.25 / 0.2 - 1)
    assert pd.isna(crossan["Demo Mutual information p"])  # no users, no test over them
    page = (tmp_path / "table1.md").read_text()
    assert "1.2500 ± 0.3536" in page
    assert "nats" in page
    assert "nan" not in page + (tmp_path / "table1.html").read_text()


def test_channels_in_the_other_order_are_the_same_pair(table_1):
    made = table_1({"indsan": [(0.1, 0.0)], "crossan": [(0.2, 0.0)]}, key="cover+title")
    assert made.loc["INDSAN", "system"]["Demo Mutual information"] == 0.1


def test_a_pair_that_was_not_measured_is_named(table_1):
    with pytest.raises(DataError, match=r"has no towers title and cover, only title\+audio"):
        table_1({"indsan": [(0.1, 0.0)], "crossan": [(0.2, 0.0)]}, key="title+audio")
