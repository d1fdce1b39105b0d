"""Ready-made features: a store like any other's, and files that do not fit."""

import csv

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from sanrec import artifacts, snakefile
from sanrec.backbones.extract import expected_settings, extract
from sanrec.backbones.store import MISSING, USED, open_hidden
from sanrec.data.prepare import ITEMS_SCHEMA
from sanrec.errors import ConfigError, DataError, StoreError
from sanrec.load import load_config

ITEMS, WIDTH = 7, 3
NAMES = "shop", "audio", "ready"


def world(place, monkeypatch, values, **record):
    """A corpus of seven items, entered, and a backbone whose vectors are in a file."""
    monkeypatch.chdir(place)
    columns = {field.name: [f"{field.name}{n}" for n in range(ITEMS)] for field in ITEMS_SCHEMA}
    (place / "results/shop").mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table(columns, schema=ITEMS_SCHEMA), artifacts.items("shop"))
    if values is not None:
        np.save("ready.npy", values, allow_pickle=True)
    corpus = {"title": "Shop", "layout": "inter", "folder": "raw", "item_count": ITEMS}
    record = {"modality": "audio", "source": "features", "checkpoint": "ready.npy", "width": WIDTH} | record
    return load_config({"corpora": {"shop": corpus}, "backbones": {"ready": record}})


@pytest.mark.parametrize(
    ("dtype", "stored"), [("float16", "float16"), ("float32", "float32"), ("float64", "float32"), ("int16", "float32")]
)
def test_the_store_holds_the_file(tmp_path, monkeypatch, dtype, stored):
    values = np.random.default_rng(0).normal(0, 100, (ITEMS, WIDTH)).astype(dtype)
    config = world(tmp_path, monkeypatch, values, chunk_rows=3)
    manifest = extract(config, *NAMES)
    store = open_hidden(artifacts.hidden(*NAMES), expected_settings(config, *NAMES))
    assert (store.items, store.layers, store.width, store.dtype) == (ITEMS, 1, WIDTH, stored)
    np.testing.assert_array_equal(store.read_final(), values.astype(stored))
    np.testing.assert_array_equal(store.read_layers([0], np.array([5, 2]))[:, 0], values.astype(stored)[[5, 2]])
    assert (store.read_valid() == USED).all()
    assert (manifest["used"], manifest["missing"]) == (ITEMS, 0)
    assert (tmp_path / "results/shop/hidden/audio/ready.missing.csv").read_text() == "item,channel,path,reason\n"
    assert extract(config, *NAMES) == manifest  # it is finished


def test_a_file_of_other_content_is_not_taken_for_the_same(tmp_path, monkeypatch):
    config = world(tmp_path, monkeypatch, np.zeros((ITEMS, WIDTH)))
    extract(config, *NAMES)
    np.save("ready.npy", np.ones((ITEMS, WIDTH)))
    with pytest.raises(StoreError, match="features"):
        extract(config, *NAMES)


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (None, "no such file.*shape \\[7, 3\\].*'backbones.ready.checkpoint'"),
        (np.zeros((6, WIDTH)), "6 rows for the 7 items of the corpus: the item of row 6 .* has no feature"),
        (np.zeros((8, WIDTH)), "8 rows for the 7 items of the corpus: row 7 .* has no item"),
        (np.zeros((ITEMS, 4)), "shape \\[7, 4\\], but 'width' of backbones.ready is 3"),
        (np.zeros(ITEMS), "shape \\[7\\]"),
        (np.array([["a"]]), "holds no numbers"),
        (np.array([{}]), "cannot be read as a .npy of numbers"),
        (np.full((ITEMS, WIDTH), np.nan), r"row 0 \(item item0\): holds a value that is no finite number"),
        (np.full((ITEMS, WIDTH), 1e300), "no finite number in float32"),
    ],
)
def test_files_that_do_not_fit(tmp_path, monkeypatch, values, message):
    config = world(tmp_path, monkeypatch, values)
    with pytest.raises(DataError, match=message):
        extract(config, *NAMES)


