"""The configuration: unknown things are refused with the nearest valid name, and overrides touch what they name."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from sanrec import artifacts, snakefile
from sanrec.config import Config, Settings
from sanrec.errors import ConfigError
from sanrec.load import load_config
from sanrec.methods import METHODS
from sanrec.schema import config_page, config_schema

ROOT = Path(__file__).parents[1]


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"studdy": "demo"}, "unknown key 'studdy': did you mean 'study'"),
        ({"study": "papper"}, "unknown study 'papper' in config: key 'study': did you mean 'paper'"),
        ({"device": "gpu"}, "device"),
        ({"threads": {"trian": 2}}, "unknown key 'threads.trian': did you mean 'threads.train'"),
        ({"corpora": {"demo": {"coverz": "x"}}}, "corpora.demo.*unknown key 'coverz': did you mean 'covers'"),
        ({"corpora": {"mine": {"title": "Mine"}}}, "corpora.mine.*layout: Field required"),
        ({"corpora": {"demo": {"downloads": [{"file": "a", "ulrs": []}]}}}, "did you mean 'downloads.0.urls'"),
        ({"datasets": {"demo": {"corpus": "dem"}}}, "unknown corpus 'dem'.*did you mean 'demo'"),
        ({"datasets": {"demo": {"backbones": {"title": "brt"}}}}, "unknown backbone 'brt'.*did you mean 'bert'"),
        ({"studies": {"x": {"title": "X", "datasets": ["demmo"]}}}, "unknown dataset 'demmo'.*did you mean 'demo'"),
        ({"studies": {"demo": {"stand_ins": {"brt-base": "bert"}}}}, "unknown backbone 'brt-base'.*stand_ins"),
        ({"studies": {"demo": {"stand_ins": {"bert-base": "brt"}}}}, "unknown backbone 'brt'.*stand_ins.bert-base"),
        ({"studies": {"demo": {"stand_ins": {"bert-base": "vit"}}}}, "'vit' does not read what 'bert-base' reads"),
        ({"studies": {"paper": {"without": ["bert-hug"]}}}, "unknown backbone 'bert-hug'.*studies.paper.without"),
        ({"backbones": {"bert-base": {"kept_layers": "odd"}}}, "backbones.bert-base: kept_layers"),
        ({"backbones": {"bert-base": {"dtype": "float8"}}}, "backbones.bert-base: dtype"),
        ({"backbones": {"bert-base": {"revision": "main"}}}, "revision"),
        ({"seeds": "many"}, "seeds"),
        ({"seeds": [-1]}, "seeds.0"),
        ({"datasets": {"demo": {"backbones": {"titel": "bert"}}}}, "unknown channel 'titel'.*did you mean 'title'"),
        ({"datasets": {"demo": {"backbones": {"cover": "bert"}}}}, "backbones.cover: 'bert' reads text, not image"),
        ({"corpora": ["demo"]}, "'corpora' holds entries by name"),
        ({"corpora": {"demo": "here"}}, "corpora.demo holds keys and values"),
    ],
)
def test_bad_values_are_refused_saying_what_and_where(values, message):
    with pytest.raises(ConfigError, match=f"(?s){message}"):
        load_config(values)


def test_an_override_touches_one_key():
    plain, changed = load_config(), load_config({"corpora": {"microlens": {"folder": "/elsewhere"}}})
    assert changed.corpora["microlens"].folder == "/elsewhere"
    before = plain.corpora["microlens"]
    assert changed.corpora["microlens"].model_copy(update={"folder": before.folder}) == before
    assert changed.datasets == plain.datasets


def test_seeds_from_snakemakes_command_line_arrive_as_text():
    assert load_config({"seeds": ["1", "2"]}).chosen_study.seeds == (1, 2)
    assert load_config().chosen_study.seeds == load_config().studies["demo"].seeds


def test_a_hub_backbone_without_a_revision_is_refused_where_it_is_asked_for():
    config = load_config({"backbones": {"bert-base": {"revision": None}}})
    said = r"backbones\.bert-base: .*is pinned to no revision"
    with pytest.raises(ConfigError, match=said):
        snakefile.checkpoint_record(config, "bert-base")
    with pytest.raises(ConfigError, match=said):
        artifacts.run_needs(config, artifacts.run(config, "scientific", "iisan", "TI"))
    assert artifacts.run_needs(config, artifacts.run(config, "demo", "iisan", "TI"))
    assert snakefile.checkpoint_record(config, "vit-base")


def test_keys_that_came_later_make_no_store_anew_where_they_are_not_set():
    plain = load_config()
    keys = set(json.loads(snakefile.backbone_record(plain, "bert-base")))
    assert not keys & {"kept_layers", "dtype", "quantization", "gated", "device_map"}
    changed = load_config({"backbones": {"bert-base": {"kept_layers": "even", "gated": True, "device_map": "auto"}}})
    assert set(json.loads(snakefile.backbone_record(changed, "bert-base"))) - keys == {"kept_layers"}


def test_the_config_cannot_change():
    config = load_config()
    with pytest.raises(Exception, match="frozen"):
        config.study = "paper"


def test_missing_and_malformed_files(tmp_path):
    with pytest.raises(ConfigError, match="no such config file"):
        load_config(tmp_path / "none.yaml")
    (tmp_path / "bad.yaml").write_text("a: [1")
    with pytest.raises(ConfigError, match="not valid yaml"):
        load_config(tmp_path / "bad.yaml")
    (tmp_path / "list.yaml").write_text("- a")
    with pytest.raises(ConfigError, match="expected keys and values"):
        load_config(tmp_path / "list.yaml")


def test_the_shipped_config_and_its_schema():
    values = yaml.safe_load((ROOT / "config.yaml").read_text())
    assert load_config(ROOT / "config.yaml").study == "demo"
    explained = (ROOT / "config.yaml").read_text()
    assert all(key in explained for key in Config.model_fields)
    assert set(values) <= set(Config.model_fields)
    assert (ROOT / "workflow/schemas/config.schema.json").read_text() == config_schema() + "\n", (
        "make it anew: sanrec schema > workflow/schemas/config.schema.json"
    )
    assert json.loads(config_schema())["additionalProperties"] is False
    assert (ROOT / "docs/config.md").read_text() == config_page(), "make it anew: sanrec config-page > docs/config.md"


def test_methods_name_settings_that_exist_and_have_builders():
    from sanrec.models.registry import BUILDERS

    assert {name for name, method in METHODS.items() if method.trains == "sequences"} == set(BUILDERS)
    for method in METHODS.values():
        assert set(method.valid_settings) <= set(Settings.model_fields)
        assert set(method.defaults) - {"user_encoder"} <= set(
            method.valid_settings
        )  # called after theirs, they keep it
    named = {name for method in METHODS.values() for name in method.valid_settings}
    assert named == set(Settings.model_fields)


def test_the_light_part_imports_nothing_heavy():
    code = (
        "import sys, sanrec, sanrec.cli, sanrec.snakefile, sanrec.load\n"
        "print([m for m in ('torch', 'transformers', 'pandas', 'numpy', 'zarr', 'av', 'scipy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_all_is_what_the_study_has_data_sets_for():
    """A user's study with one list of data sets asks for no table of the others."""
    mine = {"title": "Mine", "datasets": ["demo"]}
    tables = snakefile.tables(ROOT / "workflow/tables")
    asked = snakefile.shown(load_config({"study": "mine", "studies": {"mine": mine}}), tables)
    assert asked == [name for name in tables if "/" not in name]
    assert snakefile.shown(load_config({"study": "paper"}), tables) == list(tables)
