"""The table of what training costs: time, memory, parameters and TPME, measured on one machine."""

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from sanrec.artifacts import Run
from sanrec.config import Config
from sanrec.evaluation.efficiency import WEIGHTS, tpme
from sanrec.hardware import machine_of
from sanrec.reporting import frame as f
from sanrec.reporting.frame import Column, Table
from sanrec.reporting.measurements import read_costs
from sanrec.reporting.specs import COSTS, TableSpec
from sanrec.reporting.stand_ins import datasets_of
from sanrec.reporting.table_runs import measured_rows, paper_datasets

TIME, MEMORY, PARAMETERS = COSTS
TPME = "TPME"
HEADINGS = (*COSTS, TPME)
MIB = 2**20
BEFORE, BATCH = "before", "batch size"  # blocks of the csv alone
FIGURES = 3  # of a time, at least
Key = tuple[str, str]  # a row of the table: its label and its kind
Cells = dict[Key, dict[Column, Any]]


def efficiency_table(config: Config, table: TableSpec, reference: pd.DataFrame, root: str | Path = ".") -> Table:
    """Gather what was measured on this machine. Raises DataError where it is missing, stale, or another machine's."""
    names, machine = datasets_of(config, table), machine_of(config)
    titles, beside = f.titles_of(config, names), paper_datasets(config, table)
    cells = _labels(table)
    columns: list[Column] = [(f.LABEL, "", heading) for heading in ("row", "kind", "model", "inputs", "settings")]
    about, decimals = [], {}
    for name in names:
        runs = measured_rows(config, name, table)
        record = read_costs(name, machine, runs.values(), root)
        title, paper = titles[name], beside.get(name, ("", False))[0]
        _fill(table, title, runs, record["runs"], cells)
        if paper:
            _set_beside(table, title, paper, reference, cells)
        shown = {f.OURS: title, f.PAPER: paper, f.DIFFERENCE: title} if paper else {f.OURS: title}
        places = _decimals(record["runs"][run.system]["seconds_per_epoch"] for run in runs.values())
        for block, of in shown.items():
            columns += [(block, of, heading) for heading in HEADINGS if (block, heading) != (f.DIFFERENCE, TPME)]
            decimals |= {(block, of, MEMORY): 0, (block, of, PARAMETERS): 0}
            decimals[block, of, TIME] = 0 if block == f.PAPER else places
        columns += [(f.LEAST, title, TIME), (f.MOST, title, TIME), (BEFORE, title, MEMORY), (BATCH, title, "")]
        about += _about(title, record, runs)
    legend = (*_legend(config, table), *about, *table.notes, *f.beside_notes(titles, beside))
    return Table(table.title, f.build(list(cells.values()), columns), legend, decimals, lowest_is_best=True)


def _labels(table: TableSpec) -> Cells:
    """Every row of the table, in order, with what it is and no figure yet."""
    cells: Cells = {}
    for row in table.rows:
        texts = {"model": row.model, "inputs": row.inputs, "settings": row.settings_text}
        cells[row.label, f.SYSTEM] = {(f.LABEL, "", heading): text for heading, text in texts.items()}
    cells |= {(comparison.label, f.SAVED): {} for comparison in table.comparisons}
    for (label, kind), row_cells in cells.items():
        row_cells.update({(f.LABEL, "", "row"): label, (f.LABEL, "", "kind"): kind})
    return cells


def _fill(
    table: TableSpec, title: str, runs: Mapping[str, Run], measured: Mapping[str, Mapping[str, Any]], cells: Cells
) -> None:
    """Fill in one data set's own figures."""
    costs = {label: _costs(measured[run.system]) for label, run in runs.items()}
    _set_costs(table, f.OURS, title, costs, cells)
    for label, run in runs.items():
        cost, row = measured[run.system], cells[label, f.SYSTEM]
        row[f.LEAST, title, TIME], row[f.MOST, title, TIME] = min(cost["seconds"]), max(cost["seconds"])
        row[BEFORE, title, MEMORY] = cost["memory_before_bytes"] / MIB
        row[BATCH, title, ""] = run.settings.batch_size


def _costs(cost: Mapping[str, Any]) -> dict[str, float]:
    values = {heading: float(cost[key]) for heading, key in COSTS.items()}
    return values | {MEMORY: values[MEMORY] / MIB}


