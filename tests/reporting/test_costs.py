"""Figures of costs from hand-made measurements: the numbers in the csv, what is drawn of them, and what is refused."""

import json

import numpy as np
import pandas as pd
import pytest

from sanrec import artifacts
from sanrec.errors import ConfigError, DataError
from sanrec.load import load_config
from sanrec.reporting.cost_plots import GREY_LABEL, LOOKS, MEMORY, TIME, figures
from sanrec.reporting.cost_specs import CostBarsSpec, CostCurvesSpec, cost_needs, cost_points, measured_points
from sanrec.reporting.figure_kinds import figure_needs, load_figure
from sanrec.reporting.figures import draw, gather, make_figure
from sanrec.reporting.page import styled

MIB = 2**20
CURVES = {
    "title": "Costs by width",
    "paper": "iisan-versa",
    "data": "amazon_datasets",
    "kind": "cost-curves",
    "measurement": "width",
    "lines": [
        {"label": "Adapter", "model": "adapter", "inputs": "TI"},
        {"label": "IISAN", "model": "iisan", "inputs": "TI", "settings": {"blocks": 3}},
    ],
    "panel": {"sweep": "batch", "label": "Users", "settings": ["batch_size"], "scale": "log2"},
}
BARS = {
    "title": "Costs by encoder",
    "paper": "iisan-versa",
    "data": "amazon_datasets",
    "kind": "cost-bars",
    "measurement": "encoder",
    "model": "iisan",
    "groups": [
        {"label": "BERT-base", "inputs": "title@bert-base+cover@vit-base"},
        {"label": "Llama3-8b", "inputs": "title@llama-3-8b+cover@vit-base"},
        {"label": "Gemma-7b", "inputs": "title@gemma-7b+cover@vit-base"},
        {"label": "Mistral-7b", "inputs": "title@mistral-7b+cover@vit-base"},
    ],
}
STAND_INS = {"bert-base": "bert", "llama-3-8b": "llama", "vit-base": "vit"}


def study(datasets=("demo",), batch=(1, 4), **more):
    mine = {"title": "Mine", "datasets": ["demo"], "amazon_datasets": list(datasets), "stand_ins": STAND_INS}
    mine |= {"points": {"batch": list(batch)}, **more}
    return load_config({"study": "mine", "machine": "here", "studies": {"mine": mine}})


def measured(config, figure, dataset="demo", machine="here"):
    """A measurement of a figure's points, each with other numbers."""
    points = {}
    for number, (run, reads) in enumerate(measured_points(config, dataset, figure.measurement, [figure]), start=1):
        points[artifacts.cost_key(run, reads)] = {
            "settings": run.settings.model_dump(mode="json", include=artifacts.recorded_settings(run)),
            "seconds_per_epoch": 10.0 * number,
            "seconds_per_step": 0.1 * number,
            "step_seconds": [0.05 * number, 0.1 * number, 0.3 * number],
            "losses": [0.0, 3.5, 3.25],
            "steps": 100,
            "users": 3065,
            "items_per_step": 11.5,
            "peak_memory_bytes": (400 + number) * MIB,
            "memory_before_bytes": (250 + number) * MIB,
            "trainable_parameters": 1000 * number,
            "peak_since": "loading",
        }
    return {
        "dataset": dataset,
        "machine": machine,
        "measurement": figure.measurement,
        "hardware": "A fine processor, 1 of 8 threads",
        "memory": "process",
        "timing": {"warm_up_steps": 2, "steps": 3},
        "points": points,
    }


@pytest.fixture
def write(tmp_path):
    """Write a measurement where it belongs."""

    def write(record, dataset="demo", machine="here"):
        path = tmp_path / artifacts.costs(dataset, machine, record["measurement"])
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(record))

    return write


@pytest.fixture
def curves(write):
    config, figure = study(), CostCurvesSpec(**CURVES)
    write(measured(config, figure))
    return config, figure


