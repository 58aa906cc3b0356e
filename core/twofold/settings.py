"""`Settings`: everything that makes an embedder, as plain data without a secret."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, fields
from operator import index
from typing import TYPE_CHECKING, Any, Literal, SupportsIndex, TypeAlias, get_args
from urllib.parse import urlsplit

from twofold.errors import InputError
from twofold.models import AUTO

if TYPE_CHECKING:
    from collections.abc import Mapping

Truncate: TypeAlias = Literal["error", "end"]
Encoding: TypeAlias = Literal["auto", "float", "base64", "binary", "ubinary"]
Dtype: TypeAlias = Literal["auto", "float32", "bfloat16", "int8"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """The options of an `Embedder`, the same words everywhere: constructor, adapters, command line, stored config.

    Attributes:
        model: a hub id, a checkpoint folder, or "<provider>:<model>" for a hosted one.
        dimensions: the size of the vectors, 1 to the model's width; None is the width.
        query_task, document_task: a task of the model for each side; "auto" is the card's, None the bare model.
        normalize: scale vectors to unit length.
        truncate: refuse a text over the model's length ("error"), or cut its end ("end").
        query_truncate: the same for queries alone; None follows `truncate`.
        batch_tokens: tokens in one batch (local) or request (hosted); None chooses.
        late_window: tokens in one pass over a long document that is late-chunked; None is the model's length.
        late_overlap: tokens that two such windows share; None is 512, and at most half a window.
        device: "auto", "cpu", "cuda", "cuda:1", "mps"; local only.
        dtype: "auto" is bfloat16 where the hardware computes in it, float32 elsewhere; local only.
        revision: a commit, tag or branch of a hub id.
        api_key_env: the environment variable that holds the key; None is the provider's usual one.
        base_url: a server that speaks the provider's API.
        timeout: seconds for a whole hosted call, retries included.
        concurrency: hosted requests under way at once.
        encoding: how a hosted model sends its vectors; "binary" and "ubinary" keep only each value's sign, as -1 or 1.

    Raises:
        InputError: an option that no model could take.
    """

    model: str
    dimensions: int | None = None
    query_task: str | None = AUTO
    document_task: str | None = AUTO
    normalize: bool = True
    truncate: Truncate = "error"
    query_truncate: Truncate | None = None
    batch_tokens: int | None = None
    late_window: int | None = None
    late_overlap: int | None = None
    device: str = "auto"
    dtype: Dtype = "auto"
    revision: str | None = None
    api_key_env: str | None = None
    base_url: str | None = None
    timeout: float = 600.0
    concurrency: int = 4
    encoding: Encoding = "auto"

    def __post_init__(self) -> None:
        """Refuse what is wrong whatever the model is."""
        object.__setattr__(self, "model", model_string(self.model))
        for name, least in _WHOLE_NUMBERS.items():
            if (value := getattr(self, name)) is not None:
                object.__setattr__(self, name, _whole_number(name, value, least))
        if not isinstance(self.timeout, int | float) or isinstance(self.timeout, bool) or not self.timeout > 0:
            raise InputError(f"timeout={self.timeout!r}: it must be a number of seconds above 0")
        if not isinstance(self.normalize, bool):
            raise InputError(f"normalize={self.normalize!r}: it must be True or False")
        for name, choices in _CHOICES.items():
            if getattr(self, name) not in choices:
                raise InputError(f"{name}={getattr(self, name)!r}: it must be one of {', '.join(map(repr, choices))}")
        _check_words(self)

    def to_dict(self) -> dict[str, Any]:
        """The options that differ from their defaults, as JSON values."""
        defaults = {field.name: field.default for field in fields(self)}
        return {name: value for name, value in asdict(self).items() if value != defaults[name]}

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Settings:
        """The settings that `to_dict` wrote.

        Raises:
            InputError: an option that is not one, or no model.
        """
        unknown = sorted(set(raw) - {field.name for field in fields(cls)})
        if unknown or "model" not in raw:
            raise InputError(f"not an option of an embedder: {', '.join(unknown)}" if unknown else "no model is named")
        return cls(**raw)


_WHOLE_NUMBERS = {"dimensions": 1, "batch_tokens": 1, "late_window": 1, "late_overlap": 0, "concurrency": 1}
"""The options that are whole numbers, each with its least value."""

_CHOICES = {
    "truncate": get_args(Truncate),
    "query_truncate": (None, *get_args(Truncate)),
    "dtype": get_args(Dtype),
    "encoding": get_args(Encoding),
}


def model_string(model: str | os.PathLike[str]) -> str:
    """The model as a string: a name as it is, or a folder's path.

    Raises:
        InputError: neither a string nor a path, or empty.
    """
    if not isinstance(model, str | os.PathLike):
        raise InputError(f"model is of type {type(model).__name__}, not a string or a path")
    if not (name := os.fspath(model)):
        raise InputError("model is empty: give a hub id, a folder, or '<provider>:<model>'")
    return name


def _whole_number(name: str, value: object, least: int) -> int:
    """The value as an `int`, whatever type of whole number it is (numpy's too)."""
    if not isinstance(value, SupportsIndex) or isinstance(value, bool) or index(value) < least:
        raise InputError(f"{name}={value!r}: it must be a whole number of at least {least}")
    return index(value)


def _check_words(settings: Settings) -> None:
    """Refuse words that are not strings, and a secret where it would be shown; its value is not in the message."""
    for name in ("query_task", "document_task", "device", "revision", "api_key_env", "base_url"):
        value = getattr(settings, name)
        if not isinstance(value, str) and (value is not None or name == "device"):
            raise InputError(f"{name} is of type {type(value).__name__}, not a string")
    if settings.api_key_env is not None and not settings.api_key_env.isidentifier():
        raise InputError("api_key_env is not the name of a variable; a key itself is passed as api_key")
    if settings.base_url is not None and "@" in urlsplit(settings.base_url).netloc:
        raise InputError("base_url holds a user name or password, which would be shown: use api_key or http_client")
