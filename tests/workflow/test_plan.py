"""What a target will take, by the jobs that Snakemake lists for the real Snakefile."""

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from sanrec import cli
from sanrec.data.prepare import ITEMS_SCHEMA
from sanrec.demo.world import World
from sanrec.disk import store_bytes
from sanrec.errors import SanrecError
from sanrec.load import load_config
from sanrec.workflow import jobs
from sanrec.workflow.jobs import Job, Listing, list_jobs
from sanrec.workflow.plan import as_record, make_plan
from sanrec.workflow.plan_text import as_text

CONFIG = {"device": "cpu", "corpora": {"demo": {"world": {"items": 60, "users": 140}}}}


def world_items(numbers):
    return World(**numbers).items


def listed(rule, output, **wildcards):
    return Job(rule, (output,), (), (), None, wildcards, True, "", 1, None, None)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("SANREC_CONFIG", raising=False)
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(CONFIG))
    return tmp_path


@pytest.fixture
def planned(folder):
    def plan(*targets, study=None, **config):
        (folder / "config.yaml").write_text(yaml.safe_dump(CONFIG | config))
        return make_plan(list_jobs(targets, study=study), world_items)

    return plan


def test_the_demo_needs_nothing_from_anywhere(planned):
    plan = planned("results/table3.csv")
    counts = {kind: len(jobs) for kind, jobs in plan.kinds.items()}
    assert counts == {
        "demo's world": 1,
        "demo's backbone": 4,
        "corpus": 1,
        "data set": 2,
        "hidden states": 4,
        "model-ready inputs": 2,
        "training run": 22,
        "table": 1,
    }
    assert (plan.downloads, plan.gpu, plan.missing) == ((), (), ())
    stores = {need.what: need.bytes for need in plan.disk}
    assert stores["results/demo/hidden/title/bert.json"] == store_bytes(60, 13, 64, 256)
    text = as_text(plan)
    assert "training run           22" in text
    assert "GPU memory: none is needed" in text
    assert "licences to accept: none" in text


def test_the_papers_tell_what_is_downloaded_stored_missing_and_unknown(planned):
    plan = planned("results/table3.csv", study="paper")
    assert {d.name for d in plan.downloads} == {"bert-base", "vit-base", "videomae-base", "ast-audioset"}
    bert = next(d for d in plan.downloads if d.name == "bert-base")
    assert bert.bytes == 4 * 108_891_648
    stores = {need.what: need.bytes for need in plan.disk}
    assert stores["results/microlens/hidden/title/bert-base.json"] == store_bytes(19_738, 13, 768, 2048)
    assert stores["weights of runs of microlens-100k/full/TI"] == 4 * 194_897_216
    peaks = {need.what: need.bytes for need in plan.gpu}
    assert peaks["training microlens-100k/full/TI: peak"] == 45_886_000_000
    assert peaks["training microlens-50k/full/TI: peak"] is None
    assert [one.path for one in plan.missing] == ["data/microlens"]
    text = as_text(plan)
    assert "as printed there" in text
    assert "unknown: model-ready inputs" in text
    record = json.loads(json.dumps(as_record(plan)))
    assert record["study"] == "paper"
    assert len(record["jobs"]) == 37


def test_gated_licences_are_to_be_accepted_before(planned):
    target = "results/scientific/hidden/title/llama-3-8b.json"
    plan = planned(target)
    [download] = plan.downloads
    assert (download.gated, download.license) == (True, "llama3")
    assert 14.9e9 < download.bytes < 15.1e9
    assert {need.what: need.bytes for need in plan.disk}[target] == store_bytes(20_825, 33, 4096, 512)
    assert "https://huggingface.co/meta-llama/Meta-Llama-3-8B" in as_text(plan).split("licences to accept")[1]