@pytest.fixture
def bars(write):
    config, figure = study(), CostBarsSpec(**BARS)
    write(measured(config, figure))
    return config, figure


def drawn(config, figure, root):
    with styled():
        page = draw(config, figure, gather(config, figure, root))
        page.draw_without_rendering()
    return page


def below(page):
    return page.texts[1].get_text().replace("\n", " ")


# -- points ------------------------------------------------------------------------------------------------------------


def test_the_declared_figure_5_has_every_method_at_every_batch_size(repository):
    figure = load_figure(repository / "workflow/figures/iisan-versa/figure5.yaml")
    for name, dataset in (("demo", "demo"), ("paper", "scientific")):
        config = load_config({"study": name, "machine": "node-7"})
        points = cost_points(config, figure)
        assert [point.value for point in points[:6]] == [1, 2, 4, 8, 16, 32]
        assert len({point.key for point in points}) == len(points) == 36
        assert {(p.run.model, p.run.settings.cached) for p in points} == {
            ("full", True), ("adapter", True), ("lora", True), ("bitfit", True), ("iisan", False), ("iisan", True),
        }  # fmt: skip
        assert {p.run.settings.batch_size for p in points if p.value == 8} == {8}
        assert {(p.reads, p.dataset, p.run.inputs_text) for p in points} == {("resident", dataset, "TI")}
        assert figure_needs(config, figure) == [f"results/{dataset}/efficiency/node-7/batch-size.json"]


def test_the_declared_figure_7_has_the_papers_encoders_that_can_be_had(repository):
    figure = load_figure(repository / "workflow/figures/iisan-versa/figure7.yaml")
    demo = cost_points(load_config(), figure)
    assert [(point.label, point.reads) for point in demo] == [
        (label, reads) for label in ("BERT-base", "BERT-large", "Llama3-8b") for reads in ("full", "dropped")
    ]
    assert [point.run.inputs_text for point in demo[::2]] == ["TI", "title@bert-deep+cover", "title@llama+cover"]
    pinned = {"llama-3-70b-gptq": {"source": "folder"}, "mixtral-8x7b": {"source": "folder"}}
    paper = cost_points(load_config({"study": "paper", "backbones": pinned}), figure)
    assert len(paper) == 2 * 8
    assert {point.run.variant for point in paper} == {"default"}


def test_a_users_points_are_taken():
    config = load_config({"studies": {"demo": {"points": {"batch": [2, 64]}}}})
    figure = CostCurvesSpec(**{**CURVES, "datasets": 1})
    assert [point.run.variant for point in cost_points(config, figure)] == [
        "batch_size=2", "batch_size=64", "blocks=3,batch_size=2", "blocks=3,batch_size=64",
    ]  # fmt: skip


def test_what_several_figures_show_is_measured_once():
    config = study(datasets=["demo", "demo-small"])
    one, other = CostCurvesSpec(**CURVES), CostCurvesSpec(**{**CURVES, "lines": CURVES["lines"][:1]})
    assert len(cost_points(config, one)) == 8
    assert len(measured_points(config, "demo", "width", [one, other])) == 4
    assert cost_needs(config, one) == [f"results/{name}/efficiency/here/width.json" for name in ("demo", "demo-small")]
    with pytest.raises(ConfigError, match="no figure that shows measurement 'width' of 'demo-half'"):
        measured_points(config, "demo-half", "width", [one])


@pytest.mark.parametrize(
    ("kind", "change", "message"),
    [
        (CostCurvesSpec, {"measurement": "a/b"}, "measurement"),
        (CostCurvesSpec, {"lines": [CURVES["lines"][0]] * 2}, "'Adapter' stands 2 times"),
        (CostCurvesSpec, {"panel": {**CURVES["panel"], "settings": ["batch_siz"]}}, "did you mean 'batch_size'"),
        (CostCurvesSpec, {"panel": {**CURVES["panel"], "settings": ["blocks"]}}, "line 'IISAN' sets 'blocks'"),
        (CostBarsSpec, {"groups": [BARS["groups"][0]] * 2}, "'BERT-base' stands 2 times"),
        (CostBarsSpec, {"reads": ["resident"]}, "reads"),
    ],
)
def test_a_declaration_that_makes_no_sense_is_refused(kind, change, message):
    with pytest.raises(ValueError, match=message):
        kind(**{**(CURVES if kind is CostCurvesSpec else BARS), **change})


