"""Figures from hand-made runs: the numbers in the csv, and what is drawn of them."""

import itertools
import subprocess
import sys
import xml.etree.ElementTree as ElementTree

import matplotlib
import numpy as np
import pandas as pd
import pytest
import torch
from matplotlib.colors import to_rgb
from PIL import Image
from safetensors.numpy import save_file

from sanrec.errors import DataError
from sanrec.load import load_config
from sanrec.models.gates import CrossModalGates
from sanrec.reporting.figure_kinds import load_figure
from sanrec.reporting.figure_specs import GatesSpec, SweepSpec, gate_runs, sweep_points
from sanrec.reporting.figures import draw, gather, make_figure
from sanrec.reporting.heatmaps import SHADES
from sanrec.reporting.page import styled
from sanrec.reporting.plots import LINES, spell

SMALL = {
    "title": "A small figure",
    "paper": "crossan",
    "kind": "sweep",
    "metrics": ["HR@5", "MRR@5"],
    "lines": [
        {"label": "IISAN", "model": "iisan", "inputs": "TI"},
        {"label": "CROSSAN", "model": "crossan", "inputs": "TI", "settings": {"fusion": "concat"}},
    ],
    "panels": [{"sweep": "adapter_width", "label": "Width", "settings": ["adapter_width"], "scale": "log2"}],
    "best": True,
}
GATES = {"title": "Gates", "paper": "crossan", "kind": "gates", "model": "crossan", "inputs": "TIV"}
GATES["towers"] = ["I", "V", "T"]  # not the order of the inputs
# Test and validation ranks of four users by model, width and seed. HR@5 of CROSSAN at width 8 is 1/4 and 3/4: mean 1/2,
# standard deviation sqrt(1/8). Its best test is at 32 (1 and 1/2), but validation HR@10 chooses 8 (1 against 1/2).
HIT, LOW, OFF = 1, 9, 11
RANKS = {
    ("crossan", 8, 0): ([2, OFF, OFF, OFF], [HIT, HIT, HIT, HIT]),
    ("crossan", 8, 1): ([1, 4, 5, OFF], [HIT, LOW, HIT, HIT]),
    ("crossan", 32, 0): ([1, 1, 1, 1], [HIT, HIT, OFF, OFF]),
    ("crossan", 32, 1): ([1, 1, OFF, OFF], [HIT, HIT, OFF, OFF]),
    ("iisan", 8, 0): ([1, LOW, LOW, LOW], [HIT, OFF, OFF, OFF]),
    ("iisan", 8, 1): ([1, LOW, LOW, LOW], [HIT, OFF, OFF, OFF]),
    ("iisan", 32, 0): ([LOW, LOW, LOW, LOW], [HIT, OFF, OFF, OFF]),
    ("iisan", 32, 1): ([LOW, LOW, LOW, LOW], [HIT, OFF, OFF, OFF]),
}


def study(seeds=(0, 1), datasets=("demo",), **points):
    points = {"adapter_width": [8, 32], **points}
    mine = {"title": "Mine", "datasets": list(datasets), "seeds": [9], "figure_seeds": list(seeds), "points": points}
    return load_config({"study": "mine", "studies": {"mine": mine}})


@pytest.fixture
def small(tmp_path, write_run):
    """The small figure's runs; gives (config, figure)."""
    config, figure = study(), SweepSpec(**SMALL)
    for point in sweep_points(config, figure):
        for run in point.runs:
            test, validation = RANKS[run.model, point.value, run.seed]
            write_run(run, test, validation=validation)
    return config, figure


@pytest.fixture
def write_gates(tmp_path):
    """Write weights with these logits, one array [L, M + 1] per tower."""

    def write(run, logits):
        (tmp_path / run.folder).mkdir(parents=True, exist_ok=True)
        tensors = {f"item_encoder.gates.logits.{m}": values for m, values in enumerate(logits)}
        save_file({**tensors, "user_encoder.other": np.zeros(3, np.float32)}, tmp_path / run.weights)

    return write


@pytest.fixture
def gates(write_gates):
    """The weights of a gate figure; gives (config, figure, logits [seed, L, M, M + 1])."""
    config, figure = study(), GatesSpec(**GATES)
    logits = np.random.default_rng(0).normal(0, 3, (2, 7, 3, 4)).astype(np.float32)
    for run in gate_runs(config, figure)["demo"]:
        write_gates(run, [np.ascontiguousarray(logits[run.seed, :, m]) for m in range(3)])
    return config, figure, logits


def drawn(config, figure, root):
    with styled():
        page = draw(config, figure, gather(config, figure, root))
        page.draw_without_rendering()
    return page


def texts(page):
    return [text.get_text() for text in page.texts]


