"""Every error that Twofold raises.

    TwofoldError
    ├── InputError          a text, task or option that cannot be embedded; `.index` names the item
    ├── ModelError          a checkpoint that cannot be used, with what is wrong with it
    ├── DeviceError         a device that is not there, or has too little memory for one sequence
    ├── OutputError         a backend gave vectors that cannot be right; none of them leaves
    ├── MissingExtra        a part of Twofold whose extra is not installed
    ├── SpaceMismatch       vectors of two spaces were about to meet; both tags, the fields that differ
    ├── BudgetExceeded      a run would cost, or has cost, what it may; what was paid for is kept
    ├── StoreError          a vector store refused or lost something; `.failed` says which ids and why
    ├── EngineError         Daft or Ray failed, or is not there; what was written stays, and another run goes on
    └── ProviderError       a hosted API failed for good; `.partial` and `.failed` keep what was done
        ├── RequestRefused      the provider will never take it: 400, 401, 402, 403, 404, 413, 422
        ├── ProviderUnavailable it was away, or asked to wait, for longer than there was time
        ├── DeadlineExceeded    the call's own `timeout` ran out
        └── ResponseInvalid     an answer came, twice, and it was not what was asked for

Warnings, so that `warnings.filterwarnings` can silence each by class:

    TwofoldWarning
    ├── LicenceWarning      the weights may not be used for everything; said once for each model
    ├── DimensionsWarning   a size that the model was not trained to be cut to; said once
    ├── BlankWarning        a document without a word was passed over; it has no row
    ├── AdoptionWarning     a collection was adopted by a sample of its rows; says how certain that is
    └── CacheWarning        the cache of vectors could not be read or written; everything was embedded
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np


class TwofoldError(Exception):
    """The root of the tree."""


class InputError(TwofoldError, ValueError):
    """An input that cannot be embedded.

    Attributes:
        index: its place in the list that was passed, if it has one.
        spans: the numbers of the spans of that document, where they are what is wrong.
    """

    def __init__(self, message: str, *, index: int | None = None, spans: Sequence[int] = ()) -> None:
        """Keep the places beside the message."""
        super().__init__(message)
        self.index = index
        self.spans = tuple(spans)

    def renumber(self, places: Sequence[int] | Mapping[int, int]) -> None:
        """Count by the places in a longer list of which what was sent is a part, in the message too."""
        if self.index is not None:
            place = places[self.index]
            self.args = (re.sub(rf"\b(text|document) {self.index}\b", rf"\1 {place}", str(self), count=1),)
            self.index = place


class ModelError(TwofoldError):
    """A checkpoint that cannot be used: missing, truncated, in an unknown layout, or with the wrong tensors."""


class DeviceError(TwofoldError, RuntimeError):
    """A device that is not there, or that cannot hold a single sequence."""


class OutputError(TwofoldError):
    """A backend returned vectors that cannot be right: a wrong count or width, NaN, or all zeros."""


class MissingExtra(TwofoldError, ImportError):
    """A part of Twofold was used whose extra is not installed; the message is the command that installs it."""


class SpaceMismatch(TwofoldError, ValueError):
    """Vectors of two spaces were about to meet. The message names both spaces and the fields that differ."""


class BudgetExceeded(TwofoldError):
    """A run would cost more than it may. `spent` is how many tokens it has been billed so far; 0 before the first."""

    def __init__(self, message: str, *, spent: int = 0) -> None:
        """Keep the number beside the message."""
        super().__init__(message)
        self.spent = spent


class StoreError(TwofoldError):
    """A vector store refused or lost something. `failed` maps each id concerned to the reason."""

    def __init__(self, message: str, *, failed: Mapping[str, str] | None = None) -> None:
        """Keep the failed ids beside the message."""
        super().__init__(message)
        self.failed: dict[str, str] = dict(failed or {})


class EngineError(TwofoldError):
    """What carries the work to other processes failed, or is not there. Another run goes on after what is written."""


class ProviderError(TwofoldError):
    """A hosted API failed for good.

    Attributes:
        status: the HTTP status of the answer that decided it, or None when there was none.
        request_id: the provider's name for that request, for its support, or None.
        partial: index of an input -> its finished vectors, shape (n_spans, dimensions); what is paid for is kept.
        failed: index of an input -> why it has no vector.
        asked: the provider and model, where the message is to say them, and how many inputs are done.
        blames_inputs: whether it is to say which inputs were refused, too.
    """

    def __init__(
        self,
        message: str,
        *,
        asked: str | None = None,
        blames_inputs: bool = False,
        status: int | None = None,
        request_id: str | None = None,
        partial: Mapping[int, np.ndarray] | None = None,
        failed: Mapping[int, str] | None = None,
    ) -> None:
        """Keep what was done, and what was not, beside the message."""
        super().__init__(message)
        self.asked, self.blames_inputs = asked, blames_inputs
        self.status = status
        self.request_id = request_id
        self.partial: dict[int, np.ndarray] = dict(partial or {})
        self.failed: dict[int, str] = dict(failed or {})

    def __str__(self) -> str:
        """The message, which counts as `failed` and `partial` do."""
        message = super().__str__()
        if self.asked is None:
            return message
        more = f" and {len(self.failed) - 1} more" if len(self.failed) > 1 else ""
        blame = f"text {min(self.failed)}{more} refused: " if self.blames_inputs and self.failed else ""
        kept = f"; {len(self.partial)} others are done, in .partial" if self.partial else ""
        return f"{self.asked}: {blame}{message}{kept}"

    def renumber(self, places: Sequence[int]) -> None:
        """Count by the places in a longer list of which what was sent is a part: number n becomes `places[n]`."""
        self.partial = {places[number]: rows for number, rows in self.partial.items()}
        self.failed = {places[number]: reason for number, reason in self.failed.items()}


class RequestRefused(ProviderError):
    """The provider will never take this request: a key, a balance, a model, or an input that it refuses."""


class ProviderUnavailable(ProviderError):
    """The provider was away, or asked to wait, for longer than `timeout` or `max_outage` allow."""


class DeadlineExceeded(ProviderError, TimeoutError):
    """The `timeout` of the whole call ran out."""


class ResponseInvalid(ProviderError):
    """The provider answered 200, again after a retry, with something other than what was asked for."""


class TwofoldWarning(UserWarning):
    """The root of Twofold's warnings."""


class LicenceWarning(TwofoldWarning):
    """The weights may not be used for everything."""


class DimensionsWarning(TwofoldWarning):
    """Vectors are cut to a size that the model was not trained to be cut to."""


class BlankWarning(TwofoldWarning):
    """A document without a word was passed over."""


class AdoptionWarning(TwofoldWarning):
    """A collection without a record was adopted by a sample of its rows."""


class CacheWarning(TwofoldWarning):
    """The cache of vectors could not be read, or written."""
