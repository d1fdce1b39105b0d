"""Hidden states that exceed a memory budget: the items read most stay in memory, the others lie in a file.

Items differ much in how often they are met, so that a part of them serves most of a batch. What a step lacks is read in
the background while the step before it is computed. The numbers are those of `HiddenSource`, to the bit.

Shapes: I items, n items asked for, R of them resident, L_m kept layers and width D_m of channel m, N numbers of an
item: channel after channel, layer after layer.
"""

import os
import tempfile
import weakref
from collections.abc import Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import Tensor

from sanrec.backbones.store import USED
from sanrec.errors import SanrecError
from sanrec.models.backward import working_type
from sanrec.progress import bar
from sanrec.training.sources import CACHED_AT_ONCE, STATISTICS_ROWS, Source, scaled, statistics

if TYPE_CHECKING:
    from sanrec.backbones.store import HiddenStates

RESIDENT_SHARE = 0.75  # of the budget; the rest is left for what is read ahead
BATCHES_AHEAD = 2  # that wait to be asked for; older ones never will be
READERS = 4  # threads that wait for the disk


@dataclass(frozen=True)
class Layout:
    """What of an item's numbers is whose."""

    shapes: tuple[tuple[int, int], ...]
    """(L_m, D_m) of each channel."""
    dtype: torch.dtype

    @property
    def numbers(self) -> int:
        """N."""
        return sum(layers * width for layers, width in self.shapes)

    @property
    def item_bytes(self) -> int:
        """Bytes of an item."""
        return self.numbers * self.dtype.itemsize

    def split(self, flat_nN: Tensor) -> list[Tensor]:
        """[n, N] to one [L_m, n, D_m] per channel, without a copy."""
        sizes = [layers * width for layers, width in self.shapes]
        parts = flat_nN.split(sizes, 1)
        return [part.unflatten(1, shape).transpose(0, 1) for part, shape in zip(parts, self.shapes, strict=True)]


class BudgetedSource(Source):
    """Hidden states of all items, of which R are resident on the device and the others come from a file."""

    def __init__(self, layout: Layout, resident_RN: Tensor, places_I: np.ndarray, file: int, equal: bool) -> None:
        """`places` has each item's place in `resident`, or ~place in the file (open, its descriptor is owned here)."""
        self.layout, self.resident, self.places, self.file, self.equal = layout, resident_RN, places_I, file, equal
        self.items, self.at_once = len(places_I), CACHED_AT_ONCE
        self._readers = ThreadPoolExecutor(READERS, thread_name_prefix="hidden states")
        self._ahead: dict[bytes, tuple[Tensor, list[Future[None]]]] = {}
        weakref.finalize(self, _release, self._readers, file)  # also where it is let go of in the middle of a step

    def expect(self, items: Tensor) -> None:
        """Begin to read what of these items [n] is not resident."""
        wanted = items.cpu().numpy()
        self._ahead[wanted.tobytes()] = self._begin(wanted)
        while len(self._ahead) > BATCHES_AHEAD:
            self._ahead.pop(next(iter(self._ahead)))

    def gather(self, items: Tensor) -> Tensor | list[Tensor]:
        """[L, M, n, D] as `HiddenSource` gives it, or where channels are not equal one [L_m, n, D_m] each."""
        wanted = items.cpu().numpy()
        read_kN, reading = self._ahead.pop(wanted.tobytes(), None) or self._begin(wanted)
        places = torch.from_numpy(self.places[wanted - 1])
        here = places >= 0
        flat_nN = torch.empty(len(wanted), self.layout.numbers, dtype=self.layout.dtype, device=items.device)
        flat_nN[here.to(items.device)] = self.resident[places[here].to(items.device)]
        for part in reading:
            part.result()
        flat_nN[(~here).to(items.device)] = read_kN.to(items.device)
        parts = self.layout.split(flat_nN)
        if self.equal:
            layers, width = self.layout.shapes[0]
            return flat_nN.view(len(wanted), len(parts), layers, width).permute(2, 1, 0, 3)
        return [part.to(working_type(items.device)) for part in parts]

    def _begin(self, wanted: np.ndarray) -> tuple[Tensor, list[Future[None]]]:
        """Where the lacking items' numbers [k, N] will be, in the order asked for, and who reads them."""
        places = self.places[wanted - 1]
        lacking = ~places[places < 0]
        out_kN = torch.empty(len(lacking), self.layout.numbers, dtype=self.layout.dtype)
        target = out_kN.view(torch.uint8).numpy()
        parts = np.array_split(np.arange(len(lacking)), READERS)
        work = (self.file, self.layout.item_bytes, lacking, target)
        return out_kN, [self._readers.submit(_read, *work, part) for part in parts if len(part)]


def _read(file: int, size: int, places: np.ndarray, target: np.ndarray, part: np.ndarray) -> None:
    """Read some items into their rows of `target` [k, bytes]. Raises SanrecError where the file ends early."""
    for row in part:
        read = os.pread(file, size, int(places[row]) * size)
        if len(read) != size:
            raise SanrecError(
                "the file of the hidden states that exceed 'memory_budget' ends early: was the disk full?"
            )
        target[row] = np.frombuffer(read, np.uint8)


