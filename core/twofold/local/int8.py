"""int8: weights in s8 with a scale for each output, and on a CPU activations in u8, through oneDNN's kernels.

What enters the attention and the MLP is scaled by a factor for each channel, found once on built-in texts: the output
of a layer norm has the same range for every text, once its few large channels are smoothed into the weight (arXiv
2211.10438). What GELU gives has not, so it is scaled for each token by the token's own largest value. Either way a
token's numbers depend on nothing else in the batch.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, ClassVar

import torch
import torch.nn.functional as F  # noqa: N812 - the name that all torch code uses

from twofold.local.products import Plain, agrees, gelu_

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

BLOCK = 2**15
"""Elements of a weight that are quantised at once."""
MAGIC = 1.5 * 2**23
"""Added to a float32 it leaves the nearest whole number in the lowest bits: a cast of the bits then rounds."""
LEVELS = 255
WIDE, NARROW = 127, 64
"""The largest weight. Processors without VNNI or AMX add two products up in 16 bits, where 2 x 255 x 64 just fits."""
SMOOTHING = 0.5
"""How much of a channel's size goes from the activations into the weight: the paper's alpha."""
SAID = {
    WIDE: "oneDNN, u8 by s8, calibrated at load",
    NARROW: "oneDNN, u8 by weights in 7 bits (no VNNI here), calibrated at load",
}
GELU_LOW = 0.17
"""GELU's lowest value is -0.16997."""
GELU_ZERO, MIDDLE = 16, 128
"""The u8 that stands for 0: behind GELU, whose negative values are small, and where both signs are alike."""


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


@dataclass
class Range:
    """The least and the greatest value of each channel that a product was given."""

    low: Tensor  # (in,)
    high: Tensor

    @classmethod
    def empty(cls, channels: int) -> Range:
        """Of nothing yet."""
        return cls(torch.full((channels,), torch.inf), torch.full((channels,), -torch.inf))

    def take(self, x: Tensor) -> None:
        """Widen it by x (T, in)."""
        self.low = torch.minimum(self.low, x.amin(0).float())
        self.high = torch.maximum(self.high, x.amax(0).float())


@dataclass
class _Weight:
    """A prepacked s8 weight with its scales."""

    packed: Tensor
    scale: Tensor  # (out,)
    zeros: Tensor  # (out,) int32: the weight is symmetric
    bias: Tensor | None
    said: str

    @classmethod
    def of(cls, plain: Plain, limit: int, smooth: Tensor | None = None) -> _Weight:
        values, scale = quantize(plain.weight, smooth, limit)
        bias = None if plain.bias is None else plain.bias.float()
        packed = torch.ops.onednn.qlinear_prepack(values, None)
        return cls(packed, scale, torch.zeros(len(scale), dtype=torch.int32), bias, SAID[limit])

    def product(self, x: Tensor, scale: float, zero: int, dtype: torch.dtype, activation: str = "none") -> Tensor:
        """Scale x (x - zero) @ weight.T + bias, x (T, in) uint8, its activation in the same kernel."""
        y: Tensor = torch.ops.onednn.qlinear_pointwise.default(
            x, scale, zero, self.packed, self.scale, self.zeros, self.bias, 1.0, 0, dtype, activation, [], "none"
        )
        return y

    def sum(self, other: Tensor, x: Tensor, scale: float, zero: int) -> Tensor:
        """The same and `other`, float32."""
        y: Tensor = torch.ops.onednn.qlinear_pointwise.binary(
            *(x, scale, zero, self.packed, self.scale, self.zeros, other, self.bias),
            *(1.0, 0, torch.float32, 1.0, 0, "sum", 1.0, "none", [], ""),
        )
        return y


def _u8(shifted: Tensor) -> Tensor:
    """Whole numbers from 0 to 255 that MAGIC was added to, as uint8."""
    return shifted.view(torch.int32).to(torch.int8).view(torch.uint8)


