"""The report as a rule: it asks for nothing to be made, and is made anew when more is there. And Snakemake's own."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[2]
REPORT = "results/report.html"


def snakemake(folder: Path, *arguments: str) -> str:
    env = {k: v for k, v in os.environ.items() if k not in ("SANREC_CONFIG", "PYTHONPATH")}
    command = [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile"), "--directory", str(folder), *arguments]
    done = subprocess.run(command, capture_output=True, text=True, env=env)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def planned(folder: Path, *targets: str) -> dict[str, int]:
    jobs = dict(re.findall(r"^(\w+) +(\d+)$", snakemake(folder, "-n", *targets), re.M))
    return {rule: int(count) for rule, count in jobs.items() if rule != "total"}


CONFIG = {
    "study": "mine",
    "studies": {"mine": {"title": "Mine", "datasets": ["shop"]}},
    "corpora": {"shop": {"title": "Shop", "layout": "amazon", "folder": "raw", "titles": "items.tsv"}},
    "datasets": {"shop": {"title": "Shop", "corpus": "shop", "pairs": "users.tsv", "backbones": {"title": "bert"}}},
}
TABLE, FIGURE = "results/table2.csv", "results/iisan-versa/figure1.svg"


@pytest.fixture
def folder(tmp_path):
    """A data set of one's own, in which a table of counts is soon made."""
    raw = tmp_path / "raw"
    raw.mkdir()
    (raw / "items.tsv").write_text("".join(f"a{i}\tThing number {i}\n" for i in range(20)))
    lines = [f"u{u}\t{' '.join(f'a{(u + k) % 20}' for k in range(6))}\n" for u in range(4)]
    (raw / "users.tsv").write_text("".join(lines))
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    return tmp_path


def test_it_makes_nothing_else_and_is_made_anew_when_more_is_there(folder):
    assert planned(folder, REPORT) == {"report": 1}
    snakemake(folder, "--cores", "1", REPORT)
    assert "Nothing was made yet" in (folder / REPORT).read_text()
    assert planned(folder, REPORT) == {}
    snakemake(folder, "--cores", "1", TABLE)
    assert planned(folder, REPORT) == {"report": 1}
    snakemake(folder, "--cores", "1", REPORT)
    assert "CROSSAN, Table 2" in (folder / REPORT).read_text()
    assert planned(folder, REPORT) == {}
    (folder / "raw/users.tsv").write_text((folder / "raw/users.tsv").read_text() * 2)
    assert planned(folder, REPORT) == {}  # the table would be another, but nobody asked for it
    assert planned(folder, TABLE)["table"] == 1


def test_snakemakes_own_report_has_tables_and_figures_with_their_captions(folder):
    snakemake(folder, "--cores", "1", TABLE, FIGURE)
    snakemake(folder, TABLE, FIGURE, "--report", "snakemake-report.html")
    page = (folder / "snakemake-report.html").read_text()
    for part in ("results/table2.html", "results/iisan-versa/figure1.svg", "Tables", "Figures"):
        assert part in page
    assert "workflow/tables/table2.yaml" in page  # from the captions
    assert "workflow/figures/iisan-versa/figure1.yaml" in page
