"""The captioning step: a row for every item, whatever became of it; killed anywhere, it ends in the same bytes."""

import csv
import json
from pathlib import Path

import pandas as pd
import pytest
import torch

from sanrec import cli
from sanrec.backbones.shards import Shard, shards
from sanrec.captions import caption as module
from sanrec.captions.llava import Llava
from sanrec.captions.prompts import load_prompt
from sanrec.errors import ConfigError, DataError, StoreError
from sanrec.files import read_json
from sanrec.media import MediaError, apart

ODD = {"i2": "missing", "i4": "failed", "i5": "failed"}


@pytest.mark.parametrize("medium", ["cover", "video"])
def test_every_item_has_a_row_that_says_what_became_of_it(world, whole, medium):
    table = pd.read_parquet(whole[medium])
    assert list(table.columns) == [field.name for field in module.SCHEMA]
    assert table["item"].tolist() == [row["item"] for row in world.rows]
    assert dict(zip(table["item"], table["state"], strict=True)) == {
        row["item"]: ODD.get(row["item"], "present") for row in world.rows
    }
    present = table["state"] == "present"
    assert (table["caption"].notna() == present).all()
    assert (table["reason"].isna() == present).all()
    assert (table.loc[present, "tokens"] > 0).all()
    assert set(table["captioner"]) == {"tiny"}
    assert set(table["prompt_hash"]) == {load_prompt(f"demo-{medium}").digest}
    assert table.set_index("item").loc["i4", "reason"] == "zero bytes"
    assert "does not decode" in table.set_index("item").loc["i5", "reason"] or medium == "video"


@pytest.mark.parametrize("medium", ["cover", "video"])
def test_other_pictures_get_other_captions(whole, medium):
    captions = pd.read_parquet(whole[medium])["caption"].dropna()
    assert captions.nunique() > len(captions) / 2


def test_what_has_no_caption_is_listed_with_its_reason(whole):
    with whole["cover"].with_suffix(".missing.csv").open(newline="") as file:
        rows = {row["item"]: row for row in csv.DictReader(file)}
    assert set(rows) == set(ODD)
    assert rows["i2"]["reason"] == "no file"
    assert rows["i4"]["reason"] == "zero bytes"
    assert rows["i4"]["path"].endswith("4.jpg")


@pytest.fixture
def spied(monkeypatch):
    """The first caption seed of every call of the model, which raises at the call asked for."""
    calls = []
    real = Llava.describe

    def install(fatal: int | None = None, error: type[BaseException] = KeyboardInterrupt):
        def describe(self, pictures, seed):
            if len(calls) == fatal:
                raise error("stop")
            calls.append(seed)
            return real(self, pictures, seed)

        calls.clear()
        monkeypatch.setattr(Llava, "describe", describe)
        return calls

    return install


@pytest.mark.parametrize("fatal", [0, 1, 2, 3])  # of the model's four calls, one for each batch
def test_a_killed_job_goes_on_and_ends_in_the_same_bytes_without_doing_a_batch_twice(
    world, whole, tmp_path, spied, fatal
):
    out = tmp_path / "cover.parquet"
    spied(fatal)
    with pytest.raises(KeyboardInterrupt):
        world.caption(out)
    assert not out.exists()
    done = [json.loads(line)["first"] for line in (tmp_path / "cover.batches.jsonl").read_text().splitlines()[1:]]
    assert done == [0, 4, 8, 12][:fatal]
    seeds = spied()
    world.caption(out)
    assert seeds == [0, 4, 8, 12][fatal:]
    assert out.read_bytes() == whole["cover"].read_bytes()


def test_a_line_that_was_cut_short_is_done_again(world, whole, tmp_path, spied):
    out, partial = tmp_path / "cover.parquet", tmp_path / "cover.batches.jsonl"
    spied(3)
    with pytest.raises(KeyboardInterrupt):
        world.caption(out)
    partial.write_bytes(partial.read_bytes()[:-40])
    seeds = spied()
    world.caption(out)
    assert seeds == [8, 12]
    assert out.read_bytes() == whole["cover"].read_bytes()


def test_what_other_settings_began_is_begun_anew(world, tmp_path, spied):
    out = tmp_path / "cover.parquet"
    spied(2)
    with pytest.raises(KeyboardInterrupt):
        world.caption(out)
    seeds = spied()
    table = world.caption(out, max_new_tokens=5)
    assert seeds == [0, 4, 8, 12]
    assert table["tokens"].max() == 5


def test_finished_captions_are_left_alone_and_not_replaced_by_others(world, tmp_path, spied):
    out = tmp_path / "cover.parquet"
    world.caption(out)
    seeds, bytes_before = spied(), out.read_bytes()
    world.caption(out)
    assert seeds == []
    with pytest.raises(StoreError, match=r"max_new_tokens: the store has 8, asked is 5"):
        world.caption(out, max_new_tokens=5)
    assert out.read_bytes() == bytes_before


