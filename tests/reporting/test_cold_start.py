"""Cold start: groups of test targets, held to a slow version, and the table's texts to a golden file."""

import json
import math
from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sanrec import artifacts, snakefile
from sanrec.errors import ConfigError, DataError
from sanrec.evaluation.metrics import metrics_from_ranks
from sanrec.load import load_config
from sanrec.reporting.cold_start import in_group
from sanrec.reporting.specs import Group, TableSpec, load_table
from sanrec.reporting.table_runs import needs_of, runs_of
from sanrec.reporting.tables import make_table

SMALL = {
    "title": "Cold start",
    "kind": "cold-start",
    "data": "datasets",
    "metrics": ["HR@5", "NDCG@5"],
    "groups": [{"most": 0}, {"least": 1, "most": 2}, {"least": 3}, {}],
    "rows": [
        {"label": "SASRec (ID)", "model": "sasrec", "inputs": "ID"},
        {"label": "LightGCN (ID)", "model": "lightgcn", "inputs": "ID"},
        {"label": "CROSSAN (T+I)", "model": "crossan", "inputs": "TI"},
    ],
    "significance": {"ours": ["CROSSAN (T+I)"], "against": ["SASRec (ID)", "LightGCN (ID)"]},
    "notes": ["A note."],
}
# Trained on a five times, b twice, c once. Tests: u0 to u3 have a, u4 and u5 b, u6 c, u7 d, which only validates.
TRAINED = ["a", "a", "ab", "a", "ab", "", "c", ""]
TARGETS = "aaaabbcd"
RANKS = {
    "sasrec": ([1, 1, 9, 9, 1, 9, 9, 9], [1, 1, 9, 9, 9, 9, 9, 9]),
    "lightgcn": ([3, 9, 9, 9, 9, 9, 9, 9], [3, 9, 9, 9, 9, 9, 9, 9]),
    "crossan": ([1, 9, 9, 9, 1, 1, 1, 3], [1, 9, 9, 9, 1, 1, 1, 3]),
}
FLOOR = {"HR@5": 0.125, "NDCG@5": 0.0625}
GOLDEN = r"""# Cold start

## Demo

| Model | Demo unseen users | Demo seen 1-2 users | Demo seen 3+ users | Demo all users | Demo unseen HR@5 | Demo unseen NDCG@5 | Demo seen 1-2 HR@5 | Demo seen 1-2 NDCG@5 | Demo seen 3+ HR@5 | Demo seen 3+ NDCG@5 | Demo all HR@5 | Demo all NDCG@5 |
| --- | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: | --: |
| SASRec (ID) | 1 | 3 | 4 | 8 | <u>0.0000 ± 0.0000</u> | <u>0.0000 ± 0.0000</u> | <u>0.1667 ± 0.2357</u> | <u>0.1667 ± 0.2357</u> | **0.5000 ± 0.0000** | **0.5000 ± 0.0000** | <u>0.3125 ± 0.0884</u> | <u>0.3125 ± 0.0884</u> |
| LightGCN (ID) | 1 | 3 | 4 | 8 | <u>0.0000 ± 0.0000</u> | <u>0.0000 ± 0.0000</u> | 0.0000 ± 0.0000 | 0.0000 ± 0.0000 | <u>0.2500 ± 0.0000</u> | 0.1250 ± 0.0000 | 0.1250 ± 0.0000 | 0.0625 ± 0.0000 |
| CROSSAN (T+I) | 1 | 3 | 4 | 8 | **1.0000 ± 0.0000** | **0.5000 ± 0.0000** | **1.0000 ± 0.0000**\* | **1.0000 ± 0.0000**\* | <u>0.2500 ± 0.0000</u> | <u>0.2500 ± 0.0000</u> | **0.6250 ± 0.0000** | **0.5625 ± 0.0000** |
"""  # noqa: E501


def study(seeds=(0, 1)):
    mine = {"title": "Mine", "datasets": ["demo"], "seeds": list(seeds)}
    return load_config({"study": "mine", "studies": {"mine": mine}})


def write_interactions(root, trained, targets, name="demo"):
    """A data set's interactions: per user the items of the training part, one that validates, and those that test."""
    rows = []
    for n, (train, test) in enumerate(zip(trained, targets, strict=True)):
        for split, items in (("train", train), ("validation", "d"), ("test", test)):
            rows += [(f"u{n}", item, split) for item in items]
    path = root / artifacts.interactions(name)
    path.parent.mkdir(parents=True, exist_ok=True)
    pd.DataFrame(rows, columns=["user", "item", "split"]).to_parquet(path)
    floor = json.dumps({"test": {metric: FLOOR.get(metric, 0.1) for metric in (*FLOOR, "HR@10", "NDCG@10")}})
    (root / artifacts.popularity(name)).write_text(floor)