def _set_costs(table: TableSpec, block: str, of: str, costs: Mapping[str, Mapping[str, float]], cells: Cells) -> None:
    """Fill in the costs of systems, their TPME, and what ours saves."""
    together = tpme(*([cost[heading] for cost in costs.values()] for heading in (TIME, PARAMETERS, MEMORY)))
    for (label, cost), value in zip(costs.items(), together, strict=True):
        cells[label, f.SYSTEM] |= {(block, of, heading): figure for heading, figure in cost.items()}
        cells[label, f.SYSTEM][block, of, TPME] = float(value)
    for comparison in table.comparisons:
        if comparison.ours in costs and comparison.other in costs:
            for heading in COSTS:
                ours, other = costs[comparison.ours][heading], costs[comparison.other][heading]
                cells[comparison.label, f.SAVED][block, of, heading] = (other - ours) / other


def _set_beside(table: TableSpec, title: str, paper: str, reference: pd.DataFrame, cells: Cells) -> None:
    """Fill in the paper's figures, and by how much ours differ; what it prints goes before what follows from it."""
    printed = {(row, of): float(cell["value"]) for (data, row, of), cell in reference.iterrows() if data == paper}
    labels = [row.label for row in table.rows if all((row.label, heading) in printed for heading in COSTS)]
    if labels:
        costs = {label: {heading: printed[label, heading] for heading in COSTS} for label in labels}
        _set_costs(table, f.PAPER, paper, costs, cells)
    for (label, _), row in cells.items():
        for heading in COSTS:
            if (label, heading) in printed:
                row[f.PAPER, paper, heading] = printed[label, heading]
            if (f.PAPER, paper, heading) in row:
                row[f.DIFFERENCE, title, heading] = row[f.OURS, title, heading] - row[f.PAPER, paper, heading]


def _decimals(seconds: Iterable[float]) -> int:
    """So many decimals that the shortest time has three figures, but no more than milliseconds."""
    return min(3, max(0, FIGURES - 1 - math.floor(math.log10(min(seconds)))))


def _legend(config: Config, table: TableSpec) -> list[str]:
    """What the columns are."""
    sum_of = " + ".join(f"{weight:g} {what}" for what, weight in WEIGHTS.items())
    lines = [
        f"Study: {config.chosen_study.title} ({config.study}). {TIME}: seconds per epoch of training, median of those "
        f"timed (least–most); {MEMORY}: peak memory in MiB; {PARAMETERS}: trainable parameters. "
        "Lowest of a column in bold, second underlined.",
        f"{TPME}: {sum_of}, each scaled to run from 0 to 1 over the rows of the table. The paper's is computed from "
        "its figures, over its own rows. Difference: ours - paper, and so of two machines.",
    ]
    if table.comparisons:
        pairs = "; ".join(f"{c.label}: {c.ours} against {c.other}" for c in table.comparisons)
        lines.append(f"Improvement, as the paper prints it: {f.SAVED}. {pairs}.")
    return lines


def _about(title: str, record: Mapping[str, Any], runs: Mapping[str, Run]) -> list[str]:
    """On what and how a data set's figures were measured, and rows that are one and the same."""
    measured = [record["runs"][run.system] for run in runs.values()]
    one, timing = measured[0], record["timing"]
    lines = [
        f"{title}: measured on {record['hardware']} ({record['machine']}), {one['users']:,} training users. Each row "
        f"had a process of its own; {timing['warm_up']} epoch(s) warmed up, {timing['repeats']} were timed.",
    ]
    sizes: dict[int, list[str]] = {}
    for label, run in runs.items():
        sizes.setdefault(run.settings.batch_size, []).append(label)
    lines.append("Users per step: " + "; ".join(f"{size:,} ({', '.join(some)})" for size, some in sizes.items()) + ".")
    if record["memory"] == "process":
        low, high = (round(edge(cost["memory_before_bytes"] for cost in measured) / MIB) for edge in (min, max))
        amount = f"{low:,} to {high:,}" if low < high else f"{low:,}"
        lines.append(
            f"Memory is the process' peak: {amount} MiB of it are the interpreter and libraries, there before any data "
            "(the csv has them by row)."
        )
    else:
        lines.append("Memory is the peak of the GPU's allocator.")
    same: dict[str, list[str]] = {}
    for label, run in runs.items():
        same.setdefault(run.system, []).append(label)
    lines += [
        f"{' and '.join(some)} are one and the same on {title} ({system}), measured once."
        for system, some in same.items()
        if len(some) > 1
    ]
    return lines
