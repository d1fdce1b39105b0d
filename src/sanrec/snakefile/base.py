"""The config of a workflow, and what rules of every part ask."""

import hashlib
import json
import os
import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from sanrec.config import Config
from sanrec.files import write_text
from sanrec.load import load_config


def settle(values: Mapping[str, Any], folder: str = ".snakemake/sanrec") -> Config:
    """The config of Snakemake's `config`; and the environment of the jobs, which read that very config.

    It is written to a file named by its content, so that two workflows with different `--config` do not meet, and
    SANREC_CONFIG names it: a parameter of every rule would make all anew when any key changes. PYTHONPATH leads to
    this checkout's package also where a job runs in a conda environment that does not have it.
    """
    text = json.dumps(values, indent=2, sort_keys=True, default=str)
    path = f"{folder}/config-{hashlib.sha256(text.encode()).hexdigest()[:12]}.yaml"
    if not Path(path).exists():
        write_text(path, text + "\n")  # JSON is yaml
        Path(path).chmod(0o600)  # addresses of downloads may hold secrets
    source = str(Path(__file__).parents[2])
    os.environ["PYTHONPATH"] = os.pathsep.join(filter(None, [source, os.environ.get("PYTHONPATH")]))
    os.environ["SANREC_CONFIG"] = path
    return load_config(values)


def all_cores(config: Config) -> int:
    """The cores of the machine that measures, this one unless the config says: a job that asks for all is alone."""
    return config.timing.cores or os.cpu_count() or 1


def elsewhere(workflow: Any) -> bool:
    """Whether Snakemake's `workflow` gives its jobs to a cluster; false in such a job itself."""
    return workflow.non_local_exec and workflow.is_main_process


def beside_snakefile(folder: str, path: str) -> str:
    """A file of the repository, by its relative path where the workflow runs in the repository."""
    return path if Path(path).exists() else str(Path(folder) / path)


def one_of(names: Iterable[str]) -> str:
    """A regular expression for exactly these names."""
    return "|".join(re.escape(name) for name in sorted(names)) or r"(?!)"


def other_than(names: Iterable[str]) -> str:
    """A regular expression for every name without a slash but these, as a folder."""
    return rf"(?!(?:{one_of(names)})/)[^/]+"


def none_of(names: Iterable[str]) -> str:
    """A regular expression for every name without a slash but these."""
    return rf"(?!(?:{one_of(names)})/)(?!(?:{one_of(names)})\.json)[^/]+"
