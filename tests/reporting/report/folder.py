"""A results folder as the workflow leaves it, small, with hostile names in it."""

import csv
import json
from functools import cache
from pathlib import Path

from sanrec.load import load_config
from sanrec.reporting import frame as f
from sanrec.reporting.figure_specs import SweepSpec
from sanrec.reporting.frame import Table, build
from sanrec.reporting.page import new_page, styled, to_svg
from sanrec.reporting.report.build import render
from sanrec.reporting.specs import TableSpec, load_table
from sanrec.reporting.styles import to_html
from sanrec.versions import STEPS

ROOT = Path(__file__).parents[3]
HOSTILE = "<script>alert('a & b')</script><img src=http://example.org/x.png>"
SWEEP = {
    "title": "CROSSAN, Figure 3: widths",
    "paper": "crossan",
    "kind": "sweep",
    "metrics": ["HR@10"],
    "best": True,
    "lines": [{"label": "CROSSAN", "model": "crossan", "inputs": "TI"}],
    "panels": [{"sweep": "adapter_width", "label": "H", "settings": ["adapter_width"], "scale": "log2"}],
}
VERSIONS = {"python": "3.11.7", "sanrec": "0.1.0", "torch": "2.13.0"}


def metrics(dataset, model, inputs, variant, seed, hit_ratio, **more):
    scores = {f"{m}@{k}": hit_ratio for m in ("HR", "NDCG", "MRR") for k in (5, 10, 20)} | {"users": 10}
    return {
        "run": {"dataset": dataset, "model": model, "inputs": inputs, "variant": variant, "seed": seed,
                "sources": [{"channel": "title", "backbone": "bert"}]},
        "settings": {"adapter_width": 32, "cached": True, "learning_rate": 1e-3}, "seed": seed,
        "test": scores, "validation": scores, "best_epoch": 2, "epochs": 3, "stopped_by": "patience",
        "seconds_per_epoch": 0.5, "peak_memory_bytes": 600 * 2**20, "trainable_parameters": 24733200,
        "machine": "A processor", "versions": VERSIONS, "step_version": STEPS["train"],
    } | more  # fmt: skip


def table(title="CROSSAN, Table 3: a small one", rows=("Ours", "Other", "Only the paper's"), dataset="Demo"):
    """A finished table: ours .5, .2 and nothing beside the paper's .4, .25 and .1, and an improvement."""
    ours, theirs = (0.5, 0.2, None), (0.4, 0.25, 0.1)
    kinds = (f.SYSTEM, f.SYSTEM, f.PRINTED)
    cells = [
        {
            (f.LABEL, "", "row"): row, (f.LABEL, "", "kind"): kind,
            (f.OURS, dataset, "HR@10"): mine, (f.PAPER, "Paper-100K", "HR@10"): paper,
            (f.DIFFERENCE, dataset, "HR@10"): None if mine is None else mine - paper,
            (f.HOLM, dataset, "HR@10"): None, (f.OURS, dataset, "TT"): None if mine is None else 990.5 + 9 * n,
        }
        for n, (row, kind, mine, paper) in enumerate(zip(rows, kinds, ours, theirs, strict=True))
    ]  # fmt: skip
    cells.append({
        (f.LABEL, "", "row"): "Gain", (f.LABEL, "", "kind"): f.OF_OURS, (f.OURS, dataset, "HR@10"): 0.6,
        (f.PAPER, "Paper-100K", "HR@10"): 0.375, (f.DIFFERENCE, dataset, "HR@10"): 0.225,
    })  # fmt: skip
    columns = [(f.LABEL, "", "row"), (f.LABEL, "", "kind"), (f.OURS, dataset, "HR@10"), (f.OURS, dataset, "TT")]
    columns += [(f.PAPER, "Paper-100K", "HR@10"), (f.DIFFERENCE, dataset, "HR@10"), (f.HOLM, dataset, "HR@10")]
    return Table(title, build(cells, columns), ("A line below it.",))


@cache
def drawn():
    """A figure as the workflow draws them."""
    with styled():
        page = new_page("Widths", ["One seed."], 4, 2)
        page.add_subplot().plot([1, 2, 3], [1, 3, 2])
        return to_svg(page).decode()


class Results:
    """A working folder, and what is written into it."""

    def __init__(self, root):
        self.root = root
        self.config = load_config({})
        declared = load_table(ROOT / "workflow/tables/table3.yaml")
        self.tables: dict[str, TableSpec] = dict.fromkeys(("table3", "table10", "mine"), declared)
        self.figures = {"figure3": SweepSpec(**SWEEP), "figure10": SweepSpec(**SWEEP)}

    def write(self, path, text):
        path = self.root / "results" / path
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text, encoding="utf-8")
        return path

    def table(self, name="table3", **about):
        return self.write(f"{name}.html", to_html(table(**about)))

    def figure(self, name="figure3", rows=3):
        self.write(f"{name}.svg", drawn())
        self.write(f"{name}.csv", "width,HR@10\n" + "".join(f"{n},0.{n}23456789012\n" for n in range(rows)))

    def run(self, dataset="demo", model="crossan", inputs="TI", variant="default", seed=0, hit_ratio=0.1, **more):
        folder = f"{dataset}/runs/{model}/{inputs}/{variant}/seed={seed}"
        record = metrics(dataset, model, inputs, variant, seed, hit_ratio, **more)
        self.write(f"{folder}/metrics.json", json.dumps(record))
        epochs = ("1,3.14159265,1.5,0.05,0.02", "2,nan,0.5,0.1,0.04", "3,1,0.5,0.09,0.03")
        self.write(f"{folder}/history.csv", "\n".join(["epoch,loss,seconds,HR@10,NDCG@10", *epochs]) + "\n")
        return folder

    def media(self, corpus="demo", rows=(("7", "cover", "7.jpg", "no file"),)):
        path = self.write(f"{corpus}/media-report.csv", "")
        with path.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file, lineterminator="\n").writerows([("item", "channel", "path", "reason"), *rows])

    def step(self, name="hidden/demo/cover/vit", seconds="9.38", megabytes="516.2"):
        self.write(f"benchmarks/{name}.tsv", f"s\th:m:s\tmax_rss\n{seconds}\t0:00:09\t{megabytes}\n")

    def render(self):
        return render(self.config, self.tables, self.figures, self.root)