@pytest.mark.parametrize("change", [{"model": "full"}, {"settings": {"cached": False}}])
def test_only_cached_layers_can_be_dropped(change):
    with pytest.raises(
        ConfigError, match="bars 'BERT-base' of figure 'Costs by encoder' on 'demo': only runs on cached"
    ):
        cost_points(study(), CostBarsSpec(**{**BARS, **change}))


def test_where_no_encoder_is_to_be_had_it_says_why():
    figure = CostBarsSpec(**{**BARS, "groups": BARS["groups"][2:]})
    with pytest.raises(ConfigError, match=r"no runs of any encoder: Gemma-7b: nothing stands for gemma-7b"):
        cost_points(study(), figure)


# -- numbers -----------------------------------------------------------------------------------------------------------


def test_the_csv_has_every_number_and_says_what_was_extrapolated(curves, tmp_path):
    paths = make_figure(*curves, tmp_path / "costs", root=tmp_path)
    rows = pd.read_csv(paths[2])
    assert list(rows["label"]) == ["Adapter", "Adapter", "IISAN", "IISAN"]
    row = rows.iloc[3]
    assert (row["value"], row["users_per_step"], row["variant"], row["reads"]) == (
        4, 4, "blocks=3,batch_size=4", "resident",
    )  # fmt: skip
    assert (row["seconds_per_epoch"], row["seconds_per_step"], row["steps"]) == (40.0, 0.4, 100)
    assert (row["extrapolated_from_steps"], row["warm_up_steps"]) == (3, 2)
    assert (row["least_step_seconds"], row["most_step_seconds"]) == pytest.approx((0.2, 1.2))
    assert (row["peak_memory_bytes"], row["memory_before_bytes"]) == (404 * MIB, 254 * MIB)
    assert (row["machine"], row["hardware"]) == ("here", "A fine processor, 1 of 8 threads")


def test_bars_know_their_encoders_and_whether_losses_differ(bars, tmp_path, write):
    config, figure = bars
    rows = gather(config, figure, tmp_path)
    assert rows[["label", "reads", "text_encoder", "layers", "width"]].to_numpy().tolist() == [
        ["BERT-base", "full", "bert", 13, 64], ["BERT-base", "dropped", "bert", 13, 64],
        ["Llama3-8b", "full", "llama", 17, 128], ["Llama3-8b", "dropped", "llama", 17, 128],
    ]  # fmt: skip
    assert set(rows["loss_difference"]) == {0}
    assert "Both give the same losses, in each of the 5 steps to the last bit." in below(drawn(*bars, tmp_path))
    record = measured(config, figure)
    record["points"]["iisan/title@llama+cover/default/dropped"]["losses"][1] *= 1.002
    write(record)
    assert gather(config, figure, tmp_path)["loss_difference"].tolist() == pytest.approx([0, 0, 0, 0.002])
    assert "Losses of full and dropped differ by 0.002 of their value at most" in below(drawn(*bars, tmp_path))