def several_targets(root, run, ranks, targets):
    """A run's files on a given split: a row per user and target, users without one left out."""
    users = [n for n, some in enumerate(targets) for _ in some]
    frame = pd.DataFrame(
        {"user": [f"u{n}" for n in users], "split": "test", "rank": np.asarray(ranks, np.int32)}
    ).assign(target=[item for some in targets for item in some])
    (root / run.folder).mkdir(parents=True, exist_ok=True)
    frame.to_parquet(root / run.ranks)
    record = {"seed": run.seed, "test": metrics_from_ranks(ranks, users)}
    (root / run.metrics).write_text(json.dumps(record))


@pytest.fixture
def small(tmp_path, write_run):
    """Make the small table; gives (config, spec, function that makes it anew and reads its csv)."""
    config, spec = study(), TableSpec(**SMALL)
    write_interactions(tmp_path, TRAINED, TARGETS)
    for run in runs_of(config, spec):
        write_run(run, RANKS[run.model][run.seed])

    def make(config=config, spec=spec):
        make_table(config, spec, None, tmp_path / "results/cold", root=tmp_path)
        return pd.read_csv(tmp_path / "results/cold.csv").set_index("row")

    return config, spec, make


def test_the_markdown_is_as_it_should_be(small, tmp_path):
    *_, make = small
    make()
    text = (tmp_path / "results/cold.md").read_text(encoding="utf-8")
    assert text.startswith(GOLDEN)
    assert "Test split of Demo (8 users)" in text
    assert "popularity over all users: Demo HR@5 0.1250, NDCG@5 0.0625" in text
    assert "Demo has one user with a test target in unseen: nothing is tested there" in text
    assert "- A note." in text
    assert "no test target" not in text
    assert "several targets" not in text


def test_the_page_has_the_figures_of_the_markdown(small, tmp_path):
    *_, make = small
    make()
    page = (tmp_path / "results/cold.html").read_text(encoding="utf-8")
    for text in (
        "Test users",
        "seen 1-2 HR@5",
        "0.1667 ± 0.2357",
        "1.0000 ± 0.0000*",
        "<h1>Cold start</h1>",
        "<caption>Demo</caption>",
    ):
        assert text in page, text
    assert 'class="data row0 col0 best"' not in page  # a number of users is neither good nor bad


def test_the_csv_has_deviations_and_tests_of_each_group(small):
    *_, make = small
    cells = make()
    ours = cells.loc["CROSSAN (T+I)"]
    assert cells.loc["SASRec (ID)", "Demo seen 1-2 HR@5 sd"] == pytest.approx(math.sqrt(1 / 18))  # 1/3 and 0
    assert (ours["Demo seen 1-2 HR@5 against"], ours["Demo seen 3+ NDCG@5 against"]) == ("SASRec (ID)",) * 2
    # averaged over seeds ours - SASRec is .5, 1, 1 on the three users: mean 5/6, deviation .2887, t = 5, df 2
    assert ours["Demo seen 1-2 HR@5 p"] == pytest.approx(0.0377, abs=1e-4)
    assert ours["Demo seen 1-2 HR@5 star"] == "*"
    assert pd.isna(ours["Demo unseen HR@5 p"])
    assert ours["Demo seen 3+ HR@5 p"] < 1
    assert cells["Demo seen 3+ HR@5 star"].isna().all()


def test_an_empty_group_is_a_dash_and_a_note(small, tmp_path):
    _, spec, make = small
    spec = spec.model_copy(update={"groups": (Group(least=6), Group())})
    cells = make(spec=spec)
    assert (cells["Demo seen 6+ users"] == 0).all()
    assert cells[["Demo seen 6+ HR@5", "Demo seen 6+ NDCG@5"]].isna().all(axis=None)
    text = (tmp_path / "results/cold.md").read_text(encoding="utf-8")
    assert "| CROSSAN (T+I) | 0 | 8 | – | – | **0.6250" in text
    assert "Demo has no test target in seen 6+: a dash there, not zero." in text


def test_validation_and_test_do_not_count_as_seen(small):
    """`d` validates for every user and is one's target, and is never seen all the same."""
    *_, make = small
    assert make()["Demo unseen users"].tolist() == [1] * 3


# -- against a slow and obvious version --------------------------------------------------------------------------------

ITEMS = "abcde"


