"""What a table holds, as its yaml file declares it.

Light: the Snakefile reads this to know a table's needs, so nothing heavy is imported here.
"""

from collections import Counter
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import Field, model_validator

from sanrec.config import CHANNELS, Frozen, validate
from sanrec.errors import ConfigError
from sanrec.files import read_yaml
from sanrec.reporting.group_specs import Group, Length, Parts

Metric = Annotated[str, Field(pattern=r"^(HR|NDCG|MRR|Recall)@(5|10|20)$")]
INFORMATION = {"Mutual information": "eta_dv", "Mutual information (KSG)": "ksg"}  # columns, and the estimates' keys
SHAPE = {"L": "blocks", "H": "width", "#Param": "parameters"}  # columns of backbones, and their keys
COSTS = {"TT": "seconds_per_epoch", "GM": "peak_memory_bytes", "TP": "trainable_parameters"}  # columns, and their keys
ListMetric = Annotated[str, Field(pattern=r"^(Coverage|Novelty|Popularity|Lift|Gini)@(5|10|20)$")]
OWN = ("cold-start", "beyond-accuracy")  # kinds of tables that are no paper's
Channel = Annotated[str, Field(pattern=f"^({'|'.join(CHANNELS)})$")]
Statistic = Literal["users", "items", "interactions", "content"]
DataList = Literal["datasets", "versa_datasets", "amazon_datasets", "microlens_datasets"]  # keys of a study
OWN_KINDS = ("comparison", "statistics", "cold-start", "beyond-accuracy")  # of tables that people declare themselves
MAIN_DATA: dict[str, DataList] = {"crossan": "datasets", "iisan-versa": "versa_datasets"}


class Row(Frozen):
    """A system of the table: one run per data set and seed. Or one that only the paper has, and why."""

    label: str
    """Name as printed, and in the reference; rows are referred to by it."""
    model: str = ""
    """The method."""
    inputs: str = ""
    """Letters or channels, in their canonical order (`TIVA`); backbones by the paper's names, which the study's
    `stand_ins` translate."""
    settings: dict[str, Any] = Field(default_factory=dict)
    """Settings that differ from the data set's defaults for that method. `{of: METHOD}` stands for what that method has
    by default on the data set: `adapter_width: {of: crossan}`."""
    missing: str = ""
    """Why there is no run of it: then the row has the paper's figures only."""

    @model_validator(mode="after")
    def _run_or_reason(self) -> "Row":
        if not self.missing and not (self.model and self.inputs):
            raise ValueError(f"row '{self.label}' needs 'model' and 'inputs', or under 'missing' why there is no run")
        return self

    @property
    def settings_text(self) -> str:
        """The settings as they are declared, `default` where there is none."""
        return ",".join(f"{name}={_spell(value)}" for name, value in self.settings.items()) or "default"


def is_of(value: Any) -> bool:
    """Whether a setting's value is another method's default: `{of: METHOD}`."""
    return isinstance(value, dict) and set(value) == {"of"}


