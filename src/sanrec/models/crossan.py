"""CROSSAN and INDSAN (arXiv 2504.10307, 4): one side adapter tower per channel over cached hidden states.

Here all channels have one width and one number of layers; `crossan_unequal` has the others.
Shapes: L kept layers, M channels, n items, D width of the backbones, H adapter width, E recommender width.
"""

import torch
from torch import Tensor, nn

from sanrec.config import Settings
from sanrec.models.blocks import AdapterBlocks, TowerHeads
from sanrec.models.crossed import CrossedTowers, Workspace, scored_towers
from sanrec.models.fusion import FUSIONS
from sanrec.models.gates import CrossModalGates
from sanrec.models.missing import Masked, by_presence, unmasked


class Crossan(nn.Module):
    """Cross-modal side adapter network; `independent` makes it INDSAN, whose towers do not see each other."""

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

        Of items that lack some, the towers of what they have run without the others: Eq. 5 over fewer channels, whose
        gates are made to sum to one. So items go through in groups that have the same channels.
        """
        hidden_LMnD, present_Mn = unmasked(inputs)
        if present_Mn is None:
            return self._run(hidden_LMnD, None)
        parts, places = [], []
        for channels, some in by_presence(present_Mn):
            z_KnD = self._run(hidden_LMnD[:, channels][:, :, some], channels)
            room = z_KnD.new_zeros(len(present_Mn), len(some), z_KnD.shape[2])
            parts.append(room.index_copy(0, torch.tensor(channels, device=room.device), z_KnD))
            places.append(some)
        none = (~present_Mn.any(0)).nonzero()[:, 0]
        first = hidden_LMnD[0, :, none].to(parts[0].dtype if parts else self.heads.inner.weight.dtype)
        return torch.cat([*parts, torch.zeros_like(first)], 1)[:, torch.cat([*places, none]).argsort()]

    def _run(self, hidden_LKnD: Tensor, channels: list[int] | None) -> Tensor:
        """The last outputs [K, n, D] of the towers of some channels alone (None: of all)."""
        crossed, own = (gate.to(hidden_LKnD.device) for gate in self.gates.split(channels))
        weights = (weight for blocks in self.adapters for weight in blocks.weights())
        if channels is not None:
            weights = (weight[channels] for weight in weights)
        if not torch.is_grad_enabled():
            return scored_towers(self.activation, hidden_LKnD, crossed, own, *weights)
        workspace = self.workspace if channels is None else Workspace()  # several groups are under way in one step
        return CrossedTowers.apply(workspace, self.activation, hidden_LKnD, crossed, own, *weights)

    def forward(self, inputs: Tensor | Masked) -> Tensor:
        """Hidden states of the kept layers [L, M, n, D] to item vectors [n, E]."""
        return self.fusion(self.heads(self.towers(inputs)), unmasked(inputs)[1])

    def slow_parameters(self, modalities: tuple[str, ...]) -> list[nn.Parameter]:
        """What trains at the adapters' learning rate: adapters, and the gates of towers that are not text."""
        gates = [logits for logits, m in zip(self.gates.logits, modalities, strict=False) if m != "text"]
        return [*self.adapters.parameters(), *gates]
