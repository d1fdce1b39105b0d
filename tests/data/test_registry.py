"""The built-in data sets: names as published, and what the studies take."""

import pyarrow.parquet as pq
import pytest

from sanrec.data.prepare import prepare_corpus, prepare_dataset
from sanrec.data.registry import CORPORA, DATASETS, STUDIES
from sanrec.files import read_json
from sanrec.load import load_config

AMAZON = {  # as IISAN's authors publish them
    "scientific": ("Industrial_and_Scientific_items.tsv", "am_Industrial_and_Scientific_users.tsv"),
    "instrument": ("Musical_Instruments_items.tsv", "am_Musical_Instruments_users_10K.tsv"),
    "office": ("Office_Products_items.tsv", "am_Office_Products_users_10K.tsv"),
}


@pytest.mark.parametrize("name", AMAZON)
def test_the_amazon_sets_are_read_under_their_published_names(tmp_path, name):
    items, users = AMAZON[name]
    raw = tmp_path / "raw"
    (raw / "images").mkdir(parents=True)
    (raw / "images" / "B000X.jpg").touch()
    (raw / items).write_text('B000X\tA "2 in" clamp &amp; more\n1483800490\t Leading blank\nB00Y\tC\nB00Z\tD\nB01\tE\n')
    (raw / users).write_text("A1\tB000X B00Y B00Y B00Z 1483800490\nA2\tB00Y B01\n")
    config = load_config({"corpora": {name: {"folder": str(raw)}}})
    prepare_corpus(config, name, tmp_path / "items.parquet")
    prepare_dataset(
        config, name, tmp_path / "items.parquet", tmp_path / "interactions.parquet", tmp_path / "statistics.json"
    )
    table = pq.read_table(tmp_path / "items.parquet").to_pylist()
    assert [row["title"] for row in table] == ['A "2 in" clamp &amp; more', "Leading blank", "C", "D", "E"]
    assert [row["cover"] is not None for row in table] == [True, False, False, False, False]
    counts = read_json(tmp_path / "statistics.json")
    assert (counts["users"], counts["items"], counts["interactions"]) == (1, 4, 5)


def test_studies_take_data_sets_that_have_what_the_tables_need():
    for study in STUDIES.values():
        assert set(study.amazon_datasets) | set(study.microlens_datasets) <= set(study.versa_datasets)
        assert len(study.amazon_datasets) == 3
        assert all({"title", "cover"} <= set(DATASETS[name].backbones) for name in study.versa_datasets)
    assert STUDIES["paper"].amazon_datasets == tuple(AMAZON)
    folders = [corpus.folder for corpus in CORPORA.values()]
    assert len(set(folders)) == len(folders)
