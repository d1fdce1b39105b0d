"""A working folder small enough to train in: titles and covers, tiny random checkpoints, stores of both kinds."""

import json
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import transformers
from PIL import Image

from sanrec import artifacts
from sanrec.backbones.extract import extract
from sanrec.backbones.inputs import build_input_store
from sanrec.config import Config
from sanrec.data.prepare import prepare_corpus, prepare_dataset
from sanrec.files import write_json
from sanrec.load import load_config

WORDS = ["red", "blue", "green", "cat", "dog", "fish", "runs", "sleeps", "the", "over", "under", "moon", "sun", "tree"]
ITEMS, USERS, BLOCKS, WIDTH = 24, 40, 3, 16
WITHOUT_TITLE, WITHOUT_COVER = 3, 5  # rows of the corpus
SIZES = {"hidden_size": WIDTH, "num_hidden_layers": BLOCKS, "num_attention_heads": 2, "intermediate_size": 24}
BACKBONE = {
    "source": "folder", "pooling": "first", "blocks": BLOCKS, "width": WIDTH, "max_tokens": 12, "chunk_rows": 8,
    "batch_size": 1,
}  # fmt: skip
CONFIG = {
    "study": "shop",
    "studies": {"shop": {"title": "Shop", "datasets": ["shop"]}},
    "corpora": {
        "shop": {
            "title": "Shop", "layout": "amazon", "folder": "raw", "titles": "items.tsv", "covers": "images",
            "missing_limit": 0.5,
        }
    },
    "datasets": {
        "shop": {
            "title": "Shop",
            "corpus": "shop",
            "pairs": "users.tsv",
            "backbones": {"title": "tiny-bert", "cover": "tiny-vit"},
            "settings": {
                "all": {
                    "recipe": "papers", "adapter_width": 8, "lora_rank": 2, "blocks": 2, "recommender_width": 8,
                    "batch_size": 16,
                    "learning_rate": 5e-3, "adapter_learning_rate": 5e-3, "max_epochs": 3, "patience": 3,
                }
            },
        }
    },
    "backbones": {
        "tiny-bert": {"modality": "text", "checkpoint": "checkpoints/tiny-bert", **BACKBONE},
        "tiny-vit": {"modality": "image", "checkpoint": "checkpoints/tiny-vit", **BACKBONE},
    },
    "timing": {"warm_up": 1, "repeats": 2},
}  # fmt: skip


def _save(model: transformers.PreTrainedModel, name: str, preprocessor: dict | None = None) -> Path:
    folder = Path("checkpoints", name)
    with torch.no_grad():  # larger than the usual initialisation, so that states tell items apart
        for key, parameter in model.named_parameters():
            if parameter.ndim > 1 and "position" not in key:
                parameter.mul_(10)
    model.save_pretrained(folder)
    if preprocessor:
        (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor))
    write_json(artifacts.checkpoint(name), {"folder": str(folder)})
    return folder


def _make_checkpoints() -> None:
    transformers.logging.disable_progress_bar()
    torch.manual_seed(0)
    vocabulary = {word: i for i, word in enumerate(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *WORDS])}
    bert = transformers.BertConfig(vocab_size=len(vocabulary), max_position_embeddings=32, **SIZES)
    folder = _save(transformers.BertModel(bert), "tiny-bert")
    transformers.BertTokenizer(vocab=vocabulary).save_pretrained(folder)
    vit = transformers.ViTConfig(image_size=32, patch_size=8, **SIZES)
    sizes = {"size": 32, "image_mean": [0.5] * 3, "image_std": [0.5] * 3}
    _save(transformers.ViTModel(vit), "tiny-vit", {"image_processor_type": "ViTImageProcessor", **sizes})


def _make_raw() -> None:
    rng = np.random.default_rng(1)
    Path("raw/images").mkdir(parents=True)
    titles = [" ".join(rng.choice(WORDS, 1 + i % 9)) for i in range(ITEMS)]  # of many lengths: padding matters
    titles[WITHOUT_TITLE] = ""
    Path("raw/items.tsv").write_text("".join(f"a{i}\t{title}\n" for i, title in enumerate(titles)))
    for i in set(range(ITEMS)) - {WITHOUT_COVER}:
        Image.fromarray(rng.integers(0, 256, (36, 40, 3), dtype=np.uint8)).save(f"raw/images/a{i}.jpg")
    lines = [f"u{u}\t{' '.join(f'a{(u + k) % ITEMS}' for k in range(5 + u % 6))}\n" for u in range(USERS)]
    Path("raw/users.tsv").write_text("".join(lines))


@pytest.fixture(scope="session")
def made_shop(tmp_path_factory) -> tuple[Path, Config]:
    folder = tmp_path_factory.mktemp("shop")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        _make_raw()
        _make_checkpoints()
        config = load_config(CONFIG)
        prepare_corpus(config, "shop", artifacts.items("shop"))
        outputs = artifacts.interactions("shop"), artifacts.statistics("shop")
        prepare_dataset(config, "shop", artifacts.items("shop"), *outputs)
        for channel, backbone in config.datasets["shop"].backbones.items():
            extract(config, "shop", channel, backbone)
            build_input_store(config, "shop", channel, backbone)
    return folder, config


@pytest.fixture
def shop(made_shop, monkeypatch) -> SimpleNamespace:
    """The working folder, entered, and its config."""
    folder, config = made_shop
    monkeypatch.chdir(folder)
    return SimpleNamespace(folder=folder, config=config)


CLIPS = {
    "corpora": {"clips": {"title": "Clips", "layout": "inter", "folder": "raw", "item_count": 24}},
    "datasets": {
        "clips": {
            "title": "Clips",
            "corpus": "clips",
            "pairs": "clips.inter",
            "split": "given",
            "backbones": {"video": "looks"},
            "settings": {"all": {"max_epochs": 4, "patience": 4, "batch_size": 64, "recommender_width": 8}},
        }
    },
    "backbones": {"looks": {"modality": "video", "source": "features", "checkpoint": "looks.npy", "width": 4}},
    "tuning": {"trials": 4, "startup": 2, "warm_up": 1},
}


@pytest.fixture
def clips(tmp_path, monkeypatch) -> SimpleNamespace:
    """A working folder, entered, with a given split of 40 users over two kinds of items, and ready-made features."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(5)
    lines = ["userID\titemID\tx_label\n"]
    for user in range(40):
        liked = rng.permutation(12)[:9] + 12 * (user % 2)
        labels = [0] * 6 + [1] * (1 + user % 2) + [2] * (user % 3)
        lines += [f"u{user}\t{item}\t{label}\n" for item, label in zip(liked, labels, strict=False)]
    Path("raw").mkdir()
    Path("raw/clips.inter").write_text("".join(lines))
    np.save("looks.npy", rng.normal(0, 0.3, (24, 4)) + np.repeat([-1, 1], 12)[:, None])
    config = load_config(CLIPS)
    prepare_corpus(config, "clips", artifacts.items("clips"))
    outputs = artifacts.interactions("clips"), artifacts.statistics("clips")
    prepare_dataset(config, "clips", artifacts.items("clips"), *outputs)
    extract(config, "clips", "video", "looks")
    return SimpleNamespace(folder=tmp_path, config=config, values=CLIPS)
