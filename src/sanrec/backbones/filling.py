"""Filling a store unit by unit from what is read in the background; the same for hidden states and inputs."""

from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sanrec.backbones.damage import read_validity
from sanrec.backbones.shards import WHOLE, Shard
from sanrec.backbones.side_by_side import SideBySide
from sanrec.backbones.sources import Integers, MissingMedia, Reading, Sources, read_ahead
from sanrec.backbones.store import MISSING, USED
from sanrec.backbones.writing import to_do, write_unit
from sanrec.media import MediaError
from sanrec.progress import bar

if TYPE_CHECKING:
    import zarr

HALF = ".partial"  # how zarr's local store ends the name of a file until it is whole
FLOAT16_LARGEST = float(np.finfo(np.float16).max)


class HalfPrecisionError(Exception):
    """A value is too large for the store's float16."""


def fill(
    group: "zarr.Group",
    sources: Sources,
    reading: Reading,
    missing: MissingMedia,
    values: Callable[[list[int], Integers], dict[str, np.ndarray]],
    batch_size: int,
    by_length: bool,
    passes: SideBySide | None = None,
    shard: Shard = WHOLE,
) -> None:
    """Write every unit that is not finished: `values` turns the rows and integers of a batch into what is stored.

    With `by_length`, the unit's items are batched by their number of tokens, so that little is padding. `passes` has
    several batches computed at a time, `shard` says which units are this job's. Of a unit that grew, what was there
    stays. Raises DataError where more items are missing than allowed, HalfPrecisionError where float16 does not hold a
    value.
    """
    passes = passes or SideBySide(1, 1)
    unit_rows = int(group.attrs["unit_rows"])
    todo = {unit: rows for unit, rows in to_do(group) if shard.owns(unit.start // unit_rows)}
    missing.add_absent()
    if shard == WHOLE:  # the list is whoever's who finishes the store
        found = recall_missing(group, [row for rows in todo.values() for row in rows], sources, reading, missing)
        for row in found:  # its whole unit, so that its batches are those of a job without that fault
            start = row // unit_rows * unit_rows
            unit = range(start, min(start + unit_rows, len(sources)))
            todo[unit] = list(unit)
    todo = dict(sorted(todo.items(), key=lambda one: one[0].start))
    rows_to_do = [row for rows in todo.values() for row in rows]
    ahead = (passes.count + 1) * batch_size + reading.workers
    if by_length:  # a unit is batched when all of it is read: the next one meanwhile
        ahead = max(ahead, unit_rows)
    total = len(sources) if shard == WHOLE else len(rows_to_do)
    with (
        passes,
        closing(read_ahead(sources, rows_to_do, reading, ahead)) as items,
        bar(total=total, initial=total - len(rows_to_do), unit="item", desc=sources.channel) as progress,
        Writer() as writer,
    ):
        for unit, rows_left in todo.items():
            arrays = _as_it_is(group, unit, new=len(rows_left) == len(unit))
            valid = arrays.pop("valid")
            valid[np.array(rows_left) - unit.start] = MISSING
            work = batches(items, rows_left, missing, batch_size, by_length, progress.update)
            for (rows, _), stored in passes.run(lambda batch: values(*batch), work):
                places = np.array(rows) - unit.start
                for name, found in stored.items():
                    if arrays[name].dtype == np.float16 and (largest := float(np.abs(found).max())) > FLOAT16_LARGEST:
                        raise HalfPrecisionError(f"a state of {largest:.6g} leaves float16's range")
                    arrays[name][places] = found
                valid[places] = USED
            writer.write(group, unit, arrays, valid)


class Writer:
    """A context in which units are written in the background, one at a time, while the next is computed."""

    def __enter__(self) -> "Writer":
        self._thread = ThreadPoolExecutor(1, thread_name_prefix="write")
        self._under_way: Future[None] | None = None
        return self

    def __exit__(self, *error: object) -> None:
        self._thread.shutdown()
        if error == (None, None, None):
            self._wait()

    def write(self, *unit: Any) -> None:
        """Begin to write a unit (see `write_unit`), when the one before is there. Raises what went wrong with that."""
        self._wait()
        self._under_way = self._thread.submit(_write_cleanly, *unit)

    def _wait(self) -> None:
        if self._under_way is not None:
            self._under_way.result()


def _write_cleanly(group: "zarr.Group", rows: range, *values: Any) -> None:
    """Write a unit, and take away what a job that was killed there had half written: zarr never comes back to it."""
    for name, array in group.arrays():
        chunks, each = Path(group.store.root, group.path, name, "c"), array.chunks[0]
        for place in range(rows.start // each, -(-rows.stop // each)):
            for half in (*chunks.glob(f"{place}.*{HALF}"), *chunks.glob(f"{place}/**/*{HALF}")):
                half.unlink()
    write_unit(group, rows, *values)


def _as_it_is(group: "zarr.Group", unit: range, new: bool) -> dict[str, np.ndarray]:
    """A unit's arrays as they are in the store, or zeros where all of it is new."""
    if new:
        return {name: np.zeros((len(unit), *array.shape[1:]), dtype=array.dtype) for name, array in group.arrays()}
    return {name: np.array(array[unit.start : unit.stop]) for name, array in group.arrays()}


def batches(
    reading: Iterator[tuple[int, Integers | MediaError]],
    unit: Sequence[int],
    missing: MissingMedia,
    size: int,
    by_length: bool,
    count: Callable[[int], Any],
) -> Iterator[tuple[list[int], Integers]]:
    """The readable ones of a unit's rows in batches, with their integers stacked [n, ...]; others go to `missing`."""
    waiting: list[tuple[int, Integers]] = []

    def stacked(some: list[tuple[int, Integers]]) -> tuple[list[int], Integers]:
        return [row for row, _ in some], {name: np.stack([one[name] for _, one in some]) for name in some[0][1]}

    for _ in unit:
        row, found = next(reading)
        if isinstance(found, MediaError):
            missing.add(row, found)
        else:
            waiting.append((row, found))
        count(1)
        if len(waiting) == size and not by_length:
            yield stacked(waiting)
            waiting = []
    if by_length:
        waiting.sort(key=lambda one: int(one[1]["length"]))
    for start in range(0, len(waiting), size):
        yield stacked(waiting[start : start + size])


def recall_missing(
    group: "zarr.Group",
    todo: Sequence[int],
    sources: Sources,
    reading: Reading,
    missing: MissingMedia,
) -> list[int]:
    """Find out again why items that an earlier job finished are missing: the report lists all of them.

    Returns those that can be read now: what was wrong with them was not their file.
    """
    open_rows, readable = set(todo), []
    rows = [int(r) for r in np.flatnonzero(read_validity(group) == MISSING) if int(r) not in open_rows]
    for row, found in read_ahead(sources, rows, reading, 2 * reading.workers):
        if isinstance(found, MediaError):
            missing.add(row, found)
        else:
            readable.append(row)
    return readable
