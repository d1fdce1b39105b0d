"""IISAN and its extension to more channels, IISAN-E (arXiv 2404.02059; 2411.02992, Eq. 1-4; 2504.10307, 6.1).

One intra-modal tower per channel and one inter-modal tower beside them. Here all channels have one width and one number
of layers (IISAN-VS); `iisan_va` has the others.
Shapes: L kept layers, M channels, K = M + 1 towers (fewer in ablations), n items, D width, H adapter width, E
recommender width.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from sanrec.config import Settings
from sanrec.models.backward import working_type
from sanrec.models.blocks import TOGETHER, AdapterBlocks, TowerHeads
from sanrec.models.fusion import FUSIONS
from sanrec.models.gates import sharp_sigmoid
from sanrec.models.missing import Masked, renormalised, unmasked


class GatedTowers(nn.Module):
    """The gates of intra and inter towers, which are there or not as `inter`, `intra` and `gating` say (Table VI).

    `intra_logits`: one [L] per channel; `inter_logits`: [L] for IISAN, where one gate weighs two channels, [L, M] for
    IISAN-E (`extended`), where a softmax does. All start at zero, where they weigh evenly.
    """

    adapters: nn.Module

    together = TOGETHER

    def __init__(self, layers: Sequence[int], inter_layers: int, settings: Settings, extended: bool) -> None:
        super().__init__()
        self.extended, channels = extended, len(layers)
        self.intra_towers, self.inter_tower = channels if settings.intra else 0, settings.inter
        intra = layers if settings.intra and settings.gating else []
        self.intra_logits = nn.ParameterList(nn.Parameter(torch.zeros(number)) for number in intra)
        inter = torch.zeros(inter_layers, channels) if extended else torch.zeros(inter_layers)
        self.inter_logits = nn.Parameter(inter) if settings.inter and settings.gating else None

    @property
    def tower_count(self) -> int:
        """K, the number of towers that there are."""
        return self.intra_towers + int(self.inter_tower)

    def present(self, present_Mn: Tensor | None) -> Tensor | None:
        """Which towers an item has [K, n]: its channels' own, and the inter tower where it has any medium."""
        if present_Mn is None:
            return None
        intra = present_Mn[: self.intra_towers]
        return torch.cat([intra, present_Mn.any(0, keepdim=True)]) if self.inter_tower else intra

    def inter_weights(self) -> Tensor | None:
        """The channels' weights in the inter tower's sum, [L, M], whose rows sum to 1; None without gates."""
        if self.inter_logits is None:
            return None
        if self.extended:
            return self.inter_logits.softmax(-1)
        second = sharp_sigmoid(self.inter_logits)
        return torch.stack([1 - second, second], -1)

    def slow_parameters(self, modalities: tuple[str, ...]) -> list[nn.Parameter]:
        """What trains at the adapters' learning rate: adapters, and the intra gates of channels that are not text."""
        # without intra gates there is nothing to pair with the channels
        gates = [logits for logits, m in zip(self.intra_logits, modalities, strict=False) if m != "text"]
        return [*self.adapters.parameters(), *gates]


class Iisan(GatedTowers):
    """Intra towers SANB(g x + (1 - g) z); inter tower SANB(z + the channels' gated sum).

    The inter tower's sum is g x_second + (1 - g) x_first for IISAN (two channels: text first, image second), with one
    sigmoid gate per layer; for IISAN-E (`extended`) a softmax over M logits. z is zero before the first layer. Without
    gates all sums are plain ones, as the published code's intra towers have them.
    """

    def __init__(self, channels: int, layers: int, width: int, settings: Settings, extended: bool) -> None:
        super().__init__([layers] * channels, layers, settings, extended)
        e, towers = settings.recommender_width, self.tower_count
        # All towers have one shape: each layer's K blocks run as one batched product.
        self.adapters = nn.ModuleList(
            AdapterBlocks(towers, width, settings.adapter_width, settings.activation) for _ in range(layers)
        )
        self.heads = TowerHeads(towers, width, e)
        self.fusion = FUSIONS[settings.fusion](towers, e, settings.top_k)

    def towers(self, inputs: Tensor | Masked) -> Tensor:
        """The towers' last outputs [K, n, D], the inter tower last.

        Of an item that lacks media the inter tower's sum is over the others, with gates that sum to one; an intra
        tower's output at an item that lacks its medium means nothing.
        """
        hidden_LMnD, present_Mn = unmasked(inputs)
        dtype = working_type(hidden_LMnD.device, self.adapters[0].down.weight.dtype)
        gates = [sharp_sigmoid(logits) for logits in self.intra_logits]
        intra_LM = torch.stack(gates, -1).to(dtype) if gates else None
        weights = self.inter_weights()
        inter_LM = None if weights is None else weights.to(dtype)
        z = torch.zeros_like(hidden_LMnD[0, :1], dtype=dtype).expand(self.tower_count, -1, -1)
        for layer, adapters in enumerate(self.adapters):
            x, mixed = hidden_LMnD[layer].to(dtype), []
            if self.intra_towers:
                mixed.append(self._intra(x, z[: self.intra_towers], None if intra_LM is None else intra_LM[layer]))
            if self.inter_tower:
                mixed.append(z[-1:] + self._summed(x, None if inter_LM is None else inter_LM[layer], present_Mn))
            z = adapters(torch.cat(mixed))
        return z

    @staticmethod
    def _intra(x_MnD: Tensor, z_MnD: Tensor, gate_M: Tensor | None) -> Tensor:
        """What the intra towers' blocks read at one layer, [M, n, D]."""
        if gate_M is None:
            return x_MnD + z_MnD
        gate = gate_M[:, None, None]
        return gate * x_MnD + (1 - gate) * z_MnD

    @staticmethod
    def _summed(x_MnD: Tensor, weights_M: Tensor | None, present_Mn: Tensor | None) -> Tensor:
        """The channels' sum that the inter tower reads at one layer, [n, D]."""
        if weights_M is None:
            return x_MnD.sum(0) if present_Mn is None else (x_MnD * present_Mn[..., None]).sum(0)
        if present_Mn is None:
            return torch.einsum("m,mnd->nd", weights_M, x_MnD)
        return torch.einsum("mn,mnd->nd", renormalised(weights_M, present_Mn).to(x_MnD.dtype), x_MnD)

    def forward(self, inputs: Tensor | Masked) -> Tensor:
        """Hidden states of the kept layers [L, M, n, D] to item vectors [n, E]."""
        return self.fusion(self.heads(self.towers(inputs)), self.present(unmasked(inputs)[1]))
