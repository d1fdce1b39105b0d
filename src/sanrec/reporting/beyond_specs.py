"""The figure beyond accuracy: what it declares, and which runs it is drawn from.

Light: the Snakefile reads this, so nothing heavy is imported here.
"""

from typing import ClassVar, Literal

from pydantic import Field

from sanrec.config import Config
from sanrec.errors import ConfigError, unknown
from sanrec.reporting.figure_base import Figure
from sanrec.reporting.figure_specs import MOST_LINES
from sanrec.reporting.specs import MAIN_DATA, ListMetric, Metric, TableSpec, load_table
from sanrec.reporting.stand_ins import as_studied
from sanrec.reporting.table_runs import needs_of


class BeyondSpec(Figure):
    """Accuracy by popularity of the test item and by length of the history, and against what lists are like."""

    kind: Literal["beyond-accuracy"]
    """Curves over groups, and points of accuracy against measures of lists."""
    table: str
    """The declaration of the table of that kind, beside the figure's own file: its rows, groups, runs and seeds."""
    metric: Metric
    """The accuracy that is drawn, one of the table's."""
    lists: tuple[ListMetric, ...] = Field(min_length=1)
    """The measures of lists that accuracy is drawn against, of the table's."""
    files: ClassVar[tuple[str, ...]] = ("table",)


def beyond_table_of(config: Config, figure: BeyondSpec) -> TableSpec:
    """The figure's table, of the figure's data sets, as the study has it.

    Raises ConfigError for one of another kind or list of data sets, without what is to be drawn, or of too many rows.
    """
    table = load_table(figure.table)
    where = f"figure '{figure.title}': table '{table.title}'"
    if table.kind != figure.kind:
        raise ConfigError(f"{where} is of kind {table.kind}, not {figure.kind}")
    if table.data != (figure.data or MAIN_DATA[figure.paper]):
        raise ConfigError(f"{where} takes the study's '{table.data}', so the figure is to have 'data: {table.data}'")
    for kind, wanted, valid in (("metric", (figure.metric,), table.metrics), ("measure", figure.lists, table.lists)):
        for name in wanted:
            if name not in valid:
                raise unknown(kind, name, valid, where)
    studied = as_studied(config, table.model_copy(update={"datasets": figure.datasets, "significance": None}))
    if (lines := len(line_labels(studied))) > MOST_LINES:
        raise ConfigError(f"{where} has {lines} rows, and {MOST_LINES} can be told apart in black and white")
    return studied


def line_labels(table: TableSpec) -> tuple[str, ...]:
    """The systems that have figures, popularity first."""
    return (*([table.popularity] if table.popularity else []), *(row.label for row in table.systems))


def beyond_needs(config: Config, figure: BeyondSpec) -> list[str]:
    """What the figure is drawn from: all that its table is made from."""
    return needs_of(config, beyond_table_of(config, figure))
