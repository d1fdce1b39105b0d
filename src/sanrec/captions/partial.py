"""What a captioning job has finished so far, so that a killed one goes on where it stopped.

One file beside the table to come: a first line that says what makes the captions, then one line per finished batch,
appended whole and forced to disk. A line that a kill cut short is dropped when the file is opened again, and its
batch done anew.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Batches = dict[int, list[dict[str, Any]]]
"""Rows by the position of the first item that they are of."""


def read_batches(path: Path, identity: Mapping[str, Any]) -> tuple[Batches, list[bytes]]:
    """The whole batches of a job's file and its good lines; none where other things made it, or it is not there."""
    head = json.dumps(identity, sort_keys=True).encode()
    lines = path.read_bytes().split(b"\n")[:-1] if path.is_file() else []
    batches: Batches = {}
    good = lines[:1] if lines[:1] == [head] else []
    for line in lines[1:] if good else []:
        try:
            batch = json.loads(line)
        except ValueError:
            break
        batches[batch["first"]] = batch["rows"]
        good.append(line)
    return batches, good or [head]


class Partial:
    """The finished batches of one job."""

    def __init__(self, path: str | Path, identity: Mapping[str, Any]) -> None:
        """Open the file of a job, to go on with it; one that other things made, or none, is begun anew."""
        self.path = Path(path)
        self.batches, good = read_batches(self.path, identity)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        whole = b"".join(line + b"\n" for line in good)
        with self.path.open("r+b" if self.path.is_file() else "wb") as file:
            if len(good) == 1:
                file.write(whole)
            file.truncate(len(whole))

    def add(self, first: int, rows: Sequence[Mapping[str, Any]]) -> None:
        """Keep the rows of a batch, whose first item stands at position `first` of the item table."""
        line = json.dumps({"first": first, "rows": list(rows)}, ensure_ascii=False)
        with self.path.open("ab") as file:
            file.write(line.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
        self.batches[first] = list(rows)

    def rows(self) -> list[dict[str, Any]]:
        """All rows that are there, in the order of the items."""
        return [row for first in sorted(self.batches) for row in self.batches[first]]

    def remove(self) -> None:
        """Take the file away: the table has everything."""
        self.path.unlink(missing_ok=True)
