"""What the Slurm profile says of the rules is so."""

import re
from pathlib import Path

import pytest
import yaml

from sanrec import snakefile
from sanrec.load import load_config
from sanrec.snakefile.targets import RULE

ROOT = Path(__file__).parents[2]
PROFILE = ROOT / "slurm/config.yaml"
ON_A_DEVICE = {  # the modules that ask for the device, and the subcommands whose steps they are
    "backbones/extract.py": "extract",
    "captions/caption.py": "caption",
    "training/run.py": "train",
    "training/search.py": "tune",
    "training/restore.py": "information",
    "training/efficiency.py": "efficiency",
    "training/costs.py": "costs",
}
WITHOUT_MODEL = {"hidden_begin"}  # of `extract`, but it writes an empty store


def subcommands() -> dict[str, str]:
    """The subcommand of every rule; a rule that is another's variant has its line."""
    found, command = {}, ""
    for path in sorted((ROOT / "workflow/rules").glob("*.smk")):
        for name, body in RULE.findall(path.read_text(encoding="utf-8")):
            called = re.search(r"python -m sanrec --log \{log:q\} ([\w-]+)", body)
            found[name] = command = called[1] if called else command
    return found


def with_gpus() -> dict[str, dict]:
    """What the block for GPUs sets, once its lines are uncommented."""
    text = PROFILE.read_text(encoding="utf-8")
    block = re.search(r"^# set-resources:\n(?:#   .*\n)+", text, re.M)[0]
    return yaml.safe_load(re.sub("^# ", "", block, flags=re.M))["set-resources"]


def test_modules_that_ask_for_a_device_are_those_known_here():
    source = ROOT / "src/sanrec"
    calls = re.compile(r"(?<!def )\bchosen_device\(")
    asking = {p.relative_to(source).as_posix() for p in source.rglob("*.py") if calls.search(p.read_text("utf-8"))}
    assert asking == set(ON_A_DEVICE)


def test_the_block_for_gpus_lists_every_rule_that_can_use_one():
    able = {name for name, command in subcommands().items() if command in ON_A_DEVICE.values()} - WITHOUT_MODEL
    assert {"hidden_shard", "caption_shard", "train_backbones", "tune_backbones"} < able
    listed = with_gpus()
    assert set(listed) == able
    assert all(values["gpu"] == 1 and values["slurm_partition"] == "gpu" for values in listed.values())


@pytest.mark.parametrize(
    ("resources", "first", "asked"),
    [
        ({}, 30, [30, 60, 120]),
        ({"time": 0.5}, 2880, [1440, 2880, 5760]),
        ({"longest": 4320}, 2880, [2880, 4320, 4320]),  # a partition that ends jobs after three days
        ({"longest": 4320}, 1440 * 20, [4320, 4320, 4320]),
        ({"time": 0.001}, 30, [1, 2, 4]),
    ],
)
def test_every_retry_asks_for_twice_the_time_up_to_what_the_partition_gives(resources, first, asked):
    minutes = snakefile.minutes(load_config({"resources": resources}), first)
    assert [minutes(None, attempt) for attempt in (1, 2, 3)] == asked


def test_every_retry_asks_for_twice_the_memory():
    megabytes = snakefile.megabytes(load_config({"resources": {"memory": 1.5, "longest": 10}}), 1000)
    assert [megabytes(None, attempt) for attempt in (1, 2, 3)] == [1500, 3000, 6000]


def test_the_profile_names_rules_that_exist():
    profile = yaml.safe_load(PROFILE.read_text(encoding="utf-8"))
    assert set(profile["groups"]) <= set(subcommands())
    assert set(profile["groups"].values()) == set(profile["group-components"])