def test_an_empty_caption_is_recorded(world, tmp_path, monkeypatch):
    said = [("", 0), ("a thing", 2), ("a thing", 2), ("a thing", 2)]
    monkeypatch.setattr(Llava, "describe", lambda self, pictures, seed: said[: len(pictures)])
    table = world.caption(tmp_path / "c.parquet", limit=0.6).set_index("item")
    assert table.loc["i0", "state"] == "empty"
    assert table.loc["i0", "reason"] == "the model said nothing"
    assert pd.isna(table.loc["i0", "caption"])
    assert table.loc["i1", "state"] == "present"


def test_a_failing_batch_is_done_item_by_item_and_tried_again_by_the_next_job(world, whole, tmp_path, monkeypatch):
    real, broken = Llava.describe, {"on": True}

    def describe(self, pictures, seed):
        if seed == 8 and broken["on"] and any(picture.size[1] == 40 + 7 * 9 for (picture,) in pictures):
            raise torch.OutOfMemoryError("CUDA out of memory")
        if seed == 12 and broken["on"]:
            raise KeyboardInterrupt
        return real(self, pictures, seed)

    monkeypatch.setattr(Llava, "describe", describe)
    with pytest.raises(KeyboardInterrupt):
        world.caption(tmp_path / "cover.parquet")
    lines = (tmp_path / "cover.batches.jsonl").read_text().splitlines()
    states = [row["state"] for row in json.loads(lines[-1])["rows"]]
    assert states == ["present", "failed", "present", "present"]
    assert "OutOfMemoryError: CUDA out of memory" in json.loads(lines[-1])["rows"][1]["reason"]
    broken["on"] = False
    world.caption(tmp_path / "cover.parquet")
    assert (tmp_path / "cover.parquet").read_bytes() == whole["cover"].read_bytes()


def test_a_file_that_a_passing_fault_kept_from_being_read_is_read_again_by_the_next_job(
    world, whole, tmp_path, monkeypatch, spied
):
    real, lost = apart.outcome, world.rows[1]["cover"]

    def busy(future, file, seconds):
        return MediaError(file, "its decoder crashed (SIGKILL)", True) if file == lost else real(future, file, seconds)

    with monkeypatch.context() as patch:
        patch.setattr(apart, "outcome", busy)
        spied(2)
        with pytest.raises(KeyboardInterrupt):
            world.caption(tmp_path / "cover.parquet")
    calls = spied()
    world.caption(tmp_path / "cover.parquet")
    assert calls == [0, 8, 12]
    assert (tmp_path / "cover.parquet").read_bytes() == whole["cover"].read_bytes()


def test_too_many_without_a_caption_are_an_error(world, tmp_path):
    with pytest.raises(DataError, match=r"corpus 'tiny': 2 of 13 items so far.*corpora.tiny.missing_limit"):
        world.caption(tmp_path / "c.parquet", limit=0.1)
    assert not (tmp_path / "c.parquet").exists()


def test_drawn_captions_repeat_too_and_differ_from_greedy_ones(world, whole, tmp_path, spied):
    spied(2)
    with pytest.raises(KeyboardInterrupt):
        world.caption(tmp_path / "a.parquet", temperature=1.5)
    spied()
    resumed = world.caption(tmp_path / "a.parquet", temperature=1.5)["caption"]
    torch.manual_seed(77)
    pd.testing.assert_series_equal(resumed, world.caption(tmp_path / "b.parquet", temperature=1.5)["caption"])
    assert not resumed.equals(pd.read_parquet(whole["cover"])["caption"])


def test_a_corpus_may_name_its_captioners_and_a_wrong_one_is_refused(world):
    config = world.configured()
    assert config.find_captioner("tiny", "cover") == "tiny"
    assert config.find_captioner("demo", "video") == "llava"
    assert config.find_captioner("microlens", "cover") == "llava-mistral-7b"
    with pytest.raises(ConfigError, match="unknown medium 'audio'"):
        config.find_captioner("tiny", "audio")
    with pytest.raises(ConfigError, match="captioner 'tiny' has no prompt for videos"):
        world.configured(prompts={"cover": "cover"})


