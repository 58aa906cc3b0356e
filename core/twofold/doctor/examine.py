"""Examines an embedder with the checks for local or for hosted models."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twofold.doctor.finding import Finding
from twofold.doctor.published import PUBLISHED
from twofold.errors import TwofoldError

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from twofold.doctor.published import Published
    from twofold.embedder import Embedder


def examine(embedder: Embedder, published: Iterable[Published] = PUBLISHED) -> Iterator[Finding]:
    """Run all checks that apply, the most basic first. A failure is a finding, not an exception.

    `published` are the vectors to compare a local model with.
    """
    try:
        hosted = embedder.backend.provider is not None
    except TwofoldError as error:
        yield Finding("model", ok=False, detail=str(error))
        return
    if hosted:
        from twofold.doctor.hosted import examine_hosted  # noqa: PLC0415 - needs the extra `hosted`

        yield from examine_hosted(embedder)
        if embedder.settings.base_url is not None:
            from twofold.doctor.server import examine_server  # noqa: PLC0415

            yield from examine_server(embedder)
        return
    from twofold.doctor.local import examine_local  # noqa: PLC0415 - not needed for hosted models

    yield from examine_local(embedder, published)
