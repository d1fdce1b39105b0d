"""Tables of interactions with a split of their own: from the file to the arrays of the trainer, and what is refused."""

from itertools import pairwise

import numpy as np
import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sanrec.config import Columns, Labels
from sanrec.data.inter import read_inter, read_labelled
from sanrec.data.interactions import load_sequences
from sanrec.data.prepare import prepare_corpus, prepare_dataset
from sanrec.data.split import Sequences, popularity
from sanrec.errors import ConfigError, DataError
from sanrec.files import read_json
from sanrec.load import load_config

HEADER = "userID\titemID\trating\tx_label\n"
TABLE = HEADER + "b\t3\t1\t0\na\t0\t1\t2\nb\t1\t1\t1\na\t3\t1\t0\nb\t0\t1\t0\nb\t2\t1\t1\na\t1\t1\t1\nc\t2\t1\t0\n"


def world(place, table=TABLE, corpus=None, **data):
    """A corpus of four numbered items, and a data set over it with a given split."""
    (place / "raw").mkdir(exist_ok=True)
    (place / "raw" / "mine.inter").write_text(table)
    record = {"title": "Mine", "layout": "inter", "folder": str(place / "raw"), "item_count": 4} | (corpus or {})
    data = {"title": "Set", "corpus": "mine", "pairs": "mine.inter", "split": "given", "backbones": {}} | data
    return load_config({"corpora": {"mine": record}, "datasets": {"set": data}})


def prepare(config, folder):
    prepare_corpus(config, "mine", folder / "items.parquet")
    outputs = folder / "interactions.parquet", folder / "statistics.json"
    prepare_dataset(config, "set", folder / "items.parquet", *outputs)
    return load_sequences(outputs[0])


def lists(flat, offsets):
    return [flat[a:b].tolist() for a, b in pairwise(offsets)]


def test_a_given_split_becomes_sequences(tmp_path):
    data = prepare(world(tmp_path), tmp_path)
    assert data.given
    assert data.users.tolist() == ["b", "a", "c"]  # as they appear
    assert (data.user_count, data.item_count) == (3, 4)
    assert data.item_rows.tolist() == [-1, 0, 1, 2, 3]
    assert lists(*data.training_items()) == [[4, 1], [4], [3]]
    assert lists(*data.targets("validation")) == [[2, 3], [2], []]
    assert lists(*data.targets("test")) == [[], [1], []]
    assert lists(*data.history("validation")) == [[4, 1], [4], [3]]
    assert lists(*data.history("test")) == [[4, 1, 2, 3], [4, 2], [3]]
    some = np.array([2, 1])
    assert lists(*data.targets("test", some)) == [[], [1]]
    assert lists(*data.history("test", some)) == [[3], [4, 2]]
    np.testing.assert_allclose(popularity(data), [0, 1 / 4, 0, 1 / 4, 2 / 4])
    with pytest.raises(ValueError, match="no order"):
        data.training()
    with pytest.raises(ValueError, match="no order"):
        data.held_out("test")


def test_its_counts_and_items_without_titles(tmp_path):
    prepare(world(tmp_path), tmp_path)
    counts = read_json(tmp_path / "statistics.json")
    assert (counts["users"], counts["items"], counts["interactions"]) == (3, 4, 8)
    assert counts["split"] == "given"
    assert counts["interactions_of"] == {"train": 4, "validation": 3, "test": 1}
    assert "keep_last" not in counts
    assert pd.read_parquet(tmp_path / "items.parquet")["item"].tolist() == ["0", "1", "2", "3"]


def test_labels_and_columns_may_be_others(tmp_path):
    table = TABLE.replace("userID\titemID", "who\twhat").replace("x_label", "part")
    names = {"user": "who", "item": "what", "label": "part"}
    data = prepare(world(tmp_path, table, columns=names, labels={"validation": 2, "test": 1}), tmp_path)
    assert lists(*data.targets("test")) == [[2, 3], [2], []]


def test_titles_give_the_order_of_the_items(tmp_path):
    (tmp_path / "raw").mkdir()
    (tmp_path / "raw" / "titles.tsv").write_text("3\tthree\n9\tnobody's\n1\tone\n0\tnought\n2\ttwo\n")
    data = prepare(world(tmp_path, corpus={"item_count": None, "titles": "titles.tsv"}), tmp_path)
    assert data.item_rows.tolist() == [-1, 0, 2, 3, 4]
    assert lists(*data.training_items())[0] == [1, 3]


def test_a_table_in_time_order_can_be_split_as_sequences_are(tmp_path):
    config = world(tmp_path, split="leave-one-out", min_interactions=3, keep_last=3)
    data = prepare(config, tmp_path)
    assert not data.given
    assert data.users.tolist() == ["b", "a"]  # c has one interaction
    assert lists(data.items, data.offsets) == [[2, 1, 3], [1, 4, 2]]  # b's last three


def test_the_leave_one_out_form_of_targets():
    data = Sequences(np.array([5, 1, 2, 3, 4], np.int32), np.array([0, 5]), np.array(["u"]), np.arange(-1, 5))
    assert lists(*data.targets("validation")) == [[3]]
    assert lists(*data.targets("test")) == [[4]]


