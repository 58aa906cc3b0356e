"""One embedder with two sides, query and document, plugged into every vector store.

Each name is imported at its first use, so that the command line starts without loading NumPy.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from twofold.backend import Estimate, Price
    from twofold.documents import Document
    from twofold.embedder import Embedder
    from twofold.errors import (
        AdoptionWarning,
        BlankWarning,
        BudgetExceeded,
        CacheWarning,
        DeadlineExceeded,
        DeviceError,
        DimensionsWarning,
        InputError,
        LicenceWarning,
        MissingExtra,
        ModelError,
        OutputError,
        PromptWarning,
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
    "AdoptionWarning",
    "BlankWarning",
    "BudgetExceeded",
    "CacheWarning",
    "DeadlineExceeded",
    "DeviceError",
    "DimensionsWarning",
    "Document",
    "Embedder",
    "EngineError",
    "Estimate",
    "InputError",
    "LicenceWarning",
    "MissingExtra",
    "ModelCard",
    "ModelError",
    "OutputError",
    "Price",
    "PromptWarning",
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

_HOMES = {
    "Document": "documents",
    "Embedder": "embedder",
    "Estimate": "backend",
    "ModelCard": "models",
    "Price": "backend",
    "Settings": "settings",
    "Space": "space",
    "SpaceRecord": "space",
    "Task": "models",
}
"""The module of each name. All other names are in `errors`."""


def __getattr__(name: str) -> Any:
    if name == "__version__":
        from importlib.metadata import version  # noqa: PLC0415

        return version("twofold")
    if name not in __all__:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    found = getattr(import_module(f"twofold.{_HOMES.get(name, 'errors')}"), name)
    globals()[name] = found
    return found


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
