"""int8: weights quantised with one scale per row, and the products that multiply with them.

On a CPU, oneDNN multiplies u8 activations by s8 weights. The inputs of attention and MLP are scaled by one factor per
channel, which is calibrated once on built-in texts: the output of a layer norm has the same range for every text after
its few large channels are smoothed into the weight (arXiv 2211.10438). The output of GELU does not, so it is scaled per
token by the token's largest value. In both cases a token's result is independent of the rest of the batch.

On processors without VNNI, oneDNN converts a weight to its own layout at each call, which takes longer than the product
of a query. There FBGEMM computes products of few rows. It converts a weight once, but needs a second copy of it. torch
plans to remove the tensor type that FBGEMM's operator takes (pytorch/pytorch#184982). Without it, `few_rows_work`
returns False and oneDNN computes all products.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any, ClassVar

import torch
import torch.nn.functional as F  # noqa: N812 - the name that all torch code uses

from twofold.local.kernels import Plain, agrees, gelu_

if TYPE_CHECKING:
    from collections.abc import Iterable

    from torch import Tensor

BLOCK = 2**15
"""The number of elements of a weight that are quantised at once."""
WIDE = 127
"""The largest quantised weight."""
MAGIC = 1.5 * 2**23
"""Adding it to a float32 leaves the nearest integer in the lowest bits, so that casting the bits rounds."""
LEVELS = 255
NARROW = 64
"""The largest weight without VNNI or AMX, which add two products in 16 bits: 2 x 255 x 64 still fits."""
SMOOTHING = 0.5
"""How much of a channel's size moves from the activations into the weight: alpha in the paper."""
SAID = {
    WIDE: "oneDNN, u8 by s8, calibrated at load",
    NARROW: "oneDNN, u8 by weights in 7 bits (no VNNI here), calibrated at load",
}
GELU_LOW = 0.17
"""The lowest value of GELU is -0.16997."""
GELU_ZERO, MIDDLE = 16, 128
"""The u8 that represents 0: after GELU, whose negative values are small, and for inputs of both signs."""
FEW = 128
"""The most rows for which FBGEMM is faster. Found by trying sizes on a CPU with AVX2."""


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


