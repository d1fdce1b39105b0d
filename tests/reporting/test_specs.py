"""What a table declares, and what it needs."""

import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from sanrec.errors import ConfigError
from sanrec.evaluation.metrics import METRICS
from sanrec.load import load_config
from sanrec.reporting.specs import TableSpec, load_table
from sanrec.reporting.stand_ins import datasets_of
from sanrec.reporting.table_runs import needs_of, paper_datasets, runs_of

ROOT = Path(__file__).parents[2] / "workflow/tables"
TABLES = [path.relative_to(ROOT).with_suffix("").as_posix() for path in sorted(ROOT.rglob("*.yaml"))]


@pytest.fixture
def values(repository):
    return yaml.safe_load((repository / "workflow/tables/table3.yaml").read_text())


@pytest.fixture
def load(tmp_path):
    def load(values):
        path = tmp_path / "table.yaml"
        path.write_text(values if isinstance(values, str) else yaml.safe_dump(values))
        return load_table(path)

    return load


@pytest.mark.parametrize("name", TABLES)
def test_tables_of_the_repository_are_whole(repository, name):
    table = load_table(repository / f"workflow/tables/{name}.yaml")
    assert (repository / table.reference).is_file() == bool(table.paper)
    for study in ("demo", "paper"):
        needs = needs_of(load_config({"study": study}), table)
        assert needs
        assert len(set(needs)) == len(needs)


def test_table_3_has_the_papers_eleven_rows_on_both_data_sets(repository):
    table = load_table(repository / "workflow/tables/table3.yaml")
    runs = runs_of(load_config({"study": "paper", "seeds": [1, 2, 3]}), table)
    assert len(runs) == 11 * 2 * 3
    systems = [("full", "TI"), ("adapter", "TI"), ("lora", "TI"), ("iisan", "TI")]
    systems += [("iisan-e", letters) for letters in ("TIA", "TIV", "TIVA")]
    systems += [("crossan", letters) for letters in ("TI", "TIA", "TIV", "TIVA")]
    expected = {(d, *s, n) for d in ("microlens-100k", "microlens-50k") for s in systems for n in (1, 2, 3)}
    assert {(run.dataset, run.model, run.inputs_text, run.seed) for run in runs} == expected
    assert {run.variant for run in runs} == {"default"}


def test_needs_are_paths_of_runs_and_of_counts(repository):
    config = load_config()
    needs = needs_of(config, load_table(repository / "workflow/tables/table3.yaml"))
    assert needs[:2] == [
        f"results/demo/runs/full/TI/default/seed=0/{name}" for name in ("metrics.json", "ranks.parquet")
    ]
    needs = needs_of(config, load_table(repository / "workflow/tables/iisan-versa/table1.yaml"))
    names = ("demo", "demo-small", "demo-sparse", "demo-half")
    assert needs == [f"results/{name}/statistics.json" for name in names]


def test_a_run_that_two_rows_share_is_needed_once(values):
    values["rows"].append({"label": "again", "model": "crossan", "inputs": "TI"})
    table = TableSpec(**values)
    assert len(runs_of(load_config(), table)) == 11 * 2


def test_the_settings_of_a_row_reach_its_path(values):
    values["rows"][-1]["settings"] = {"top_k": 3, "adapter_width": 64}
    assert runs_of(load_config(), TableSpec(**values))[-1].variant == "adapter_width=64,top_k=3"


def test_reading_tables_imports_nothing_heavy():
    heavy = "torch transformers numpy pandas scipy zarr"
    code = f"import sys, sanrec.load, sanrec.reporting.specs; print([m for m in '{heavy}'.split() if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


@pytest.mark.parametrize("metric", METRICS)
def test_every_metric_may_stand_in_a_table(values, metric):
    values["metrics"] = [metric]
    assert TableSpec(**values).metrics == (metric,)


def wrong(key, value):
    return lambda v: v.__setitem__(key, value)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (wrong("metricks", ["HR@10"]), "unknown key 'metricks': did you mean 'metrics'"),
        (lambda v: v["rows"][0].__setitem__("lable", "x"), "did you mean 'rows.0.label'"),
        (wrong("metrics", ["HR@11"]), "metrics.0"),
        (wrong("metrics", []), "kind comparison has 'metrics' and 'rows'"),
        (wrong("kind", "statistics"), "kind statistics has 'statistics'"),
        (wrong("kind", "picture"), "kind"),
        (lambda v: v["rows"].append(dict(v["rows"][0])), "stands 2 times"),
        (lambda v: v["comparisons"][0].__setitem__("ours", "CROSAN"), "no row has the label 'CROSAN'"),
        (lambda v: v["significance"]["against"].append("SASRec"), "no row has the label 'SASRec'"),
    ],
)
def test_a_malformed_table_is_refused(values, load, change, message):
    change(values)
    with pytest.raises(ConfigError, match=r"table\.yaml.*") as caught:
        load(values)
    assert message in str(caught.value)


def test_what_is_no_yaml_or_no_table_is_refused(load, tmp_path):
    with pytest.raises(ConfigError, match="not valid yaml"):
        load("rows: [")
    with pytest.raises(ConfigError, match="found list"):
        load("[1, 2]")
    with pytest.raises(ConfigError, match="no such table file"):
        load_table(tmp_path / "table33.yaml")


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"model": "crosan"}, "did you mean 'crossan'"),
        ({"inputs": "TX"}, "unknown letter 'X'"),
        ({"inputs": "IT"}, "written 'TI'"),
        ({"settings": {"topk": 2}}, "did you mean 'top_k'"),
    ],
)
def test_a_row_that_is_no_run_is_refused_by_its_label(values, row, message):
    values["rows"][-1].update(row)
    with pytest.raises(ConfigError, match=r"row 'CROSSAN \(T\+I\+V\+A\)'") as caught:
        runs_of(load_config(), TableSpec(**values))
    assert message in str(caught.value)


@pytest.mark.parametrize(("seeds", "message"), [([], "none is given"), ([1, 1], "1 is given 2 times")])
def test_seeds_are_some_and_distinct(values, seeds, message):
    with pytest.raises(ConfigError, match=message):
        runs_of(load_config({"seeds": seeds}), TableSpec(**values))


def study(*datasets):
    return load_config({"study": "mine", "studies": {"mine": {"title": "Mine", "datasets": list(datasets)}}})


def test_a_study_without_data_sets_is_refused(values):
    with pytest.raises(ConfigError, match="'datasets' of study 'mine': none"):
        datasets_of(study(), TableSpec(**values))


def test_the_papers_data_sets_stand_beside_their_own_else_in_order(values):
    table = TableSpec(**values)
    assert paper_datasets(load_config({"study": "paper"}), table) == {
        "microlens-100k": ("Microlens-100K", True),
        "microlens-50k": ("Microlens-50K", True),
    }
    assert paper_datasets(study("demo", "demo-half"), table) == {
        "demo": ("Microlens-100K", False),
        "demo-half": ("Microlens-50K", False),
    }
    assert paper_datasets(study("demo", "microlens-100k", "demo-half"), table) == {
        "demo": ("Microlens-50K", False),
        "microlens-100k": ("Microlens-100K", True),
    }
