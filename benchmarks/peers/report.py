"""Prints the results as tables, and writes them as JSON."""

from __future__ import annotations

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from peers.aims import shares

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from peers.aims import Aim
    from peers.measuring import Measured, Row

HEAD = ("engine", "tokens/s", "ours is", "batch", "query ms", "lowest cos", "mean cos", "nDCG@10", "recall", "first s")
WIDTHS = (30, 9, 9, 6, 9, 11, 9, 8, 7, 8)


def table(measured: Measured) -> Iterator[str]:
    """A stage with one line per engine. "ours is" is the speed of Twofold in the same dtype, relative to the engine."""
    stage = measured.stage
    yield f"\n{stage.name}: {len(stage.texts.many)} texts, {measured.tokens:,} tokens; best of {stage.rounds} rounds"
    yield line(HEAD)
    for row in measured.rows:
        if row.failure:
            yield f"{row.name:{WIDTHS[0]}} did not run: {row.failure}"
            continue
        ours = measured.row(f"twofold {row.dtype}")
        cells = [
            row.name,
            f"{measured.tokens / row.many:,.0f}",
            "" if ours is None or ours is row else f"{row.many / ours.many:.2f} x",
            str(row.batch or ""),
            f"{row.query * 1000:.2f}",
            *((f"{row.near.lowest:.4f}", f"{row.near.mean:.4f}") if row.near else ("", "")),
            *((f"{row.ranks.ndcg:.4f}", f"{row.ranks.recall:.3f}") if row.ranks else ("", "")),
            f"{row.first:.1f}",
        ]
        yield line(cells) + (f"  ({row.note})" if row.note else "")


def line(cells: Sequence[str]) -> str:
    """A line with the first cell left-aligned and the others right-aligned."""
    first, *rest = (
        f"{cell:<{width}}" if n == 0 else f"{cell:>{width}}"
        for n, (cell, width) in enumerate(zip(cells, WIDTHS, strict=True))
    )
    return "".join([first, *rest]).rstrip()


def limits(measured: Measured) -> Iterator[str]:
    """The machine's limit, the share of it that is reached, and the profile."""
    for dtype, peak in measured.peaks.items():
        plain = f", F.linear {peak['linear']:,.0f}" if peak["linear"] else ""
        yield f"{measured.stage.name} in {dtype}: the peak of packed products is {peak['packed']:,.0f} GFLOP/s{plain}"
        products, whole = shares(measured, dtype)
        if products is None or whole is None:
            continue
        profile = measured.profiles[dtype]
        total = sum(profile["kinds"].values())
        parts = ", ".join(f"{name} {value / total:.0%}" for name, value in profile["kinds"].items())
        largest = ", ".join(f"{name} {value / total:.0%}" for name, value in list(profile["largest"].items())[:5])
        yield f"  products reach {products:.0%} of it, the whole {whole:.0%}; time: {parts} ({largest})"


def verdicts(aims: Sequence[Aim]) -> Iterator[str]:
    """Each aim with its result."""
    yield "\naims, for a CPU with avx512_bf16 and VNNI; every peer is its best batch, behind sentence-transformers"
    yield from map(str, aims)


def as_json(stages: Sequence[Measured], aims: Sequence[Aim], about: dict[str, Any]) -> dict[str, Any]:
    """All measurements and the versions of the software."""
    return {
        "about": about,
        "stages": [
            {
                "name": one.stage.name,
                "texts": len(one.stage.texts.many),
                "tokens": one.tokens,
                "rounds": one.stage.rounds,
                "engines": [plain(row) for row in one.rows],
                "peaks": one.peaks,
                "profiles": one.profiles,
            }
            for one in stages
        ],
        "aims": [{**asdict(aim), "verdict": aim.verdict} for aim in aims],
    }


def plain(row: Row) -> dict[str, Any]:
    """A row without the values that were not measured, since JSON cannot represent infinity."""
    return {name: value for name, value in asdict(row).items() if value not in (None, "", float("inf"), {})}
