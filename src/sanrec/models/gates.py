"""Learned gates between towers. Shapes: L kept layers (L_m of channel m), M channels, n items, D width."""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

TEMPERATURE = 0.1  # of the sigmoid gates, as in the published IISAN code


class CrossModalGates(nn.Module):
    """CROSSAN's Eq. 5: what tower m's adapter reads at layer l is sum_k a_k z_k + a_own x_m.

    a is a softmax over M + 1 learned logits per layer and tower, zero at the start; `layers` says how many layers each
    tower has. `independent` (INDSAN) leaves only the tower's own z beside x; `gating=False` gives the plain sum.
    """

    def __init__(self, layers: Sequence[int], independent: bool = False, gating: bool = True) -> None:
        super().__init__()
        self.channels, self.depth, self.independent = len(layers), max(layers), independent
        width = 2 if independent else self.channels + 1
        # One tensor per tower, so that an optimiser can treat the towers' gates differently.
        self.logits = nn.ParameterList(nn.Parameter(torch.zeros(n, width)) for n in (layers if gating else ()))

    def weights(self) -> Tensor | None:
        """The gate values [L, M, M + 1], the own hidden state's last ([L, M, 2] for INDSAN); None without gating.

        For towers of one number of layers.
        """
        return torch.stack([logit.softmax(-1) for logit in self.logits], 1) if len(self.logits) else None

    def split(self, present_GM: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """What each tower's input weighs: the towers' outputs below [L, G, M, M], and its own hidden state [L, G, M].

        G groups of items have different channels (None: one group has all): what a group lacks weighs nothing, the rest
        is made to sum to one. Without gating all that is there weighs 1. For towers of one number of layers.
        """
        a_LMG = self.weights()
        if a_LMG is None:
            seen = torch.eye(self.channels) if self.independent else torch.ones(self.channels, self.channels)
            crossed, own = seen.expand(self.depth, 1, -1, -1), torch.ones(self.depth, 1, self.channels)
        else:
            crossed = torch.diag_embed(a_LMG[..., 0]) if self.independent else a_LMG[..., :-1]
            crossed, own = crossed[:, None], a_LMG[:, None, :, -1]
        if present_GM is None:
            return crossed, own
        crossed = crossed.to(present_GM.device) * present_GM[:, None, :] * present_GM[:, :, None]
        own = own.to(present_GM.device) * present_GM
        if a_LMG is None:
            return crossed, own
        total = (crossed.sum(-1) + own).clamp_min(torch.finfo(own.dtype).tiny)
        return crossed / total[..., None], own / total


def sharp_sigmoid(logits: Tensor) -> Tensor:
    """IISAN's gate: sigmoid(logit / 0.1), one half at the start, where logits are zero."""
    return torch.sigmoid(logits / TEMPERATURE)
