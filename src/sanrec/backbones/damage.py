"""What of a store is lost, cut short or changed, so that the units it belongs to, and no others, are done again."""

import logging
import struct
from itertools import product
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from sanrec.artifacts import checksums_of, store_of
from sanrec.backbones.store import NOT_DONE
from sanrec.errors import StoreError
from sanrec.files import read_json, sha256

if TYPE_CHECKING:
    import zarr

BLOSC_HEADER = struct.Struct("<4B3I")
"""What a compressed chunk begins with; the last number is how many bytes it has."""

log = logging.getLogger(__name__)


def lost_units(group: "zarr.Group") -> set[int]:
    """The first rows of the units that have a chunk which is not there, or not of its full length."""
    unit_rows, root, lost = int(group.attrs["unit_rows"]), Path(group.store.root, group.path), set()
    for name, array in group.arrays():
        size = None if array.compressors else int(np.prod(array.chunks)) * array.dtype.itemsize
        counts = [-(-length // chunk) for length, chunk in zip(array.shape, array.chunks, strict=True)]
        for place in product(*map(range, counts)):
            if not _is_whole(root.joinpath(name, "c", *map(str, place)), size):
                lost.add(place[0] * array.chunks[0] // unit_rows * unit_rows)
    return lost


def _is_whole(chunk: Path, size: int | None) -> bool:
    """Whether a chunk's file has its bytes: `size` of them, or where it is compressed as many as it says itself."""
    try:
        length = chunk.stat().st_size
        if size is not None:
            return length == size
        with chunk.open("rb") as file:
            header = file.read(BLOSC_HEADER.size)
        return len(header) == BLOSC_HEADER.size and BLOSC_HEADER.unpack(header)[-1] == length
    except FileNotFoundError:
        return False


def read_validity(group: "zarr.Group") -> np.ndarray:
    """NOT_DONE, USED or MISSING per item of an unfinished store: NOT_DONE in a unit of which a chunk is lost."""
    array, rows, lost = group["valid"], int(group.attrs["unit_rows"]), lost_units(group)
    valid = np.full(array.shape, NOT_DONE, array.dtype)
    for start in range(0, len(valid), rows):
        if start not in lost:
            valid[start : start + rows] = array[start : start + rows]
    return valid


def drop_damaged(manifest: str | Path, group: "zarr.Group") -> None:
    """Take away the validity of each unit of which a chunk is another than when the store was finished.

    Without checksums, which a store has from when it was finished to when it is written to again, nothing is done.
    Raises StoreError where it is the description of an array that was damaged.
    """
    checksums, folder = Path(checksums_of(str(manifest))), Path(store_of(str(manifest)))
    if not checksums.is_file():
        return
    changed = [
        name
        for name, digest in read_json(checksums).items()
        if name != "zarr.json" and (folder / name).is_file() and sha256(folder / name) != digest
    ]
    for name in changed:
        array, _, place = name.partition("/c/")
        if not place:
            raise StoreError(
                f"{folder}: the file {name} is damaged. Remove {manifest} and {folder}, then: snakemake {manifest} "
                "--cores"
            )
        unit = int(place.split("/")[0]) * group[array].chunks[0] // int(group.attrs["unit_rows"])
        log.warning("%s: the file %s is damaged: the items of its unit are done again", folder, name)
        (folder / "valid" / "c" / str(unit)).unlink(missing_ok=True)
    if changed:
        Path(manifest).unlink(missing_ok=True)
    if changed or lost_units(group):  # it is written to from here on
        checksums.unlink()
