"""Numbers of parameters as they were counted, and the table of the pretrained models (IISAN-Versa, Table II)."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from sanrec import artifacts
from sanrec.config import Backbone, Config
from sanrec.errors import DataError
from sanrec.reporting import frame as f
from sanrec.reporting.backbone_specs import table_rows
from sanrec.reporting.frame import Column, Table
from sanrec.reporting.results import read_record, remake
from sanrec.reporting.specs import SHAPE, TableSpec

HEADINGS = ("Modality", *SHAPE, "Counted from", "Licence", "Gated", "Revision")


@dataclass(frozen=True)
class Count:
    """A backbone's number of parameters; None where it could not be counted, and `why`."""

    parameters: int | None
    counted_from: str
    why: str


def read_counts(config: Config, names: Iterable[str], root: str | Path = ".") -> dict[str, Count]:
    """What was counted of these backbones. Raises DataError, naming the file, for what is missing or outdated."""
    found, files = {}, {}
    for name in names:
        path = Path(root) / artifacts.parameters(config, name)
        if path not in files:
            files[path] = read_record(path).get("backbones") or {}
        record, counted = config.find("backbone", name), files[path].get(name)
        if not isinstance(counted, dict) or not {"parameters", "counted_from", "why"} <= counted.keys():
            raise DataError(f"{path}: holds no count of backbone '{name}'. {remake(path)}")
        if (counted.get("blocks"), counted.get("width")) != (record.blocks, record.width):
            raise DataError(f"{path}: '{name}' was counted with another depth or width than it has now. {remake(path)}")
        found[name] = Count(counted["parameters"], counted["counted_from"], counted["why"])
    return found


def backbones_table(config: Config, table: TableSpec, reference: pd.DataFrame, root: str | Path = ".") -> Table:
    """A row per pretrained model, the paper's first, then those that stand for them. Errors as of `read_counts`.

    One that could not be counted shows the paper's figure, and says so.
    """
    rows = table_rows(config, table)
    counts = read_counts(config, rows.values(), root)
    columns: list[Column] = [(f.LABEL, "", "Model"), *((f.OURS, "", heading) for heading in HEADINGS)]
    columns += [(f.PAPER, "", heading) for heading in SHAPE] + [(f.DIFFERENCE, "", "#Param")]
    cells = [_row(label, config.backbones[name], counts[name], reference) for label, name in rows.items()]
    failed = {label: counts[name].why for label, name in rows.items() if counts[name].parameters is None}
    legend = [
        f"Study: {config.chosen_study.title} ({config.study}). L: transformer blocks; H: width; #Param: parameters, "
        "counted without loading weights. Difference: ours - paper.",
        *(f"{label}: not counted, because {why}; #Param is the paper's." for label, why in failed.items()),
        *table.notes,
    ]
    if config.chosen_study.stand_ins:
        stood = "; ".join(f"{own} stands for {paper}" for paper, own in config.chosen_study.stand_ins.items())
        legend.append(f"In this study {stood}; the other models are not run.")
    return Table(table.title, f.build(cells, columns), tuple(legend))


def _row(label: str, record: Backbone, count: Count, reference: pd.DataFrame) -> dict[Column, Any]:
    printed = {
        heading: int(reference.at[("", label, heading), "value"])
        for heading in SHAPE
        if ("", label, heading) in reference.index
    }
    ours = {"L": record.blocks, "H": record.width, "#Param": count.parameters}
    counted_from = count.counted_from
    if count.parameters is None:
        ours["#Param"], counted_from = printed.get("#Param"), "nothing: the paper's figure"
    ours |= {"Modality": record.modality.capitalize(), "Counted from": counted_from, "Licence": record.license}
    ours |= {"Gated": "yes" if record.gated else "no", "Revision": _revision(record)}
    row: dict[Column, Any] = {(f.LABEL, "", "Model"): label}
    row |= {(f.OURS, "", heading): value for heading, value in ours.items()}
    row |= {(f.PAPER, "", heading): value for heading, value in printed.items()}
    if count.parameters is not None and "#Param" in printed:
        row[f.DIFFERENCE, "", "#Param"] = count.parameters - printed["#Param"]
    return row


def _revision(record: Backbone) -> str:
    """The pinned commit; or what there is in its place."""
    if record.source != "hub":
        return {"folder": "a folder's", "demo": "trained here"}[record.source]
    return record.revision or "none is pinned"