# -- curves ------------------------------------------------------------------------------------------------------------


def test_the_csv_has_a_row_per_line_point_seed_and_metric(small, tmp_path):
    paths = make_figure(*small, tmp_path / "results/small", root=tmp_path)
    assert [path.name for path in paths] == ["small.svg", "small.png", "small.csv"]
    frame = pd.read_csv(paths[2])
    assert len(frame) == 2 * 2 * 2 * 2
    key = ["dataset", "sweep", "line", "value", "seed", "metric"]
    assert not frame.duplicated(key).any()
    rows = frame.set_index(key)
    one = rows.loc["demo", "adapter_width", "CROSSAN", 8, 1, "MRR@5"]
    assert one["test"] == (1 + 1 / 4 + 1 / 5 + 0) / 4  # full precision
    assert one["validation"] == 3 / 4
    assert (one["model"], one["inputs"], one["variant"]) == ("crossan", "TI", "adapter_width=8,fusion=concat")
    assert rows.loc["demo", "adapter_width", "CROSSAN", 32, 0, "HR@5"]["variant"] == "fusion=concat"
    assert rows.loc["demo", "adapter_width", "IISAN", 32, 0, "HR@5"]["variant"] == "default"
    for (model, width, seed), (test, _) in RANKS.items():
        row = rows.loc["demo", "adapter_width", model.upper(), width, seed, "HR@5"]
        assert row["test"] == np.mean([rank <= 5 for rank in test])


def test_the_best_point_is_chosen_on_validation(small, tmp_path):
    frame = gather(*small, tmp_path)
    best = frame[frame["best"]]
    chosen = best.groupby("line")["value"].unique().map(list).to_dict()
    assert chosen == {"CROSSAN": [8], "IISAN": [8]}  # of IISAN's equal ones the smaller
    assert frame.groupby(["line", "value"])["test"].mean().loc["CROSSAN"].idxmax() == 32


def test_points_and_error_bars_are_means_and_deviations(small, tmp_path):
    page = drawn(*small, tmp_path)
    hits, reciprocal = page.axes
    assert (hits.get_ylabel(), reciprocal.get_ylabel()) == ("HR@5", "MRR@5")
    iisan, crossan = hits.containers
    assert crossan.lines[0].get_xdata().tolist() == [8, 32]
    assert crossan.lines[0].get_ydata().tolist() == [1 / 2, 3 / 4]
    lengths = [segment[1, 1] - segment[0, 1] for segment in crossan.lines[2][0].get_segments()]
    assert lengths == pytest.approx([2 * np.sqrt(1 / 8)] * 2)  # of two values half apart, by n - 1; both ways
    middles = [segment[:, 1].mean() for segment in crossan.lines[2][0].get_segments()]
    assert middles == pytest.approx([1 / 2, 3 / 4])
    assert [s[1, 1] - s[0, 1] for s in iisan.lines[2][0].get_segments()] == pytest.approx([0, 0])
    rings = [line for line in hits.lines if line.get_markersize() > 10]
    assert [(ring.get_xdata()[0], ring.get_ydata()[0]) for ring in rings] == [(8, 1 / 4), (8, 1 / 2)]
    low, high = hits.get_ylim()
    assert low < 0  # all bars are inside
    assert high > 3 / 4 + np.sqrt(1 / 8)
    assert hits.get_xscale() == "log"


def test_one_seed_has_no_error_bars_and_says_so(small, tmp_path):
    _, figure = small
    page = drawn(study(seeds=[1]), figure, tmp_path)
    assert all(not bar.has_yerr for axes in page.axes for bar in axes.containers)
    assert any("One run per point, with seed 1: no error bars." in text for text in texts(page))


def test_the_figure_says_whose_data_and_which_seeds(small, tmp_path):
    config, figure = small
    _, below = texts(drawn(config, figure, tmp_path))
    assert "Study: Mine (mine)." in below
    assert "mean over seeds 0, 1; bars: standard deviation" in below
    assert "Demo is of sanrec's own made-up world: not the paper's data." in below


def test_a_legend_of_many_lines_keeps_to_the_page(small, tmp_path, write_run):
    config, figure = small
    lines = [{**SMALL["lines"][1], "label": f"A line with a long name, number {n}"} for n in range(6)]
    page = drawn(config, SweepSpec(**{**SMALL, "lines": lines}), tmp_path)
    legend = page.legends[0].get_window_extent()
    assert len(page.legends[0].get_texts()) == 7
    assert legend.x1 <= page.bbox.x1
    assert legend.y0 >= page.axes[0].title.get_window_extent().y1


