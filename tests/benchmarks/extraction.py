"""Extraction of hidden states against a plain script, and against the backbone alone.

    python -m tests.benchmarks.extraction --kinds text image video

Made-up titles, JPEGs of 1280 x 720 and H.264 videos of three seconds (all that ours reads of one); BERT, ViT and
VideoMAE of random weights, 384 wide (BERT 6 blocks, the others 12). Contenders:

    plain            fixed padding to 30 tokens, every frame decoded, a batch decoded and then computed, a file per item
    ours             `extract`, in float32 and in bfloat16, into a store, its manifest and checksums included
    backbone alone   ours' forward pass on inputs that are in memory, in float32

Plain and ours have `--threads` threads. `backbone alone` is compared with ours at one thread for the model, the others
being left to decoding (`ours, 1 thread`). First the states of all are compared.
"""

import argparse
import json
import os
import shutil
import tempfile
from collections.abc import Callable
from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
import torch
import transformers
from PIL import Image

from sanrec import artifacts
from sanrec.backbones.checkpoints import load_backbone, load_tokenizer, open_checkpoint
from sanrec.backbones.conversion import to_model_input
from sanrec.backbones.extract import extract
from sanrec.backbones.pooling import encode
from sanrec.backbones.readers import model_inputs
from sanrec.backbones.sources import channel_sources
from sanrec.backbones.store import open_hidden
from sanrec.config import Config
from sanrec.data.prepare import prepare_corpus
from sanrec.files import write_json
from tests.benchmarks.rivals import extraction as plain
from tests.benchmarks.timing import add_common, in_turn, machine_line, print_table, ratios, spread

WIDTH, TEXT_BLOCKS, BLOCKS, SIZE, FRAMES = 384, 6, 12, 224, 16
SHAPE = {"hidden_size": WIDTH, "num_attention_heads": 6, "intermediate_size": 4 * WIDTH}
KINDS = {"text": "title", "image": "cover", "video": "video"}
COUNTS = {"text": 4000, "image": 300, "video": 24}
BATCH = {"text": 64, "image": 16, "video": 4}
PICTURE, FILM, SECONDS, RATE = (1280, 720), (640, 360), 3, 25
TOLERANCE = {"float32": 2e-3, "bfloat16": 0.15}


def make_checkpoints(kinds: list[str]) -> None:
    """Random weights in folders and manifests, as the workflow's checkpoint rule leaves them."""
    transformers.logging.disable_progress_bar()
    torch.manual_seed(0)
    words = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *(f"word{n}" for n in range(5000))]
    pixels = {"size": SIZE, "image_mean": [plain.MEAN] * 3, "image_std": [plain.STD] * 3}
    for kind in kinds:
        folder = Path("checkpoints", kind)
        if kind == "text":
            size = SHAPE | {"num_hidden_layers": TEXT_BLOCKS, "vocab_size": len(words)}
            transformers.BertModel(transformers.BertConfig(**size)).save_pretrained(folder)
            tokenizer = transformers.BertTokenizer(vocab={word: place for place, word in enumerate(words)})
            tokenizer.save_pretrained(folder)
        elif kind == "image":
            transformers.ViTModel(
                transformers.ViTConfig(num_hidden_layers=BLOCKS, image_size=SIZE, **SHAPE)
            ).save_pretrained(folder)
            processor = {"image_processor_type": "ViTImageProcessor", "resample": 2, **pixels}
            (folder / "preprocessor_config.json").write_text(json.dumps(processor))
        else:
            size = SHAPE | {"num_hidden_layers": BLOCKS, "image_size": SIZE, "num_frames": FRAMES}
            transformers.VideoMAEModel(transformers.VideoMAEConfig(**size)).save_pretrained(folder)
            square = {"size": {"height": SIZE, "width": SIZE}, "do_center_crop": False, "resample": 2}
            processor = {"image_processor_type": "VideoMAEImageProcessor", **pixels, **square}
            (folder / "preprocessor_config.json").write_text(json.dumps(processor))
        write_json(artifacts.checkpoint(kind), {"folder": str(folder)})


def make_media(kinds: list[str], count: int) -> None:
    """A corpus in MicroLens' layout."""
    rng = np.random.default_rng(0)
    for folder in ("covers", "videos"):
        Path("raw", folder).mkdir(parents=True)
    titles = [" ".join(f"word{n}" for n in rng.integers(0, 5000, rng.integers(3, 20))) for _ in range(count)]
    Path("raw/titles.csv").write_text("".join(f"{n},{title}\n" for n, title in enumerate(titles)))
    for number in range(COUNTS["image"] if "image" in kinds else 0):
        Image.fromarray(picture(rng, *PICTURE)).save(f"raw/covers/{number}.jpg", quality=85)
    for number in range(COUNTS["video"] if "video" in kinds else 0):
        still = picture(rng, *FILM)
        with av.open(f"raw/videos/{number}.mp4", "w") as container:
            stream = container.add_stream("h264", rate=RATE)
            stream.width, stream.height, stream.pix_fmt, stream.time_base = *FILM, "yuv420p", Fraction(1, RATE)
            for step in range(SECONDS * RATE):
                frame = av.VideoFrame.from_ndarray(np.roll(still, 4 * step, 1), format="rgb24")
                container.mux(stream.encode(frame))
            container.mux(stream.encode())


