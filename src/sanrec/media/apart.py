"""Decoding in processes of its own: a file that crashes its decoder, or keeps it busy for ever, costs itself alone.

The processes are started once and stay until the program ends; one that crashed, or was too slow, is replaced. Of
`sanrec`'s own steps they know neither torch nor the model; a script that calls these functions itself needs the usual
guard (`if __name__ == "__main__"`), since every new process imports it.
"""

import atexit
import multiprocessing
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import TimeoutError as TooSlow
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import TypeVar

from pebble import ProcessExpired, ProcessFuture, ProcessPool

from sanrec.media import MediaError

T = TypeVar("T")
LOOKED_AFTER = 2.0  # seconds between looks whether the program is still there
DECODER_MEMORY = 4 << 30
"""Bytes that a decoder may ask for beyond what its process has from the start; a file that wants more is a bad one."""


def begin(read: Callable[[str], T], file: str, workers: int, seconds: float) -> "ProcessFuture[T]":
    """Begin to read a file in one of `workers` processes, which has so many seconds; see `outcome`."""
    return _processes(workers).schedule(_read, (read, file, str(Path.cwd())), timeout=seconds)


def outcome(future: "ProcessFuture[T]", file: str, seconds: float) -> T | MediaError:
    """What came of it, or what is wrong with the file. Other errors than those of media are raised.

    What a busy machine may have done, and not the file, is `passing`: the time was up, or SIGKILL ended the decoder, as
    it does where memory is short.
    """
    try:
        return future.result()
    except TooSlow:
        return MediaError(file, f"decoding takes longer than {seconds:g} s", passing=True)
    except ProcessExpired as error:
        cause = _cause(error.exitcode)
        return MediaError(file, f"its decoder crashed ({cause})", passing=cause == "SIGKILL")


def _read(read: Callable[[str], T], file: str, folder: str) -> T | MediaError:
    """Read a file, whose path may be relative to where the program is by now."""
    os.chdir(folder)
    try:
        return read(file)
    except MediaError as error:
        return error
    except MemoryError:
        return MediaError(file, f"decoding takes more than {DECODER_MEMORY >> 30} GiB of memory")


def _cause(code: int | None) -> str:
    """An exit status in words: a signal's name, where one ended the process."""
    if code is not None and code < 0:
        with suppress(ValueError):
            return signal.Signals(-code).name
    return f"status {code}"


@cache
def _processes(workers: int) -> ProcessPool:
    # A fork of a program with threads may stop for ever; a process that starts bare cannot.
    way = "forkserver" if sys.platform == "linux" else "spawn"
    pool = ProcessPool(workers, initializer=_prepare, initargs=(os.getpid(),), context=multiprocessing.get_context(way))
    atexit.register(_end, pool)
    return pool


def _end(pool: ProcessPool) -> None:
    pool.stop()
    pool.join()


def _prepare(program: int) -> None:
    """What a new process of a program does first."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for the program, which ends its processes
    threading.Thread(target=_end_with, args=(program,), daemon=True).start()
    with suppress(ImportError, OSError, ValueError):
        import resource

        pages = int(Path("/proc/self/statm").read_text(encoding="ascii").split()[0])
        limit = pages * resource.getpagesize() + DECODER_MEMORY
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))


def _end_with(program: int) -> None:
    """End this process when the program has: one that is killed cannot end it, and a file may keep it busy for ever."""
    while True:
        time.sleep(LOOKED_AFTER)
        try:
            os.kill(program, 0)  # sends nothing
        except OSError:
            os._exit(1)
