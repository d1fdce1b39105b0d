"""Where tuning looks: the range of every setting that is searched for. Light, because the Snakefile reads it.

Ranges span what the methods' own papers search or set. Widths, batch sizes, epochs and patience are not searched: they
are the data set's.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sanrec.artifacts import given_names
from sanrec.config import Settings
from sanrec.methods import METHODS, Method


@dataclass(frozen=True)
class Range:
    """Values from `low` to `high`: real, or whole ones, or in steps; with `log` uniform in the logarithm."""

    low: float
    high: float
    log: bool = False
    step: float | None = None
    whole: bool = False

    def holds(self, value: Any) -> bool:
        """Whether the value can be tried."""
        return self.low <= value <= self.high


@dataclass(frozen=True)
class Choice:
    """One of some values."""

    values: tuple[Any, ...]

    def holds(self, value: Any) -> bool:
        """Whether the value can be tried."""
        return value in self.values


Searched = Range | Choice
RANGES: dict[str, Searched] = {
    "learning_rate": Range(1e-4, 1e-2, log=True),
    "adapter_learning_rate": Range(1e-5, 1e-2, log=True),
    "backbone_learning_rate": Range(1e-6, 1e-3, log=True),
    "weight_decay": Range(1e-3, 1.0, log=True),
    "dropout": Range(0.0, 0.6, step=0.1),
    "regularization": Range(1e-6, 1e-1, log=True),
    "hidden_layers": Range(0, 3, whole=True),
    "graph_layers": Range(1, 4, whole=True),
    "item_graph_layers": Range(1, 2, whole=True),
    "neighbours": Choice((5, 10, 20)),
    "first_channel": Range(0.0, 1.0, step=0.1),
    "routing": Range(1, 4, whole=True),
    "edge_dropout": Range(0.0, 0.9, step=0.1),
    "hyperedges": Choice((4, 8, 16, 32)),
    "hypergraph_layers": Range(1, 2, whole=True),
    "hypergraph_weight": Range(0.1, 1.0, step=0.1),
    "contrastive_weight": Range(1e-4, 1.0, log=True),
    "hypergraph_contrast": Range(1e-5, 1e-2, log=True),
    "temperature": Range(0.1, 1.0, step=0.1),
}
OF_SEQUENCES: dict[str, Searched] = {"learning_rate": Range(1e-5, 1e-2, log=True)}
OF_METHODS: dict[str, dict[str, Searched]] = {
    "bm3": {"contrastive_weight": Range(0.1, 10.0, log=True)},
    "freedom": {"contrastive_weight": Range(1e-6, 1e-1, log=True)},
}


def space(model: str, given: str = "default", method: Method | None = None) -> dict[str, Searched]:
    """What is searched for a method: its settings that have a range and no value in the variant `given`.

    In the order of `Settings`. A `method` that is not of the registry is given with its name.
    """
    method = method or METHODS[model]
    names = set(method.valid_settings) - given_names(given)
    ranges = RANGES | (OF_SEQUENCES if method.trains == "sequences" else {}) | OF_METHODS.get(model, {})
    return {name: ranges[name] for name in Settings.model_fields if name in names and name in ranges}


def described(searched: Mapping[str, Searched]) -> dict[str, str]:
    """A space in words, by setting: `0.0001 to 0.01, logarithmic`."""
    return {name: _words(where) for name, where in searched.items()}


def _words(where: Searched) -> str:
    if isinstance(where, Choice):
        return "one of " + ", ".join(map(str, where.values))
    how = ", logarithmic" if where.log else f", in steps of {where.step:g}" if where.step else ""
    return f"{where.low:g} to {where.high:g}{how}{', whole' if where.whole else ''}"


def first_values(settings: Settings, searched: Mapping[str, Searched]) -> dict[str, Any]:
    """What a search tries first: the values there are before it, of what is searched and where they lie inside."""
    values = {name: getattr(settings, name) for name in searched}
    return {name: value for name, value in values.items() if searched[name].holds(value)}
