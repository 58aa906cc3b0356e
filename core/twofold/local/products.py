"""Products of activations with a weight: torch's own, and oneDNN's with a weight that is packed once.

A product has three forms, because the operation after it can be fused: `product(x)` is x @ weight.T + bias,
`product.gelu(x)` is GELU of that, and `product.add(other, x)` is `other` plus that.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, ClassVar, Protocol

import torch
import torch.nn.functional as F  # noqa: N812 - the name that all torch code uses

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

PACKED_ROWS = 512
"""The number of rows that a weight is packed for. It works with any number."""


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
def works(dtype: torch.dtype) -> bool:
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
