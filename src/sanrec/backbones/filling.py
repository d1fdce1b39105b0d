"""Filling a store unit by unit from what is read in the background; the same for hidden states and inputs."""

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import TYPE_CHECKING, Any

import numpy as np

from sanrec.backbones.side_by_side import SideBySide
from sanrec.backbones.sources import Integers, MissingMedia, Sources, read_ahead
from sanrec.backbones.store import MISSING, USED
from sanrec.backbones.writing import unfinished, write_unit
from sanrec.media import MediaError
from sanrec.progress import bar

if TYPE_CHECKING:
    import zarr

    from sanrec.backbones.readers import ModelInputs

FLOAT16_LARGEST = float(np.finfo(np.float16).max)


class HalfPrecisionError(Exception):
    """A value is too large for the store's float16."""


def fill(
    group: "zarr.Group",
    sources: Sources,
    inputs: "ModelInputs",
    missing: MissingMedia,
    values: Callable[[list[int], Integers], dict[str, np.ndarray]],
    batch_size: int,
    threads: int,
    by_length: bool,
    passes: SideBySide | None = None,
) -> None:
    """Write every unit that is not finished: `values` turns the rows and integers of a batch into what is stored.

    With `by_length`, the unit's items are batched by their number of tokens, so that little is padding. `passes` has
    several batches computed at a time. Raises DataError where more items are missing than allowed, HalfPrecisionError
    where float16 does not hold a value.
    """
    passes = passes or SideBySide(1, 1)
    todo = unfinished(group)
    missing.add_absent()
    recall_missing(group, todo, sources, inputs, missing, threads)
    rows_to_do = [row for unit in todo for row in unit]
    ahead = (passes.count + 1) * batch_size + threads
    done = len(sources) - len(rows_to_do)
    with (
        passes,
        closing(read_ahead(sources, rows_to_do, inputs.read, threads, ahead)) as reading,
        bar(total=len(sources), initial=done, unit="item", desc=sources.channel) as progress,
    ):
        for unit in todo:
            valid = np.full(len(unit), MISSING, dtype=np.uint8)
            arrays = {
                name: np.zeros((len(unit), *array.shape[1:]), dtype=array.dtype)
                for name, array in group.arrays()
                if name != "valid"
            }
            work = batches(reading, unit, missing, batch_size, by_length, progress.update)
            for (rows, _), stored in passes.run(lambda batch: values(*batch), work):
                places = np.array(rows) - unit.start
                for name, found in stored.items():
                    if arrays[name].dtype == np.float16 and (largest := float(np.abs(found).max())) > FLOAT16_LARGEST:
                        raise HalfPrecisionError(f"a state of {largest:.6g} leaves float16's range")
                    arrays[name][places] = found
                valid[places] = USED
            write_unit(group, unit, arrays, valid)


def batches(
    reading: Iterator[tuple[int, Integers | MediaError]],
    unit: range,
    missing: MissingMedia,
    size: int,
    by_length: bool,
    count: Callable[[int], Any],
) -> Iterator[tuple[list[int], Integers]]:
    """The unit's readable rows in batches, with their integers stacked [n, ...]; the others go to `missing`."""
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
    group: "zarr.Group", todo: list[range], sources: Sources, inputs: "ModelInputs", missing: MissingMedia, threads: int
) -> None:
    """Find out again why items of units that an earlier job finished are missing: the report lists all of them."""
    open_rows = {row for unit in todo for row in unit}
    rows = [int(r) for r in np.flatnonzero(group["valid"][:] == MISSING) if int(r) not in open_rows]
    for row, found in read_ahead(sources, rows, inputs.read, threads, 2 * threads):
        known = found if isinstance(found, MediaError) else MediaError(sources.values[row], "did not decode before")
        missing.add(row, known)
