"""Combines the answers of many rows into the result of one call: all vectors, or one error."""

from __future__ import annotations

from typing import TYPE_CHECKING

from twofold.errors import InputError, ProviderError, TwofoldError
from twofold.jobs.distributed.answers import is_of_a_row

if TYPE_CHECKING:
    from collections.abc import Sequence

    from twofold.jobs.distributed.answers import Answer
    from twofold.vectors import FloatArray


def vectors_of(given: Sequence[Answer | None]) -> list[FloatArray]:
    """The vectors of all rows, or the error that a direct call of the embedder would raise.

    Raises:
        InputError: the first error about one text.
        ProviderError: with all partial vectors and failures.
        TwofoldError: any other error.
    """
    failed: dict[int, TwofoldError] = {}
    there: dict[int, FloatArray] = {}
    for number, answer in enumerate(given):
        if isinstance(answer, TwofoldError):
            failed[number] = answer
        elif answer is not None:
            there[number] = answer
    for number, error in failed.items():
        if isinstance(error, InputError) and error.index is not None:
            error.renumber({error.index: number})
            raise error
    for error in failed.values():
        if not isinstance(error, ProviderError):
            raise error
    if failed:
        raise _together({number: error for number, error in failed.items() if isinstance(error, ProviderError)}, there)
    return list(there.values())


def _together(failed: dict[int, ProviderError], there: dict[int, FloatArray]) -> ProviderError:
    """Combine the errors of several rows. An error about no particular row takes precedence."""
    others = (error for error in failed.values() if not is_of_a_row(error))
    worst = next(others, next(iter(failed.values())))
    return type(worst)(
        str(worst),
        status=worst.status,
        request_id=worst.request_id,
        partial=there,
        failed={number: str(error) for number, error in failed.items()},
    )
