"""The table of providers. Importing it loads only the standard library."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from twofold.hosted import rows

if TYPE_CHECKING:
    from twofold.hosted.provider import Provider
    from twofold.models import ModelCard

PROVIDERS: dict[str, Provider] = {
    row.name: row
    for row in (
        rows.AZURE_JINA,
        rows.AZURE_OPENAI,
        replace(rows.BEDROCK, apart=(rows.BEDROCK_COHERE,)),
        rows.COHERE_AI,
        replace(rows.GEMINI, apart=(rows.GEMINI_PROMPTED,)),
        rows.JINA,
        rows.MISTRAL_AI,
        rows.NOMIC_AI,
        rows.OPENAI_COM,
        rows.SAGEMAKER,
        rows.TEI,
        replace(rows.VOYAGE_AI, apart=(rows.VOYAGE_LITE, rows.VOYAGE_MIDDLE, rows.VOYAGE_CONTEXT)),
    )
}


def hosted_card(provider: str, model: str) -> ModelCard | None:
    """The card of a hosted model, without any request; None if the model is unknown.

    Raises:
        InputError: see `Provider.find`.
    """
    hosted = PROVIDERS[provider].find(model)
    return None if hosted is None else hosted.card
