"""Figures of IISAN-Versa's runs: scaling by group, and the gates of IISAN-VS and IISAN-VA, held against the models'."""

import re

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from safetensors.torch import save_file

from sanrec import snakefile
from sanrec.config import Settings
from sanrec.errors import ConfigError, DataError
from sanrec.load import load_config
from sanrec.models.gates import sharp_sigmoid
from sanrec.models.registry import Recommender, Shape
from sanrec.reporting.figure_kinds import figure_needs, load_figure
from sanrec.reporting.figures import draw, gather, make_figure
from sanrec.reporting.iisan_gates import sigmoid
from sanrec.reporting.page import styled
from sanrec.reporting.reference import read_reference
from sanrec.reporting.specs import load_table
from sanrec.reporting.versa_specs import iisan_gate_runs, scaling_runs

TABLE = {
    "title": "T",
    "paper": "iisan-versa",
    "kind": "comparison",
    "data": "amazon_datasets",
    "datasets": 1,
    "reference": "reference.csv",
    "beside": [{"paper": "Scientific", "dataset": "scientific"}],
    "metrics": ["HR@10", "NDCG@10"],
    "rows": [
        {"label": "Base", "model": "iisan", "inputs": "title@bert-base+cover@vit-base"},
        {"label": "Large", "model": "iisan", "inputs": "title@bert-large+cover@vit-base"},
        {"label": "Gemma", "model": "iisan", "inputs": "title@gemma-7b+cover@vit-base"},
        {"label": "Llama", "model": "iisan", "inputs": "title@llama-3-8b+cover@vit-base"},
        {"label": "CROSSAN", "model": "crossan", "inputs": "title@bert-base+cover@vit-base"},
    ],
    "comparisons": [{"label": "C", "ours": "CROSSAN", "other": "Base"}],
}
FIGURE = {
    "title": "F",
    "paper": "iisan-versa",
    "kind": "scaling",
    "data": "amazon_datasets",
    "datasets": 1,
    "metric": "HR@10",
    "table": "table.yaml",
    "reference": "reference.csv",
    "groups": [{"label": "PLM", "rows": ["Base", "Large"]}, {"label": "LLM", "rows": ["Gemma", "Llama"]}],
}
REFERENCE = """dataset,row,metric,value,star
Scientific,Base,HR@10,0.06,
Scientific,Base,NDCG@10,0.04,
Scientific,Large,HR@10,0.08,
Scientific,Gemma,HR@10,0.09,
Scientific,CROSSAN,HR@10,0.10,
"""
# HR@10 by inputs and seed. Base 1/4 and 3/4; Large 1 and 1; Llama 1/2 and 1/2
HIT, OFF = 1, 30
RANKS = {
    ("TI", 0): [HIT, OFF, OFF, OFF],
    ("TI", 1): [HIT, HIT, HIT, OFF],
    ("title@bert-deep+cover", 0): [HIT] * 4,
    ("title@bert-deep+cover", 1): [HIT] * 4,
    ("title@llama+cover", 0): [HIT, HIT, OFF, OFF],
    ("title@llama+cover", 1): [HIT, HIT, OFF, OFF],
}


def drawn(config, figure, root):
    with styled():
        page = draw(config, figure, gather(config, figure, root))
        page.draw_without_rendering()
    return page


def seeds(*numbers, **more):
    return load_config({"studies": {"demo": {"figure_seeds": list(numbers)}}, **more})


@pytest.fixture
def load(tmp_path):
    """Write the small table, its reference and a figure, and load the figure."""

    def load(**changes):
        (tmp_path / "table.yaml").write_text(yaml.safe_dump(TABLE))
        (tmp_path / "reference.csv").write_text(REFERENCE)
        (tmp_path / "figure.yaml").write_text(yaml.safe_dump({**FIGURE, **changes}))
        return load_figure(tmp_path / "figure.yaml")

    return load


@pytest.fixture
def scaling(load, write_run):
    config, figure = seeds(0, 1), load()
    for runs in scaling_runs(config, figure).values():
        for run in runs:
            write_run(run, RANKS[run.inputs_text, run.seed])
    return config, figure


# -- scaling -----------------------------------------------------------------------------------------------------------