def _spell(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else f"{value['of']}'s" if is_of(value) else str(value)


class Comparison(Frozen):
    """A row of relative improvement of one system over another."""

    label: str
    """Name as printed, and in the reference."""
    ours: str
    """Label of the row that is to be the better one."""
    other: str
    """Label of the row it is compared with."""


class Mean(Frozen):
    """A row that is the mean of others."""

    label: str
    """Name as printed, and in the reference."""
    of: tuple[str, ...] = Field(min_length=2)
    """Labels of the systems."""


class Significance(Frozen):
    """Which rows are tested, each against the best of which others."""

    ours: tuple[str, ...]
    """Labels of the rows tested."""
    against: tuple[str, ...]
    """Labels of the rows whose best, by the mean of the very data set and metric, each is tested against."""


class Beside(Frozen):
    """A data set of the paper's table and the one of ours that is the same."""

    paper: str
    """Its name in the reference."""
    dataset: str
    """Our name for it."""


class TableSpec(Frozen):
    """A table of a paper, or one of our own."""

    title: str
    """Caption."""
    paper: Literal["crossan", "iisan-versa"] | None = None
    """Whose table it is, if a paper's; the study names data sets for each paper."""
    data: DataList | None = None
    """Which of the study's lists of data sets it takes; by default the paper's main one."""
    kind: Literal["statistics", "comparison", "efficiency", "backbones", "cold-start", "beyond-accuracy"]
    """`statistics`: a row per data set, from its counts; `comparison`: a row per system, from runs; `efficiency`: a row
    per system, from measurements of them all on one machine; `backbones`: a row per pretrained model; `cold-start`: a
    row per system, from runs, test targets grouped by how often their item was seen in training; `beyond-accuracy`: a
    row per system, from runs, with what their lists are like, and accuracy by popularity and by length of history."""
    reference: str = ""
    """The csv file of the paper's own figures; a table of our own has none."""
    beside: tuple[Beside, ...] = ()
    """The paper's data sets, in its order. A study's data set stands beside the one it is, or by position."""
    datasets: Annotated[int, Field(ge=1)] | tuple[str, ...] | None = None
    """How many of the study's data sets the table takes, the first ones; by default all. Or data sets by name: then it
    is a table of one's own, whatever the study, whose rows name backbones by our names, without a paper's figures."""
    statistics: dict[str, Statistic] = Field(default_factory=dict)
    """Columns of a statistics table: heading and what it counts."""
    backbones: dict[str, str] = Field(default_factory=dict)
    """Rows of a table of backbones: the name as printed, and ours in the registry."""
    metrics: tuple[Metric, ...] = ()
    """Columns per data set of a comparison; per data set and group of a table of kind cold-start, and of kind
    beyond-accuracy, where they stand for all test targets too."""
    groups: tuple[Group, ...] = ()
    """Groups of test targets, in order; they may overlap."""
    lists: tuple[ListMetric, ...] = ()
    """Of kind beyond-accuracy: what is measured of the lists of recommendations, at which length."""
    parts: Parts | None = None
    """Of kind beyond-accuracy: how items are parted by their popularity."""
    lengths: tuple[Length, ...] = ()
    """Of kind beyond-accuracy: groups of users by the length of their histories, in order; they may overlap."""
    popularity: str = ""
    """Of kind beyond-accuracy: the label of a first row, of popularity alone, if there is to be one."""
    information: tuple[Channel, Channel] | None = None
    """Two channels: a comparison's last column is then the mutual information between their towers, in nats."""
    rows: tuple[Row, ...] = ()
    """Systems of a comparison, in order."""
    tuned: bool = False
    """Whether every row is run with what a search found for it, of as many trials for each (docs/tuning.md); a row's
    own settings are then given to its search."""
    means: tuple[Mean, ...] = ()
    """Rows of means over systems, below them; each stands where all of its systems have figures."""
    comparisons: tuple[Comparison, ...] = ()
    """Rows of relative improvement, below the systems."""
    significance: Significance | None = None
    """The tests behind the star."""
    notes: tuple[str, ...] = ()
    """What the reader must know, below the table."""

    @property
    def own(self) -> bool:
        """Whether it is a user's own: it names its data sets itself."""
        return isinstance(self.datasets, tuple)

    @property
    def systems(self) -> tuple[Row, ...]:
        """The rows that have runs."""
        return tuple(row for row in self.rows if not row.missing)

    @property
    def headings(self) -> tuple[str, ...]:
        """The columns per data set that a reference may have: metrics, estimates of mutual information; or costs."""
        costs = COSTS if self.kind == "efficiency" else {}
        if self.kind == "backbones":
            return tuple(SHAPE)
        return (*costs, *self.metrics, *(INFORMATION if self.information else {}))

    @model_validator(mode="after")
    def _consistent(self) -> "TableSpec":
        """Each kind has what it needs, and labels that are referred to exist once."""
        self._check_groups()
        self._check_own()
        if self.kind == "efficiency" and (not self.rows or self.metrics or self.statistics or self.significance):
            raise ValueError("a table of kind efficiency has 'rows', and neither metrics, statistics nor significance")
        if (self.kind == "backbones") != bool(self.backbones) or (self.backbones and (self.rows or self.metrics)):
            raise ValueError("a table of kind backbones, and no other, has 'backbones', and neither rows nor metrics")
        if self.tuned and self.kind not in ("comparison", *OWN):
            raise ValueError("'tuned' is for tables that compare runs")
        if self.information and self.kind != "comparison":
            raise ValueError("mutual information is a column of tables of kind comparison")
        if self.kind == "statistics" and (not self.statistics or self.metrics or self.rows or self.comparisons):
            raise ValueError("a table of kind statistics has 'statistics', and neither metrics nor rows")
        if self.kind == "comparison" and (not self.metrics or not self.rows or self.statistics):
            raise ValueError("a table of kind comparison has 'metrics' and 'rows', and no statistics")
        labels = [row.label for row in self.rows]
        derived = [*(mean.label for mean in self.means), *(c.label for c in self.comparisons), self.popularity]
        for label, count in Counter([*labels, *derived]).items():
            if count > 1:
                raise ValueError(f"label '{label}' stands {count} times")
        tested = [*self.significance.ours, *self.significance.against] if self.significance else []
        averaged = [label for mean in self.means for label in mean.of]
        for label in [*(name for c in self.comparisons for name in (c.ours, c.other)), *averaged, *tested]:
            if label not in labels:
                raise ValueError(f"no row has the label '{label}'; there are {', '.join(labels)}")
        return self

    def _check_groups(self) -> None:
        """A paper's table has its figures beside; one of our own kinds is no paper's, and has groups."""
        own = {"groups": "cold-start", **dict.fromkeys(("lists", "parts", "lengths", "popularity"), "beyond-accuracy")}
        for name, kind in own.items():
            if getattr(self, name) and self.kind != kind:
                raise ValueError(
                    f"'{name}' {'is' if name in ('parts', 'popularity') else 'are'} of tables of kind {kind}"
                )
        if self.kind not in OWN:
            if not self.own and not (self.paper and self.reference):
                raise ValueError(
                    f"a table of kind {self.kind} has 'paper' and 'reference', or, as one's own, names under 'datasets'"
                )
            return
        needed = [*(name for name, kind in own.items() if kind == self.kind and name != "popularity"), "metrics"]
        if not ((self.data or self.own) and all(getattr(self, name) for name in needed) and self.rows):
            raise ValueError(f"a table of kind {self.kind} has {', '.join(map(repr, ['data', *needed]))} and 'rows'")
        if self.paper or self.reference or self.beside or self.statistics or self.means or self.comparisons:
            raise ValueError(f"a table of kind {self.kind} is no paper's, and has rows of systems alone")
        labels = [group.label for group in (*self.groups, *self.lengths)]
        if len(set(labels)) < len(labels):
            raise ValueError(f"two groups have the same bounds: {', '.join(labels)}")

    def _check_own(self) -> None:
        """A table of one's own has neither a study's data sets nor a paper's figures."""
        if not self.own:
            return
        if self.kind not in OWN_KINDS:
            raise ValueError(f"a table of one's own is of kind {', '.join(OWN_KINDS[:-1])} or {OWN_KINDS[-1]}")
        if not self.datasets:
            raise ValueError("'datasets' names none")
        if self.paper or self.reference or self.beside or self.data:
            raise ValueError(
                "a table that names its 'datasets' has neither 'data' nor 'paper', 'reference' and 'beside'"
            )
        if any(row.missing for row in self.rows):
            raise ValueError("a table that names its 'datasets' has runs in all rows, none of them 'missing'")


def load_table(path: str | Path) -> TableSpec:
    """Read a table's declaration. Raises ConfigError for what is no table, with the nearest valid key."""
    values = read_yaml(path, "table")
    return validate(TableSpec, values, str(path))


def distinct(values: Sequence[Any], what: str) -> tuple[Any, ...]:
    """`values`, of which there is at least one and none twice."""
    if not values:
        raise ConfigError(f"{what}: none is given, so there is nothing to show")
    for value, count in Counter(values).items():
        if count > 1:
            raise ConfigError(f"{what}: {value} is given {count} times; each counts once")
    return tuple(values)
