"""IISAN-VA: IISAN over encoders of unequal width or depth (arXiv 2411.02992, III-C to III-E and VI-E).

Shapes: M channels, K = M + 1 towers (fewer in ablations), n items; L_m kept layers and width D_m of channel m; E
recommender width. The inter tower has the least of both, L = min L_m and D = min D_m.
"""

from collections.abc import Sequence

from torch import Tensor, nn

from sanrec.config import Settings
from sanrec.models.blocks import AdapterBlock
from sanrec.models.fusion import FUSIONS
from sanrec.models.gates import sharp_sigmoid
from sanrec.models.iisan import GatedTowers
from sanrec.models.missing import Masked, renormalised, unmasked
from sanrec.models.unequal import fused, tower_head


class IisanVa(GatedTowers):
    """`Iisan` whose intra towers have each channel's own width and number of layers.

    The inter tower stands beside the uppermost L layers of every channel: what a deeper channel keeps below them feeds
    its intra tower alone. Channels wider than the inter tower reach it through one linear map per layer (DTL, Eq. 4).
    Each tower's head is Linear(D_m, E), Linear(E, E).
    """

    def __init__(self, widths: Sequence[int], layers: Sequence[int], settings: Settings, extended: bool) -> None:
        depth, width, e = min(layers), min(widths), settings.recommender_width
        super().__init__(layers, depth, settings, extended)
        towers = list(zip(widths, layers, strict=True))[: self.intra_towers] + [(width, depth)] * self.inter_tower
        inner, activation = settings.adapter_width, settings.activation
        self.adapters = nn.ModuleList(
            nn.ModuleList(AdapterBlock(wide, inner, activation) for _ in range(deep)) for wide, deep in towers
        )
        self.alignment = nn.ModuleList(
            nn.ModuleList(nn.Linear(wide, width) for _ in range(depth if wide > width else 0))
            for wide in (widths if self.inter_tower else ())
        )
        self.heads = nn.ModuleList(tower_head(wide, e) for wide, _ in towers)
        self.fusion = FUSIONS[settings.fusion](len(towers), e, settings.top_k)

    def towers(self, inputs: Sequence[Tensor] | Masked) -> list[Tensor]:
        """The towers' last outputs, [n, D_m] each, the inter tower last, of one [L_m, n, D_m] per channel.

        Where items lack media, as in `Iisan`.
        """
        hidden, present_Mn = unmasked(inputs)
        outputs = [self._intra_tower(channel, x_LnD) for channel, x_LnD in enumerate(hidden[: self.intra_towers])]
        return [*outputs, self._inter_tower(hidden, present_Mn)] if self.inter_tower else outputs

    def _intra_tower(self, channel: int, x_LnD: Tensor) -> Tensor:
        gates = sharp_sigmoid(self.intra_logits[channel]).to(x_LnD.dtype) if len(self.intra_logits) else None
        z: Tensor | float = 0.0
        for layer, block in enumerate(self.adapters[channel]):
            x = x_LnD[layer]
            z = block(x + z if gates is None else gates[layer] * x + (1 - gates[layer]) * z)
        return z

    def _inter_tower(self, hidden: Sequence[Tensor], present_Mn: Tensor | None) -> Tensor:
        weights_LM = self.inter_weights()
        blocks = self.adapters[-1]
        z: Tensor | float = 0.0
        for layer, block in enumerate(blocks):
            weights = None if weights_LM is None else renormalised(weights_LM[layer], present_Mn)
            for channel, x_LnD in enumerate(hidden):
                x = x_LnD[layer - len(blocks)]  # counted from the top
                x = self.alignment[channel][layer](x) if len(self.alignment[channel]) else x
                if weights is not None:
                    x = weights[channel][:, None].to(x.dtype) * x
                elif present_Mn is not None:
                    x = x * present_Mn[channel][:, None]
                z = z + x
            z = block(z)
        return z

    def forward(self, inputs: Sequence[Tensor] | Masked) -> Tensor:
        """Hidden states of each channel's kept layers, [L_m, n, D_m] each, to item vectors [n, E]."""
        return fused(self.fusion, self.heads, self.towers(inputs), self.present(unmasked(inputs)[1]))
