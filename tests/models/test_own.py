"""What encoders of the user's own are held to: built-in ones pass, and those that would learn nonsense are refused."""

import pytest
import torch
from torch import nn

from sanrec.config import Settings
from sanrec.errors import ConfigError
from sanrec.methods import USER_ENCODERS as NAMES
from sanrec.models.missing import Masked
from sanrec.models.own import item_builder, item_count, user_builder
from sanrec.models.registry import USER_ENCODERS, Recommender, Shape, on_meta

SETTINGS = Settings(recommender_width=8)


class Users(nn.Module):
    """Cumulative means, and what is asked for beside."""

    def __init__(self, settings, spoil=lambda states, items: states):
        super().__init__()
        self.linear, self.spoil = nn.Linear(settings.recommender_width, settings.recommender_width), spoil

    def forward(self, items, present):
        real = items * present[..., None]
        return self.spoil(self.linear(real.cumsum(1)), items)


@pytest.mark.parametrize("name", USER_ENCODERS)
def test_the_built_in_user_encoders_would_pass(name):
    settings = SETTINGS.model_copy(update={"user_encoder": name})
    module = user_builder(USER_ENCODERS[name], {}, "here")(settings)
    assert module.training


def test_their_names_are_known_without_torch():
    assert tuple(USER_ENCODERS) == NAMES


def test_trying_out_leaves_no_trace():
    torch.manual_seed(1)
    plain = Users(SETTINGS)
    expected = torch.rand(3)
    torch.manual_seed(1)
    tried = user_builder(Users, {}, "here")(SETTINGS)
    assert torch.equal(torch.rand(3), expected)
    assert all(torch.equal(a, b) for a, b in zip(plain.parameters(), tried.parameters(), strict=True))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda states, items: states.flip(1), "those before position 1 change with what comes later"),
        (lambda states, items: states + items.mean(1, keepdim=True), "change with what comes later"),
        (lambda states, items: states + items[:, :1], "padded positions"),
        (lambda states, items: states[:, -1], r"\[2, 10, 8\], not \[2, 8\]"),
        (lambda states, items: (states, items), r"\[2, 10, 8\], not tuple"),
    ],
)
def test_user_encoders_that_know_the_future_or_padding_are_refused(spoil, message):
    with pytest.raises(ConfigError, match=rf"user_encoders\.mine: .*{message}"):
        user_builder(Users, {"spoil": spoil}, "user_encoders.mine")(SETTINGS)


def test_what_is_no_module_is_refused():
    for builder in (user_builder(lambda settings: 3, {}, "here"), item_builder(lambda shape, s: 3, {}, "here")):
        with pytest.raises(ConfigError, match=r"here: gives int, not a torch\.nn\.Module"):
            builder(*([SETTINGS] if builder.__qualname__.startswith("user") else [Shape((), (), 1), SETTINGS]))


class Items(nn.Module):
    def __init__(self, shape, settings, rows=slice(None), width=None):
        super().__init__()
        self.rows, self.linear = rows, nn.Linear(sum(shape.widths), width or settings.recommender_width)

    def forward(self, finals):
        return self.linear(torch.cat(list(finals), 1))[self.rows]


SHAPE = Shape(("text", "image"), (3, 5), 1)
FINALS = [torch.zeros(7, 3), torch.zeros(7, 5)]


def test_item_vectors_are_checked_whenever_they_are_made():
    assert item_builder(Items, {}, "here")(SHAPE, SETTINGS)(FINALS).shape == (7, 8)
    for options, found in (({"width": 9}, r"\[7, 9\]"), ({"rows": slice(3)}, r"\[3, 8\]")):
        module = item_builder(Items, options, "methods.mine")(SHAPE, SETTINGS)
        with pytest.raises(ConfigError, match=rf"methods.mine: item vectors .* = \[7, 8\], not {found}"):
            module(FINALS)


@pytest.mark.parametrize(
    "inputs",
    [
        torch.zeros(7, dtype=torch.long),
        FINALS,
        torch.zeros(2, 2, 7, 3),
        [torch.zeros(2, 7, 3), torch.zeros(4, 7, 5)],
        (torch.zeros(7, dtype=torch.long), FINALS),
        Masked(FINALS, torch.ones(2, 7, dtype=torch.bool)),
    ],
)
def test_every_kind_of_input_is_counted(inputs):
    assert item_count(inputs) == 7


def test_a_recommender_of_own_encoders_trains_and_is_counted():
    builders = item_builder(Items, {}, "here"), user_builder(Users, {}, "here")
    model = Recommender("mine", SHAPE, SETTINGS, *builders)
    (group,) = model.parameter_groups(SETTINGS)  # nothing is slow where nothing says so
    assert len(group["params"]) == len(list(model.parameters())) == 4
    counted = on_meta(lambda: Recommender("mine", SHAPE, SETTINGS, *builders))
    assert sum(p.numel() for p in counted.parameters()) == sum(p.numel() for p in model.parameters())
