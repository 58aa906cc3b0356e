"""int8: weights in s8 with a scale for each row, and the product of a weight alone in int8.

`u8s8` has the products whose activations are in 8 bits, too.
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
"""Elements of a weight that are quantised at once."""
WIDE = 127
"""The largest weight."""


def quantize(weight: Tensor, smooth: Tensor | None = None, limit: int = WIDE) -> tuple[Tensor, Tensor]:
    """An int8 matrix and one scale for each of its rows: weight * smooth is about int8 x scale[:, None]."""
    return quantize_blocks(torch.split(weight, max(1, BLOCK // weight.shape[1])), weight.shape, smooth, limit)


def quantize_blocks(
    blocks: Iterable[Tensor], shape: tuple[int, ...], smooth: Tensor | None = None, limit: int = WIDE
) -> tuple[Tensor, Tensor]:
    """The same of a weight that comes by a few rows at a time.

    Large tensors that come and go would leave the process's memory full of holes.
    """
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
    """The weight alone in int8, for devices without the kernels: it is cast for each product."""

    said: ClassVar[str] = "int8 weights alone, cast for each product"
    weight: Tensor  # (out, in) int8
    scale: Tensor  # (out,)
    bias: Tensor | None

    @classmethod
    def of(cls, plain: Plain) -> Int8Weight:
        """Quantise the weight of `plain`, on its device."""
        values, scale = quantize(plain.weight)
        device, dtype = plain.weight.device, plain.weight.dtype
        return cls(values.to(device), scale.to(device, dtype), plain.bias)

    def __call__(self, x: Tensor) -> Tensor:
        """X @ weight.T + bias."""
        y = F.linear(x, self.weight.to(x.dtype)).mul_(self.scale)
        return y if self.bias is None else y.add_(self.bias)

    def gelu(self, x: Tensor) -> Tensor:
        """The product, then its GELU."""
        return gelu_(self(x))

    def add(self, other: Tensor, x: Tensor) -> Tensor:
        """In place of `other`."""
        return other.add_(self(x))
