"""Quantises weights to int8 with one scale per row, and multiplies with them in the activations' dtype.

`u8s8` has the products that quantise the activations too.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

import torch
import torch.nn.functional as F  # noqa: N812 - the name that all torch code uses

from twofold.local.products import gelu_

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

    from twofold.local.products import Plain

BLOCK = 2**15
"""The number of elements of a weight that are quantised at once."""
WIDE = 127
"""The largest quantised weight."""


def quantize(weight: Tensor, smooth: Tensor | None = None, limit: int = WIDE) -> tuple[Tensor, Tensor]:
    """An int8 matrix and one scale per row, such that weight * smooth is about int8 * scale[:, None]."""
    return quantize_blocks(torch.split(weight, max(1, BLOCK // weight.shape[1])), weight.shape, smooth, limit)


def quantize_blocks(
    blocks: Iterable[Tensor], shape: tuple[int, ...], smooth: Tensor | None = None, limit: int = WIDE
) -> tuple[Tensor, Tensor]:
    """Like `quantize`, for a weight that arrives in blocks of rows. Small blocks avoid fragmenting the memory."""
    values, scales = torch.empty(shape, dtype=torch.int8), torch.empty(shape[0])
    done = 0
    for part in blocks:
        block = part.float() if smooth is None else part.float() * smooth
        place = slice(done, done := done + len(block))
        scales[place] = block.abs().amax(dim=1).clamp_min_(1e-12).div_(limit)
        values[place] = block.div(scales[place, None]).round_()
    return values, scales


@dataclass
class Int8Weight:
    """An int8 weight that is cast for each product, for devices without int8 kernels."""

    said: ClassVar[str] = "int8 weights, cast for each product"
    weight: Tensor  # (out, in) int8
    scale: Tensor  # (out,)
    bias: Tensor | None

    @classmethod
    def of(cls, plain: Plain) -> Int8Weight:
        values, scale = quantize(plain.weight)
        device, dtype = plain.weight.device, plain.weight.dtype
        return cls(values.to(device), scale.to(device, dtype), plain.bias)

    def __call__(self, x: Tensor) -> Tensor:
        y = F.linear(x, self.weight.to(x.dtype)).mul_(self.scale)
        return y if self.bias is None else y.add_(self.bias)

    def gelu(self, x: Tensor) -> Tensor:
        return gelu_(self(x))

    def add(self, other: Tensor, x: Tensor) -> Tensor:
        return other.add_(self(x))
