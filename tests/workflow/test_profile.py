"""What the Slurm profile says of the rules is so."""

import re
from pathlib import Path

import yaml

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


def test_the_profile_names_rules_that_exist():
    profile = yaml.safe_load(PROFILE.read_text(encoding="utf-8"))
    assert set(profile["groups"]) <= set(subcommands())
    assert set(profile["groups"].values()) == set(profile["group-components"])
