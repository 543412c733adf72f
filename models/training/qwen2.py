"""A Qwen2 decoder in PyTorch with Hugging Face's parameter names, small enough to read at once.

Shapes: hidden states are (batch, tokens, hidden); heads are (batch, heads, tokens, head size).
"""

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import nn


@dataclass(frozen=True)
class Shape:
    """The size of a model; the defaults are the demo model's."""

    hidden: int = 256
    layers: int = 4
    heads: int = 4
    kv_heads: int = 2
    ffn: int = 768
    vocabulary: int = 4096
    rope_theta: float = 1e6
    epsilon: float = 1e-6
    context: int = 2048

    @property
    def head(self):
        """The size of one head."""
        return self.hidden // self.heads


class RmsNorm(nn.Module):
    """Root-mean-square normalization with a learned scale."""

    def __init__(self, shape):
        super().__init__()
        self.weight = nn.Parameter(torch.ones(shape.hidden))
        self.epsilon = shape.epsilon

    def forward(self, x):
        """Normalizes the last axis, in float32."""
        return F.rms_norm(x.float(), self.weight.shape, self.weight, self.epsilon)


class Attention(nn.Module):
    """Causal grouped-query attention with biases on q, k and v."""

    def __init__(self, shape):
        super().__init__()
        kv = shape.kv_heads * shape.head
        self.shape = shape
        self.q_proj = nn.Linear(shape.hidden, shape.hidden)
        self.k_proj = nn.Linear(shape.hidden, kv)
        self.v_proj = nn.Linear(shape.hidden, kv)
        self.o_proj = nn.Linear(shape.hidden, shape.hidden, bias=False)

    def heads(self, x):
        """Splits the last axis into heads."""
        return x.unflatten(-1, (-1, self.shape.head)).transpose(1, 2)

    def forward(self, x, cos, sin, future):
        """Attends from each token to itself and those before it."""
        q = rotate(self.heads(self.q_proj(x)), cos, sin)
        k = rotate(self.heads(self.k_proj(x)), cos, sin)
        v = self.heads(self.v_proj(x))
        group = self.shape.heads // self.shape.kv_heads
        k, v = k.repeat_interleave(group, 1), v.repeat_interleave(group, 1)
        scores = (q @ k.transpose(-1, -2)) * self.shape.head**-0.5 + future
        y = scores.softmax(-1) @ v
        return self.o_proj(y.transpose(1, 2).flatten(2))


class Mlp(nn.Module):
    """The gated feed-forward block."""

    def __init__(self, shape):
        super().__init__()
        self.gate_proj = nn.Linear(shape.hidden, shape.ffn, bias=False)
        self.up_proj = nn.Linear(shape.hidden, shape.ffn, bias=False)
        self.down_proj = nn.Linear(shape.ffn, shape.hidden, bias=False)

    def forward(self, x):
        """Applies SwiGLU."""
        return self.down_proj(F.silu(self.gate_proj(x)) * self.up_proj(x))


class Layer(nn.Module):
    """One decoder layer."""

    def __init__(self, shape):
        super().__init__()
        self.self_attn = Attention(shape)
        self.mlp = Mlp(shape)
        self.input_layernorm = RmsNorm(shape)
        self.post_attention_layernorm = RmsNorm(shape)

    def forward(self, x, cos, sin, future):
        """Adds attention and feed-forward to the residual stream."""
        x = x + self.self_attn(self.input_layernorm(x), cos, sin, future)
        return x + self.mlp(self.post_attention_layernorm(x))


class Decoder(nn.Module):
    """Embedding, layers and final norm."""

    def __init__(self, shape):
        super().__init__()
        self.embed_tokens = nn.Embedding(shape.vocabulary, shape.hidden)
        self.layers = nn.ModuleList(Layer(shape) for _ in range(shape.layers))
        self.norm = RmsNorm(shape)


class Qwen2(nn.Module):
    """The whole model; the head is tied to the embedding."""

    def __init__(self, shape):
        super().__init__()
        self.shape = shape
        self.model = Decoder(shape)
        deep = (2 * shape.layers) ** -0.5
        for name, p in self.named_parameters():
            if p.dim() > 1:
                last = name.endswith(("o_proj.weight", "down_proj.weight"))
                nn.init.normal_(p, 0, 0.02 * (deep if last else 1))
            elif name.endswith("bias"):
                nn.init.zeros_(p)

    def forward(self, ids, keep=None):
        """Returns the logits of (batch, tokens) ids, of all positions or the flat ones in keep."""
        cos, sin = rope(self.shape, ids.shape[1])
        future = torch.full((ids.shape[1], ids.shape[1]), -torch.inf).triu(1)
        x = self.model.embed_tokens(ids)
        for layer in self.model.layers:
            x = layer(x, cos, sin, future)
        x = self.model.norm(x if keep is None else x.flatten(0, 1)[keep])
        return F.linear(x, self.model.embed_tokens.weight)


def rope(shape, tokens):
    """Returns cosines and sines of the rotary angles, each (tokens, head size)."""
    exponents = torch.arange(0, shape.head, 2) / shape.head
    angles = torch.outer(torch.arange(tokens), shape.rope_theta**-exponents).repeat(1, 2)
    return angles.cos(), angles.sin()


def rotate(x, cos, sin):
    """Rotates the pairs (i, i + head size / 2) of each head."""
    a, b = x.chunk(2, -1)
    return x * cos + torch.cat([-b, a], -1) * sin