def test_the_command_writes_where_the_workflow_looks(world, checkpoint, tmp_path, monkeypatch, whole):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results/tiny").mkdir(parents=True)
    (tmp_path / "results/tiny/items.parquet").write_bytes(world.items.read_bytes())
    (tmp_path / "results/checkpoints").mkdir()
    (tmp_path / "results/checkpoints/tiny.json").write_text(json.dumps(read_json(checkpoint)))
    (tmp_path / "config.yaml").write_text(world.configured().model_dump_json(include={"captioners", "corpora"}))
    for name in ("HF_HUB_OFFLINE", "TRANSFORMERS_OFFLINE", "SANREC_CONFIG"):
        monkeypatch.setenv(name, "1")
    monkeypatch.delenv("SANREC_CONFIG")
    assert cli.main(["--config", "config.yaml", "caption", "tiny", "cover"]) == 0
    made = pd.read_parquet(tmp_path / "results/tiny/captions/cover.parquet")
    pd.testing.assert_frame_equal(made, pd.read_parquet(whole["cover"]))


@pytest.mark.parametrize("count", [2, 7])
def test_several_jobs_write_the_same_captions_and_describe_each_batch_once(world, whole, tmp_path, spied, count):
    out = tmp_path / "cover.parquet"
    arguments = (world.configured(), "tiny", "cover", world.items, world.checkpoint, out, "cpu")
    calls = spied()
    for shard in reversed(shards(count)):
        share = module.caption_corpus(*arguments, shard=shard)
        assert share == tmp_path / "shards" / "cover" / f"{shard}.jsonl"
        assert not out.exists()
    assert sorted(calls) == [0, 4, 8, 12]  # four batches, all usable in part
    module.caption_corpus(*arguments)
    assert len(calls) == 4
    assert out.read_bytes() == whole["cover"].read_bytes()


@pytest.fixture
def captioned(world, tmp_path):
    """Makes a table of the first so many items, alone or by several jobs, as the workflow would."""

    def make(out, items: int, count: int = 1, **changes):
        table = tmp_path / f"{items}.parquet"
        pd.read_parquet(world.items).iloc[:items].to_parquet(table)
        arguments = (world.configured(**changes), "tiny", "cover", table, world.checkpoint, out, "cpu")
        for shard in shards(count):  # Snakemake removes what a job is to make, and nothing else
            share = out.parent / "shards" / "cover" / f"{shard}.jsonl"
            share.unlink(missing_ok=True)
            assert module.caption_corpus(*arguments, shard=shard) == share
            assert share.is_file()
        out.unlink(missing_ok=True)
        module.caption_corpus(*arguments)
        return out.read_bytes()

    return make


@pytest.mark.parametrize("count", [1, 3])
def test_items_that_are_added_are_described_and_no_batch_that_stayed_as_it_was(
    world, whole, captioned, tmp_path, spied, count
):
    out = tmp_path / "cover.parquet"
    captioned(out, 10, count)
    calls = spied()
    assert captioned(out, 13, count) == whole["cover"].read_bytes()
    assert sorted(calls) == [8, 12]  # the batch that got more items, and the new one
    calls = spied()
    assert captioned(out, 13, count) == whole["cover"].read_bytes()
    assert calls == []


def test_more_jobs_after_the_captions_are_made_describe_nothing_again(captioned, tmp_path, spied):
    out = tmp_path / "cover.parquet"
    alone = captioned(out, 13)
    calls = spied()
    assert captioned(out, 13, 3) == alone
    assert captioned(out, 13, 8) == alone
    assert calls == []


def test_several_jobs_replace_captions_of_other_settings(captioned, tmp_path):
    out = tmp_path / "cover.parquet"
    captioned(out, 13, 3)
    assert captioned(out, 13, 3, max_new_tokens=5) == captioned(tmp_path / "alone.parquet", 13, max_new_tokens=5)


def test_a_mended_file_has_its_batch_described_anew(world, captioned, tmp_path, spied):
    out, file = tmp_path / "cover.parquet", Path(world.rows[6]["cover"])
    captioned(out, 13)
    before, calls = file.read_bytes(), spied()
    try:
        file.write_bytes(Path(world.rows[7]["cover"]).read_bytes())
        captioned(out, 13)
    finally:
        file.write_bytes(before)
    assert calls == [4]


def test_a_killed_job_of_several_goes_on(world, whole, tmp_path, spied):
    out = tmp_path / "cover.parquet"
    arguments = (world.configured(), "tiny", "cover", world.items, world.checkpoint, out, "cpu")
    spied(1)
    with pytest.raises(KeyboardInterrupt):
        module.caption_corpus(*arguments, shard=Shard(1, 2))
    assert not list((tmp_path / "shards" / "cover").glob("[!.]*"))
    calls = spied()
    module.caption_corpus(*arguments, shard=Shard(1, 2))
    assert calls == [8]
    module.caption_corpus(*arguments)  # the other job never ran: what is lacking is done here
    assert sorted(calls) == [4, 8, 12]
    assert out.read_bytes() == whole["cover"].read_bytes()
