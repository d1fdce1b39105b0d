"""The command line: exit status, log, and the hub switched off for all but the steps that fetch."""

import os
import subprocess
import sys

import pytest

from sanrec import cli
from sanrec.errors import ConfigError


@pytest.fixture
def step(monkeypatch, tmp_path):
    """Replace a step by one that notes the environment, or raises what it is told to."""
    monkeypatch.chdir(tmp_path)
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "SANREC_CONFIG"):
        monkeypatch.setenv(name, "x")  # so that it is put back afterwards
        monkeypatch.delenv(name)
    seen = {}

    def install(name, error=None):
        def run(config, args):
            seen.update(os.environ)
            if error:
                raise error

        monkeypatch.setitem(cli.COMMANDS, name, (run, cli.COMMANDS[name][1]))
        return seen

    return install


@pytest.mark.parametrize("name", sorted(set(cli.COMMANDS) - set(cli.WITH_NETWORK)))
def test_every_other_step_runs_with_the_hub_off(step, name):
    seen = step(name)
    arguments = [argument.rstrip("+?*") for argument in cli.COMMANDS[name][1] if not argument.startswith("--")]
    assert cli.main([name, *arguments]) == 0
    assert seen["HF_HUB_OFFLINE"] == "1"


@pytest.mark.parametrize("name", cli.WITH_NETWORK)
def test_steps_that_fetch_may_reach_the_hub(step, name):
    seen = step(name)
    assert cli.main([name, "demo"]) == 0
    assert "HF_HUB_OFFLINE" not in seen


def test_an_error_of_the_users_is_one_line_in_both_places_and_a_status(step, tmp_path, capsys):
    step("download", ConfigError("no such thing"))
    assert cli.main(["--log", "a/b.log", "download", "demo"]) == 1
    assert capsys.readouterr().err == "sanrec download: no such thing\n"
    assert (
        tmp_path / "a/b.log"
    ).read_text() == "$ sanrec --log a/b.log download demo\nsanrec download: no such thing\n"


def test_any_other_error_leaves_its_traceback_in_the_log(step, tmp_path, capsys):
    step("download", RuntimeError("a bug"))
    assert cli.main(["--log", "b.log", "download", "demo"]) == 1
    assert capsys.readouterr().err == "sanrec download failed; the whole message is in b.log\n"
    assert "RuntimeError: a bug" in (tmp_path / "b.log").read_text()


def test_options_take_one_value_and_may_be_left_out():
    given = cli.parser().parse_args(["status", "a", "b", "--format", "json"])
    assert (given.targets, given.format, given.study) == (["a", "b"], "json", None)
    assert cli.parser().parse_args(["status"]).targets == []


def test_an_unknown_subcommand_is_refused(capsys):
    with pytest.raises(SystemExit):
        cli.main(["trian", "x"])
    assert "invalid choice: 'trian'" in capsys.readouterr().err


def test_a_table_of_no_paper_is_asked_for_without_a_reference():
    both = [cli.parser().parse_args(["table", "spec", *rest]) for rest in (["out"], ["figures", "out"])]
    assert [(args.spec, args.reference, args.output) for args in both] == [
        ("spec", None, "out"),
        ("spec", "figures", "out"),
    ]


def test_help_imports_no_library_that_takes_long():
    """It is asked for often, and answers at once: the commands import what they need when they run."""
    code = "import sys, sanrec.cli; sanrec.cli.parser(); print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert not {"torch", "pandas", "numpy", "pydantic", "yaml"} & set(done.stdout.split())
