"""CROSSAN with one module per adapter, over every position of a batch, and the loss over every occurrence.

    B users   S input positions   M channels   L layers   D backbone width   E recommender width   P = B * (S + 1)

`plain_loss` masks with array operations, `looped_loss` with a loop over users and positions, as the published IISAN
code does. Weights can be taken over from sanrec's own model, so that both compute the same function.
"""

import torch
from torch import Tensor, nn

from sanrec.models.registry import Recommender
from sanrec.models.users import UserEncoder


class Adapter(nn.Module):
    """x + W_up relu(W_down x)."""

    def __init__(self, width: int, inner: int) -> None:
        super().__init__()
        self.down, self.up = nn.Linear(width, inner), nn.Linear(inner, width)

    def forward(self, x: Tensor) -> Tensor:
        """[n, D] to [n, D]."""
        return x + self.up(torch.relu(self.down(x)))


class PlainCrossan(nn.Module):
    """CROSSAN's towers with MOMEF fusion, tower by tower and layer by layer; the user encoder is sanrec's."""

    def __init__(self, channels: int, layers: int, width: int, inner: int, outputs: int, top_k: int) -> None:
        super().__init__()
        self.top_k = top_k
        self.adapters = nn.ModuleList(
            nn.ModuleList(Adapter(width, inner) for _ in range(channels)) for _ in range(layers)
        )
        self.gates = nn.ParameterList(nn.Parameter(torch.zeros(layers, channels + 1)) for _ in range(channels))
        self.inner = nn.ModuleList(nn.Linear(width, width) for _ in range(channels))
        self.outer = nn.ModuleList(nn.Linear(width, outputs) for _ in range(channels))
        self.gate = nn.Linear(channels * outputs, channels)
        self.experts = nn.ModuleList(nn.Linear(outputs, outputs) for _ in range(channels))
        self.users = UserEncoder(outputs, dropout=0.0)

    def items(self, hidden: Tensor) -> Tensor:
        """Hidden states [n, M, L, D] to item vectors [n, E]."""
        channels, layers = hidden.shape[1:3]
        z = [torch.zeros_like(hidden[:, 0, 0]) for _ in range(channels)]
        for layer in range(layers):
            mixed = []
            for m in range(channels):
                a = self.gates[m][layer].softmax(-1)
                crossed = sum(a[k] * z[k] for k in range(channels))
                mixed.append(crossed + a[-1] * hidden[:, m, layer])
            z = [self.adapters[layer][m](mixed[m]) for m in range(channels)]
        e = [self.outer[m](self.inner[m](z[m])) for m in range(channels)]
        best = self.gate(torch.cat(e, 1)).topk(self.top_k, -1)
        weights = torch.zeros(len(hidden), channels).scatter(-1, best.indices, best.values.softmax(-1))
        return sum(weights[:, m, None] * self.experts[m](e[m]) for m in range(channels))

    def forward(self, hidden: Tensor, sequences: Tensor) -> tuple[Tensor, Tensor]:
        """Hidden states [P, M, L, D] of sequences [B, S + 1]: user states [B, S, E], item vectors [P, E]."""
        items = self.items(hidden)
        vectors = items.view(*sequences.shape, -1)[:, :-1]
        return self.users(vectors, sequences[:, :-1] > 0), items

    @torch.no_grad()
    def take_over(self, ours: Recommender) -> "PlainCrossan":
        """Copy the weights of sanrec's model; its dropout too."""
        encoder = ours.item_encoder
        for mine, theirs in zip(self.gates, encoder.gates.logits, strict=True):
            mine.copy_(theirs)
        for m in range(len(self.gates)):
            for layer, block in enumerate(encoder.adapters):
                _copy(self.adapters[layer][m].down, block.down, m)
                _copy(self.adapters[layer][m].up, block.up, m)
            _copy(self.inner[m], encoder.heads.inner, m)
            _copy(self.outer[m], encoder.heads.outer, m)
            _copy(self.experts[m], encoder.fusion.experts, m)
        self.gate.load_state_dict(encoder.fusion.gate.state_dict())
        self.users.load_state_dict(ours.user_encoder.state_dict())
        for mine, theirs in zip(self.users.modules(), ours.user_encoder.modules(), strict=True):
            if isinstance(mine, nn.Dropout):
                mine.p = theirs.p
            if hasattr(mine, "rate"):
                mine.rate = theirs.rate
        return self


def _copy(linear: nn.Linear, towers: nn.Module, tower: int) -> None:
    linear.weight.copy_(towers.weight[tower].T)
    linear.bias.copy_(towers.bias[tower, 0])


def take_step(optimizer: torch.optim.Optimizer, loss: Tensor) -> float:
    """Train by one batch's loss, and wait for it."""
    optimizer.zero_grad()
    loss.backward()
    optimizer.step()
    return loss.item()


def _scores(states: Tensor, items: Tensor, sequences: Tensor, log_popularity: Tensor) -> tuple[Tensor, Tensor]:
    """Debiased logits [B * S, P], and each row's target column."""
    users, length = sequences.shape
    logits = states.flatten(0, 1) @ items.T - log_popularity[sequences.flatten()]
    columns = torch.arange(users * length).view(users, length)[:, 1:]
    return logits, columns.flatten()


def plain_loss(states: Tensor, items: Tensor, sequences: Tensor, log_popularity: Tensor) -> Tensor:
    """The in-batch debiased loss over all occurrences, masked by array operations."""
    logits, targets = _scores(states, items, sequences, log_popularity)
    flat = sequences.flatten()
    own = (flat[None, :, None] == sequences[:, None, :]).any(-1) | (flat == 0)[None]  # [B, P]
    own = own.repeat_interleave(sequences.shape[1] - 1, 0)
    positive = logits.gather(1, targets[:, None])
    logits = logits.masked_fill(own, float("-inf")).scatter(1, targets[:, None], positive)
    real = (sequences[:, :-1] > 0).flatten()
    return nn.functional.cross_entropy(logits[real], targets[real])


def looped_loss(states: Tensor, items: Tensor, sequences: Tensor, log_popularity: Tensor) -> Tensor:
    """The same, masked by a loop over users and positions."""
    logits, targets = _scores(states, items, sequences, log_popularity)
    flat, steps = sequences.flatten(), sequences.shape[1] - 1
    padding = flat == 0
    mask = torch.zeros(logits.shape, dtype=torch.bool)
    for user, own in enumerate(sequences):
        rejected = torch.isin(flat, own) | padding
        for position in range(steps):
            row = user * steps + position
            mask[row, rejected] = True
            mask[row, targets[row]] = False
    real = (sequences[:, :-1] > 0).flatten()
    return nn.functional.cross_entropy(logits.masked_fill(mask, float("-inf"))[real], targets[real])
