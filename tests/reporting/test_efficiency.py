"""The table of costs from hand-made measurements: every figure checked, and what is not of this machine refused."""

import json

import pandas as pd
import pytest

from sanrec import artifacts
from sanrec.errors import ConfigError, DataError
from sanrec.load import load_config
from sanrec.reporting.reference import read_reference
from sanrec.reporting.specs import COSTS, TableSpec, load_table
from sanrec.reporting.table_runs import measured_rows, measured_runs, needs_of, row_runs
from sanrec.reporting.tables import make_table

SMALL = {
    "title": "Costs",
    "paper": "crossan",
    "kind": "efficiency",
    "reference": "reference.csv",
    "beside": [{"paper": "Paper-100K", "dataset": "microlens-100k"}],
    "datasets": 1,
    "rows": [
        {"label": "Full", "model": "full", "inputs": "TI"},
        {"label": "Uncached", "model": "iisan", "inputs": "TI", "settings": {"cached": False}},
        {"label": "Best", "model": "iisan-e", "inputs": "TIVA"},
        {"label": "Same", "model": "iisan-e", "inputs": "TIVA", "settings": {"adapter_width": {"of": "crossan"}}},
        {"label": "Ours", "model": "crossan", "inputs": "TIVA"},
    ],
    "comparisons": [{"label": "Saved", "ours": "Ours", "other": "Same"}],
    "notes": ["A note."],
}
REFERENCE = """dataset,row,metric,value,star
Paper-100K,Full,TT,3000,
Paper-100K,Full,GM,45000,
Paper-100K,Full,TP,190000000,
Paper-100K,Same,TT,200,
Paper-100K,Same,GM,5000,
Paper-100K,Same,TP,30000000,
Paper-100K,Ours,TT,100,
Paper-100K,Ours,GM,4000,
Paper-100K,Ours,TP,20000000,
Paper-100K,Saved,TT,0.5,
"""
MIB = 2**20
# seconds of the timed epochs, peak and earlier memory in MiB, parameters
COST = {
    "full/TI/default": ([4.0, 5.0, 4.5], 1500, 300, 1_000_000),
    "iisan/TI/cached=false": ([2.5, 2.5, 2.5], 700, 310, 200_000),
    "iisan-e/TIVA/default": ([0.5, 0.52, 0.61], 600, 200, 300_000),
    "crossan/TIVA/default": ([0.41, 0.4, 0.45], 500, 200, 225_000),
}
# Each from 0 to 1 over the five rows: seconds of 0.41 to 4.5, parameters of 200,000 to 1,000,000, MiB of 500 to 1,500.
GOLDEN = r"""# Costs

| row | Demo TT | Demo GM | Demo TP | Demo TPME | paper Paper-100K TT | paper Paper-100K GM | paper Paper-100K TP | paper Paper-100K TPME | Demo TT difference | Demo GM difference | Demo TP difference |
| --- | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: |
| Full | 4.500 (4.000–5.000) | 1,500 | 1,000,000 | 1.0000 | 3,000 | 45,000 | 190,000,000 | 1.0000 | -2,995.500 | -43,500 | -189,000,000 |
| Uncached | 2.500 (2.500–2.500) | 700 | **200,000** | 0.3200 | – | – | – | – | – | – | – |
| Best | <u>0.520 (0.500–0.610)</u> | <u>600</u> | 300,000 | <u>0.0696</u> | – | – | – | – | – | – | – |
| Same | <u>0.520 (0.500–0.610)</u> | <u>600</u> | 300,000 | <u>0.0696</u> | <u>200</u> | <u>5,000</u> | <u>30,000,000</u> | <u>0.0324</u> | -199.480 | -4,400 | -29,700,000 |
| Ours | **0.410 (0.400–0.450)** | **500** | <u>225,000</u> | **0.0031** | **100** | **4,000** | **20,000,000** | **0.0000** | -99.590 | -3,500 | -19,775,000 |
| Saved | +21.15% | +16.67% | +25.00% | – | +50.00% | +20.00% | +33.33% | – | -28.85 points | -3.33 points | -8.33 points |

- Study: Demo (demo). TT: seconds per epoch of training, median of those timed (least–most); GM: peak memory in MiB; TP: trainable parameters. Lowest of a column in bold, second underlined.
- TPME: 0.45 seconds + 0.1 parameters + 0.45 memory, each scaled to run from 0 to 1 over the rows of the table. The paper's is computed from its figures, over its own rows. Difference: ours - paper, and so of two machines.
- Improvement, as the paper prints it: (other - ours) / other. Saved: Ours against Same.
- Demo: measured on A fine processor, 1 of 8 threads (here), 3,065 training users. Each row had a process of its own; 1 epoch(s) warmed up, 3 were timed.
- Users per step: 1,024 (Full); 256 (Uncached, Best, Same, Ours).
- Memory is the process' peak: 200 to 310 MiB of it are the interpreter and libraries, there before any data (the csv has them by row).
- Best and Same are one and the same on Demo (iisan-e/TIVA/default), measured once.
- A note.
- Demo is not the paper's Paper-100K: its figures stand beside for orientation only.
"""  # noqa: E501


