"""Several jobs that share one store, and a store that grows with its corpus."""

import copy
import random
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import zarr
from hypothesis import given
from hypothesis import strategies as st

from sanrec.backbones import checkpoints, filling, readers, writing
from sanrec.backbones import extract as step
from sanrec.backbones.shards import Shard, parse_shard, shards
from sanrec.backbones.store import open_hidden, read_manifest, verify
from sanrec.errors import ConfigError, StoreError
from sanrec.media import apart
from sanrec.media.download import write_checkpoint_manifest

KINDS = ["text", "image"]


def files_of(manifest: Path) -> dict[str, bytes]:
    folder = manifest.with_suffix(".zarr")
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()}


def shared(world, kind: str, out: Path, count: int, order: list[Shard] | None = None) -> None:
    """A store made by several jobs, in any order."""
    step.extract(*world.arguments(kind, out), device="cpu", begin_only=True)
    for shard in order or shards(count):
        assert step.extract(*world.arguments(kind, out), device="cpu", shard=shard) is None
    step.extract(*world.arguments(kind, out), device="cpu")


@given(st.integers(1, 9), st.integers(0, 40))
def test_every_unit_is_one_jobs(count, unit):
    assert sum(Shard(number, count).owns(unit) for number in range(1, count + 1)) == 1


def test_shards_by_name():
    assert shards(1) == []
    assert [str(shard) for shard in shards(2)] == ["1-of-2", "2-of-2"]
    assert parse_shard("2-of-7") == Shard(2, 7)
    for wrong in ("0-of-2", "3-of-2", "2", "2-of-0", "a-of-b"):
        with pytest.raises(ConfigError, match="2-of-7"):
            parse_shard(wrong)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("count", [2, 7])
def test_any_number_of_jobs_makes_the_same_bytes_and_writes_each_unit_once(world, tmp_path, monkeypatch, kind, count):
    alone, together = tmp_path / "alone.json", tmp_path / "together.json"
    step.extract(*world.arguments(kind, alone), device="cpu")
    written, real = [], filling.write_unit
    monkeypatch.setattr(filling, "write_unit", lambda g, rows, *rest: (written.append(rows), real(g, rows, *rest)))
    order = shards(count)
    random.Random(count).shuffle(order)
    shared(world, kind, together, count, order)
    assert sorted(written, key=lambda rows: rows.start) == [range(0, 4), range(4, 8), range(8, 11)]
    assert files_of(together) == files_of(alone)
    one, other = read_manifest(alone), read_manifest(together)
    assert other | {"missing_report": one["missing_report"], "store": one["store"]} == one
    assert (tmp_path / "together.missing.csv").read_bytes() == (tmp_path / "alone.missing.csv").read_bytes()


def test_a_job_with_nothing_to_do_loads_no_model(world, tmp_path, monkeypatch):
    out, loaded, load = tmp_path / "x.json", [], checkpoints.load_backbone
    monkeypatch.setattr(checkpoints, "load_backbone", lambda *a: (loaded.append(1), load(*a))[1])
    jobs = [{"begin_only": True}, *({"shard": shard} for shard in shards(5)), {}]
    counts = []
    for job in jobs:
        step.extract(*world.arguments("text", out), device="cpu", threads=2, **job)
        counts.append(len(loaded))
    assert counts == [0, 1, 2, 3, 3, 3, 3]  # of three units
    out.unlink()
    step.extract(*world.arguments("text", out), device="cpu")
    assert len(loaded) == 3


def test_a_checkpoint_whose_manifest_has_its_digests_is_not_read_for_them(world, tmp_path, monkeypatch):
    arguments = list(world.arguments("text", tmp_path / "x.json"))
    write_checkpoint_manifest(tmp_path / "text.json", arguments[5].with_suffix(""), {})
    step.extract(*arguments, device="cpu")
    arguments[5] = tmp_path / "text.json"
    monkeypatch.setattr(checkpoints, "sha256", lambda path: pytest.fail("it was read when its manifest was made"))
    step.extract(*arguments, device="cpu")  # the very digests that were computed, so the store is the one asked for


def test_a_killed_job_of_several_does_its_finished_units_not_again(world, tmp_path, monkeypatch):
    out = tmp_path / "x.json"
    step.extract(*world.arguments("image", out), device="cpu", begin_only=True)
    real, written = filling.write_unit, []

    def dying(group, rows, arrays, valid):
        if written:
            raise KeyboardInterrupt
        written.append(rows)
        real(group, rows, arrays, valid)

    monkeypatch.setattr(filling, "write_unit", dying)
    with pytest.raises(KeyboardInterrupt):  # its units are the first and the third
        step.extract(*world.arguments("image", out), device="cpu", shard=Shard(1, 2))
    again = []
    monkeypatch.setattr(filling, "write_unit", lambda g, rows, *rest: (again.append(rows), real(g, rows, *rest)))
    step.extract(*world.arguments("image", out), device="cpu", shard=Shard(1, 2))
    assert written + again == [range(0, 4), range(8, 11)]


