import numpy as np
import pytest
import zarr

from sanrec.backbones.store import (
    MISSING,
    USED,
    HiddenStates,
    differences,
    open_hidden,
    read_manifest,
    read_rows,
    verify,
)
from sanrec.backbones.writing import finish, hidden_plan, inputs_plan, open_for_writing, unfinished, write_unit
from sanrec.errors import StoreError

IDENTITY = {"settings": {"pooling": "first", "size": (3, 4)}, "data": "abc"}
ITEMS, LAYERS, WIDTH, ROWS = 10, 3, 5, 4


def values(dtype=np.float16):
    rng = np.random.default_rng(0)
    hidden = rng.standard_normal((ITEMS, LAYERS, WIDTH)).astype(dtype)
    valid = np.full(ITEMS, USED, dtype=np.uint8)
    valid[[2, 9]] = MISSING
    hidden[valid == MISSING] = 0
    return {"hidden": hidden, "final": hidden[:, -1] * 2}, valid


def make(manifest, identity=IDENTITY, dtype="float16", kind="hidden"):
    arrays, valid = values(dtype)
    group, _ = open_for_writing(manifest, identity, ITEMS, hidden_plan(LAYERS, WIDTH, ROWS, dtype), ROWS)
    for rows in unfinished(group):
        part = slice(rows.start, rows.stop)
        write_unit(group, rows, {name: a[part] for name, a in arrays.items()}, valid[part])
    finish(manifest, kind)
    return arrays, valid


@pytest.mark.parametrize("dtype", ["float16", "float32"])
def test_what_is_written_is_read(tmp_path, dtype):
    arrays, valid = make(tmp_path / "x.json", dtype=dtype)
    states = open_hidden(tmp_path / "x.json")
    assert (states.items, states.layers, states.width, states.dtype) == (ITEMS, LAYERS, WIDTH, np.dtype(dtype))
    assert np.array_equal(states.read_layers([0, 1, 2]), arrays["hidden"])
    assert np.array_equal(states.read_final(), arrays["final"])
    assert np.array_equal(states.read_valid(), valid)
    assert (states.manifest["used"], states.manifest["missing"], states.manifest["items"]) == (8, 2, 10)


@pytest.mark.parametrize("rows", [[], [7], [9, 0, 4, 4, 3, 8], list(range(10))[::-1]])
def test_any_layers_of_any_rows_in_any_order(tmp_path, rows):
    arrays, _ = make(tmp_path / "x.json")
    states, rows = HiddenStates(tmp_path / "x.json"), np.array(rows, dtype=np.int32)
    assert np.array_equal(states.read_layers([2, 0], rows), arrays["hidden"][rows][:, [2, 0]])
    assert np.array_equal(states.read_final(rows), arrays["final"][rows])


def test_rows_and_layers_that_are_not_there_are_refused(tmp_path):
    make(tmp_path / "x.json")
    states = open_hidden(tmp_path / "x.json")
    with pytest.raises(StoreError, match="layers 0 to 2, not 3"):
        states.read_layers([0, 3])
    with pytest.raises(IndexError, match="10 items"):
        read_rows(states.group["final"], np.array([10]))
    with pytest.raises(IndexError, match="10 items"):
        read_rows(states.group["final"], np.array([-1]))


def test_every_chunk_is_a_file_and_the_unfinished_are_known(tmp_path):
    plan = hidden_plan(LAYERS, WIDTH, ROWS)
    group, there = open_for_writing(tmp_path / "x.json", IDENTITY, ITEMS, plan, ROWS)
    assert not there
    assert unfinished(group) == [range(0, 4), range(4, 8), range(8, 10)]
    zeros = {"hidden": np.zeros((4, LAYERS, WIDTH), np.float16), "final": np.zeros((4, WIDTH), np.float16)}
    write_unit(group, range(4, 8), zeros, np.full(4, MISSING, np.uint8))
    assert unfinished(group) == [range(0, 4), range(8, 10)]
    assert all((tmp_path / f"x.zarr/hidden/c/1/{layer}/0").is_file() for layer in range(LAYERS))
    with pytest.raises(StoreError, match="6 items are not done yet"):
        finish(tmp_path / "x.json", "hidden")
    with pytest.raises(StoreError, match=r"not there or not finished.*snakemake .*x.json --cores"):
        open_hidden(tmp_path / "x.json")
    _, there = open_for_writing(tmp_path / "x.json", IDENTITY, ITEMS, plan, ROWS)
    assert there


def test_a_damaged_chunk_is_found_named_and_redone_alone(tmp_path):
    manifest = tmp_path / "x.json"
    arrays, _ = make(manifest)
    verify(manifest)
    chunk = tmp_path / "x.zarr" / "hidden" / "c" / "1" / "2" / "0"
    content = bytearray(chunk.read_bytes())
    content[3] ^= 1
    chunk.write_bytes(content)
    with pytest.raises(StoreError, match=r"1 files are damaged or missing: hidden/c/1/2/0\. Remove .*x.json, then"):
        verify(manifest)
    manifest.unlink()
    group, _ = open_for_writing(manifest, IDENTITY, ITEMS, hidden_plan(LAYERS, WIDTH, ROWS), ROWS)
    assert unfinished(group) == [range(4, 8)]
    make(manifest)
    verify(manifest)
    assert np.array_equal(open_hidden(manifest).read_layers([2])[:, 0], arrays["hidden"][:, 2])


