"""The split by time: from a table to the trainer's arrays against a slow version, and that nothing leaks."""

from collections import Counter

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st

from sanrec.data.interactions import load_sequences
from sanrec.data.prepare import prepare_corpus, prepare_dataset
from sanrec.data.split import popularity
from sanrec.errors import ConfigError, DataError
from sanrec.files import read_json
from sanrec.load import load_config
from sanrec.snakefile import dataset_record
from sanrec.training.negatives import Negatives
from sanrec.training.pairs import sampled_items, training_pairs
from sanrec.training.popularity import popularity_ranks

HEADER = "userID\titemID\ttimestamp\n"
ITEMS = 6


def world(place, rows, corpus=None, **data):
    """A corpus of numbered items, and a data set over it that is split by time; `rows` are (user, item, moment)."""
    (place / "raw").mkdir(exist_ok=True)
    (place / "raw" / "mine.inter").write_text(HEADER + "".join(f"{u}\t{i}\t{t}\n" for u, i, t in rows))
    record = {"title": "Mine", "layout": "inter", "folder": str(place / "raw"), "item_count": ITEMS} | (corpus or {})
    data = {"title": "Set", "corpus": "mine", "pairs": "mine.inter", "split": "time", "backbones": {}} | data
    return load_config({"corpora": {"mine": record}, "datasets": {"set": data}})


def prepare(config, folder):
    prepare_corpus(config, "mine", folder / "items.parquet")
    outputs = folder / "interactions.parquet", folder / "statistics.json"
    prepare_dataset(config, "set", folder / "items.parquet", *outputs)
    return load_sequences(outputs[0]), read_json(outputs[1])


def slow(rows, first, second, targets, least, most):
    """By user: what trains, the inputs of validation and its targets, those of test and its targets; the plain way."""
    found = {}
    for user in dict.fromkeys(u for u, *_ in rows):
        mine = sorted(((t, n, i) for n, (u, i, t) in enumerate(rows) if u == user), key=lambda one: one[:2])
        train = [i for t, _, i in mine if t < first]
        held = [[i for t, _, i in mine if first <= t < second], [i for t, _, i in mine if t >= second]]
        if len(train) < least:
            continue
        train = train[-most:]
        if targets == "all":
            periods = [list(dict.fromkeys(part)) for part in held]
            found[user] = (train, train, periods[0], train + periods[0], periods[1])
        else:
            before = {"last": lambda part: part[:-1], "first": lambda part: []}[targets]
            one = {"last": lambda part: part[-1:], "first": lambda part: part[:1]}[targets]
            past = [train + before(held[0]), train + held[0] + before(held[1])]
            found[user] = (train, past[0] if held[0] else train, one(held[0]), past[1], one(held[1]))
    return found


moments = st.integers(0, 9)
tables = st.lists(st.tuples(st.sampled_from("abcd"), st.integers(0, ITEMS - 1), moments), min_size=3, max_size=40)


