"""The built-in corpora, data sets and studies. config.yaml adds its own and overrides single keys of these."""

from sanrec.config import Corpus, Dataset, Study

PAPER_BACKBONES = {
    "title": "bert-base",
    "cover": "vit-base",
    "video": "videomae-base",
    "audio": "ast-audioset",
    "cover-caption": "bert-base",
    "video-caption": "bert-base",
}
DEMO_BACKBONES = {"title": "bert", "cover": "vit", "video": "videomae", "audio": "ast"}
DEMO_SETTINGS = {
    "all": {
        "adapter_width": 32,
        "lora_rank": 16,
        "learning_rate": 2e-3,
        "adapter_learning_rate": 2e-3,
        "backbone_learning_rate": 1e-4,
        "batch_size": 256,
        "max_epochs": 20,
        "patience": 5,
    },
}

# The papers take the largest batch that fits 48 GB: with BERT-base and ViT-base in each step that is 64 users (about
# 300 unique items), where cached states fit far more.
TUNING = ("full", "adapter", "lora")
EMBEDDED = {model: {"batch_size": 64} for model in TUNING}

# All of the demo's items are in every batch, and the backbones read them anew in each step: the price of an epoch goes
# by its steps. Three of them, on both data sets.
DEMO_EMBEDDED = {model: {"batch_size": 1024} for model in TUNING}
DEMO_HALF_EMBEDDED = {model: {"batch_size": 520} for model in TUNING}

CORPORA = {
    "demo": Corpus(
        title="Demo world",
        layout="microlens",
        source="demo",
        folder="results/demo/raw",
        titles="demo_titles.csv",
        covers="demo_covers",
        videos="demo_videos",
        audios="demo_audios",
    ),
    "microlens": Corpus(
        title="MicroLens",
        layout="microlens",
        folder="data/microlens",
        titles="MicroLens-100k_title_en.csv",
        covers="MicroLens-100k_covers",
        videos="MicroLens-100k_videos",
        audios="MicroLens-100k_audios",
    ),
    "scientific": Corpus(
        title="Amazon Industrial and Scientific",
        layout="amazon",
        folder="data/amazon-scientific",
        titles="Industrial_and_Scientific_items.tsv",
        covers="images",
    ),
}

DATASETS = {
    "demo": Dataset(
        title="Demo",
        corpus="demo",
        pairs="demo_pairs.tsv",
        backbones=DEMO_BACKBONES,
        settings=DEMO_SETTINGS | DEMO_EMBEDDED,
    ),
    "demo-half": Dataset(
        title="Demo-half",
        corpus="demo",
        pairs="demo-half_pairs.tsv",
        backbones=DEMO_BACKBONES,
        settings=DEMO_SETTINGS | DEMO_HALF_EMBEDDED,
    ),
    "microlens-100k": Dataset(
        title="MicroLens-100K",
        corpus="microlens",
        pairs="MicroLens-100k_pairs.tsv",
        backbones=PAPER_BACKBONES,
        settings={"all": {"batch_size": 512}, **EMBEDDED, "iisan-e": {"adapter_width": 1024}},
    ),
    "microlens-50k": Dataset(
        title="MicroLens-50K",
        corpus="microlens",
        pairs="MicroLens-50k_pairs.tsv",
        backbones=PAPER_BACKBONES,
        settings={"all": {"batch_size": 512, "top_k": 3}, **EMBEDDED, "iisan-e": {"adapter_width": 1024}},
    ),
    "scientific": Dataset(
        title="Scientific",
        corpus="scientific",
        pairs="am_Industrial_and_Scientific_users.tsv",
        backbones={"title": "bert-base", "cover": "vit-base"},
        settings={"all": {"adapter_width": 64}},
    ),
}

STUDIES = {
    "demo": Study(
        title="Demo",
        datasets=("demo", "demo-half"),
        versa_datasets=("demo", "demo-half"),
        seeds=(0,),
        figure_seeds=(0, 1, 2),
        points={"adapter_width": (4, 16, 32, 128), "learning_rate": (1e-4, 5e-4, 2e-3, 1e-2)},
    ),
    "paper": Study(
        title="Papers",
        datasets=("microlens-100k", "microlens-50k"),
        versa_datasets=("scientific", "microlens-100k"),
        seeds=(12345,),
        points={
            "adapter_width": (32, 64, 128, 256, 512, 1024, 2048, 4096, 8192),
            "learning_rate": (1e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3),
        },
    ),
}