def test_lines_are_told_apart_without_colour():
    assert len({str(dashes) for _, dashes, _ in LINES}) == len(LINES)
    assert len({marker for *_, marker in LINES}) == len(LINES)
    assert all(luminance(to_rgb(colour)) < 0.35 for colour, *_ in LINES)  # dark enough on white


def test_every_point_has_a_tick_and_a_label_where_there_is_room(small, tmp_path, write_run):
    _, figure = small
    config = study(adapter_width=[8, 9, 10, 32, 64], seeds=[0])
    for point in sweep_points(config, figure):
        write_run(point.runs[0], [1, 2, 11, 11])
    axis = drawn(config, figure, tmp_path).axes[-1].xaxis
    assert axis.get_majorticklocs().tolist() == [8, 9, 10, 32, 64]
    labels = [label for label in axis.get_majorticklabels() if label.get_text()]
    assert [label.get_text() for label in labels] == ["8", "9", "10", "32", "64"]
    config = study(adapter_width=[1000, 1024, 2000, 2048, 8192], seeds=[0])
    for point in sweep_points(config, figure):
        write_run(point.runs[0], [1, 2, 11, 11])
    axis = drawn(config, figure, tmp_path).axes[-1].xaxis
    assert [label.get_text() for label in axis.get_majorticklabels()] == ["1000", "", "2000", "", "8192"]


@pytest.mark.parametrize(
    ("value", "text"), [(8192, "8192"), (1e-5, "1e-5"), (2.5e-4, "2.5e-4"), (2e-3, "2e-3"), (0.5, "0.5"), (0.0, "0")]
)
def test_ticks_are_spelled_shortly(value, text):
    assert spell(value) == text


# -- gates -------------------------------------------------------------------------------------------------------------


def test_gates_are_the_models_own(gates, tmp_path):
    config, figure, logits = gates
    frame = gather(config, figure, tmp_path)
    assert len(frame) == 2 * 7 * 3 * 4
    assert list(frame["tower"].unique()) == ["I", "V", "T"]
    assert list(frame["gate"].unique()) == ["H", "I", "V", "T"]
    sums = frame.groupby(["seed", "tower", "layer"])["weight"].sum()
    np.testing.assert_allclose(sums, 1, rtol=0, atol=1e-12)
    rows = frame.set_index(["seed", "tower", "layer", "gate"])["weight"]
    model = CrossModalGates([7] * 3)
    for seed in (0, 1):
        model.load_state_dict({f"logits.{m}": torch.tensor(logits[seed, :, m]) for m in range(3)})
        expected = model.weights().double().detach()  # [L, M, M + 1], towers T, I, V, the own state's last
        for (m, tower), (k, gate) in itertools.product(enumerate("TIV"), enumerate("TIVH")):
            for layer in range(7):
                assert rows[seed, tower, layer, gate] == pytest.approx(float(expected[layer, m, k]), abs=1e-6)


def test_the_cells_show_means_and_deviations(gates, tmp_path):
    config, figure, _ = gates
    frame = gather(config, figure, tmp_path)
    page = drawn(config, figure, tmp_path)
    maps = {axes.get_title(): axes for axes in page.axes if axes.get_title()}
    assert list(maps) == ["Image tower (I)", "Video tower (V)", "Text tower (T)"]
    axes = maps["Video tower (V)"]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["H", "I", "V", "T"]
    cell = frame[(frame["tower"] == "V") & (frame["layer"] == 2) & (frame["gate"] == "T")]["weight"]
    shown = {(text.get_position()[0], round(text.get_position()[1])): [] for text in axes.texts}
    for text in axes.texts:
        shown[text.get_position()[0], round(text.get_position()[1])].append(text.get_text())
    assert shown[3, 2] == [f"{cell.mean():.3f}", f"±{cell.std():.3f}"]
    assert len(shown) == 7 * 4
    low, high = axes.get_ylim()
    assert low < high  # layer 0 at the bottom
    colours = {mesh.get_clim() for a in maps.values() for mesh in a.collections}
    means = frame.groupby(["tower", "layer", "gate"])["weight"].mean()
    assert colours == {(means.min(), means.max())}


def test_gates_that_hardly_differ_look_alike(gates, write_gates, tmp_path):
    config, figure, logits = gates
    for run in gate_runs(config, figure)["demo"]:
        write_gates(run, [np.ascontiguousarray(logits[run.seed, :, m] / 1e4) for m in range(3)])
    mesh = drawn(config, figure, tmp_path).axes[0].collections[0]
    assert np.ptp(mesh.norm(mesh.get_array())) < 0.01


def test_gates_of_one_seed_have_no_deviation(gates, tmp_path):
    _, figure, _ = gates
    page = drawn(study(seeds=[1]), figure, tmp_path)
    assert not any("±" in text.get_text() for axes in page.axes for text in axes.texts)
    assert "One run, with seed 1: no spread." in texts(page)[1]


