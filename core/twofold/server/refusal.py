"""Error answers, and the HTTP status of each of Twofold's errors."""

from __future__ import annotations

from twofold.errors import DeviceError, InputError, ProviderError, TwofoldError
from twofold.wires.wire import Garbled, Violation


class Refusal(Exception):
    """An error answer.

    Attributes:
        status: the HTTP status.
        message: for people; never contains a text of the request.
        reason: a label of the metrics.
        retry_after: whole seconds until a retry makes sense, or None.
    """

    def __init__(self, status: int, message: str, reason: str, retry_after: int | None = None) -> None:
        super().__init__(message)
        self.status, self.message, self.reason, self.retry_after = status, message, reason, retry_after


class ClientGone(Exception):
    """The client has disconnected."""


def refusal_of(error: Exception) -> Refusal:
    """The answer to an error. For an unexpected error it shows only the class, because the message may quote a text."""
    match error:
        case Refusal():
            found = error
        case Garbled():
            found = Refusal(400, "the body is not JSON", "garbled")
        case InputError() | Violation():
            found = Refusal(422, str(error), "invalid")
        case ProviderError(status=429):
            found = Refusal(429, f"the provider of this model is busy: {error}", "provider", retry_after=5)
        case ProviderError():
            found = Refusal(502, f"the provider of this model failed: {error}", "provider")
        case DeviceError():
            found = Refusal(413, str(error), "memory")
        case TwofoldError():
            found = Refusal(500, f"the model cannot be used: {error}", "model")
        case _:
            found = Refusal(500, f"{type(error).__name__} inside the server", "fault")
    return found
