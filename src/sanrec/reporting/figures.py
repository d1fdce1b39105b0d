"""Make a figure: gather its numbers once, draw them, and write svg, png and csv."""

from pathlib import Path

import pandas as pd
from matplotlib.figure import Figure

from sanrec.config import Config
from sanrec.files import atomic
from sanrec.reporting.figure_specs import FigureSpec, SweepSpec, figure_datasets, figure_seeds
from sanrec.reporting.frame import titles_of
from sanrec.reporting.gate_maps import gather_gates
from sanrec.reporting.heatmaps import draw_gates
from sanrec.reporting.page import styled, to_png, to_svg
from sanrec.reporting.plots import draw_sweep
from sanrec.reporting.sweeps import CHOSEN_BY, gather_sweep


def gather(config: Config, figure: FigureSpec, root: str | Path = ".") -> pd.DataFrame:
    """The figure's numbers, tidy: a row per number. Raises DataError, naming the file, for a run that has none."""
    if isinstance(figure, SweepSpec):
        return gather_sweep(config, figure, root)
    return gather_gates(config, figure, root)


def draw(config: Config, figure: FigureSpec, frame: pd.DataFrame) -> Figure:
    """The figure of gathered numbers. To be called, and saved, in the context `page.styled()`."""
    titles = titles_of(config, figure_datasets(config, figure))
    if isinstance(figure, SweepSpec):
        return draw_sweep(figure, frame, titles, captions(config, figure))
    return draw_gates(figure, frame, titles, captions(config, figure))


def make_figure(config: Config, figure: FigureSpec, out_stem: str | Path, root: str | Path = ".") -> list[Path]:
    """Write `{out_stem}.svg`, `.png` and `.csv`; their paths. Errors as of `gather`.

    `pandas.read_csv` reads the csv as it is; it has every number at full precision, seed by seed. All is put together
    before anything is written, so that an error leaves earlier files as they were.
    """
    frame = gather(config, figure, root)
    with styled():
        drawn = draw(config, figure, frame)
        files = {"svg": to_svg(drawn), "png": to_png(drawn)}
    files["csv"] = frame.to_csv(index=False, lineterminator="\n").encode()
    paths = [Path(f"{out_stem}.{suffix}") for suffix in files]
    for path, content in zip(paths, files.values(), strict=True):
        with atomic(path) as temporary:
            temporary.write_bytes(content)
    return paths


def captions(config: Config, figure: FigureSpec) -> list[str]:
    """What stands below the figure: the study, what is shown, over which seeds, and whose data they are."""
    names = figure_datasets(config, figure)
    titles = titles_of(config, names)
    seeds = figure_seeds(config)
    several = len(seeds) > 1
    listed = ", ".join(map(str, seeds))
    lines = [f"Study: {config.chosen_study.title} ({config.study}). "]
    if isinstance(figure, SweepSpec):
        lines[0] += "Test split, full ranking; fractions, not percent."
        bars = f"Points: mean over seeds {listed}; bars: standard deviation over them."
        lines.append(bars if several else f"One run per point, with seed {listed}: no error bars.")
        if figure.best:
            lines.append(f"Rings: each line's best point by validation {CHOSEN_BY}, averaged over seeds.")
    else:
        lines[0] += f"{' and '.join(titles.values())}, inputs {figure.inputs}."
        lines.append(
            "H: the tower's own hidden state; the others: the outputs, one layer below, of the towers so named. Each "
            "row sums to 1. Nothing lies below layer 0: there only H has an effect, and the others stay equal."
        )
        lines.append(
            f"Mean ± standard deviation over seeds {listed}." if several else f"One run, with seed {listed}: no spread."
        )
    made_up = [titles[name] for name in names if _made_up(config, name)]
    if made_up:
        verb = "is" if len(made_up) == 1 else "are"
        lines.append(f"{' and '.join(made_up)} {verb} of sanrec's own made-up world: not the paper's data.")
    return [*lines, *figure.notes]


def _made_up(config: Config, dataset: str) -> bool:
    corpus = config.find("corpus", config.find("dataset", dataset).corpus)
    return corpus.source == "demo"
