"""Processes of their own for what is measured, so that nothing is left warm by another and memory is their own."""

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from io import UnsupportedOperation
from pathlib import Path
from typing import TextIO

from sanrec.config import Config
from sanrec.files import write_text


def in_own_process(config: Config, words: Sequence[str]) -> int:
    """Run a subcommand of sanrec, with this very config, in another process; its exit status. It shares the log.

    Without what spares memory at the price of time: figures are measured as the papers' methods are, all in memory.
    """
    config = config.model_copy(update={"memory_budget": None, "activation_checkpointing": False})
    with tempfile.TemporaryDirectory(prefix="sanrec-measure-") as folder:
        settings = Path(folder, "config.yaml")
        write_text(settings, config.model_dump_json())  # JSON is yaml
        command = [sys.executable, "-m", "sanrec", "--config", str(settings), *words]
        return subprocess.run(command, stderr=_stream(sys.stderr), check=False).returncode  # noqa: S603 - our own


def _stream(stream: TextIO) -> TextIO | None:
    """The stream, where another process can write to it, so that progress lands in the log; else None."""
    try:
        stream.fileno()
    except (AttributeError, OSError, UnsupportedOperation):
        return None
    return stream
