"""The batches that a captioner has described, which a killed job, and one over more items, goes on from.

One file beside the table: a first line that says what makes the captions, then one line per batch with the fingerprint
of what it was made from, appended whole and forced to disk. A line that a kill cut short is dropped when the file is
opened again, and its batch done anew; so is a batch whose items are others now. Snakemake removes a table before it is
made again, but not this file, which it does not know.
"""

import json
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

Batches = dict[int, list[dict[str, Any]]]
"""Rows by the position of the first item that they are of."""


def read_batches(path: Path, identity: Mapping[str, Any], data: Mapping[int, str]) -> tuple[Batches, list[bytes]]:
    """The batches of a file that were made from `data`, fingerprints by first item, and its good lines.

    None where other things made the file, or it is not there.
    """
    head = json.dumps(identity, sort_keys=True).encode()
    lines = path.read_bytes().split(b"\n")[:-1] if path.is_file() else []
    batches: Batches = {}
    good = lines[:1] if lines[:1] == [head] else []
    for line in lines[1:] if good else []:
        try:
            batch = json.loads(line)
        except ValueError:
            break
        if data.get(batch["first"]) == batch["data"]:
            batches[batch["first"]] = batch["rows"]
        good.append(line)
    return batches, good or [head]


class Partial:
    """The finished batches of one job."""

    def __init__(self, path: str | Path, identity: Mapping[str, Any], data: Mapping[int, str]) -> None:
        """Open the file of a job, to go on with it; one that other things made, or none, is begun anew."""
        self.path, self.data = Path(path), data
        self.batches, good = read_batches(self.path, identity, data)
        self.path.parent.mkdir(parents=True, exist_ok=True)
        whole = b"".join(line + b"\n" for line in good)
        with self.path.open("r+b" if self.path.is_file() else "wb") as file:
            if len(good) == 1:
                file.write(whole)
            file.truncate(len(whole))

    def add(self, batches: Mapping[int, Sequence[Mapping[str, Any]]]) -> None:
        """Keep the rows of batches, each by the position of its first item in the item table."""
        lines = [
            json.dumps({"first": first, "data": self.data[first], "rows": list(rows)}, ensure_ascii=False)
            for first, rows in batches.items()
        ]
        with self.path.open("ab") as file:
            file.write("".join(f"{line}\n" for line in lines).encode())
            file.flush()
            os.fsync(file.fileno())
        self.batches |= {first: list(rows) for first, rows in batches.items()}

    def rows(self) -> list[dict[str, Any]]:
        """All rows that are there, in the order of the items."""
        return [row for first in sorted(self.batches) for row in self.batches[first]]
