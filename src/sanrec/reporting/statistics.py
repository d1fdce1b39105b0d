"""Tables that describe data sets, from their counts, with the paper's beside."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from sanrec import artifacts
from sanrec.config import Config
from sanrec.reporting import frame as f
from sanrec.reporting.frame import Column, Table
from sanrec.reporting.results import read_statistics
from sanrec.reporting.specs import TableSpec
from sanrec.reporting.stand_ins import datasets_of
from sanrec.reporting.table_runs import paper_datasets

MODALITIES = ("text", "image", "video", "audio")  # in the papers' order


def statistics_table(config: Config, table: TableSpec, reference: pd.DataFrame, root: str | Path = ".") -> Table:
    """Gather the counts of the study's data sets. Raises DataError where one's are missing or malformed."""
    names = datasets_of(config, table)
    titles, beside = f.titles_of(config, names), paper_datasets(config, table)
    numbers = [heading for heading, key in table.statistics.items() if key != "content"]
    columns: list[Column] = [(f.LABEL, "", "Dataset"), *((f.OURS, "", heading) for heading in table.statistics)]
    if beside:
        columns += [(f.PAPER, "", heading) for heading in ("Dataset", *table.statistics)]
        columns += [(f.DIFFERENCE, "", heading) for heading in numbers]
    rows = []
    for name in names:
        counts = read_statistics(Path(root) / artifacts.statistics(name))
        row: dict[Column, Any] = {(f.LABEL, "", "Dataset"): titles[name]}
        for heading, key in table.statistics.items():
            row[f.OURS, "", heading] = _content(counts) if key == "content" else counts[key]
        if name in beside:
            paper = beside[name][0]
            row[f.PAPER, "", "Dataset"] = paper
            for heading in table.statistics:
                if (paper, "", heading) in reference.index:
                    text = reference.at[(paper, "", heading), "value"]
                    row[f.PAPER, "", heading] = int(text) if heading in numbers else text
                    if heading in numbers:
                        row[f.DIFFERENCE, "", heading] = row[f.OURS, "", heading] - int(text)
        rows.append(row)
    whose = "" if table.own else f"Study: {config.chosen_study.title} ({config.study}). "
    legend = [
        f"{whose}Counted after dropping short histories and keeping the "
        "last interactions of each user." + (" Difference: ours - paper." if beside else ""),
        *([] if table.own else f.beside_notes(titles, beside)),
    ]
    return Table(table.title, f.build(rows, columns), tuple(legend))


def _content(counts: Mapping[str, Any]) -> str:
    """The modalities present as the papers write them: `Text&Image`."""
    known = [modality for modality in MODALITIES if modality in counts["content"]]
    others = [part for part in counts["content"] if part not in MODALITIES]
    return "&".join(part.capitalize() for part in (*known, *others))
