"""The built-in corpora, data sets and studies. config.yaml adds its own and overrides single keys of these."""

from sanrec.config import Corpus, Dataset, Study
from sanrec.methods import METHODS

PAPER_BACKBONES = {
    "title": "bert-base",
    "cover": "vit-base",
    "video": "videomae-base",
    "audio": "ast-audioset",
    "cover-caption": "bert-base",
    "video-caption": "bert-base",
}
AMAZON_BACKBONES = {"title": "bert-base", "cover": "vit-base"}
DEMO_BACKBONES = {
    "title": "bert",
    "cover": "vit",
    "video": "videomae",
    "audio": "ast",
    "cover-caption": "bert-captions",
    "video-caption": "bert-captions",
}
DEMO_TEXT_AND_IMAGE = {"title": "bert", "cover": "vit"}
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
TUNING = ("full", "adapter", "lora", "bitfit")
EMBEDDED = {model: {"batch_size": 64} for model in TUNING}

# As MicroLens publishes its baselines on MicroLens-100K (arXiv 2309.15379); of YouTube it prints no settings, so it has
# those of GRU4Rec.
MICROLENS_IDS = {
    "sasrec": {"recommender_width": 2048, "learning_rate": 1e-5},
    "gru4rec": {"recommender_width": 2048, "learning_rate": 1e-4},
    "nextitnet": {"recommender_width": 2048, "learning_rate": 1e-3, "batch_size": 64},
    "youtube": {"recommender_width": 2048, "learning_rate": 1e-4},
}

# Methods on pairs count interactions, not users, per step: each has its own number. The collaborative filters are as
# MicroLens' published configurations have them.
PAIR_BATCHES = {
    name: {"batch_size": method.defaults["batch_size"]} for name, method in METHODS.items() if method.trains == "pairs"
}
MICROLENS_PAIRS = PAIR_BATCHES | {
    "lightgcn": {
        "recommender_width": 512, "graph_layers": 1, "pair_loss": "softmax", "regularization": 0.0,
        "learning_rate": 1e-4, "batch_size": 128,
    },
    "dssm": {"recommender_width": 512, "batch_size": 1024},
    "nfm": {"recommender_width": 1024, "batch_size": 64},
    "deepfm": {"recommender_width": 1024, "batch_size": 64},
}  # fmt: skip

# All of the demo's items are in every batch, and the backbones read them anew in each step: the price of an epoch goes
# by its steps. Three of them, on both data sets.
DEMO_EMBEDDED = {model: {"batch_size": 1024} for model in TUNING}
DEMO_HALF_EMBEDDED = {model: {"batch_size": 520} for model in TUNING}

# Methods on pairs go over the whole graph in each step: an epoch is some twenty of them, at a rate that suits so few.
DEMO_PAIRS = {model: {"batch_size": 1024, "learning_rate": 5e-3} for model in PAIR_BATCHES}
DEMO_HALF_PAIRS = {model: {"batch_size": 512, "learning_rate": 5e-3} for model in PAIR_BATCHES}

# Few users in batches of 256 would be too few steps to learn in; where backbones are read in each step, three again.
DEMO_FEW_USERS = {"all": DEMO_SETTINGS["all"] | {"batch_size": 64}}
DEMO_FEW_EMBEDDED = {model: {"batch_size": 300} for model in TUNING}

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
    "demo-small": Corpus(
        title="Small demo world",
        layout="microlens",
        source="demo",
        folder="results/demo-small/raw",
        titles="demo_titles.csv",
        covers="demo_covers",
        world={"seed": 1, "items": 240, "users": 900},
    ),
    "demo-sparse": Corpus(
        title="Sparse demo world",
        layout="microlens",
        source="demo",
        folder="results/demo-sparse/raw",
        titles="demo_titles.csv",
        covers="demo_covers",
        world={"seed": 2, "items": 360, "users": 900, "longest": 8, "popularity": 0.6},
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
    "instrument": Corpus(
        title="Amazon Musical Instruments",
        layout="amazon",
        folder="data/amazon-instrument",
        titles="Musical_Instruments_items.tsv",
        covers="images",
    ),
    "office": Corpus(
        title="Amazon Office Products",
        layout="amazon",
        folder="data/amazon-office",
        titles="Office_Products_items.tsv",
        covers="images",
    ),
}

