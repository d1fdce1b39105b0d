"""CROSSAN and INDSAN (arXiv 2504.10307, 4): one side adapter tower per channel over cached hidden states.

Here all channels have one width and one number of layers; `crossan_unequal` has the others.
Shapes: L kept layers, M channels, n items, D width of the backbones, H adapter width, E recommender width.
"""

import torch
from torch import Tensor, nn

from sanrec.config import Settings
from sanrec.models.blocks import TOGETHER, AdapterBlocks, TowerHeads
from sanrec.models.crossed import CrossedTowers, scored_towers
from sanrec.models.fusion import FUSIONS
from sanrec.models.gates import CrossModalGates
from sanrec.models.missing import Masked, groups_of, unmasked
from sanrec.models.workspace import Workspace


class Crossan(nn.Module):
    """Cross-modal side adapter network; `independent` makes it INDSAN, whose towers do not see each other."""

    together = TOGETHER

    def __init__(self, channels: int, layers: int, width: int, settings: Settings, independent: bool = False) -> None:
        super().__init__()
        e = settings.recommender_width
        self.gates = CrossModalGates([layers] * channels, independent, settings.gating)
        self.adapters = nn.ModuleList(
            AdapterBlocks(channels, width, settings.adapter_width, settings.activation) for _ in range(layers)
        )
        self.activation, self.workspace = settings.activation, Workspace()
        self.heads = TowerHeads(channels, width, e)
        self.fusion = FUSIONS[settings.fusion](channels, e, settings.top_k)

    def towers(self, inputs: Tensor | Masked) -> Tensor:
        """The last adapters' outputs [M, n, D]; zero where an item lacks the medium.

        Of an item that lacks some, the towers of what it has run without the others: Eq. 5 over fewer channels, whose
        gates are made to sum to one. Items that have the same channels have the same gates.
        """
        hidden_LMnD, present_Mn = unmasked(inputs)
        if present_Mn is None:
            return self._run(hidden_LMnD, None, [hidden_LMnD.shape[2]])
        groups = groups_of(present_Mn)
        z_MnD = self._run(hidden_LMnD[:, :, groups.order], groups.present, groups.sizes)
        return z_MnD[:, groups.order.argsort()].masked_fill(~present_Mn[..., None], 0)

    def _run(self, hidden_LMnD: Tensor, present_GM: Tensor | None, sizes: list[int]) -> Tensor:
        """The last outputs [M, n, D] over items that stand in groups of these sizes."""
        crossed, own = (gate.to(hidden_LMnD.device) for gate in self.gates.split(present_GM))
        weights = [weight for blocks in self.adapters for weight in blocks.weights()]
        if not torch.is_grad_enabled():
            self.workspace.release()
            return scored_towers(self.activation, sizes, hidden_LMnD, crossed, own, *weights)
        return CrossedTowers.apply(self.workspace, self.activation, sizes, hidden_LMnD, crossed, own, *weights)

    def forward(self, inputs: Tensor | Masked) -> Tensor:
        """Hidden states of the kept layers [L, M, n, D] to item vectors [n, E]."""
        return self.fusion(self.heads(self.towers(inputs)), unmasked(inputs)[1])

    def slow_parameters(self, modalities: tuple[str, ...]) -> list[nn.Parameter]:
        """What trains at the adapters' learning rate: adapters, and the gates of towers that are not text."""
        gates = [logits for logits, m in zip(self.gates.logits, modalities, strict=False) if m != "text"]
        return [*self.adapters.parameters(), *gates]
