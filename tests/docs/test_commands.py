"""The documentation's commands are run as they stand, in a copy of the repository with a small world.

Blocks marked `run` are run, page by page in one folder, as somebody would who reads on: where a block changes into a
folder, the next block of the page is in it; `plan` has Snakemake plan what it would make, and runs all else; `fails`
must fail with the message that the next block shows.
"""

import os
import re
import shutil
import subprocess
import sys

import pytest
import yaml

from tests.docs.pages import ROOT, SHELL, blocks, marked, pages

SHORT = {"adapter_width": 8, "lora_rank": 4, "batch_size": 64, "max_epochs": 2, "patience": 2}
CONFIG = {
    "corpora": {"demo": {"world": {"items": 60, "users": 140}}},
    "datasets": {name: {"settings": {"all": SHORT}} for name in ("demo", "demo-half")},
    "timing": {"warm_up": 0, "repeats": 1, "warm_up_steps": 1, "steps": 2},
    "tuning": {"trials": 2},
}
PARTS = ("Snakefile", "workflow", "src", "slurm", "envs", "docs", "examples")  # of a checkout
PROGRAMS = {"snakemake": '-m snakemake "$@"{}', "sanrec": '-m sanrec "$@"', "python": '"$@"', "python3": '"$@"'}
RUNNING = ("run", "plan", "fails")
pytestmark = pytest.mark.slow


@pytest.fixture(scope="session")
def checkout(tmp_path_factory):
    """A copy of the repository with a small world's config, beside it what makes Snakemake plan alone."""
    folder = tmp_path_factory.mktemp("docs") / "sanrec"
    for part in PARTS:
        source = ROOT / part
        if source.is_dir():
            shutil.copytree(source, folder / part, ignore=shutil.ignore_patterns("__pycache__"))
        else:
            folder.mkdir(exist_ok=True)
            shutil.copy(source, folder / part)
    (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG), encoding="utf-8")
    for kind, added in (("run", ""), ("plan", " -n")):
        (folder.parent / kind).mkdir()
        for name, arguments in PROGRAMS.items():
            program = folder.parent / kind / name
            program.write_text(f"#!/bin/sh\nexec '{sys.executable}' {arguments.format(added)}\n", encoding="utf-8")
            program.chmod(0o755)
    return folder


def run(folder, block, place):
    """A block's output, exit status and the folder where it ended; of several commands the first that fails ends it."""
    programs, ended = folder.parent / ("plan" if block.mark == "plan" else "run"), folder.parent / "ended"
    env = {name: value for name, value in os.environ.items() if name not in ("SANREC_CONFIG", "VIRTUAL_ENV")}
    env |= {"PATH": f"{programs}{os.pathsep}{env['PATH']}", "PYTHONPATH": str(folder / "src"), "ENDED": str(ended)}
    ended.write_text(str(place), encoding="utf-8")
    command = (
        ["bash", "-euo", "pipefail", "-c", f'{block.commands}\npwd > "$ENDED"']
        if block.language in SHELL
        else [sys.executable, "-c", block.text]
    )
    done = subprocess.run(command, cwd=place, env=env, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    return done, ended.read_text(encoding="utf-8").strip()


@pytest.mark.parametrize("page", [page for page in pages() if marked(page, *RUNNING)])
def test_the_commands_of_a_page_do_what_they_say(checkout, page):
    told, place = blocks(page), checkout
    for number, block in enumerate(told):
        if block.mark not in RUNNING:
            continue
        done, place = run(checkout, block, place)
        if block.mark == "fails":
            expected = " ".join(told[number + 1].text.split())
            assert done.returncode != 0, f"{block.place} did not fail"
            assert expected in re.sub(r"\s+", " ", done.stdout), f"{block.place}:\n{done.stdout}"
        else:
            assert done.returncode == 0, f"{block.place}:\n{done.stdout}"
