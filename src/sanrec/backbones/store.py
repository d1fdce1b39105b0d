"""Zarr v3 stores of hidden states and of model-ready inputs: how they lie on disk, and reading them.

A store is a group of arrays whose first axis is the item, in the order of the corpus' items.parquet:

    hidden   hidden [item, layer, width] and final [item, width], uncompressed, float16 (or float32 throughout); the
             layers are all of the backbone's, or those that the manifest's settings list under `layers`
    inputs   integers per modality, compressed with zstd and bit shuffling
    both     valid [item] uint8: NOT_DONE, USED or MISSING (whose values are zeros)

The manifest `x.json` beside `x.zarr` is written when all is done: it says what made the store (its identity), what
it holds, and the SHA-256 of every file of it. Nothing here opens a store without its manifest, or gives what a file
holds that is another than the manifest says. `writing` makes them.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from sanrec.artifacts import checksums_of, store_of
from sanrec.errors import StoreError
from sanrec.files import read_json, sha256

if TYPE_CHECKING:
    import zarr

NOT_DONE, USED, MISSING = 0, 1, 2


def canonical(identity: Mapping[str, Any]) -> dict[str, Any]:
    """The identity as JSON gives it back: tuples become lists."""
    return json.loads(json.dumps(identity))


def fingerprint(identity: Mapping[str, Any]) -> str:
    """SHA-256 of an identity in canonical JSON."""
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()


def differences(stored: Mapping[str, Any], asked: Mapping[str, Any], prefix: str = "") -> list[str]:
    """Where two identities differ, as `settings.pooling: the store has 'mean', asked is 'first'`."""
    found = []
    for key in sorted({*stored, *asked}):
        old, new = stored.get(key), asked.get(key)
        if isinstance(old, Mapping) and isinstance(new, Mapping):
            found += differences(old, new, f"{prefix}{key}.")
        elif old != new:
            found.append(f"{prefix}{key}: the store has {old!r}, asked is {new!r}")
    return found


def read_manifest(manifest: str | Path) -> dict[str, Any]:
    """The manifest of a finished store. Raises StoreError where it, or a file it lists, is missing or cut short."""
    manifest = Path(manifest)
    if not manifest.is_file():
        raise StoreError(f"{manifest}: no such manifest: the store is not there or not finished. {_make(manifest)}")
    written, folder = read_json(manifest), Path(store_of(str(manifest)))
    size = 0
    for name in written["chunks"]:
        try:
            size += (folder / name).stat().st_size
        except OSError:
            raise StoreError(f"{folder}: the file {name} is missing. {_mend(manifest, name)}") from None
    if size != written["bytes"]:
        verify(manifest)  # says which
    return written


def check_settings(manifest: str | Path, asked: Mapping[str, Any]) -> None:
    """Refuse a store whose settings are others than `asked`: StoreError naming both values and what to do."""
    stored = read_manifest(manifest)["settings"]
    if found := differences(stored, canonical(asked)):
        raise StoreError(
            f"{manifest} was made by other settings: {'; '.join(found)}. Put the settings back, or remove "
            f"{manifest} and make it again: {_make(manifest)}"
        )


def verify(manifest: str | Path) -> None:
    """Compare every file of a store with its checksum. Raises StoreError naming the damaged and the missing ones."""
    written, folder = read_json(manifest), Path(store_of(str(manifest)))
    bad = [n for n, digest in written["chunks"].items() if not (folder / n).is_file() or sha256(folder / n) != digest]
    if bad:
        names = ", ".join(bad[:5]) + (f" and {len(bad) - 5} more" if len(bad) > 5 else "")
        raise StoreError(f"{folder}: {len(bad)} files are damaged or missing: {names}. {_mend(manifest, bad[0])}")


def _make(manifest: str | Path) -> str:
    return f"Make it with: snakemake {manifest} --cores"


def _mend(manifest: str | Path, name: str) -> str:
    """What to do about a damaged file: of a chunk the items are redone alone, where the checksums tell which it is."""
    folder, again = store_of(str(manifest)), f"snakemake {manifest} --cores"
    if "/c/" not in name or not Path(checksums_of(str(manifest))).is_file():
        return f"Remove {manifest} and {folder}, then: {again}"
    return f"Remove {manifest}, then only the items of this chunk are done again by: {again}"


def open_store(manifest: str | Path) -> "zarr.Group":
    """The arrays of a finished store, for reading: where that meets a damaged file, it raises StoreError."""
    import zarr

    from sanrec.backbones.checked import CheckedStore

    folder = store_of(str(manifest))

    def damaged(name: str) -> StoreError:
        return StoreError(f"{folder}: the file {name} is damaged or missing. {_mend(manifest, name)}")

    return zarr.open_group(CheckedStore(folder, read_manifest(manifest)["chunks"], damaged), mode="r", zarr_format=3)


def read_rows(array: Any, rows: np.ndarray | None = None, at: tuple[Any, ...] = ()) -> np.ndarray:
    """`array[rows]` (all where None) at `at` on the further axes, read chunk by chunk by slices."""
    if rows is None:
        return np.asarray(array[(slice(None), *at)])
    rows, step = np.asarray(rows), array.chunks[0]
    if rows.size and (rows.min() < 0 or rows.max() >= array.shape[0]):
        raise IndexError(f"rows {rows.min()} to {rows.max()} of a store of {array.shape[0]} items")
    out = np.empty((len(rows), *array[(slice(0, 0), *at)].shape[1:]), dtype=array.dtype)
    for chunk in np.unique(rows // step):
        places = np.flatnonzero(rows // step == chunk)
        inside = rows[places] - chunk * step
        first, last = inside.min(), inside.max() + 1
        block = np.asarray(array[(slice(int(chunk * step + first), int(chunk * step + last)), *at)])
        out[places] = block[inside - first]
    return out


def _listed(numbers: Sequence[int]) -> str:
    return ", ".join(map(str, numbers))


class HiddenStates:
    """A finished store of hidden states. Its manifest says the rest: `settings`, `versions`, `used`, `missing`.

    Layers are counted as the backbone counts them (0: embeddings), also where only some of them are stored.
    """

    def __init__(self, manifest: str | Path) -> None:
        self.path = Path(manifest)
        self.group = open_store(manifest)
        self.manifest = read_json(manifest)
        self.items, count, self.width = self.group["hidden"].shape
        self.dtype = self.group["hidden"].dtype
        settings = self.manifest["settings"]
        self.chunk_rows = int(self.group["hidden"].chunks[0])
        self.stored = tuple(settings.get("layers", range(count)))
        self.layers = settings["blocks"] + 1 if "layers" in settings else count

    def read_layers(self, layers: Sequence[int], rows: np.ndarray | None = None) -> np.ndarray:
        """Hidden states [item, L, width] of the layers (0: embeddings), of all items or of `rows` in their order.

        float16, or float32 where the store is. Missing items are zeros. Raises StoreError for layers that the backbone
        does not have, or that were not stored.
        """
        if wrong := [layer for layer in layers if not 0 <= layer < self.layers]:
            raise StoreError(f"{self.path} has layers 0 to {self.layers - 1}, not {_listed(wrong)}")
        if lacking := [layer for layer in layers if layer not in self.stored]:
            key = f"backbones.{self.manifest['settings']['backbone']}.kept_layers"
            raise StoreError(
                f"{self.path} holds layers {_listed(self.stored)} of the backbone's 0 to {self.layers - 1}, but asked "
                f"for is {_listed(lacking)} too. Set '{key}' in config.yaml to full, or to a rule or list that has "
                f"what runs read; then remove {self.path} and make it again. {_make(self.path)}"
            )
        count = self.items if rows is None else len(rows)
        out = np.empty((count, len(layers), self.width), dtype=self.dtype)
        for place, layer in enumerate(layers):
            out[:, place] = read_rows(self.group["hidden"], rows, (self.stored.index(layer),))
        return out

    def read_final(self, rows: np.ndarray | None = None) -> np.ndarray:
        """The pooled final states [item, width]."""
        return read_rows(self.group["final"], rows)

    def read_valid(self, rows: np.ndarray | None = None) -> np.ndarray:
        """USED or MISSING per item."""
        return read_rows(self.group["valid"], rows)


def open_hidden(manifest: str | Path, asked: Mapping[str, Any] | None = None) -> HiddenStates:
    """The hidden states of a manifest; with `asked`, refused where they were made by other settings (StoreError)."""
    if asked is not None:
        check_settings(manifest, asked)
    return HiddenStates(manifest)
