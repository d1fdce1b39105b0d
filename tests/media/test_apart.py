"""Files that crash or detain their decoder. For a reader stands `exec`, and for a file the code that it runs."""

import signal
import subprocess
import sys
import time

import psutil
import pytest
from PIL import Image

from sanrec.backbones.sources import Reading, Sources, read_ahead
from sanrec.media import MediaError, apart
from sanrec.media.image import read_image

GOOD = "1"


def read(code: str, seconds: float = 20):
    future = apart.begin(exec, code, 2, seconds)
    return apart.outcome(future, code, seconds)


def test_a_file_that_crashes_its_decoder_costs_itself_alone():
    crashing = f"import os; os.kill(os.getpid(), {int(signal.SIGSEGV)})"
    values = [GOOD, crashing, GOOD, "import os; os._exit(3)", GOOD, crashing, *[GOOD] * 6]
    sources = Sources("cover", [str(k) for k in range(len(values))], values)
    found = dict(read_ahead(sources, range(len(values)), Reading(exec, 2, 20), 4))
    bad = {row: error.reason for row, error in found.items() if isinstance(error, MediaError)}
    assert bad == {
        1: "its decoder crashed (SIGSEGV)",
        3: "its decoder crashed (status 3)",
        5: "its decoder crashed (SIGSEGV)",
    }
    assert list(found) == list(range(len(values)))


def test_a_file_that_decodes_for_ever_is_given_up():
    started = time.monotonic()
    error = read("while True: pass", 1.0)
    assert isinstance(error, MediaError)
    assert error.reason == "decoding takes longer than 1 s"
    assert time.monotonic() - started < 10
    assert read(GOOD) is None  # the next one finds a process


@pytest.mark.skipif(sys.platform != "linux", reason="the limit is set where /proc is")
def test_a_file_that_wants_all_memory_is_given_up():
    assert "GiB of memory" in read(f"x = bytearray({apart.DECODER_MEMORY + (1 << 30)})").reason


def test_an_error_that_is_no_bad_medium_is_raised():
    with pytest.raises(ZeroDivisionError):
        read("1 / 0")


def test_what_is_wrong_with_a_file_comes_back_in_words(tmp_path):
    file = str(tmp_path / "a.jpg")
    error = apart.outcome(apart.begin(read_image, file, 2, 20), file, 20)
    assert (error.file, error.reason) == (file, "no such file")


def test_relative_paths_are_those_of_the_program_wherever_it_goes(tmp_path, monkeypatch):
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
        monkeypatch.chdir(tmp_path / name)
        Image.new("RGB", (8, 8)).save("a.png")
        found = apart.outcome(apart.begin(read_image, "a.png", 2, 20), "a.png", 20)
        assert found.size == (8, 8)


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere they end with their file")
def test_a_killed_program_leaves_no_process(tmp_path):
    code = (
        "from sanrec.media import apart\n"
        "if __name__ == '__main__':\n"
        "    future = apart.begin(exec, 'import os; print(os.getpid(), flush=True)', 1, 60)\n"
        "    apart.outcome(future, '', 60)\n"
        "    apart.outcome(apart.begin(exec, 'import time; time.sleep(600)', 1, 600), '', 600)\n"
    )
    script = tmp_path / "program.py"
    script.write_text(code)
    program = subprocess.Popen([sys.executable, str(script)], stdout=subprocess.PIPE, text=True)
    with program.stdout as said:
        worker = int(said.readline())
    time.sleep(0.5)
    program.kill()
    program.wait()
    until = time.monotonic() + 20
    while alive(worker) and time.monotonic() < until:
        time.sleep(0.2)
    assert not alive(worker)


def alive(process: int) -> bool:
    try:
        return psutil.Process(process).status() != psutil.STATUS_ZOMBIE  # ended, though nobody looked at it yet
    except psutil.NoSuchProcess:
        return False


def at_first(path, what: str) -> str:
    """Code that does something the first time that it is run, and nothing the next."""
    return f"import os, pathlib; p = pathlib.Path({str(path)!r}); first = not p.exists(); p.touch()\nif first: {what}"


@pytest.mark.parametrize(
    ("what", "reason"),
    [
        ("os.kill(os.getpid(), 9)", "its decoder crashed (SIGKILL)"),
        ("__import__('time').sleep(60)", "decoding takes longer than 3 s"),
    ],
)
def test_a_fault_that_may_be_the_machine_s_is_tried_once_more(tmp_path, what, reason):
    once, always = at_first(tmp_path / "mark", what), what.replace("os.", "__import__('os').")
    sources = Sources("cover", ["a", "b", "c"], [once, always, GOOD])
    found = dict(read_ahead(sources, range(3), Reading(exec, 2, 3), 4))
    assert found[0] is found[2] is None
    assert (found[1].reason, found[1].passing) == (reason, True)


def test_a_fault_of_the_file_is_not_tried_again(tmp_path):
    crashing = at_first(tmp_path / "mark", "os.kill(os.getpid(), 11)")
    found = dict(read_ahead(Sources("cover", ["a"], [crashing]), range(1), Reading(exec, 2, 20), 4))
    assert (found[0].reason, found[0].passing) == ("its decoder crashed (SIGSEGV)", False)