def _release(readers: ThreadPoolExecutor, file: int) -> None:
    """Let go of the file, and with it of its space on the disk, when nothing is being read any more."""
    readers.shutdown(cancel_futures=True)
    os.close(file)


@dataclass(frozen=True)
class Packed:
    """What is to be packed: each channel's store, its kept layers and its type in memory, and which rows of them."""

    stores: Sequence["HiddenStates"]
    kept: Sequence[Sequence[int]]
    rows: np.ndarray
    dtypes: Sequence[torch.dtype]
    standardize: bool

    @property
    def layout(self) -> Layout:
        """How an item's numbers lie; of several types the widest for all."""
        shapes = tuple((len(layers), store.width) for store, layers in zip(self.stores, self.kept, strict=True))
        return Layout(shapes, self.dtypes[0] if len(set(self.dtypes)) == 1 else torch.float32)

    def blocks(self) -> Iterator[tuple[int, Tensor]]:
        """Blocks of items, in order: the first one's place, and their numbers [n, N]."""
        pairs = list(zip(self.stores, self.kept, strict=True))
        scales = [_scales(store, layers, self.rows) if self.standardize else None for store, layers in pairs]
        dtype = self.layout.dtype
        with bar(total=len(self.rows), unit="item", desc="hidden states to disk") as shown:
            for some in self._by_chunk():
                parts, start = [], shown.n
                for (store, layers), scale in zip(pairs, scales, strict=True):
                    states_nLD, used = store.read_layers(layers, some), store.read_valid(some) == USED
                    for place, of_layer in enumerate(scale or ()):
                        states_nLD[:, place] = scaled(states_nLD[:, place], used, *of_layer)
                    parts.append(torch.from_numpy(states_nLD).flatten(1).to(dtype))
                yield start, torch.cat(parts, 1)
                shown.update(len(some))

    def _by_chunk(self) -> list[np.ndarray]:
        """The rows, which ascend, cut where the first store's chunks end, so that none is read twice."""
        return np.split(self.rows, np.flatnonzero(np.diff(self.rows // self.stores[0].chunk_rows)) + 1)


def load_budgeted(
    packed: Packed, often_I: np.ndarray, budget: int, folder: Path, device: torch.device, equal: bool
) -> BudgetedSource:
    """Keep the items that are met most often within `budget` bytes, and pack the others into a file in `folder`.

    `often` says how often each item is met; of equal frequency the first are taken. The file has no name, so that it is
    gone when the process ends, however that happens. Raises SanrecError where it cannot be written.
    """
    layout, items = packed.layout, len(packed.rows)
    count = min(items, int(budget * RESIDENT_SHARE) // layout.item_bytes)
    places = np.empty(items, dtype=np.int64)
    first = np.sort(np.argsort(-often_I, kind="stable")[:count])
    rest = np.setdiff1d(np.arange(items), first)
    places[first], places[rest] = np.arange(len(first)), ~np.arange(len(rest))
    resident_RN = torch.empty(count, layout.numbers, dtype=layout.dtype, device=device)
    new = not folder.exists()
    folder.mkdir(parents=True, exist_ok=True)
    try:
        with tempfile.TemporaryFile(dir=folder, prefix=".hidden-states-") as file:
            for start, flat_nN in packed.blocks():
                here = torch.from_numpy(places[start : start + len(flat_nN)] >= 0)
                taken = torch.from_numpy(places[start : start + len(flat_nN)][here.numpy()])
                resident_RN[taken.to(device)] = flat_nN[here].to(device)
                file.write(flat_nN[~here].view(torch.uint8).numpy())
            file.flush()
            descriptor = os.dup(file.fileno())
    except OSError as error:
        need = len(rest) * layout.item_bytes / 1e9
        raise SanrecError(
            f"{folder}: the hidden states beyond 'memory_budget' need {need:.1f} GB there while a run trains, and "
            f"cannot be written ({error.strerror}). Make room, or give a larger memory_budget"
        ) from error
    finally:
        if new:  # a measurement leaves no folder of a run behind
            with suppress(OSError):
                folder.rmdir()
    if hasattr(os, "posix_fadvise"):
        os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_RANDOM)
    return BudgetedSource(layout, resident_RN, places, descriptor, equal)


def _scales(store: "HiddenStates", layers: Sequence[int], rows: np.ndarray) -> list[tuple[np.ndarray, float]]:
    """Mean and spread of each layer, a few items in memory at a time."""
    used = store.read_valid(rows) == USED

    def blocks(layer: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for start in range(0, len(rows), STATISTICS_ROWS):
            some = slice(start, start + STATISTICS_ROWS)
            yield store.read_layers([layer], rows[some])[:, 0], used[some]

    return [statistics(blocks(layer)) for layer in layers]
