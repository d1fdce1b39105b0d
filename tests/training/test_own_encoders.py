"""Runs with encoders of the user's own, from their files to metrics.json; and what makes them anew."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from sanrec import artifacts
from sanrec.errors import ConfigError, SanrecError
from sanrec.load import load_config
from sanrec.training.count import count_parameters
from sanrec.training.information import refuse_without_towers
from sanrec.training.run import train_run
from tests.training.conftest import CONFIG

CODE = """
import torch
from torch import nn


class Finals(nn.Module):
    def __init__(self, shape, settings, depth=1):
        super().__init__()
        inner = [nn.Linear(sum(shape.widths), sum(shape.widths)) for _ in range(depth - 1)]
        self.layers = nn.Sequential(*inner, nn.Linear(sum(shape.widths), settings.recommender_width))

    def forward(self, finals):
        return self.layers(torch.cat(list(finals), 1))


class Hidden(Finals):
    def forward(self, hidden_LMnD):
        return super().forward(hidden_LMnD.float().mean(0))

    def slow_parameters(self, modalities):
        return list(self.layers.parameters())


class Numbers(nn.Embedding):
    def __init__(self, shape, settings):
        super().__init__(shape.items + 1, settings.recommender_width)


class Told(Finals):
    def forward(self, inputs):
        inputs, present_Mn = inputs.inputs, inputs.present
        return super().forward(inputs) * present_Mn.all(0)[:, None]


def mean_so_far(settings):
    class Mean(nn.Module):
        def __init__(self):
            super().__init__()
            self.linear = nn.Linear(settings.recommender_width, settings.recommender_width)

        def forward(self, items, present):
            return self.linear((items * present[..., None]).cumsum(1))

    return Mean()
"""
METHODS = {
    "finals": {"title": "Finals", "code": "mine.py:Finals"},
    "hidden": {"title": "Hidden", "code": "mine.py:Hidden", "reads": "hidden"},
    "numbers": {"title": "Numbers", "code": "mine.py:Numbers", "ids": True, "fewest_channels": 0},
    "told": {"title": "Told", "code": "mine.py:Told", "defaults": {"missing": "masked", "user_encoder": "mean"}},
}


@pytest.fixture
def own(shop) -> SimpleNamespace:
    """The working folder, with encoders of its own."""
    Path("mine.py").write_text(CODE)
    values = CONFIG | {"methods": METHODS, "user_encoders": {"mean": {"code": "mine.py:mean_so_far"}}}
    return SimpleNamespace(values=values, config=load_config(values))


@pytest.mark.parametrize(
    ("model", "inputs", "variant"),
    [
        ("finals", "TI", "default"),
        ("hidden", "TI", "default"),
        ("hidden", "T", "cached=false"),
        ("numbers", "ID", "user_encoder=mean"),
        ("told", "TI", "default"),
        ("crossan", "TI", "user_encoder=mean"),
    ],
)
def test_runs_with_own_encoders_are_runs_like_any_other(own, model, inputs, variant):
    run = artifacts.run(own.config, "shop", model, inputs, variant)
    metrics = train_run(own.config, run)
    assert metrics["test"]["users"] == 40
    assert metrics["trainable_parameters"] > 0
    if model != "numbers":  # of those the statistics are asked
        assert sum(count_parameters(own.config, run).values()) == metrics["trainable_parameters"]
    again = train_run(own.config, run)
    assert again == metrics


def test_a_changed_file_trains_anew(own):
    run = artifacts.run(own.config, "shop", "finals", "T")
    first = train_run(own.config, run)
    Path("mine.py").write_text(CODE.replace("settings.recommender_width))", "settings.recommender_width, bias=False))"))
    second = train_run(own.config, run)
    assert second["config_hash"] != first["config_hash"]
    assert second["trainable_parameters"] == first["trainable_parameters"] - 8
    deeper = load_config(own.values | {"methods": {"finals": METHODS["finals"] | {"options": {"depth": 2}}}})
    third = train_run(deeper, artifacts.run(deeper, "shop", "finals", "T"))
    assert third["trainable_parameters"] > second["trainable_parameters"]


def test_a_method_without_towers_has_no_information_between_them(own):
    with pytest.raises(SanrecError, match="Hidden has no side adapter towers"):
        refuse_without_towers(artifacts.run(own.config, "shop", "hidden", "TI"))


def test_an_encoder_that_knows_the_future_is_refused_before_it_trains(own):
    Path("mine.py").write_text(CODE.replace("cumsum(1)", "flip(1).cumsum(1)"))
    run = artifacts.run(own.config, "shop", "finals", "T", "user_encoder=mean")
    with pytest.raises(ConfigError, match=r"user_encoders.mean: a state may depend on the items up to"):
        train_run(own.config, run)
