"""What a log says of its step: at work, done, or failed and why."""

import pytest

from sanrec import cli
from sanrec.cli import done_line
from sanrec.errors import ConfigError
from sanrec.workflow.logs import read_log


def run(monkeypatch, tmp_path, error=None):
    def step(config, args):
        if error:
            raise error

    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SANREC_CONFIG", raising=False)
    monkeypatch.setitem(cli.COMMANDS, "popularity", (step, ("dataset",)))
    cli.main(["--log", "step.log", "popularity", "demo"])
    return read_log("step.log")


def test_a_step_that_went_well_says_so_in_the_last_line(monkeypatch, tmp_path):
    log = run(monkeypatch, tmp_path)
    assert log.done
    assert log.last == done_line("popularity", 0)
    assert log.error == ""


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (ConfigError("no such thing"), "no such thing"),
        (ConfigError("two\nlines"), "two lines"),
        (RuntimeError("a bug"), "RuntimeError: a bug"),
    ],
)
def test_a_step_that_failed_says_why(monkeypatch, tmp_path, error, told):
    log = run(monkeypatch, tmp_path, error)
    assert not log.done
    assert log.error == told
    assert log.ended


def test_a_step_without_an_end_is_at_work_or_was_killed(tmp_path):
    path = tmp_path / "x.log"
    path.write_text(
        "$ sanrec train x\nloop: going on from epoch 3\ntraining: 4/20 epoch (20 %), 01:00 gone, 04:00 left\n"
    )
    log = read_log(path)
    assert not log.ended
    assert log.last.startswith("training: 4/20 epoch")


def test_other_programs_logs_and_none_at_all_say_nothing(tmp_path):
    (tmp_path / "x.log").write_text("hello\n")
    assert read_log(tmp_path / "x.log") is None
    assert read_log(tmp_path / "y.log") is None


def test_only_the_end_of_a_long_log_is_read(tmp_path):
    path = tmp_path / "x.log"
    path.write_text("$ sanrec train x\n" + "x: 1/2 item\n" * 10_000 + done_line("train", 61) + "\n")
    assert read_log(path).last == "sanrec train: done in 0:01:01"
