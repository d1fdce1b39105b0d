"""The few lines at a workflow's end: what was made, where, how long it took, peak memory, and the best system.

Told by the log that Snakemake keeps of the workflow, and by the files that its finished jobs left. Light: the Snakefile
imports this.
"""

import csv
import json
import re
import sys
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from sanrec.workflow.jobs import KINDS
from sanrec.workflow.text import duration, numbered

MOST_PLACES, MOST_FAILED, MOST_HEADLINES = 6, 5, 3
RULE = re.compile(r"^(?:local)?(?:rule|checkpoint) (.+):$")
FAILED = re.compile(r"^Error in rule (.+):$")
FINISHED = re.compile(r"^Finished jobid: (\d+) ")
METRIC = re.compile(r"(?!paper )(.+) ((?:HR|NDCG|MRR|Recall)@\d+)")  # a column of a table: of what, and the metric
HEADLINE, BESIDE = "HR@10", "NDCG@10"
OF_RUNS = (HEADLINE, "Recall@20")  # the first that a run has
SYSTEM = "system"


@dataclass
class Told:
    """A job as the workflow's log tells of it."""

    rule: str
    values: dict[str, list[str]] = field(default_factory=dict)

    @property
    def kind(self) -> str:
        """What the job is called where people read it."""
        return KINDS.get(self.rule, self.rule)

    def get(self, key: str) -> list[str]:
        """The files under `input`, `output`, `log` or `benchmark`."""
        return self.values.get(key, [])


def tell_ending(log: str | Sequence[str]) -> None:
    """Print the summary of the workflow with that log to standard error. Whatever is wrong with it breaks nothing.

    What Snakemake hands its handlers as `log` is a path by its documentation, and a list of them in fact.
    """
    try:
        lines = ending(Path(log if isinstance(log, str) else log[0]))
    except Exception as error:  # a workflow that went well must not fail for its summary
        lines = [f"No summary: {type(error).__name__}: {error}"]
    print("\n".join(lines), file=sys.stderr)


def ending(log: Path, now: float | None = None) -> list[str]:
    """The summary's lines; one where no job was run. Raises OSError for a log that cannot be read."""
    finished, failed = read_jobs(log.read_text(encoding="utf-8", errors="replace").splitlines())
    seconds = (time.time() if now is None else now) - datetime.fromisoformat(log.name.split(".s")[0]).timestamp()
    finished = [job for job in finished if job.get("output")]  # the others only gather targets, as rule `all`
    if not finished and not failed:
        return ["No job was run."]
    counts = Counter(job.kind for job in finished)
    lines = [
        f"{numbered(len(finished), 'job')} done in {duration(seconds)}"
        + (": " + ", ".join(f"{kind} {count}" for kind, count in counts.items()) if counts else "")
    ]
    lines += _places(finished)
    if memory := _memory(finished):
        lines.append(memory)
    lines += _headlines(finished)
    for job in failed[:MOST_FAILED]:
        what = ", ".join(job.get("output")[:1])
        lines.append(f"failed: {job.kind} {what} (log: {', '.join(job.get('log')) or 'none'})")
    if len(failed) > MOST_FAILED:
        lines.append(f"failed: {len(failed) - MOST_FAILED} more")
    return lines


def read_jobs(lines: Iterable[str]) -> tuple[list[Told], list[Told]]:
    """The jobs that a workflow's log calls finished, and those that it says failed and were not tried again since."""
    started: dict[str, Told] = {}
    finished: dict[str, Told] = {}
    failed: dict[str, Told] = {}
    told: Told | None = None
    wrong = False
    for line in lines:
        if found := RULE.match(line) or FAILED.match(line):
            told, wrong = Told(found[1]), line.startswith("Error")
        elif found := FINISHED.match(line):
            finished[found[1]] = started.get(found[1], Told("job"))
            failed.pop(found[1], None)
        elif told and line.startswith("    "):
            key, _, value = line.strip().partition(": ")
            files = value.removesuffix(" (check log file(s) for error details)").split(", ")
            told.values.setdefault(key, files)
            if key == "jobid":
                (failed if wrong else started)[value] = told
                if not wrong:
                    failed.pop(value, None)  # it is tried again
        else:
            told = None
    return list(finished.values()), list(failed.values())


def _places(finished: Sequence[Told]) -> list[str]:
    """What was made and no other of the jobs has read: what was asked for."""
    read = {path for job in finished for path in job.get("input")}
    made = [job.get("output")[0] for job in finished if job.get("output") and not read & set(job.get("output"))]
    more = [f"  and {len(made) - MOST_PLACES} more"] if len(made) > MOST_PLACES else []
    return [*(f"  {path}" for path in made[:MOST_PLACES]), *more]


