"""Reading runs: what is right is taken, what is not gets an error that says where and what to do."""

import json

import numpy as np
import pandas as pd
import pytest

from sanrec import artifacts
from sanrec.errors import DataError
from sanrec.evaluation.metrics import METRICS, RECALLS, metrics_from_ranks
from sanrec.load import load_config
from sanrec.reporting.results import (
    check_agreement,
    read_aligned_ranks,
    read_metrics,
    read_ranks,
    read_runs,
    read_statistics,
)
from sanrec.versions import STEPS

CONFIG = load_config()


def run(seed=0, model="crossan"):
    return artifacts.run(CONFIG, "demo", model, "TI", seed=seed)


def test_runs_become_a_frame_by_folder(tmp_path, write_run):
    write_run(run(0), [1, 2, 30])
    write_run(run(7), [1, 1, 1])
    frame = read_runs([run(7).folder, run(0).folder], tmp_path)
    assert list(frame.index) == [run(7).folder, run(0).folder]
    assert list(frame.columns) == ["seed", *METRICS, *RECALLS]
    assert frame["seed"].tolist() == [7, 0]
    assert frame["HR@10"].tolist() == pytest.approx([1, 2 / 3])


def test_a_run_of_another_version_is_named_once(tmp_path, write_run, caplog):
    folder = write_run(run(0), [1, 2, 30])
    path = folder / "metrics.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"step_version": STEPS["train"]}))
    read_metrics(folder)
    assert not caplog.text
    path.write_text(json.dumps(json.loads(path.read_text()) | {"step_version": 0}))
    read_metrics(folder)
    read_metrics(folder)
    assert caplog.text.count(f"{path}: made by version 0 of the training step") == 1
    assert f"snakemake {run(0).metrics} --cores" in caplog.text


def test_recall_of_one_target_is_its_hit_rate(tmp_path, write_run):
    write_run(run(0), [1, 2, 30])
    frame = read_runs([run(0).folder], tmp_path)
    assert all(frame[f"Recall@{k}"].item() == frame[f"HR@{k}"].item() for k in (5, 10, 20))


def test_users_with_several_targets(tmp_path, write_run):
    """As a run on a given split leaves them: a row per user and target, and Recall among the metrics."""
    users, ranks = ["b", "b", "a"], [1, 40, 3]
    for seed in (0, 1):
        folder = write_run(run(seed), ranks, users=users)
        table = pd.read_parquet(folder / "ranks.parquet")
        table.assign(target=[f"i{n}" for n in range(len(table))]).to_parquet(folder / "ranks.parquet")
        record = json.loads((folder / "metrics.json").read_text())
        record["test"] |= metrics_from_ranks(ranks, [0, 0, 1])
        (folder / "metrics.json").write_text(json.dumps(record))
    folders = [run(seed).folder for seed in (0, 1)]
    aligned = read_aligned_ranks(folders, tmp_path)
    assert aligned.users == ("b", "a")
    assert aligned.owners.tolist() == [0, 0, 1]
    frame = read_runs(folders, tmp_path)
    assert frame["Recall@5"].tolist() == [0.75, 0.75]
    assert frame["HR@5"].tolist() == [1, 1]
    check_agreement(frame.iloc[0], aligned.values[0], folders[0], aligned.owners)
    with pytest.raises(DataError, match="NDCG@10"):
        check_agreement({**frame.iloc[0], "NDCG@10": 0.1}, aligned.values[0], folders[0], aligned.owners)


def test_a_target_that_stands_twice_is_refused(tmp_path, write_run):
    folder = write_run(run(), [1, 2], users=["a", "a"])
    table = pd.read_parquet(folder / "ranks.parquet")
    table.assign(target="i").to_parquet(folder / "ranks.parquet")
    with pytest.raises(DataError, match="user 'a' has more than one rank"):
        read_ranks(folder)


def test_ranks_keep_users_and_order_of_their_split(tmp_path, write_run):
    folder = write_run(run(), [4, 0, 9], users=["b", "a", "7"])
    ranks = read_ranks(folder)
    assert ranks.dtype == np.int32
    assert list(ranks.index) == ["b", "a", "7"]
    assert ranks.tolist() == [4, 0, 9]
    assert read_ranks(folder, "validation").tolist() == [1, 1, 1]


def test_runs_of_the_same_users_are_aligned(tmp_path, write_run):
    for seed, ranks in enumerate([[1, 2], [3, 4], [5, 6]]):
        write_run(run(seed), ranks)
    aligned = read_aligned_ranks([run(n).folder for n in (2, 0)], tmp_path)
    assert aligned.users == ("u0", "u1")
    assert aligned.values.tolist() == [[5, 6], [1, 2]]


