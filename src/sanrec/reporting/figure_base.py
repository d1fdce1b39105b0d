"""What figures of every kind declare, and what the chosen study gives to each.

Light: the Snakefile reads this, so nothing heavy is imported here.
"""

from typing import ClassVar, Literal

from pydantic import Field

from sanrec.config import Config, Frozen
from sanrec.reporting.specs import MAIN_DATA, DataList, distinct
from sanrec.reporting.stand_ins import study_datasets


class Figure(Frozen):
    """What figures of every kind declare."""

    title: str
    """Heading."""
    paper: Literal["crossan", "iisan-versa"]
    """Whose figure it is; the study names data sets for each paper."""
    data: DataList | None = None
    """Which of the study's lists of data sets it takes; by default the paper's main one."""
    datasets: int | None = Field(None, ge=1)
    """How many of the study's data sets the figure takes, the first ones; by default all."""
    notes: tuple[str, ...] = ()
    """What the reader must know, below the figure."""
    files: ClassVar[tuple[str, ...]] = ()
    """Keys that name files, which lie beside the figure's own."""
    tabled: ClassVar[bool] = False
    """Whether figures of the kind are tables too, and written as md and html."""


def figure_datasets(config: Config, figure: Figure) -> tuple[str, ...]:
    """The data sets that the chosen study gives to the figure. Raises ConfigError for none, or one twice."""
    return study_datasets(config, figure.data or MAIN_DATA[figure.paper], figure.datasets)


def figure_seeds(config: Config) -> tuple[int, ...]:
    """The seeds of every point and gate. Raises ConfigError for one that is given twice."""
    return distinct(config.chosen_study.figure_seeds or (), f"figure seeds of study '{config.study}'")
