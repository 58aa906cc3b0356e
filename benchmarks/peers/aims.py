"""The aims and the results. The aims are for a CPU with bfloat16 and VNNI instructions."""

from __future__ import annotations

from dataclasses import dataclass
from math import inf, isfinite
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from peers.measuring import Measured

TORCH = "torch"


@dataclass(frozen=True)
class Aim:
    """A figure, its aim (a minimum, or with `most` a maximum), and the result, which is None if not measured."""

    what: str
    limit: float
    reached: float | None
    most: bool = False
    digits: int = 2

    @property
    def verdict(self) -> str:
        if self.reached is None or not isfinite(self.reached):
            return "not measured"
        return "met" if (self.reached <= self.limit if self.most else self.reached >= self.limit) else "missed"

    def __str__(self) -> str:
        sign = "<=" if self.most else ">="
        reached = "-" if self.verdict == "not measured" else f"{self.reached:.{self.digits}f}"
        return f"{self.what:66} {sign} {self.limit:.{self.digits}f}  {reached:>8}  {self.verdict}"


def aims(minilm: Measured, v3: Measured | None) -> list[Aim]:
    """All aims that this benchmark measures. `loading.py` measures memory."""
    float32, bfloat16, int8 = (f"twofold {dtype}" for dtype in ("float32", "bfloat16", "int8"))
    listed = [
        Aim("float32: speed over OpenVINO float32", 1.1, faster(minilm, float32, "openvino float32")),
        Aim(f"float32: speed over {TORCH} float32", 2.0, faster(minilm, float32, "torch float32")),
        Aim("bfloat16: speed over OpenVINO bfloat16", 1.25, faster(minilm, bfloat16, "openvino bfloat16")),
        Aim(f"bfloat16: speed over {TORCH}", 1.6, ratio(minilm.best("torch", "many"), seconds(minilm, bfloat16))),
        Aim("bfloat16: lowest cosine to float32", 0.999, worth(minilm, bfloat16)[0], digits=4),
        Aim("int8: speed over OpenVINO int8", 1.2, faster(minilm, int8, "openvino int8")),
    ]
    for name, ours, theirs in zip(
        ("lowest cosine", "nDCG@10"), worth(minilm, int8), worth(minilm, "openvino int8"), strict=True
    ):
        listed.append(
            Aim(f"int8: {name}, OpenVINO int8's as the limit", theirs or inf, ours if theirs else None, digits=4)
        )
    if v3 is not None:
        listed.append(Aim("int8, v3's shape: speed over our bfloat16", 1.35, faster(v3, int8, bfloat16)))
    for stage in filter(None, (minilm, v3)):
        name = stage.stage.name
        for family, limit in ((TORCH, 1 / 3), ("openvino", 0.7)):
            reached = ratio(stage.best("twofold", "query"), stage.best(family.split()[0], "query"))
            listed.append(Aim(f"one query, {name}: our best time over that of {family}", limit, reached, most=True))
        products, whole = shares(stage, "bfloat16")
        listed.append(Aim(f"bfloat16, {name}: products' share of the packed peak", 0.9, products))
        listed.append(Aim(f"bfloat16, {name}: the whole's share of the packed peak", 0.65, whole))
    return listed


def ratio(one: float, other: float) -> float | None:
    """The ratio, or None if a value was not measured."""
    return one / other if isfinite(one) and isfinite(other) else None


def seconds(measured: Measured, name: str) -> float:
    """An engine's time for all texts, or infinity if it did not run."""
    row = measured.row(name)
    return inf if row is None else row.many


def faster(measured: Measured, ours: str, theirs: str) -> float | None:
    """The speed of one engine relative to another, over all texts."""
    return ratio(seconds(measured, theirs), seconds(measured, ours))


def worth(measured: Measured, name: str) -> tuple[float | None, float | None]:
    """An engine's lowest cosine and its nDCG."""
    row = measured.row(name)
    if row is None:
        return None, None
    return row.near and row.near.lowest, row.ranks and row.ranks.ndcg


def shares(measured: Measured, dtype: str) -> tuple[float | None, float | None]:
    """The shares of the packed peak that our products (from the profile) and the whole engine reach."""
    row, peak, profile = measured.row(f"twofold {dtype}"), measured.peaks.get(dtype), measured.profiles.get(dtype)
    if row is None or peak is None or profile is None:
        return None, None
    shape, lengths, limit = measured.stage.shape, measured.stage.texts.lengths, peak["packed"] * 1e9
    products = shape.product_flops * sum(lengths) / profile["kinds"]["products"]
    return products / limit, shape.flops(lengths) / row.many / limit