def test_the_notes_say_how_it_was_measured(curves, bars, tmp_path, write):
    text = below(drawn(*curves, tmp_path))
    for words in (
        "Study: Mine (mine).",
        "Demo (3,065 training users), measured on A fine processor, 1 of 8 threads (here).",
        "extrapolated from 3 steps, their median times the epoch's steps, after 2 steps that warmed up",
        "Memory: peak of the process while it trains; 251 to 254 MiB of it (grey: the least) are interpreter and",
        "With one user per step there are no negatives",
        "Demo is of sanrec's own made-up world",
    ):
        assert words in text
    text = below(drawn(*bars, tmp_path))
    assert "Here bert stands for bert-base, llama stands for llama-3-8b." in text
    assert "Not drawn: Gemma-7b, Mistral-7b (nothing stands for them in this study)." in text
    record = measured(*curves)
    for cost in record["points"].values():
        cost["peak_since"] = "start"
    write(record)
    assert "peak of the process since its start" in below(drawn(*curves, tmp_path))
    write({**record, "memory": "GPU allocator"})
    text = below(drawn(*curves, tmp_path))
    assert "Memory: peak of the GPU's allocator while it trains." in text
    assert "grey" not in text


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda m: m.update(machine="nvidia-h200"), "was measured for machine 'nvidia-h200', not for 'here'"),
        (lambda m: m.update(dataset="demo-half"), "was measured for dataset 'demo-half', not for 'demo'"),
        (lambda m: m.update(measurement="other"), "was measured for measurement 'other', not for 'width'"),
        (lambda m: m.pop("points"), "lacks points"),
        (lambda m: m["points"].popitem(), "holds no measurement of iisan/TI/blocks=3,batch_size=4/resident"),
        (lambda m: one(m)["settings"].update(adapter_width=5), "was measured with other settings than it has now"),
        (lambda m: one(m).pop("peak_memory_bytes"), "a cost of adapter/TI/batch_size=1/resident is None"),
        (lambda m: one(m).update(step_seconds=[]), "a cost of adapter/TI/batch_size=1/resident is None"),
        (lambda m: one(m).update(losses=["x"]), "'losses' of adapter/TI/batch_size=1/resident are to be numbers"),
        (lambda m: one(m).pop("memory_before_bytes"), "'memory_before_bytes' of adapter/TI/batch_size=1/resident is"),
        (lambda m: m["timing"].pop("steps"), "'steps' of timing is None"),
        (lambda m: m.update(timing=None), "'warm_up_steps' of timing is None"),
    ],
)
def test_what_is_missing_stale_or_of_another_machine_is_refused(curves, tmp_path, write, change, message):
    config, figure = curves
    paths = make_figure(config, figure, tmp_path / "costs", root=tmp_path)
    before = [path.read_bytes() for path in paths]
    record = measured(config, figure)
    change(record)
    path = tmp_path / artifacts.costs("demo", "here", "width")
    path.write_text(json.dumps(record))
    with pytest.raises(DataError) as caught:
        make_figure(config, figure, tmp_path / "costs", root=tmp_path)
    assert message in str(caught.value)
    assert "snakemake results/demo/efficiency/here/width.json --cores" in str(caught.value)
    assert [path.read_bytes() for path in paths] == before
    path.unlink()
    with pytest.raises(DataError, match="no such file"):
        gather(config, figure, tmp_path)


def one(record):
    return record["points"]["adapter/TI/batch_size=1/resident"]


# -- drawing -----------------------------------------------------------------------------------------------------------


def test_curves_show_the_numbers_of_the_csv(curves, tmp_path):
    page = drawn(*curves, tmp_path)
    time, memory = page.axes
    assert (time.get_title(loc="left"), memory.get_title(loc="left")) == (TIME, MEMORY)
    assert [line.get_ydata().tolist() for line in time.lines] == [[10, 20], [30, 40]]
    assert [line.get_ydata().tolist() for line in memory.lines] == [[401, 402], [403, 404]]
    assert [line.get_xdata().tolist() for line in time.lines] == [[1, 4], [1, 4]]
    assert (time.get_yscale(), memory.get_yscale(), memory.get_ylim()[0]) == ("log", "linear", 0)
    assert [label.get_text() for label in time.get_xticklabels()] == ["1", "4"]
    assert len({(line.get_linestyle(), line.get_marker()) for line in time.lines}) == 2  # told apart without colour
    assert memory.patches[0].get_height() == 251


