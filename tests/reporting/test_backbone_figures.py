"""Tables and figures of the pretrained models: Table II, sizes, and what stores take on disk."""

import json

import numpy as np
import pandas as pd
import pytest

from sanrec import artifacts, snakefile
from sanrec.backbones.registry import BACKBONES
from sanrec.disk import store_bytes
from sanrec.errors import ConfigError, DataError
from sanrec.load import load_config
from sanrec.reporting.backbone_specs import DiskSpec, SizesSpec, disk_record
from sanrec.reporting.figure_kinds import figure_needs, load_figure
from sanrec.reporting.figures import draw, gather, make_figure
from sanrec.reporting.page import styled
from sanrec.reporting.reference import read_reference
from sanrec.reporting.sizes import HATCH, short
from sanrec.reporting.specs import load_table
from sanrec.reporting.table_runs import needs_of
from sanrec.reporting.tables import make_table

DISK = {
    "title": "Disk",
    "paper": "iisan-versa",
    "kind": "disk",
    "data": "amazon_datasets",
    "datasets": 1,
    "groups": [
        {"label": "Text", "backbones": {"Large": "bert-large", "Base": "bert-base", "70b": "llama-3-70b-gptq"}},
        {"label": "Image", "backbones": {"ViT": "vit-base"}},
    ],
    "paper_items": 20_314,
    "paper_bytes": {"llama-3-70b-gptq": {"full": 26e9, "kept": 2.4e9}},
}


@pytest.fixture
def table(repository):
    return load_table(repository / "workflow/tables/iisan-versa/table2.yaml")


@pytest.fixture
def figure(repository):
    return lambda name: load_figure(repository / f"workflow/figures/iisan-versa/{name}.yaml")


@pytest.fixture
def make(repository, table, tmp_path):
    """Make Table II with a config; gives its csv and the text of its md."""

    def make(config):
        paths = make_table(config, table, repository / table.reference, tmp_path / "t", root=tmp_path)
        return pd.read_csv(paths[0]).set_index("Model"), paths[1].read_text()

    return make


@pytest.fixture
def write_store(tmp_path):
    """Write the manifest of a store with so many layers and bytes."""

    def write(corpus, channel, backbone, items, layers, size):
        path = tmp_path / artifacts.hidden(corpus, channel, backbone)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps({"arrays": {"hidden": {"shape": [items, layers, 8]}}, "bytes": size}))

    return write


@pytest.fixture
def drawn():
    def drawn(config, figure, root):
        with styled():
            page = draw(config, figure, gather(config, figure, root))
            page.draw_without_rendering()
        return page

    return drawn


# -- Table II ----------------------------------------------------------------------------------------------------------


def test_table_2_has_the_papers_models_with_the_papers_depths_and_widths(repository, table):
    reference = read_reference(repository / table.reference, table)
    printed = set(reference.index.get_level_values("row"))
    assert len(printed) == 16
    assert set(table.backbones) - printed == {"Mistral-7b-it"}  # the paper has runs of it nowhere
    assert set(table.backbones.values()) <= set(BACKBONES)
    for label in printed:
        record = BACKBONES[table.backbones[label]]
        cells = {heading: int(reference.at[("", label, heading), "value"]) for heading in ("L", "H", "#Param")}
        assert (cells["L"], cells["H"]) == (record.blocks, record.width)
        modality = "image" if label.startswith("ViT") else "text"
        assert record.modality == modality


def test_table_2_shows_what_was_counted_beside_the_paper(make, write_counts):
    config = load_config({"study": "paper"})
    write_counts(config, **{"bert-base": {"parameters": 108_891_648}})
    frame, text = make(config)
    row = frame.loc["BERT-base"]
    assert row["#Param"] == 108_891_648
    assert row["paper #Param"] == 110_000_000
    assert row["#Param difference"] == -1_108_352
    assert (row["Modality"], row["L"], row["H"], row["Counted from"]) == ("Text", 12, 768, "architecture")
    assert (row["Licence"], row["Gated"]) == ("apache-2.0", "no")
    assert row["Revision"] == BACKBONES["bert-base"].revision
    assert frame.loc["Gemma-7b", "Gated"] == "yes"
    assert frame.loc["ViT-huge", "Revision"] == "none is pinned"
    assert np.isnan(frame.loc["Mistral-7b-it", "paper #Param"])
    assert len(frame) == 17
    assert "| 108,891,648 | architecture |" in text
    assert "-1,108,352" in text


