"""What searches found on a data set: a table of best values with the metric they reached, and lines for config.yaml."""

from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from sanrec import artifacts
from sanrec.artifacts import Run
from sanrec.config import Config, Settings
from sanrec.files import write_text
from sanrec.searches import finished, read_search

FIRST = ("model", "inputs", "given", "metric", "value", "best_epoch", "trials", "cut_short", "diverged", "variant")


def tuned_table(config: Config, dataset: str, root: str | Path = ".") -> pd.DataFrame:
    """One row per search of a data set: what it reached on validation, the run's variant, and every value.

    Raises ConfigError where nothing was tuned, DataError for a record that is malformed.
    """
    rows = []
    for path in finished(config, dataset, root):
        record = read_search(Path(root, path))
        row = {name: record[name] for name in FIRST if name != "variant"}
        rows.append(row | {"variant": _run(config, dataset, record).variant} | record["best"])
    frame = pd.DataFrame(rows)
    values = [name for name in Settings.model_fields if name in frame]
    return frame[[*FIRST, *values]]


def _run(config: Config, dataset: str, record: dict[str, Any], seed: int = 0) -> Run:
    """The run with the values that a search found."""
    base = artifacts.run(config, dataset, record["model"], record["inputs"], record["given"])
    values = {name: getattr(base.settings, name) for name in artifacts.given_names(record["given"])} | record["best"]
    return artifacts.run(config, dataset, record["model"], record["inputs"], values, seed)


def make_tuned(config: Config, dataset: str, root: str | Path = ".") -> str:
    """Write `artifacts.tuned(dataset)`; what is to be printed is given back. Errors as of `tuned_table`."""
    frame = tuned_table(config, dataset, root)
    write_text(Path(root, artifacts.tuned(dataset)), frame.to_csv(index=False, lineterminator="\n"))
    shown = frame.drop(columns=[name for name in frame.columns if name not in FIRST])
    return f"{shown.to_string(index=False)}\n\n{pasted(config, dataset, root)}"


def pasted(config: Config, dataset: str, root: str | Path = ".") -> str:
    """Lines for config.yaml that make the values found the data set's own, and the paths of their runs.

    A data set has one set of values per method: of one that was tuned on several inputs, those of the best are taken,
    from searches that had no setting given.
    """
    records = [read_search(Path(root, path)) for path in artifacts.searches(config, dataset, root)]
    best: dict[str, dict[str, Any]] = {}
    for record in (record for record in records if record["given"] == "default"):
        if record["model"] not in best or record["value"] > best[record["model"]]["value"]:
            best[record["model"]] = record
    settings = {model: dict(record["best"]) for model, record in best.items()}
    text = yaml.safe_dump({"datasets": {dataset: {"settings": settings}}}, sort_keys=False, default_flow_style=None)
    own = config.datasets[dataset].settings
    kept = [name for name in own if name not in settings]
    note = f"# and of the settings that stand there, keep: {', '.join(kept)}\n" if kept else ""
    runs = [_run(config, dataset, record).metrics for record in records]
    return f"# into config.yaml:\n{note}{text}\n# or by their paths:\n" + "".join(f"{path}\n" for path in runs)
