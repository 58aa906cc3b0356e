"""What the encoder computes with: attention and positions as functions of tensors, and products with a weight.

A product has three forms, because the operation after it can be fused: `product(x)` is x @ weight.T + bias,
`product.gelu(x)` is GELU of that, and `product.add(other, x)` is `other` plus that. They are computed by torch, or by
oneDNN with a weight that is packed once. `encoder` explains the letters in shapes.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from typing import TYPE_CHECKING, ClassVar, Protocol

import torch
import torch.nn.functional as F  # noqa: N812 - the name that all torch code uses
from torch import Tensor

from twofold.local.packing import SHORT

if TYPE_CHECKING:
    from collections.abc import Callable

    from twofold.local.packing import Batch, Group

VARLEN = "torch.nn.attention.varlen"
"""Exists in torch 2.10 and newer."""
BIAS_ELEMENTS = 2**24
"""The most ALiBi biases in memory at once. Longer sequences are attended by blocks of queries."""
PACKED_ROWS = 512
"""The number of rows that a weight is packed for. It works with any number."""


# -- attention and positions -------------------------------------------------------------------------------------------


def can_pack(device: torch.device, dtype: torch.dtype, head_width: int) -> bool:
    """Whether torch's variable-length FlashAttention runs here. It needs CUDA 8.0 or newer and half precision."""
    if device.type != "cuda" or dtype not in {torch.bfloat16, torch.float16} or find_spec(VARLEN) is None:
        return False
    return torch.cuda.get_device_capability(device) >= (8, 0) and head_width % 8 == 0 and head_width <= 256


def attend_packed(qkv: Tensor, batch: Batch) -> Tensor:
    """Attention over all sequences of a batch in one call: qkv (T, 3, N, D) -> (T, N, D)."""
    from torch.nn.attention import varlen  # noqa: PLC0415 - imports torch's compiler, which a CPU does not need

    q, k, v = qkv.unbind(1)
    longest = max(batch.lengths)
    attended = varlen.varlen_attn(q, k, v, batch.edges, batch.edges, longest, longest)
    assert isinstance(attended, Tensor)  # noqa: S101 - it returns a pair only on request
    return attended


def attend_batch(
    qkv: Tensor, batch: Batch, slopes: Tensor | None, least: int | None, *, steady: bool = False
) -> Tensor:
    """Each sequence's attention to itself: qkv (T, 3, N, D) -> (T, N * D).

    Groups of at least `least` tokens use plain products. With `steady`, the rounding of a sequence does not depend on
    its group, because int8 amplifies small differences: short sequences are attended in float32, and all others by
    plain products, even a single one.
    """
    if len(batch.lengths) == 1 and (least is None or batch.lengths[0] <= SHORT):
        return attend_run(qkv[None], slopes, exact=steady)
    parts = []
    for group in batch.groups:
        exact = steady and group.longest <= SHORT
        if least is not None and not exact and group.pays(1 if steady else least):
            parts.append(attend_group(qkv, group, slopes))
        else:
            parts.append(attend_runs(qkv, group, slopes, exact=exact))
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def attend_runs(qkv: Tensor, group: Group, slopes: Tensor | None, *, exact: bool = False) -> Tensor:
    """A group's attention by torch's kernel, one call per run of equal lengths: qkv (T, 3, N, D) -> (tokens, N * D)."""
    parts = [
        attend_run(qkv[start : start + count * length].view(count, length, *qkv.shape[1:]), slopes, exact=exact)
        for start, count, length in group.runs()
    ]
    return parts[0] if len(parts) == 1 else torch.cat(parts)


def attend_run(run: Tensor, slopes: Tensor | None, *, exact: bool = False) -> Tensor:
    """Attention of sequences of equal length by torch's kernel: run (B, S, 3, N, D) -> (B * S, N * D).

    `exact` computes in float32.
    """
    q, k, v = (run.float() if exact else run).permute(2, 0, 3, 1, 4)  # each (B, N, S, D)
    return attend(q, k, v, slopes).transpose(1, 2).reshape(run.shape[0] * run.shape[1], -1)


def attend_group(qkv: Tensor, group: Group, slopes: Tensor | None) -> Tensor:
    """A group's attention by plain products, in one call: qkv (T, 3, N, D) -> (tokens, N * D).

    On a CPU this is faster than torch's kernel, which is slow at small products and softmax. The exponential is applied
    to the scores without subtracting their maximum. A column of ones beside the values makes the second product return
    the sums of the exponentials, so the exponential is the only pass over the scores. Padding has zeros in that column
    and in the values. If a sum overflows or underflows (scores beyond 88 or -88), torch's kernel computes the group.
    """
    heads, width = qkv.shape[2:]
    count, longest = len(group.lengths), group.longest
    own = qkv[group.start : group.start + group.tokens]
    own = (own.index_select(0, group.rows) if group.padded else own).view(count, longest, 3, heads, width)
    q, k = own[:, :, :2].permute(2, 0, 3, 1, 4).reshape(2, count * heads, longest, width)
    v = own.new_empty(count, heads, longest, width + 1)
    v[..., :width] = own[:, :, 2].transpose(1, 2)
    v[..., width] = 1
    if group.padded:
        v *= group.real[:, None, :, None]
    scores = torch.baddbmm(q.new_zeros(()), q, k.mT, beta=0, alpha=width**-0.5)
    if slopes is not None:
        scores.view(count, heads, longest, longest).add_(alibi_bias(slopes, 0, q, longest))
    summed = torch.bmm(scores.exp_(), v.view(count * heads, longest, width + 1)).view(v.shape)
    least, most = torch.aminmax(summed[..., width:])
    if not 0 < least.item() <= most.item() < torch.inf:
        return attend_runs(qkv, group, slopes)
    attended = (summed[..., :width] / summed[..., width:]).transpose(1, 2).reshape(count * longest, -1)
    return attended.index_select(0, group.kept) if group.padded else attended