def test_a_demos_table_2_has_its_stand_ins_below(make, write_counts):
    config = load_config()
    write_counts(config, bert={"counted_from": "checkpoint"})
    frame, text = make(config)
    assert list(frame.index[17:]) == [
        "bert (for bert-base)",
        "bert-deep (for bert-large)",
        "llama (for llama-3-8b)",
        "vit (for vit-base)",
    ]
    assert (frame.loc["bert (for bert-base)", "Counted from"], frame.iloc[17]["L"]) == ("checkpoint", 12)
    assert "bert stands for bert-base" in text


def test_a_model_that_cannot_be_counted_has_the_papers_figure_marked(make, write_counts):
    config = load_config({"study": "paper"})
    write_counts(config, **{"mixtral-8x7b": {"parameters": None, "why": "no such class"}})
    frame, text = make(config)
    row = frame.loc["Mixtral-8x7b"]
    assert (row["#Param"], row["Counted from"]) == (47_000_000_000, "nothing: the paper's figure")
    assert np.isnan(row["#Param difference"])
    assert "Mixtral-8x7b: not counted, because no such class; \\#Param is the paper's." in text


def test_table_2_needs_counts_and_downloads_nothing(table):
    assert needs_of(load_config({"study": "paper"}), table) == ["results/backbones.json"]
    own = [f"results/backbones/{name}.json" for name in ("bert", "bert-deep", "llama", "vit")]
    assert needs_of(load_config(), table) == ["results/backbones.json", *own]


def test_table_2_is_made_anew_when_a_licence_or_revision_changes(table):
    before = snakefile.table_record(load_config(), table)
    assert snakefile.table_record(load_config({"backbones": {"vit-huge": {"revision": "a" * 40}}}), table) != before
    assert snakefile.table_record(load_config({"backbones": {"videomae-base": {"license": "mit"}}}), table) == before


@pytest.mark.parametrize("damage", [{"blocks": 11}, {"width": 1}, None])
def test_outdated_counts_are_refused(make, write_counts, tmp_path, damage):
    config = load_config({"study": "paper"})
    write_counts(config)
    path = tmp_path / "results/backbones.json"
    counts = json.loads(path.read_text())
    if damage:
        counts["backbones"]["vit-base"] |= damage
    else:
        del counts["backbones"]["vit-base"]
    path.write_text(json.dumps(counts))
    with pytest.raises(DataError, match=r"backbones\.json.*vit-base.*snakemake results/backbones\.json --cores"):
        make(config)


@pytest.mark.parametrize("change", [{"backbones": {}}, {"metrics": ["HR@10"]}, {"kind": "statistics"}])
def test_a_malformed_table_of_backbones_is_refused(table, tmp_path, change):
    values = table.model_dump(exclude={"rows", "means", "comparisons", "notes", "data", "datasets", "information"})
    path = tmp_path / "table.yaml"
    path.write_text(json.dumps({**values, "metrics": [], **change}))  # JSON is yaml
    with pytest.raises(ConfigError, match="kind backbones"):
        load_table(path)


# -- sizes -------------------------------------------------------------------------------------------------------------


def test_sizes_are_counted_or_published_with_their_source(figure, write_counts, tmp_path):
    config = load_config()
    write_counts(config, **{"vit-huge": {"parameters": 630_764_800}})
    frame = gather(config, figure("figure1"), tmp_path).set_index("model")
    assert frame.loc["ViT-huge", "parameters"] == 630_764_800
    assert frame.loc["ViT-huge", "label"] == "counted"
    closed = frame[frame["label"] == "closed-source"]
    assert dict(closed["parameters"]) == {"ViT-G": 1_800_000_000, "ViT-e": 3_900_000_000, "ViT-22B": 22_000_000_000}
    assert closed["source"].str.len().min() > 20
    for _, rows in frame.groupby("group"):
        assert rows["parameters"].is_monotonic_increasing


