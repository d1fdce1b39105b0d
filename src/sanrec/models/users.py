"""The user encoder: a causal transformer over item vectors (DESIGN: as the published IISAN code has it).

Shapes: B users, S positions, E recommender width, h heads.
"""

import torch
from torch import Tensor, nn
from torch.nn import functional

EPSILON = 1e-6  # of every LayerNorm here
MASKED = -1e9  # finite: a padded position may look at nothing, and its unused output must not be NaN


class SelfAttention(nn.Module):
    """Multi-head attention, projections without bias, post-LayerNorm."""

    def __init__(self, width: int, heads: int, dropout: float) -> None:
        super().__init__()
        if width % heads:
            raise ValueError(f"recommender_width={width} does not divide by user_heads={heads}")
        self.heads, self.rate = heads, dropout
        self.query = nn.Linear(width, width, bias=False)
        self.key = nn.Linear(width, width, bias=False)
        self.value = nn.Linear(width, width, bias=False)
        self.output = nn.Linear(width, width, bias=False)
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(width, eps=EPSILON)

    def forward(self, x_BSE: Tensor, mask: Tensor) -> Tensor:
        """[B, S, E] to [B, S, E]; `mask` [B, 1, S, S] is added to the scores."""
        split = (*x_BSE.shape[:2], self.heads, -1)
        q, k, v = (f(x_BSE).view(split).transpose(1, 2) for f in (self.query, self.key, self.value))
        rate = self.rate if self.training else 0.0
        mixed = functional.scaled_dot_product_attention(q, k, v, attn_mask=mask.to(q.dtype), dropout_p=rate)
        return self.norm(x_BSE + self.dropout(self.output(mixed.transpose(1, 2).flatten(2))))


class FeedForward(nn.Module):
    """E to 4E to E with ReLU, post-LayerNorm."""

    def __init__(self, width: int, dropout: float) -> None:
        super().__init__()
        self.inner, self.outer = nn.Linear(width, 4 * width), nn.Linear(4 * width, width)
        self.dropout = nn.Dropout(dropout)
        self.norm = nn.LayerNorm(width, eps=EPSILON)

    def forward(self, x_BSE: Tensor) -> Tensor:
        """[B, S, E] to [B, S, E]."""
        return self.norm(x_BSE + self.dropout(self.outer(functional.relu(self.inner(x_BSE)))))


class UserEncoder(nn.Module):
    """Learned positions, LayerNorm, dropout, then post-LN transformer blocks under a causal and padding mask.

    Xavier-normal weights, zero biases: 100,224 parameters at E = 64, S = 10, 2 blocks, 2 heads.
    """

    def __init__(
        self, width: int = 64, positions: int = 10, blocks: int = 2, heads: int = 2, dropout: float = 0.1
    ) -> None:
        super().__init__()
        self.positions = nn.Embedding(positions, width)
        self.norm = nn.LayerNorm(width, eps=EPSILON)
        self.dropout = nn.Dropout(dropout)
        self.attention = nn.ModuleList(SelfAttention(width, heads, dropout) for _ in range(blocks))
        self.feed_forward = nn.ModuleList(FeedForward(width, dropout) for _ in range(blocks))
        causal = torch.ones(positions, positions, dtype=torch.bool).tril()
        self.register_buffer("causal", causal, persistent=False)
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Xavier-normal linear and position weights, zero biases."""
        for module in self.modules():
            if isinstance(module, nn.Linear | nn.Embedding):
                nn.init.xavier_normal_(module.weight)
            if isinstance(module, nn.Linear) and module.bias is not None:
                nn.init.zeros_(module.bias)

    def forward(self, items_BSE: Tensor, present_BS: Tensor) -> Tensor:
        """Item vectors [B, S, E], left-padded, and which are real [B, S], to user states [B, S, E].

        State s has seen items 0 to s and no padding; states at padded positions mean nothing.
        """
        length = items_BSE.shape[1]
        seen = self.causal[:length, :length] & present_BS[:, None, None, :]
        mask = torch.zeros(seen.shape, device=seen.device).masked_fill_(~seen, MASKED)
        x = self.dropout(self.norm(items_BSE + self.positions.weight[:length]))
        for attention, feed_forward in zip(self.attention, self.feed_forward, strict=True):
            x = feed_forward(attention(x, mask))
        return x