def test_points_are_the_tables_runs_and_group_means_those_of_rows(scaling, tmp_path):
    frame = pd.read_csv(make_figure(*scaling, tmp_path / "f", root=tmp_path)[2])
    assert len(frame) == 2 + 2 + 1 + 2  # a line for the row without runs
    base = frame[frame["row"] == "Base"].set_index("seed")
    assert base["test"].to_dict() == {0: 1 / 4, 1: 3 / 4}
    assert set(base["inputs"]) == {"TI"}
    assert set(frame.loc[frame["group"] == "PLM", "group_mean"]) == {(1 / 2 + 1) / 2}
    assert frame.loc[frame["row"] == "Llama", "group_mean"].tolist() == [1 / 2, 1 / 2]  # Gemma has no run
    gemma = frame[frame["row"] == "Gemma"].iloc[0]
    assert np.isnan(gemma["test"])
    assert gemma["missing"] == "nothing stands for gemma-7b in study 'demo'"


def test_the_papers_figures_stand_beside(scaling, tmp_path):
    frame = gather(*scaling, tmp_path).drop_duplicates("row").set_index("row")
    assert frame["paper"].dropna().to_dict() == {"Base": 0.06, "Large": 0.08, "Gemma": 0.09}
    assert frame["paper_group_mean"].to_dict() == pytest.approx(
        {"Base": 0.07, "Large": 0.07, "Gemma": 0.09, "Llama": 0.09}
    )


def test_groups_are_separated_and_have_their_mean(scaling, tmp_path):
    page = drawn(*scaling, tmp_path)
    (axes,) = page.axes
    assert [label.get_text() for label in axes.get_xticklabels()] == ["Base", "Large", "Llama"]
    (curve,) = axes.containers
    assert curve.lines[0].get_ydata().tolist() == [1 / 2, 1, 1 / 2]
    lengths = [segment[1, 1] - segment[0, 1] for segment in curve.lines[2][0].get_segments()]
    assert lengths == pytest.approx([2 * np.sqrt(1 / 8), 0, 0])  # by n - 1
    separators = [line.get_xdata()[0] for line in axes.lines if list(line.get_xdata()) == [line.get_xdata()[0]] * 2]
    assert separators == [1.5]
    assert [text.get_text() for text in axes.texts] == ["PLM\nmean 0.7500", "LLM\nmean 0.5000"]
    below = " ".join(page.texts[1].get_text().split())
    assert "Not drawn, because nothing stands for the encoder in study 'demo': Gemma." in below
    assert "bert for bert-base" in below
    assert "The paper's figures, of another data set, are in the csv." in below
    assert len(page.legends[0].get_texts()) == 2


def test_on_its_own_data_set_the_paper_is_drawn_too(load, write_run, tmp_path):
    config, figure = load_config({"study": "paper", "seeds": [7]}), load()
    for runs in scaling_runs(config, figure).values():
        write_run(runs[0], [HIT, OFF])
    page = drawn(config, figure, tmp_path)
    (axes,) = page.axes
    papers = next(line for line in axes.lines if line.get_marker() == "x")
    assert papers.get_ydata().tolist()[:3] == [0.06, 0.08, 0.09]
    assert not axes.containers[0].has_yerr
    assert "One run per point, with seed 7: no error bars." in page.texts[1].get_text()
    assert len(page.legends[0].get_texts()) == 4


def test_the_figure_needs_the_runs_of_its_rows_alone(load):
    needs = figure_needs(seeds(3), load())
    inputs = ("TI", "title@bert-deep+cover", "title@llama+cover")
    assert needs == [f"results/demo/runs/iisan/{name}/default/seed=3/metrics.json" for name in inputs]


def test_an_edited_table_draws_the_figure_anew(repository, tmp_path, load):
    files = snakefile.figure_files(str(tmp_path), load())
    assert files == [str(tmp_path / "table.yaml"), str(tmp_path / "reference.csv")]
    figure = load_figure(repository / "workflow/figures/iisan-versa/figure4.yaml")
    own = snakefile.figure_files(str(repository), figure)
    assert [path.removeprefix(f"{repository}/") for path in own] == [
        "workflow/tables/iisan-versa/table4.yaml",
        "workflow/reference/iisan-versa/table4.csv",
    ]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"groups": [{"label": "A", "rows": ["Base", "Bass"]}]}, "table 'T' has no row 'Bass'"),
        ({"groups": [{"label": "A", "rows": ["Gemma"]}]}, "study 'demo' has no runs of any row"),
        ({"data": "microlens_datasets"}, "are to have the same data sets"),
    ],
)
def test_rows_that_make_no_figure_are_refused(load, changes, message):
    figure = load(**changes)
    with pytest.raises(ConfigError, match=message):
        figure_needs(load_config(), figure)


