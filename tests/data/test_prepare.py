"""From raw files to the tables and back, on small made-up corpora and on the real data sets."""

import logging

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from sanrec.data.interactions import SCHEMA, corpus_rows, interaction_table, load_sequences
from sanrec.data.layouts import Pairs
from sanrec.data.prepare import prepare_corpus, prepare_dataset
from sanrec.data.split import popularity
from sanrec.errors import ConfigError, DataError
from sanrec.files import read_json
from sanrec.load import load_config
from sanrec.snakefile import dataset_needs

TITLES = "item,title\n9,nine\nx,\n7,seven & more\n../evil,e\n5,five\n3,\n"
PAIRS = "u1\t7 9 7 5 3\nu2\t9 9\nu3\t5 7 9 x 9 7 5\n"


def world(place, titles=TITLES, pairs=PAIRS, **corpus):
    """A corpus `mine` and a data set `set` over it, with config for both."""
    (place / "raw").mkdir(exist_ok=True)
    (place / "raw" / "titles.csv").write_text(titles)
    (place / "raw" / "pairs.tsv").write_text(pairs)
    corpus = {"title": "Mine", "layout": "microlens", "folder": str(place / "raw"), "titles": "titles.csv"} | corpus
    data = {"title": "Set", "corpus": "mine", "pairs": "pairs.tsv", "backbones": {"title": "bert"}, "keep_last": 6}
    return load_config({"corpora": {"mine": corpus}, "datasets": {"set": data}})


def prepare(config, folder):
    prepare_corpus(config, "mine", folder / "items.parquet")
    prepare_dataset(
        config, "set", folder / "items.parquet", folder / "interactions.parquet", folder / "statistics.json"
    )


def test_items(tmp_path, monkeypatch, caplog):
    monkeypatch.chdir(tmp_path)
    config = world(tmp_path, folder="raw", covers="covers", videos="videos", audios="sounds")
    for name in ("covers/9.jpg", "covers/7.PNG", "evil.jpg", "videos/9.mp4", "videos/5.mp4", "sounds/9.wav"):
        (tmp_path / "raw" / name).parent.mkdir(exist_ok=True)
        (tmp_path / "raw" / name).touch()
    prepare_corpus(config, "mine", tmp_path / "items.parquet")
    table = pq.read_table(tmp_path / "items.parquet").to_pylist()
    assert [row["item"] for row in table] == ["9", "x", "7", "../evil", "5", "3"]
    assert [row["title"] for row in table] == ["nine", "", "seven & more", "e", "five", ""]
    assert [row["cover"] for row in table] == ["raw/covers/9.jpg", None, "raw/covers/7.PNG", None, None, None]
    assert [row["video"] for row in table] == ["raw/videos/9.mp4", None, None, None, "raw/videos/5.mp4", None]
    assert [row["audio"] for row in table] == ["raw/sounds/9.wav", None, None, None, "raw/videos/5.mp4", None]
    for kind in ("cover", "video", "audio"):
        assert [row[f"{kind}_state"] for row in table] == ["present" if row[kind] else "missing" for row in table]
    assert [row["title_state"] for row in table] == ["present", "missing", "present", "present", "present", "missing"]
    assert not [record for record in caplog.records if record.levelname != "INFO"]  # no warning
    frame = pd.read_parquet(tmp_path / "items.parquet")  # as other rooms read it
    assert frame["item"].tolist() == [row["item"] for row in table]
    assert frame["cover"].isna().tolist() == [row["cover"] is None for row in table]
    assert frame["title"].notna().all()


def test_folders_of_media_that_cannot_be_used_are_warned_of(tmp_path, caplog):
    config = world(tmp_path, covers="covers", videos="videos")
    (tmp_path / "raw" / "videos").mkdir()
    (tmp_path / "raw" / "videos" / "clip-9.mp4").touch()
    with caplog.at_level(logging.WARNING):
        prepare_corpus(config, "mine", tmp_path / "items.parquet")
    assert "covers: no such folder" in caplog.messages[0]
    assert "videos: no file is named by an item's id, as 9.mp4 is" in caplog.messages[1]