def test_media_that_are_missing_are_named_one_by_one(planned, folder):
    raw = folder / "raw"
    (raw / "covers").mkdir(parents=True)
    (raw / "items.csv").write_text("item,title\n1,One\n")
    corpus = {"title": "Shop", "layout": "microlens", "folder": "raw", "titles": "items.csv", "covers": "covers"}
    chosen = {"title": "mine", "video": "vec"}
    mine = {
        "modality": "text",
        "source": "folder",
        "checkpoint": "models/x",
        "pooling": "first",
        "blocks": 2,
        "width": 8,
    }
    features = {"modality": "video", "source": "features", "checkpoint": "vec.npy", "width": 8}
    plan = planned(
        "results/shop/runs/frozen/TV/default/seed=0/metrics.json",
        corpora={"shop": corpus | {"videos": "clips"}},
        datasets={"shop": {"title": "Shop", "corpus": "shop", "pairs": "p.tsv", "backbones": chosen}},
        backbones={"mine": mine | {"width": 8}, "vec": features | {"width": 8}},
    )
    # no job reads covers or videos: the videos' features are made
    assert sorted(one.path for one in plan.missing) == ["models/x", "raw/p.tsv", "vec.npy"]
    assert plan.media == ()


@pytest.fixture
def shop(tmp_path, monkeypatch):
    """What is planned over a corpus of covers, videos and sounds, whose covers alone are there."""
    monkeypatch.chdir(tmp_path)
    Path("raw/covers").mkdir(parents=True)
    Path("raw/items.csv").write_text("item,title\n1,One\n")
    corpus = {"title": "Shop", "layout": "microlens", "folder": "raw", "titles": "items.csv", "covers": "covers"}

    def plan(*jobs, **changes):
        config = load_config({"corpora": {"shop": corpus | {"videos": "clips", "audios": "sounds"} | changes}})
        return make_plan(Listing(jobs, config, None), world_items)

    return plan


PREPARED = [listed("download", "raw.json", corpus="shop"), listed("prepare_corpus", "items.parquet", corpus="shop")]


def hidden(channel, backbone):
    return listed(
        "hidden", f"results/shop/hidden/{channel}/{backbone}.json", corpus="shop", channel=channel, backbone=backbone
    )


def test_media_are_looked_for_where_a_job_reads_them(shop):
    assert shop(*PREPARED, hidden("title", "bert-base")).missing == ()
    assert "media and files of one's own: all there" in as_text(shop(*PREPARED, hidden("title", "bert-base")))
    plan = shop(*PREPARED, hidden("video", "videomae-base"))
    assert [(one.path, one.what) for one in plan.missing] == [("raw/clips", "video of corpus 'shop'")]
    assert plan.media == ()
    captions = listed("caption", "results/shop/captions/video.parquet", corpus="shop", medium="video")
    assert [one.path for one in shop(captions, hidden("video-caption", "bert-base")).missing] == ["raw/clips"]
    sounds = shop(hidden("audio", "ast-audioset"), audios=None)
    assert [one.path for one in sounds.missing] == ["raw/clips"]
    assert shop(hidden("title", "bert-base")).missing == ()


def test_media_are_counted_where_the_item_table_is_made(shop):
    plan = shop(*PREPARED, hidden("cover", "vit-base"))
    assert plan.missing == ()
    text = as_text(plan)
    assert "all there; media\n  shop  cover  the folder is there; its files were not counted" in text
    states = [{"item": str(n), "cover_state": "missing" if n == 4 else "present"} for n in range(40)]
    Path("results/shop").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist(states, schema=ITEMS_SCHEMA), "results/shop/items.parquet")
    assert "all there; media\n  shop  cover  39 of 40 items" in as_text(shop(hidden("cover", "vit-base")))
    states[4]["cover_state"] = "present"
    pq.write_table(pa.Table.from_pylist(states, schema=ITEMS_SCHEMA), "results/shop/items.parquet")
    text = as_text(shop(hidden("cover", "vit-base")))
    assert "media and files of one's own: all there\n  shop  cover  40 of 40 items" in text