def attend(q: Tensor, k: Tensor, v: Tensor, slopes: Tensor | None) -> Tensor:
    """Bidirectional attention; q, k, v and the result are (B, N, S, D). With slopes, ALiBi's bias is added."""
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
    """-slope * |i - j| for the queries i from `first` and all keys j: (1, N, rows, S). Symmetric, as in JinaBERT."""
    i = torch.arange(first, first + queries.shape[-2], device=slopes.device)
    j = torch.arange(length, device=slopes.device)
    distance = (i[:, None] - j[None, :]).abs()
    return (-slopes[:, None, None] * distance).to(queries.dtype)[None]


def alibi_slopes(heads: int) -> Tensor:
    """One slope per head, (N,): powers of 2^(-8/n). If n is not a power of two, slopes for 2n heads fill the gaps.

    Source: arXiv 2108.12409 and its reference code.
    """
    power = 1 << (heads.bit_length() - 1)
    first = [2.0 ** (-8.0 * (i + 1) / power) for i in range(power)]
    between = [2.0 ** (-4.0 * (2 * i + 1) / power) for i in range(heads - power)]
    return torch.tensor(first + between)


def rotary_tables(
    length: int, head_width: int, base: float, device: torch.device, dtype: torch.dtype
) -> tuple[Tensor, Tensor]:
    """Cosines and sines for each position, (length, 1, 1, D/2) each, computed in float32 and then cast.

    They are always computed and never read from a checkpoint: a buffer missing from the file would silently remove all
    positions. Source: arXiv 2104.09864, in the half-split form.
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


# -- products ----------------------------------------------------------------------------------------------------------


def gelu_(x: Tensor) -> Tensor:
    """The exact GELU, in place."""
    y: Tensor = torch.ops.aten.gelu_(x)
    return y


class Product(Protocol):
    """A linear layer without its adapters. X is (T, in), every result (T, out)."""

    @property
    def said(self) -> str:
        """How it is computed, for people to read."""

    def __call__(self, x: Tensor) -> Tensor:
        """X @ weight.T + bias."""

    def gelu(self, x: Tensor) -> Tensor:
        """The exact GELU of the product."""

    def add(self, other: Tensor, x: Tensor) -> Tensor:
        """The product plus `other`. May overwrite `other` and x."""


@dataclass
class Plain:
    """`F.linear`, for every device."""

    said: ClassVar[str] = "torch's own"
    weight: Tensor  # (out, in)
    bias: Tensor | None = None

    def __call__(self, x: Tensor) -> Tensor:
        return F.linear(x, self.weight, self.bias)

    def gelu(self, x: Tensor) -> Tensor:
        return gelu_(self(x))

    def add(self, other: Tensor, x: Tensor) -> Tensor:
        if self.bias is not None:
            other.add_(self.bias)
        return other.addmm_(x, self.weight.T)


@dataclass
class Packed:
    """A weight packed once for oneDNN's kernels on a CPU. `F.linear` packs it again at each call.

    It uses the operators that torch's own compiler emits. `works` checks whether this torch has them and whether they
    compute correctly on this machine.
    """

    said: ClassVar[str] = "oneDNN, weights packed once"
    weight: Tensor  # opaque: oneDNN's blocks
    bias: Tensor | None

    @classmethod
    def of(cls, plain: Plain) -> Packed:
        packed = torch.ops.mkldnn._reorder_linear_weight(plain.weight, PACKED_ROWS)  # noqa: SLF001 - see above
        return cls(packed, plain.bias)

    def __call__(self, x: Tensor) -> Tensor:
        return self._run(x, "none")

    def gelu(self, x: Tensor) -> Tensor:
        return self._run(x, "gelu")

    def _run(self, x: Tensor, activation: str) -> Tensor:
        run = torch.ops.mkldnn._linear_pointwise.default  # noqa: SLF001 - naming the overload saves its lookup
        y: Tensor = run(x, self.weight, self.bias, activation, [], "none")
        return y

    def add(self, other: Tensor, x: Tensor) -> Tensor:
        y: Tensor = torch.ops.mkldnn._linear_pointwise.binary(x, other, self.weight, self.bias, "add")  # noqa: SLF001
        return y


@cache
def packing_works(dtype: torch.dtype) -> bool:
    """Whether packed products exist for this CPU and agree with `F.linear`. Checked once."""
    generator = torch.Generator().manual_seed(0)
    weight, bias, other = (torch.randn(size, generator=generator) for size in ((96, 64), (96,), (40, 96)))
    x = torch.randn(40, 64, generator=generator)
    plain = Plain(weight.to(dtype), bias.to(dtype))
    return agrees(
        plain, lambda: Packed.of(plain), other.to(dtype), x.to(dtype), 1e-5 if dtype == torch.float32 else 2e-2
    )


def agrees(plain: Product, make: Callable[[], Product], other: Tensor, x: Tensor, tolerance: float) -> bool:
    """Whether `make` works here and its product agrees with `plain` in all three forms, within a relative tolerance."""
    try:
        product = make()
        for got, want in (
            (product(x.clone()), plain(x)),
            (product(x[:1].clone()), plain(x[:1])),
            (product.gelu(x.clone()), plain.gelu(x)),
            (product.add(other.clone(), x.clone()), plain.add(other.clone(), x)),
        ):
            if not (got.float() - want.float()).abs().max() <= tolerance * want.float().abs().max():
                return False
    except (AttributeError, RuntimeError):  # this torch lacks the operator, or lacks it for this dtype
        return False
    return True
