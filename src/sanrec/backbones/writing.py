"""Making Zarr stores: unit by unit, so that a killed job goes on where it stopped. `store` says how they lie on disk.

Rows are written in units of `unit_rows`; `valid` of a unit is written last, and a unit is finished when it holds no
NOT_DONE. zarr writes each chunk under a temporary name, so that a kill leaves no half of one. A store whose corpus got
more items at its end grows: what is there stays.
"""

import contextlib
import shutil
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

import sanrec
from sanrec.artifacts import checksums_of, store_of
from sanrec.backbones.damage import drop_damaged, read_validity
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
    manifest: str | Path,
    identity: Mapping[str, Any],
    items: int,
    plan: Mapping[str, ArrayPlan],
    unit_rows: int,
    of_first: Callable[[int], Mapping[str, Any]] | None = None,
) -> "tuple[zarr.Group, bool]":
    """The store of `manifest`, opened to go on where it stopped, or made new; and whether it was there.

    A store without a manifest is unfinished, or its manifest was taken away so that it be made anew: with the same
    identity it is gone on with, with another it is replaced. One with a manifest is finished: with another identity
    it is never touched, but refused with a StoreError that names the differences. Both grow instead where they are of
    the first n of these items: `of_first` gives the identity of these (None: never).
    """
    import zarr

    manifest, folder, identity = Path(manifest), Path(store_of(str(manifest))), canonical(identity)
    stored = None
    if folder.exists():
        try:
            group = zarr.open_group(folder, mode="r+", zarr_format=3)
            if "made_with" in group.attrs:  # else sanrec did not write it
                stored = dict(group.attrs).get("identity")
        except Exception:  # half a store, or something else of that name: as good as none
            stored = None
    if stored is not None and stored == identity and _fits(group, items, plan):
        drop_damaged(manifest, group)
        if _versions() not in group.attrs["made_with"]:
            group.attrs["made_with"] = [*group.attrs["made_with"], _versions()]
        return group, True
    checksums = Path(checksums_of(str(manifest)))
    if stored is not None and _grows(group, stored, items, plan, of_first):
        drop_damaged(manifest, group)
        manifest.unlink(missing_ok=True)
        checksums.unlink(missing_ok=True)
        _grow(group, identity, items)
        return zarr.open_group(folder, mode="r+", zarr_format=3), True
    if manifest.exists() and folder.exists():
        what = differences(stored or {}, identity) or ["what made it cannot be read"]
        raise StoreError(
            f"{folder} was made by other settings: {'; '.join(what)}. Put the settings back, or remove {manifest} "
            "to have the store made anew"
        )
    for vouching in (manifest, checksums):  # for a store that is gone
        vouching.unlink(missing_ok=True)
    create(folder, identity, items, plan, unit_rows)
    return zarr.open_group(folder, mode="r+", zarr_format=3), False


def open_begun(manifest: str | Path, identity: Mapping[str, Any]) -> "zarr.Group":
    """The store of `manifest` that another job began, to fill a part of it. Raises StoreError where it is another."""
    import zarr

    folder = Path(store_of(str(manifest)))
    if not folder.is_dir():
        raise StoreError(f"{folder}: not begun yet; `snakemake {manifest} --cores` begins it before its parts are made")
    group = zarr.open_group(folder, mode="r+", zarr_format=3)
    if found := differences(dict(group.attrs).get("identity", {}), canonical(identity)):
        raise StoreError(
            f"{folder} was begun with other settings: {'; '.join(found)}. Remove the files of its parts beside it "
            f"(shards/) and have it begun anew: snakemake {manifest} --cores"
        )
    return group


def _item_count(group: "zarr.Group") -> int:
    """How many items a store's identity speaks of, also where a kill left some arrays longer already."""
    return int(group.attrs.get("items", group["valid"].shape[0]))


