"""Make a figure: gather its numbers once, draw them, and write svg, png and csv; of some kinds a table too."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd
from matplotlib.figure import Figure as Page

from sanrec.config import Config
from sanrec.files import atomic
from sanrec.reporting.backbone_specs import DiskSpec, SizesSpec
from sanrec.reporting.beyond_plots import beyond_captions, draw_beyond, gather_beyond
from sanrec.reporting.beyond_specs import BeyondSpec
from sanrec.reporting.cost_plots import draw_cost_bars, draw_cost_curves
from sanrec.reporting.cost_specs import CostBarsSpec, CostCurvesSpec
from sanrec.reporting.costs import bar_captions, curve_captions, gather_costs
from sanrec.reporting.disk_need import disk_captions, draw_disk, gather_disk
from sanrec.reporting.figure_base import Figure, figure_datasets
from sanrec.reporting.figure_specs import GatesSpec, SweepSpec
from sanrec.reporting.frame import Table, titles_of
from sanrec.reporting.gate_curves import draw_iisan_gates
from sanrec.reporting.gate_maps import gate_captions, gather_gates
from sanrec.reporting.heatmaps import draw_gates
from sanrec.reporting.iisan_gates import gather_iisan_gates, iisan_gate_captions, iisan_gate_table
from sanrec.reporting.page import styled, to_png, to_svg
from sanrec.reporting.plots import draw_sweep
from sanrec.reporting.scaling import draw_scaling, gather_scaling, scaling_captions
from sanrec.reporting.sizes import draw_sizes, gather_sizes, size_captions
from sanrec.reporting.styles import to_html, to_markdown
from sanrec.reporting.sweeps import gather_sweep, sweep_captions
from sanrec.reporting.versa_specs import IisanGatesSpec, ScalingSpec


@dataclass(frozen=True)
class Maker:
    """How figures of one kind are made."""

    gather: Callable[[Config, Any, str | Path], pd.DataFrame]
    """Of config, declaration and working folder: the figure's numbers."""
    draw: Callable[..., Page]
    """Of declaration, numbers, titles of the data sets by name, and the lines below the figure: the page."""
    captions: Callable[[Config, Any, pd.DataFrame], list[str]]
    """Of config, declaration and numbers: what is said below the figure of this kind, in lines."""
    table: Callable[[Config, Any, pd.DataFrame], Table] | None = None
    """Of the same: the table of kinds that have one."""
    of_data: bool = True
    """Whether it shows data sets."""


MAKERS: dict[type[Figure], Maker] = {
    SweepSpec: Maker(gather_sweep, draw_sweep, sweep_captions),
    GatesSpec: Maker(gather_gates, draw_gates, gate_captions),
    ScalingSpec: Maker(gather_scaling, draw_scaling, scaling_captions),
    IisanGatesSpec: Maker(gather_iisan_gates, draw_iisan_gates, iisan_gate_captions, iisan_gate_table),
    SizesSpec: Maker(gather_sizes, draw_sizes, size_captions, of_data=False),
    DiskSpec: Maker(gather_disk, draw_disk, disk_captions),
    CostCurvesSpec: Maker(gather_costs, draw_cost_curves, curve_captions),
    CostBarsSpec: Maker(gather_costs, draw_cost_bars, bar_captions),
    BeyondSpec: Maker(gather_beyond, draw_beyond, beyond_captions),
}


def gather(config: Config, figure: Figure, root: str | Path = ".") -> pd.DataFrame:
    """The figure's numbers, tidy: a row per number. Raises DataError, naming the file, for a run that has none."""
    return MAKERS[type(figure)].gather(config, figure, root)


def draw(config: Config, figure: Figure, frame: pd.DataFrame) -> Page:
    """The figure of gathered numbers. To be called, and saved, in the context `page.styled()`."""
    maker = MAKERS[type(figure)]
    titles = titles_of(config, figure_datasets(config, figure)) if maker.of_data else {}
    return maker.draw(figure, frame, titles, captions(config, figure, frame))


def make_figure(config: Config, figure: Figure, out_stem: str | Path, root: str | Path = ".") -> list[Path]:
    """Write `{out_stem}.svg`, `.png` and `.csv`, of some kinds `.md` and `.html` too; their paths.

    Errors are those of `gather`. `pandas.read_csv` reads the csv as it is; it has every number at full precision, seed
    by seed. All is put together before anything is written, so that an error leaves earlier files as they were.
    """
    frame = gather(config, figure, root)
    with styled():
        drawn = draw(config, figure, frame)
        files = {"svg": to_svg(drawn), "png": to_png(drawn)}
    files["csv"] = frame.to_csv(index=False, lineterminator="\n").encode()
    if make_table := MAKERS[type(figure)].table:
        table = make_table(config, figure, frame)
        files |= {"md": to_markdown(table).encode(), "html": to_html(table).encode()}
    paths = [Path(f"{out_stem}.{suffix}") for suffix in files]
    for path, content in zip(paths, files.values(), strict=True):
        with atomic(path) as temporary:
            temporary.write_bytes(content)
    return paths


def captions(config: Config, figure: Figure, frame: pd.DataFrame) -> list[str]:
    """What stands below the figure: the study, what is shown, over which seeds, and whose data they are."""
    maker = MAKERS[type(figure)]
    lines = maker.captions(config, figure, frame)
    if maker.of_data:
        lines[0] = f"Study: {config.chosen_study.title} ({config.study}). {lines[0]}"
        lines += _made_up(config, figure_datasets(config, figure))
    return [*lines, *figure.notes]


def _made_up(config: Config, datasets: tuple[str, ...]) -> list[str]:
    """The line that says which data sets are of the demo, if any are."""
    titles = titles_of(config, datasets)
    own = [titles[name] for name in datasets if _of_demo(config, name)]
    verb = "is" if len(own) == 1 else "are"
    return [f"{' and '.join(own)} {verb} of sanrec's own made-up world: not the paper's data."] if own else []


def _of_demo(config: Config, dataset: str) -> bool:
    return config.find("corpus", config.find("dataset", dataset).corpus).source == "demo"
