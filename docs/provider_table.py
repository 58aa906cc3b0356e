"""Write the table of `hosted.md` from the table of providers: `python docs/provider_table.py`."""

from __future__ import annotations

from math import inf
from pathlib import Path
from typing import TYPE_CHECKING

from twofold.hosted.prices import PRICES
from twofold.hosted.providers import PROVIDERS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from twofold.hosted.provider import Provider

PAGE = Path(__file__).parent / "hosted.md"
BEGIN, END = "<!-- written by docs/provider_table.py -->\n", "<!-- until here -->"


def table() -> str:
    """The providers, one a line."""
    head = ["provider", "address", "key", "models", "late chunking", "in a request", "vectors as", "batches", "prices"]
    lines = [head, ["---"] * len(head), *map(_line, PROVIDERS.values())]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def page() -> str:
    """The whole page, with the table in its place."""
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    return f"{before}{BEGIN}\n{table()}\n{END}{rest.partition(END)[2]}"


def _line(row: Provider) -> list[str]:
    rows = (row, *row.apart)
    models = {name for each in rows for name in each.models}
    others = [other.name for other in PROVIDERS.values() if other.base_url and models == set(other.models)]
    late = {name for each in rows for name, model in each.models.items() if "late" in model.accepts}
    prices = PRICES[row.name].prices if row.name in PRICES else {}
    batch = "" if row.batch is None else _names(row.batch.models) or "all"
    address = row.base_url or ("your endpoint's name" if row.carrier == "sagemaker" else "")
    return [
        f"`{row.name}`",
        address or ("AWS" if row.carrier == "bedrock" else "`base_url=`"),
        f"`{row.key_env}`" if row.key_env else "boto3's",
        f"those of `{others[0]}`" if others and others[0] != row.name else _names(models) or "the server's own",
        _names(late),
        "; ".join(dict.fromkeys(map(_limits, rows))),
        ", ".join(row.encodings),
        batch,
        "all" if prices and models <= set(prices) else _names(prices),
    ]


def _limits(row: Provider) -> str:
    size = "" if row.max_bytes == inf else f", {row.max_bytes:,} bytes"
    return f"{row.max_items:,} texts, {row.max_tokens:,} tokens{size}"


def _names(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