def test_a_row_in_two_groups_is_refused(load):
    with pytest.raises(ConfigError, match="row 'Base' stands 2 times"):
        load(groups=[{"label": "A", "rows": ["Base"]}, {"label": "B", "rows": ["Base"]}])


# -- gates -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def gates_figure(repository):
    return load_figure(repository / "workflow/figures/iisan-versa/gates.yaml")


@pytest.fixture
def write_model(tmp_path):
    """Write the weights of a run of IISAN with drawn gates; gives the model."""

    def write(config, run, depths=(7, 7)):
        settings = Settings(adapter_width=2, recommender_width=4)
        names = [source.backbone for source in run.inputs]
        widths = (4, 4) if len({config.backbones[name].width for name in names}) == 1 else (6, 4)
        model = Recommender("iisan", Shape(("text", "image"), widths, tuple(depths)), settings)
        generator = torch.Generator().manual_seed(run.seed + 1)
        for name, parameter in model.named_parameters():
            if "logits" in name:
                parameter.data = torch.randn(parameter.shape, generator=generator) / 10
        (tmp_path / run.folder).mkdir(parents=True, exist_ok=True)
        save_file(model.state_dict(), tmp_path / run.weights)
        return model.item_encoder

    return write


@pytest.fixture
def models(gates_figure, write_model):
    """Runs of both systems in the demo; gives (config, figure, model by system and seed)."""
    config = seeds(0, 1)
    runs = iisan_gate_runs(config, gates_figure)
    written = {(system, r.seed): write_model(config, r) for (_, system), some in runs.items() for r in some}
    return config, gates_figure, written


def test_gates_are_the_models_own(models, tmp_path):
    config, figure, written = models
    frame = gather(config, figure, tmp_path)
    assert dict(frame.groupby("system")["inputs"].first()) == {"IISAN-VS": "TI", "IISAN-VA": "title@bert-deep+cover"}
    assert {type(model).__name__ for model in written.values()} == {"Iisan", "IisanVa"}
    rows = frame.set_index(["system", "seed", "tower", "layer", "gate"])["weight"]
    assert len(rows) == 2 * 2 * 3 * 7 * 2
    for (system, seed), model in written.items():
        weights = model.inter_weights().detach()  # [L, M]: text, image
        for layer in range(7):
            for place, channel in enumerate(["title", "cover"]):
                found = rows[system, seed, "inter", layer, channel]
                assert found == pytest.approx(float(weights[layer, place]), abs=1e-6)
                own = float(sharp_sigmoid(model.intra_logits[place].detach())[layer])
                assert rows[system, seed, channel, layer, "hidden"] == pytest.approx(own, abs=1e-6)
                assert rows[system, seed, channel, layer, "below"] == pytest.approx(1 - own, abs=1e-6)


def test_the_gate_of_the_models_sum_is_the_images(models, tmp_path):
    """What the model itself does with the weight called `cover`: only the image's state changes its inter tower."""
    config, figure, written = models
    model = written["IISAN-VS", 0]
    rows = gather(config, figure, tmp_path).set_index(["system", "seed", "tower", "layer", "gate"])["weight"]
    for block in model.adapters:
        for parameter in block.parameters():
            parameter.data.zero_()  # the blocks then give what they read
    hidden_LMnD = torch.zeros(7, 2, 1, 4)
    hidden_LMnD[3, 1] = 1  # the image at layer 3
    inter = model.towers(hidden_LMnD)[-1]
    expected = rows["IISAN-VS", 0, "inter", 3, "cover"]
    assert inter.detach().numpy() == pytest.approx(np.full((1, 4), expected), abs=1e-6)


def test_blocks_are_those_that_a_layer_reads(models, tmp_path):
    config, figure, _ = models
    blocks = gather(config, figure, tmp_path).set_index(["system", "seed", "tower", "layer", "gate"])["blocks"]
    assert blocks["IISAN-VA", 0, "inter", 6, "cover"] == "24+12"
    assert blocks["IISAN-VA", 0, "inter", 0, "cover"] == "0+0"
    assert blocks["IISAN-VA", 0, "title", 1, "hidden"] == "4"
    assert blocks["IISAN-VS", 0, "title", 1, "hidden"] == "2"


