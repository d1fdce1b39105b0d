"""How a target stands: which of the jobs behind it are done, running, failed, to be made anew, or missing.

Snakemake says what is up to date; the rest is told by files. A step's log has its command in the first line and how it
ended in the last, so that a log without an end is of a step at work, or of one that was killed.
"""

import json
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from sanrec.workflow.ending import read_jobs
from sanrec.workflow.jobs import Job, Listing
from sanrec.workflow.logs import Log, read_log
from sanrec.workflow.text import columns, duration, numbered

State = Literal["done", "running", "failed", "anew", "missing"]
STATES: tuple[State, ...] = ("done", "running", "failed", "anew", "missing")
QUIET = 180.0  # seconds that a step run by hand may be silent and still counts as running: it writes a line a minute
SHOWN = 12  # jobs of a state that people are shown
WORKFLOW_LOGS = ".snakemake/log"
STATE_FILE = "training-state.safetensors"
HEADLINES = ("HR@10", "Recall@20")


@dataclass(frozen=True)
class Standing:
    """How one job stands."""

    state: State
    kind: str
    rule: str
    output: str
    note: str
    """Of a running job its last line, of a failed one the error, of a finished run its result."""
    log: str


def standings(listing: Listing, now: float | None = None) -> list[Standing]:
    """How every job of a listing stands, in the listing's order."""
    now = time.time() if now is None else now
    failed = _failed_outputs(listing.locked_since)
    return [_standing(job, listing.locked_since, bool(failed & set(job.outputs)), now) for job in listing.jobs]


def _failed_outputs(locked_since: float | None) -> set[str]:
    """What the workflow at work says that it failed to make: jobs that were killed leave no word in their own logs."""
    found: set[str] = set()
    for path in Path(WORKFLOW_LOGS).glob("*.snakemake.log") if locked_since is not None else ():
        if path.stat().st_mtime >= locked_since:
            _, failed = read_jobs(path.read_text(encoding="utf-8", errors="replace").splitlines())
            found |= {output for job in failed for output in job.get("output")}
    return found


def _standing(job: Job, locked_since: float | None, over: bool, now: float) -> Standing:
    path = job.logs[0] if job.logs else ""
    log = read_log(path) if path else None
    state, note = _state(job, log, locked_since, over, now)
    return Standing(state, job.kind, job.rule, job.outputs[0], note, path)


def _state(job: Job, log: Log | None, locked_since: float | None, over: bool, now: float) -> tuple[State, str]:
    """`over`: whether the workflow at work knows that the job failed."""
    if not job.needed:
        return "done", _result(job)
    if log and not log.ended and not over and log.written >= (now - QUIET if locked_since is None else locked_since):
        return "running", f"{log.last} ({duration(now - log.written)} ago)"
    if all(Path(output).exists() for output in job.outputs):
        return "anew", job.reason.partition(":")[0]
    if log and not log.done:
        return "failed", (log.error or "stopped without a word: killed?") + _left(job)
    return "missing", _left(job).removeprefix("; ")


def _result(job: Job) -> str:
    """What a finished run reached on the test split."""
    path = Path(job.outputs[0])
    if path.name != "metrics.json":
        return ""
    try:
        test = json.loads(path.read_text(encoding="utf-8"))["test"]
        return next((f"test {name} {test[name]:.4f}" for name in HEADLINES if name in test), "")
    except (OSError, ValueError, KeyError, TypeError):
        return ""


def _left(job: Job) -> str:
    """From where a training run that was stopped goes on."""
    path = Path(job.outputs[0]).with_name(STATE_FILE)
    if not path.is_file():
        return ""
    from safetensors import SafetensorError, safe_open

    try:
        with safe_open(path, framework="numpy") as file:
            epochs = len(json.loads((file.metadata() or {})["progress"])["epochs"])
    except (SafetensorError, OSError, ValueError, KeyError, TypeError):
        return ""
    return f"; goes on after {numbered(epochs, 'epoch')}"


def as_record(found: Sequence[Standing]) -> dict[str, Any]:
    """The same for programs."""
    return {"counts": {state: len(_of(found, state)) for state in STATES}, "jobs": [asdict(one) for one in found]}


def as_text(found: Sequence[Standing]) -> str:
    """The same for people: a line per kind of job, then the jobs that are running, failed, to be made anew, missing."""
    titles = {"anew": "to make anew"}
    present = [state for state in STATES if _of(found, state)]
    kinds = list(dict.fromkeys(one.kind for one in found))
    head = ["", *(titles.get(state, state) for state in present)]
    counts = [[kind, *(_count(found, kind, state) for state in present)] for kind in kinds]
    counts += [["all", *(len(_of(found, state)) for state in present)]] if len(kinds) > 1 else []
    lines = columns([head, *counts], right=range(1, len(head)))
    for state in [state for state in present if state != "done"]:
        those = _of(found, state)
        lines += ["", f"{titles.get(state, state)}:"]
        rows = [[f"  {one.output}", one.note] for one in those[:SHOWN]]
        lines += columns(rows)
        if state == "failed":
            lines += ["", *(f"  log: {one.log}" for one in those[:SHOWN])]
        lines += [f"  and {len(those) - SHOWN} more (--format json has all)"] if len(those) > SHOWN else []
    return "\n".join(lines)


def _of(found: Sequence[Standing], state: State) -> list[Standing]:
    return [one for one in found if one.state == state]


def _count(found: Sequence[Standing], kind: str, state: State) -> int | str:
    return sum(one.kind == kind for one in _of(found, state)) or "."