def test_published_sizes_are_hatched(figure, write_counts, drawn, tmp_path):
    config = load_config()
    write_counts(config)
    page = drawn(config, figure("figure1"), tmp_path)
    text, visual = page.axes
    assert not any(bar.get_hatch() for bar in text.patches)
    assert [bar.get_hatch() for bar in visual.patches] == ["", "", "", *[HATCH] * 3]
    ends = [bar.get_x() + bar.get_width() for bar in visual.patches]
    assert ends[-1] == pytest.approx(22e9)
    assert [label.get_text() for label in visual.get_yticklabels()][-1] == "ViT-22B"
    assert text.get_xscale() == "log"
    assert text.get_xlim() == visual.get_xlim()
    assert [entry.get_text() for entry in page.legends[0].get_texts()] == ["counted", "closed-source"]


def test_a_size_that_could_not_be_counted_is_left_out_and_named(figure, write_counts, drawn, tmp_path):
    config = load_config()
    write_counts(config, **{"gemma-7b": {"parameters": None, "why": "no such class"}})
    page = drawn(config, figure("figure1"), tmp_path)
    assert len(page.axes[0].patches) == 7
    assert "Gemma-7b is not drawn, because it could not be counted: no such class." in page.texts[1].get_text()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("Nowhere,X,1,closed-source,s", "group 'Nowhere' is not in the figure"),
        ("Visual,X,many,closed-source,s", "'many' is no number of parameters"),
        ("Visual,X,1,closed-source,", "needs a source"),
        ("Visual,X,1,counted,s", "a label that is not 'counted'"),
    ],
)
def test_malformed_published_sizes_are_refused(write_counts, tmp_path, line, message):
    config = load_config()
    write_counts(config)
    path = tmp_path / "others.csv"
    path.write_text(f"group,model,parameters,label,source\n{line}\n")
    values = {"title": "S", "paper": "iisan-versa", "kind": "sizes", "others": str(path)}
    spec = SizesSpec(**values, groups=[{"label": "Visual", "backbones": {"ViT": "vit-base"}}])
    with pytest.raises(DataError, match=r"others\.csv, line 2") as caught:
        gather(config, spec, tmp_path)
    assert message in str(caught.value)


@pytest.mark.parametrize(
    ("number", "text"), [(85_798_656, "85.8 M"), (999_999_999, "1 B"), (410_000, "410 k"), (5, "5")]
)
def test_sizes_are_spelled_shortly(number, text):
    assert short(number) == text


# -- disk --------------------------------------------------------------------------------------------------------------


@pytest.fixture
def paper_world(write_counts, write_statistics):
    """The paper's study on Scientific, with nothing extracted."""
    config = load_config({"study": "paper"})
    write_counts(config, **{"bert-base": {"parameters": 109}, "bert-large": {"parameters": 334}})
    counts = {"users": 3, "items": 20_000, "corpus_items": 20_314, "interactions": 9, "content": ["text"]}
    write_statistics("scientific", **counts)
    return config


def test_stores_that_are_not_there_are_computed_from_shapes(paper_world, tmp_path):
    frame = gather(paper_world, DiskSpec(**DISK), tmp_path).set_index(["backbone", "which"])
    assert set(frame["origin"]) == {"computed"}
    assert set(frame["items"]) == {20_314}  # those of the corpus
    large = frame.loc["llama-3-70b-gptq"]
    assert large.loc["full", ["layers", "bytes", "paper_bytes"]].tolist() == [81, 27_514_654_720, 26e9]
    assert large.loc["kept", ["layers", "bytes", "paper_bytes"]].tolist() == [7, 2_684_375_040, 2.4e9]
    assert frame["paper_bytes"].notna().sum() == 2
    names = list(dict.fromkeys(frame.index.get_level_values("backbone")))
    assert names == ["bert-base", "bert-large", "llama-3-70b-gptq", "vit-base"]  # by size within their group


