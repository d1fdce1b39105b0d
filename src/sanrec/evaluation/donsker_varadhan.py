"""Mutual information from below, by a trained critic: the eta-constrained Donsker-Varadhan bound.

For P the joint distribution of two sides and Q the product of its marginals (Mroueh, Melnyk, Dognin, Ross, Sercu:
Improved Mutual Information Estimation, AAAI 2021),

    I = KL(P || Q) = sup over f, eta of  E_P f - exp(-eta) E_Q exp(f) - eta + 1.

It is Donsker and Varadhan's E_P f - log E_Q exp(f) with log x = min over eta of (x exp(-eta) + eta - 1): a batch then
gives unbiased gradients, which the logarithm of a batch's mean does not. The best eta is log E_Q exp(f), which makes
exp(f - eta) a likelihood ratio of mean 1 under Q. Any f and any eta give a value that is I at most, provided
that it is read on items that neither was fitted to.

Shapes: I items, n items of a batch or part, d components of a side, R rank of the critic.
"""

import copy
import math
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import ArrayLike
from torch import Tensor, nn

from sanrec.evaluation.information import Information, prepared
from sanrec.progress import inner_bar

HALVINGS = 10  # of the interval that holds the best scale: to a thousandth


@dataclass(frozen=True)
class EtaDV:
    """How critics are fitted: the items are cut into `folds`, and each is read by a critic fitted on the others."""

    components: int = 64
    """Principal components per side, at most."""
    folds: int = 5
    """Parts of the items, each held out once."""
    stop_items: int = 512
    """Of the others, so many (but a fifth of all at most) decide when to stop; the rest train."""
    most_items: int = 20_000
    """A random sample of this size is read where there are more items."""
    width: int = 64
    """Hidden units of the critic, per side."""
    rank: int = 64
    """Products that the critic sums."""
    learning_rate: float = 1e-3
    """AdamW's."""
    batch_size: int = 512
    """Items per step; all their pairs are used."""
    most_steps: int = 2000
    """Steps of training at most."""
    check_every: int = 10
    """Steps between two looks at the part that decides."""
    patience: int = 15
    """Looks without a better value before training stops."""

    @property
    def fewest_items(self) -> int:
        """Each fold needs four items to have pairs in it worth the name."""
        return 4 * self.folds


class Critic(nn.Module):
    """f(x, y) = g(x) . h(y) + a(x) + b(y): g, h, a and b a linear map beside a hidden layer. At the start f is 0.

    Being a sum of products, it gives all pairs of a batch by one matrix product. |f| stays below `limit`.
    """

    def __init__(self, x_width: int, y_width: int, width: int, rank: int, limit: float) -> None:
        super().__init__()
        self.limit = limit
        self.x_hidden = nn.Sequential(nn.Linear(x_width, width), nn.GELU())
        self.y_hidden = nn.Sequential(nn.Linear(y_width, width), nn.GELU())
        self.x_side = nn.Linear(x_width + width, rank + 1)
        self.y_side = nn.Linear(y_width + width, rank + 1)
        for zero in (self.y_side.weight, self.y_side.bias, self.x_side.bias):
            nn.init.zeros_(zero)
        with torch.no_grad():
            self.x_side.weight[-1] = 0  # a(x)

    def forward(self, x_nd: Tensor, y_nd: Tensor) -> Tensor:
        """The value of every pair [n, n]: of one item's two sides on the diagonal, of two items' beside it."""
        gx = self.x_side(torch.cat([x_nd, self.x_hidden(x_nd)], -1))
        hy = self.y_side(torch.cat([y_nd, self.y_hidden(y_nd)], -1))
        f = gx[:, :-1] @ hy[:, :-1].T + gx[:, -1:] + hy[:, -1]
        return self.limit * torch.tanh(f / self.limit)


def eta_dv(f_nn: Tensor, eta: Tensor | float) -> Tensor:
    """E_P f - exp(-eta) E_Q exp(f) - eta + 1 of a critic's values for all pairs [n, n] of a batch, in nats.

    P are the pairs on the diagonal, Q the n (n - 1) beside it.
    """
    n = len(f_nn)
    ratios = (f_nn - eta).exp()
    product = (ratios.sum() - ratios.diagonal().sum()) / (n * (n - 1))
    return f_nn.diagonal().mean() - product - eta + 1


