"""What a study makes of the papers' rows: its data sets, the backbones that stand for theirs, and rows without runs.

Light: the Snakefile reads this, so nothing heavy is imported here.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from sanrec import artifacts
from sanrec.artifacts import IDS, Input
from sanrec.config import CHANNELS, Config
from sanrec.errors import ConfigError
from sanrec.reporting.specs import MAIN_DATA, DataList, Row, TableSpec, distinct


def study_datasets(config: Config, data: DataList, first: int | None = None) -> tuple[str, ...]:
    """One of the chosen study's lists of data sets, or the first of them. Raises ConfigError for none, or one twice."""
    return distinct(getattr(config.chosen_study, data), f"'{data}' of study '{config.study}'")[:first]


def datasets_of(config: Config, table: TableSpec) -> tuple[str, ...]:
    """The data sets that the study gives to the table, or that it names. Raises ConfigError for none, or one twice."""
    if isinstance(table.datasets, tuple):
        for name in table.datasets:
            config.find("dataset", name, f"table '{table.title}'")
        return distinct(table.datasets, f"'datasets' of table '{table.title}'")
    return study_datasets(config, table.data or MAIN_DATA[table.paper], table.datasets)


def studied_inputs(config: Config, dataset: str, text: str, stand_ins: Mapping[str, str] | None = None) -> str:
    """A row's inputs with the study's backbones in place of the paper's, in the canonical spelling for the data set.

    `stand_ins` other than the study's may be given.
    """
    if "@" not in text or dataset not in config.datasets:
        return text
    own, sources = config.datasets[dataset].backbones, []
    stand_ins = config.chosen_study.stand_ins if stand_ins is None else stand_ins
    for part in text.split("+"):
        channel, _, named = part.partition("@")
        if channel == IDS.channel:
            sources.append(IDS)
            continue
        backbone = stand_ins.get(named, named) or own.get(channel, "")
        if channel not in CHANNELS or not backbone:
            return text  # not to be understood: whoever reads it says why
        sources.append(Input(channel, backbone))
    return artifacts.format_inputs(config, dataset, sources)


def missing_backbone(config: Config, dataset: str, text: str) -> str:
    """Why the study has no runs on these inputs, or nothing. Raises ConfigError for inputs that make no sense.

    Where backbones stand for the paper's, those of the hub that none stands for are left out: a demo downloads nothing.
    """
    study = config.chosen_study
    for part in text.split("+"):
        named = part.partition("@")[2]
        unknown_here = study.stand_ins and named and named not in study.stand_ins
        if unknown_here and config.find("backbone", named).source == "hub":
            return f"nothing stands for {named} in study '{config.study}'"
    for source in artifacts.parse_inputs(config, dataset, studied_inputs(config, dataset, text)):
        if source == IDS:
            continue
        if source.backbone in study.without:
            return f"study '{config.study}' goes without {source.backbone}"
        record = config.backbones[source.backbone]
        if record.source == "hub" and not record.revision:
            return f"no revision of {source.backbone} is pinned (docs/backbones.md)"
    return ""


def missing_of(config: Config, title: str, datasets: Iterable[str], rows: Iterable[Any], what: str) -> dict[str, str]:
    """Of a figure's rows, each with `label` and `inputs`, those that the study has no runs of, by label, and why.

    Raises ConfigError, calling a row a `what`, where it has none of any.
    """
    names, rows, found = tuple(datasets), tuple(rows), {}
    for row in rows:
        if reason := next(filter(None, (missing_backbone(config, name, row.inputs) for name in names)), ""):
            found[row.label] = reason
    if len(found) == len(rows):
        listed = "; ".join(f"{label}: {why}" for label, why in found.items())
        raise ConfigError(f"figure '{title}': study '{config.study}' has no runs of any {what}: {listed}")
    return found


def as_studied(config: Config, table: TableSpec) -> TableSpec:
    """The table with `missing` set where the study has no runs of a row; what compares or tests such a row is left out.

    Raises ConfigError where no row is left.
    """
    if table.own or not table.systems:
        return table
    rows = tuple(_studied(config, table, row) for row in table.rows)
    there = {row.label for row in rows if not row.missing}
    if not there:
        raise ConfigError(f"table '{table.title}': study '{config.study}' has no runs of any row: {rows[0].missing}")
    significance = table.significance
    if significance:
        ours = tuple(label for label in significance.ours if label in there)
        against = tuple(label for label in significance.against if label in there)
        both = {"ours": ours, "against": against}
        significance = significance.model_copy(update=both) if ours and against else None
    changed = {
        "rows": rows,
        "comparisons": tuple(c for c in table.comparisons if {c.ours, c.other} <= there),
        "significance": significance,
    }
    return table.model_copy(update=changed)


def _studied(config: Config, table: TableSpec, row: Row) -> Row:
    if row.missing:
        return row
    try:
        reasons = [missing_backbone(config, name, row.inputs) for name in datasets_of(config, table)]
    except ConfigError as error:
        raise ConfigError(f"row '{row.label}' of table '{table.title}': {error}") from None
    reason = next(filter(None, reasons), "")
    return row.model_copy(update={"missing": reason}) if reason else row


def stand_ins_used(config: Config, table: TableSpec) -> dict[str, str]:
    """Which backbone stands for which of the paper's in the table's runs, by the paper's name."""
    if table.own:
        return {}
    named = [part.partition("@")[2] for row in table.systems for part in row.inputs.split("+")]
    return {name: config.chosen_study.stand_ins[name] for name in named if name in config.chosen_study.stand_ins}