def test_interactions_and_statistics(tmp_path):
    prepare(world(tmp_path), tmp_path)
    table = pq.read_table(tmp_path / "interactions.parquet")
    assert table.schema.equals(SCHEMA)
    frame = table.to_pandas()
    assert frame["user"].tolist() == ["u1"] * 5 + ["u3"] * 6  # u2 has too few, u3 loses its first
    assert frame["user_index"].tolist() == [0] * 5 + [1] * 6
    assert frame["position"].tolist() == [*range(5), *range(6)]
    assert frame["item"].tolist() == ["7", "9", "7", "5", "3", "7", "9", "x", "9", "7", "5"]
    assert frame["item_row"].tolist() == [2, 0, 2, 4, 5, 2, 0, 1, 0, 2, 4]
    assert frame["item_index"].tolist() == [3, 1, 3, 4, 5, 3, 1, 2, 1, 3, 4]  # ../evil is taken by nobody
    assert frame["split"].tolist() == ["train"] * 3 + ["validation", "test"] + ["train"] * 4 + ["validation", "test"]
    counts = read_json(tmp_path / "statistics.json")
    assert (counts["users"], counts["items"], counts["interactions"]) == (2, 5, 11)
    assert (counts["dropped_users"], counts["dropped_interactions"], counts["dropped_items"]) == (1, 3, 0)
    assert counts["content"] == ["text"]
    assert counts["content_items"] == {"text": 3, "image": 0, "video": 0, "audio": 0}
    assert counts["density"] == pytest.approx(11 / 10)
    assert counts["mean_length"] == pytest.approx(5.5)
    assert (counts["dataset"], counts["title"], counts["corpus"], counts["corpus_items"]) == ("set", "Set", "mine", 6)