def test_what_is_no_npy_at_all(tmp_path, monkeypatch):
    config = world(tmp_path, monkeypatch, None)
    (tmp_path / "ready.npy").write_text("not numbers")
    with pytest.raises(DataError, match="cannot be read"):
        extract(config, *NAMES)


def test_the_rule_reads_the_file_and_no_checkpoint(tmp_path, monkeypatch):
    config = world(tmp_path, monkeypatch, np.zeros((ITEMS, WIDTH)))
    assert snakefile.store_needs(config, *NAMES) == {"item_table": artifacts.items("shop"), "features": ["ready.npy"]}
    with pytest.raises(ConfigError, match="reads audio"):
        snakefile.store_needs(config, "shop", "cover", "ready")


def test_methods_that_read_layers_or_media_are_refused(tmp_path, monkeypatch):
    made = world(tmp_path, monkeypatch, None)
    data = {"title": "Set", "corpus": "shop", "pairs": "p", "backbones": {"audio": "ready"}}
    values = {"corpora": {"shop": made.corpora["shop"].model_dump()}, "datasets": {"set": data}}
    config = load_config(values | {"backbones": {"ready": made.backbones["ready"].model_dump()}})
    for model in ("crossan", "full"):
        with pytest.raises(ConfigError, match="'ready' is ready-made features: one vector per item"):
            artifacts.run(config, "set", model, "A")
    needs = artifacts.run_needs(config, artifacts.run(config, "set", "mmgcn", "ID+A"))
    assert needs == ["results/set/interactions.parquet", "results/shop/hidden/audio/ready.json"]


FLOATS = pa.list_(pa.float32())


def parquet(place, monkeypatch, items, vectors, kind=FLOATS, limit=1.0, ids=None):
    """The same corpus, its vectors in a parquet file."""
    config = world(place, monkeypatch, None, checkpoint="ready.parquet")
    pq.write_table(pa.table({"vector": pa.array(vectors, kind), "item": pa.array(items, ids)}), "ready.parquet")
    corpus = config.corpora["shop"].model_dump() | {"missing_limit": limit}
    return load_config({"corpora": {"shop": corpus}, "backbones": {"ready": config.backbones["ready"].model_dump()}})


@pytest.mark.parametrize(
    ("kind", "stored"),
    [
        (pa.list_(pa.float64()), "float32"),
        (pa.list_(pa.float16()), "float16"),
        (pa.large_list(pa.float32()), "float32"),
        (pa.list_(pa.float32(), WIDTH), "float32"),
        (pa.list_(pa.int32()), "float32"),
    ],
)
def test_parquet_is_matched_by_item_and_what_it_lacks_is_missing(tmp_path, monkeypatch, kind, stored):
    rows = [5, 2, 0, 6, 3]  # of the corpus; item 3 has none, 1 and 4 are not there, and two are of another corpus
    values = np.random.default_rng(0).integers(-9, 9, (len(rows), WIDTH)).astype(np.float16)
    vectors = [*(None if row == 3 else list(value) for row, value in zip(rows, values, strict=True)), list(values[0])]
    if pa.types.is_integer(kind.value_type):
        vectors = [vector and [int(number) for number in vector] for vector in vectors]
    items = [*(f"item{row}" for row in rows), "elsewhere"]
    config = parquet(tmp_path, monkeypatch, items, vectors, kind)
    manifest = extract(config, *NAMES)
    store = open_hidden(artifacts.hidden(*NAMES), expected_settings(config, *NAMES))
    expected = np.zeros((ITEMS, WIDTH), stored)
    expected[[5, 2, 0, 6]] = values[:4]
    np.testing.assert_array_equal(store.read_final(), expected)
    np.testing.assert_array_equal(store.read_layers([0])[:, 0], expected)
    assert store.dtype == stored
    assert store.read_valid().tolist() == [USED, MISSING, USED, MISSING, MISSING, USED, USED]
    assert (manifest["used"], manifest["missing"]) == (4, 3)
    with (tmp_path / "results/shop/hidden/audio/ready.missing.csv").open() as file:
        listed = list(csv.DictReader(file))
    assert [row["item"] for row in listed] == ["item1", "item3", "item4"]
    assert {(row["channel"], row["path"]) for row in listed} == {("audio", "ready.parquet")}


