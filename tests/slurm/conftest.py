"""A real Slurm on this machine, for as long as the tests here run."""

import os
import subprocess
from pathlib import Path

import pytest

NODE = {"CPUS": "8", "MEM_MB": "48000", "GPUS": "1"}
SCRIPT = Path(__file__).parent / "cluster.sh"


@pytest.fixture(scope="session")
def cluster():
    """Calls `cluster.sh` with the words given. The cluster is up, with eight cores, 48 GB and a GPU, all pretended."""
    if os.environ.get("SANREC_SLURM") != "1":
        pytest.skip("installs and starts Slurm on this machine, as root: set SANREC_SLURM=1 to run it")

    def call(*words: str) -> str:
        done = subprocess.run([str(SCRIPT), *words], capture_output=True, text=True, env={**os.environ, **NODE})
        if done.returncode == 77:
            pytest.skip(done.stderr.strip())
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    call("up")
    yield call
    call("down")
