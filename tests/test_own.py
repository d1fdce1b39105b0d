"""Encoders of the user's own: their records, what their code is known by, and loading it."""

import subprocess
import sys
from pathlib import Path

import pytest

from sanrec import artifacts, snakefile
from sanrec.errors import ConfigError
from sanrec.load import load_config
from sanrec.own import code_digest, load_own, own_fingerprint
from sanrec.spaces import space

CODE = "def build(shape, settings, **options):\n    return shape, settings, options\n\n\nsize = 3\n"
CONFIG = {
    "methods": {"mine": {"title": "Mine", "code": "mine.py:build", "settings": ["dropout", "adapter_width"]}},
    "user_encoders": {"decay": {"code": "mine.py:build"}},
}


@pytest.fixture(autouse=True)
def folder(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("mine.py").write_text(CODE)
    return tmp_path


def configured(**changes):
    method = CONFIG["methods"]["mine"] | changes
    return load_config(CONFIG | {"methods": {"mine": method}})


def test_an_own_method_has_runs_with_its_settings_and_those_of_reading():
    config = configured()
    run = artifacts.run(config, "demo", "mine", "TI", {"adapter_width": 8, "feature_layer": 2})
    assert run.variant == "adapter_width=8,feature_layer=2"
    assert artifacts.parse_run(config, run.metrics) == run
    assert run.settings.missing == "zeros"
    assert artifacts.run_needs(config, run)[0] == "results/demo/interactions.parquet"
    assert "adapter_width" not in space("mine", method=run.spec)
    assert {"learning_rate", "dropout"} <= space("mine", method=run.spec).keys()
    hidden = configured(reads="hidden", settings=[])
    assert artifacts.run(hidden, "demo", "mine", "TI", "layers=top6").spec.reads == "hidden"
    with pytest.raises(ConfigError, match="unknown setting 'adapter_width'"):
        artifacts.run(hidden, "demo", "mine", "TI", "adapter_width=8")
    with pytest.raises(ConfigError, match="unknown model 'mind': did you mean 'mine'"):
        artifacts.run(config, "demo", "mind", "TI")


def test_ids_and_numbers_of_inputs_are_as_the_record_says():
    config = configured(ids=True, fewest_channels=0, most_channels=1)
    assert artifacts.run(config, "demo", "mine", "ID").features == ()
    with pytest.raises(ConfigError, match="takes at least 0 beside ids"):
        artifacts.run(config, "demo", "mine", "ID+TI")


def test_an_own_user_encoder_is_a_value_of_the_setting():
    config = configured()
    run = artifacts.run(config, "demo", "crossan", "TI", "user_encoder=decay")
    assert run.settings.user_encoder == "decay"
    with pytest.raises(ConfigError, match=r"unknown user encoder 'decai'.*did you mean 'decay'"):
        artifacts.run(config, "demo", "crossan", "TI", "user_encoder=decai")
    fixed = configured(defaults={"user_encoder": "decay"})
    assert artifacts.run(fixed, "demo", "mine", "TI").settings.user_encoder == "decay"
    with pytest.raises(ConfigError, match="unknown setting 'user_encoder'"):
        artifacts.run(fixed, "demo", "mine", "TI", "user_encoder=gru4rec")


def params(config, model="mine", variant="default"):
    from types import SimpleNamespace

    wildcards = SimpleNamespace(dataset="demo", model=model, inputs="TI", variant=variant, seed="0")
    return snakefile.run_settings(config, wildcards)


def test_a_changed_file_changes_what_its_runs_depend_on_and_no_others():
    config = configured()
    plain, others, users = params(config), params(config, "frozen"), params(config, "frozen", "user_encoder=decay")
    run = artifacts.run(config, "demo", "mine", "TI")
    before = own_fingerprint(config, run)
    assert before
    assert own_fingerprint(config, artifacts.run(config, "demo", "frozen", "TI")) == ""
    assert params(configured(options={"size": 3})) != plain
    assert params(configured(title="Another name")) == plain
    Path("elsewhere.py").write_text(CODE)
    assert params(configured(code="elsewhere.py:build")) == plain  # the same code
    Path("mine.py").write_text(CODE + "\n")
    assert params(config) != plain
    assert own_fingerprint(config, run) != before
    assert params(config, "frozen", "user_encoder=decay") != users
    assert params(config, "frozen") == others


def test_a_module_is_known_by_all_files_of_its_package(folder):
    (folder / "towers/deep").mkdir(parents=True)
    for name, text in (("__init__", "raise RuntimeError('imported')"), ("one", CODE), ("deep/two", "")):
        (folder / f"towers/{name}.py").write_text(text)
    first = code_digest("towers.one:build", "methods.mine")  # without importing
    (folder / "towers/deep/two.py").write_text("# another")
    assert code_digest("towers.one:build", "methods.mine") != first


def test_loading_a_file_and_a_module(folder):
    build = load_own("mine.py:build", "methods.mine")
    assert build(1, 2, size=3) == (1, 2, {"size": 3})
    Path("mine.py").write_text(CODE.replace("return shape", "return 2 * shape"))
    assert load_own("mine.py:build", "methods.mine")(1, 2) == (2, 2, {})
    (folder / "own_towers_of_test").mkdir()
    (folder / "own_towers_of_test/__init__.py").write_text("")
    (folder / "own_towers_of_test/one.py").write_text(CODE)
    assert load_own("own_towers_of_test.one:build", "methods.mine")(1, 2) == (1, 2, {})


@pytest.mark.parametrize(
    ("code", "message"),
    [
        ("none.py:build", r"methods.mine.code: there is no file .*none.py"),
        ("mine.py:bild", "unknown class or function 'bild' in mine.py: did you mean 'build'"),
        ("mine.py:size", "unknown class or function 'size'"),
        ("broken.py:build", "broken.py, line 2: "),
        ("no_such_package_here.one:build", "there is no module 'no_such_package_here.one'"),
        ("json.nowhere:build", "there is no module 'json.nowhere'"),
    ],
)
def test_code_that_is_not_there_says_so(code, message):
    Path("broken.py").write_text("a = 1\ndef :\n")
    with pytest.raises(ConfigError, match=message):
        load_own(code, "methods.mine")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"methods": {"crossan": CONFIG["methods"]["mine"]}}, "'crossan' is built in"),
        ({"user_encoders": {"gru4rec": {"code": "mine.py:build"}}}, "'gru4rec' is built in"),
        ({"methods": {"a/b": CONFIG["methods"]["mine"]}}, "methods: 'a/b' is no name"),
        ({"methods": {"mine": CONFIG["methods"]["mine"] | {"settings": ["dropuot"]}}}, "did you mean 'dropout'"),
        ({"methods": {"mine": CONFIG["methods"]["mine"] | {"code": "mine.py"}}}, "methods.mine.code"),
        ({"methods": {"mine": {"title": "Mine"}}}, "methods.mine.code"),
        ({"methods": {"mine": CONFIG["methods"]["mine"] | {"defaults": {"dropout": 3}}}}, "'mine'"),
    ],
)
def test_records_that_make_no_sense(values, message):
    with pytest.raises(ConfigError, match=message):
        load_config(values)


def test_what_the_snakefile_reads_runs_none_of_it():
    Path("mine.py").write_text("raise RuntimeError('it was run')\n" + CODE)
    Path("config.yaml").write_text(
        "methods: {mine: {title: Mine, code: 'mine.py:build'}}\nuser_encoders: {decay: {code: 'mine.py:build'}}\n"
    )
    code = (
        "import sys\nfrom types import SimpleNamespace as S\nfrom sanrec import snakefile, load\n"
        "config = load.load_config('config.yaml')\n"
        "w = S(dataset='demo', model='mine', inputs='TI', variant='user_encoder=decay', seed='0')\n"
        "print(snakefile.run_settings(config, w))\n"
        "print([m for m in ('torch', 'transformers', 'pandas', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "[]"