def test_stores_on_disk_are_measured(paper_world, write_store, tmp_path):
    write_store("scientific", "title", "bert-base", 20_314, 13, 440_999_999)
    write_store("scientific", "cover", "vit-base", 20_314, 7, 252_999_999)  # LayerDrop's alone
    write_store("scientific", "title", "bert-large", 20_314, 4, 99)  # of another rule
    frame = gather(paper_world, DiskSpec(**DISK), tmp_path).set_index(["backbone", "which"])
    assert frame.loc[("bert-base", "full"), ["bytes", "origin"]].tolist() == [440_999_999, "measured"]
    assert frame.loc[("bert-base", "kept"), "origin"] == "computed"
    assert frame.loc[("vit-base", "kept"), ["bytes", "origin"]].tolist() == [252_999_999, "measured"]
    assert frame.loc[("vit-base", "full"), "origin"] == "computed"
    assert frame.loc[("bert-large", "stored"), ["layers", "bytes", "origin"]].tolist() == [4, 99, "measured"]
    assert frame.loc[("bert-base", "full"), "computed_bytes"] == store_bytes(20_314, 13, 768, 2048)


def test_the_layers_kept_are_those_that_runs_read_by_default(paper_world, tmp_path):
    settings = {"scientific": {"settings": {"all": {"layers": "even12+even3"}}}}
    config = load_config({"study": "paper", "datasets": settings})
    frame = gather(config, DiskSpec(**DISK), tmp_path)
    kept = frame[frame["which"] == "kept"].set_index("backbone")["layers"]
    assert dict(kept) == {"bert-base": 13, "bert-large": 13, "llama-3-70b-gptq": 13, "vit-base": 4}


def test_another_number_of_items_has_the_papers_below(write_counts, write_statistics, tmp_path):
    config = load_config()
    write_counts(config)
    write_statistics("demo", users=3, items=470, corpus_items=480, interactions=9, content=["text"])
    frame = gather(config, DiskSpec(**DISK), tmp_path)
    demo, paper = (frame[frame["dataset"] == name] for name in ("demo", "the paper's"))
    assert set(demo["items"]) == {480}
    assert demo["paper_bytes"].isna().all()
    assert {"bert", "bert-deep", "llama", "vit"} <= set(demo["backbone"])
    assert set(paper["backbone"]) == {"bert-base", "bert-large", "llama-3-70b-gptq", "vit-base"}
    assert paper["paper_bytes"].notna().sum() == 2


def test_the_papers_figures_stand_beside_its_data_set_though_the_corpus_has_more(
    paper_world, write_statistics, drawn, tmp_path
):
    write_statistics("scientific", users=3, items=20_314, corpus_items=20_825, interactions=9, content=["text"])
    frame = gather(paper_world, DiskSpec(**DISK), tmp_path)
    large = frame[(frame["backbone"] == "llama-3-70b-gptq") & (frame["which"] == "full")].set_index("dataset")
    assert large["items"].to_dict() == {"scientific": 20_825, "the paper's": 20_314}
    assert large["paper_bytes"].tolist() == [26e9, 26e9]
    assert large.loc["scientific", "bytes"] == store_bytes(20_825, 81, 8192, 256)
    page = drawn(paper_world, DiskSpec(**DISK), tmp_path)
    assert [axes.get_title(loc="left") for axes in page.axes] == ["Scientific: 20,825 items of its corpus"]


def test_no_store_but_the_demos_is_asked_for():
    spec = DiskSpec(**DISK)
    assert figure_needs(load_config({"study": "paper"}), spec) == [
        "results/scientific/statistics.json",
        "results/backbones.json",
    ]
    stores = [f"results/demo/hidden/title/{name}.json" for name in ("bert", "bert-deep", "llama")]
    needs = figure_needs(load_config(), spec)
    assert [path for path in needs if "hidden" in path] == [*stores, "results/demo/hidden/cover/vit.json"]