def test_a_shorter_tower_stands_beside_the_uppermost_layers(gates_figure, write_model, tmp_path):
    system = {"label": "VA", "inputs": "title@bert-large+cover@vit-base", "settings": {"layers": "even12+even3"}}
    figure = gates_figure.model_copy(update={"systems": (type(gates_figure.systems[0])(**system),)})
    config = seeds(0)
    (runs,) = iisan_gate_runs(config, figure).values()
    model = write_model(config, runs[0], depths=(13, 4))
    frame = gather(config, figure, tmp_path)
    layers = frame.groupby("tower")["layer"].agg(["min", "max"])
    assert layers.loc["title"].tolist() == [0, 12]
    assert layers.loc["cover"].tolist() == layers.loc["inter"].tolist() == [9, 12]
    inter = frame[(frame["tower"] == "inter") & (frame["gate"] == "cover")].set_index("layer")
    assert inter["weight"].tolist() == pytest.approx(model.inter_weights()[:, 1].tolist(), abs=1e-6)
    assert inter.loc[9, "blocks"] == "18+0"  # of 24 blocks 12, in steps of 2: 2, 4, ..., 24
    drawn(config, figure, tmp_path)


def test_the_table_has_the_means_and_says_whether_they_are_in_the_papers_range(models, tmp_path):
    config, figure, written = models
    paths = {path.suffix: path for path in make_figure(config, figure, tmp_path / "gates", root=tmp_path)}
    assert set(paths) == {".svg", ".png", ".csv", ".md", ".html"}
    text = paths[".md"].read_text()
    lines = {
        cells[1].strip(): [cell.strip() for cell in cells[2:-1]] for cells in map(row_of, text.splitlines()) if cells
    }
    heads = lines["Row"]
    assert heads == ["inter: cover", "inter: title", "title: hidden", "cover: hidden", "0.2 to 0.4"]
    images = np.array([written["IISAN-VA", seed].inter_weights()[:, 1].tolist() for seed in (0, 1)])  # [seed, L]
    mean = lines["IISAN-VA, mean"]
    assert mean[0] == f"{images.mean():.3f} ± {images.mean(1).std(ddof=1):.3f}"
    assert mean[4] == ("yes" if 0.2 <= images.mean() <= 0.4 else "no")
    fourth = lines["IISAN-VA, layer 4"]
    assert fourth[0] == f"{images[:, 4].mean():.3f} ± {images[:, 4].std(ddof=1):.3f}"
    assert fourth[1] == f"{1 - images[:, 4].mean():.3f} ± {images[:, 4].std(ddof=1):.3f}"
    inside = ((images.mean(0) >= 0.2) & (images.mean(0) <= 0.4)).sum()
    assert f"{inside} of 7 layers are within it" in text
    assert len(lines) == 1 + 1 + 2 * 8  # heads and their rule, seven layers and the mean of each system


def row_of(line):
    return line.split("|") if line.startswith("|") else None


@pytest.mark.parametrize(("logit", "verdict"), [(-0.1, "within"), (0.0, "outside"), (-0.2, "outside")])
def test_the_verdict_on_the_papers_range(gates_figure, write_model, tmp_path, logit, verdict):
    """sigmoid(-1) = 0.269 lies in 0.2 to 0.4; 0.5 and sigmoid(-2) = 0.119 do not."""
    config = seeds(0)
    for runs in iisan_gate_runs(config, gates_figure).values():
        model = write_model(config, runs[0])
        model.inter_logits.data.fill_(logit)
        state = {f"item_encoder.{name}": tensor for name, tensor in model.state_dict().items()}
        save_file(state, tmp_path / runs[0].weights)
    below = " ".join(drawn(config, gates_figure, tmp_path).texts[1].get_text().split())
    assert below.count(f"on average over layers, {verdict} that range") == 2


def test_the_panels_show_curves_and_the_range(models, tmp_path):
    page = drawn(*models[:2], tmp_path)
    left, right = page.axes
    assert (left.get_title(), right.get_title()) == ("IISAN-VS (TI)", "IISAN-VA (title@bert-deep+cover)")
    assert len(left.containers) == len(right.containers) == 3
    assert all(bar.has_yerr for bar in left.containers)
    band = left.patches[0]
    assert (band.get_y(), band.get_y() + band.get_height()) == pytest.approx((0.2, 0.4))
    assert page.legends[0].get_texts()[0].get_text() == "image in the inter tower"


