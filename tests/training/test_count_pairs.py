"""`sanrec count` of methods on pairs: what it says before training is what the model has."""

import pytest
import torch

from sanrec import artifacts
from sanrec.data.interactions import load_sequences
from sanrec.methods import METHODS
from sanrec.models.registry import trainable_parameters
from sanrec.training.count import count_parameters
from sanrec.training.run import prepare_training

CPU = torch.device("cpu")
PAIRS = [name for name, method in METHODS.items() if method.trains == "pairs"]


@pytest.mark.parametrize("model", PAIRS)
def test_the_count_is_that_of_the_model(model, clips):
    inputs = "ID+V" if METHODS[model].most_channels != 0 else "ID"
    run = artifacts.run(clips.config, "clips", model, inputs)
    training = prepare_training(clips.config, run, load_sequences(artifacts.interactions("clips")), CPU)
    assert sum(count_parameters(clips.config, run).values()) == trainable_parameters(training.model) > 0


def test_parts_are_named(clips):
    run = artifacts.run(clips.config, "clips", "mf", "ID")
    sequences = load_sequences(artifacts.interactions("clips"))
    width = run.settings.recommender_width
    assert count_parameters(clips.config, run) == {
        "users": sequences.user_count * width,
        "items": sequences.item_count * width,
    }