def test_a_store_that_is_there_later_draws_the_figure_anew(paper_world, write_store, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    spec = DiskSpec(**DISK)
    before = snakefile.figure_record(paper_world, spec)
    assert json.loads(before) == []
    write_store("scientific", "title", "bert-base", 20_314, 13, 440_999_999)
    assert json.loads(snakefile.figure_record(paper_world, spec)) == [
        ["results/scientific/hidden/title/bert-base.json", 440_999_999]
    ]
    assert figure_needs(paper_world, spec) == ["results/scientific/statistics.json", "results/backbones.json"]


def test_the_demos_stores_are_needs_and_so_in_no_record(write_store, tmp_path):
    write_store("demo", "title", "bert", 480, 13, 9)  # else making them would draw the figure twice
    assert disk_record(load_config(), DiskSpec(**DISK), tmp_path) == []


def test_measured_ones_are_filled_and_the_papers_are_marked(paper_world, write_store, drawn, tmp_path):
    write_store("scientific", "title", "bert-base", 20_314, 13, 440_999_999)
    page = drawn(paper_world, DiskSpec(**DISK), tmp_path)
    (axes,) = page.axes
    points = {
        (line.get_marker(), float(line.get_xdata()[0])): line for line in axes.lines if len(line.get_xdata()) == 1
    }
    assert points["o", 440_999_999].get_markerfacecolor() != "white"
    assert points["s", store_bytes(20_314, 7, 768, 2048)].get_markerfacecolor() == "white"
    assert ("x", 26e9) in points
    assert ("x", 2.4e9) in points
    labels = [entry.get_text() for entry in page.legends[0].get_texts()]
    assert {"measured (filled)", "computed (hollow)", "the paper's figure"} <= set(labels)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"paper_bytes": {"gemma-7b": {"full": 1}}}, "'gemma-7b' is in no group"),
        ({"groups": []}, "groups"),
        ({"paper_items": 0}, "paper_items"),
    ],
)
def test_a_malformed_figure_of_stores_is_refused(tmp_path, change, message):
    path = tmp_path / "figure.yaml"
    path.write_text(json.dumps({**DISK, **change}))
    with pytest.raises(ConfigError, match=message):
        load_figure(path)


def test_a_backbone_of_another_modality_has_no_store_here(paper_world):
    spec = DiskSpec(**{**DISK, "groups": [{"label": "V", "backbones": {"V": "videomae-base"}}], "paper_bytes": {}})
    with pytest.raises(ConfigError, match="'videomae-base' reads video"):
        figure_needs(paper_world, spec)


def test_a_manifest_without_arrays_is_refused(paper_world, tmp_path):
    path = tmp_path / artifacts.hidden("scientific", "title", "bert-base")
    path.parent.mkdir(parents=True)
    path.write_text('{"bytes": 3}')
    with pytest.raises(DataError, match=r"bert-base\.json: is no manifest of a store.*snakemake results/scientific"):
        gather(paper_world, DiskSpec(**DISK), tmp_path)


# -- both --------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["figure1", "figure6"])
@pytest.mark.parametrize("study", ["demo", "paper"])
def test_nothing_lies_on_anything(
    figure, write_counts, write_statistics, drawn, nothing_overlaps, tmp_path, name, study
):
    config = load_config({"study": study})
    write_counts(config)
    for dataset, items in (("demo", 480), ("scientific", 20_314)):
        write_statistics(dataset, users=3, items=items, corpus_items=items, interactions=9, content=["text"])
    nothing_overlaps(drawn(config, figure(name), tmp_path))


@pytest.mark.parametrize("name", ["figure1", "figure6"])
def test_made_twice_it_is_the_same_to_the_byte(figure, write_counts, write_statistics, tmp_path, name):
    config = load_config()
    write_counts(config)
    write_statistics("demo", users=3, items=480, corpus_items=480, interactions=9, content=["text"])
    first = [path.read_bytes() for path in make_figure(config, figure(name), tmp_path / "a", root=tmp_path)]
    assert first == [path.read_bytes() for path in make_figure(config, figure(name), tmp_path / "b", root=tmp_path)]