def slowly(trained, targets, ranks, least, most, k):
    """HR@k and NDCG@k of one group, user by user, and how many users it has."""
    seen = Counter(item for items in trained for item in items)
    hits, gains, place = [], [], 0
    for wanted in targets:
        own = list(zip(wanted, ranks[place : place + len(wanted)], strict=True))
        place += len(wanted)
        inside = [rank for item, rank in own if seen[item] >= least and (most is None or seen[item] <= most)]
        if not inside:
            continue
        found = [rank for rank in inside if 1 <= rank <= k]
        hits.append(1 if found else 0)
        ideal = sum(1 / math.log2(rank + 1) for rank in range(1, min(len(inside), k) + 1))
        gains.append(sum(1 / math.log2(rank + 1) for rank in found) / ideal)
    return (len(hits), sum(hits) / len(hits), sum(gains) / len(gains)) if hits else (0, None, None)


@st.composite
def worlds(draw, several):
    users = draw(st.integers(2, 7))
    trained = [draw(st.lists(st.sampled_from(ITEMS), max_size=4)) for _ in range(users)]
    most = 3 if several else 1
    targets = [
        draw(st.lists(st.sampled_from(ITEMS), min_size=0 if several and n else 1, max_size=most, unique=True))
        for n in range(users)
    ]
    total = sum(map(len, targets))
    ranks = [draw(st.lists(st.integers(0, 8), min_size=total, max_size=total)) for _ in range(2)]
    least = draw(st.integers(0, 4))
    return trained, targets, ranks, least, draw(st.one_of(st.none(), st.integers(least, 6)))


@pytest.mark.parametrize("several", [False, True])
@settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(data=st.data())
def test_groups_are_those_of_a_slow_version(tmp_path, write_run, several, data):
    trained, targets, ranks, least, most = data.draw(worlds(several))
    group = {"least": least} | ({} if most is None else {"most": most})
    values = {**SMALL, "groups": [group], "rows": [SMALL["rows"][0], SMALL["rows"][2]]}
    values["significance"] = {"ours": ["CROSSAN (T+I)"], "against": ["SASRec (ID)"]}
    config, spec = study(seeds=[0]), TableSpec(**values)
    write_interactions(tmp_path, trained, targets)
    runs = runs_of(config, spec)
    for run, own in zip(runs, ranks, strict=True):
        several_targets(tmp_path, run, own, targets) if several else write_run(run, own)
    make_table(config, spec, None, tmp_path / "results/cold", root=tmp_path)
    cells = pd.read_csv(tmp_path / "results/cold.csv").set_index("row")
    label = spec.groups[0].label
    for row, own in zip(spec.rows, ranks, strict=True):
        users, hr, ndcg = slowly(trained, targets, own, least, most, 5)
        found = cells.loc[row.label]
        assert found[f"Demo {label} users"] == users
        for metric, expected in (("HR@5", hr), ("NDCG@5", ndcg)):
            value = found[f"Demo {label} {metric}"]
            assert pd.isna(value) if expected is None else value == pytest.approx(expected, abs=1e-12)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(counts=st.lists(st.integers(0, 50), min_size=1, max_size=30))
def test_the_tables_groups_part_every_target_once(repository, counts):
    """Unseen, seen 1 to 4 times, 5 times or more: each target in one of the three, and all in the last."""
    *parts, everything = load_table(repository / "workflow/tables/cold-start.yaml").groups
    assert [group.label for group in parts] == ["unseen", "seen 1-4", "seen 5+"]
    inside = [in_group(group, np.asarray(counts)) for group in parts]
    assert (np.sum(inside, axis=0) == 1).all()
    assert in_group(everything, np.asarray(counts)).all()


def test_several_targets_are_said(tmp_path):
    config, spec = study(seeds=[0]), TableSpec(**SMALL)
    targets = ["ad", "", "b"]
    write_interactions(tmp_path, ["aaa", "b", "a"], targets)
    for run in runs_of(config, spec):
        several_targets(tmp_path, run, [1, 9, 2], targets)
    make_table(config, spec, None, tmp_path / "results/cold", root=tmp_path)
    text = (tmp_path / "results/cold.md").read_text(encoding="utf-8")
    assert "several targets on Demo (3 targets)" in text
    assert "| SASRec (ID) | 1 | 1 | 1 | 2 | **0.0000** | **0.0000** | **1.0000** |" in text


def test_rows_may_be_tuned(small, write_run, write_search, tmp_path):
    config, spec, make = small
    spec = spec.model_copy(update={"tuned": True})
    runs = runs_of(config, spec)
    assert all(run.search for run in runs)
    for run in runs:
        write_run(run, [1] * 8)
        write_search(run, trials=config.trials, value=0.25, best={"learning_rate": 0.003})
    frame = make(spec=spec)
    assert (frame["Demo all HR@5"] == 1).all()
    assert (frame["Demo HR@10 tuned settings"] == "learning_rate=0.003").all()
    text = (tmp_path / "results/cold.md").read_text(encoding="utf-8")
    assert f"a search of {config.trials} trials found" in text
    assert "0.2500: learning\\_rate=0.003" in text
    assert {run.search for run in runs} <= set(needs_of(config, spec))


