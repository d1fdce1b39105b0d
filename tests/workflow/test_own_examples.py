"""The pages of one's own: their commands, run as they stand there, in a copy of the checkout with its examples."""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pandas as pd
import pytest

from sanrec.files import read_json

ROOT = Path(__file__).parents[2]
PAGES = {path.stem: path for path in sorted((ROOT / "docs/own").glob("*.md"))}
MADE = ("results", ".snakemake", "checkpoints", "covers", "*.npy", "*.parquet", "clips.inter", "__pycache__")


def commands(page: Path) -> list[str]:
    """The lines of a page's console blocks."""
    blocks = re.findall(r"^```console\n(.*?)^```", page.read_text(), re.M | re.S)
    return [line for block in blocks for line in block.splitlines() if line.strip()]


def bare(source: str) -> ast.Module:
    """A module without docstrings and types."""
    tree = ast.parse(source)
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            del node.body[0]
        if isinstance(node, ast.FunctionDef):
            node.returns = None
        elif isinstance(node, ast.arg):
            node.annotation = None
    return tree


def run(line: str, folder: Path) -> str:
    """Run a line as a person would, from the checkout, with this environment's programs."""
    env = {k: v for k, v in os.environ.items() if k != "SANREC_CONFIG"}
    env |= {"PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}", "PYTHONPATH": str(ROOT / "src")}
    done = subprocess.run(line, shell=True, cwd=folder, capture_output=True, text=True, env=env)
    assert done.returncode == 0, f"{line}\n{done.stdout}{done.stderr}"
    return done.stdout + done.stderr


@pytest.fixture(scope="module")
def checkout(tmp_path_factory) -> Path:
    """A checkout with a copy of the examples as they are committed: nothing made in them before."""
    folder = tmp_path_factory.mktemp("checkout")
    for name in ("Snakefile", "workflow", "src", "envs", "slurm"):
        (folder / name).symlink_to(ROOT / name)
    shutil.copytree(ROOT / "examples", folder / "examples", ignore=shutil.ignore_patterns(*MADE))
    return folder


def test_every_page_has_an_example_and_every_example_a_page():
    examples = {path.name for path in (ROOT / "examples").glob("own-*")}
    assert examples == {f"own-{name}" for name in PAGES}
    for name, page in PAGES.items():
        assert any(f"examples/own-{name}" in line for line in commands(page)), page
        assert all(line.split()[0] in ("python", "snakemake", "sanrec", "cat") for line in commands(page)), page


def test_pages_and_examples_show_the_same():
    """What a page quotes of its example's files stands there, but for docstrings, types, comments and line breaks."""
    table = (ROOT / "examples/own-table/tables/splits.yaml").read_text()
    quoted = re.findall(r"^```yaml\n(.*?)^```", PAGES["table"].read_text(), re.M | re.S)[1]
    assert table.startswith(quoted)
    for name, file in (("item-encoder", "my_encoders.py"), ("user-encoder", "my_users.py")):
        (quoted,) = re.findall(r"^```python\n(.*?)^```", PAGES[name].read_text(), re.M | re.S)
        shown, whole = bare(quoted), bare((ROOT / f"examples/own-{name}" / file).read_text())
        assert [ast.unparse(node) for node in shown.body] == [
            ast.unparse(node) for node in whole.body if isinstance(node, ast.ClassDef)
        ]