def test_of_ready_made_features_only_the_items_that_they_hold_are_counted(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    config = world(tmp_path)
    data = config.datasets["set"].model_dump() | {"backbones": {"video": "looks", "audio": "sounds", "cover": "rows"}}
    record = {"source": "features", "width": 2}
    backbones = {
        "looks": record | {"modality": "video", "checkpoint": "looks.parquet"},
        "sounds": record | {"modality": "audio", "checkpoint": "later.parquet"},
        "rows": record | {"modality": "image", "checkpoint": "rows.npy"},
    }
    corpora = {"mine": config.corpora["mine"].model_dump()}
    config = load_config({"corpora": corpora, "datasets": {"set": data}, "backbones": backbones})
    # of the five items that are taken: 7 and x; 5 has no vector, ../evil is taken by nobody, the last is of no corpus
    vectors = [[0.0, 1.0], [0.0, 1.0], None, [0.0, 1.0], [0.0, 1.0]]
    pq.write_table(pa.table({"item": ["x", "7", "5", "../evil", "elsewhere"], "vector": vectors}), "looks.parquet")
    prepare(config, tmp_path)
    counts = read_json("statistics.json")
    assert counts["content_items"] == {"text": 3, "image": 5, "video": 2, "audio": 0}
    assert counts["content"] == ["text", "image", "video", "audio"]
    assert dataset_needs(config, "set")["features"] == ["looks.parquet"]  # so that a changed file is counted anew


def test_sequences_are_those_written(tmp_path):
    prepare(world(tmp_path), tmp_path)
    data = load_sequences(tmp_path / "interactions.parquet")
    assert data.users.tolist() == ["u1", "u3"]
    assert data.offsets.tolist() == [0, 5, 11]
    assert data.items.tolist() == [3, 1, 3, 4, 5, 3, 1, 2, 1, 3, 4]
    assert data.item_rows.tolist() == [-1, 0, 1, 2, 4, 5]
    assert data.held_out("test")[1].tolist() == [5, 4]


def test_the_same_files_give_the_same_bytes(tmp_path):
    config = world(tmp_path)
    results = []
    for name in ("a", "b"):
        (tmp_path / name).mkdir()
        prepare(config, tmp_path / name)
        results.append([(tmp_path / name / f).read_bytes() for f in ("items.parquet", "interactions.parquet")])
    assert results[0] == results[1]


@pytest.mark.parametrize(
    ("pairs", "message"),
    [
        (
            PAIRS + "u4\t9 none 5 gone 7\n",
            r"2 of its items are not in .*titles.csv: 'none' \(line 4\), 'gone' \(line 4\)",
        ),
        ("a\tq w e r t\n", r"5 of its items are not in .*'q' \(line 1\).* and 2 more"),
        ("a\t9 9 9 9\n", r"no user has 5 interactions \(the most is 4\)"),
    ],
)
def test_pairs_that_do_not_fit_the_corpus(tmp_path, pairs, message):
    with pytest.raises(DataError, match=message) as error:
        prepare(world(tmp_path, pairs=pairs), tmp_path)
    assert "pairs.tsv" in str(error.value)
    assert not (tmp_path / "interactions.parquet").exists()


def test_a_sequence_too_long_for_its_positions():
    pairs = Pairs(pa.array(["u"]), pa.array(["i"]), np.zeros(40_000, np.int32), np.array([0, 40_000]))
    with pytest.raises(DataError, match="set a smaller 'keep_last'"):
        interaction_table(pairs, np.zeros(1, np.int32), 5, 40_000, "pairs.tsv")


def test_unknown_names(tmp_path):
    config = world(tmp_path)
    with pytest.raises(ConfigError, match="did you mean 'mine'"):
        prepare_corpus(config, "min", tmp_path / "items.parquet")
    with pytest.raises(ConfigError, match="unknown dataset"):
        prepare_dataset(config, "setting", tmp_path / "a", tmp_path / "b", tmp_path / "c")


def test_tables_that_are_missing_or_of_another_kind(tmp_path):
    config = world(tmp_path)
    for path in (tmp_path / "none.parquet", tmp_path / "raw" / "pairs.tsv"):
        with pytest.raises(DataError, match=f"{path.name}: (no such file|not a table)"):
            load_sequences(path)
        with pytest.raises(DataError, match=f"{path.name}: (no such file|not a table)"):
            prepare_dataset(config, "set", path, tmp_path / "b", tmp_path / "c")
    prepare(config, tmp_path)
    with pytest.raises(DataError, match=r"items.parquet: has no column user"):
        load_sequences(tmp_path / "items.parquet")
    with pytest.raises(DataError, match=r"interactions.parquet: not a table of items"):
        prepare_dataset(config, "set", tmp_path / "interactions.parquet", tmp_path / "b", tmp_path / "c")


@pytest.mark.parametrize(
    "spoil",
    [
        lambda frame: frame.iloc[::-1],
        lambda frame: frame.iloc[:-1],
        lambda frame: frame.iloc[1:],
        lambda frame: frame.assign(split="train"),
        lambda frame: frame.assign(item_index=frame["item_index"] - 1),
        lambda frame: frame.assign(item_row=range(len(frame))),
        lambda frame: frame.assign(item_index=frame["item_index"] * 2),
    ],
)
def test_a_table_out_of_order_is_refused(tmp_path, spoil):
    prepare(world(tmp_path), tmp_path)
    frame = pd.read_parquet(tmp_path / "interactions.parquet")
    spoil(frame).to_parquet(tmp_path / "spoilt.parquet", index=False)
    with pytest.raises(DataError, match="not in order"):
        load_sequences(tmp_path / "spoilt.parquet")
    frame.to_parquet(tmp_path / "sound.parquet", index=False)  # written by pandas, with its own string type
    assert load_sequences(tmp_path / "sound.parquet").users.tolist() == ["u1", "u3"]


@settings(max_examples=50, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(st.lists(st.lists(st.integers(0, 12), min_size=1, max_size=12), min_size=1, max_size=10), st.randoms())
def test_whole_way_against_a_slow_version(tmp_path, lists, random):
    least, most = 3, 7
    names = [f"i{n}" for n in range(13)]
    random.shuffle(names)  # the corpus' order is not that of first appearance
    taken = list(dict.fromkeys(f"i{item}" for part in lists for item in part))
    pairs = Pairs(
        pa.array([f"u{n}" for n in range(len(lists))]),
        pa.array(taken),
        np.array([taken.index(f"i{item}") for part in lists for item in part], np.int32),
        np.cumsum([0, *map(len, lists)]),
    )
    kept = {f"u{n}": [f"i{item}" for item in part][-most:] for n, part in enumerate(lists) if len(part) >= least}
    rows = corpus_rows(pairs, pa.array(names), "pairs", "titles")
    if not kept:
        with pytest.raises(DataError, match="nothing is left"):
            interaction_table(pairs, rows, least, most, "pairs")
        return
    used = [name for name in names if any(name in part for part in kept.values())]
    path = tmp_path / "interactions.parquet"
    pq.write_table(interaction_table(pairs, rows, least, most, "pairs"), path)
    data = load_sequences(path)
    assert data.users.tolist() == list(kept)
    assert data.item_rows.tolist() == [-1, *(names.index(name) for name in used)]
    flat = [used.index(name) + 1 for part in kept.values() for name in part]
    assert data.items.tolist() == flat
    frame = pd.read_parquet(path)
    expected = [f"{name}/{('train',) * (len(part) - 2) + ('validation', 'test')}" for name, part in kept.items()]
    assert [f"{name}/{tuple(group['split'])}" for name, group in frame.groupby("user", sort=False)] == expected
    train = frame.loc[frame["split"] == "train", "item_index"].value_counts(normalize=True)
    found = popularity(data)
    assert {index: found[index] for index in np.flatnonzero(found)} == pytest.approx(train.to_dict())


REAL = {
    "microlens-50k": ("microlens", {"titles": "MicroLens-50k_titles.csv"}, (50_000, 19_099, 339_511), 19_220),
    "scientific": ("scientific", {}, (12_076, 20_314, 81_711), 20_825),
}


@pytest.mark.parametrize("dataset", REAL)
def test_real_data_gives_the_papers_counts(tmp_path, real_data, dataset):
    corpus, changes, expected, corpus_items = REAL[dataset]
    folder = real_data / ("microlens-50k" if corpus == "microlens" else "amazon-scientific")
    config = load_config({"corpora": {corpus: {"folder": str(folder), **changes}}})
    prepare_corpus(config, corpus, tmp_path / "items.parquet")
    outputs = tmp_path / "interactions.parquet", tmp_path / "statistics.json"
    prepare_dataset(config, dataset, tmp_path / "items.parquet", *outputs)
    counts = read_json(outputs[1])
    assert (counts["users"], counts["items"], counts["interactions"]) == expected
    assert counts["corpus_items"] == corpus_items
    assert counts["content"] == ["text"]
    data = load_sequences(outputs[0])
    assert (data.user_count, data.item_count, len(data.items)) == expected
    # a slow reading of the raw pairs gives the same sequences
    lines = (folder / config.datasets[dataset].pairs).read_text().splitlines()
    items = pq.read_table(tmp_path / "items.parquet")["item"].to_pylist()
    for user in (0, 1, expected[0] // 2, expected[0] - 1):
        name, _, sequence = lines[user].partition("\t")
        indices = data.items[data.offsets[user] : data.offsets[user + 1]]
        assert data.users[user] == name
        assert [items[data.item_rows[index]] for index in indices] == sequence.split()[-13:]
