"""The settings of the built-in data sets: what differs from the methods' own."""

from sanrec.methods import METHODS

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

# A vector per item, from nothing, needs more and larger steps than towers over states that tell items apart already: at
# what suits those, 20 epochs of SASRec on ids of demo-half end at a third of what they reach so, on validation.
DEMO_IDS = {model: {"batch_size": 64, "learning_rate": 5e-3} for model in MICROLENS_IDS}

# Few users in batches of 256 would be too few steps to learn in; where backbones are read in each step, three again.
DEMO_FEW_USERS = {"all": DEMO_SETTINGS["all"] | {"batch_size": 64}}
DEMO_FEW_EMBEDDED = {model: {"batch_size": 300} for model in TUNING}
DEMO_FEW_PAIRS = {model: {"batch_size": 256, "learning_rate": 5e-3} for model in PAIR_BATCHES}
