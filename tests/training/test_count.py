"""`sanrec count` at the papers' real widths, from the registry alone: nothing is downloaded, no weight allocated."""

import pytest

from sanrec import artifacts, cli
from sanrec.backbones.checkpoints import empty_backbone
from sanrec.errors import ConfigError
from sanrec.load import load_config
from sanrec.training.count import count_parameters

TABLE_4 = {
    ("full", "TI", "default"): 194_897_216,
    ("adapter", "TI", "default"): 38_017_088,
    ("lora", "TI", "default"): 37_992_512,
    ("iisan-e", "TIVA", "default"): 58_432_824,  # best: width 1024
    ("iisan-e", "TIVA", "adapter_width=512"): 30_889_784,  # CROSSAN's width
    ("crossan", "TIVA", "default"): 24_733_200,
}


def run(model, inputs, variant="default", dataset="microlens-100k"):
    return artifacts.run(load_config(), dataset, model, inputs, variant)


@pytest.mark.parametrize(("row", "expected"), TABLE_4.items(), ids=["-".join(row) for row in TABLE_4])
def test_the_rows_of_table_4(row, expected, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)  # no checkpoint lies here
    assert sum(count_parameters(load_config(), run(*row)).values()) == expected


def test_the_parts_of_crossan(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert count_parameters(load_config(), run("crossan", "TIVA")) == {
        "gates": 7 * 4 * 5,
        "adapters": 7 * 4 * (768 * 512 + 512 + 512 * 768 + 768),
        "heads": 4 * (768 * 768 + 768 + 768 * 64 + 64),
        "fusion": 4 * 64 * 4 + 4 + 4 * (64 * 64 + 64),
        "user encoder": 100_224,
    }


def test_it_prints_parts_and_names_the_difference_to_the_paper(tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    paths = [run("crossan", "TIVA").folder, run("full", "TI").metrics]
    assert cli.main(["count", *paths]) == 0
    printed = capsys.readouterr().out
    assert "trainable     24,733,200" in printed
    assert "8,256 higher" in printed
    assert "Linear(128, 64)" in printed
    assert "title@bert-base  108,891,648" in printed
    assert printed.count("higher") == 1


@pytest.mark.parametrize(("inputs", "dataset"), [("TI", "microlens-100k"), ("TIVA", "demo")])
def test_no_figure_of_the_paper_is_claimed_for_another_system(inputs, dataset, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert cli.main(["count", run("crossan", inputs, dataset=dataset).folder]) == 0
    assert "higher" not in capsys.readouterr().out


def test_a_tuned_backbone_of_unknown_architecture_says_what_to_do(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with pytest.raises(ConfigError, match=r"snakemake results/checkpoints/bert\.json --cores"):
        count_parameters(load_config(), run("full", "TI", dataset="demo"))


def test_an_architecture_of_another_size_is_refused(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = load_config({"backbones": {"bert-base": {"width": 512}}})
    with pytest.raises(ConfigError, match=r"width is 512, but checkpoint .* has 768"):
        count_parameters(config, artifacts.run(config, "microlens-100k", "full", "TI"))


@pytest.mark.parametrize("name", [name for name, b in load_config().backbones.items() if b.source == "hub"])
def test_every_backbone_of_the_hub_is_built_without_a_download(name, tmp_path):
    """With the depth and width that the registry says, which `empty_backbone` checks."""
    backbone = load_config().backbones[name]
    model = empty_backbone(tmp_path / f"{name}.json", backbone, name)
    assert all(parameter.is_meta for parameter in model.parameters())