@pytest.mark.parametrize(
    ("table", "message"),
    [
        (TABLE.replace("c\t2\t1\t0", "c\t2\t1\t7"), r"line 9: '7' under 'x_label' is no label.*0 train, 1 validation"),
        (TABLE + "b\t2\t1\t0\n", r"line 10: user 'b' with item '2' was there before, in line 7"),
        (TABLE + "c\t4\t1\t0\n", r"1 of its items are not in the corpus, whose items are 0 to 3.*'4' \(of user 'c'\)"),
        (TABLE.replace("c\t2", "\t2"), r"line 9: '' under 'userID' is no id"),
        (TABLE.replace("c\t2", "c\t2 3"), r"line 9: '2 3' under 'itemID' is no id"),
        (TABLE.replace("itemID", "itemid"), "unknown column 'itemID'.*did you mean 'itemid'"),
        (TABLE.replace("rating", "userID"), "a column's name stands there twice"),
        (TABLE.replace("\t", ","), "unknown column 'userID'"),
        (TABLE + "c\t3\n", "not a table of 4 columns"),
        (HEADER, "holds no interactions"),
        (TABLE.replace("\t2\n", "\t0\n"), "no interaction has the label of test"),
        ("", "unknown column"),
    ],
)
def test_bad_tables_say_where(tmp_path, table, message):
    with pytest.raises(DataError, match=message) as caught:
        prepare(world(tmp_path, table), tmp_path)
    assert "mine.inter" in str(caught.value)
    assert not (tmp_path / "interactions.parquet").exists()


def test_a_table_that_is_missing_or_not_utf8(tmp_path):
    with pytest.raises(DataError, match=r"no such file.*userID, itemID, x_label.*config key 'datasets.x.pairs'"):
        read_labelled(tmp_path / "none.inter", Columns(), Labels(), "datasets.x.pairs")
    (tmp_path / "latin.inter").write_bytes(b"userID\titemID\xe9\n")
    with pytest.raises(DataError, match="not UTF-8"):
        read_inter(tmp_path / "latin.inter", Columns())


@pytest.mark.parametrize(
    "spoil",
    [
        lambda frame: frame.iloc[::-1],
        lambda frame: frame.assign(split="somewhere"),
        lambda frame: frame.assign(split=["test", *frame["split"].iloc[1:]]),
        lambda frame: frame.iloc[1:],
    ],
)
def test_a_given_split_out_of_order_is_refused(tmp_path, spoil):
    import pyarrow as pa
    import pyarrow.parquet as pq

    prepare(world(tmp_path), tmp_path)
    path = tmp_path / "interactions.parquet"
    written = pq.read_table(path)
    spoilt = pa.Table.from_pandas(spoil(written.to_pandas()), preserve_index=False)
    pq.write_table(spoilt.replace_schema_metadata(written.schema.metadata), path)
    with pytest.raises(DataError, match=r"not in order; .*training before validation before test"):
        load_sequences(path)


@pytest.mark.parametrize(
    ("corpus", "data", "message"),
    [
        ({"item_count": None}, {}, "needs 'titles'"),
        ({"titles": "t.tsv"}, {}, "leave out 'item_count'"),
        ({"layout": "amazon"}, {}, "needs 'titles'"),
        ({"layout": "amazon", "titles": "t.tsv", "item_count": None}, {}, "layout is inter, not amazon"),
        ({}, {"labels": {"test": 0}}, "three different labels"),
        ({}, {"watched_metric": "Recall@7"}, "watched_metric"),
    ],
)
def test_records_that_make_no_sense(tmp_path, corpus, data, message):
    with pytest.raises(ConfigError, match=message):
        world(tmp_path, corpus=corpus, **data)


@settings(max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.sets(st.tuples(st.integers(0, 5), st.integers(0, 3)), min_size=3), st.randoms(use_true_random=False))
def test_whole_way_against_a_slow_version(tmp_path, taken, random):
    rows = [(f"u{user}", item) for user, item in taken]
    random.shuffle(rows)
    labelled = [(*row, label if label < 3 else random.randrange(3)) for label, row in enumerate(rows)]
    random.shuffle(labelled)
    text = HEADER + "".join(f"{user}\t{item}\t1\t{label}\n" for user, item, label in labelled)
    data = prepare(world(tmp_path, text), tmp_path)
    assert data.users.tolist() == list(dict.fromkeys(user for user, *_ in labelled))
    for user, name in enumerate(data.users):
        mine = {k: [int(i) for u, i, label in labelled if (u, label) == (name, k)] for k in range(3)}
        one = np.array([user])

        def rows_of(pair):
            return data.item_rows[pair[0]].tolist()

        assert rows_of(data.training_items(one)) == mine[0]
        assert rows_of(data.targets("validation", one)) == mine[1]
        assert rows_of(data.targets("test", one)) == mine[2]
        assert rows_of(data.history("test", one)) == mine[0] + mine[1]


REAL = {
    "tiktok": (6710, {"validation": 2, "test": 1}, (9308, 6710, 68_722), (59_541, 3051, 6130)),
    "lfm2k": (1425, {}, (1858, 1425, 56_345), (44_327, 4799, 7219)),
}


@pytest.mark.parametrize("name", REAL)
def test_real_data_gives_its_published_counts(tmp_path, real_data, name):
    items, labels, whole, parts = REAL[name]
    corpus = {"title": name, "layout": "inter", "folder": str(real_data / name), "item_count": items}
    data = {"title": name, "corpus": name, "pairs": f"{name}.inter", "split": "given", "backbones": {}}
    config = load_config({"corpora": {name: corpus}, "datasets": {name: data | {"labels": labels}}})
    prepare_corpus(config, name, tmp_path / "items.parquet")
    outputs = tmp_path / "interactions.parquet", tmp_path / "statistics.json"
    prepare_dataset(config, name, tmp_path / "items.parquet", *outputs)
    sequences = load_sequences(outputs[0])
    assert (sequences.user_count, sequences.item_count, len(sequences.items)) == whole
    found = (sequences.training_items(), sequences.targets("validation"), sequences.targets("test"))
    assert tuple(len(flat) for flat, _ in found) == parts