def best_scale(f_nn: Tensor) -> tuple[float, float, float]:
    """The scale s in [0, 1] and the eta at which s f has the largest bound on these pairs, and that bound.

    The bound is concave in s, with the slope E_P f - E_Q' f, where Q' has Q's pairs in proportion to exp(s f). A
    critic that fits its training items too closely overstates the ratios of others; a smaller s takes it back.
    """
    joint = f_nn.diagonal().double().mean()
    product = f_nn[~torch.eye(len(f_nn), dtype=torch.bool)].double()

    def rises(s: float) -> bool:
        return bool(joint > torch.softmax(s * product, 0) @ product)

    low, high = 0.0, 1.0
    if rises(high):
        low = high
    for _ in range(HALVINGS if low < high else 0):
        middle = (low + high) / 2
        low, high = (middle, high) if rises(middle) else (low, middle)
    eta = float(torch.logsumexp(low * product, 0)) - math.log(len(product))
    return low, eta, float(low * joint) - eta


def fold_value(x_Id: Tensor, y_Id: Tensor, parts: tuple[Tensor, Tensor, Tensor], recipe: EtaDV, seed: int) -> float:
    """The bound on held-out items: parts are the items that train, those that decide, and those that are read.

    A critic that the deciding part never prefers to f = 0 gives 0.
    """
    train, decide, read = parts
    generator = torch.Generator().manual_seed(seed)
    # A ratio exp(f - eta) then stays below n^2, the number of pairs that stand for Q: rarer ones cannot be seen among n
    # items, while without a limit a single held-out pair far from all others could undo the mean.
    critic = Critic(x_Id.shape[1], y_Id.shape[1], recipe.width, recipe.rank, limit=math.log(len(train)))
    eta = nn.Parameter(torch.zeros(()))
    groups = [{"params": critic.parameters()}, {"params": [eta], "weight_decay": 0.0}]
    optimizer = torch.optim.AdamW(groups, lr=recipe.learning_rate)
    best, chosen, step, chosen_at = 0.0, None, 0, 0
    while step < recipe.most_steps and step - chosen_at < recipe.patience * recipe.check_every:
        batch = train[torch.randperm(len(train), generator=generator)[: recipe.batch_size]]
        optimizer.zero_grad(set_to_none=True)
        (-eta_dv(critic(x_Id[batch], y_Id[batch]), eta)).backward()
        nn.utils.clip_grad_norm_(critic.parameters(), 1.0)
        optimizer.step()
        step += 1
        if step % recipe.check_every == 0:
            with torch.no_grad():
                scale, level, value = best_scale(critic(x_Id[decide], y_Id[decide]))
            if value > best:
                best, chosen_at = value, step
                chosen = copy.deepcopy(critic), scale, level
    if chosen is None:
        return 0.0
    critic, scale, level = chosen
    with torch.no_grad():
        return float(eta_dv(scale * critic(x_Id[read], y_Id[read]), level))


def cross_fitted(x_ID: ArrayLike, y_ID: ArrayLike, recipe: EtaDV | None = None, seed: int = 0) -> Information:
    """Mutual information of two representations [I, D] of the same items, from below.

    The mean over folds of the bound on held-out items, all of which are held out once; the spread is the folds'
    standard deviation over the root of their number. It can fall below 0 by chance; a value beyond the logarithm
    of the number of items is not to be trusted. The same arrays, recipe and seed give the same value. Raises
    ValueError for arrays that do not fit together, are not finite, or have too few items.
    """
    recipe = recipe or EtaDV()
    sides = prepared(x_ID, y_ID, recipe.components, recipe.fewest_items, recipe.most_items, seed)
    x, y = (torch.from_numpy(side).float() for side in sides)
    widths = (x.shape[1], y.shape[1])
    if not all(widths):
        return Information(0.0, 0.0, len(x), widths)
    order = np.random.default_rng(seed).permutation(len(x))
    folds = np.array_split(order, recipe.folds)
    values = []
    with torch.random.fork_rng(devices=[]):
        for number, read in enumerate(inner_bar(folds, unit="fold", desc="mutual information")):
            torch.manual_seed(seed * recipe.folds + number)  # the critic's starting weights
            others = np.concatenate(folds[number + 1 :] + folds[:number])
            decide, train = np.split(others, [min(recipe.stop_items, len(order) // 5)])
            parts = tuple(torch.from_numpy(part) for part in (train, decide, read))
            values.append(fold_value(x, y, parts, recipe, seed=number))
    return Information(float(np.mean(values)), float(np.std(values, ddof=1) / len(values) ** 0.5), len(x), widths)
