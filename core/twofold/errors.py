"""Every error that Twofold raises.

    TwofoldError
    ├── InputError          an invalid text, task or option; `.index` is the item's place in the list
    ├── ModelError          a checkpoint cannot be used; the message says why
    ├── DeviceError         a device is missing, or has too little memory for one sequence
    ├── OutputError         a backend returned invalid vectors; none of them is returned
    ├── MissingExtra        an optional dependency is not installed
    ├── SpaceMismatch       vectors of two spaces would be mixed; the message lists the differences
    ├── BudgetExceeded      a run would exceed, or has reached, its budget; paid work is kept
    ├── StoreError          a vector store rejected or lost something; `.failed` maps ids to reasons
    ├── EngineError         Daft or Ray is missing or failed; written rows stay, and a new run continues
    └── ProviderError       a hosted API failed for good; `.partial` and `.failed` hold the results so far
        ├── RequestRefused      the provider will never accept the request: 400, 401, 402, 403, 404, 413, 422
        ├── ProviderUnavailable the provider did not answer, or asked to wait, for longer than allowed
        ├── DeadlineExceeded    the `timeout` of the call ran out
        └── ResponseInvalid     the provider sent a wrong answer, and again after a retry

Each warning has its own class, so `warnings.filterwarnings` can silence it:

    TwofoldWarning
    ├── LicenceWarning      the licence of the weights restricts their use; once for each model
    ├── DimensionsWarning   the model was not trained for this size; once for each model and size
    ├── PromptWarning       the model has prompts, but its files do not say which is for queries; once for each model
    ├── BlankWarning        a blank document was skipped, or got the vector of the empty text
    ├── AdoptionWarning     only a sample of a collection's rows was checked when it was adopted
    └── CacheWarning        the cache of vectors could not be read or written; everything was embedded
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import numpy as np


class TwofoldError(Exception):
    """The base class of Twofold's errors."""


class InputError(TwofoldError, ValueError):
    """An invalid input.

    Attributes:
        index: the place of the invalid item in the list, or None.
    """

    def __init__(self, message: str, *, index: int | None = None) -> None:
        super().__init__(message)
        self.index = index

    def renumber(self, places: Sequence[int] | Mapping[int, int]) -> None:
        """Change the index from a place in a part to the place in the whole list, in the message too."""
        if self.index is not None:
            place = places[self.index]
            self.args = (re.sub(rf"\b(text|document) {self.index}\b", rf"\1 {place}", str(self), count=1),)
            self.index = place


class ModelError(TwofoldError):
    """A checkpoint cannot be used: it is missing or truncated, its layout is unknown, or its tensors are wrong."""


class DeviceError(TwofoldError, RuntimeError):
    """A device is missing, or cannot hold a single sequence."""


class OutputError(TwofoldError):
    """A backend returned invalid vectors: a wrong count or width, NaN, or all zeros."""


class MissingExtra(TwofoldError, ImportError):
    """An optional dependency is not installed. The message has the command that installs it."""


class SpaceMismatch(TwofoldError, ValueError):
    """Vectors of two spaces would be mixed. The message names both spaces and the fields that differ."""


class BudgetExceeded(TwofoldError):
    """A run would exceed its budget. `spent` is the number of tokens billed so far."""

    def __init__(self, message: str, *, spent: int = 0) -> None:
        super().__init__(message)
        self.spent = spent


class StoreError(TwofoldError):
    """A vector store rejected or lost something. `failed` maps each affected id to the reason."""

    def __init__(self, message: str, *, failed: Mapping[str, str] | None = None) -> None:
        super().__init__(message)
        self.failed: dict[str, str] = dict(failed or {})


class EngineError(TwofoldError):
    """The distributed engine is missing or failed. Written rows stay, and a new run continues after them."""


class ProviderError(TwofoldError):
    """A hosted API failed for good.

    Attributes:
        status: the HTTP status of the last answer, or None if there was no answer.
        request_id: the provider's id of that request, which its support asks for, or None.
        partial: index of an input -> its finished vectors, shape (n_spans, dimensions), so that paid work is kept.
        failed: index of an input -> why it has no vector.
        asked: the provider and model. If given, the message starts with it and counts the finished inputs.
        blames_inputs: whether the message names the rejected inputs.
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
        super().__init__(message)
        self.asked, self.blames_inputs = asked, blames_inputs
        self.status = status
        self.request_id = request_id
        self.partial: dict[int, np.ndarray] = dict(partial or {})
        self.failed: dict[int, str] = dict(failed or {})

    def __str__(self) -> str:
        message = super().__str__()
        if self.asked is None:
            return message
        more = f" and {len(self.failed) - 1} more" if len(self.failed) > 1 else ""
        blame = f"text {min(self.failed)}{more} refused: " if self.blames_inputs and self.failed else ""
        kept = f"; {len(self.partial)} others are done, in .partial" if self.partial else ""
        return f"{self.asked}: {blame}{message}{kept}"

    def renumber(self, places: Sequence[int]) -> None:
        """Change indices from places in a part to places in the whole list: index n becomes `places[n]`."""
        self.partial = {places[number]: rows for number, rows in self.partial.items()}
        self.failed = {places[number]: reason for number, reason in self.failed.items()}


class RequestRefused(ProviderError):
    """The provider will never accept this request: it rejects the key, the balance, the model or an input."""


class ProviderUnavailable(ProviderError):
    """The provider did not answer, or asked to wait, for longer than `timeout` or `max_outage` allow."""


class DeadlineExceeded(ProviderError, TimeoutError):
    """The `timeout` of the call ran out."""


class ResponseInvalid(ProviderError):
    """The provider answered 200 with invalid content, and again after a retry."""


class TwofoldWarning(UserWarning):
    """The base class of Twofold's warnings."""


class LicenceWarning(TwofoldWarning):
    """The licence of the weights restricts their use."""


class DimensionsWarning(TwofoldWarning):
    """Vectors are cut to a size for which the model was not trained."""


class PromptWarning(TwofoldWarning):
    """The model has prompts, but its files do not say which one is for queries and which one for documents."""


class BlankWarning(TwofoldWarning):
    """A blank document was skipped, or got the vector of the empty text."""


class AdoptionWarning(TwofoldWarning):
    """A collection without a record was adopted after a check of a sample of its rows."""


class CacheWarning(TwofoldWarning):
    """The cache of vectors could not be read or written."""
