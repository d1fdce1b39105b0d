"""The summary at a workflow's end, from the log that Snakemake keeps and the files that jobs leave."""

import json
from datetime import datetime

import pytest

from sanrec.workflow.ending import ending, tell_ending

RUN = "results/demo/runs/crossan/TI/adapter_width=64,fusion=concat/seed=0"
NAME = "2026-11-22T184856.871812.snakemake.log"
BEGUN = datetime(2026, 11, 22, 18, 48, 56, 871812).timestamp()
HIDDEN = """\
Building DAG of jobs...
[Sun Nov 22 18:48:57 2026]
localrule hidden:
    input: results/demo/items.parquet
    output: results/demo/hidden/title/bert.json
    log: results/logs/hidden.log
    jobid: 4
    benchmark: results/benchmarks/hidden.tsv
    wildcards: corpus=demo
[Sun Nov 22 18:48:59 2026]
Finished jobid: 4 (Rule: hidden)
1 of 3 steps (33%) done
"""
TRAIN = f"""\
rule train:
    input: results/demo/hidden/title/bert.json
    output: {RUN}/metrics.json, {RUN}/ranks.parquet
    log: results/logs/train.log
    jobid: 2
    benchmark: results/benchmarks/train.tsv
"""
DONE = "Finished jobid: 2 (Rule: train)\n"
FAILED = f"""\
[Sun Nov 22 19:00:24 2026]
Error in rule train:
    message: None
    jobid: 2
    output: {RUN}/metrics.json, {RUN}/ranks.parquet
    log: results/logs/train.log (check log file(s) for error details)
    shell:
        python -m sanrec train
RuleException:
"""
TABLE = f"""\
localrule table:
    input: x, {RUN}/metrics.json
    output: results/table3.csv, results/table3.md, results/table3.html
    jobid: 0
Finished jobid: 0 (Rule: table)
"""
ROWS = """\
row,kind,Demo HR@10,Demo NDCG@10,paper X HR@10
Small,system,0.15,0.07,0.9
CROSSAN,system,0.25,0.11,0.1
Untrained,system,,,0.1
Improvement,(ours - other) / ours,0.4,0.3,0.1
"""


@pytest.fixture
def told(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "results/benchmarks").mkdir(parents=True)
    (tmp_path / RUN).mkdir(parents=True)
    for name, megabytes in (("hidden", 500), ("train", 1000)):
        (tmp_path / f"results/benchmarks/{name}.tsv").write_text(f"s\tmax_rss\n2.0\t{megabytes}\n")
    metrics = {"machine": "AMD EPYC, 1 of 2 threads", "peak_memory_bytes": 1e9, "run": {"dataset": "demo"}}
    metrics["test"] = {"HR@10": 0.2, "NDCG@10": 0.1}
    (tmp_path / RUN / "metrics.json").write_text(json.dumps(metrics))
    (tmp_path / "results/table3.csv").write_text(ROWS)

    def tell(text, seconds=90):
        (tmp_path / NAME).write_text(text)
        return ending(tmp_path / NAME, BEGUN + seconds)

    return tell


def test_what_was_made_where_how_long_and_at_which_peak(told):
    assert told(HIDDEN + TRAIN + DONE) == [
        "2 jobs done in 1 min 30 s: hidden states 1, training run 1",
        f"  {RUN}/metrics.json",
        f"peak: memory 1.05 GB (training run {RUN}/metrics.json)",
        f"best on test: {RUN}, HR@10 0.2000, NDCG@10 0.1000",
    ]


def test_of_a_table_the_best_system_is_told(told):
    lines = told(HIDDEN + TRAIN + DONE + TABLE)
    assert lines[1] == "  results/table3.csv"
    assert lines[-1] == "best on Demo in results/table3.csv: CROSSAN, HR@10 0.2500, NDCG@10 0.1100"