def test_media_that_are_fetched_are_not_said_to_be_there(shop):
    downloads = [{"file": "covers.zip", "urls": ["https://example.org/c.zip"], "unpack": True}, {"file": "items.csv"}]
    plan = shop(*PREPARED, hidden("cover", "vit-base"), hidden("video", "videomae-base"), downloads=downloads)
    assert plan.missing == ()
    lines = as_text(plan).splitlines()
    assert lines[-3:] == [
        "files of one's own: all there; media",
        "  shop  cover  comes with the downloads, so nobody has counted it",
        "  shop  video  comes with the downloads, so nobody has counted it",
    ]
    Path("raw/items.csv").unlink()
    plan = shop(*PREPARED, downloads=downloads)
    assert [(one.path, one.what) for one in plan.missing] == [
        ("raw/items.csv", "a file of corpus 'shop' without address")
    ]


def test_raw_files_that_are_fetched_are_downloads(planned, folder):
    hidden = "https://me:word@data.example.org/{}?token=secret"
    downloads = [
        {"file": "covers.zip", "urls": [hidden.format("covers.zip")], "bytes": "1.5GB", "unpack": True},
        {"file": "items.tsv", "urls": [hidden.format("items.tsv"), "/mnt/mirror/items.tsv"]},
        {"file": "users.tsv", "urls": [hidden.format("users.tsv")]},
    ]
    corpus = {"title": "Shop", "layout": "amazon", "folder": "raw", "titles": "items.tsv", "covers": "covers"}
    data = {"title": "Shop", "corpus": "shop", "pairs": "users.tsv", "backbones": {"title": "bert"}}
    (folder / "raw").mkdir()
    (folder / "raw/users.tsv").write_text("u1\ta1 a2 a3 a4 a5\n")
    plan = planned(
        "results/shop/statistics.json",
        corpora={"shop": corpus | {"downloads": downloads}},
        datasets={"shop": data},
    )
    assert plan.downloads == ()
    assert [(one.file, one.bytes) for one in plan.raw_files] == [("covers.zip", 1_500_000_000), ("items.tsv", None)]
    assert plan.raw_files[1].places == ("data.example.org", "/mnt/mirror/items.tsv")
    stores = {need.what: need.bytes for need in plan.disk}
    assert stores["shop: covers.zip"] == 1_500_000_000
    assert stores["shop: covers.zip, unpacked"] is None
    text = as_text(plan)
    assert "downloads: 1.5 GB and 1 of unknown size" in text
    assert "covers.zip from data.example.org" in text
    assert not {"secret", "word"} & set(re.findall(r"\w+", text + json.dumps(as_record(plan))))
    assert "downloads: none" in as_text(replace(plan, raw_files=()))


def test_what_trains_measures_or_is_not_known_may_need_a_gpu():
    config = load_config({"study": "paper"})
    may = (
        listed("tune", "results/microlens-100k/tuning/crossan/TI.yaml", dataset="microlens-100k", model="crossan"),
        listed("tune_backbones", "results/scientific/tuning/lora/TI.yaml", dataset="scientific", model="lora"),
        listed("efficiency", "results/microlens-100k/efficiency/m.json", dataset="microlens-100k"),
        listed("costs", "results/scientific/costs/m/figure5.json", dataset="scientific"),
        listed("information", "x/information.json", dataset="microlens-50k"),
        listed("cluster", "clusters.csv"),
    )
    known = (
        listed("tune", "results/demo/tuning/crossan/TI.yaml", dataset="demo", model="crossan"),
        listed("efficiency", "results/demo/efficiency/m.json", dataset="demo"),
        listed("table", "results/table3.csv", table="table3"),
        listed("report", "results/report.html"),
    )
    plan = make_plan(Listing((*may, *known), config, None), world_items)
    assert [(need.what, need.bytes) for need in plan.gpu] == [
        ("search microlens-100k/crossan/TI: peak", None),
        ("search scientific/lora/TI: peak", None),
        ("measurement of cost on microlens-100k: peak", None),
        ("measurement of cost on scientific: peak", None),
        ("mutual information on microlens-50k: peak", None),
        ("rule cluster", None),
    ]
    assert "GPU memory\n  unknown: search microlens-100k/crossan/TI: peak" in as_text(plan)
    assert "GPU memory: none is needed" in as_text(make_plan(Listing(known, config, None), world_items))


