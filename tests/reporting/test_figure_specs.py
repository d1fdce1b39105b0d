"""What a figure declares, and what it needs."""

import subprocess
import sys

import pytest
import yaml

from sanrec import artifacts, snakefile
from sanrec.errors import ConfigError
from sanrec.load import load_config
from sanrec.reporting.figure_kinds import figure_needs, load_figure
from sanrec.reporting.figure_specs import (
    GatesSpec,
    SweepSpec,
    gate_runs,
    sweep_points,
    sweep_values,
    tower_names,
)

FIGURES = ["figure3", "figure4", "figure5", "missing-media"]
OF_TABLES = ["beyond-accuracy-figure"]  # drawn from what a table is made of, and tested with it
SWEEP = {
    "title": "A small figure",
    "paper": "crossan",
    "kind": "sweep",
    "metrics": ["HR@10"],
    "lines": [{"label": "CROSSAN", "model": "crossan", "inputs": "TI"}],
    "panels": [{"sweep": "adapter_width", "label": "Width", "settings": ["adapter_width"], "scale": "log2"}],
}
RATES = {
    "sweep": "learning_rate",
    "label": "Rate",
    "settings": ["learning_rate", "adapter_learning_rate"],
    "scale": "log10",
}
GATES = {"title": "Gates", "paper": "crossan", "kind": "gates", "model": "crossan", "inputs": "TI"}


def study(points, **more):
    mine = {"title": "Mine", "datasets": ["demo"], "points": points, **more}
    return load_config({"study": "mine", "studies": {"mine": mine}})


@pytest.fixture
def declared(repository):
    return {name: load_figure(repository / f"workflow/figures/{name}.yaml") for name in FIGURES}


@pytest.fixture
def load(tmp_path):
    def load(values):
        path = tmp_path / "figure.yaml"
        path.write_text(yaml.safe_dump(values))
        return load_figure(path)

    return load


def test_the_declared_figures_are_those_known_here(repository):
    found = {name for name in snakefile.figures(repository / "workflow/figures") if "/" not in name}
    assert found == {*FIGURES, *OF_TABLES}


@pytest.mark.parametrize("study", ["demo", "paper"])
@pytest.mark.parametrize("name", FIGURES)
def test_the_needs_of_every_figure_are_paths_of_runs(declared, study, name):
    config = load_config({"study": study})
    needs = figure_needs(config, declared[name])
    assert needs
    assert len(set(needs)) == len(needs)
    file = "model.safetensors" if name == "figure4" else "metrics.json"
    for path in needs:
        assert path == f"{artifacts.parse_run(config, path).folder}/{file}"  # the one path of that run


def test_the_papers_figures_have_the_papers_points(declared):
    config = load_config({"study": "paper", "seeds": [1, 2]})
    widths = [32, 64, 128, 256, 512, 1024, 2048, 4096, 8192]
    both = declared["figure3"], declared["figure5"]
    third, fifth = ([(p.dataset, p.line.model, p.panel.sweep, p.value) for p in sweep_points(config, f)] for f in both)
    assert third == [("microlens-100k", model, "adapter_width", w) for model in ("iisan-e", "crossan") for w in widths]
    sets = ("microlens-100k", "microlens-50k")
    assert [p for p in fifth if p[2] == "adapter_width"] == [
        (d, "crossan", "adapter_width", w) for d in sets for w in widths
    ]
    rates = {p[3] for p in fifth if p[2] == "learning_rate"}
    assert (min(rates), max(rates)) == (1e-5, 1e-3)
    assert all([run.seed for run in p.runs] == [1, 2] for p in sweep_points(config, declared["figure5"]))


