"""The built-in corpora, data sets and studies. config.yaml adds its own and overrides single keys of these."""

from sanrec.config import Corpus, Dataset, Study
from sanrec.data.defaults import (
    DEMO_EMBEDDED,
    DEMO_FEW_EMBEDDED,
    DEMO_FEW_PAIRS,
    DEMO_FEW_USERS,
    DEMO_HALF_EMBEDDED,
    DEMO_HALF_PAIRS,
    DEMO_IDS,
    DEMO_PAIRS,
    DEMO_SETTINGS,
    EMBEDDED,
    MICROLENS_IDS,
    MICROLENS_PAIRS,
)

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
        settings=DEMO_SETTINGS | DEMO_IDS | DEMO_EMBEDDED | DEMO_PAIRS,
    ),
    "demo-half": Dataset(
        title="Demo-half",
        corpus="demo",
        pairs="demo-half_pairs.tsv",
        backbones=DEMO_BACKBONES,
        settings=DEMO_SETTINGS | DEMO_IDS | DEMO_HALF_EMBEDDED | DEMO_HALF_PAIRS,
    ),
    "demo-small": Dataset(
        title="Demo-small",
        corpus="demo-small",
        pairs="demo_pairs.tsv",
        backbones=DEMO_TEXT_AND_IMAGE,
        settings=DEMO_FEW_USERS | DEMO_IDS | DEMO_FEW_EMBEDDED | DEMO_FEW_PAIRS,
    ),
    "demo-sparse": Dataset(
        title="Demo-sparse",
        corpus="demo-sparse",
        pairs="demo_pairs.tsv",
        backbones=DEMO_TEXT_AND_IMAGE,
        settings=DEMO_FEW_USERS | DEMO_IDS | DEMO_FEW_EMBEDDED | DEMO_FEW_PAIRS,
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

MISSING_SHARES = (0, 0.1, 0.2, 0.3, 0.4, 0.5)
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
        trials=3,
        points={
            "adapter_width": (4, 16, 32, 128),
            "learning_rate": (1e-4, 5e-4, 2e-3, 1e-2),
            "missing_share": MISSING_SHARES,
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
            "missing_share": MISSING_SHARES,
            "efficiency_batch_size": EFFICIENCY_BATCH_SIZES,
        },
    ),
}
