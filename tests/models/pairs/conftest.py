"""A tiny world of two tastes: users of one have four of its five items; features tell the tastes apart."""

import pytest
import torch

from sanrec.config import Settings
from sanrec.methods import METHODS
from sanrec.models.pairs.graph import Interactions
from sanrec.models.pairs.registry import build_pair_model

USERS, ITEMS, WIDTH = 12, 10, 16


@pytest.fixture
def graph():
    pairs = [(u, 5 * (u % 2) + i) for u in range(USERS) for i in range(5) if i != (u // 2) % 5]
    users, items = torch.tensor(pairs).T
    return Interactions(USERS, ITEMS, users, items)


@pytest.fixture
def features():
    generator = torch.Generator().manual_seed(5)
    taste = (torch.arange(ITEMS) >= 5).float()[:, None] * 2 - 1
    return [taste + 0.5 * torch.randn(ITEMS, width, generator=generator) for width in (6, 4)]


def settings_of(name, **changed):
    small = {"recommender_width": WIDTH, "neighbours": 3, **changed}
    return Settings(**{**METHODS[name].defaults, **{k: v for k, v in small.items() if k in Settings.model_fields}})


@pytest.fixture
def build(graph, features):
    """A model by its method's name, with the weights that a seed gives; ids alone where it reads no features."""

    def make(name, seed=0, graph=graph, features=features, **changed):
        torch.manual_seed(seed)
        read = [] if METHODS[name].most_channels == 0 else features
        return build_pair_model(name, graph, read, settings_of(name, **changed))

    return make


@pytest.fixture
def shaken():
    """Weights far from their start, so that no term is too small to be seen."""

    def shake(model, scale=0.5):
        generator = torch.Generator().manual_seed(11)
        with torch.no_grad():
            for parameter in model.parameters():
                parameter.copy_(scale * torch.randn(parameter.shape, generator=generator))
        return model

    return shake