def _memory(finished: Sequence[Told]) -> str:
    """The job that held most of the machine's memory, and of runs on a GPU the one that held most of its memory."""
    held = [(size, job) for job in finished if (size := _resident(job))]
    on_gpu = [(size, job) for job in finished if (size := _allocated(job))]
    parts = []
    for sizes, whose in ((held, "memory"), (on_gpu, "GPU memory")):
        if sizes:
            size, job = max(sizes, key=lambda pair: pair[0])
            parts.append(f"{whose} {size / 1e9:.2f} GB ({job.kind} {job.get('output')[0]})")
    return f"peak: {'; '.join(parts)}" if parts else ""


def _resident(job: Told) -> float:
    """Bytes that a job's processes held at most, by its benchmark file; 0 where it does not say."""
    try:
        with Path(job.get("benchmark")[0]).open(encoding="utf-8", newline="") as file:
            return max(float(row["max_rss"]) for row in csv.DictReader(file, delimiter="\t")) * 2**20
    except (IndexError, OSError, ValueError, KeyError, TypeError):
        return 0.0


def _allocated(job: Told) -> float:
    """Bytes of a GPU that a training run held at most; 0 for every other job."""
    found = next((path for path in job.get("output") if path.endswith("/metrics.json")), None)
    if found is None:
        return 0.0
    try:
        metrics = json.loads(Path(found).read_text(encoding="utf-8"))
        return 0.0 if "threads" in metrics["machine"] else float(metrics["peak_memory_bytes"])
    except (OSError, ValueError, KeyError, TypeError):
        return 0.0


def _headlines(finished: Sequence[Told]) -> list[str]:
    """The best system of each table that was made; without tables, of the runs."""
    tables = [path for job in finished if job.kind == "table" for path in job.get("output") if path.endswith(".csv")]
    lines = [line for path in tables for line in [_best_row(Path(path))] if line]
    if not lines:
        runs = [path for job in finished for path in job.get("output") if path.endswith("/metrics.json")]
        lines = [line for line in [_best_run(runs)] if line]
    return lines[:MOST_HEADLINES]


def _best_row(path: Path) -> str:
    """The system with the highest HR@10 on a table's first data set; nothing where the table shows no metric.

    Of a table without HR@10 over all targets it is the first metric that has a value, be it of a group of targets.
    """
    try:
        with path.open(encoding="utf-8", newline="") as file:
            rows = [row for row in csv.DictReader(file) if row.get("kind") == SYSTEM]
        names = [name for name in rows[0] if METRIC.fullmatch(name) and any(row[name] for row in rows)]
        first = next((name for name in names if _of_all(name, rows[0])), names[0])
        best = max((row for row in rows if row[first]), key=lambda row: float(row[first]))
    except (OSError, IndexError, ValueError):
        return ""
    data, _, metric = first.rpartition(" ")
    figures = [(name, best.get(f"{data} {name}")) for name in dict.fromkeys((metric, BESIDE))]
    shown = ", ".join(f"{name} {float(value):.4f}" for name, value in figures if value)
    return f"best on {data} in {path}: {best['row']}, {shown}"


def _of_all(name: str, columns: Iterable[str]) -> bool:
    """Whether a column is HR@10 of all targets: groups of them have a column that says of how many users they are."""
    data, _, metric = name.rpartition(" ")
    return metric == HEADLINE and (f"{data} users" not in columns or data.endswith(" all"))


def _best_run(paths: Sequence[str]) -> str:
    """The run with the highest HR@10 (of several targets per user: Recall@20), if all are of one data set."""
    found = []
    for path in paths:
        try:
            metrics = json.loads(Path(path).read_text(encoding="utf-8"))
            test, dataset = metrics["test"], metrics["run"]["dataset"]
            name = next(name for name in OF_RUNS if name in test)
            found.append((test[name], test.get(BESIDE), name, dataset, path))
        except (OSError, ValueError, KeyError, TypeError, StopIteration):
            continue
    if not found or len({(name, dataset) for *_, name, dataset, _ in found}) > 1:
        return ""
    value, gain, name, _, path = max(found, key=lambda one: one[0])
    beside = "" if gain is None else f", {BESIDE} {gain:.4f}"
    return f"best on test: {Path(path).parent}, {name} {value:.4f}{beside}"