DATASETS = {
    "demo": Dataset(
        title="Demo",
        corpus="demo",
        pairs="demo_pairs.tsv",
        backbones=DEMO_BACKBONES,
        settings=DEMO_SETTINGS | DEMO_EMBEDDED | DEMO_PAIRS,
    ),
    "demo-half": Dataset(
        title="Demo-half",
        corpus="demo",
        pairs="demo-half_pairs.tsv",
        backbones=DEMO_BACKBONES,
        settings=DEMO_SETTINGS | DEMO_HALF_EMBEDDED | DEMO_HALF_PAIRS,
    ),
    "demo-small": Dataset(
        title="Demo-small",
        corpus="demo-small",
        pairs="demo_pairs.tsv",
        backbones=DEMO_TEXT_AND_IMAGE,
        settings=DEMO_FEW_USERS | DEMO_FEW_EMBEDDED,
    ),
    "demo-sparse": Dataset(
        title="Demo-sparse",
        corpus="demo-sparse",
        pairs="demo_pairs.tsv",
        backbones=DEMO_TEXT_AND_IMAGE,
        settings=DEMO_FEW_USERS | DEMO_FEW_EMBEDDED,
    ),
    "microlens-100k": Dataset(
        title="MicroLens-100K",
        corpus="microlens",
        pairs="MicroLens-100k_pairs.tsv",
        backbones=PAPER_BACKBONES,
        settings={
            "all": {"batch_size": 512},
            **EMBEDDED,
            **MICROLENS_IDS,
            **MICROLENS_PAIRS,
            "iisan-e": {"adapter_width": 1024},
        },
    ),
    "microlens-50k": Dataset(
        title="MicroLens-50K",
        corpus="microlens",
        pairs="MicroLens-50k_pairs.tsv",
        backbones=PAPER_BACKBONES,
        settings={
            "all": {"batch_size": 512, "top_k": 3},
            **EMBEDDED,
            **MICROLENS_IDS,
            **MICROLENS_PAIRS,
            "iisan-e": {"adapter_width": 1024},
        },
    ),
    "scientific": Dataset(
        title="Scientific",
        corpus="scientific",
        pairs="am_Industrial_and_Scientific_users.tsv",
        backbones=AMAZON_BACKBONES,
        settings={"all": {"adapter_width": 64}},
    ),
    "instrument": Dataset(
        title="Instrument",
        corpus="instrument",
        pairs="am_Musical_Instruments_users_10K.tsv",
        backbones=AMAZON_BACKBONES,
        settings={"all": {"adapter_width": 64}},
    ),
    "office": Dataset(
        title="Office",
        corpus="office",
        pairs="am_Office_Products_users_10K.tsv",
        backbones=AMAZON_BACKBONES,
        settings={"all": {"adapter_width": 64}},
    ),
}

EFFICIENCY_BATCH_SIZES = (1, 2, 4, 8, 16, 32)  # IISAN-Versa, VI-D

STUDIES = {
    "demo": Study(
        title="Demo",
        datasets=("demo", "demo-half"),
        versa_datasets=("demo", "demo-small", "demo-sparse", "demo-half"),
        amazon_datasets=("demo", "demo-small", "demo-sparse"),
        microlens_datasets=("demo-half",),
        stand_ins={"bert-base": "bert", "bert-large": "bert-deep", "llama-3-8b": "llama", "vit-base": "vit"},
        seeds=(0,),
        figure_seeds=(0, 1, 2),
        trials=4,
        points={
            "adapter_width": (4, 16, 32, 128),
            "learning_rate": (1e-4, 5e-4, 2e-3, 1e-2),
            "efficiency_batch_size": EFFICIENCY_BATCH_SIZES,
        },
    ),
    "paper": Study(
        title="Papers",
        datasets=("microlens-100k", "microlens-50k"),
        versa_datasets=("scientific", "instrument", "office", "microlens-100k"),
        amazon_datasets=("scientific", "instrument", "office"),
        microlens_datasets=("microlens-100k",),
        seeds=(12345,),
        trials=20,
        points={
            "adapter_width": (32, 64, 128, 256, 512, 1024, 2048, 4096, 8192),
            "learning_rate": (1e-5, 5e-5, 1e-4, 2e-4, 5e-4, 1e-3),
            "efficiency_batch_size": EFFICIENCY_BATCH_SIZES,
        },
    ),
}
