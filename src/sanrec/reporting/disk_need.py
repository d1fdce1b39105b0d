"""What stores of hidden states take on disk, by backbone (IISAN-Versa, Figure 6): measured where they lie there."""

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import FuncFormatter, NullLocator

from sanrec import artifacts
from sanrec.config import Config
from sanrec.disk import spell_bytes, store_bytes
from sanrec.errors import DataError
from sanrec.layers import kept_layers, rules_of_towers
from sanrec.reporting.backbone_specs import CHANNEL_OF, DiskSpec, Store, stores
from sanrec.reporting.backbones import Count, read_counts
from sanrec.reporting.figure_base import figure_datasets
from sanrec.reporting.page import SMALL, add_legend, legend_columns, new_page
from sanrec.reporting.results import read_record, read_statistics, remake
from sanrec.reporting.sizes import short

FULL, KEPT, STORED = (
    "full",
    "kept",
    "stored",
)  # all layers; those that runs read; those of another rule, as they lie there
MEASURED, COMPUTED = "measured", "computed"
PAPER = "the paper's"  # stands for the data set in rows for its number of items
COLUMNS = ["dataset", "items", "group", "model", "backbone", "parameters", "blocks", "width", "which", "layers"]
COLUMNS += ["bytes", "origin", "computed_bytes", "paper_bytes"]
MARKERS = {FULL: ("o", "all layers"), KEPT: ("s", "layers that runs read"), STORED: ("D", "as it lies on disk")}
DARK = {FULL: "#0072B2", KEPT: "#D55E00", STORED: "#009E73"}
WIDTH, ROW, HEAD = 7.0, 0.235, 0.6  # inches: the page, a backbone, and what a data set's title and axis take
APART = 0.5  # rows between groups


def gather_disk(config: Config, figure: DiskSpec, root: str | Path = ".") -> pd.DataFrame:
    """Rows of `COLUMNS`: by data set, backbone and `which` layers; then for the paper's items, if no corpus has them.

    `bytes` are measured where the store is finished and on disk, else computed from shapes in float16. A store has all
    items of a corpus, also those that a data set drops; `paper_bytes` stand beside the data set that has the paper's
    number of them, and beside that number itself. Raises DataError, naming the file, for what is missing or malformed.
    """
    rows: list[list[object]] = []
    datasets = figure_datasets(config, figure)
    for dataset in datasets:
        shown, path = stores(config, figure, dataset), Path(root) / artifacts.statistics(dataset)
        statistics = read_statistics(path)
        items = statistics.get("corpus_items")
        if not isinstance(items, int):
            raise DataError(f"{path}: has no number of the corpus' items. {remake(path)}")
        papers = figure.paper_bytes if figure.paper_items in (statistics["items"], items) else {}
        counts = read_counts(config, [store.backbone for store in shown], root)
        for store in _ordered(figure, shown, counts):
            manifest = Path(root) / store.manifest
            measured = _measured(manifest) if manifest.is_file() else None
            sizes = _sizes(config, dataset, items, store, measured, papers)
            rows += [[dataset, items, *_name(store, counts), *row] for row in sizes]
    if figure.paper_items not in [row[1] for row in rows]:
        for store in _ordered(figure, shown, counts):
            if store.backbone not in config.chosen_study.stand_ins.values():
                sizes = _sizes(config, dataset, figure.paper_items, store, None, figure.paper_bytes)
                rows += [[PAPER, figure.paper_items, *_name(store, counts), *row] for row in sizes]
    return pd.DataFrame(rows, columns=COLUMNS).astype({"parameters": "Int64", "paper_bytes": float})


def _ordered(figure: DiskSpec, shown: Sequence[Store], counts: Mapping[str, Count]) -> list[Store]:
    """Stores by group, that of the smallest model first."""
    groups = [group.label for group in figure.groups]
    return sorted(shown, key=lambda store: (groups.index(store.group), counts[store.backbone].parameters or math.inf))


def _name(store: Store, counts: Mapping[str, Count]) -> list[object]:
    return [store.group, store.label, store.backbone, counts[store.backbone].parameters]


def _sizes(
    config: Config,
    dataset: str,
    items: int,
    store: Store,
    measured: tuple[int, int] | None,
    papers: Mapping[str, Mapping[str, float]],
) -> list[list[object]]:
    """The rest of a store's rows; `measured` are its layers and bytes where it is on disk."""
    record = config.backbones[store.backbone]
    wanted = {FULL: record.blocks + 1, KEPT: len(_kept(config, dataset, store))}
    on_disk = ""
    if measured:
        on_disk = next((which for which, layers in wanted.items() if layers == measured[0]), STORED)
        wanted[on_disk] = measured[0]
    rows: list[list[object]] = []
    for which, layers in wanted.items():
        computed = store_bytes(items, layers, record.width, record.chunk_rows, record.store_dtype)
        size, origin = (measured[1], MEASURED) if measured and which == on_disk else (computed, COMPUTED)
        printed = papers.get(store.backbone, {}).get(which)
        rows.append([record.blocks, record.width, which, layers, size, origin, computed, printed])
    return rows


def _kept(config: Config, dataset: str, store: Store) -> tuple[int, ...]:
    """The layers of a backbone that runs of IISAN read by default on a data set."""
    record, settings = config.backbones[store.backbone], artifacts.default_settings(config, dataset, "iisan")
    rule = rules_of_towers(settings.layers, len(CHANNEL_OF))[list(CHANNEL_OF).index(record.modality)]
    return kept_layers(record.blocks, rule, settings.blocks)