def test_adding_a_point_to_the_config_adds_its_runs_alone(declared):
    def needs(widths):
        points = {"adapter_width": widths, "learning_rate": [0.002]}
        config = load_config({"studies": {"demo": {"points": points}}})
        return [set(figure_needs(config, declared[name])) for name in ("figure3", "figure5")]

    third, fifth = (after - before for before, after in zip(needs([4, 16]), needs([4, 16, 64]), strict=True))
    crossan = "runs/crossan/TIVA/adapter_width=64/seed={}/metrics.json"
    assert fifth == {f"results/{d}/{crossan.format(n)}" for d in ("demo", "demo-half") for n in (0, 1, 2)}
    assert third == {
        f"results/demo/{crossan.format(n).replace('crossan', m)}" for m in ("crossan", "iisan-e") for n in range(3)
    }


def test_a_data_sets_default_is_its_default_run():
    figure = SweepSpec(**{**SWEEP, "panels": [*SWEEP["panels"], RATES]})
    config = study({"adapter_width": [8, 32], "learning_rate": [2e-3, 5e-4]})
    variants = [point.runs[0].variant for point in sweep_points(config, figure)]
    half = "learning_rate=0.0005,adapter_learning_rate=0.0005"
    assert variants == ["adapter_width=8", "default", half, "default"]  # demo's own are 32, 0.002 and 0.002


def test_settings_whose_defaults_differ_are_both_given_the_value(declared):
    config = load_config({"study": "paper", "studies": {"paper": {"points": {"learning_rate": [2e-4, 1e-4, 1e-5]}}}})
    figure = SweepSpec(**{**SWEEP, "datasets": 1, "panels": [RATES]})
    small = "learning_rate=1e-05,adapter_learning_rate=1e-05"
    variants = [point.runs[0].variant for point in sweep_points(config, figure)]
    assert variants == [small, "learning_rate=0.0001", "adapter_learning_rate=0.0002"]


def test_values_rise_and_whole_ones_are_whole():
    values = sweep_values(study({"adapter_width": ["64", 8.0, 16]}), SweepSpec(**SWEEP).panels[0])
    assert values == (8, 16, 64)
    assert all(isinstance(value, int) for value in values)


@pytest.mark.parametrize(
    ("points", "message"),
    [
        ({}, "unknown sweep 'adapter_width' in 'points' of study 'mine'"),
        ({"adapter_widht": [4]}, "did you mean 'adapter_widht'?"),
        ({"adapter_width": []}, "points.adapter_width of study 'mine': none is given"),
        ({"adapter_width": [4, 8, 4.0]}, "4.0 is given 2 times"),
        ({"adapter_width": [4, 3.5]}, "adapter_width takes whole numbers, not 3.5"),
        ({"adapter_width": [4, float("inf")]}, "inf cannot stand on an axis of scale log2"),
        ({"adapter_width": [0, 4]}, "0 cannot stand on an axis of scale log2"),
    ],
)
def test_points_that_make_no_curve_are_refused(points, message):
    with pytest.raises(ConfigError) as caught:
        figure_needs(study(points), SweepSpec(**SWEEP))
    assert message in str(caught.value)


def test_seeds_are_those_of_the_figures_and_each_counts_once():
    points = {"adapter_width": [4]}
    assert len(figure_needs(study(points, seeds=[5], figure_seeds=[1, 2, 3]), SweepSpec(**SWEEP))) == 3
    assert "seed=5" in figure_needs(study(points, seeds=[5]), SweepSpec(**SWEEP))[0]
    with pytest.raises(ConfigError, match="figure seeds of study 'mine': 1 is given 2 times"):
        figure_needs(study(points, figure_seeds=[1, 1]), SweepSpec(**SWEEP))