def test_whole_numbers_are_ids_as_text(tmp_path, monkeypatch):
    config = parquet(tmp_path, monkeypatch, range(ITEMS), [[n] * WIDTH for n in range(ITEMS)])
    columns = {field.name: [str(n) for n in range(ITEMS)] for field in ITEMS_SCHEMA}
    pq.write_table(pa.table(columns, schema=ITEMS_SCHEMA), artifacts.items("shop"))
    extract(config, *NAMES)
    assert open_hidden(artifacts.hidden(*NAMES)).read_final()[:, 0].tolist() == list(range(ITEMS))


ALL = [f"item{n}" for n in range(ITEMS)]
ONES = [[1.0] * WIDTH] * ITEMS


@pytest.mark.parametrize(
    ("items", "vectors", "kind", "message"),
    [
        (ALL, [[1.0] * 2] * ITEMS, FLOATS, "item 'item0' has 2 numbers, but 'width' .* is 3"),
        ([*ALL[:-1], "item0"], ONES, FLOATS, "item 'item0' has more than one vector"),
        (["a", "b"], ONES[:2], FLOATS, "none of its 2 items is one of the corpus' 7, as 'item0'"),
        (ALL, [[np.nan] * WIDTH] * ITEMS, FLOATS, r"item item0\): holds a value that is no finite"),
        (ALL, [[1e300] * WIDTH] * ITEMS, pa.list_(pa.float64()), "no finite number in float32"),
        (ALL, [[None] * WIDTH] * ITEMS, pa.list_(pa.float64()), "no finite number in float32"),
        (ALL, [["a"]] * ITEMS, pa.list_(pa.string()), "'vector' holds list<.*string>, not lists of numbers"),
        ([1.5] * ITEMS, ONES, FLOATS, "'item' holds double, not ids"),
        ([None, *ALL[1:]], ONES, FLOATS, "row 0: has no item"),
    ],
)
def test_parquet_that_does_not_fit(tmp_path, monkeypatch, items, vectors, kind, message):
    with pytest.raises(DataError, match=message):
        extract(parquet(tmp_path, monkeypatch, items, vectors, kind), *NAMES)


def test_more_missing_than_the_corpus_allows(tmp_path, monkeypatch):
    config = parquet(tmp_path, monkeypatch, ALL[:4], ONES[:4], limit=0.3)
    with pytest.raises(DataError, match=r"3 of 7 items so far have no usable audio .*raise corpora.shop.missing_limit"):
        extract(config, *NAMES)


def test_other_files_called_parquet(tmp_path, monkeypatch):
    config = world(tmp_path, monkeypatch, None, checkpoint="ready.parquet")
    (tmp_path / "ready.parquet").write_text("no columns")
    with pytest.raises(DataError, match="cannot be read as parquet"):
        extract(config, *NAMES)
    pq.write_table(pa.table({"item": ALL, "embedding": ONES}), tmp_path / "ready.parquet")
    with pytest.raises(DataError, match="has no column 'vector', only item, embedding"):
        extract(config, *NAMES)


def test_what_a_parquet_lacks_is_in_the_media_report(tmp_path, monkeypatch):
    config = parquet(tmp_path, monkeypatch, ALL[:4], ONES[:4])
    values = {"corpora": {"shop": config.corpora["shop"].model_dump()}}
    values["backbones"] = {"ready": config.backbones["ready"].model_dump()}
    values["datasets"] = {"set": {"title": "Set", "corpus": "shop", "pairs": "p", "backbones": {"audio": "ready"}}}
    assert snakefile.media_needs(load_config(values), "shop") == [artifacts.hidden(*NAMES)]
