"""What the rule of the figures of costs needs, and what makes it measure anew."""

import os
from pathlib import Path

import pytest

from sanrec import snakefile
from sanrec.errors import ConfigError
from sanrec.hardware import machine_of
from sanrec.load import load_config
from sanrec.snakefile import costs

ROOT = Path(__file__).parents[2]
FIGURES = snakefile.figures(ROOT / "workflow/figures")


def record(measurement="batch-size", **values):
    return snakefile.costs_record(load_config(values), "demo", measurement, FIGURES.values())


def settings(**methods):
    own = load_config().datasets["demo"].settings
    return {"datasets": {"demo": {"settings": own | methods}}}


def needs(measurement):
    config = load_config()
    found = snakefile.costs_needs(config, "demo", machine_of(config), measurement, FIGURES.values())
    assert len(set(found)) == len(found)
    return set(found)


def test_points_need_their_stores_and_no_trained_run():
    interactions = "results/demo/interactions.parquet"
    stores = {f"results/demo/{kind}/{s}.json" for kind in ("hidden", "inputs") for s in ("title/bert", "cover/vit")}
    checkpoints = {"results/checkpoints/bert.json", "results/checkpoints/vit.json"}
    assert needs("batch-size") == {interactions} | stores | checkpoints
    titles = {f"results/demo/hidden/title/{name}.json" for name in ("bert", "bert-deep", "llama")}
    assert needs("text-encoder") == {interactions, "results/demo/hidden/cover/vit.json"} | titles


def test_figures_of_another_machine_cannot_be_asked_for_here():
    config = load_config({"machine": "node-7"})
    with pytest.raises(ConfigError, match="machine 'node-8' cannot be made here: this is 'node-7'"):
        snakefile.costs_needs(config, "demo", "node-8", "batch-size", FIGURES.values())


@pytest.mark.parametrize(
    ("values", "elsewhere", "warned"),
    [
        ({}, True, True),
        ({"machine": "nodes"}, True, True),  # its cores would be this machine's
        ({"timing": {"cores": 3}}, True, True),
        ({"machine": "nodes", "timing": {"cores": 3}}, True, False),
        ({}, False, False),
    ],
)
def test_a_job_that_measures_on_a_cluster_is_told_of_its_nodes(values, elsewhere, warned, caplog):
    config = load_config(values)
    costs._warn.cache_clear()
    for _ in range(2):
        snakefile.costs_needs(config, "demo", machine_of(config), "batch-size", FIGURES.values(), elsewhere)
    said = [record.getMessage() for record in caplog.records]
    assert len(said) == warned
    assert not warned or f"'{machine_of(config)}' with {snakefile.all_cores(config)} cores" in said[0]


def test_measuring_jobs_ask_for_the_cores_of_the_machine_or_of_the_config():
    assert snakefile.all_cores(load_config()) == os.cpu_count()
    assert snakefile.all_cores(load_config({"timing": {"cores": 3}})) == 3


@pytest.mark.parametrize(
    "changed",
    [
        {"timing": {"steps": 2}},
        {"timing": {"warm_up_steps": 2}},
        {"threads": {"train": 2}},
        {"device": "cuda"},
        {"studies": {"demo": {"points": {"efficiency_batch_size": [1, 2]}}}},
        settings(lora={"lora_rank": 2}),
    ],
)
def test_what_changes_a_cost_measures_anew(changed):
    assert record(**changed) != record()


@pytest.mark.parametrize(
    "changed",
    [
        {"seeds": [1, 2]},
        {"timing": {"repeats": 2, "warm_up": 2}},  # of Table 4
        {"timing": {"cores": 3}},
        {"studies": {"demo": {"points": {"adapter_width": [4]}}}},
        settings(crossan={"adapter_width": 16}),
    ],
)
def test_what_changes_no_cost_does_not(changed):
    assert record(**changed) == record()


def test_the_steps_of_figures_do_not_measure_table_4_anew():
    tables = snakefile.tables(ROOT / "workflow/tables").values()
    records = [
        snakefile.efficiency_record(load_config({"timing": timing}), "demo", tables) for timing in ({}, {"steps": 3})
    ]
    assert records[0] == records[1]


def test_each_measurement_is_of_the_figures_that_show_it(monkeypatch):
    monkeypatch.chdir(ROOT)
    assert snakefile.measurements(FIGURES.values()) == {"batch-size", "text-encoder"}
    for name, number in (("batch-size", 5), ("text-encoder", 7)):
        specs = snakefile.costs_specs(str(ROOT), FIGURES, name)
        assert specs == [f"workflow/figures/iisan-versa/figure{number}.yaml"]
