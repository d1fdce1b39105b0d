"""Making Zarr stores: unit by unit, so that a killed job goes on where it stopped. `store` says how they lie on disk.

Rows are written in units of `unit_rows`; `valid` of a unit is written last, and a unit is finished when it holds no
NOT_DONE. zarr writes each chunk under a temporary name, so that a kill leaves no half of one.
"""

import contextlib
import shutil
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import sanrec
from sanrec.artifacts import store_of
from sanrec.backbones.store import MISSING, NOT_DONE, USED, canonical, differences, fingerprint
from sanrec.errors import StoreError
from sanrec.files import sha256, write_json

if TYPE_CHECKING:
    import zarr

COMPRESSED_CHUNK_BYTES = 4 << 20  # a batch reads items here and there: a chunk should cost milliseconds
LIBRARIES = ("torch", "transformers", "zarr", "numpy", "pillow", "av", "librosa", "soxr")


@dataclass(frozen=True)
class ArrayPlan:
    """One array to make: type and shape per item, shape of a chunk, and whether chunks are compressed."""

    dtype: str
    shape: tuple[int, ...]
    chunk: tuple[int, ...]
    compressed: bool = False


def hidden_plan(layers: int, width: int, unit_rows: int, dtype: str = "float16") -> dict[str, ArrayPlan]:
    """The arrays of a store of hidden states: one layer of one unit to a chunk, as the towers read them."""
    return {
        "hidden": ArrayPlan(dtype, (layers, width), (unit_rows, 1, width)),
        "final": ArrayPlan(dtype, (width,), (unit_rows, width)),
    }


def inputs_plan(arrays: Mapping[str, tuple[str, tuple[int, ...]]], unit_rows: int) -> dict[str, ArrayPlan]:
    """The arrays of a store of model-ready inputs, in chunks of about COMPRESSED_CHUNK_BYTES, whole units at most."""
    plan = {}
    for name, (dtype, shape) in arrays.items():
        item_bytes = np.dtype(dtype).itemsize * int(np.prod(shape, dtype=np.int64))
        rows = min(unit_rows, max(1, COMPRESSED_CHUNK_BYTES // item_bytes))
        while unit_rows % rows:  # a chunk never crosses a unit
            rows -= 1
        plan[name] = ArrayPlan(dtype, shape, (rows, *shape), compressed=True)
    return plan


def open_for_writing(
    manifest: str | Path, identity: Mapping[str, Any], items: int, plan: Mapping[str, ArrayPlan], unit_rows: int
) -> "tuple[zarr.Group, bool]":
    """The store of `manifest`, opened to go on where it stopped, or made new; and whether it was there.

    A store without a manifest is unfinished, or its manifest was taken away so that it be made anew: with the same
    identity it is gone on with, with another it is replaced. One with a manifest is finished: with another identity
    it is never touched, but refused with a StoreError that names the differences.
    """
    import zarr

    manifest, folder, identity = Path(manifest), Path(store_of(str(manifest))), canonical(identity)
    stored = None
    if folder.exists():
        try:
            group = zarr.open_group(folder, mode="r+", zarr_format=3)
            stored = dict(group.attrs).get("identity")
        except Exception:  # half a store, or something else of that name: as good as none
            stored = None
    if stored is not None and stored == identity:
        return group, True
    if manifest.exists() and folder.exists():
        what = differences(stored or {}, identity) or ["what made it cannot be read"]
        raise StoreError(
            f"{folder} was made by other settings: {'; '.join(what)}. Put the settings back, or remove {manifest} "
            "to have the store made anew"
        )
    manifest.unlink(missing_ok=True)  # it vouches for a store that is gone
    create(folder, identity, items, plan, unit_rows)
    return zarr.open_group(folder, mode="r+", zarr_format=3), False


def create(
    folder: Path, identity: Mapping[str, Any], items: int, plan: Mapping[str, ArrayPlan], unit_rows: int
) -> None:
    """Make an empty store under a temporary name and put it in place, replacing what is there."""
    import zarr
    from zarr.codecs import BloscCodec

    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        attributes = {"identity": canonical(identity), "unit_rows": unit_rows}
        group = zarr.open_group(temporary, mode="w", zarr_format=3, attributes=attributes)
        valid = {"valid": ArrayPlan("uint8", (), (unit_rows,))}
        for name, array in {**plan, **valid}.items():
            group.create_array(
                name,
                shape=(items, *array.shape),
                dtype=array.dtype,
                chunks=array.chunk,
                compressors=BloscCodec(cname="zstd", clevel=5, shuffle="bitshuffle") if array.compressed else None,
                fill_value=0,
            )
        temporary.chmod(0o755)
        if folder.exists():
            shutil.rmtree(folder)
        temporary.rename(folder)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def unfinished(group: "zarr.Group") -> list[range]:
    """The rows of each unit that is still to do, in order."""
    rows, valid = int(group.attrs["unit_rows"]), np.asarray(group["valid"][:])
    starts = range(0, len(valid), rows)
    return [range(a, min(a + rows, len(valid))) for a in starts if (valid[a : a + rows] == NOT_DONE).any()]


def write_unit(group: "zarr.Group", rows: range, arrays: Mapping[str, np.ndarray], valid: np.ndarray) -> None:
    """Write one whole unit, its validity last."""
    for name, values in {**arrays, "valid": valid}.items():
        # an all-zero chunk would else be no file, as a lost one is; zarr does not keep this setting in the store
        array = group[name].with_config({"write_empty_chunks": True})
        array[rows.start : rows.stop] = values


def finish(manifest: str | Path, kind: str, more: Mapping[str, Any] | None = None) -> dict[str, Any]:
    """Write the manifest of a store whose units are all done. Returns it."""
    import zarr

    folder = Path(store_of(str(manifest)))
    group = zarr.open_group(folder, mode="r", zarr_format=3)
    valid = np.asarray(group["valid"][:])
    if (valid == NOT_DONE).any():
        raise StoreError(f"{folder}: {(valid == NOT_DONE).sum()} items are not done yet")
    identity = group.attrs["identity"]
    files = sorted(p for p in folder.rglob("*") if p.is_file() and not p.name.endswith(".partial"))
    written = {
        "kind": kind,
        "store": folder.name,
        "arrays": {name: {"shape": list(a.shape), "dtype": str(a.dtype)} for name, a in sorted(group.arrays())},
        **identity,
        "fingerprint": fingerprint(identity),
        "unit_rows": group.attrs["unit_rows"],
        "items": len(valid),
        "used": int((valid == USED).sum()),
        "missing": int((valid == MISSING).sum()),
        **(more or {}),
        "versions": _versions(),
        "bytes": sum(p.stat().st_size for p in files),
        "chunks": {p.relative_to(folder).as_posix(): sha256(p) for p in files},
    }
    write_json(manifest, written)
    return written


def _versions() -> dict[str, str]:
    """Versions of sanrec and of the libraries that decide the numbers, as far as they are installed."""
    found = {"sanrec": sanrec.__version__}
    for name in LIBRARIES:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
