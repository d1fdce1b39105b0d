"""Tables of the user's own: found beside sanrec's, over the data sets that they name, whatever the study."""

from pathlib import Path

import pandas as pd
import pytest
import yaml

from sanrec import snakefile
from sanrec.errors import ConfigError
from sanrec.load import load_config
from sanrec.reporting.specs import load_table
from sanrec.reporting.table_runs import needs_of, row_runs
from sanrec.reporting.tables import gather, make_table
from sanrec.training.run import train_run
from tests.training.conftest import CONFIG, made_shop, shop  # noqa: F401 (fixtures)

ROWS = [
    {"label": "Frozen", "model": "frozen", "inputs": "TI"},
    {"label": "Ids", "model": "sasrec", "inputs": "ID"},
    {"label": "Frozen, written out", "model": "frozen", "inputs": "title@tiny-bert", "settings": {"dropout": 0.2}},
]
TABLE = {
    "title": "Mine",
    "kind": "comparison",
    "datasets": ["shop"],
    "metrics": ["HR@10", "Recall@5"],
    "rows": ROWS,
    "comparisons": [{"label": "What content adds", "ours": "Frozen", "other": "Ids"}],
    "significance": {"ours": ["Frozen"], "against": ["Ids"]},
    "notes": ["A note."],
}


def written(name, **changes):
    path = Path("tables", f"{name}.yaml")
    path.parent.mkdir(exist_ok=True)
    values = {k: v for k, v in (TABLE | changes).items() if v is not None}
    path.write_text(yaml.safe_dump(values, sort_keys=False))
    return path


def found(*patterns, taken=("table3", "figure5")):
    return snakefile.own_tables(load_config({"tables": list(patterns)}), taken)


def test_tables_are_found_by_file_and_by_pattern(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    written("one")
    written("two")
    assert found() == {}
    assert found("tables/*.yaml") == {"one": "tables/one.yaml", "two": "tables/two.yaml"}
    assert found("tables/two.yaml", "tables/*.yaml").keys() == {"one", "two"}
    assert found(str(tmp_path / "tables/*.yaml"))["one"] == str(tmp_path / "tables/one.yaml")
    specs = snakefile.tables_of(found("tables/*.yaml"))
    assert snakefile.shown(load_config({"study": "paper"}), specs) == ["one", "two"]


@pytest.mark.parametrize(
    ("name", "changes", "message"),
    [
        ("table3", {}, "results/table3.csv is not for a table of one's own"),
        ("report", {}, "results/report.csv is not for"),
        ("mine", {"datasets": 1, "paper": "crossan", "reference": "r.csv"}, "names its data sets"),
        ("mine", {"datasets": None}, "has 'paper' and 'reference', or, as one's own, names under 'datasets'"),
        ("mine", {"datasets": []}, "'datasets' names none"),
        ("mine", {"paper": "crossan"}, "has neither 'data' nor 'paper'"),
        ("mine", {"kind": "efficiency"}, "of kind comparison, statistics, cold-start or beyond-acc"),
        ("mine", {"metrics": []}, "has 'metrics' and 'rows'"),
        ("mine", {"rows": [*ROWS, {"label": "Theirs", "missing": "no code"}]}, "none of them 'missing'"),
        ("mine", {"rowz": []}, "did you mean 'rows'"),
    ],
)
def test_tables_that_make_no_sense_say_why(tmp_path, monkeypatch, name, changes, message):
    monkeypatch.chdir(tmp_path)
    written(name, **changes)
    with pytest.raises(ConfigError, match=message):
        found("tables/*.yaml")


def test_files_that_are_not_there_or_meet(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"config key 'tables': there is no file 'tables/\*.yaml' from"):
        found("tables/*.yaml")
    path = written("one")
    Path("more").mkdir()
    Path("more/one.yaml").write_text(path.read_text())
    with pytest.raises(ConfigError, match=r"tables/one.yaml and more/one.yaml would both be results/one.csv"):
        found("tables/*.yaml", "more/*.yaml")


def test_its_runs_are_those_of_its_data_sets_whatever_the_study(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    # the demo's study has a backbone of its own stand for bert-base; here bert-base is bert-base
    own = CONFIG["datasets"]["shop"] | {"backbones": {"title": "bert-base", "cover": "tiny-vit"}}
    config = load_config(CONFIG | {"study": "demo", "datasets": {"shop": own}})
    rows = [{"label": "Own", "model": "frozen", "inputs": "title@bert-base+cover"}]
    spec = load_table(written("mine", rows=rows, comparisons=[], significance=None))
    (runs,) = row_runs(config, spec).values()
    assert [run.system for run in runs] == ["frozen/TI/default"]
    assert "results/shop/runs/frozen/TI/default/seed=0/metrics.json" in needs_of(config, spec)
    assert '"shop": "Shop"' in snakefile.table_record(config, spec)
    with pytest.raises(ConfigError, match="unknown dataset 'shpo' in table 'Mine': did you mean 'shop'"):
        needs_of(config, load_table(written("mine", datasets=["shpo"])))
    with pytest.raises(ConfigError, match="'datasets' of table 'Mine': shop is given 2 times"):
        needs_of(config, load_table(written("mine", datasets=["shop", "shop"])))


def test_the_whole_way(shop):  # noqa: F811 (the fixture)
    spec = load_table(written("mine"))
    for runs in row_runs(shop.config, spec).values():
        for run in runs:
            train_run(shop.config, run)
    make_table(shop.config, spec, None, "results/mine")
    table = pd.read_csv("results/mine.csv").set_index(["row", "kind"])
    frozen, ids = table.loc[("Frozen", "system")], table.loc[("Ids", "system")]
    gain = table.loc[("What content adds", "(ours - other) / other"), "Shop HR@10"]
    assert gain == pytest.approx(frozen["Shop HR@10"] / ids["Shop HR@10"] - 1)
    assert frozen["Shop HR@10 against"] == "Ids"
    assert not [name for name in table if "paper" in name or "difference" in name]
    text = Path("results/mine.md").read_text()
    assert "A note." in text
    assert "paper's" not in text
    assert "Study" not in text
    assert "Frozen, written out" in Path("results/mine.html").read_text()


def test_statistics_and_cold_start_of_ones_own(shop):  # noqa: F811 (the fixture)
    counts = {"kind": "statistics", "statistics": {"Users": "users", "Content": "content"}}
    nothing = {"metrics": [], "rows": [], "comparisons": [], "significance": None}
    made = gather(shop.config, load_table(written("counts", **counts, **nothing)), None)
    assert made.frame.iloc[0].tolist() == ["Shop", 40, "Text&Image"]
    assert "paper" not in " ".join(made.legend)
    groups = {"kind": "cold-start", "groups": [{"most": 0}, {"least": 1}], "comparisons": []}
    spec = load_table(written("cold", **groups, rows=ROWS[:2]))
    needs = needs_of(shop.config, spec)
    assert {"results/shop/interactions.parquet", "results/shop/popularity.json"} <= set(needs)
