"""One embedder with two sides, query and document, plugged into every vector store."""

from twofold.documents import Document
from twofold.embedder import Embedder
from twofold.errors import (
    BlankWarning,
    DeadlineExceeded,
    DeviceError,
    DimensionsWarning,
    InputError,
    LicenceWarning,
    MissingExtra,
    ModelError,
    OutputError,
    ProviderError,
    ProviderUnavailable,
    RequestRefused,
    ResponseInvalid,
    SpaceMismatch,
    StoreError,
    TwofoldError,
    TwofoldWarning,
)
from twofold.models import ModelCard, Task
from twofold.settings import Settings
from twofold.space import Space, SpaceRecord

__all__ = [
    "BlankWarning",
    "DeadlineExceeded",
    "DeviceError",
    "DimensionsWarning",
    "Document",
    "Embedder",
    "InputError",
    "LicenceWarning",
    "MissingExtra",
    "ModelCard",
    "ModelError",
    "OutputError",
    "ProviderError",
    "ProviderUnavailable",
    "RequestRefused",
    "ResponseInvalid",
    "Settings",
    "Space",
    "SpaceMismatch",
    "SpaceRecord",
    "StoreError",
    "Task",
    "TwofoldError",
    "TwofoldWarning",
]


def __getattr__(name: str) -> str:
    """`__version__`, read from the installed distribution when it is asked for."""
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415

        return version("twofold")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
