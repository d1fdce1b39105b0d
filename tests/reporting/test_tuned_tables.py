"""Tables whose rows have what a search found: their runs, and what is printed of the searches."""

import re

import pandas as pd
import pytest
import yaml

from sanrec.errors import ConfigError, DataError
from sanrec.load import load_config
from sanrec.reporting.reference import read_reference
from sanrec.reporting.specs import TableSpec, load_table
from sanrec.reporting.stand_ins import as_studied
from sanrec.reporting.table_runs import needs_of, row_runs
from sanrec.reporting.tables import make_table

SPEC = {
    "title": "Tuned",
    "paper": "crossan",
    "kind": "comparison",
    "reference": "reference.csv",
    "beside": [{"paper": "Paper", "dataset": "demo"}],
    "metrics": ["HR@5"],
    "tuned": True,
    "rows": [
        {"label": "LightGCN", "model": "lightgcn", "inputs": "ID", "settings": {"graph_layers": 2}},
        {"label": "CROSSAN", "model": "crossan", "inputs": "TI"},
    ],
    "comparisons": [{"label": "Ours", "ours": "CROSSAN", "other": "LightGCN"}],
}
FOUND = {
    "LightGCN": {"learning_rate": 0.00003, "regularization": 0.5},
    "CROSSAN": {"learning_rate": 0.002, "dropout": 0.1},
}
REACHED = {"LightGCN": 0.25, "CROSSAN": 0.5}


@pytest.fixture
def tuned(tmp_path, write_run, write_search):
    """A table's config, declaration and searches by label, and the function that makes it."""
    mine = {"title": "Mine", "datasets": ["demo"], "versa_datasets": ["demo"], "seeds": [0, 1], "trials": 3}
    config = load_config({"study": "mine", "studies": {"mine": mine}})
    table = TableSpec.model_validate(SPEC)
    searches = {}
    for (label, _), runs in row_runs(config, table).items():
        for run, ranks in zip(runs, ([1, 9, 9, 1], [1, 1, 9, 9]), strict=True):
            write_run(run, ranks)
        searches[label] = write_search(runs[0], trials=3, value=REACHED[label], best=FOUND[label])
    (tmp_path / "reference.csv").write_text("dataset,row,metric,value,star\nPaper,CROSSAN,HR@5,0.5,\n")

    def make():
        make_table(config, table, tmp_path / "reference.csv", tmp_path / "table", tmp_path)
        return pd.read_csv(tmp_path / "table.csv").set_index("row")

    return config, table, searches, make


def test_its_runs_and_searches_are_what_it_needs(tuned):
    config, table, _, _ = tuned
    searches = [
        "results/demo/tuning/lightgcn/ID/graph_layers=2.yaml",
        "results/demo/tuning/crossan/TI.yaml",
    ]
    needs = needs_of(config, table)
    assert needs[-2:] == searches
    assert needs[:2] == [
        f"results/demo/runs/lightgcn/ID/tuned,graph_layers=2/seed=0/{name}"
        for name in ("metrics.json", "ranks.parquet")
    ]
    assert needs[4].startswith("results/demo/runs/crossan/TI/tuned/seed=0/")


def test_it_prints_what_was_found_and_what_that_reached(tuned, tmp_path):
    frame = tuned[-1]()
    assert frame["Demo HR@10 validation of tuning"].dropna().to_dict() == REACHED
    assert frame["Demo HR@10 tuned settings"].dropna().to_dict() == {
        "LightGCN": "regularization=0.5, learning_rate=3e-05",
        "CROSSAN": "dropout=0.1, learning_rate=0.002",
    }
    text = (tmp_path / "table.md").read_text()
    assert "a search of 3 trials" in text
    section = text[text.index("## Tuning") :]
    assert re.search(r"\| LightGCN \| 0\.2500: regularization=0\.5, learning\\_rate=3e-05 \|", section)
    assert re.search(r"\| CROSSAN \| 0\.5000: dropout=0\.1, learning\\_rate=0\.002 \|", section)
    assert "Ours" not in section.split("- Study")[0]  # what was not searched for has no line
    page = (tmp_path / "table.html").read_text()
    assert "0.5000: dropout=0.1, learning_rate=0.002" in page
    assert "Found on validation" in page


@pytest.mark.parametrize("change", [{"trials": 4}, {"metric": "HR@5"}])
def test_rows_of_unequal_searches_are_refused(tuned, change):
    searches, make = tuned[2:]
    path = searches["CROSSAN"]
    path.write_text(yaml.safe_dump(yaml.safe_load(path.read_text()) | change))
    with pytest.raises(DataError, match=r"tuning/crossan/TI.yaml: .* are asked for"):
        make()


def test_a_search_that_is_gone_is_named(tuned):
    searches, make = tuned[2:]
    searches["LightGCN"].unlink()
    with pytest.raises(DataError, match=r"graph_layers=2.yaml: no such search"):
        make()


def test_only_comparisons_are_tuned():
    with pytest.raises(ValueError, match="'tuned' is for tables that compare runs"):
        TableSpec.model_validate(
            SPEC
            | {"kind": "statistics", "statistics": {"Users": "users"}, "metrics": [], "rows": [], "comparisons": []}
        )


def test_table_8_has_every_rival_on_all_modalities(repository):
    table = load_table(repository / "workflow/tables/table8.yaml")
    reference = read_reference(repository / table.reference, table)["value"]
    assert len(reference) == 8 * 4 * 2
    assert set(reference.index.get_level_values("row")) == {row.label for row in table.rows}
    for study in ("demo", "paper"):
        config = load_config({"study": study})
        studied = as_studied(config, table)
        assert not [row.label for row in studied.rows if row.missing]
        runs = row_runs(config, studied)
        assert len(runs) == 16
        assert all(run.search for some in runs.values() for run in some)
    rivals = {row.model: row.inputs for row in table.rows if row.inputs.startswith("ID")}
    assert rivals == dict.fromkeys(("mmgcn", "grcn", "bm3", "freedom", "mgcn", "mhcr"), "ID+TIVA")


def test_how_many_trials_is_the_study_s_unless_it_is_said():
    assert load_config({}).trials == load_config({}).studies["demo"].trials
    assert load_config({"study": "paper"}).trials > load_config({}).trials
    assert load_config({"study": "paper", "tuning": {"trials": 2}}).trials == 2
    with pytest.raises(ConfigError, match="trials"):
        load_config({"tuning": {"trials": 0}})
