"""`twofold models`."""

from __future__ import annotations

from dataclasses import asdict

from twofold.cards import CARDS
from twofold.cli import show
from twofold.cli.options import JsonOption

COLUMNS = ("model", "width", "tokens", "query task", "document task", "cut to", "licence")


def models(as_json: JsonOption = False) -> None:
    """List the known models. Other models are read from their checkpoints."""
    if as_json:
        cards = [asdict(card) for card in CARDS.values()]
        show.as_json(
            [{key: value for key, value in card.items() if key not in {"hub_id", "has_more_tasks"}} for card in cards]
        )
        return
    rows = (
        (
            card.name,
            str(card.width),
            str(card.max_tokens),
            card.query_task or "-",
            card.document_task or "-",
            " ".join(map(str, card.matryoshka)) or "-",
            card.licence,
        )
        for card in CARDS.values()
    )
    show.table(COLUMNS, rows)