def test_what_is_not_right_is_said_as_snakemake_says_it(folder):
    with pytest.raises(SanrecError, match=r"^unknown model 'crosan': did you mean 'crossan'"):
        list_jobs(["results/demo/runs/crosan/TI/default/seed=0/metrics.json"])
    with pytest.raises(SanrecError, match=r"No rule to produce results/table33.csv"):
        list_jobs(["results/table33.csv"])
    with pytest.raises(SanrecError, match=r"^unknown study 'papers' in config: key 'study': did you mean 'paper'"):
        list_jobs(["results/table3.csv"], study="papers")


def test_without_snakemake_it_says_what_to_install(folder, monkeypatch):
    monkeypatch.setattr(jobs.sys, "executable", str(folder / "python"))
    (folder / "python").write_text("#!/bin/sh\necho \"ModuleNotFoundError: No module named 'snakemake'\" >&2; exit 1\n")
    (folder / "python").chmod(0o755)
    with pytest.raises(SanrecError, match=r"pip install -r requirements.txt"):
        list_jobs(["results/table3.csv"])


def test_another_config_file_is_read_where_it_is_given(folder):
    (folder / "other.yaml").write_text(yaml.safe_dump(CONFIG | {"seeds": [0, 1]}))
    assert len(list_jobs(["results/table3.csv"], "other.yaml").jobs) == 37 + 22
    assert len(list_jobs(["results/table3.csv"], "config.yaml").jobs) == 37


def test_config_keys_are_given_as_to_snakemake(folder, capsys):
    given = ["--set", "seeds=[0,1]", "--set", "corpora={demo: {world: {items: 70}}}"]
    assert cli.main(["plan", "results/table3.csv", *given, "--format", "json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert len(record["jobs"]) == 37 + 22
    stores = {need["what"]: need["bytes"] for need in record["disk"]}
    assert stores["results/demo/hidden/title/bert.json"] == store_bytes(70, 13, 64, 256)
    assert cli.main(["status", "results/demo/statistics.json", "--set", "sedes=[0]"]) == 1
    assert "did you mean 'seeds'" in capsys.readouterr().err


@pytest.mark.parametrize(("text", "why"), [("seeds", "expected KEY=VALUE"), ("seeds=[0", "its value is no yaml")])
def test_a_key_without_a_value_is_refused(folder, capsys, text, why):
    assert cli.main(["plan", "--set", text]) == 1
    assert f"--set '{text}': {why}" in capsys.readouterr().err


def test_nothing_is_run_or_kept_but_the_config_that_jobs_would_read(folder, capsys):
    assert cli.main(["status", "results/demo/statistics.json", "--format", "json"]) == 0
    record = json.loads(capsys.readouterr().out)
    assert record["counts"]["missing"] == 3
    assert cli.main(["status", "results/demo/statistics.json", "--format", "yaml"]) == 1
    assert "unknown format 'yaml'" in capsys.readouterr().err
    assert not (folder / "results").exists()
    assert not (folder / ".snakemake/log").exists()


def test_planning_imports_of_snakemake_stay_in_a_process_of_their_own():
    code = "import sys, sanrec.workflow.jobs, sanrec.workflow.status, sanrec.workflow.ending; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], check=True, capture_output=True, text=True)
    assert not {"torch", "pandas", "snakemake"} & set(done.stdout.split())


def test_what_is_done_is_not_planned(folder):
    """By jobs that finished in a real workflow: see the test of the started folder; here by a listing alone."""
    listing = list_jobs(["results/demo/statistics.json"])
    done = type(listing)(tuple(type(j)(**vars(j) | {"needed": False}) for j in listing.jobs), listing.config, None)
    assert as_text(make_plan(done, world_items)) == "Nothing is to be done: 3 jobs done already (study demo)."
    assert Path("config.yaml").is_file()
