"""FBGEMM's products of few rows with weights in int8, for processors without VNNI.

There oneDNN lays a weight out again at each call, which takes longer than a query's whole product; FBGEMM does it once,
and holds the weight a second time. torch means to drop the kind of tensor that FBGEMM's operator wants the weight in
(pytorch/pytorch#184982): where that is gone, `works` says so, and oneDNN takes all rows.
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
"""Rows up to which FBGEMM is the faster one. Found by trying sizes on a CPU with AVX2."""


@dataclass
class FewRows:
    """A weight (out, in) as FBGEMM has laid it out, with its scales; a bias added after it gives what oneDNN gives."""

    packed: Any
    held: Tensor  # on no device: as large as what FBGEMM holds, which is no tensor

    @classmethod
    def of(cls, values: Tensor, scale: Tensor) -> FewRows:
        """Lay out values (out, in) int8, with a scale for each row."""
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", "torch.quantize_per_tensor", UserWarning)
            make = torch._make_per_channel_quantized_tensor  # noqa: SLF001 - the public ones quantise by themselves
            weight = make(values, scale.double(), torch.zeros(len(scale), dtype=torch.int64), 0)
        return cls(torch.ops.quantized.linear_prepack(weight, None), torch.empty_like(values, device="meta"))

    def __call__(self, x: Tensor, zero: int) -> Tensor:
        """(u8 - zero) @ weight.T, float32, where u8 is x (T, in), whole numbers, plus `zero`, and clipped."""
        run = torch.ops.quantized.linear_with_input_q_dq_qweight_dq_output_fp32.default
        y: Tensor = run(x, 1.0, zero, self.packed)
        return y


@cache
def works() -> bool:
    """Whether this torch has the operators, and they are right on this machine; looked at once."""
    generator = torch.Generator().manual_seed(0)
    values = torch.randint(-64, 65, (48, 64), generator=generator).to(torch.int8)
    x = torch.randint(-128, 128, (20, 64), generator=generator).float()
    values[0], x[0] = 64, 127  # the largest sums
    scale = torch.rand(48, generator=generator)
    try:
        got = FewRows.of(values, scale)(x, 128)
    except (AttributeError, RuntimeError):  # no such operator here
        return False
    return torch.allclose(got, x @ (values * scale[:, None]).T, rtol=1e-5, atol=1e-2)
