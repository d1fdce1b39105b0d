"""What an encoder of the user's own is held to: the shapes that training relies on, and states that know no future.

Shapes: n items, B users, S positions, E recommender width; L kept layers, M channels, D width of a backbone.
"""

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn

from sanrec.config import Settings
from sanrec.errors import ConfigError
from sanrec.models.missing import Masked
from sanrec.models.registry import POSITIONS, Shape

SAME = 1e-4  # how far states may lie apart that should be the same: rounding, in sums of another order
ItemBuilder = Callable[[Shape, Settings], nn.Module]
UserBuilder = Callable[[Settings], nn.Module]


def item_builder(build: Callable[..., Any], options: dict[str, Any], where: str) -> ItemBuilder:
    """A builder of item encoders, whose vectors are checked whenever they are made. ConfigErrors name `where`."""

    def built(shape: Shape, settings: Settings) -> nn.Module:
        module = _module(build(shape, settings, **options), where)

        def check(_: nn.Module, inputs: tuple[Any, ...], vectors: Any) -> None:
            wanted = [item_count(inputs[0]), settings.recommender_width]
            if not isinstance(vectors, Tensor) or list(vectors.shape) != wanted:
                raise ConfigError(f"{where}: item vectors are to be [items, width] = {wanted}, not {_of(vectors)}")

        module.register_forward_hook(check)
        return module

    return built


def user_builder(build: Callable[..., Any], options: dict[str, Any], where: str) -> UserBuilder:
    """A builder of user encoders, tried out once (see `check_user_encoder`). ConfigErrors name `where`."""

    def built(settings: Settings) -> nn.Module:
        module = _module(build(settings, **options), where)
        check_user_encoder(module, settings.recommender_width, where)
        return module

    return built


def item_count(inputs: Any) -> int:
    """How many items n an item encoder's input is of: see `training.sources` for what it can be."""
    if isinstance(inputs, Masked):
        return inputs.present.shape[1]
    first = inputs if isinstance(inputs, Tensor) else inputs[0]
    return first.shape[{1: 0, 2: 0, 3: 1, 4: 2}[first.ndim]]  # [n], [n, D], [L, n, D] or [L, M, n, D]


@torch.no_grad()
def check_user_encoder(module: nn.Module, width: int, where: str) -> None:
    """Try an untrained encoder out, on random vectors from a generator of its own.

    Raises ConfigError where its states have another shape than the items, where a state changes with items that come
    later (in training these are its targets), or with what stands at padded positions.
    """
    parameter = next(module.parameters(), None)
    if parameter is not None and parameter.is_meta:
        return  # its parameters are only counted
    generator = torch.Generator().manual_seed(0)
    items, others = (torch.randn(2, POSITIONS, width, generator=generator) for _ in range(2))
    half = POSITIONS // 2
    present = torch.arange(POSITIONS) >= torch.tensor([[0], [half]])
    trains = module.training
    module.eval()
    with torch.random.fork_rng(devices=[]):
        states = module(items, present)
        if not isinstance(states, Tensor) or states.shape != items.shape:
            raise ConfigError(
                f"{where}: states are to be [users, positions, width] = {[*items.shape]}, not {_of(states)}"
            )
        for place in range(1, POSITIONS):
            later = torch.where(torch.arange(POSITIONS)[:, None] >= place, others, items)
            if not _same(module(later, present)[:, :place], states[:, :place], present[:, :place]):
                raise ConfigError(
                    f"{where}: a state may depend on the items up to its own position alone, but those before position "
                    f"{place} change with what comes later, where training has their targets"
                )
        padded = torch.where(present[..., None], items, others)
        if not _same(module(padded, present), states, present):
            raise ConfigError(
                f"{where}: states change with what stands at padded positions: leave these out by `present`"
            )
    module.train(trains)


def _same(found: Tensor, expected: Tensor, real: Tensor) -> bool:
    return torch.allclose(found[real], expected[real], rtol=SAME, atol=SAME)


def _module(built: Any, where: str) -> nn.Module:
    if not isinstance(built, nn.Module):
        raise ConfigError(f"{where}: gives {type(built).__name__}, not a torch.nn.Module")
    return built


def _of(found: Any) -> str:
    return str(list(found.shape)) if isinstance(found, Tensor) else type(found).__name__
