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


ASKED = ["address", "key", "in a request", "vectors as"]
MODELS = ["models", "late chunking", "batches", "prices"]


def table() -> str:
    """The providers, one a line: how each is asked, then for what. One table of all would be wider than a page."""
    rows = {name: _row(row) for name, row in PROVIDERS.items()}
    return "\n".join(_table(rows, columns) for columns in (ASKED, MODELS))


def _table(rows: dict[str, dict[str, str]], columns: list[str]) -> str:
    lines = [["provider", *columns], ["---"] * (1 + len(columns))]
    lines += [[f"`{name}`", *(cells[column] for column in columns)] for name, cells in rows.items()]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def page() -> str:
    """The whole page, with the table in its place."""
    before, _, rest = PAGE.read_text("utf-8").partition(BEGIN)
    return f"{before}{BEGIN}\n{table()}\n{END}{rest.partition(END)[2]}"


def _row(row: Provider) -> dict[str, str]:
    rows = (row, *row.apart)
    models = {name for each in rows for name in each.models}
    others = [other.name for other in PROVIDERS.values() if other.base_url and models == set(other.models)]
    late = {name for each in rows for name, model in each.models.items() if "late" in model.accepts}
    prices = PRICES[row.name].prices if row.name in PRICES else {}
    batch = "" if row.batch is None else _names(row.batch.models) or "all"
    address = row.base_url or ("your endpoint's name" if row.carrier == "sagemaker" else "")
    same = f"those of `{others[0]}`" if others and others[0] != row.name else None
    return {
        "address": address or ("AWS" if row.carrier == "bedrock" else "`base_url=`"),
        "key": f"`{row.key_env}`" if row.key_env else "boto3's",
        "models": same or _names(models) or "the server's own",
        "late chunking": _names(late),
        "in a request": "; ".join(dict.fromkeys(map(_limits, rows))),
        "vectors as": ", ".join(row.encodings),
        "batches": batch,
        "prices": "all" if prices and models <= set(prices) else _names(prices),
    }


def _limits(row: Provider) -> str:
    size = "" if row.max_bytes == inf else f", {row.max_bytes:,} bytes"
    return f"{row.max_items:,} texts, {row.max_tokens:,} tokens{size}"


def _names(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


if __name__ == "__main__":
    PAGE.write_text(page(), "utf-8")
