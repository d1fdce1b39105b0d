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
        self.channels, self.independent = len(layers), independent
        width = 2 if independent else self.channels + 1
        # One tensor per tower, so that an optimiser can treat the towers' gates differently.
        self.logits = nn.ParameterList(nn.Parameter(torch.zeros(n, width)) for n in (layers if gating else ()))

    def weights(self) -> Tensor | None:
        """The gate values [L, M, M + 1], the own hidden state's last ([L, M, 2] for INDSAN); None without gating.

        For towers of one number of layers.
        """
        return torch.stack([logit.softmax(-1) for logit in self.logits], 1) if len(self.logits) else None

    def mix(self, x_MnD: Tensor, z_MnD: Tensor | None, a_MG: Tensor | None) -> Tensor:
        """The adapters' inputs [M, n, D] at one layer; `z` is None before the first, where it is zero."""
        if a_MG is None:
            z = 0 if z_MnD is None else z_MnD if self.independent else z_MnD.sum(0, keepdim=True)
            return x_MnD + z
        own = a_MG[:, -1, None, None].to(x_MnD.dtype) * x_MnD
        if z_MnD is None:
            return own
        if self.independent:
            return own + a_MG[:, 0, None, None].to(x_MnD.dtype) * z_MnD
        crossed = a_MG[:, :-1].to(z_MnD.dtype) @ z_MnD.reshape(self.channels, -1)
        return own + crossed.view_as(x_MnD)


def sharp_sigmoid(logits: Tensor) -> Tensor:
    """IISAN's gate: sigmoid(logit / 0.1), one half at the start, where logits are zero."""
    return torch.sigmoid(logits / TEMPERATURE)