def check_data(folder: Path) -> None:
    results = folder / "own-data/results"
    report = pd.read_csv(results / "posters/media-report.csv", dtype=str)
    assert set(zip(report["channel"], report["item"], strict=True)) == {("title", "p14"), ("cover", "p20")}
    assert read_json(results / "posters/runs/iisan/TI/default/seed=0/metrics.json")["test"]["users"] == 30
    lacking = pd.read_csv(results / "posters-log/hidden/video/looks.missing.csv", dtype=str)
    assert lacking["item"].tolist() == ["p05"]
    counts = read_json(results / "posters-time/statistics.json")
    assert (counts["validation_from"], counts["test_from"]) == ("2024-05-01", "2024-05-25")
    log = pd.read_csv(folder / "own-data/data/events.inter", sep="\t")
    early = log[log["when"] < "2024-05-01"]
    users = early["user"].value_counts()
    assert counts["users"] == (users >= 2).sum()
    assert counts["users_without_history"] == log["user"].nunique() - counts["users"]
    assert counts["cold_items"] > 0
    table = pd.read_parquet(results / "posters-time/interactions.parquet")
    last = log[(log["when"] >= "2024-05-25") & log["user"].isin(users[users >= 2].index)].groupby("user").last()["item"]
    found = table[table["split"] == "test"].set_index("user")["item"]
    assert found.sort_index().to_dict() == last.sort_index().to_dict()
    for model, inputs in (("sasrec", "ID+VA"), ("lightgcn", "ID")):
        metrics = read_json(results / f"posters-time/runs/{model}/{inputs}/default/seed=0/metrics.json")
        assert metrics["test"]["users"] == len(last)


def check_backbone(folder: Path) -> None:
    manifest = read_json(folder / "own-backbone/results/posters/hidden/title/tiny.json")
    assert (manifest["items"], manifest["missing"]) == (24, 1)
    assert manifest["arrays"]["hidden"]["shape"] == [24, 4, 16]
    runs = sorted(path.parts[-5] for path in (folder / "own-backbone/results").rglob("metrics.json"))
    assert runs == ["frozen", "full"]


def check_captioner(folder: Path) -> None:
    captions = pd.read_parquet(folder / "own-captioner/results/posters/captions/cover.parquet")
    states = captions.set_index("item")["state"]
    assert states["p20"] == "missing"
    assert (states.drop("p20") == "present").all()
    assert (captions["captioner"] == "parrot").all()
    assert captions["tokens"].max() == 8
    assert (folder / "own-captioner/results/posters/runs/frozen/cover-caption/default/seed=0/metrics.json").is_file()


def check_item_encoder(folder: Path) -> None:
    runs = sorted((folder / "own-item-encoder/results/clips/runs/meeting-point/V").iterdir())
    assert [path.name for path in runs] == ["default", "dropout=0.3"]
    line = "snakemake --directory examples/own-item-encoder {} --cores 1 -n".format(
        "results/clips/runs/meeting-point/V/default/seed=0/metrics.json"
    )
    assert "Nothing to be done" in run(line, folder.parent)
    code = folder / "own-item-encoder/my_encoders.py"
    code.write_text(code.read_text().replace("nn.GELU()", "nn.Tanh()"))
    assert re.search(r"^train +1$", run(line, folder.parent), re.M)
    before = read_json(runs[0] / "seed=0/metrics.json")["config_hash"]
    run(line.removesuffix(" -n"), folder.parent)
    assert read_json(runs[0] / "seed=0/metrics.json")["config_hash"] != before


def check_user_encoder(folder: Path) -> None:
    (metrics,) = (folder / "own-user-encoder/results").rglob("metrics.json")
    assert read_json(metrics)["settings"]["user_encoder"] == "decay"


def check_table(folder: Path) -> None:
    results = folder / "own-table/results"
    table = pd.read_csv(results / "splits.csv")
    systems = table[table["kind"] == "system"]
    assert systems["row"].tolist() == ["SASRec, ids", "SASRec, ids and vectors", "Vectors", "Vectors, GRU"]
    for name in ("Clips HR@5", "Clips HR@5 sd", "Clips by time NDCG@5", "Clips by time NDCG@5 sd"):
        assert systems[name].notna().all()
    assert pd.read_csv(results / "clips.csv")["Items"].tolist() == [24, 24]


CHECKS = {
    "data": check_data,
    "backbone": check_backbone,
    "captioner": check_captioner,
    "item-encoder": check_item_encoder,
    "user-encoder": check_user_encoder,
    "table": check_table,
}


@pytest.mark.slow
@pytest.mark.parametrize("name", PAGES)
def test_the_commands_of_the_page(checkout, name):
    for line in commands(PAGES[name]):
        run(line, checkout)
    CHECKS[name](checkout / "examples")
