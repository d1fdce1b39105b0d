"""What docs/paper.md says that the papers' study takes, counted from the study's own tables and figures."""

import csv
import re

import pytest

from sanrec import artifacts, snakefile
from sanrec.backbones.language_models import LANGUAGE_MODELS
from sanrec.disk import store_bytes
from sanrec.layers import kept_layers
from sanrec.load import load_config
from tests.docs.pages import ROOT

ITEMS = {"microlens": 19738, "scientific": 20825, "instrument": 19246, "office": 22785}  # corpora, as published
PAGE = (ROOT / "docs/paper.md").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def config():
    return load_config({"study": "paper"})


@pytest.fixture(scope="module")
def asked(config):
    """The paths of all that the study's tables and figures are made from, and their runs."""
    tables = snakefile.tables(ROOT / "workflow/tables")
    figures = snakefile.figures(ROOT / "workflow/figures")
    paths = [path for name in snakefile.shown(config, tables) for path in snakefile.table_needs(config, tables[name])]
    paths += [
        path for name in snakefile.shown(config, figures) for path in snakefile.figure_needs(config, figures[name])
    ]
    runs = {run.folder: run for run in (artifacts.parse_run(config, path) for path in paths if "/runs/" in path)}
    measured = [path.split("/") for path in paths if "/efficiency/" in path]
    needs = [path for run in runs.values() for path in artifacts.run_needs(config, run)]
    for _, dataset, _, machine, *of in measured:
        name = machine.removesuffix(".json")
        needs += (
            snakefile.costs_needs(config, dataset, name, of[0].removesuffix(".json"), figures.values())
            if of
            else snakefile.efficiency_needs(config, dataset, name, tables.values())
        )
    return runs, {path for path in paths if "/tuning/" in path}, set(needs)


def test_the_numbers_of_runs_and_searches(asked):
    runs, searches, _ = asked
    assert f"{len(runs)} runs, beside {len(searches)} searches" in " ".join(PAGE.split())


def test_the_disk_that_stores_take(config, asked):
    sums = {}
    for path in asked[2]:
        if "/hidden/" in path:
            _, corpus, _, _, name = path.split("/")
            backbone = config.backbones[name.removesuffix(".json")]
            group = (corpus, "language models" if name.removesuffix(".json") in LANGUAGE_MODELS else "encoders")
            layers = (backbone.blocks + 1, len(kept_layers(backbone.blocks, "even", 6)))
            sizes = [store_bytes(ITEMS[corpus], some, backbone.width, backbone.chunk_rows) for some in layers]
            number, *sizes_before = sums.get(group, (0, 0, 0))
            sums[group] = (number + 1, *(a + b for a, b in zip(sizes_before, sizes, strict=True)))
    titles = {"microlens": "MicroLens", "scientific": "Scientific", "instrument": "Instrument", "office": "Office"}
    expected = {
        f"| {titles[corpus]}, {kind} | {number} | {full / 1e9:.1f} GB | {kept / 1e9:.1f} GB |"
        for (corpus, kind), (number, full, kept) in sums.items()
    }
    shown = set(re.findall(r"^\| \w+, (?:encoders|language models) \|.*\|$", PAGE, re.M))
    assert shown == expected


def test_the_hours_at_the_printed_rates():
    with (ROOT / "workflow/reference/table4.csv").open(encoding="utf-8") as file:
        printed = {
            row["row"]: int(row["value"])
            for row in csv.DictReader(file)
            if row["metric"] == "TT" and "." not in row["value"]
        }
    rows = {f"| {name} | {seconds:,} | {seconds * 100 / 3600:.1f} |" for name, seconds in printed.items()}
    assert rows <= set(PAGE.splitlines())
    tuned = sum(printed[name] for name in ("Full Finetuning (T+I)", "Adapter(T+I)", "LoRA(T+I)"))
    cached = 4 * printed["IISAN-E_best (T+I+V+A)"] + 4 * printed["CROSSAN (T+I+V+A)"]  # per data set of Table 3
    hours = [1.5 * seconds * 100 / 3600 for seconds in (tuned + cached, tuned, cached)]
    assert [round(value) for value in hours] == [
        int(value) for value in re.findall(r"takes (\d+) hours at most.*: (\d+) for .* (\d+)\nfor", PAGE)[0]
    ]