def record(config, spec, dataset="demo", machine="here"):
    runs = {}
    for run in measured_runs(config, dataset, [spec]):
        seconds, peak, before, parameters = COST[run.system]
        runs[run.system] = {
            "settings": run.settings.model_dump(mode="json", include=artifacts.recorded_settings(run)),
            "seconds_per_epoch": sorted(seconds)[1],
            "seconds": seconds,
            "peak_memory_bytes": peak * MIB,
            "memory_before_bytes": before * MIB,
            "trainable_parameters": parameters,
            "users": 3065,
        }
    return {
        "dataset": dataset,
        "machine": machine,
        "hardware": "A fine processor, 1 of 8 threads",
        "memory": "process",
        "timing": {"warm_up": 1, "repeats": 3},
        "runs": runs,
    }


@pytest.fixture
def small(tmp_path):
    """(what was measured, function that writes it and makes the table, the csv's stem)."""
    batches = {name: {"batch_size": size} for name, size in (("full", 1024), ("all", 256))}
    config = load_config({"machine": "here", "datasets": {"demo": {"settings": batches}}})
    spec = TableSpec(**SMALL)
    (tmp_path / "reference.csv").write_text(REFERENCE)

    def make(measured, spec=spec):
        path = tmp_path / artifacts.efficiency("demo", "here")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(measured))
        return make_table(config, spec, tmp_path / "reference.csv", tmp_path / "costs", root=tmp_path)

    return record(config, spec), make, tmp_path / "costs"


def test_the_markdown_is_as_it_should_be(small):
    measured, make, stem = small
    make(measured)
    assert stem.with_suffix(".md").read_text(encoding="utf-8") == GOLDEN


def test_the_csv_has_full_precision_and_what_people_need_not_see(small):
    measured, make, stem = small
    make(measured)
    rows = pd.read_csv(stem.with_suffix(".csv")).set_index(["row", "kind"])
    ours = rows.loc[("Ours", "system")]
    assert (ours["Demo TT"], ours["Demo TT min"], ours["Demo TT max"]) == (0.41, 0.4, 0.45)
    assert (ours["Demo GM"], ours["Demo GM before"], ours["Demo TP"]) == (500, 200, 225_000)
    assert (ours["model"], ours["inputs"], ours["settings"], ours["Demo batch size"]) == (
        "crossan", "TIVA", "default", 256,
    )  # fmt: skip
    assert ours["Demo TPME"] == pytest.approx(0.1 * 25 / 800, abs=1e-15)
    best = 0.45 * (0.52 - 0.41) / (4.5 - 0.41) + 0.1 * 100 / 800 + 0.45 * 100 / 1000
    assert rows.loc[("Best", "system"), "Demo TPME"] == pytest.approx(best, abs=1e-15)
    assert rows.loc[("Same", "system"), "settings"] == "adapter_width=crossan's"
    assert rows.loc[("Uncached", "system"), "settings"] == "cached=false"
    saved = rows.loc[("Saved", "(other - ours) / other")]
    assert saved["Demo TT"] == pytest.approx(0.11 / 0.52)
    assert saved["paper Paper-100K TT"] == 0.5  # printed
    assert saved["paper Paper-100K TP"] == pytest.approx(1 / 3)  # follows from what is printed


def test_the_page_says_the_same_and_stands_alone(small):
    measured, make, stem = small
    make(measured)
    page = stem.with_suffix(".html").read_text(encoding="utf-8")
    for text in ("4.500 (4.000–5.000)", "1,000,000", "+21.15%", "-43,500", "A fine processor, 1 of 8 threads (here)"):
        assert text in page
    assert "<script" not in page


def test_a_gpus_memory_is_called_so_and_long_epochs_have_no_decimals(small):
    measured, make, stem = small
    measured["memory"] = "GPU allocator"
    for cost in measured["runs"].values():
        cost["seconds_per_epoch"] *= 1000
        cost["seconds"] = [1000 * second for second in cost["seconds"]]
    make(measured)
    text = stem.with_suffix(".md").read_text(encoding="utf-8")
    assert "Memory is the peak of the GPU's allocator." in text
    assert "| 4,500 (4,000–5,000) |" in text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.update(machine="nvidia-h200"), "was measured for machine 'nvidia-h200', not for 'here'"),
        (lambda m: m.update(dataset="demo-half"), "was measured for dataset 'demo-half', not for 'demo'"),
        (lambda m: m["runs"].pop("crossan/TIVA/default"), "holds no measurement of crossan/TIVA/default"),
        (lambda m: m.update(runs=None), "holds no measurement of full/TI/default"),
        (lambda m: m.pop("hardware"), "lacks hardware"),
        (lambda m: m["runs"]["full/TI/default"]["settings"].update(batch_size=1), "full/TI/default was measured with"),
        (lambda m: m["runs"]["full/TI/default"].update(seconds_per_epoch="4"), "a cost of full/TI/default is '4'"),
        (lambda m: m["runs"]["full/TI/default"].update(seconds=[1.0, -2.0]), "a cost of full/TI/default is -2.0"),
        (lambda m: m["runs"]["full/TI/default"].update(seconds=[]), "a cost of full/TI/default is None"),
        (lambda m: m["runs"]["full/TI/default"].pop("memory_before_bytes"), "'memory_before_bytes' of full/TI/default"),
        (lambda m: m["runs"]["full/TI/default"].update(users="many"), "'users' of full/TI/default is 'many'"),
        (lambda m: m["timing"].pop("repeats"), "'repeats' of timing is None"),
        (lambda m: m.update(timing=[1, 3]), "'warm_up' of timing is None"),
    ],
)
def test_what_is_not_of_this_machine_or_stale_is_refused(small, change, message):
    measured, make, stem = small
    change(measured)
    with pytest.raises(DataError) as caught:
        make(measured)
    assert message in str(caught.value)
    assert "snakemake results/demo/efficiency/here.json --cores" in str(caught.value)
    assert not stem.with_suffix(".csv").exists()


def table4(repository):
    return load_table(repository / "workflow/tables/table4.yaml")


def test_table_4_is_complete_and_its_improvements_follow(repository):
    table = table4(repository)
    cells = read_reference(repository / table.reference, table)
    assert len(cells) == (6 + 2) * 3
    for comparison in table.comparisons:
        for metric in COSTS:
            ours, other, printed = (
                float(cells.at[("Microlens-100K", row, metric), "value"])
                for row in (comparison.ours, comparison.other, comparison.label)
            )
            assert printed == round((other - ours) / other, 4)


def test_one_row_has_its_own_width_and_the_other_crossans(repository):
    rows = measured_rows(load_config(), "microlens-100k", table4(repository))
    widths = {label: run.settings.adapter_width for label, run in rows.items() if run.inputs_text == "TIVA"}
    assert widths == {"IISAN-E_best (T+I+V+A)": 1024, "IISAN-E_same (T+I+V+A)": 512, "CROSSAN (T+I+V+A)": 512}
    assert rows["IISAN-E_same (T+I+V+A)"].variant == "adapter_width=512"
    assert rows["IISAN uncached (T+I)"].variant == "cached=false"
    assert {run.seed for run in rows.values()} == {0}
    changed = {"datasets": {"demo": {"settings": {"crossan": {"adapter_width": 16}}}}}
    assert measured_rows(load_config(changed), "demo", table4(repository))["IISAN-E_same (T+I+V+A)"].variant == (
        "adapter_width=16"
    )


def test_what_is_measured_once_is_needed_once(repository):
    tables = [table4(repository), load_table(repository / "workflow/tables/table3.yaml")]
    assert len(measured_runs(load_config(), "demo", tables)) == 7  # both IISAN-E are one; no run of table 3
    assert len(measured_runs(load_config(), "microlens-100k", tables)) == 8
    config = load_config({"machine": "node-7"})
    assert needs_of(config, tables[0]) == ["results/demo/efficiency/node-7.json"]


def test_a_comparison_may_take_anothers_setting_too():
    rows = {**SMALL, "kind": "comparison", "metrics": ["HR@10"]}
    runs = row_runs(load_config({"study": "paper"}), TableSpec(**rows))
    assert runs["Same", "microlens-100k"][0].settings.adapter_width == 512


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"adapter_width": {"of": "crosan"}}, "unknown model 'crosan': did you mean 'crossan'"),
        ({"adapter_width": {"of": "full"}}, "unknown setting 'adapter_width' in settings of 'full'"),
        ({"adapter_width": {"off": "crossan"}}, "adapter_width"),
    ],
)
def test_a_setting_of_no_method_is_refused_by_its_row(settings, message):
    rows = [{**SMALL["rows"][3], "settings": settings}, SMALL["rows"][4]]
    with pytest.raises(ConfigError, match="row 'Same' of table 'Costs' on 'demo'") as caught:
        measured_rows(load_config(), "demo", TableSpec(**{**SMALL, "rows": rows}))
    assert message in str(caught.value)