def test_bars_stand_on_zero_with_their_numbers(bars, tmp_path):
    page = drawn(*bars, tmp_path)
    memory, time = page.axes
    tops = [patch.get_height() for patch in time.patches]
    assert tops == [10, 30, 20, 40]  # full, then dropped
    assert {patch.get_y() for axes in page.axes for patch in axes.patches} == {0}
    assert [text.get_text() for text in time.texts] == ["10.0", "30.0", "20.0", "40.0"]
    assert [label.get_text() for label in time.get_xticklabels()] == ["BERT-base\n13 x 64", "Llama3-8b\n17 x 128"]
    assert len({patch.get_hatch() for patch in time.patches}) == 2  # told apart without colour
    assert [text.get_text() for text in page.legends[0].get_texts()] == [
        LOOKS["full"][0],
        LOOKS["dropped"][0],
        GREY_LABEL,
    ]
    assert memory.get_ylim()[0] == time.get_ylim()[0] == 0


def test_a_data_set_has_a_row_of_its_own(tmp_path, write):
    config, figure = study(datasets=["demo", "demo-small"]), CostCurvesSpec(**CURVES)
    for name in ("demo", "demo-small"):
        write(measured(config, figure, name), name)
    page = drawn(config, figure, tmp_path)
    assert [axes.get_title(loc="left") for axes in page.axes] == ["Demo", "Demo", "Demo-small", "Demo-small"]
    assert [axes.get_ylabel() for axes in page.axes] == [TIME, MEMORY] * 2


@pytest.mark.parametrize("kind", ["curves", "bars"])
def test_made_twice_it_is_the_same_to_the_byte(kind, request, tmp_path):
    config, figure = request.getfixturevalue(kind)
    first = [path.read_bytes() for path in make_figure(config, figure, tmp_path / "a", root=tmp_path)]
    assert [path.read_bytes() for path in make_figure(config, figure, tmp_path / "b", root=tmp_path)] == first


@pytest.mark.parametrize("name", ["figure5", "figure7"])
@pytest.mark.parametrize("which", ["demo", "paper"])
def test_in_the_declared_figures_nothing_lies_on_anything(repository, tmp_path, write, name, which):
    pinned = {"llama-3-70b-gptq": {"source": "folder"}, "mixtral-8x7b": {"source": "folder"}}
    config = load_config({"study": which, "machine": "here", "backbones": pinned})
    figure = load_figure(repository / f"workflow/figures/iisan-versa/{name}.yaml")
    dataset = cost_points(config, figure)[0].dataset
    record, rng = measured(config, figure, dataset), np.random.default_rng(0)
    for cost in record["points"].values():
        cost["seconds_per_epoch"] = float(np.exp(rng.uniform(0, 9)))
        cost["peak_memory_bytes"] = int(rng.uniform(300, 40_000) * MIB)
    write(record, dataset)
    page = drawn(config, figure, tmp_path)
    boxes = [text.get_window_extent() for text in [*page.texts, *page.legends]]
    for axes in page.axes:
        labels = [*axes.get_xticklabels(), *(t for t in axes.get_yticklabels() if seen(axes, t)), axes.xaxis.label]
        labels += [axes.yaxis.label, axes._left_title, *axes.texts]
        boxes += [label.get_window_extent() for label in labels if label.get_text() and label.get_visible()]
    for number, box in enumerate(boxes):
        assert page.bbox.x0 <= box.x0 < box.x1 <= page.bbox.x1
        assert page.bbox.y0 <= box.y0 < box.y1 <= page.bbox.y1
        for other in boxes[:number]:
            assert box.x1 <= other.x0 or other.x1 <= box.x0 or box.y1 <= other.y0 or other.y1 <= box.y0


def seen(axes, label):
    low, high = axes.get_ylim()
    return low <= label.get_position()[1] <= high


@pytest.mark.parametrize(("value", "text"), [(0.01234, "0.0123"), (4.567, "4.57"), (45.67, "45.7"), (1234.5, "1,234")])
def test_numbers_have_three_figures(value, text):
    assert figures(value) == text