def test_black_numbers_stand_out_of_every_shade_and_deeper_is_higher():
    shades = [luminance(SHADES(value)[:3]) for value in np.linspace(0, 1, 50)]
    assert shades == sorted(shades, reverse=True)
    assert (min(shades) + 0.05) / 0.05 > 6  # contrast with black, as WCAG 2 reckons it


@pytest.mark.parametrize(
    ("logits", "message"),
    [
        ([np.zeros((7, 4), np.float32)] * 2, "holds no gates of 3 towers"),
        ([np.zeros((7, 2), np.float32)] * 3, r"gates of 3 towers have shape \[L, 4\]"),
    ],
)
def test_weights_of_another_kind_are_refused(gates, write_gates, tmp_path, logits, message):
    config, figure, _ = gates
    run = gate_runs(config, figure)["demo"][1]
    write_gates(run, logits)
    with pytest.raises(DataError, match=f"{run.weights}: {message}.*snakemake {run.weights} --cores"):
        gather(config, figure, tmp_path)
    (tmp_path / run.weights).write_bytes(b"no weights")
    with pytest.raises(DataError, match="holds no gates"):
        gather(config, figure, tmp_path)
    (tmp_path / run.weights).unlink()
    with pytest.raises(DataError, match="no such file"):
        gather(config, figure, tmp_path)


# -- files -------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["small", "gates"])
def test_made_twice_it_is_the_same_to_the_byte_whatever_the_users_style(kind, request, tmp_path):
    config, figure = request.getfixturevalue(kind)[:2]
    first = [path.read_bytes() for path in make_figure(config, figure, tmp_path / "a", root=tmp_path)]
    with matplotlib.rc_context({"font.size": 20, "axes.grid": True, "svg.hashsalt": "x", "svg.fonttype": "path"}):
        again = [path.read_bytes() for path in make_figure(config, figure, tmp_path / "b", root=tmp_path)]
        assert matplotlib.rcParams["font.size"] == 20
    assert first == again


def test_the_svg_is_searchable_and_has_no_date(small, tmp_path):
    svg, png, _ = make_figure(*small, tmp_path / "small", root=tmp_path)
    tree = ElementTree.parse(svg)
    words = [node.text for node in tree.iter("{http://www.w3.org/2000/svg}text")]
    assert {"A small figure", "CROSSAN", "HR@5", "Width", "Demo", "32"} <= set(words)
    assert "dc:date" not in svg.read_text()
    with Image.open(png) as image:
        assert image.width == 5.2 * 200


def test_figures_are_drawn_without_pyplot(small, tmp_path):
    code = (
        "import sys, sanrec.reporting.figures; print([m for m in ('matplotlib.pyplot', 'torch') if m in sys.modules])"
    )
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout == "[]\n"


@pytest.mark.parametrize("split", ["test", "validation"])
def test_an_error_names_the_run_and_leaves_the_earlier_figure(small, tmp_path, split):
    config, figure = small
    paths = make_figure(config, figure, tmp_path / "small", root=tmp_path)
    before = [path.read_bytes() for path in paths]
    run = sweep_points(config, figure)[-1].runs[0]
    (tmp_path / run.metrics).write_text((tmp_path / run.metrics).read_text().replace(f'"{split}"', '"other"'))
    with pytest.raises(
        DataError, match=f"{run.metrics}: holds no metrics of the {split} split.*snakemake {run.metrics}"
    ):
        make_figure(config, figure, tmp_path / "small", root=tmp_path)
    assert [path.read_bytes() for path in paths] == before


@pytest.mark.parametrize("name", ["figure3", "figure4", "figure5"])
@pytest.mark.parametrize("values", [{"study": "demo"}, {"study": "paper"}, {"study": "paper", "seeds": [1, 2, 3]}])
def test_in_the_declared_figures_nothing_lies_on_anything(
    repository, tmp_path, write_run, write_gates, nothing_overlaps, name, values
):
    config, figure = load_config(values), load_figure(repository / f"workflow/figures/{name}.yaml")
    rng = np.random.default_rng(0)
    if isinstance(figure, GatesSpec):
        for run in next(iter(gate_runs(config, figure).values())):
            write_gates(run, rng.normal(size=(4, 7, 5)).astype(np.float32))
    else:
        for run in [run for point in sweep_points(config, figure) for run in point.runs]:
            write_run(run, rng.geometric(0.02, 300), validation=rng.geometric(0.02, 300))
    page = drawn(config, figure, tmp_path)
    nothing_overlaps(page)


def luminance(colour):
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue
