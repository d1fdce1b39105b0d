"""IISAN and its extension to more channels, IISAN-E (arXiv 2404.02059; 2411.02992, Eq. 1-4; 2504.10307, 6.1).

One intra-modal tower per channel and one inter-modal tower beside them.
Shapes: L kept layers, M channels, K = M + 1 towers, n items, D width, H adapter width, E recommender width.
"""

import torch
from torch import Tensor, nn

from sanrec.config import Settings
from sanrec.models.blocks import AdapterBlocks, TowerHeads
from sanrec.models.fusion import FUSIONS
from sanrec.models.gates import sharp_sigmoid


class Iisan(nn.Module):
    """Intra towers SANB(g x + (1 - g) z); inter tower SANB(z + the channels' gated sum).

    The inter tower's sum is g x_second + (1 - g) x_first for IISAN (two channels: text first, image second), with one
    sigmoid gate per layer; for IISAN-E (`extended`) a softmax over M logits. z is zero before the first layer.
    """

    def __init__(self, channels: int, layers: int, width: int, settings: Settings, extended: bool) -> None:
        super().__init__()
        e, towers = settings.recommender_width, channels + 1
        self.extended = extended
        self.intra_logits = nn.ParameterList(nn.Parameter(torch.zeros(layers)) for _ in range(channels))
        self.inter_logits = nn.Parameter(torch.zeros(layers, channels) if extended else torch.zeros(layers))
        # All towers have one shape: each layer's K blocks run as one batched product.
        self.adapters = nn.ModuleList(
            AdapterBlocks(towers, width, settings.adapter_width, settings.activation) for _ in range(layers)
        )
        self.heads = TowerHeads(towers, width, e)
        self.fusion = FUSIONS[settings.fusion](towers, e, settings.top_k)

    def inter_weights(self) -> Tensor:
        """The channels' weights in the inter tower's sum, [L, M]; rows sum to 1."""
        if self.extended:
            return self.inter_logits.softmax(-1)
        second = sharp_sigmoid(self.inter_logits)
        return torch.stack([1 - second, second], -1)

    def towers(self, hidden_LMnD: Tensor) -> Tensor:
        """The towers' last outputs [K, n, D], the inter tower last."""
        dtype = hidden_LMnD.dtype
        intra_LM = torch.stack([sharp_sigmoid(logits) for logits in self.intra_logits], -1).to(dtype)
        inter_LM = self.inter_weights().to(dtype)
        z = torch.zeros_like(hidden_LMnD[0, :1]).expand(hidden_LMnD.shape[1] + 1, -1, -1)
        for layer, adapters in enumerate(self.adapters):
            x = hidden_LMnD[layer]
            gate = intra_LM[layer, :, None, None]
            intra = gate * x + (1 - gate) * z[:-1]
            inter = z[-1:] + torch.einsum("m,mnd->nd", inter_LM[layer], x)
            z = adapters(torch.cat([intra, inter]))
        return z

    def forward(self, hidden_LMnD: Tensor) -> Tensor:
        """Hidden states of the kept layers [L, M, n, D] to item vectors [n, E]."""
        return self.fusion(self.heads(self.towers(hidden_LMnD)))

    def slow_parameters(self, modalities: tuple[str, ...]) -> list[nn.Parameter]:
        """What trains at the adapters' learning rate: adapters, and the intra gates of channels that are not text."""
        gates = [logits for logits, m in zip(self.intra_logits, modalities, strict=True) if m != "text"]
        return [*self.adapters.parameters(), *gates]
