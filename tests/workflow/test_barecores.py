"""Bare `--cores`, as people type it, beside all that must go on working."""

import argparse
import subprocess
import sys
from pathlib import Path

import pytest
from snakemake.utils import available_cpu_count

from snakemake_report_plugin_barecores import mend_cores

SNAKEFILE = """
rule all:
    output: "cores.txt"
    shell: "echo {workflow.cores} > {output}"
"""


def snakemake(folder: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    (folder / "Snakefile").write_text(SNAKEFILE)
    return subprocess.run([sys.executable, "-m", "snakemake", *arguments], cwd=folder, capture_output=True, text=True)


@pytest.mark.parametrize(
    ("arguments", "cores"),
    [
        (["cores.txt", "--cores"], available_cpu_count()),
        (["--cores", "--quiet", "all"], available_cpu_count()),
        (["--cores", "all"], available_cpu_count()),
        (["--cores", "1"], 1),
        (["-c1"], 1),
    ],
)
def test_the_flag_means_what_its_help_says(tmp_path, arguments, cores):
    done = snakemake(tmp_path, *arguments)
    assert done.returncode == 0, done.stderr
    assert int((tmp_path / "cores.txt").read_text()) == cores


def test_a_dry_run_needs_no_flag(tmp_path):
    assert snakemake(tmp_path, "-n").returncode == 0


def test_a_file_after_the_flag_is_still_an_error(tmp_path):
    done = snakemake(tmp_path, "--cores", "cores.txt")
    assert done.returncode != 0
    assert "must be integer or 'all'" in done.stdout + done.stderr


def test_it_steps_aside_where_upstream_takes_the_bare_flag():
    parser = argparse.ArgumentParser()
    parser.add_argument("--cores", nargs="?", const=3, type=int)
    assert not mend_cores(parser)
    assert parser.parse_args(["--cores"]).cores == 3
    assert not mend_cores(argparse.ArgumentParser())
