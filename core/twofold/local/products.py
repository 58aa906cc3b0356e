"""Products of activations with a weight: torch's own, and oneDNN's with a weight that it has laid out once.

A product has three forms, since what follows it can be fused into it: `product(x)` is x @ weight.T + bias,
`product.gelu(x)` the GELU of that, and `product.add(other, x)` the sum of that and `other`.
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
"""Rows of activations that a weight is laid out for; it serves any number."""


def gelu_(x: Tensor) -> Tensor:
    """The exact GELU of x, in its place."""
    y: Tensor = torch.ops.aten.gelu_(x)
    return y


class Product(Protocol):
    """What a linear layer computes, without its adapters. X is (T, in), every result (T, out)."""

    @property
    def said(self) -> str:
        """The way, for people."""

    def __call__(self, x: Tensor) -> Tensor:
        """X @ weight.T + bias."""

    def gelu(self, x: Tensor) -> Tensor:
        """The exact GELU of the product."""

    def add(self, other: Tensor, x: Tensor) -> Tensor:
        """The product and `other`; both may be overwritten."""


@dataclass
class Plain:
    """`F.linear`, on every device."""

    said: ClassVar[str] = "torch's own"
    weight: Tensor  # (out, in)
    bias: Tensor | None = None

    def __call__(self, x: Tensor) -> Tensor:
        """X @ weight.T + bias."""
        return F.linear(x, self.weight, self.bias)

    def gelu(self, x: Tensor) -> Tensor:
        """The product, then its GELU."""
        return gelu_(self(x))

    def add(self, other: Tensor, x: Tensor) -> Tensor:
        """In place of `other`: the product accumulates where it is needed, in no tensor between."""
        if self.bias is not None:
            other.add_(self.bias)
        return other.addmm_(x, self.weight.T)


@dataclass
class Packed:
    """A weight laid out for oneDNN's kernels, once; `F.linear` does it again for each call. On a CPU.

    The operators are those that torch's own compiler emits. `works` says whether this torch has them and whether they
    are right on this machine.
    """

    said: ClassVar[str] = "oneDNN, weights laid out once"
    weight: Tensor  # opaque: oneDNN's blocks
    bias: Tensor | None

    @classmethod
    def of(cls, plain: Plain) -> Packed:
        """Lay out the weight of `plain`."""
        packed = torch.ops.mkldnn._reorder_linear_weight(plain.weight, PACKED_ROWS)  # noqa: SLF001 - see above
        return cls(packed, plain.bias)

    def __call__(self, x: Tensor) -> Tensor:
        """X @ weight.T + bias."""
        return self._run(x, "none")

    def gelu(self, x: Tensor) -> Tensor:
        """The product with GELU in the same kernel."""
        return self._run(x, "gelu")

    def _run(self, x: Tensor, activation: str) -> Tensor:
        run = torch.ops.mkldnn._linear_pointwise.default  # noqa: SLF001 - named, it need not be looked for at each call
        y: Tensor = run(x, self.weight, self.bias, activation, [], "none")
        return y

    def add(self, other: Tensor, x: Tensor) -> Tensor:
        """The sum in the same kernel."""
        y: Tensor = torch.ops.mkldnn._linear_pointwise.binary(x, other, self.weight, self.bias, "add")  # noqa: SLF001
        return y


@cache
def works(dtype: torch.dtype) -> bool:
    """Whether packed products can be had on this CPU, and give what `F.linear` gives; looked at once."""
    generator = torch.Generator().manual_seed(0)
    weight, bias, other = (torch.randn(size, generator=generator) for size in ((96, 64), (96,), (40, 96)))
    x = torch.randn(40, 64, generator=generator)
    plain = Plain(weight.to(dtype), bias.to(dtype))
    return agrees(
        plain, lambda: Packed.of(plain), other.to(dtype), x.to(dtype), 1e-5 if dtype == torch.float32 else 2e-2
    )


def agrees(plain: Product, make: Callable[[], Product], other: Tensor, x: Tensor, tolerance: float) -> bool:
    """Whether another product can be made here and gives in all three forms what `plain` gives, relatively."""
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
    except (AttributeError, RuntimeError):  # no such operator here, or not for this type
        return False
    return True