def test_a_sweep_without_effect_is_refused():
    panel = {"sweep": "top_k", "label": "k", "settings": ["top_k"]}
    line = {"label": "CROSSAN", "model": "crossan", "inputs": "TI", "settings": {"fusion": "concat"}}
    with pytest.raises(ConfigError, match="top_k 2: the same run as at 1; top_k changes nothing here"):
        figure_needs(study({"top_k": [1, 2]}), SweepSpec(**{**SWEEP, "lines": [line], "panels": [panel]}))


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ({"model": "crosan"}, "did you mean 'crossan'"),
        ({"inputs": "IT"}, "written 'TI'"),
        ({"settings": {"topk": 2}}, "did you mean 'top_k'"),
        ({"model": "lora"}, "unknown setting 'adapter_width'"),
    ],
)
def test_a_line_that_is_no_run_is_refused_by_its_label(line, message):
    figure = SweepSpec(**{**SWEEP, "lines": [{**SWEEP["lines"][0], **line}]})
    with pytest.raises(
        ConfigError, match="line 'CROSSAN' of figure 'A small figure' on 'demo', adapter_width 4"
    ) as caught:
        figure_needs(study({"adapter_width": [4]}), figure)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({**SWEEP, "kind": "picture"}, "unknown kind 'picture'"),
        ({k: v for k, v in SWEEP.items() if k != "kind"}, "unknown kind 'None'"),
        ({**SWEEP, "metricks": []}, "did you mean 'metrics'"),
        ({**SWEEP, "metrics": ["HR@11"]}, "metrics.0"),
        ({**SWEEP, "lines": []}, "lines"),
        ({**SWEEP, "lines": SWEEP["lines"] * 2}, "label 'CROSSAN' stands 2 times"),
        ({**SWEEP, "panels": SWEEP["panels"] * 2}, "sweep 'adapter_width' stands 2 times"),
        ({**SWEEP, "panels": [{**RATES, "settings": ["learning_rat"]}]}, "did you mean 'learning_rate'"),
        ({**SWEEP, "panels": [{**RATES, "settings": ["gating"]}]}, "'gating' of sweep 'learning_rate' is not a number"),
        ({**SWEEP, "panels": [{**RATES, "settings": []}]}, "panels.0.settings"),
        (
            {**SWEEP, "lines": [{**SWEEP["lines"][0], "settings": {"adapter_width": 8}}]},
            "line 'CROSSAN' sets 'adapter_width', which sweep 'adapter_width' varies",
        ),
        ({**GATES, "model": "iisan"}, "model"),
    ],
)
def test_a_malformed_figure_is_refused(load, values, message):
    with pytest.raises(ConfigError, match=r"figure\.yaml") as caught:
        load(values)
    assert message in str(caught.value)


def test_gates_are_those_of_the_trained_weights():
    runs = gate_runs(study({}, figure_seeds=[0, 1]), GatesSpec(**GATES))
    assert {dataset: [run.seed for run in some] for dataset, some in runs.items()} == {"demo": [0, 1]}
    assert tower_names(runs["demo"][0]) == ("T", "I")
    config = study({})
    assert tower_names(artifacts.run(config, "demo", "crossan", "title+title+cover")) == (
        "title (1)",
        "title (2)",
        "cover",
    )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"settings": {"gating": False}}, "gating=false have no gates"),
        ({"towers": ["I"]}, "'towers' are to be T, I in any order"),
        ({"towers": ["I", "V"]}, "'towers' are to be T, I in any order"),
        ({"inputs": "IT"}, "written 'TI'"),
    ],
)
def test_gates_that_no_run_has_are_refused(values, message):
    with pytest.raises(ConfigError, match="figure 'Gates' on 'demo'") as caught:
        figure_needs(study({}), GatesSpec(**{**GATES, **values}))
    assert message in str(caught.value)


def test_reading_figures_imports_nothing_heavy():
    heavy = "torch transformers numpy pandas scipy zarr matplotlib"
    code = f"import sys, sanrec.load, sanrec.snakefile; print([m for m in '{heavy}'.split() if m in sys.modules])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_a_figure_is_drawn_anew_when_what_it_shows_of_the_study_changes():
    before = snakefile.figure_study(load_config())
    assert snakefile.figure_study(load_config({"studies": {"demo": {"title": "Other"}}})) != before
    assert snakefile.figure_study(load_config({"datasets": {"demo": {"title": "Other"}}})) != before
    assert snakefile.figure_study(load_config({"studies": {"demo": {"seeds": [3]}}})) == before  # the tables' seeds