@pytest.mark.parametrize(
    ("columns", "ours", "other", "said"),
    [
        ("Demo HR@5,Demo MRR@10", "0.2,0.1", "0.1,0.3", "Demo in results/table3.csv: Ours, HR@5 0.2000"),
        ("Demo MRR@5,Demo NDCG@10", "2,0.1", "1,0", "Demo in results/table3.csv: Ours, MRR@5 2.0000, NDCG@10 0.1000"),
        ("Demo Recall@20,Demo Recall@20 sd", "0.2,1", "0.1,3", "Demo in results/table3.csv: Ours, Recall@20 0.2000"),
        ("Demo HR@5,Demo HR@10", "0.2,0.1", "0.1,0.3", "Demo in results/table3.csv: Other, HR@10 0.3000"),
        (
            "Demo unseen users,Demo seen 1+ users,Demo unseen HR@10,Demo seen 1+ HR@10", "0,9,,0.2", "0,9,,0.1",
            "Demo seen 1+ in results/table3.csv: Ours, HR@10 0.2000",
        ),
        (
            "Demo unseen users,Demo all users,Demo unseen HR@10,Demo all HR@10", "9,9,0.1,0.2", "9,9,0.3,0.1",
            "Demo all in results/table3.csv: Ours, HR@10 0.2000",
        ),
        (
            "Demo head users,Demo head HR@10,Demo Coverage@10,Demo HR@10", "9,0.1,9,0.2", "9,0.3,1,0.1",
            "Demo in results/table3.csv: Ours, HR@10 0.2000",
        ),
    ],
)  # fmt: skip
def test_the_headline_is_of_all_targets_else_of_the_first_metric_that_has_a_value(
    told, tmp_path, columns, ours, other, said
):
    rows = f"row,kind,{columns}\nOurs,system,{ours}\nOther,system,{other}\n"
    (tmp_path / "results/table3.csv").write_text(rows)
    assert told(TABLE)[-1] == f"best on {said}"


def test_a_table_without_metrics_has_no_headline(told, tmp_path):
    (tmp_path / "results/table3.csv").write_text("row,kind,Demo TT,Demo unseen HR@10\nOurs,system,3.1,\n")
    assert told(TABLE)[-1] == "  results/table3.csv"


def test_a_run_with_several_targets_per_user_has_recall(told, tmp_path):
    metrics = json.loads((tmp_path / RUN / "metrics.json").read_text()) | {"test": {"Recall@20": 0.2, "NDCG@10": 0.1}}
    (tmp_path / RUN / "metrics.json").write_text(json.dumps(metrics))
    assert told(TRAIN + DONE)[-1] == f"best on test: {RUN}, Recall@20 0.2000, NDCG@10 0.1000"


def test_a_rule_that_only_gathers_targets_is_no_job_and_reads_nothing(told):
    gathered = f"localrule all:\n    input: {RUN}/metrics.json\n    jobid: 0\nFinished jobid: 0 (Rule: all)\n"
    assert told(HIDDEN + TRAIN + DONE + gathered) == told(HIDDEN + TRAIN + DONE)
    assert told(gathered) == ["No job was run."]


def test_memory_of_a_gpu_stands_beside(told, tmp_path):
    metrics = json.loads((tmp_path / RUN / "metrics.json").read_text())
    (tmp_path / RUN / "metrics.json").write_text(json.dumps(metrics | {"machine": "Tesla", "peak_memory_bytes": 5e9}))
    assert f"GPU memory 5.00 GB (training run {RUN}/metrics.json)" in told(TRAIN + DONE)[2]


def test_a_failed_job_is_named_with_its_log(told):
    assert told(HIDDEN + TRAIN + FAILED)[-1] == f"failed: training run {RUN}/metrics.json (log: results/logs/train.log)"


def test_a_job_that_a_retry_finished_did_not_fail(told):
    assert not any(line.startswith("failed") for line in told(TRAIN + FAILED + TRAIN + DONE))


def test_a_workflow_without_jobs_gets_one_line(told):
    assert told("Building DAG of jobs...\nNothing to be done\n") == ["No job was run."]


@pytest.mark.parametrize("name", ["nothing.log", "2026-11-22T184856.871812.snakemake.log"])
def test_whatever_is_wrong_breaks_nothing(tmp_path, monkeypatch, capsys, name):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nothing.log").write_text(HIDDEN)
    tell_ending(str(tmp_path / name))
    assert capsys.readouterr().err.startswith("No summary: ")


def test_a_list_of_logs_as_snakemake_hands_it_will_do(told, tmp_path, capsys):
    told(TRAIN + DONE)
    tell_ending([str(tmp_path / NAME)])
    assert "1 job done in " in capsys.readouterr().err


def test_missing_files_leave_out_their_line_alone(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / NAME).write_text(TRAIN + DONE + TABLE)
    assert ending(tmp_path / NAME, BEGUN + 1) == ["2 jobs done in 1 s: training run 1, table 1", "  results/table3.csv"]
