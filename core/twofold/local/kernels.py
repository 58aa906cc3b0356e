"""Attention and positions, as functions of tensors. Letters for shapes are those of `encoder`."""

from __future__ import annotations

from importlib.util import find_spec
from typing import TYPE_CHECKING

import torch
import torch.nn.functional as F  # noqa: N812 - the name that all torch code uses
from torch import Tensor

if TYPE_CHECKING:
    from twofold.local.packing import Batch

VARLEN = "torch.nn.attention.varlen"
"""Of torch 2.10 and newer."""
BIAS_ELEMENTS = 2**24
"""The most ALiBi biases held at once: long sequences are attended by blocks of queries."""


def can_pack(device: torch.device, dtype: torch.dtype, head_width: int) -> bool:
    """Whether the variable-length FlashAttention kernel runs here: CUDA 8.0 or newer, in half precision."""
    if device.type != "cuda" or dtype not in {torch.bfloat16, torch.float16} or find_spec(VARLEN) is None:
        return False
    return torch.cuda.get_device_capability(device) >= (8, 0) and head_width % 8 == 0 and head_width <= 256


def attend_packed(qkv: Tensor, batch: Batch) -> Tensor:
    """Attention over all sequences of a batch in one call: qkv (T, 3, N, D) -> (T, N, D)."""
    from torch.nn.attention import varlen  # noqa: PLC0415 - brings torch's compiler, which a CPU has no use for

    q, k, v = qkv.unbind(1)
    longest = max(batch.lengths)
    attended = varlen.varlen_attn(q, k, v, batch.edges, batch.edges, longest, longest)
    assert isinstance(attended, Tensor)  # noqa: S101 - a pair only where more is asked for
    return attended


def attend(q: Tensor, k: Tensor, v: Tensor, slopes: Tensor | None) -> Tensor:
    """Bidirectional attention, q, k, v and result (B, N, S, D), with ALiBi's bias where there are slopes."""
    if slopes is None:
        return F.scaled_dot_product_attention(q, k, v)
    length = q.shape[2]
    rows = max(1, BIAS_ELEMENTS // (length * len(slopes)))
    parts = [
        F.scaled_dot_product_attention(block, k, v, attn_mask=alibi_bias(slopes, number * rows, block, length))
        for number, block in enumerate(torch.split(q, rows, dim=2))
    ]
    return torch.cat(parts, dim=2)


def alibi_bias(slopes: Tensor, first: int, queries: Tensor, length: int) -> Tensor:
    """-slope x |i - j| for queries i from `first` on and all keys j: (1, N, rows, S). Symmetric, as in JinaBERT."""
    i = torch.arange(first, first + queries.shape[2], device=slopes.device)
    j = torch.arange(length, device=slopes.device)
    distance = (i[:, None] - j[None, :]).abs()
    return (-slopes[:, None, None] * distance).to(queries.dtype)[None]


def alibi_slopes(heads: int) -> Tensor:
    """One slope a head, (N,): powers of 2^(-8/n), with those of 2n between them where n is no power of two.

    Source: arXiv 2108.12409 and its reference code.
    """
    power = 1 << (heads.bit_length() - 1)
    first = [2.0 ** (-8.0 * (i + 1) / power) for i in range(power)]
    between = [2.0 ** (-4.0 * (2 * i + 1) / power) for i in range(heads - power)]
    return torch.tensor(first + between)


def rotary_tables(
    length: int, head_width: int, base: float, device: torch.device, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Cosines and sines for each position, (length, 1, 1, D/2) each: computed in float32, then cast.

    Computed here and never read from a checkpoint: a buffer that no file holds is where position-blind models come
    from. Source: arXiv 2104.09864, in the half-split form.
    """
    frequencies = base ** (-torch.arange(0, head_width, 2, dtype=torch.float32) / head_width)
    angles = torch.outer(torch.arange(length, dtype=torch.float32), frequencies)[:, None, None, :]
    return angles.cos().to(device, dtype), angles.sin().to(device, dtype)


def rotate_(x: Tensor, cos: Tensor, sin: Tensor) -> None:
    """Rotate queries and keys in place: x (T, 2, N, D), cos and sin (T, 1, 1, D/2)."""
    first, second = x.chunk(2, dim=-1)
    old = first.clone()
    first.mul_(cos).addcmul_(second, sin, value=-1)
    second.mul_(cos).addcmul_(old, sin)