def _grows(
    group: "zarr.Group",
    stored: Mapping[str, Any],
    items: int,
    plan: Mapping[str, ArrayPlan],
    of_first: Callable[[int], Mapping[str, Any]] | None,
) -> bool:
    """Whether a store is of the first of these items, and else as asked."""
    count = _item_count(group)
    if of_first is None or count >= items or stored != canonical(of_first(count)):
        return False
    shapes = {name: array.shape[1:] for name, array in group.arrays() if name != "valid"}
    return shapes == {name: array.shape for name, array in plan.items()}


def _grow(group: "zarr.Group", identity: Mapping[str, Any], items: int) -> None:
    """Make room for more items. Killed in the middle, it is done again: the identity is changed last, at once."""
    group.attrs["items"] = _item_count(group)
    for _, array in group.arrays():
        array.resize((items, *array.shape[1:]))
    group.update_attributes({"identity": identity, "items": items})


def _fits(group: "zarr.Group", items: int, plan: Mapping[str, ArrayPlan]) -> bool:
    """Whether the store has the arrays of the plan, in float16 or in the float32 that took its place."""
    shapes = {name: tuple(array.shape) for name, array in group.arrays() if name != "valid"}
    return shapes == {name: (items, *array.shape) for name, array in plan.items()}


def create(
    folder: Path, identity: Mapping[str, Any], items: int, plan: Mapping[str, ArrayPlan], unit_rows: int
) -> None:
    """Make an empty store under a temporary name and put it in place, replacing what is there."""
    import zarr
    from zarr.codecs import BloscCodec

    folder.parent.mkdir(parents=True, exist_ok=True)
    temporary = Path(tempfile.mkdtemp(dir=folder.parent, prefix=f".{folder.name}."))
    try:
        attributes = {"identity": canonical(identity), "unit_rows": unit_rows, "made_with": [_versions()]}
        attributes["items"] = items
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
        # The old store goes aside whole before it is deleted: a kill must not leave half of it under its name.
        aside = temporary.with_name(f"{temporary.name}.old")
        if folder.exists():
            folder.rename(aside)
        temporary.rename(folder)
        shutil.rmtree(aside, ignore_errors=True)
    finally:
        shutil.rmtree(temporary, ignore_errors=True)


def unfinished(group: "zarr.Group") -> list[range]:
    """The rows of each unit that is still to do, in order: not finished, or with a chunk that was lost or cut since."""
    return [unit for unit, _ in to_do(group)]


def to_do(group: "zarr.Group") -> list[tuple[range, list[int]]]:
    """Each unit that is still to do, and which of its rows: those NOT_DONE, or all where a chunk is lost or cut."""
    rows, valid = int(group.attrs["unit_rows"]), read_validity(group)
    units = [range(start, min(start + rows, len(valid))) for start in range(0, len(valid), rows)]
    left = [(unit, [row for row in unit if valid[row] == NOT_DONE]) for unit in units]
    return [(unit, rows_left) for unit, rows_left in left if rows_left]


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
    if left := unfinished(group):
        raise StoreError(f"{folder}: {sum(map(len, left))} items are not done yet, or their chunks are gone")
    valid = np.asarray(group["valid"][:])
    identity = group.attrs["identity"]
    files = sorted(p for p in folder.rglob("*") if p.is_file() and not p.name.endswith(".partial"))
    checksums = {p.relative_to(folder).as_posix(): sha256(p) for p in files}
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
        "versions": group.attrs["made_with"][0],
        **({"made_with": group.attrs["made_with"]} if len(group.attrs["made_with"]) > 1 else {}),
        "bytes": sum(p.stat().st_size for p in files),
        "chunks": checksums,
    }
    write_json(checksums_of(str(manifest)), checksums)
    write_json(manifest, written)
    return written


def _versions() -> dict[str, str]:
    """Versions of sanrec and of the libraries that decide the numbers, as far as they are installed."""
    found = {"sanrec": sanrec.__version__}
    for name in LIBRARIES:
        with contextlib.suppress(PackageNotFoundError):
            found[name] = version(name)
    return found
