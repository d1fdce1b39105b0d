"""Progress in files: whole lines, seldom, with rate and remaining time; nothing that only a terminal understands."""

import io
import re
import sys

import pytest

from sanrec import progress
from sanrec.progress import LogLines, bar, inner_bar


class Clock:
    """A clock that goes on by hand, for tqdm and for the lines' own pace."""

    def __init__(self, monkeypatch):
        self.now = 1000.0
        monkeypatch.setattr(progress.time, "monotonic", lambda: self.now)
        monkeypatch.setattr("tqdm.std.time", lambda: self.now)

    def __iadd__(self, seconds):
        self.now += seconds
        return self


@pytest.fixture
def clock(monkeypatch):
    return Clock(monkeypatch)


@pytest.fixture
def lines(capsys):
    def written():
        text = capsys.readouterr().err
        assert not re.search(r"[\r\x1b]", text)
        assert text == "" or text.endswith("\n")
        return text.splitlines()

    return written


def test_a_line_a_minute_and_one_at_the_end(clock, lines):
    with bar(total=600, unit="item", desc="video", smoothing=0) as shown:
        for _ in range(200):  # 200 seconds
            clock += 1
            shown.update(3)
    assert lines() == [
        "video: 180/600 item (30 %), 01:00 gone, 02:20 left, 3.00item/s",
        "video: 360/600 item (60 %), 02:00 gone, 01:20 left, 3.00item/s",
        "video: 540/600 item (90 %), 03:00 gone, 00:20 left, 3.00item/s",
        "video: 600/600 item in 03:20, 3.00item/s",
    ]


def test_what_ends_within_a_minute_says_only_that(clock, lines):
    for _ in bar(range(4), unit="epoch", desc="training"):
        clock += 2
    assert lines() == ["training: 4/4 epoch in 00:08, 2.00s/epoch"]


def test_a_step_inside_another_is_told_of_only_while_it_takes_long(clock, lines):
    for seconds in (1, 30):
        for _ in inner_bar(range(5), unit="step", desc="epoch 1"):
            clock += seconds
    assert lines() == [
        "epoch 1: 2/5 step (40 %), 01:00 gone, 01:30 left, 30.00s/step",
        "epoch 1: 4/5 step (80 %), 02:00 gone, 00:30 left, 30.00s/step",
    ]


def test_figures_stand_behind_and_sizes_are_short(clock, lines):
    with bar(total=4e9, unit="B", unit_scale=True, desc="x.bin") as shown:
        clock += 80
        shown.set_postfix({"loss": "1.2"}, refresh=False)
        shown.update(1e9)
    assert lines()[0] == "x.bin: 1.00G/4.00G B (25 %), 01:20 gone, 04:00 left, 12.5MB/s, loss=1.2"


def test_without_a_total_there_is_no_share_and_nothing_left(clock, lines):
    with bar(unit="B", unit_scale=True, desc="y.bin") as shown:
        clock += 80
        shown.update(4e9)
    assert lines() == ["y.bin: 4.00G B in 01:20, 50.0MB/s"] * 2


def test_a_library_that_asks_for_a_line_all_the_time_gets_one_a_minute(clock, lines):
    shown = LogLines(total=0, unit="B", unit_scale=True, desc="Downloading bytes", bar_format="{l_bar}{bar}")
    for _ in range(90):
        clock += 1
        shown.total += 100
        shown.update(100)
        shown.refresh()
    shown.close()
    shown.close()
    assert len(lines()) == 2


def test_on_a_terminal_it_is_a_bar(clock, monkeypatch):
    class Terminal(io.StringIO):
        def isatty(self):
            return True

    stream = Terminal()
    monkeypatch.setattr(sys, "stderr", stream)
    for _ in bar(range(3), desc="seen"):
        clock += 1
    assert "\r" in stream.getvalue()
    assert "3/3" in stream.getvalue()
