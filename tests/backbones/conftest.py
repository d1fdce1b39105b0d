"""Tiny random checkpoints of the real classes, media made on the spot, and a corpus over them."""

import json
from fractions import Fraction
from pathlib import Path
from types import SimpleNamespace

import av
import numpy as np
import pandas as pd
import pytest
import tokenizers
import torch
import transformers
from PIL import Image

from sanrec.config import Backbone, Corpus
from sanrec.files import write_json
from sanrec.load import load_config

WORDS = "red blue green cat dog fish runs jumps sleeps the a over under box moon sun tree house car road"
BLOCKS, WIDTH = 2, 16
SIZES = {"hidden_size": WIDTH, "num_hidden_layers": BLOCKS, "num_attention_heads": 2, "intermediate_size": 24}


def save(model, folder: Path, preprocessor: dict | None = None) -> None:
    with torch.no_grad():  # larger than the usual initialisation, so that states tell items apart
        for name, parameter in model.named_parameters():
            if parameter.ndim > 1 and "position" not in name:
                parameter.mul_(10)
    model.eval().save_pretrained(folder)
    if preprocessor:
        (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    write_json(f"{folder}.json", {"folder": str(folder)})


@pytest.fixture(scope="session")
def checkpoints(tmp_path_factory) -> Path:
    """A folder with manifests text.json, image.json, video.json, audio.json, whisper.json and their folders."""
    root = tmp_path_factory.mktemp("pretrained")
    transformers.logging.disable_progress_bar()
    torch.manual_seed(0)
    vocabulary = {w: i for i, w in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS.split()])}
    tokenizer = transformers.BertTokenizer(vocab=vocabulary)
    save(
        transformers.BertModel(
            transformers.BertConfig(vocab_size=len(vocabulary), max_position_embeddings=32, **SIZES)
        ),
        root / "text",
    )
    tokenizer.save_pretrained(root / "text")
    vit = transformers.ViTConfig(image_size=32, patch_size=8, num_labels=3, **SIZES)
    save(
        transformers.ViTForImageClassification(vit),
        root / "image",
        {"image_processor_type": "ViTImageProcessor", "size": 32, "image_mean": [0.5] * 3, "image_std": [0.5] * 3},
    )
    videomae = transformers.VideoMAEConfig(
        image_size=32, patch_size=16, num_frames=4, use_mean_pooling=False,
        decoder_hidden_size=8, decoder_num_hidden_layers=1, decoder_num_attention_heads=1,
        decoder_intermediate_size=8, **SIZES,
    )  # fmt: skip
    save(
        transformers.VideoMAEForPreTraining(videomae),
        root / "video",
        {"image_processor_type": "VideoMAEImageProcessor", "size": {"shortest_edge": 32},
         "crop_size": {"height": 32, "width": 32}, "image_mean": [0.4, 0.5, 0.6], "image_std": [0.2, 0.3, 0.4]},
    )  # fmt: skip
    ast = transformers.ASTConfig(
        patch_size=8, frequency_stride=8, time_stride=8, max_length=320, num_mel_bins=32, **SIZES
    )
    extractor = transformers.ASTFeatureExtractor(num_mel_bins=32, max_length=320)
    save(
        transformers.ASTForAudioClassification(ast),
        root / "audio",
        extractor.to_dict() | {"mel_filters": None, "window": None},
    )
    whisper = transformers.WhisperConfig(
        vocab_size=40, d_model=WIDTH, encoder_layers=BLOCKS, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=24, decoder_ffn_dim=24, num_mel_bins=80,
        pad_token_id=0, bos_token_id=1, eos_token_id=2, decoder_start_token_id=1,
    )  # fmt: skip
    save(
        transformers.WhisperForConditionalGeneration(whisper),
        root / "whisper",
        {"feature_extractor_type": "WhisperFeatureExtractor"},
    )
    return root


DECODER_BLOCKS = 7


