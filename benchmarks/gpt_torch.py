"""The small GPT in PyTorch, with the parts and sizes of `companion.models.build_gpt`.

Positions are learned, as in GPT-2; norms, attention and the order of the parts are the course's.
"""

from __future__ import annotations

from torch import Tensor, nn
from torch.nn import functional


class Block(nn.Module):
    """Causal attention and a feed-forward network, each after a norm and beside a shortcut."""

    def __init__(self, width: int, num_heads: int) -> None:
        super().__init__()
        self.num_heads = num_heads
        self.attention_norm = nn.RMSNorm(width, eps=1e-6)
        self.qkv = nn.Linear(width, 3 * width, bias=False)
        self.attention_output = nn.Linear(width, width, bias=False)
        self.feedforward_norm = nn.RMSNorm(width, eps=1e-6)
        self.up = nn.Linear(width, 4 * width, bias=False)
        self.down = nn.Linear(4 * width, width, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        """Returns the block's output, of the shape of x: (batch, length, width)."""
        batch, length, width = x.shape
        heads = self.qkv(self.attention_norm(x)).view(batch, length, 3 * self.num_heads, -1)
        query, key, value = heads.transpose(1, 2).chunk(3, dim=1)  # (batch, heads, length, dim)
        attention = functional.scaled_dot_product_attention(query, key, value, is_causal=True)
        together = attention.transpose(1, 2).reshape(batch, length, width)
        x = x + self.attention_output(together)
        return x + self.down(functional.gelu(self.up(self.feedforward_norm(x))))


class GPT(nn.Module):
    """Token ids of shape (batch, sequence) to logits (batch, sequence, vocabulary)."""

    def __init__(self, vocabulary: int, sequence: int, width: int, layers: int, heads: int) -> None:
        super().__init__()
        self.embedding = nn.Embedding(vocabulary, width)
        self.positions = nn.Embedding(sequence, width)
        self.blocks = nn.ModuleList([Block(width, heads) for _ in range(layers)])
        self.final_norm = nn.RMSNorm(width, eps=1e-6)
        for parameter in self.parameters():
            if parameter.dim() > 1:
                nn.init.normal_(parameter, std=0.02)

    def forward(self, ids: Tensor) -> Tensor:
        """Returns the logits."""
        x = self.embedding(ids) + self.positions.weight[: ids.shape[1]]
        for block in self.blocks:
            x = block(x)
        return functional.linear(self.final_norm(x), self.embedding.weight)
