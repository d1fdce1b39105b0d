"""A folder begun by `sanrec init`: refused where it would overwrite, and a whole workflow that is not forked."""

import json
import os
import re
import shutil
import subprocess
import sys
import venv
from pathlib import Path

import pytest
import yaml

from sanrec import cli
from sanrec.demo.sample import SMALL, sample_files
from sanrec.errors import SanrecError
from sanrec.load import load_config
from sanrec.workflow import source

ROOT = Path(__file__).parents[2]


@pytest.fixture
def begun(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SANREC_CONFIG", raising=False)
    assert cli.main(["init", "mine"]) == 0
    return tmp_path / "mine"


def environment():
    env = {k: v for k, v in os.environ.items() if k != "SANREC_CONFIG"}
    return env | {"PYTHONPATH": str(ROOT / "src")}


def snakemake(folder, *arguments):
    command = [sys.executable, "-m", "snakemake", *arguments]
    return subprocess.run(command, cwd=folder, capture_output=True, text=True, env=environment())


def test_the_folder_holds_config_snakefile_and_data(begun):
    files = {path.relative_to(begun).as_posix() for path in begun.rglob("*") if path.is_file()}
    assert files == {"config.yaml", "Snakefile", "data/titles.csv", "data/pairs.tsv"}
    config = load_config(begun / "config.yaml")
    assert config.datasets["mine"].corpus == "mine"


def test_the_sample_is_whole_and_the_same_each_time():
    files = sample_files()
    assert files == sample_files()
    items = {line.split(",")[0] for line in files["data/titles.csv"].splitlines()[1:]}
    pairs = [line.split("\t") for line in files["data/pairs.tsv"].splitlines()]
    assert (len(items), len(pairs)) == (SMALL.items, SMALL.users)
    assert {item for _, chosen in pairs for item in chosen.split()} <= items


@pytest.mark.parametrize("name", ["Snakefile", "data/pairs.tsv"])
def test_no_file_is_overwritten_and_nothing_else_written(tmp_path, monkeypatch, capsys, name):
    monkeypatch.chdir(tmp_path)
    own = tmp_path / "mine" / name
    own.parent.mkdir(parents=True)
    own.write_text("my own")
    assert cli.main(["init", "mine"]) == 1
    assert f"mine: holds {name} already" in capsys.readouterr().err
    assert [path for path in (tmp_path / "mine").rglob("*") if path.is_file()] == [own]
    assert own.read_text() == "my own"


def test_a_config_of_another_program_in_the_folder_does_not_matter(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SANREC_CONFIG", raising=False)
    (tmp_path / "config.yaml").write_text("title: My blog\n")
    assert cli.main(["init", "mine"]) == 0
    assert cli.main(["schema"]) == 1  # as every other command


def test_a_file_in_the_folders_place_is_named(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "mine").write_text("")
    assert cli.main(["init", "mine"]) == 1
    assert "mine: is a file" in capsys.readouterr().err


def test_an_installation_without_the_snakefile_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.setattr(source, "__file__", str(tmp_path / "lib/site-packages/sanrec/workflow/source.py"))
    monkeypatch.setattr(source, "distribution", lambda name: type("D", (), {"files": []}))
    with pytest.raises(SanrecError, match=r"pip install -e CHECKOUT"):
        source.own_snakefile()


def test_the_module_has_every_rule_and_reaches_tables_and_environments(begun):
    done = snakemake(begun, "-n", "results/table3.csv")
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(r"^train +16$", done.stdout + done.stderr, re.M)
    assert str(ROOT / "workflow/tables/table3.yaml") in done.stdout + done.stderr
    listed = snakemake(begun, "--list-rules").stdout.split()
    assert {"train", "tune", "figure", "costs", "all", "mine"} <= set(listed)

    with (begun / "Snakefile").open("a") as file:  # as docs/start-own.md says
        file.write("\n\nuse rule prepare_corpus from sanrec with:\n    resources:\n        mem_mb=77,\n")
    changed = snakemake(begun, "-n", "results/mine/items.parquet")
    assert "mem_mb=77" in changed.stdout + changed.stderr


@pytest.mark.slow
def test_it_runs_from_sample_data_to_metrics_and_tells_how_it_went(begun):
    done = snakemake(begun, "--cores", "2")
    said = done.stdout + done.stderr
    assert done.returncode == 0, said
    metrics = {m: json.loads((begun / f"results/mine/runs/{m}/default/seed=0/metrics.json").read_text()) for m in RUNS}
    floor = json.loads((begun / "results/mine/popularity.json").read_text())["test"]["HR@10"]
    assert metrics["crossan/T"]["test"]["HR@10"] > floor
    assert re.search(r"^9 jobs done in .*: .*training run 3", said, re.M)
    assert re.search(r"^peak: memory \d+\.\d\d GB \(", said, re.M)
    assert re.search(r"^best on test: results/mine/runs/.*, HR@10 0\.\d{4}, NDCG@10 0\.\d{4}$", said, re.M)
    for log in (begun / "results/logs").rglob("*.log"):
        text = log.read_text()
        assert "\r" not in text
        assert re.match(r"sanrec [\w-]+: done in ", text.splitlines()[-1])

    again = snakemake(begun, "--cores", "2")
    assert "jobs done" not in again.stdout + again.stderr
    command = [sys.executable, "-m", "sanrec"]
    status = subprocess.run([*command, "status"], cwd=begun, capture_output=True, text=True, env=environment())
    assert re.search(r"^all +9$", status.stdout, re.M), status.stdout + status.stderr
    plan = subprocess.run([*command, "plan"], cwd=begun, capture_output=True, text=True, env=environment())
    assert plan.stdout == "Nothing is to be done: 9 jobs done already (study demo).\n"

    # a job that fails: the summary names it and its log, and status tells its error
    config = yaml.safe_load((begun / "config.yaml").read_text())
    config["datasets"]["mine"]["settings"]["frozen"] = {"learning_rate": 1e30}
    (begun / "config.yaml").write_text(yaml.safe_dump(config))
    failed = snakemake(begun, "--cores", "2")
    assert failed.returncode != 0
    named = r"^failed: training run results/mine/runs/frozen/.* \(log: results/logs/train/.*\)$"
    assert re.search(named, failed.stderr, re.M), failed.stderr
    status = subprocess.run([*command, "status"], cwd=begun, capture_output=True, text=True, env=environment())
    assert "try a smaller learning rate" in status.stdout


RUNS = ("sasrec/ID", "frozen/T", "crossan/T")


@pytest.mark.slow
def test_a_wheel_brings_the_workflow_along(tmp_path):
    """Built from a copy of the tree and unpacked without its dependencies, beside those of this environment."""
    tree = tmp_path / "tree"
    skipped = shutil.ignore_patterns(".git", "results", ".snakemake", "*.egg-info", "__pycache__", "build", ".*_cache")
    shutil.copytree(ROOT, tree, ignore=skipped)
    pip = [sys.executable, "-m", "pip", "--disable-pip-version-check"]
    wheel = [*pip, "wheel", "--no-deps", "-w", str(tmp_path), str(tree)]
    built = subprocess.run(wheel, capture_output=True, text=True)
    assert built.returncode == 0, built.stdout + built.stderr
    venv.create(tmp_path / "venv", with_pip=False, system_site_packages=True)
    python = tmp_path / "venv/bin/python"
    [file] = tmp_path.glob("sanrec-*.whl")
    put = [*pip, "--python", str(python), "install", "--no-deps", "--no-index", "--ignore-installed", str(file)]
    installed = subprocess.run(put, capture_output=True, text=True)
    assert installed.returncode == 0, installed.stdout + installed.stderr
    env = {k: v for k, v in os.environ.items() if k not in ("SANREC_CONFIG", "PYTHONPATH")}
    # the libraries of this environment behind the wheel's own package
    env["PYTHONPATH"] = os.pathsep.join([str(next(tmp_path.glob("venv/lib/*/site-packages"))), *filter(None, sys.path)])
    begin = subprocess.run([python, "-m", "sanrec", "init", "x"], cwd=tmp_path, capture_output=True, text=True, env=env)
    assert begin.returncode == 0, begin.stdout + begin.stderr
    plan = [python, "-m", "snakemake", "-n", "--cores", "1", "results/table3.csv"]
    listed = subprocess.run(plan, cwd=tmp_path / "x", capture_output=True, text=True, env=env)
    assert listed.returncode == 0, listed.stdout + listed.stderr
    assert str(tmp_path / "venv/share/sanrec/workflow/tables/table3.yaml") in listed.stdout + listed.stderr