def picture(rng: np.random.Generator, width: int, height: int) -> np.ndarray:
    """Smooth patches [H, W, 3], which compress as photographs do."""
    small = Image.fromarray(rng.integers(0, 256, (height // 40, width // 40, 3), dtype=np.uint8))
    return np.asarray(small.resize((width, height), Image.Resampling.BICUBIC))


def make_config(kinds: list[str]) -> Config:
    """One corpus of all kinds; each backbone in float32 and in bfloat16."""
    corpus = {"title": "Bench", "layout": "microlens", "folder": "raw", "titles": "titles.csv", "covers": "covers"}
    records = {}
    for kind in kinds:
        blocks = TEXT_BLOCKS if kind == "text" else BLOCKS
        record = {
            "modality": kind, "source": "folder", "checkpoint": f"checkpoints/{kind}", "width": WIDTH, "blocks": blocks,
            "pooling": "mean" if kind == "video" else "first", "batch_size": BATCH[kind],
        }  # fmt: skip
        records |= {kind: record, f"{kind}-bf16": record | {"dtype": "bfloat16"}}
        shutil.copy(artifacts.checkpoint(kind), artifacts.checkpoint(f"{kind}-bf16"))
    limit = {"videos": "videos", "audios": None, "missing_limit": 1.0}
    made = {"corpora": {"bench": {**corpus, **limit}}, "backbones": records}
    return Config.model_validate(made)


def remove_store(manifest: str) -> None:
    """So that it is made again."""
    Path(manifest).unlink(missing_ok=True)
    shutil.rmtree(artifacts.store_of(manifest), ignore_errors=True)


def contenders(config: Config, kind: str, threads: int) -> dict[str, Callable[[int], Any]]:
    """What takes part, by name."""
    channel, out = KINDS[kind], Path("plain", kind)
    out.mkdir(parents=True, exist_ok=True)
    checkpoint = open_checkpoint(artifacts.checkpoint(kind))
    model = load_backbone(artifacts.checkpoint(kind))
    sources = channel_sources(artifacts.items("bench"), "bench", channel)
    used = [place for place, value in enumerate(sources.values) if value][: COUNTS[kind]]
    files = [Path(sources.values[place]) for place in used]

    def script(_: int) -> None:
        torch.set_num_threads(threads)
        if kind == "text":
            titles = {sources.items[place]: sources.values[place] for place in used}
            plain.texts(model, load_tokenizer(checkpoint), titles, out, BATCH[kind])
        elif kind == "image":
            plain.images(model, files, out, BATCH[kind], SIZE)
        else:
            plain.videos(model, files, out, BATCH[kind], SIZE, FRAMES)

    def ours(backbone: str, count: int) -> Callable[[int], None]:
        def work(_: int) -> None:
            remove_store(artifacts.hidden("bench", channel, backbone))
            extract(config, "bench", channel, backbone, threads=count)

        return work

    inputs = model_inputs(config.backbones[kind], checkpoint, channel)
    read = [inputs.read(sources.values[place]) for place in used]
    if kind == "text":
        read.sort(key=lambda one: int(one["length"]))

    @torch.inference_mode()
    def alone(_: int) -> None:
        torch.set_num_threads(1)
        for start in range(0, len(read), BATCH[kind]):
            some = read[start : start + BATCH[kind]]
            batch = {name: np.stack([one[name] for one in some]) for name in some[0]}
            encode(model, *to_model_input(kind, inputs.settings, batch), config.backbones[kind].pooling)

    return {
        "plain": script,
        "ours, float32": ours(kind, threads),
        "ours, bfloat16": ours(f"{kind}-bf16", threads),
        "ours, 1 thread": ours(kind, 1),
        "backbone alone, 1 thread": alone,
    }


def check(kind: str) -> None:
    """Compare the states of plain with ours'. Raises SystemExit where they differ."""
    channel = KINDS[kind]
    for backbone, precision in ((kind, "float32"), (f"{kind}-bf16", "bfloat16")):
        states = open_hidden(artifacts.hidden("bench", channel, backbone))
        rows = np.flatnonzero(states.read_valid() == 1)[:20]
        names = channel_sources(artifacts.items("bench"), "bench", channel).items
        found = states.read_layers(range(states.layers), rows).astype(np.float32)
        expected = np.stack([np.load(Path("plain", kind, f"{names[row]}.npy")) for row in rows])
        off = np.abs(found - expected).mean() / np.abs(expected).mean()
        print(f"  {kind}, {precision}: states of 20 items differ from plain's by {off:.1e} of their mean size")
        if off > TOLERANCE[precision]:
            raise SystemExit(f"{kind}: ours and plain do not compute the same")


def main() -> None:
    """Check, race, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    add_common(parser, repeats=3)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS), help="what to extract from (all)")
    parser.add_argument("--share", type=float, default=1.0, help="of the items that are made (1)")
    args = parser.parse_args()
    for kind in COUNTS:
        COUNTS[kind] = max(BATCH[kind], int(args.share * COUNTS[kind]))
    print(machine_line(args.threads))
    rows = []
    with tempfile.TemporaryDirectory(prefix="sanrec-benchmark-") as folder:
        os.chdir(folder)
        make_checkpoints(args.kinds)
        config = make_config(args.kinds)
        for kind in args.kinds:
            shutil.rmtree("raw", ignore_errors=True)
            make_media([kind], COUNTS[kind])
            prepare_corpus(config, "bench", artifacts.items("bench"))
            work = contenders(config, kind, args.threads)
            for one in work.values():
                one(0)
            check(kind)
            taken = in_turn(work, args.repeats)
            for name, times in taken.items():
                rate = COUNTS[kind] / np.median(times)
                share = ratios(taken["backbone alone, 1 thread"], times) if name == "ours, 1 thread" else ""
                rows.append([kind, name, spread(times), f"{rate:.1f}", ratios(taken["plain"], times), share])
    print_table(["kind", "contender", "s", "items a second", "times plain", "of the backbone alone"], rows)


if __name__ == "__main__":
    main()