@settings(max_examples=120, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(tables, moments, moments, st.sampled_from(["last", "first", "all"]), st.integers(1, 3), st.integers(3, 6))
def test_whole_way_against_a_slow_version_and_nothing_leaks(tmp_path, rows, first, second, targets, least, most):
    expected = slow(rows, first, second, targets, least, most)
    periods = {"validation_from": first, "test_from": second, "targets": targets}
    config = world(tmp_path, rows, periods=periods, min_interactions=least, keep_last=most)
    parts = [sum(t < first for *_, t in rows), sum(first <= t < second for *_, t in rows)]
    enough = min(*parts, len(rows) - sum(parts)) > 0 and first < second
    if not enough or not all(any(user[part] for user in expected.values()) for part in (2, 4)):
        with pytest.raises(DataError, match=r"mine.inter: (cut at|no user with)"):
            prepare(config, tmp_path)
        return
    data, counts = prepare(config, tmp_path)

    def items(pair):
        return data.item_rows[pair[0]].tolist()

    assert data.users.tolist() == list(expected)
    for number, (train, before_validation, validation, before_test, test) in enumerate(expected.values()):
        one = np.array([number])
        assert items(data.training_items(one)) == train
        assert items(data.targets("validation", one)) == validation
        assert items(data.targets("test", one)) == test
        if validation:
            assert items(data.history("validation", one)) == before_validation
        if test or targets != "all":
            assert items(data.history("test", one)) == before_test
        window = data.training(one, 4)[0]
        assert data.item_rows[window[window > 0]].tolist() == train[-5:]
        shown = data.inputs("test", one, 4)[0]
        assert data.item_rows[shown[shown > 0]].tolist() == before_test[-4:]

    # nothing that trains is later than the cut, or of somebody or something that is first seen after it
    past = Counter((u, i) for u, i, t in rows if t < first)
    owners = np.repeat(data.users, np.diff(data.training_items()[1]))
    trains = Counter(zip(owners.tolist(), items(data.training_items()), strict=True))
    assert not trains - past
    early = {i for _, i, t in rows if t < first}
    assert set(data.item_rows[np.flatnonzero(popularity(data))]) <= early
    # a target is never an interaction that trained: what trains and is ranked is no more often there than in the table
    there = Counter((u, i) for u, i, _ in rows)
    for part in ("validation", "test"):
        wanted, offsets = data.targets(part)
        whose = np.repeat(data.users, np.diff(offsets)).tolist()
        trains += Counter(zip(whose, data.item_rows[wanted].tolist(), strict=True))
    assert not trains - there

    frame = pd.read_parquet(tmp_path / "interactions.parquet")
    warm = set(frame.loc[frame["split"] == "train", "item"])
    cold = frame[~frame["item"].isin(warm)]
    assert counts["cold_items"] == cold["item"].nunique()
    assert counts["cold_targets"] == {name: int((cold["split"] == name).sum()) for name in ("validation", "test")}
    assert counts["users_without_history"] == len({u for u, *_ in rows}) - len(expected)
    assert counts["users_with_targets"]["test"] == sum(bool(user[4]) for user in expected.values())
    assert (counts["validation_from"], counts["test_from"]) == (str(first), str(second))


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    st.lists(st.integers(0, 30), min_size=3, max_size=60),
    st.floats(0.05, 0.4),
    st.floats(0.05, 0.4),
)
def test_shares_part_moments_and_never_one_moment(tmp_path, times, validation, test):
    rows = [(f"u{n % 3}", n % ITEMS, t) for n, t in enumerate(times)]
    periods = {"validation_share": validation, "test_share": test}
    config = world(tmp_path, rows, periods=periods, min_interactions=1)
    try:
        _, counts = prepare(config, tmp_path)
    except DataError:
        assume(False)
    first, second = int(counts["validation_from"]), int(counts["test_from"])
    assert {first, second} <= set(times)
    # at least its share is on the later side of a cut, and without those of the cut's own moment at most
    for cut, share in ((second, test), (first, validation + test)):
        assert sum(t >= cut for t in times) >= share * len(times) - 1e-9
        assert sum(t > cut for t in times) <= share * len(times) + 1


def test_dates_are_moments_too(tmp_path):
    days = ["2024-01-01", "2024-01-02T10:00:00", "2024-02-01", "2024-03-01", "2024-03-09"]
    rows = [("a", n, day) for n, day in enumerate(days)]
    periods = {"validation_from": "2024-02-01", "test_from": "2024-03-01"}
    data, counts = prepare(world(tmp_path, rows, periods=periods, min_interactions=1), tmp_path)
    assert data.item_rows[data.training_items()[0]].tolist() == [0, 1]
    assert data.item_rows[data.targets("test")[0]].tolist() == [4]  # the last of the period
    assert data.item_rows[data.history("test")[0]].tolist() == [0, 1, 2, 3]
    assert (counts["validation_from"], counts["test_from"], counts["cold_items"]) == ("2024-02-01", "2024-03-01", 3)


def test_leave_one_out_takes_the_order_of_time_where_it_is_told_the_column(tmp_path):
    rows = [("a", n, 9 - n) for n in range(5)]
    for columns, expected in (({"time": "timestamp"}, 0), ({}, 4)):
        config = world(tmp_path, rows, split="leave-one-out", columns=columns)
        data, _ = prepare(config, tmp_path)
        assert data.item_rows[data.held_out("test")[1]].tolist() == [expected]