def _measured(manifest: Path) -> tuple[int, int]:
    """The number of layers that a store holds, and its bytes. Raises DataError for a manifest that does not say so."""
    record = read_record(manifest)
    try:
        return int(record["arrays"]["hidden"]["shape"][1]), int(record["bytes"])
    except (KeyError, TypeError, IndexError, ValueError):
        raise DataError(f"{manifest}: is no manifest of a store of hidden states. {remake(manifest)}") from None


def disk_captions(config: Config, figure: DiskSpec, frame: pd.DataFrame) -> list[str]:
    """What stands below the figure."""
    measured = frame[frame["origin"] == MEASURED]
    lines = [
        "Bytes on a logarithmic axis (1 GB is 10^9 bytes); behind the names the number of parameters. All layers: "
        "every block and the embeddings; layers that runs read: by the data set's default. Computed: from shapes, in "
        "float16, with the final state and full chunks, for stores that are not on disk. Numbers: largest first."
    ]
    if len(measured):
        off = (measured["bytes"] / measured["computed_bytes"] - 1).abs().max()
        lines.append(f"Measured ones differ from what their shapes give by {100 * off:.2g} % at most.")
    if PAPER in _panels(frame):
        lines.append(f"Below: all of it computed for {figure.paper_items:,} items, as the paper's Scientific has.")
    return lines


def draw_disk(figure: DiskSpec, frame: pd.DataFrame, titles: Mapping[str, str], notes: Sequence[str]) -> Figure:
    """The figure of rows as `gather_disk` gives them: a panel per data set or number of items, a line per backbone."""
    panels = _panels(frame)
    frame = frame[frame["dataset"].isin(panels)]
    handles = _handles(frame)
    columns = legend_columns(list(handles), WIDTH)
    counts = [frame.loc[frame["dataset"] == name, ["group", "backbone"]].drop_duplicates() for name in panels]
    heights = [len(count) * ROW + HEAD for count in counts]
    page = new_page(figure.title, notes, WIDTH, sum(heights), legend_rows=-(-len(handles) // columns))
    grid = page.add_gridspec(len(panels), 1, height_ratios=heights)
    for place, name in enumerate(panels):
        axes = page.add_subplot(grid[place])
        here = frame[frame["dataset"] == name]
        _panel(axes, here)
        items = f"{here['items'].iloc[0]:,} items" + (" of its corpus" if name in titles else "")
        axes.set_title(
            f"{titles[name]}: {items}" if name in titles else f"The paper's number of items: {items}", loc="left"
        )
    add_legend(page, figure.title, list(handles.values()), list(handles), columns=columns)
    return page


def _panels(frame: pd.DataFrame) -> list[str]:
    """What is drawn: the data sets, and the paper's number of items unless its figures stand beside one of them."""
    beside = frame.loc[frame["paper_bytes"].notna() & (frame["dataset"] != PAPER), "dataset"]
    return [name for name in frame["dataset"].unique() if name != PAPER or beside.empty]


def _handles(frame: pd.DataFrame) -> dict[str, Line2D]:
    """What the legend shows: shapes say which layers, filling says where the number is from."""
    found = {}
    for which, (marker, label) in MARKERS.items():
        if (frame["which"] == which).any():
            found[label] = Line2D([], [], linestyle="none", marker=marker, color=DARK[which], markerfacecolor="none")
    for origin, fill in ((MEASURED, "black"), (COMPUTED, "none")):
        if (frame["origin"] == origin).any():
            found[f"{origin} ({'filled' if origin == MEASURED else 'hollow'})"] = Line2D(
                [], [], linestyle="none", marker="o", color="black", markerfacecolor=fill
            )
    if frame["paper_bytes"].notna().any():
        found["the paper's figure"] = Line2D([], [], linestyle="none", marker="x", color="black", markeredgewidth=1.6)
    return found


def _panel(axes: Axes, frame: pd.DataFrame) -> None:
    low, high = frame["bytes"].min(), frame["bytes"].max()
    axes.set_xscale("log")
    axes.set_xlim(10 ** math.floor(math.log10(low)), high * (high / low) ** 0.42)  # room for the numbers
    place, labels, group = 0.0, {}, None
    for (of, model), rows in frame.groupby(["group", "model"], sort=False):
        if group not in (None, of):
            place += APART
            axes.axhline(place - (1 + APART) / 2, color="0.6", linewidth=0.8)
        group = of
        axes.plot([rows["bytes"].min(), rows["bytes"].max()], [place] * 2, color="0.6", linewidth=1.0, zorder=1)
        for row in rows.itertuples():
            marker, colour = MARKERS[row.which][0], DARK[row.which]
            fill = colour if row.origin == MEASURED else "white"
            axes.plot(row.bytes, place, marker=marker, color=colour, markerfacecolor=fill, markersize=5.5, zorder=2)
            if not math.isnan(row.paper_bytes):
                axes.plot(
                    row.paper_bytes, place, marker="x", color="black", markersize=6, markeredgewidth=1.6, zorder=3
                )
        ordered = rows.sort_values("bytes", ascending=False)["bytes"]
        text = ", ".join(spell_bytes(size) for size in ordered)
        axes.annotate(
            text, (rows["bytes"].max(), place), (9, 0), textcoords="offset points", va="center", fontsize=SMALL
        )
        parameters = rows["parameters"].iloc[0]
        labels[place] = model if pd.isna(parameters) else f"{model} ({short(float(parameters))})"
        place += 1
    axes.set_yticks(list(labels), list(labels.values()))
    axes.set_ylim(place - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda value, _: spell_bytes(value)))
    axes.xaxis.set_minor_locator(NullLocator())
    axes.grid(axis="x", color="0.88", linewidth=0.6)
    axes.set_axisbelow(True)
