"""Measures the machine's limit and a profile of Twofold, in its worker."""

from __future__ import annotations

import re
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from peers.engines import Engine

SHAPES = ((1536, 1024, 4096), (1536, 4096, 1024), (1536, 384, 1536), (1536, 1536, 384))
"""Rows, inputs and outputs of the products that determine the peak: from MLPs of v3's and MiniLM's width."""

KINDS = {"attention": r"bmm|softmax|attention|::exp_?$", "products": r"linear|addmm|::mm$|_int_mm"}
"""Parts of operator names -> their kind. All other operators are glue."""


def peak(dtype: str, seconds: float = 0.25) -> dict[str, float]:
    """GFLOP/s of products with a weight packed once by oneDNN (`packed`), and of `F.linear` (`linear`).

    If torch lacks the packed operators, both are `F.linear`'s. int8 has only packed products.
    """
    import torch

    best = {"packed": 0.0, "linear": 0.0}
    with torch.inference_mode():
        for rows, inputs, outputs in SHAPES:
            for name, product in _products(dtype, rows, inputs, outputs).items():
                rate = 2 * rows * inputs * outputs / _fastest(product, seconds / len(SHAPES)) / 1e9
                best[name] = max(best[name], rate)
    return best if best["packed"] else {**best, "packed": best["linear"]}


def _products(dtype: str, rows: int, inputs: int, outputs: int) -> dict[str, Callable[[], object]]:
    import torch

    operators = torch.ops.mkldnn
    if dtype == "int8":
        return _int8_product(rows, inputs, outputs) if hasattr(torch.ops.onednn, "qlinear_pointwise") else {}
    kind = getattr(torch, dtype)
    x, weight, bias = (torch.randn(*shape, dtype=kind) for shape in ((rows, inputs), (outputs, inputs), (outputs,)))
    plain: dict[str, Callable[[], object]] = {"linear": lambda: torch.nn.functional.linear(x, weight, bias)}
    if not hasattr(operators, "_linear_pointwise"):
        return plain
    packed = operators._reorder_linear_weight(weight, rows)  # noqa: SLF001 - torch's compiler emits the same
    run = operators._linear_pointwise  # noqa: SLF001
    return {**plain, "packed": lambda: run(x, packed, bias, "none", [], "none")}


def _int8_product(rows: int, inputs: int, outputs: int) -> dict[str, Callable[[], object]]:
    import torch

    from twofold.local.device import cpu_has_bfloat16

    operators = torch.ops.onednn
    x = torch.randint(0, 255, (rows, inputs), dtype=torch.uint8)
    packed = operators.qlinear_prepack(torch.randint(-127, 127, (outputs, inputs), dtype=torch.int8), None)
    scales, zeros = torch.full((outputs,), 0.01), torch.zeros(outputs, dtype=torch.int32)
    # without bfloat16 products, oneDNN has no fast kernel with bfloat16 output
    given = torch.bfloat16 if cpu_has_bfloat16() else torch.float32
    rest: tuple[Any, ...] = (None, 1.0, 0, given, "none", [], "none")
    return {"packed": lambda: operators.qlinear_pointwise(x, 0.02, 128, packed, scales, zeros, *rest)}


def _fastest(run: Callable[[], object], seconds: float) -> float:
    """The shortest of the runs that fit in `seconds`, at least three."""
    best, end, done = float("inf"), time.perf_counter() + seconds, 0
    while done < 3 or time.perf_counter() < end:
        start = time.perf_counter()
        run()
        best = min(best, time.perf_counter() - start)
        done += 1
    return best


def profile(engine: Engine, texts: Sequence[str]) -> dict[str, Any]:
    """Seconds of one pass in products, attention and glue, from torch's profiler, and the most expensive operators."""
    from torch.profiler import ProfilerActivity
    from torch.profiler import profile as profiler

    with profiler(activities=[ProfilerActivity.CPU]) as seen:
        engine.encode(texts, None)
    operators = {one.key: one.self_cpu_time_total / 1e6 for one in seen.key_averages()}
    kinds = dict.fromkeys(("products", "attention", "glue"), 0.0)
    for name, value in operators.items():
        kinds[kind_of(name)] += value
    largest = sorted(operators.items(), key=lambda item: -item[1])[:8]
    return {"kinds": kinds, "largest": dict(largest)}


def kind_of(operator: str) -> str:
    """The kind of an operator, from its name: products, attention or glue."""
    return next((kind for kind, marks in KINDS.items() if re.search(marks, operator)), "glue")
