"""One set of pins: requirements, constraints and the conda environments hold the same versions."""

import json
import re
import subprocess
import sys
import tomllib
from importlib.metadata import requires, version
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parents[1]
PIN = re.compile(r"^([A-Za-z0-9_.-]+)==([^\s;]+)$")


def normal(name):
    return re.sub(r"[-_.]+", "-", name).lower()


def pins(file):
    found = [PIN.match(line.strip()) for line in (ROOT / file).read_text().splitlines()]
    return {normal(m[1]): m[2] for m in found if m}


def extras():
    """The pins of the optional dependencies, all of which are exact."""
    optional = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    return {normal(PIN.match(line)[1]): PIN.match(line)[2] for lines in optional.values() for line in lines}


@pytest.mark.parametrize(
    "file", ["requirements-core.txt", "requirements.txt", "requirements-docs.txt", "requirements-dev.txt"]
)
def test_every_requirement_is_pinned_and_held_by_the_constraints(file):
    lines = [line.split("#")[0].strip() for line in (ROOT / file).read_text().splitlines()]
    loose = [line for line in lines if line and not line.startswith("-") and not PIN.match(line)]
    assert not loose
    constraints = pins("constraints.txt")
    assert {name: constraints.get(name) for name in pins(file)} == pins(file)


def test_what_reads_quantised_weights_is_pinned_and_in_no_ones_way():
    lines = (ROOT / "requirements-gptq.txt").read_text().splitlines()
    assert all(PIN.match(line) for line in lines if not line.startswith("#"))
    quantised, held = pins("requirements-gptq.txt"), pins("constraints.txt")
    assert {name: held[name] for name in quantised if name in held} == {
        name: quantised[name] for name in quantised if name in held
    }


def test_extras_are_pinned_as_the_constraints_have_them():
    extras = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["optional-dependencies"]
    found = [PIN.match(line) for lines in extras.values() for line in lines]
    assert all(found)
    constraints = pins("constraints.txt")
    assert {m[1]: constraints.get(normal(m[1])) for m in found} == {m[1]: m[2] for m in found}


@pytest.mark.parametrize("file", sorted(p.name for p in (ROOT / "envs").glob("*.yaml")))
def test_conda_environments_hold_the_same_pins(file):
    environment = yaml.safe_load((ROOT / "envs" / file).read_text())
    pip = next(entry["pip"] for entry in environment["dependencies"] if isinstance(entry, dict))
    core = pins("requirements-core.txt") | extras()
    found = {normal(m[1]): m[2] for m in map(PIN.match, pip)}
    assert len(found) == len(pip)
    assert found == {name: core[name] for name in found}


@pytest.mark.parametrize(
    ("told", "status", "said"),
    [
        ({"one": [], "two-parts": []}, 0, ""),
        ({"one": ["PYSEC-1"], "two-parts": []}, 1, "one 1.0: PYSEC-1, mended in 1.1"),
        ({"one": ["PYSEC-1"], "two-parts": None}, 1, "one 1.0: PYSEC-1"),  # a finding counts, whatever else is lacking
        ({"one": [], "two-parts": None}, 2, "two-parts: not on PyPI"),
        ({"one": []}, 2, "two-parts: no answer"),
        (None, 2, "nothing is said about 2 of 2 pins"),  # no network
    ],
)
def test_an_audit_s_findings_come_first(tmp_path, told, status, said):
    pins, report = tmp_path / "pins.txt", tmp_path / "found.json"
    pins.write_text("one==1.0\nTwo_parts==2.0\n")
    if told is not None:
        found = [
            {"name": name, "skip_reason": "not on PyPI"}
            if ids is None
            else {"name": name, "version": "1.0", "vulns": [{"id": one, "fix_versions": ["1.1"]} for one in ids]}
            for name, ids in told.items()
        ]
        report.write_text(json.dumps({"dependencies": found, "fixes": []}))
    command = [sys.executable, str(ROOT / ".ci/audited.py"), str(pins), str(report)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == status, done.stderr
    assert said in done.stdout + done.stderr


def test_extras_are_pinned_and_held_by_the_constraints_and_tested():
    assert set(extras()) == {"faiss-cpu", "tensorboard"}
    for file in ("constraints.txt", "requirements-dev.txt"):
        held = pins(file)
        assert {name: held.get(name) for name in extras()} == extras()


def test_every_rule_has_an_environment_that_exists():
    rules = "".join(p.read_text() for p in (ROOT / "workflow/rules").glob("*.smk"))
    used = set(re.findall(r'conda:\s*"\.\./\.\./envs/([^"]+)"', rules))
    assert used == {p.name for p in (ROOT / "envs").glob("*.yaml")}


def test_the_package_requires_its_core_and_is_installed_with_it():
    metadata = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert metadata["license"] == "Apache-2.0"
    installed = {normal(m[1]): m[2] for m in map(PIN.match, requires("sanrec") or []) if m}
    assert installed == pins("requirements-core.txt")


@pytest.mark.parametrize("name", ["torch", "transformers", "zarr", "snakemake", "pandas"])
def test_what_runs_is_what_is_pinned(name):
    assert version(name).split("+")[0] == pins("constraints.txt")[name]
