"""`Settings`: everything that makes an embedder, as plain data without a secret."""

from __future__ import annotations

import os
from dataclasses import asdict, dataclass, fields
from typing import TYPE_CHECKING, Any, Literal, TypeAlias, get_args

from twofold.errors import InputError
from twofold.models import AUTO

if TYPE_CHECKING:
    from collections.abc import Mapping

Truncate: TypeAlias = Literal["error", "end"]
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

    Raises:
        InputError: an option that no model could take.
    """

    model: str
    dimensions: int | None = None
    query_task: str | None = AUTO
    document_task: str | None = AUTO
    normalize: bool = True
    truncate: Truncate = "error"
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

    def __post_init__(self) -> None:
        """Refuse what is wrong whatever the model is."""
        object.__setattr__(self, "model", os.fspath(self.model))
        if not self.model:
            raise InputError("model is empty: give a hub id, a folder, or '<provider>:<model>'")
        for name in ("dimensions", "batch_tokens", "late_window", "concurrency"):
            value = getattr(self, name)
            if value is not None and (not isinstance(value, int) or isinstance(value, bool) or value < 1):
                raise InputError(f"{name}={value!r}: it must be a whole number of at least 1")
        if self.late_overlap is not None and self.late_overlap < 0:
            raise InputError(f"late_overlap={self.late_overlap}: it must be 0 or more")
        if not self.timeout > 0:
            raise InputError(f"timeout={self.timeout!r}: it must be a number of seconds above 0")
        for name, choices in (("truncate", get_args(Truncate)), ("dtype", get_args(Dtype))):
            if getattr(self, name) not in choices:
                raise InputError(f"{name}={getattr(self, name)!r}: it must be one of {', '.join(map(repr, choices))}")

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
