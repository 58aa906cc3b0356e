"""Attention on a CPU: torch's flash kernel against plain products, by length and head width.

    python benchmarks/attention.py [--dtype bfloat16] [--lengths 16,64,256] [--widths 32,64] [--alibi] [--quick]

Each cell computes attention over `--tokens` tokens in `--heads` heads, as sequences of one length, like the engine with
a run of equal lengths. The methods are:

- `sdpa`: `F.scaled_dot_product_attention`
- `products`: a product, softmax in place, and a product
- `softmax32`: the same with softmax in float32
- `exp`: only the exponential, below a bound for each row; a column of ones beside v gives the sums to divide by
- `engine`: the code that Twofold runs

Scores are computed for as many queries at once as fit in `--scores` elements. Methods take turns, and the best of
several rounds counts.
"""

from __future__ import annotations

import argparse
import time
from functools import partial
from typing import TYPE_CHECKING, TypeAlias

import torch
import torch.nn.functional as F  # noqa: N812 - the name that all torch code uses

from twofold.local.kernels import alibi_bias, alibi_slopes, attend_batch
from twofold.local.packing import LEAST_TOKENS, Batch

if TYPE_CHECKING:
    from collections.abc import Callable

    from torch import Tensor

Way: TypeAlias = "Callable[[Tensor, Tensor, Tensor, Tensor | None], Tensor]"


def sdpa(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
    """Torch's choice of kernel; q, k, v are (B, N, S, D), bias is (1, N, rows, S)."""
    return F.scaled_dot_product_attention(q, k, v, attn_mask=bias)


def products(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None, *, float32: bool = False) -> Tensor:
    scores = torch.matmul(q * q.shape[-1] ** -0.5, k.transpose(-1, -2))
    if bias is not None:
        scores += bias
    if float32:
        return torch.matmul(scores.softmax(-1, dtype=torch.float32).to(v.dtype), v)
    torch.softmax(scores, -1, out=scores)
    return torch.matmul(scores, v)


def exponentials(q: Tensor, k: Tensor, v: Tensor, bias: Tensor | None) -> Tensor:
    """Exp below a bound: no score of a row exceeds the norm of its q times the largest norm of k (Cauchy-Schwarz).

    A row whose scores are all about 88 below its bound underflows to 0 / 0. An engine must handle that.
    """
    scaled = q * q.shape[-1] ** -0.5
    largest = torch.linalg.vector_norm(k, dim=-1, dtype=torch.float32).amax(-1)[..., None, None]
    bound = (torch.linalg.vector_norm(scaled, dim=-1, keepdim=True, dtype=torch.float32) * largest).to(q.dtype)
    start = (-bound if bias is None else bias - bound).flatten(0, 1)
    scores = torch.baddbmm(start, scaled.flatten(0, 1), k.flatten(0, 1).transpose(1, 2)).exp_()
    summed = torch.bmm(scores, F.pad(v.flatten(0, 1), (0, 1), value=1.0))
    return (summed[..., :-1] / summed[..., -1:]).view_as(q)


WAYS: dict[str, Way] = {
    "sdpa": sdpa,
    "products": products,
    "softmax32": partial(products, float32=True),
    "exp": exponentials,
}


def blocks(way: Way, qkv: tuple[Tensor, Tensor, Tensor], slopes: Tensor | None, most: int) -> Tensor:
    """Compute attention by blocks of at most `most` scores: of sequences, or of queries if one sequence has more."""
    q, k, v = qkv
    heads, length = q.shape[1:3]
    together = max(1, most // (heads * length * length))
    rows = length if together > 1 else max(1, most // (heads * length))
    done = torch.empty_like(q)
    for start in range(0, len(q), together):
        part = slice(start, start + together)
        for first in range(0, length, rows):
            queries = q[part, :, first : first + rows]
            bias = None if slopes is None else alibi_bias(slopes, first, queries, length)
            done[part, :, first : first + rows] = way(queries, k[part], v[part], bias)
    return done


def engine(q: Tensor, k: Tensor, v: Tensor, slopes: Tensor | None) -> Callable[[], Tensor]:
    """Twofold's own attention, on the packed form of q, k, v (B, N, S, D)."""
    count, heads, length, width = q.shape
    qkv = torch.stack((q, k, v)).permute(1, 3, 0, 2, 4).reshape(-1, 3, heads, width)
    batch = Batch(torch.zeros(len(qkv), dtype=torch.long), [length] * count)

    def run() -> Tensor:
        attended = attend_batch(qkv, batch, slopes, LEAST_TOKENS if q.dtype == torch.bfloat16 else None, steady=False)
        return attended.view(count, length, heads, width).transpose(1, 2)

    return run


def cell(length: int, width: int, options: argparse.Namespace) -> tuple[dict[str, float], dict[str, float]]:
    """Each method's best round in seconds, and its largest error relative to the largest value in float64."""
    count = max(1, options.tokens // length)
    dtype = getattr(torch, options.dtype)
    q, k, v = torch.randn(3, count, options.heads, length, width, dtype=dtype)
    slopes = alibi_slopes(options.heads) if options.alibi else None
    runs: dict[str, Callable[[], Tensor]] = {
        name: partial(blocks, way, (q, k, v), slopes, options.scores) for name, way in WAYS.items()
    }
    runs["engine"] = engine(q, k, v, slopes)
    exact = blocks(sdpa, (q[:1].double(), k[:1].double(), v[:1].double()), slopes, options.scores)
    seconds, errors = dict.fromkeys(runs, float("inf")), {}
    for name, run in runs.items():
        errors[name] = ((run()[:1].double() - exact).abs().max() / exact.abs().max()).item()
    for _ in range(options.rounds):
        for name, run in runs.items():
            start = time.perf_counter()
            run()
            seconds[name] = min(seconds[name], time.perf_counter() - start)
    return seconds, errors


def numbers(text: str) -> list[int]:
    """A list such as 16,64,256."""
    return [int(part) for part in text.split(",")]


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").splitlines()[0])
    parser.add_argument("--dtype", choices=["float32", "bfloat16"], default="bfloat16")
    parser.add_argument("--lengths", type=numbers, default=[8, 16, 32, 64, 128, 256, 512, 1024, 2048, 4096, 8192])
    parser.add_argument("--widths", type=numbers, default=[32, 64], help="of a head")
    parser.add_argument("--heads", type=int, default=12)
    parser.add_argument("--tokens", type=int, default=1536, help="tokens per call; a longer sequence has its own call")
    parser.add_argument("--scores", type=int, default=2**22, help="elements of scores in memory at once")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--alibi", action="store_true", help="with JinaBERT v2's biases")
    parser.add_argument("--quick", action="store_true", help="few lengths and rounds")
    options = parser.parse_args()
    if options.quick:
        options.lengths, options.rounds = [16, 128, 1024], 3
    print(f"{options.dtype}, {options.heads} heads, {options.tokens} tokens a call, {torch.get_num_threads()} threads")
    names = [*WAYS, "engine"]
    print(f"{'width':>5}{'length':>8}" + "".join(f"{name:>12}" for name in names) + "   speed over sdpa; error of exp")
    with torch.inference_mode():
        for width in options.widths:
            for length in options.lengths:
                seconds, errors = cell(length, width, options)
                over = "".join(f"{seconds['sdpa'] / seconds[name]:>10.2f} x" for name in names)
                fastest = min(WAYS, key=lambda name: seconds[name])
                us = seconds["sdpa"] * 1e6
                print(f"{width:>5}{length:>8}{over}   {fastest}, sdpa {us:,.0f} us; {errors['exp']:.1e}", flush=True)


if __name__ == "__main__":
    main()