def test_a_part_of_a_store_that_is_not_begun_or_another_is_an_error(world, tmp_path):
    out = tmp_path / "x.json"
    with pytest.raises(StoreError, match="not begun yet"):
        step.extract(*world.arguments("text", out), device="cpu", shard=Shard(1, 2))
    step.extract(*world.arguments("text", out), device="cpu", begin_only=True)
    record = world.config.backbones["text"].model_copy(update={"pooling": "mean"})
    other = world.config.model_copy(update={"backbones": {**world.config.backbones, "text": record}})
    with pytest.raises(StoreError, match="pooling: the store has 'first', asked is 'mean'"):
        step.extract(*world.arguments("text", out, other), device="cpu", shard=Shard(1, 2))


def test_several_jobs_replace_a_finished_store_of_other_settings(world, tmp_path):
    """Snakemake has taken no manifest away when the first of them begins."""
    out, alone = tmp_path / "x.json", tmp_path / "alone.json"
    shared(world, "text", out, 3)
    record = world.config.backbones["text"].model_copy(update={"pooling": "mean"})
    world = copy.copy(world)
    plain, other = (
        world.arguments,
        world.config.model_copy(update={"backbones": {**world.config.backbones, "text": record}}),
    )
    world.arguments = lambda kind, out: plain(kind, out, other)
    shared(world, "text", out, 3)
    step.extract(*world.arguments("text", alone), device="cpu")
    assert files_of(out) == files_of(alone)


@pytest.fixture
def growing(world, tmp_path):
    """Arguments of an extraction over the first so many items."""

    def arguments(kind: str, out: Path, count: int) -> tuple:
        items = tmp_path / f"{count}.parquet"
        pd.read_parquet(world.items).iloc[:count].to_parquet(items)
        found = list(world.arguments(kind, out))
        found[4] = items
        return tuple(found)

    return arguments


@pytest.fixture
def read(monkeypatch, world):
    """The sources that were read, or given to a process to be read."""
    found = []
    text, begin = readers.TextInputs.read, apart.begin
    monkeypatch.setattr(readers.TextInputs, "read", lambda self, source: (found.append(source), text(self, source))[1])
    monkeypatch.setattr(apart, "begin", lambda read, file, *rest: (found.append(file), begin(read, file, *rest))[1])
    return found


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("first", [1, 4, 6, 8])  # of 11: within a unit of 4, and at its end
def test_new_items_at_the_end_extract_only_themselves(world, growing, tmp_path, read, kind, first):
    out, fresh = tmp_path / "x.json", tmp_path / "fresh.json"
    step.extract(*growing(kind, out, first), device="cpu")
    before = open_hidden(out).read_layers([0, 1, 2])
    read.clear()
    step.extract(*growing(kind, out, 11), device="cpu")
    sources = [row[world.channel[kind]] for row in world.rows]
    used_before = {(s or "").strip() for s in sources[:first] if not (s or "").endswith("4.jpg")}
    assert not used_before & set(read)
    verify(out)
    step.extract(*growing(kind, fresh, 11), device="cpu")
    grown, whole = open_hidden(out), open_hidden(fresh)
    assert (grown.read_valid() == whole.read_valid()).all()
    after = grown.read_layers([0, 1, 2])
    assert (after[:first] == before).all()
    np.testing.assert_allclose(after, whole.read_layers([0, 1, 2]), atol=4e-3)
    np.testing.assert_allclose(grown.read_final(), whole.read_final(), atol=4e-3)
    assert np.abs(after[first:].astype(float)).max() > 0.1
    assert (tmp_path / "x.missing.csv").read_bytes() == (tmp_path / "fresh.missing.csv").read_bytes()


@pytest.mark.parametrize("killed_at", ["hidden", "valid", "identity"])
def test_a_store_killed_while_it_grew_grows_on(growing, tmp_path, read, monkeypatch, killed_at):
    out = tmp_path / "x.json"
    step.extract(*growing("text", out, 6), device="cpu")
    resize = zarr.Array.resize
    read.clear()

    def dying(self, shape):
        resize(self, shape)
        if self.basename == killed_at:
            raise KeyboardInterrupt

    monkeypatch.setattr(zarr.Array, "resize", dying)
    if killed_at == "identity":
        monkeypatch.setattr(zarr.Group, "update_attributes", lambda *a: (_ for _ in ()).throw(KeyboardInterrupt))
    with pytest.raises(KeyboardInterrupt):
        step.extract(*growing("text", out, 11), device="cpu")
    monkeypatch.undo()
    monkeypatch.setattr(writing, "create", lambda *a: pytest.fail("what was there must stay"))
    step.extract(*growing("text", out, 11), device="cpu")
    verify(out)
    assert (open_hidden(out).read_valid() > 0).all()


def test_items_that_are_not_at_the_end_make_the_store_anew(world, growing, tmp_path):
    out = tmp_path / "x.json"
    arguments = list(growing("text", out, 11))
    turned = tmp_path / "turned.parquet"
    pd.read_parquet(world.items).iloc[[1, 0, 2, 3]].to_parquet(turned)
    step.extract(*arguments[:4], turned, *arguments[5:], device="cpu")
    with pytest.raises(StoreError, match=r"data: the store has"):
        step.extract(*arguments, device="cpu")
    out.unlink()  # as Snakemake does
    step.extract(*arguments, device="cpu")
    fresh = tmp_path / "fresh.json"
    step.extract(*growing("text", fresh, 11), device="cpu")
    assert files_of(out) == files_of(fresh)