@dataclass
class Calibrated:
    """A product whose input has a range that is known: one scale for each channel, folded into the weight."""

    weight: _Weight
    factors: Tensor  # (in,) what each channel is multiplied by
    shift: Tensor  # () the zero point, and MAGIC
    scale: float
    zero: int
    dtype: torch.dtype  # of `product(x)`; the other forms give float32

    @property
    def said(self) -> str:
        """The way, for people."""
        return self.weight.said

    @classmethod
    def of(cls, plain: Plain, seen: Range, dtype: torch.dtype, limit: int = WIDE) -> Calibrated:
        """Smooth, quantise and lay out the weight of `plain` for inputs within what was `seen`."""
        size = torch.maximum(seen.low.abs(), seen.high.abs()).clamp_min(1e-5)
        columns = torch.maximum(plain.weight.amax(0), -plain.weight.amin(0)).float().clamp_min(1e-5)
        smooth = size**SMOOTHING / columns ** (1 - SMOOTHING)
        low, high = (seen.low / smooth).amin().clamp_max(0), (seen.high / smooth).amax().clamp_min(0)
        scale = float(high - low) / LEVELS or 1.0
        zero = round(-float(low) / scale)
        shift = torch.tensor(MAGIC + zero)
        return cls(_Weight.of(plain, limit, smooth), 1 / (smooth * scale), shift, scale, zero, dtype)

    def _quantized(self, x: Tensor) -> Tensor:
        return _u8(torch.addcmul(self.shift, x.float(), self.factors).clamp_(MAGIC, MAGIC + LEVELS))

    def __call__(self, x: Tensor) -> Tensor:
        """X @ weight.T + bias."""
        return self.weight.product(self._quantized(x), self.scale, self.zero, self.dtype)

    def gelu(self, x: Tensor) -> Tensor:
        """The product with GELU in the same kernel."""
        return self.weight.product(self._quantized(x), self.scale, self.zero, torch.float32, "gelu")

    def add(self, other: Tensor, x: Tensor) -> Tensor:
        """The sum in the same kernel."""
        return self.weight.sum(other, self._quantized(x), self.scale, self.zero)


@dataclass
class Rowwise:
    """A product whose input is scaled for each row by what the row holds."""

    weight: _Weight
    bias: Tensor | None
    shift: Tensor  # () the zero point, and MAGIC
    zero: int
    gated: bool  # whether the rows are products of GELU with another factor, so that both signs are large

    @property
    def said(self) -> str:
        """The way, for people."""
        return self.weight.said

    @classmethod
    def of(cls, plain: Plain, limit: int = WIDE, *, gated: bool) -> Rowwise:
        """Quantise and lay out the weight of `plain`; the bias is added when the rows have their size again."""
        bias = None if plain.bias is None else plain.bias.float()
        zero = MIDDLE if gated else GELU_ZERO
        return cls(_Weight.of(Plain(plain.weight), limit), bias, torch.tensor(MAGIC + zero), zero, gated)

    def __call__(self, x: Tensor) -> Tensor:
        """X @ weight.T + bias."""
        return self.add(x.new_zeros(()), x)

    def gelu(self, x: Tensor) -> Tensor:
        """The product, then its GELU."""
        return gelu_(self(x))

    def add(self, other: Tensor, x: Tensor) -> Tensor:
        """The product and `other`."""
        scale = x.amax(1, keepdim=True).mul_(1 / (LEVELS - self.zero))
        if self.gated:
            scale = torch.maximum(scale, x.amin(1, keepdim=True).mul_(-1 / self.zero)).clamp_min_(1e-12)
        else:
            scale.clamp_min_(GELU_LOW / self.zero)
        rows = _u8(torch.addcmul(self.shift, x, scale.reciprocal()))
        total = torch.addcmul(other, self.weight.product(rows, 1.0, self.zero, torch.float32), scale)
        return total if self.bias is None else total.add_(self.bias)


@cache
def largest() -> int | None:
    """The largest weight that oneDNN multiplies exactly by u8 here, None where it cannot; looked at once."""
    return next((limit for limit in (WIDE, NARROW) if _exact(limit)), None)


def _exact(limit: int) -> bool:
    generator = torch.Generator().manual_seed(0)
    values = torch.randint(0, 2, (48, 64), generator=generator).mul(2).sub(1).float()  # -1 and 1: the largest weights
    plain = Plain(values, torch.ones(48))
    x = torch.full((20, 64), 2.0)
    x[::2, ::2] = 0
    seen = Range(torch.zeros(64), torch.full((64,), 2.0))
    other = torch.ones(20, 48)
    return agrees(plain, lambda: Calibrated.of(plain, seen, torch.float32, limit), other, x, 0.02) and agrees(
        plain, lambda: Rowwise.of(plain, limit, gated=False), other, x, 0.02
    )