def word_tokenizer(bos: bool, pad: bool, side: str) -> transformers.PreTrainedTokenizerFast:
    """One token per word; as language models' tokenizers differ: with BOS or not, with padding or not, on a side."""
    words = ["<pad>", "<s>", "</s>", "<unk>", *WORDS.split()]
    model = tokenizers.models.WordLevel({word: i for i, word in enumerate(words)}, unk_token="<unk>")
    tokenizer = tokenizers.Tokenizer(model)
    tokenizer.pre_tokenizer = tokenizers.pre_tokenizers.Whitespace()
    if bos:
        tokenizer.post_processor = tokenizers.processors.TemplateProcessing(
            single="<s> $A", special_tokens=[("<s>", 1)]
        )
    special = {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>", "padding_side": side}
    special |= {"pad_token": "<pad>"} if pad else {}
    return transformers.PreTrainedTokenizerFast(tokenizer_object=tokenizer, **special)


@pytest.fixture(scope="session")
def decoders(tmp_path_factory) -> Path:
    """A folder with manifests llama.json, gemma.json, mistral.json, mixtral.json and their folders.

    The first two were saved with their heads, the others without.
    """
    root = tmp_path_factory.mktemp("decoders")
    transformers.logging.disable_progress_bar()
    torch.manual_seed(1)
    sizes = {
        "hidden_size": WIDTH, "num_hidden_layers": DECODER_BLOCKS, "num_attention_heads": 4, "num_key_value_heads": 2,
        "intermediate_size": 24, "head_dim": 8, "max_position_embeddings": 64, "vocab_size": 4 + len(WORDS.split()),
        "bos_token_id": 1, "eos_token_id": 2,
    }  # fmt: skip
    models = {
        "llama": (transformers.LlamaForCausalLM, transformers.LlamaConfig(**sizes), (True, False, "left")),
        "gemma": (
            transformers.GemmaForCausalLM,
            transformers.GemmaConfig(pad_token_id=0, **sizes),
            (True, True, "left"),
        ),
        "mistral": (transformers.MistralModel, transformers.MistralConfig(**sizes), (True, False, "right")),
        "mixtral": (
            transformers.MixtralModel,
            transformers.MixtralConfig(num_local_experts=4, **sizes),
            (False, False, "right"),
        ),
    }
    for name, (kind, config, tokenizer) in models.items():
        save(kind(config), root / name)
        word_tokenizer(*tokenizer).save_pretrained(root / name)
    return root


def write_video(path: Path, seed: int, frames: int = 40, rate: int = 10, sound: bool = True) -> None:
    """A small clip in which every frame differs, with a tone."""
    rng = np.random.default_rng(seed)
    with av.open(str(path), "w") as container:
        video = container.add_stream("libx264", rate=rate)
        video.width, video.height, video.pix_fmt = 64, 48, "yuv420p"
        audio = container.add_stream("aac", rate=22050, layout="mono") if sound else None
        colour = rng.integers(0, 256, 3)
        for k in range(frames):
            pixels = np.broadcast_to((colour + 5 * k) % 256, (48, 64, 3)).astype(np.uint8)
            frame = av.VideoFrame.from_ndarray(pixels, format="rgb24")
            container.mux(video.encode(frame))
        container.mux(video.encode(None))
        if audio:
            time = np.arange(22050 * 2) / 22050
            tone = (0.3 * np.sin(2 * np.pi * rng.integers(200, 2000) * time)).astype(np.float32)[None]
            sample = av.AudioFrame.from_ndarray(tone, format="fltp", layout="mono")
            sample.sample_rate, sample.time_base, sample.pts = 22050, Fraction(1, 22050), 0
            container.mux(audio.encode(sample))
            container.mux(audio.encode(None))


@pytest.fixture(scope="session")
def world(tmp_path_factory, checkpoints) -> SimpleNamespace:
    """A corpus of 11 items with odd ones among them, the config that knows it, and how to extract it."""
    root = tmp_path_factory.mktemp("world")
    rng = np.random.default_rng(1)
    rows = []
    for k in range(11):
        cover, video = root / f"{k}.jpg", root / f"{k}.mp4"
        Image.fromarray(rng.integers(0, 256, (40 + k, 60, 3), dtype=np.uint8)).save(cover)
        write_video(video, k, frames=3 + 4 * k)
        words = " ".join(rng.choice(WORDS.split(), 1 + k))
        rows.append({"item": f"i{k}", "title": words, "cover": str(cover), "video": str(video), "audio": str(video)})
    rows[3]["title"] = " "
    rows[2]["cover"] = None
    Path(rows[4]["cover"]).write_bytes(b"")
    Path(rows[5]["video"]).write_bytes(Path(rows[5]["video"]).read_bytes()[:300])
    write_video(Path(rows[6]["video"]), 6, sound=False)
    items = root / "items.parquet"
    pd.DataFrame(rows).to_parquet(items)
    kinds = {"text": "first", "image": "first", "video": "mean", "audio": "first", "whisper": "mean"}
    records = {
        name: Backbone(
            modality="audio" if name == "whisper" else name, source="folder", checkpoint=name, pooling=pooling,
            blocks=BLOCKS, width=WIDTH, max_tokens=8, chunk_rows=4, batch_size=3,
        ).model_dump()
        for name, pooling in kinds.items()
    }  # fmt: skip
    corpus = Corpus(title="Tiny", layout="microlens", folder=str(root), titles="t.csv", missing_limit=0.5).model_dump()
    config = load_config({"backbones": records, "corpora": {"tiny": corpus}})
    channel = {"text": "title", "image": "cover", "video": "video", "audio": "audio", "whisper": "audio"}

    def arguments(backbone: str, out: Path, config=config):
        manifest = checkpoints / f"{backbone}.json"
        return (config, "tiny", channel[backbone], backbone, items, manifest, out)

    return SimpleNamespace(root=root, rows=rows, items=items, config=config, channel=channel, arguments=arguments)
