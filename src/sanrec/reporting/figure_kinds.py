"""The kinds of figures: from a yaml file to its declaration, and what each is drawn from.

Light: the Snakefile reads this to know a figure's needs, so nothing heavy is imported here.
"""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sanrec.config import Config, validate
from sanrec.errors import unknown
from sanrec.files import read_yaml
from sanrec.reporting.backbone_specs import DiskSpec, SizesSpec, disk_needs, disk_record, sizes_needs
from sanrec.reporting.beyond_specs import BeyondSpec, beyond_needs
from sanrec.reporting.cost_specs import CostBarsSpec, CostCurvesSpec, cost_needs
from sanrec.reporting.figure_base import Figure
from sanrec.reporting.figure_specs import GatesSpec, SweepSpec, gates_needs, sweep_needs
from sanrec.reporting.versa_specs import IisanGatesSpec, ScalingSpec, iisan_gate_needs, scaling_needs


@dataclass(frozen=True)
class Kind:
    """A kind of figure: its declaration, and the artifacts that a figure of it is drawn from."""

    spec: type[Figure]
    needs: Callable[[Config, Any], list[str]]


KINDS = {
    "sweep": Kind(SweepSpec, sweep_needs),
    "gates": Kind(GatesSpec, gates_needs),
    "scaling": Kind(ScalingSpec, scaling_needs),
    "iisan-gates": Kind(IisanGatesSpec, iisan_gate_needs),
    "sizes": Kind(SizesSpec, sizes_needs),
    "disk": Kind(DiskSpec, disk_needs),
    "cost-curves": Kind(CostCurvesSpec, cost_needs),
    "cost-bars": Kind(CostBarsSpec, cost_needs),
    "beyond-accuracy": Kind(BeyondSpec, beyond_needs),
}


def load_figure(path: str | Path) -> Figure:
    """Read a figure's declaration; files that it names lie beside it.

    Raises ConfigError for what is no figure, with the nearest valid key.
    """
    values = read_yaml(path, "figure")
    if values.get("kind") not in KINDS:
        raise unknown("kind", values.get("kind"), KINDS, str(path))
    spec = KINDS[values["kind"]].spec
    beside = {key: str(Path(path).parent / values[key]) for key in spec.files if isinstance(values.get(key), str)}
    return validate(spec, {**values, **beside}, str(path))


def figure_needs(config: Config, figure: Figure) -> list[str]:
    """Paths of the artifacts that the figure is drawn from, each once."""
    return next(kind for kind in KINDS.values() if isinstance(figure, kind.spec)).needs(config, figure)


def figure_files(figure: Figure) -> list[str]:
    """Files of the repository that the figure is drawn from, beside its own declaration."""
    return [getattr(figure, key) for key in figure.files]


def figure_record(config: Config, figure: Figure) -> list[tuple[str, int]]:
    """What lies on disk that the figure shows without needing it."""
    return disk_record(config, figure) if isinstance(figure, DiskSpec) else []
