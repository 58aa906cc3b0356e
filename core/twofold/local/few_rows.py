"""FBGEMM's int8 products for few rows, on processors without VNNI.

On such processors oneDNN converts a weight to its own layout at each call, which takes longer than the product of a
query. FBGEMM converts it once, but needs a second copy of the weight. torch plans to remove the tensor type that
FBGEMM's operator takes (pytorch/pytorch#184982). Without it, `works` returns False and oneDNN computes all products.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING, Any

import torch

if TYPE_CHECKING:
    from torch import Tensor

FEW = 128
"""The most rows for which FBGEMM is faster. Found by trying sizes on a CPU with AVX2."""


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
def works() -> bool:
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
