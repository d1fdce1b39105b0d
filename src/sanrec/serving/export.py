"""A finished run as files that other programs serve: item vectors, an index of them, and what encodes users.

Shapes: I items, U users, B users at once, S positions of a history, E recommender width.

    manifest.json    versions, shapes, size and SHA-256 of every file; written last, so that a folder with one is whole
    ids.json         original ids [I], in the order of every other file's rows
    items.npy        item vectors, float32 [I, E]
    items.parquet    the same, with columns item (original id) and vector
    items.faiss      an exact index (IndexFlatIP) of them, where faiss is installed
    encoder.pt2      methods that read histories: a torch.export program from vectors [B, S, E], left-padded, and which
                     of them are real, bool [B, S], to user states, float32 [B, E]; B is any number from 1
    users.parquet    methods that know their users by number: columns user (original id) and vector

An item's score for a user is the product of their vectors.
"""

import json
import logging
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import torch
from torch import Tensor, nn

from sanrec import artifacts
from sanrec.artifacts import Run
from sanrec.config import Config
from sanrec.data.interactions import load_sequences
from sanrec.errors import SanrecError
from sanrec.files import atomic, sha256, write_json, write_text
from sanrec.models.pairs.base import VectorModel
from sanrec.models.pairs.registry import PAIR_MODELS
from sanrec.models.registry import POSITIONS, Recommender, with_length
from sanrec.serving.catalogue import read_catalogue
from sanrec.training.loop import encode_items
from sanrec.training.machine import versions
from sanrec.training.restore import Restored, restore
from sanrec.versions import STEPS

log = logging.getLogger(__name__)

FILES = ("manifest.json", "ids.json", "items.npy", "items.parquet", "items.faiss", "encoder.pt2", "users.parquet")
EXAMPLE_USERS = 2  # of the traced call: torch takes a first size of one to be one for ever


class LastState(nn.Module):
    """A user encoder as servers call it: the state after the last item alone."""

    def __init__(self, recommender: Recommender) -> None:
        super().__init__()
        self.user_encoder, self.length = recommender.user_encoder, recommender.length

    def forward(self, vectors: Tensor, present: Tensor) -> Tensor:
        """Item vectors [B, S, E], left-padded, and which are real [B, S], to states [B, E]."""
        return with_length(self.user_encoder(vectors, present)[:, -1], self.length)


def export_run(config: Config, run: Run, folder: str | Path) -> dict[str, Any]:
    """Write a finished run's artifacts into a folder; its manifest is given back.

    Vectors are those that the run's own ranks come from; the encoder computes in float32. Raises SanrecError for a
    method whose score is no product of two vectors, and for a folder that holds something else; DataError for a run
    that is not finished.
    """
    refuse_other_scores(run)
    folder = Path(folder)
    refuse_folder(folder)
    sequences = load_sequences(artifacts.interactions(run.dataset))
    catalogue = read_catalogue(config, run.dataset, sequences)
    restored = restore(config, run, sequences)
    folder.mkdir(parents=True, exist_ok=True)
    items_IE, users = vectors(restored)
    for name in FILES:  # of an earlier export, which may have been another method's
        (folder / name).unlink(missing_ok=True)
    write_text(folder / "ids.json", json.dumps(catalogue.ids, ensure_ascii=False) + "\n")
    with atomic(folder / "items.npy") as temporary:
        np.save(temporary, items_IE)
    write_vectors(folder / "items.parquet", "item", catalogue.ids, items_IE)
    index = write_index(folder / "items.faiss", items_IE)
    if users is None:
        write_encoder(folder / "encoder.pt2", restored.training.model, items_IE.shape[1])
    else:
        write_vectors(folder / "users.parquet", "user", sequences.users.tolist(), users)
    files = [name for name in FILES if (folder / name).is_file()]
    manifest = {
        "run": restored.run.folder,
        "config_hash": restored.fingerprint,
        "step_version": STEPS["train"],
        "method": run.spec.title,
        "items": len(items_IE),
        "width": items_IE.shape[1],
        "positions": POSITIONS if users is None else None,
        "score": "inner product",
        "versions": versions() | index,
        "files": {name: {"bytes": (folder / name).stat().st_size, "sha256": sha256(folder / name)} for name in files},
    }
    write_json(folder / "manifest.json", manifest)
    return manifest


def refuse_other_scores(run: Run) -> None:
    """Raise SanrecError for a method that has no vectors of users and items whose product is the score."""
    if run.spec.trains == "pairs" and not issubclass(PAIR_MODELS[run.model], VectorModel):
        raise SanrecError(
            f"{run.folder}: {run.spec.title} scores a pair by a network over both, so an item has no "
            "vector of its own to export. `sanrec recommend` works for it"
        )


def refuse_folder(folder: Path) -> None:
    """Raise SanrecError for a folder that holds anything but an earlier export, which is replaced."""
    if folder.exists() and not folder.is_dir():
        raise SanrecError(f"{folder}: is a file; name a folder")
    if others := sorted({path.name for path in folder.glob("[!.]*")} - set(FILES)):  # a dot: left by a killed export
        raise SanrecError(f"{folder}: holds '{others[0]}', which is no part of an export: name a new folder")


@torch.inference_mode()
def vectors(restored: Restored) -> tuple[np.ndarray, np.ndarray | None]:
    """Item vectors [I, E], and of a method that knows its users by number their vectors [U, E], float32."""
    model, device = restored.training.model, restored.training.device
    if isinstance(model, Recommender):
        return encode_items(model, restored.training.source, restored.run.settings, device)[1:].cpu().numpy(), None
    model.eval()
    users_UE, items_IE = (vector.float().cpu().numpy() for vector in model.vectors())
    return items_IE, users_UE


def write_vectors(path: Path, name: str, ids: Sequence[str], vectors_nE: np.ndarray) -> None:
    """A table of ids and their vectors, each a list of E float32."""
    flat = pa.array(np.ascontiguousarray(vectors_nE, np.float32).reshape(-1))
    columns = {name: pa.array(ids, pa.string()), "vector": pa.FixedSizeListArray.from_arrays(flat, vectors_nE.shape[1])}
    with atomic(path) as temporary:
        pq.write_table(pa.table(columns), temporary)


def write_index(path: Path, items_IE: np.ndarray) -> dict[str, str]:
    """An exact index of inner products, whose numbers are the rows; faiss' version. Without faiss none is written."""
    logging.getLogger("faiss").setLevel(logging.WARNING)  # else it tells which instructions it tries
    try:
        import faiss
    except ImportError:
        log.warning("no faiss index was written: pip install 'sanrec[export]' and export again")
        return {}
    index = faiss.IndexFlatIP(items_IE.shape[1])
    index.add(np.ascontiguousarray(items_IE, np.float32))
    with atomic(path) as temporary:
        faiss.write_index(index, str(temporary))
    return {"faiss": faiss.__version__}


def write_encoder(path: Path, model: Recommender, width: int) -> None:
    """The user encoder as a program that needs torch and nothing of sanrec."""
    module = LastState(model).cpu().float().eval()
    given = torch.zeros(EXAMPLE_USERS, POSITIONS, width), torch.ones(EXAMPLE_USERS, POSITIONS, dtype=torch.bool)
    users = torch.export.Dim("users", min=1)
    with warnings.catch_warnings():
        # a GRU lists its weights a second time; torch says so while it traces, and puts the list back
        warnings.filterwarnings("ignore", message=r".*_flat_weights", category=UserWarning)
        program = torch.export.export(module, given, dynamic_shapes={"vectors": {0: users}, "present": {0: users}})
    with atomic(path) as temporary:
        torch.export.save(program, temporary)
