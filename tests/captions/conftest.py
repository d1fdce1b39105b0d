"""A tiny random LLaVA-NeXT saved as the hub would hold it, and a corpus with odd items among its covers and videos."""

from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pandas as pd
import pytest
import torch
import transformers
from PIL import Image

from sanrec.captions.caption import caption_corpus
from sanrec.config import Captioner, Corpus
from sanrec.demo.llava import SPECIAL, build_llava
from sanrec.files import write_json
from sanrec.load import load_config

ITEMS = 13


@pytest.fixture(scope="session")
def checkpoint(tmp_path_factory) -> Path:
    """The manifest of the model's folder. Its weights are random, so it writes nonsense, another for each picture."""
    root = tmp_path_factory.mktemp("llava")
    transformers.logging.disable_progress_bar()
    torch.manual_seed(5)
    model, _ = build_llava(root / "tiny", patch=16)
    with torch.no_grad():  # else all pictures look alike to it
        model.model.multi_modal_projector.linear_1.weight.mul_(30)
        model.model.multi_modal_projector.linear_2.weight.mul_(30)
        model.lm_head.weight.mul_(5)
        model.lm_head.weight[: len(SPECIAL) + 1] = 0  # so that it says words, and neither nothing nor <image>
    model.generation_config.eos_token_id = None  # so that every caption is as long as it may be
    model.save_pretrained(root / "tiny")
    write_json(root / "tiny.json", {"folder": str(root / "tiny")})
    return root / "tiny.json"


def write_video(path: Path, seed: int, frames: int) -> None:
    rng = np.random.default_rng(seed)
    with av.open(str(path), "w") as container:
        stream = container.add_stream("libx264", rate=10)
        stream.width, stream.height, stream.pix_fmt = 64, 48, "yuv420p"
        for _ in range(frames):
            pixels = np.broadcast_to(rng.integers(0, 256, 3), (48, 64, 3)).astype(np.uint8)
            container.mux(stream.encode(av.VideoFrame.from_ndarray(pixels, format="rgb24")))
        container.mux(stream.encode(None))


@pytest.fixture(scope="session")
def world(tmp_path_factory, checkpoint) -> SimpleNamespace:
    """Thirteen items: i2 has no cover and no video, i4's are empty files, i5's are cut short. Batches of four."""
    root = tmp_path_factory.mktemp("world")
    rows = []
    for k in range(ITEMS):
        cover, video = root / f"{k}.jpg", root / f"{k}.mp4"
        pixels = np.random.default_rng(k).integers(0, 256, (5, 4, 3), dtype=np.uint8)
        Image.fromarray(pixels).resize((70, 40 + 7 * k)).save(cover)
        write_video(video, k, frames=1 + 5 * k)
        rows.append({"item": f"i{k}", "title": f"title {k}", "cover": str(cover), "video": str(video)})
    rows[2] |= {"cover": None, "video": None}
    for kind in ("cover", "video"):
        Path(rows[4][kind]).write_bytes(b"")
        Path(rows[5][kind]).write_bytes(Path(rows[5][kind]).read_bytes()[:300])
    items = root / "items.parquet"
    pd.DataFrame(rows).to_parquet(items)
    tiny = Captioner(
        prompts={"cover": "demo-cover", "video": "demo-video"}, source="folder", checkpoint="tiny",
        max_new_tokens=8, batch_size=4, dtype="float32",
    )  # fmt: skip
    corpus = Corpus(
        title="Tiny", layout="microlens", folder=str(root), titles="t.csv", missing_limit=0.5,
        captioners={"cover": "tiny", "video": "tiny"},
    )  # fmt: skip

    def configured(limit: float = 0.5, **changes):
        return load_config({
            "captioners": {"tiny": tiny.model_dump() | changes},
            "corpora": {"tiny": corpus.model_dump() | {"missing_limit": limit}},
        })  # fmt: skip

    def caption(out: Path, medium: str = "cover", **changes) -> pd.DataFrame:
        """The table of captions, made or gone on with."""
        return pd.read_parquet(caption_corpus(configured(**changes), "tiny", medium, items, checkpoint, out, "cpu"))

    return SimpleNamespace(
        root=root, rows=rows, items=items, checkpoint=checkpoint, configured=configured, caption=caption
    )


@pytest.fixture(scope="session")
def whole(world, tmp_path_factory) -> dict[str, Path]:
    """The captions of covers and of videos, made in one go."""
    folder = tmp_path_factory.mktemp("captions")
    for medium in ("cover", "video"):
        world.caption(folder / f"{medium}.parquet", medium)
    return {medium: folder / f"{medium}.parquet" for medium in ("cover", "video")}