@pytest.mark.parametrize(
    ("users", "message"),
    [
        (["u1", "u0"], "are in another order"),
        (["u0", "x"], "are not the same"),
        (["u0", "u1", "u2"], "are not the same"),
    ],
)
def test_runs_of_other_users_are_not_compared(tmp_path, write_run, users, message):
    write_run(run(0), [1, 2])
    write_run(run(1), range(1, len(users) + 1), users=users)
    with pytest.raises(DataError, match=message) as caught:
        read_aligned_ranks([run(0).folder, run(1).folder], tmp_path)
    assert run(0).folder in str(caught.value)
    assert run(1).folder in str(caught.value)


def test_no_runs_cannot_be_compared():
    with pytest.raises(DataError, match="no runs"):
        read_aligned_ranks([])


def damage(record, *path_and_value):
    *path, last, value = path_and_value
    for key in path:
        record = record[key]
    record[last] = value


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (("test", "NDCG@20", None), "test metric NDCG@20 is to be a fraction, not None"),
        (("test", "HR@5", "0.1"), "test metric HR@5 is to be a fraction, not '0.1'"),
        (("test", "HR@5", 9.3), "fraction, not 9.3"),
        (("test", "MRR@5", float("nan")), "fraction, not nan"),
        (("test", None), "no metrics of the test split"),
        (("seed", "one"), "'seed' is to be a whole number, not 'one'"),
    ],
)
def test_malformed_metrics_say_where_and_what_to_do(tmp_path, write_run, change, message):
    folder = write_run(run(), [1, 2])
    record = json.loads((folder / "metrics.json").read_text())
    damage(record, *change)
    (folder / "metrics.json").write_text(json.dumps(record))
    with pytest.raises(DataError) as caught:
        read_metrics(folder)
    assert message in str(caught.value)
    assert str(folder) in str(caught.value)
    assert f"snakemake {run().metrics} --cores" in str(caught.value)


@pytest.mark.parametrize("text", ["", "{", "[1]", '"text"'])
def test_metrics_that_are_no_record_are_refused(tmp_path, write_run, text):
    folder = write_run(run(), [1, 2])
    (folder / "metrics.json").write_text(text)
    with pytest.raises(DataError, match=r"metrics\.json: (not valid JSON|expected keys and values)"):
        read_metrics(folder)


@pytest.mark.parametrize("name", ["metrics.json", "ranks.parquet"])
def test_a_missing_file_is_named(tmp_path, write_run, name):
    folder = write_run(run(), [1, 2])
    (folder / name).unlink()
    read = {"metrics.json": read_metrics, "ranks.parquet": read_ranks}[name]
    with pytest.raises(DataError, match=rf"{name}: no such file.*snakemake {run().metrics} --cores"):
        read(folder)


@pytest.mark.parametrize(
    ("frame", "message"),
    [
        ({"user": ["a"], "split": ["test"]}, "cannot be read as ranks"),
        ({"user": ["a"], "split": ["validation"], "rank": [1]}, "no rank of split 'test'"),
        ({"user": ["a"], "split": ["test"], "rank": [-1]}, "whole number from 0"),
        ({"user": ["a"], "split": ["test"], "rank": [1.5]}, "whole number from 0"),
        ({"user": ["a", "a"], "split": ["test"] * 2, "rank": [1, 2]}, "user 'a' has more than one rank"),
    ],
)
def test_malformed_ranks_are_refused(tmp_path, frame, message):
    pd.DataFrame(frame).to_parquet(tmp_path / "ranks.parquet")
    with pytest.raises(DataError, match=message):
        read_ranks(tmp_path)


def test_ranks_that_are_no_parquet_are_refused(tmp_path):
    (tmp_path / "ranks.parquet").write_text("user,split,rank\n")
    with pytest.raises(DataError, match="cannot be read as ranks"):
        read_ranks(tmp_path)


def test_metrics_must_follow_from_the_ranks():
    ranks = np.array([1, 5, 11, 0], dtype=np.int32)
    metrics = metrics_from_ranks(ranks)
    check_agreement(metrics, ranks, "a run")
    with pytest.raises(DataError, match=r"a run: metrics\.json gives HR@5 = 0\.51.* gives 0\.5"):
        check_agreement({**metrics, "HR@5": 0.51}, ranks, "a run")


GOOD = {"users": 3, "items": 4, "interactions": 15, "content": ["text"]}


def test_statistics_are_read(write_statistics):
    assert read_statistics(write_statistics("demo", **GOOD))["interactions"] == 15


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"users": None}, "'users' is to be a whole number, not None"),
        ({"items": 4.5}, "'items' is to be a whole number"),
        ({"interactions": -1}, "'interactions' is to be a whole number"),
        ({"content": []}, "'content' is to list the modalities"),
        ({"content": "text"}, "'content' is to list the modalities"),
    ],
)
def test_malformed_statistics_are_refused(write_statistics, change, message):
    with pytest.raises(DataError, match=message) as caught:
        read_statistics(write_statistics("demo", **{**GOOD, **change}))
    assert "snakemake results/demo/statistics.json --cores" in str(caught.value)
