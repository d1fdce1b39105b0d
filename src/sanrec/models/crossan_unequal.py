"""CROSSAN and INDSAN over encoders of unequal width or depth: an extension of our own.

The paper leaves such encoders out (arXiv 2504.10307, 5, footnote on language models). What is kept of it is Eq. 5; what
is added follows IISAN-VA (arXiv 2411.02992, III-D and VI-E): linear maps between widths, and depths aligned at the top.
Shapes: M channels, n items, G gates of a tower; L_m kept layers and width D_m of channel m; E recommender width.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sanrec.config import Settings
from sanrec.models.blocks import TOGETHER, AdapterBlock
from sanrec.models.fusion import FUSIONS
from sanrec.models.gates import CrossModalGates
from sanrec.models.missing import Masked, unmasked
from sanrec.models.unequal import fused, tower_head


class UnequalCrossan(nn.Module):
    """`Crossan` whose towers have each channel's own width and number of layers; `independent` makes it INDSAN.

    Where tower m reads z of tower k and their widths differ, z passes a linear map into m's width: one for each ordered
    pair, shared by all layers, without a bias, so that a z of zero stays zero. The last layers of all towers run
    together, and a tower with fewer of them starts later: until then its z is zero, as Eq. 5 has it before the first
    layer. Each tower's head is Linear(D_m, E), Linear(E, E), as in IISAN-VA.
    """

    together = TOGETHER

    def __init__(
        self, widths: Sequence[int], layers: Sequence[int], settings: Settings, independent: bool = False
    ) -> None:
        super().__init__()
        self.independent, e = independent, settings.recommender_width
        self.gates = CrossModalGates(layers, independent, settings.gating)
        self.adapters = nn.ModuleList(
            nn.ModuleList(AdapterBlock(wide, settings.adapter_width, settings.activation) for _ in range(deep))
            for wide, deep in zip(widths, layers, strict=True)
        )
        self.alignment = nn.ModuleList(
            nn.ModuleList(
                nn.Linear(other, own, bias=False) if other != own and not independent else nn.Identity()
                for other in widths
            )
            for own in widths
        )
        self.heads = nn.ModuleList(tower_head(wide, e) for wide in widths)
        self.fusion = FUSIONS[settings.fusion](len(widths), e, settings.top_k)

    def towers(self, inputs: Sequence[Tensor] | Masked) -> list[Tensor]:
        """The last adapters' outputs, [n, D_m] each, of one [L_m, n, D_m] per channel.

        Where items lack media, as in `Crossan`: the other towers' outputs at these items count for nothing, and gates
        are made to sum to one over what is there. A tower's output at an item that lacks its medium means nothing.
        """
        hidden, present_Mn = unmasked(inputs)
        z: list[Tensor | None] = [None] * len(hidden)
        for left in reversed(range(max(len(x_LnD) for x_LnD in hidden))):  # layers above this one
            z = [
                self._step(tower, len(x_LnD) - 1 - left, x_LnD, z, present_Mn) if left < len(x_LnD) else None
                for tower, x_LnD in enumerate(hidden)
            ]
        return [output for output in z if output is not None]

    def _step(
        self, tower: int, layer: int, x_LnD: Tensor, z: Sequence[Tensor | None], present_Mn: Tensor | None
    ) -> Tensor:
        """The output of a tower's adapter at one of its layers, [n, D_m]; `z` are all towers' outputs a layer below."""
        mixed, others = x_LnD[layer], [tower] if self.independent else list(range(len(z)))
        gate_G1 = None
        if len(self.gates.logits):
            gate_G1 = self.gates.logits[tower][layer].softmax(-1)[:, None]
            if present_Mn is not None:
                own = torch.ones_like(present_Mn[:1])
                gate_G1 = gate_G1 * torch.cat([present_Mn[others], own])
                gate_G1 = gate_G1 / gate_G1.sum(0)
            gate_G1 = gate_G1.to(mixed.dtype)
            mixed = gate_G1[-1][:, None] * mixed
        for place, other in enumerate(others):
            below = z[other]
            if below is None:
                continue
            seen = self.alignment[tower][other](below)
            if gate_G1 is not None:
                seen = gate_G1[place][:, None] * seen
            elif present_Mn is not None:
                seen = seen * present_Mn[other][:, None]
            mixed = mixed + seen
        return self.adapters[tower][layer](mixed)

    def forward(self, inputs: Sequence[Tensor] | Masked) -> Tensor:
        """Hidden states of each channel's kept layers, [L_m, n, D_m] each, to item vectors [n, E]."""
        return fused(self.fusion, self.heads, self.towers(inputs), unmasked(inputs)[1])

    def slow_parameters(self, modalities: tuple[str, ...]) -> list[nn.Parameter]:
        """What trains at the adapters' learning rate: adapters, and the gates of towers that are not text."""
        gates = [logits for logits, m in zip(self.gates.logits, modalities, strict=False) if m != "text"]
        return [*self.adapters.parameters(), *gates]