def test_without_its_checksums_a_damaged_store_is_to_be_removed_whole(tmp_path):
    manifest, chunk = tmp_path / "x.json", tmp_path / "x.zarr/hidden/c/1/2/0"
    make(manifest)
    (tmp_path / ".x.sha256.json").unlink()
    chunk.write_bytes(bytes(len(chunk.read_bytes())))
    with pytest.raises(StoreError, match=r"Remove \S*x.json and \S*x.zarr, then: snakemake"):
        verify(manifest)


@pytest.mark.parametrize("chunk", ["hidden/c/1/2/0", "final/c/2/0", "valid/c/0", "valid/c/2"])
@pytest.mark.parametrize("left", [0, 3])
def test_a_chunk_cut_short_before_the_store_was_finished_is_done_anew_and_not_sealed(tmp_path, chunk, left):
    arrays, valid = make(tmp_path / "x.json")
    whole = {path: path.read_bytes() for path in (tmp_path / "x.zarr").rglob("c/**/*") if path.is_file()}
    for name in ("x.json", ".x.sha256.json"):  # as it was before it was finished
        (tmp_path / name).unlink(missing_ok=True)
    file = tmp_path / "x.zarr" / chunk
    file.write_bytes(file.read_bytes()[:left])
    with pytest.raises(StoreError, match="items are not done yet"):
        finish(tmp_path / "x.json", "hidden")
    group, _ = open_for_writing(tmp_path / "x.json", IDENTITY, ITEMS, hidden_plan(LAYERS, WIDTH, ROWS), ROWS)
    unit = int(chunk.split("/")[2])
    assert unfinished(group) == [range(4 * unit, min(4 * unit + 4, ITEMS))]
    make(tmp_path / "x.json")
    assert {path: path.read_bytes() for path in whole} == whole


@pytest.mark.parametrize("left", [0, 12, 100])
def test_a_compressed_chunk_cut_short_is_done_anew(tmp_path, left):
    plan = inputs_plan({"tokens": ("int32", (50,))}, ROWS)
    values = {"tokens": np.random.default_rng(0).integers(0, 9, (ITEMS, 50)).astype(np.int32)}
    for _ in range(2):
        group, _ = open_for_writing(tmp_path / "x.json", IDENTITY, ITEMS, plan, ROWS)
        todo = unfinished(group)
        for rows in todo:
            part = values["tokens"][rows.start : rows.stop]
            write_unit(group, rows, {"tokens": part}, np.full(len(rows), USED, np.uint8))
        assert unfinished(group) == []
        chunk = tmp_path / "x.zarr/tokens/c/1/0"
        chunk.write_bytes(chunk.read_bytes()[:left])
    assert todo == [range(4, 8)]


@pytest.mark.parametrize("damage", ["gone", "cut"])
def test_lost_and_cut_files_are_found_on_opening(tmp_path, damage):
    make(tmp_path / "x.json")
    chunk = tmp_path / "x.zarr" / "final" / "c" / "2" / "0"
    if damage == "gone":
        chunk.unlink()
    else:
        chunk.write_bytes(chunk.read_bytes()[:-4])
    with pytest.raises(StoreError, match="final/c/2/0"):
        read_manifest(tmp_path / "x.json")


def test_other_settings_are_refused_while_the_manifest_stands_and_replaced_without_it(tmp_path):
    manifest, plan = tmp_path / "x.json", hidden_plan(LAYERS, WIDTH, ROWS)
    make(manifest)
    changed = {**IDENTITY, "settings": {"pooling": "mean", "size": (3, 4)}}
    with pytest.raises(StoreError, match=r"settings\.pooling: the store has 'first', asked is 'mean'"):
        open_for_writing(manifest, changed, ITEMS, plan, ROWS)
    manifest.unlink()
    group, there = open_for_writing(manifest, changed, ITEMS, plan, ROWS)
    assert not there
    assert len(unfinished(group)) == 3
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.zarr"]


def test_half_made_stores_are_made_anew(tmp_path):
    (tmp_path / "x.zarr" / "hidden").mkdir(parents=True)
    make(tmp_path / "x.json")
    verify(tmp_path / "x.json")


def test_a_store_that_lacks_what_sanrec_notes_in_it_is_made_anew(tmp_path):
    manifest = tmp_path / "x.json"
    make(manifest)
    manifest.unlink()
    group = zarr.open_group(tmp_path / "x.zarr", mode="r+")
    del group.attrs["made_with"]
    make(manifest)
    verify(manifest)


def test_differences_name_both_values():
    assert differences({"a": 1, "b": {"c": 2, "d": 3}}, {"a": 1, "b": {"c": 5}}) == [
        "b.c: the store has 2, asked is 5",
        "b.d: the store has 3, asked is None",
    ]


def test_compressed_chunks_divide_units_and_stay_small():
    plan = inputs_plan({"pixels": ("uint8", (16, 3, 224, 224)), "length": ("int32", ())}, unit_rows=256)
    assert plan["pixels"].chunk == (1, 16, 3, 224, 224)
    assert plan["length"].chunk == (256,)
    assert inputs_plan({"pixels": ("uint8", (3, 224, 224))}, unit_rows=100)["pixels"].chunk[0] == 25
