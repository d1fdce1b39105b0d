"""What the rule of Table 4 needs, and what makes it measure anew."""

from pathlib import Path

import pytest

from sanrec import snakefile
from sanrec.errors import ConfigError
from sanrec.hardware import machine_of
from sanrec.load import load_config

ROOT = Path(__file__).parents[2]
TABLES = snakefile.tables(ROOT / "workflow/tables")


def record(**values):
    return snakefile.efficiency_record(load_config(values), "demo", TABLES.values())


def settings(**methods):
    own = load_config().datasets["demo"].settings
    return {"datasets": {"demo": {"settings": own | methods}}}


def test_rows_need_their_stores_and_no_trained_run():
    config = load_config()
    needs = snakefile.efficiency_needs(config, "demo", machine_of(config), TABLES.values())
    assert needs[0] == "results/demo/interactions.parquet"
    stores = {f"results/demo/hidden/{s}.json" for s in ("title/bert", "cover/vit", "video/videomae", "audio/ast")}
    raw = {"results/demo/inputs/title/bert.json", "results/demo/inputs/cover/vit.json"}
    assert set(needs[1:]) == stores | raw | {"results/checkpoints/bert.json", "results/checkpoints/vit.json"}
    assert len(set(needs)) == len(needs)


def test_figures_of_another_machine_cannot_be_asked_for_here():
    with pytest.raises(ConfigError, match="machine 'node-8' cannot be made here: this is 'node-7'"):
        snakefile.efficiency_needs(load_config({"machine": "node-7"}), "demo", "node-8", TABLES.values())


@pytest.mark.parametrize(
    "changed",
    [
        {"timing": {"repeats": 2}},
        {"threads": {"train": 2}},
        settings(crossan={"adapter_width": 16}),  # of IISAN-E too, in one of its rows
        settings(lora={"batch_size": 8}),
    ],
)
def test_what_changes_a_cost_measures_anew(changed):
    assert record(**changed) != record()


@pytest.mark.parametrize(
    "changed",
    [{"seeds": [1, 2]}, {"threads": {"extract": 2}}, settings(indsan={"adapter_width": 16}), {"machine": "x"}],
)
def test_what_changes_no_cost_does_not(changed):
    assert record(**changed) == record()


def test_only_tables_of_costs_are_handed_on(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert snakefile.efficiency_specs(str(ROOT), TABLES) == ["workflow/tables/table4.yaml"]
