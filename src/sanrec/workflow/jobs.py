"""The jobs behind targets, asked of Snakemake in a process of its own (`sanrec.workflow.listing`)."""

import json
import os
import re
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sanrec.config import Config
from sanrec.errors import SanrecError
from sanrec.load import load_config
from sanrec.workflow.source import snakefile_here

MOST_LINES = 12  # of a complaint
NO_SNAKEMAKE = "ModuleNotFoundError: No module named 'snakemake'"
NOISE = re.compile(  # headings and places around it
    r'Building DAG|Config file .* by additional|File "|Error:$|\w+Exception(?: in rule .*)?:$|\w+Error in file .*:$'
)
USUAL_CONFIG = "config.yaml"  # the Snakefile reads it by itself
KINDS = {  # what rules are called where people read it, in the order of the data; several may be of one kind
    "demo_world": "demo's world",
    "demo_backbone": "demo's backbone",
    "demo_captioner": "demo's captioner",
    "download": "raw files",
    "checkpoint": "checkpoint",
    "count_backbones": "count of parameters",
    "count_backbone": "count of parameters",
    "prepare_corpus": "corpus",
    "prepare_dataset": "data set",
    "caption": "captions",
    "caption_shard": "captions (share)",
    "hidden": "hidden states",
    "hidden_begin": "hidden states (begin)",
    "hidden_shard": "hidden states (share)",
    "inputs": "model-ready inputs",
    "media_report": "media report",
    "train": "training run",
    "train_backbones": "training run",
    "tune": "search for settings",
    "tune_backbones": "search for settings",
    "information": "mutual information",
    "efficiency": "measurement of cost",
    "costs": "measurement of cost",
    "tuned": "table of searches",
    "popularity": "popularity",
    "table": "table",
    "figure": "figure",
    "figure_with_table": "figure",
    "report": "report",
}


@dataclass(frozen=True)
class Job:
    """One job of the workflow, done or to be done."""

    rule: str
    outputs: tuple[str, ...]
    inputs: tuple[str, ...]
    logs: tuple[str, ...]
    benchmark: str | None
    wildcards: dict[str, str]
    needed: bool
    reason: str
    threads: int
    runtime: int | None
    mem_mb: int | None

    @property
    def kind(self) -> str:
        """What the job is called where people read it."""
        return KINDS.get(self.rule, self.rule)


@dataclass(frozen=True)
class Listing:
    """All jobs behind some targets; the config that they read; since when (seconds) a workflow holds the folder."""

    jobs: tuple[Job, ...]
    config: Config
    locked_since: float | None


def list_jobs(
    targets: Sequence[str],
    config_file: str | None = None,
    study: str | None = None,
    settings: Mapping[str, Any] | None = None,
) -> Listing:
    """The jobs behind targets (none: all that the Snakefile makes), as they stand in the working folder.

    `study` and `settings`, values of config keys, go before what the config file says.

    Raises SanrecError with what Snakemake says of targets, config or files that are not right.
    """
    own = Path(config_file).resolve() if config_file else None
    asked = {
        "snakefile": str(snakefile_here().resolve()),
        "targets": list(targets),
        "configfile": str(own) if own and own != Path(USUAL_CONFIG).resolve() else None,
        "config": {**(settings or {}), **({"study": study} if study else {})},
    }
    source = str(Path(__file__).parents[2])
    path = os.pathsep.join(filter(None, [source, os.environ.get("PYTHONPATH")]))
    environment = {k: v for k, v in os.environ.items() if k != "SANREC_CONFIG"} | {"PYTHONPATH": path}
    answer = subprocess.run(
        [sys.executable, "-m", "sanrec.workflow.listing"],
        input=json.dumps(asked, default=str), capture_output=True, text=True, check=False, env=environment,
    )  # fmt: skip
    if answer.returncode != 0:
        raise SanrecError(_complaint(answer.stderr))
    found = json.loads(answer.stdout.splitlines()[-1])
    jobs = sorted(map(_job, found["jobs"]), key=lambda job: (_place(job.kind), job.outputs))
    return Listing(tuple(jobs), load_config(found["config"]), found["locked_since"])


def _place(kind: str) -> int:
    order = list(dict.fromkeys(KINDS.values()))
    return order.index(kind) if kind in order else len(order)


def _job(values: dict[str, Any]) -> Job:
    lists = {name: tuple(values[name]) for name in ("outputs", "inputs", "logs")}
    return Job(**values | lists)


def _complaint(said: str) -> str:
    """What of Snakemake's messages is the complaint: without where in the Snakefile it came up."""
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    ends = [lines.index(word) for word in ("Wildcards:", "Traceback:") if word in lines]
    if NO_SNAKEMAKE in lines:
        return "this asks Snakemake, which is not installed here: pip install -r requirements.txt"
    kept = [line for line in lines[: min(ends, default=None)] if not NOISE.match(line)][-MOST_LINES:]
    return "\n".join(kept).removeprefix("ConfigError: ") or "Snakemake could not list the jobs, and did not say why"