def test_large_logits_do_not_overflow():
    with np.errstate(all="raise"):
        assert sigmoid(np.float32([-1e4, 0, 1e4])).tolist() == [0, 0.5, 1]


@pytest.mark.parametrize("setting", [{"gating": False}, {"inter": False}, {"intra": False}])
def test_runs_that_lack_gates_are_refused(gates_figure, setting):
    system = gates_figure.systems[0].model_copy(update={"settings": setting})
    figure = gates_figure.model_copy(update={"systems": (system,)})
    with pytest.raises(ConfigError, match=r"system 'IISAN-VS'.*lack gates"):
        figure_needs(load_config(), figure)


def test_a_system_without_runs_is_left_out_and_named(gates_figure, write_model, tmp_path):
    config = load_config({"study": "paper", "studies": {"paper": {"without": ["bert-large"]}}})
    runs = iisan_gate_runs(config, gates_figure)
    assert list(runs) == [("scientific", "IISAN-VS")]
    write_model(config, runs["scientific", "IISAN-VS"][0])
    page = drawn(config, gates_figure, tmp_path)
    assert len(page.axes) == 1
    assert "IISAN-VA is left out: study 'paper' goes without bert-large." in " ".join(page.texts[1].get_text().split())
    none = load_config({"study": "paper", "studies": {"paper": {"without": ["bert-large", "bert-base"]}}})
    with pytest.raises(ConfigError, match="no runs of any system"):
        figure_needs(none, gates_figure)


def test_weights_of_another_kind_are_refused(models, write_model, tmp_path):
    config, figure, _ = models
    run = iisan_gate_runs(config, figure)["demo", "IISAN-VA"][1]
    write_model(config, run, depths=(5, 7))
    with pytest.raises(DataError, match=f"has gates of shapes.*snakemake {re.escape(run.weights)} --cores"):
        gather(config, figure, tmp_path)
    save_file({"item_encoder.other": torch.zeros(2)}, tmp_path / run.weights)
    with pytest.raises(DataError, match="holds no gates of IISAN"):
        gather(config, figure, tmp_path)
    (tmp_path / run.weights).unlink()
    with pytest.raises(DataError, match="no such file"):
        gather(config, figure, tmp_path)


def test_the_workflow_knows_which_figures_are_tables_too(repository):
    specs = snakefile.figures(repository / "workflow/figures")
    assert snakefile.tabled(specs) == ["iisan-versa/gates"]
    assert set(snakefile.drawn(specs)) | {"iisan-versa/gates"} == set(specs)


# -- both --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("study", ["demo", "paper"])
def test_nothing_lies_on_anything(repository, write_run, write_model, nothing_overlaps, gates_figure, tmp_path, study):
    config = load_config({"study": study})
    figure = load_figure(repository / "workflow/figures/iisan-versa/figure4.yaml")
    rng = np.random.default_rng(0)
    for runs in scaling_runs(config, figure).values():
        for run in runs:
            write_run(run, rng.geometric(0.03, 300))
    nothing_overlaps(drawn(config, figure, tmp_path))
    for runs in iisan_gate_runs(config, gates_figure).values():
        for run in runs:
            write_model(config, run)
    nothing_overlaps(drawn(config, gates_figure, tmp_path))


def test_made_twice_they_are_the_same_to_the_byte(scaling, models, tmp_path):
    for config, figure in (scaling, models[:2]):
        first = [path.read_bytes() for path in make_figure(config, figure, tmp_path / "a", root=tmp_path)]
        assert first == [path.read_bytes() for path in make_figure(config, figure, tmp_path / "b", root=tmp_path)]


def test_the_papers_own_group_means_rise(repository):
    """As its text says; and its figures are those of its table."""
    figure = load_figure(repository / "workflow/figures/iisan-versa/figure4.yaml")
    cells = read_reference(figure.reference, load_table(figure.table))
    means = [
        np.mean([float(cells.at[("Scientific", row, figure.metric), "value"]) for row in group.rows])
        for group in figure.groups
    ]
    assert means == pytest.approx([0.0706, 0.534 / 7, 0.07895, 0.08075], abs=1e-6)
    assert means == sorted(means)
    assert len(scaling_runs(load_config({"study": "paper"}), figure)) == 12  # of thirteen one has no pinned revision
