"""Exported artifacts, read without sanrec, give the lists that the run itself gives."""

import json
import subprocess
import sys
from pathlib import Path

import faiss
import numpy as np
import pandas as pd
import pytest
import torch

from sanrec import artifacts
from sanrec.data.interactions import load_sequences
from sanrec.errors import SanrecError
from sanrec.files import sha256
from sanrec.serving.export import FILES, export_run
from sanrec.serving.recommend import last_items, recommend
from sanrec.training.run import train_run

SERVE = Path(__file__).parents[2] / "examples/serve.py"


def trained(shop, model, inputs, variant=None):
    run = artifacts.run(shop.config, "shop", model, inputs, {"max_epochs": 1, **(variant or {})})
    train_run(shop.config, run)
    return run


@pytest.mark.parametrize(
    ("model", "inputs", "variant"),
    [
        ("crossan", "TI", {}),
        ("crossan", "TI", {"cosine_temperature": 0.1, "weight_averaging": 0.9}),
        ("frozen", "TI", {}),
        ("sasrec", "ID", {}),
        ("gru4rec", "ID", {}),
        ("nextitnet", "ID", {}),
        ("youtube", "ID", {}),
    ],
)
def test_the_exported_encoder_and_index_give_the_runs_own_lists(shop, tmp_path, model, inputs, variant):
    run = trained(shop, model, inputs, variant)
    manifest = export_run(shop.config, run, tmp_path)
    users = load_sequences(artifacts.interactions("shop")).users.tolist()
    found = recommend(shop.config, run, users, k=24)
    ids, items = json.loads((tmp_path / "ids.json").read_text()), np.load(tmp_path / "items.npy")
    assert ids == found.catalogue.ids
    assert (items.shape, items.dtype) == ((24, 8), np.float32)
    program = torch.export.load(tmp_path / "encoder.pt2").module()
    histories = last_items([one.person for one in found.people])
    present = torch.from_numpy(histories > 0)
    vectors = torch.from_numpy(items[np.maximum(histories, 1) - 1]) * present[..., None]
    states = program(vectors, present)
    one_by_one = torch.cat([program(v[None], p[None]) for v, p in zip(vectors, present, strict=True)])
    torch.testing.assert_close(one_by_one, states)
    index = faiss.read_index(str(tmp_path / "items.faiss"))
    scores, rows = index.search(states.detach().numpy(), len(ids))
    for one, of_user, ranked in zip(found.people, scores, rows, strict=True):
        taken = one.person.history - 1
        left = [(row + 1, score) for row, score in zip(ranked, of_user, strict=True) if row not in taken]
        assert [item for item, _ in left] == one.items.tolist()
        np.testing.assert_allclose([score for _, score in left], one.scores, rtol=1e-4, atol=1e-5)
    assert len({tuple(ranked) for ranked in rows}) > 5  # else the encoder could be anything
    assert (manifest["positions"], manifest["width"], manifest["items"]) == (10, 8, 24)


def test_what_stands_at_padded_places_changes_nothing(shop, tmp_path):
    export_run(shop.config, trained(shop, "sasrec", "ID"), tmp_path)
    program = torch.export.load(tmp_path / "encoder.pt2").module()
    present = torch.arange(10)[None] >= torch.tensor([[7], [3], [0]])
    vectors = torch.randn(3, 10, 8, generator=torch.Generator().manual_seed(0))
    noise = torch.where(present[..., None], vectors, torch.full_like(vectors, 9.0))
    torch.testing.assert_close(program(noise, present), program(vectors * present[..., None], present))


def test_the_manifest_vouches_for_every_file(shop, tmp_path):
    manifest = export_run(shop.config, trained(shop, "crossan", "TI"), tmp_path)
    assert json.loads((tmp_path / "manifest.json").read_text()) == manifest
    on_disk = {path.name for path in tmp_path.iterdir()}
    assert on_disk == {*manifest["files"], "manifest.json"} == set(FILES) - {"users.parquet"}
    for name, file in manifest["files"].items():
        assert file == {"bytes": (tmp_path / name).stat().st_size, "sha256": sha256(tmp_path / name)}
    assert {"sanrec", "torch", "faiss", "python"} <= manifest["versions"].keys()
    table = pd.read_parquet(tmp_path / "items.parquet")
    assert table["item"].tolist() == json.loads((tmp_path / "ids.json").read_text())
    np.testing.assert_array_equal(np.stack(table["vector"]), np.load(tmp_path / "items.npy"))


def test_methods_that_know_users_by_number_export_their_vectors(shop, tmp_path):
    run = trained(shop, "mf", "ID")
    manifest = export_run(shop.config, run, tmp_path)
    assert "encoder.pt2" not in manifest["files"]
    assert manifest["positions"] is None
    users, items = pd.read_parquet(tmp_path / "users.parquet"), np.load(tmp_path / "items.npy")
    found = recommend(shop.config, run, users["user"].tolist(), k=24)
    for vector, one in zip(users["vector"], found.people, strict=True):
        np.testing.assert_allclose((items @ vector)[one.items - 1], one.scores, rtol=1e-4, atol=1e-6)


def test_methods_without_vectors_say_why(shop, tmp_path):
    for model in ("nfm", "deepfm"):
        with pytest.raises(SanrecError, match="scores a pair by a network over both"):
            export_run(shop.config, artifacts.run(shop.config, "shop", model, "ID"), tmp_path)


def test_an_earlier_export_is_replaced_and_other_folders_are_left_alone(shop, tmp_path):
    folder = tmp_path / "served"
    export_run(shop.config, trained(shop, "mf", "ID"), folder)
    (folder / ".items.k1.npy").touch()  # what a killed one leaves
    export_run(shop.config, trained(shop, "sasrec", "ID"), folder)
    assert not (folder / "users.parquet").exists()
    (folder / "notes.txt").touch()
    with pytest.raises(SanrecError, match=r"holds 'notes.txt', which is no part of an export: name a new folder"):
        export_run(shop.config, trained(shop, "sasrec", "ID"), folder)
    with pytest.raises(SanrecError, match="is a file"):
        export_run(shop.config, trained(shop, "sasrec", "ID"), folder / "notes.txt")


def test_without_faiss_the_rest_is_written_and_the_way_to_it_said(shop, tmp_path, monkeypatch, caplog):
    monkeypatch.setitem(sys.modules, "faiss", None)
    manifest = export_run(shop.config, trained(shop, "sasrec", "ID"), tmp_path)
    assert "items.faiss" not in manifest["files"]
    assert "faiss" not in manifest["versions"]
    assert "pip install 'sanrec[export]'" in caplog.text


def test_the_example_serves_the_runs_own_list(shop, tmp_path):
    run = trained(shop, "crossan", "TI")
    export_run(shop.config, run, tmp_path)
    history = ["a3", "a4", "a9", "a4"]
    call = [sys.executable, str(SERVE), str(tmp_path), ",".join(history), "5"]
    done = subprocess.run(call, check=True, capture_output=True, text=True)
    served = [line.split("\t") for line in done.stdout.splitlines()]
    found = recommend(shop.config, run, history=history, k=5)
    one = found.people[0]
    assert [item for _, item, _ in served] == [found.catalogue.ids[item - 1] for item in one.items]
    np.testing.assert_allclose([float(score) for *_, score in served], one.scores, atol=2e-4)
    assert "import sanrec" not in (code := SERVE.read_text())
    assert "from sanrec" not in code