@pytest.mark.parametrize(
    ("rows", "data", "message"),
    [
        ([("a", 1, 1), ("a", 2, "soon")], {}, "line 3: under 'timestamp', 'soon' is no moment as the others are"),
        ([("a", 1, 1), ("a", 2, "2024-01-01")], {}, "line 3: under 'timestamp', '2024-01-01' is no moment as"),
        ([("a", 1, 1), ("a", 2, "nan")], {}, "line 3: under 'timestamp', 'nan' is no moment"),
        ([("a", 1, 1)] * 9, {}, "cut at 1 and 1, interactions are train 0, validation 0, test 9"),
        (
            [("a", 1, t) for t in range(9)],
            {"periods": {"validation_from": "2024-01-01", "test_from": "2024-02-01"}},
            "its moments are numbers, but 'periods' of the data set gives dates",
        ),
        ([("a", 1, t) for t in range(9)], {"min_interactions": 20}, "no user with 20 interactions in the training"),
        ([("a", 1, t) for t in range(9)], {"columns": {"time": "when"}}, "unknown column 'when'"),
    ],
)
def test_tables_that_cannot_be_split_say_why(tmp_path, rows, data, message):
    with pytest.raises(DataError, match=message):
        prepare(world(tmp_path, rows, **data), tmp_path)


@pytest.mark.parametrize(
    ("corpus", "data", "message"),
    [
        ({"layout": "amazon", "titles": "t.tsv", "item_count": None}, {}, "layout is inter, not amazon"),
        ({}, {"periods": {"test_from": 3}}, "moments come in twos"),
        ({}, {"periods": {"test_share": 0.6, "validation_share": 0.5}}, "leave nothing to train on"),
        ({}, {"split": "leave-one-out", "min_interactions": 2}, "min_interactions is 3 at least"),
    ],
)
def test_records_that_make_no_sense(tmp_path, corpus, data, message):
    with pytest.raises(ConfigError, match=message):
        world(tmp_path, [], corpus, **data)


@pytest.mark.parametrize(
    "spoil",
    [
        lambda frame: frame.assign(split=["history", *frame["split"].iloc[1:]]),
        lambda frame: frame.assign(split=[*frame["split"].iloc[:-1], "train"]),
        lambda frame: frame.assign(split=["test" if s == "history" else s for s in frame["split"]]),
        lambda frame: frame.assign(split="somewhere"),
    ],
)
def test_a_split_by_time_out_of_order_is_refused(tmp_path, spoil):
    import pyarrow as pa
    import pyarrow.parquet as pq

    rows = [("a", n % ITEMS, n) for n in range(10)]
    prepare(world(tmp_path, rows, periods={"validation_from": 4, "test_from": 7}, min_interactions=1), tmp_path)
    path = tmp_path / "interactions.parquet"
    written = pq.read_table(path)
    spoilt = pa.Table.from_pandas(spoil(written.to_pandas()), preserve_index=False)
    pq.write_table(spoilt.replace_schema_metadata(written.schema.metadata), path)
    with pytest.raises(DataError, match="not in order"):
        load_sequences(path)


def test_items_first_seen_after_the_cut_are_never_sampled(tmp_path):
    rows = [("a", 0, 0), ("a", 1, 1), ("b", 1, 0), ("b", 4, 1), ("a", 2, 5), ("b", 3, 9), ("a", 5, 9)]
    config = world(tmp_path, rows, periods={"validation_from": 4, "test_from": 8}, min_interactions=1)
    data, counts = prepare(config, tmp_path)
    assert counts["cold_items"] == 3
    user_N, item_N = training_pairs(data)
    sampler = sampled_items(data, user_N, item_N)
    assert isinstance(sampler, Negatives)
    drawn = sampler.draw(np.repeat([0, 1], 200), np.random.default_rng(0))
    assert {data.item_rows[item + 1] for item in drawn[:200]} == {4}
    assert {data.item_rows[item + 1] for item in drawn[200:]} == {0}


def test_popularity_ranks_the_targets_that_there_are(tmp_path):
    rows = [(u, i, t) for u in "ab" for i, t in ((0, 0), (1, 1))] + [("c", 0, 0), ("a", 2, 5), ("c", 1, 9)]
    config = world(tmp_path, rows, periods={"validation_from": 4, "test_from": 8}, min_interactions=1)
    data, _ = prepare(config, tmp_path)
    assert popularity_ranks(data, "validation").tolist() == [1]  # the one item left for 'a'
    assert popularity_ranks(data, "test").tolist() == [1]  # of what 'c' does not have, the more popular one


def test_what_a_data_set_depends_on(tmp_path):
    def record(**data):
        return dataset_record(world(tmp_path, [], **data), "set")

    plain = record()
    assert '"periods"' in plain
    assert record(periods={"targets": "all"}) != plain
    assert record(periods={"test_share": 0.2}) != plain
    assert record(columns={"time": "when"}) != plain
    given = record(split="given")
    assert "time" not in given
    assert "periods" not in given  # tables made before there was a split by time stay