@dataclass
class FewRows:
    """A weight (out, in) and its scales in FBGEMM's layout. With the bias added, it gives exactly oneDNN's result."""

    packed: Any
    held: Tensor  # a meta tensor that stands for the size of `packed`, which is not a tensor

    @classmethod
    def of(cls, values: Tensor, scale: Tensor) -> FewRows:
        """Convert int8 values (out, in) with one scale per row."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "torch.quantize_per_tensor", UserWarning)
            make = torch._make_per_channel_quantized_tensor  # noqa: SLF001 - the public functions quantise again
            weight = make(values, scale.double(), torch.zeros(len(scale), dtype=torch.int64), 0)
        return cls(torch.ops.quantized.linear_prepack(weight, None), torch.empty_like(values, device="meta"))

    def __call__(self, x: Tensor, zero: int) -> Tensor:
        """(u8 - zero) @ weight.T in float32. x (T, in) has whole numbers, and u8 is x + zero, clipped to 8 bits."""
        run = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32.default
        y: Tensor = run(x, 1.0, zero, self.packed)
        return y


@cache
def few_rows_work() -> bool:
    """Whether this torch has the operators and they compute correctly on this machine. Checked once."""
    generator = torch.Generator().manual_seed(0)
    values = torch.randint(-64, 65, (48, 64), generator=generator).to(torch.int8)
    x = torch.randint(-128, 128, (20, 64), generator=generator).float()
    values[0], x[0] = 64, 127  # the largest sums
    scale = torch.rand(48, generator=generator)
    try:
        got = FewRows.of(values, scale)(x, 128)
    except (AttributeError, RuntimeError):  # this torch lacks the operator
        return False
    return torch.allclose(got, x @ (values * scale[:, None]).T, rtol=1e-5, atol=1e-2)


@dataclass
class Range:
    """The smallest and the largest input of a product, per channel."""

    low: Tensor  # (in,)
    high: Tensor

    @classmethod
    def empty(cls, channels: int) -> Range:
        return cls(torch.full((channels,), torch.inf), torch.full((channels,), -torch.inf))

    def take(self, x: Tensor) -> None:
        """Widen it by x (T, in)."""
        self.low = torch.minimum(self.low, x.amin(0).float())
        self.high = torch.maximum(self.high, x.amax(0).float())


@dataclass
class _Weight:
    """An s8 weight packed for oneDNN, and also for FBGEMM if oneDNN is slow for few rows.

    Its input is a whole number of steps; adding `zero` makes it u8.
    """

    packed: Tensor
    scale: Tensor  # (out,)
    zeros: Tensor  # (out,) int32, all 0, because the weight is symmetric
    bias: Tensor | None
    step: float
    zero: int
    shift: Tensor  # () MAGIC + zero
    said: str
    few: FewRows | None

    @classmethod
    def of(cls, plain: Plain, limit: int, zero: int, step: float = 1.0, smooth: Tensor | None = None) -> _Weight:
        values, scale = quantize(plain.weight, smooth, limit)
        bias = None if plain.bias is None else plain.bias.float()
        few = FewRows.of(values, scale * step) if limit == NARROW and few_rows_work() else None
        zeros, packed = torch.zeros(len(scale), dtype=torch.int32), torch.ops.onednn.qlinear_prepack(values, None)
        return cls(packed, scale, zeros, bias, step, zero, torch.tensor(MAGIC + zero), SAID[limit], few)

    def product(self, x: Tensor, dtype: torch.dtype, activation: str = "none") -> Tensor:
        """Returns step * (x - zero) @ weight.T + bias for x (T, in) uint8, with the activation in the same kernel."""
        y: Tensor = torch.ops.onednn.qlinear_pointwise.default(
            *(x, self.step, self.zero, self.packed, self.scale, self.zeros, self.bias),
            *(1.0, 0, dtype, activation, [], "none"),
        )
        return y

    def sum(self, other: Tensor, x: Tensor) -> Tensor:
        """`other` plus the product, float32."""
        y: Tensor = torch.ops.onednn.qlinear_pointwise.binary(
            *(x, self.step, self.zero, self.packed, self.scale, self.zeros, other, self.bias),
            *(1.0, 0, torch.float32, 1.0, 0, "sum", 1.0, "none", [], ""),
        )
        return y

    def of_few(self, x: Tensor, factors: Tensor) -> Tensor | None:
        """The product for x * factors (T, in), in float32, or None if oneDNN is faster.

        Steps are rounded exactly as for oneDNN, so that both libraries return identical results.
        """
        if self.few is None or len(x) > FEW:
            return None
        y = self.few(torch.addcmul(self.shift, x, factors).sub_(self.shift), self.zero)
        return y if self.bias is None else y.add_(self.bias)


def _u8(shifted: Tensor) -> Tensor:
    """Integers from 0 to 255 plus MAGIC, as uint8."""
    return shifted.view(torch.int32).to(torch.int8).view(torch.uint8)


@dataclass
class Calibrated:
    """A product whose input range is calibrated. The scale of each channel is folded into the weight."""

    weight: _Weight
    factors: Tensor  # (in,) steps of each channel
    dtype: torch.dtype  # of `product(x)`; the other forms give float32

    @property
    def said(self) -> str:
        return self.weight.said

    @classmethod
    def of(cls, plain: Plain, seen: Range, dtype: torch.dtype, limit: int = WIDE) -> Calibrated:
        """Smooth, quantise and pack the weight of `plain` for inputs in the range `seen`. Others are clipped."""
        size = torch.maximum(seen.low.abs(), seen.high.abs()).clamp_min(1e-5)
        columns = torch.maximum(plain.weight.amax(0), -plain.weight.amin(0)).float().clamp_min(1e-5)
        smooth = size**SMOOTHING / columns ** (1 - SMOOTHING)
        low, high = (seen.low / smooth).amin().clamp_max(0), (seen.high / smooth).amax().clamp_min(0)
        step = float(high - low) / LEVELS or 1.0
        weight = _Weight.of(plain, limit, round(-float(low) / step), step, smooth)
        return cls(weight, 1 / (smooth * step), dtype)

    def _quantized(self, x: Tensor) -> Tensor:
        return _u8(torch.addcmul(self.weight.shift, x.float(), self.factors).clamp_(MAGIC, MAGIC + LEVELS))

    def __call__(self, x: Tensor) -> Tensor:
        if (few := self.weight.of_few(x, self.factors)) is not None:
            return few.to(self.dtype)
        return self.weight.product(self._quantized(x), self.dtype)

    def gelu(self, x: Tensor) -> Tensor:
        if (few := self.weight.of_few(x, self.factors)) is not None:
            return gelu_(few)
        return self.weight.product(self._quantized(x), torch.float32, "gelu")

    def add(self, other: Tensor, x: Tensor) -> Tensor:
        if (few := self.weight.of_few(x, self.factors)) is not None:
            return other.add_(few)
        return self.weight.sum(other, self._quantized(x))


@dataclass
class Rowwise:
    """A product whose input is scaled per row by the row's largest value."""

    weight: _Weight
    bias: Tensor | None
    gated: bool  # whether GELU was multiplied by another factor, so that both signs can be large

    @property
    def said(self) -> str:
        return self.weight.said

    @classmethod
    def of(cls, plain: Plain, limit: int = WIDE, *, gated: bool) -> Rowwise:
        """Quantise and pack the weight of `plain`. The bias is added after scaling back."""
        bias = None if plain.bias is None else plain.bias.float()
        return cls(_Weight.of(Plain(plain.weight), limit, MIDDLE if gated else GELU_ZERO), bias, gated)

    def __call__(self, x: Tensor) -> Tensor:
        return self.add(x.new_zeros(()), x)

    def gelu(self, x: Tensor) -> Tensor:
        return gelu_(self(x))

    def add(self, other: Tensor, x: Tensor) -> Tensor:
        zero = self.weight.zero
        scale = x.amax(1, keepdim=True).mul_(1 / (LEVELS - zero))
        if self.gated:
            scale = torch.maximum(scale, x.amin(1, keepdim=True).mul_(-1 / zero)).clamp_min_(1e-12)
        else:
            scale.clamp_min_(GELU_LOW / zero)
        factors = scale.reciprocal()
        y = self.weight.of_few(x, factors)
        if y is None:
            y = self.weight.product(_u8(torch.addcmul(self.weight.shift, x, factors)), torch.float32)
        total = torch.addcmul(other, y, scale)
        return total if self.bias is None else total.add_(self.bias)


@cache
def largest() -> int | None:
    """The largest weight that oneDNN multiplies by u8 exactly on this machine, or None. Checked once."""
    return next((limit for limit in (WIDE, NARROW) if _exact(limit)), None)


def _exact(limit: int) -> bool:
    generator = torch.Generator().manual_seed(0)
    values = torch.randint(0, 2, (48, 64), generator=generator).mul(2).sub(1).float()  # quantised to the limit
    plain = Plain(values, torch.ones(48))
    x = torch.full((FEW + 20, 64), 2.0)  # too many rows for FBGEMM, so that oneDNN is checked
    x[::2, ::2] = 0
    seen = Range(torch.zeros(64), torch.full((64,), 2.0))
    other = torch.ones(len(x), 48)
    return agrees(plain, lambda: Calibrated.of(plain, seen, torch.float32, limit), other, x, 0.02) and agrees(
        plain, lambda: Rowwise.of(plain, limit, gated=False), other, x, 0.02
    )
