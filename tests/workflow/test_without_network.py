"""Compute nodes have no network: whatever is no local rule runs with none at all."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from sanrec.cli import WITH_NETWORK
from tests.workflow.captioner import save_captioner

ROOT = Path(__file__).parents[2]
ALONE = ["unshare", "--net"]  # no network device is up in there, not even the machine's own
SHORT = {"adapter_width": 8, "batch_size": 64, "max_epochs": 2, "patience": 2}
CONFIG = {
    "corpora": {"demo": {"world": {"items": 60, "users": 140}}},
    "datasets": {"demo": {"settings": {"all": SHORT}}},
    "captioners": {"llava": {"source": "folder", "checkpoint": "untrained"}},
}
pytestmark = pytest.mark.slow


def environment() -> dict[str, str]:
    return {k: v for k, v in os.environ.items() if k not in ("SANREC_CONFIG", "PYTHONPATH")}


@pytest.fixture(scope="module")
def alone():
    """The words before a command that take its network away; checked, or skipped where that is not allowed."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
        reach = [sys.executable, "-c", f"import socket; socket.create_connection(('127.0.0.1', {port}), 2)"]
        assert subprocess.run(reach, capture_output=True).returncode == 0
        tried = subprocess.run([*ALONE, *reach], capture_output=True, text=True)
    if "ConnectionRefused" not in tried.stderr and "unreachable" not in tried.stderr:
        pytest.skip(f"a network cannot be taken away here (root needed): {tried.stderr.strip()[-200:]}")
    return ALONE


def test_the_demo_runs_without_any_network(alone, tmp_path):
    """Media, checkpoints, captions, hidden states, a run of every kind of feature, and its table."""
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    save_captioner(tmp_path / "untrained")
    targets = [
        "results/demo/runs/crossan/TIVA/default/seed=0/metrics.json",
        "results/demo/runs/iisan/TI/default/seed=0/metrics.json",
        "results/demo/captions/cover.parquet",
        "results/table1.csv",
    ]
    snakemake = [sys.executable, "-m", "snakemake", "-s", str(ROOT / "Snakefile"), "--directory", str(tmp_path)]
    done = subprocess.run(
        [*alone, *snakemake, "--cores", "2", *targets], capture_output=True, text=True, env=environment()
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert all((tmp_path / target).is_file() for target in targets)


def test_rules_that_fetch_are_local_ones():
    """Under a cluster's profile these run where Snakemake does, not on a node."""
    fetching = {}
    for path in (ROOT / "workflow" / "rules").glob("*.smk"):
        for rule in path.read_text(encoding="utf-8").split("\nrule ")[1:]:
            name, body = rule.split(":", 1)
            command = body.rpartition("python -m sanrec --log {log:q} ")[2].split()[:1]
            if set(command) & set(WITH_NETWORK):
                fetching[name] = "localrule: True" in body
    assert fetching == dict.fromkeys(fetching, True)
    assert len(fetching) == len(WITH_NETWORK)
