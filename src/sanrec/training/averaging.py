"""A moving average of the weights, which scores better than they do where steps are large (`weight_averaging`).

Polyak and Juditsky (1992) average over all steps; this forgets exponentially, as is usual for networks. The averages
lie in the optimizer's state, so that they are written and read with it, and a run that goes on is the undisturbed one.
"""

from collections.abc import Iterator
from contextlib import contextmanager

import torch
from torch.optim import Optimizer

AVERAGE = "average"  # of a parameter, in its state
YOUNG = 10  # steps: the decay after t steps is at most (1 + t) / (YOUNG + t), or the random start would stay for long


@torch.no_grad()
def update_averages(optimizer: Optimizer, decay: float) -> None:
    """Take the weights, as they are after a step, into their averages; those of a first step are the averages."""
    for p, state in optimizer.state.items():
        if AVERAGE not in state:
            state[AVERAGE] = p.detach().clone()
            continue
        steps = state["step"]  # a tensor, which may lie on a GPU: nothing here waits for it
        share = 1 - ((1 + steps) / (YOUNG + steps)).clamp_max(decay)
        state[AVERAGE].lerp_(p.detach(), share.to(p.device, p.dtype))


@contextmanager
def averages_in_place(optimizer: Optimizer) -> Iterator[None]:
    """The model with its averages for weights, where there are any; afterwards it has its weights again."""
    exchange(optimizer)
    try:
        yield
    finally:
        exchange(optimizer)


def exchange(optimizer: Optimizer) -> None:
    """Exchange the values of weights and averages."""
    with torch.no_grad():
        for p, state in optimizer.state.items():
            if AVERAGE in state:
                other = p.clone()
                p.copy_(state[AVERAGE])
                state[AVERAGE].copy_(other)
