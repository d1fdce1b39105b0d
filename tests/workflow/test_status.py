"""How jobs stand, by their files, and what people and programs are shown."""

import json
import os
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from sanrec.cli import done_line
from sanrec.load import load_config
from sanrec.workflow.jobs import Job, Listing
from sanrec.workflow.status import as_record, as_text, standings

NOW = 2_000_000_000.0
FOLDER = "results/demo/runs/crossan/TI/default/seed=0"
LOG = "results/logs/train.log"
AT_WORK = "$ sanrec train x\ntraining: 4/20 epoch (20 %), 01:00 gone, 04:00 left\n"


def job(needed=True, **changed):
    values = {
        "rule": "train",
        "outputs": (f"{FOLDER}/metrics.json", f"{FOLDER}/ranks.parquet"),
        "inputs": (),
        "logs": (LOG,),
        "benchmark": None,
        "wildcards": {},
        "needed": needed,
        "reason": "Params have changed since last execution: a, b" if needed else "",
        "threads": 1,
        "runtime": 10,
        "mem_mb": 1000,
    }
    return Job(**values | changed)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / FOLDER).mkdir(parents=True)
    (tmp_path / "results/logs").mkdir()
    return tmp_path


def stands(one, locked_since=None):
    [found] = standings(Listing((one,), load_config(), locked_since), NOW)
    return found.state, found.note


def write_log(text, age):
    Path(LOG).write_text(text)
    os.utime(LOG, (NOW - age, NOW - age))


def test_a_finished_run_shows_its_result(folder):
    (folder / FOLDER / "metrics.json").write_text(json.dumps({"test": {"HR@10": 0.25}}))
    assert stands(job(needed=False)) == ("done", "test HR@10 0.2500")


def test_a_job_without_log_and_output_is_missing(folder):
    assert stands(job()) == ("missing", "")


def test_a_log_without_an_end_is_of_a_running_job_while_a_workflow_holds_the_folder(folder):
    write_log(AT_WORK, age=3600)
    assert stands(job(), locked_since=NOW - 4000) == (
        "running",
        "training: 4/20 epoch (20 %), 01:00 gone, 04:00 left (1 h ago)",
    )
    # it is of a workflow before this one
    assert stands(job(), locked_since=NOW - 100) == ("failed", "stopped without a word: killed?")


def workflow_log(text, age, name="2026-11-22T184856.871812.snakemake.log"):
    path = Path(".snakemake/log", name)
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)
    os.utime(path, (NOW - age, NOW - age))


def test_a_job_that_the_workflow_at_work_knows_to_have_failed_is_not_running(folder):
    write_log(AT_WORK, age=100)
    block = f"    jobid: 2\n    output: {FOLDER}/metrics.json, {FOLDER}/ranks.parquet\n    log: {LOG}\n"
    started, failed = f"rule train:\n{block}", f"[Sun Nov 22 19:00:24 2026]\nError in rule train:\n{block}"
    workflow_log(started, age=50)
    assert stands(job(), locked_since=NOW - 4000)[0] == "running"
    workflow_log(started + failed, age=50)
    assert stands(job(), locked_since=NOW - 4000) == ("failed", "stopped without a word: killed?")
    workflow_log("Building DAG of jobs...\n", age=10, name="2026-11-22T190100.000000.snakemake.log")  # of a dry run
    assert stands(job(), locked_since=NOW - 4000)[0] == "failed"
    workflow_log(started + failed + "Trying to restart job 2.\n" + started, age=50)
    assert stands(job(), locked_since=NOW - 4000)[0] == "running"
    workflow_log(started + failed, age=5000)  # of a workflow before this one
    assert stands(job(), locked_since=NOW - 4000)[0] == "running"


def test_a_step_run_by_hand_counts_as_running_while_its_log_grows(folder):
    write_log(AT_WORK, age=50)
    assert stands(job())[0] == "running"
    write_log(AT_WORK, age=500)
    assert stands(job())[0] == "failed"


def test_a_killed_run_says_from_where_it_goes_on(folder):
    write_log(AT_WORK, age=5000)
    epochs = {"progress": json.dumps({"epochs": [{}] * 7})}
    save_file({"x": np.zeros(1)}, folder / FOLDER / "training-state.safetensors", epochs)
    assert stands(job()) == ("failed", "stopped without a word: killed?; goes on after 7 epochs")


def test_a_failed_step_shows_its_error(folder):
    write_log("$ sanrec train x\nsanrec train: the loss is nan in epoch 3: try a smaller learning rate\n", age=1)
    assert stands(job()) == ("failed", "the loss is nan in epoch 3: try a smaller learning rate")


def test_what_was_deleted_after_it_went_well_is_missing_not_failed(folder):
    write_log(f"$ sanrec train x\n{done_line('train', 3)}\n", age=1)
    assert stands(job()) == ("missing", "")


def test_what_is_there_but_of_other_settings_is_to_be_made_anew(folder):
    for name in ("metrics.json", "ranks.parquet"):
        (folder / FOLDER / name).write_text("{}")
    write_log(f"$ sanrec train x\n{done_line('train', 3)}\n", age=1)
    assert stands(job()) == ("anew", "Params have changed since last execution")


def test_people_see_counts_by_kind_and_programs_every_job(folder):
    many = [job(outputs=(f"results/{n}/metrics.json",), logs=()) for n in range(15)]
    found = standings(Listing((*many, job(rule="own_rule", needed=False)), load_config(), None), NOW)
    text = as_text(found).splitlines()
    assert text[:4] == [
        "              done  missing",
        "training run     .       15",
        "own_rule         1        .",
        "all              1       15",
    ]
    assert "and 3 more" in text[-1]
    record = as_record(found)
    assert record["counts"] == {"done": 1, "running": 0, "failed": 0, "anew": 0, "missing": 15}
    assert len(json.loads(json.dumps(record))["jobs"]) == 16