# -- what does not fit -------------------------------------------------------------------------------------------------


def test_a_missing_run_is_named(small, tmp_path):
    config, spec, make = small
    run = runs_of(config, spec)[-1]
    (tmp_path / run.metrics).unlink()
    with pytest.raises(DataError, match=rf"no such file.*snakemake {run.metrics} --cores"):
        make()


def test_ranks_of_another_training_make_no_table(small, write_run, tmp_path):
    config, spec, make = small
    run = runs_of(config, spec)[0]
    kept = (tmp_path / run.metrics).read_bytes()
    write_run(run, [9] * 8)
    (tmp_path / run.metrics).write_bytes(kept)
    with pytest.raises(DataError, match="not of the same training"):
        make()


def test_ranks_of_other_users_than_the_interactions_make_no_table(small, write_run):
    config, spec, make = small
    for run in runs_of(config, spec):  # all alike, so that they do fit each other
        write_run(run, RANKS[run.model][run.seed], users=[f"u{n}" for n in (1, 0, 2, 3, 4, 5, 6, 7)])
    with pytest.raises(DataError, match=r"interactions\.parquet: its test users are not those that the runs"):
        make()


def test_ranks_of_other_targets_make_no_table(tmp_path):
    config, spec = study(seeds=[0]), TableSpec(**SMALL)
    write_interactions(tmp_path, ["a", "b"], ["ab", "c"])
    runs = runs_of(config, spec)
    for run in runs:
        several_targets(tmp_path, run, [1, 9, 2], ["ab", "d"])
    with pytest.raises(DataError, match=r"interactions\.parquet: its test items are not those"):
        make_table(config, spec, None, tmp_path / "results/cold", root=tmp_path)
    several_targets(tmp_path, runs[0], [1, 9, 2], ["ba", "d"])
    with pytest.raises(DataError, match="test users or targets are in another order"):
        make_table(config, spec, None, tmp_path / "results/cold", root=tmp_path)


@pytest.mark.parametrize("name", ["interactions.parquet", "popularity.json"])
def test_missing_or_broken_counts_are_named(small, tmp_path, name):
    *_, make = small
    path = tmp_path / "results/demo" / name
    path.write_text("{}")
    with pytest.raises(DataError, match=rf"results/demo/{name}: (cannot be read as interactions|test metric HR@5)"):
        make()
    path.unlink()
    with pytest.raises(DataError, match=rf"no such file.*snakemake results/demo/{name} --cores"):
        make()


def test_the_rule_gives_a_reference_to_papers_tables_alone(repository):
    tables = {name: load_table(repository / f"workflow/tables/{name}.yaml") for name in ("cold-start", "table3")}
    assert snakefile.table_reference(str(repository), tables["cold-start"]) == []
    (reference,) = snakefile.table_reference(str(repository), tables["table3"])
    assert reference.endswith("workflow/reference/table3.csv")


def test_needs_are_runs_interactions_and_popularity():
    needs = needs_of(study(), TableSpec(**SMALL))
    assert {"results/demo/interactions.parquet", "results/demo/popularity.json"} <= set(needs)
    assert len([path for path in needs if path.endswith("ranks.parquet")]) == 3 * 2


def test_a_table_of_no_paper_takes_no_reference_and_a_papers_does(repository, tmp_path):
    with pytest.raises(ConfigError, match=r"no paper's: it takes no figures from x\.csv"):
        make_table(study(), TableSpec(**SMALL), "x.csv", tmp_path / "t", root=tmp_path)
    table = load_table(repository / "workflow/tables/table3.yaml")
    with pytest.raises(ConfigError, match=r"give workflow/reference/table3\.csv"):
        make_table(study(), table, None, tmp_path / "t", root=tmp_path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"groups": []}, "has 'data', 'groups', 'metrics' and 'rows'"),
        ({"data": None}, "has 'data', 'groups', 'metrics' and 'rows'"),
        ({"groups": [{"most": 0}, {"least": 0, "most": 0}]}, "same bounds: unseen, unseen"),
        ({"groups": [{"least": 3, "most": 2}]}, "from 3 to 2 occurrences holds nothing"),
        ({"paper": "crossan"}, "no paper's"),
        ({"reference": "x.csv"}, "no paper's"),
        ({"kind": "comparison"}, "'groups' are of tables of kind cold-start"),
        ({"kind": "comparison", "groups": []}, "has 'paper' and 'reference'"),
    ],
)
def test_a_malformed_table_is_refused(change, message):
    with pytest.raises(ValueError, match=message):
        TableSpec(**{**SMALL, **change})
