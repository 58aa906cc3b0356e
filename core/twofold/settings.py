"""`Settings`: every option of an embedder, in one list, as plain data without a secret.

The hosts' fields and the command line's flags are made from this list, and tests compare the constructor with it. An
option's `help` is its documentation everywhere.
"""

from __future__ import annotations

import os
from dataclasses import KW_ONLY, asdict, dataclass, field, fields
from difflib import get_close_matches
from functools import cache
from operator import index
from typing import (
    TYPE_CHECKING,
    Any,
    Literal,
    NamedTuple,
    SupportsIndex,
    TypeAlias,
    TypedDict,
    get_args,
    get_origin,
    get_type_hints,
)
from urllib.parse import urlsplit

from twofold.errors import InputError
from twofold.keys import KeySource  # noqa: TC001 - the hints of `Options` can be evaluated
from twofold.models import AUTO

if TYPE_CHECKING:
    from collections.abc import Mapping

Truncate: TypeAlias = Literal["error", "end"]
Encoding: TypeAlias = Literal["auto", "float", "base64", "binary", "ubinary"]
Dtype: TypeAlias = Literal["auto", "float32", "bfloat16", "int8"]


class Option(NamedTuple):
    """One option, for code that makes fields and flags from the list.

    Attributes:
        name: its name everywhere.
        hint: its type.
        default: its default; `dataclasses.MISSING` for the model.
        help: a sentence that says what it does.
        least: the smallest value of a whole number.
        identity: whether another value means another space.
    """

    name: str
    hint: Any
    default: Any
    help: str
    least: int | None
    identity: bool

    def check(self, value: Any) -> Any:
        """The value, converted to this option's type.

        Raises:
            InputError: the value is invalid for every model.
        """
        kinds = get_args(self.hint) or (self.hint,)
        if value is None and type(None) in kinds:
            return None
        if (choices := _choices(self.hint)) and value not in choices:
            raise InputError(f"{self.name}={value!r}: it must be one of {', '.join(map(repr, choices))}")
        if self.least is not None:
            return _whole_number(self.name, value, self.least)
        if self.hint is bool and not isinstance(value, bool):
            raise InputError(f"{self.name}={value!r}: it must be True or False")
        if float in kinds and not (isinstance(value, int | float) and not isinstance(value, bool) and value > 0):
            raise InputError(f"{self.name}={value!r}: it must be a number of seconds above 0")
        if str in kinds and not isinstance(value, str):
            raise InputError(f"{self.name} is of type {type(value).__name__}, not a string")
        return value


def _says(help: str, least: int | None = None) -> Mapping[str, Any]:  # noqa: A002 - the field's word
    """The metadata of an option: its help, and the smallest value of a whole number."""
    return {"help": help, "least": least, "identity": False}


def _space(help: str, least: int | None = None) -> Mapping[str, Any]:  # noqa: A002 - the field's word
    """Like `_says`, for an option that is part of the space."""
    return {"help": help, "least": least, "identity": True}


@dataclass(frozen=True, slots=True)
class Settings:
    """The options of an `Embedder`, with the same names in hosts, the command line and stored configurations.

    Raises:
        InputError: an option is invalid for every model.
    """

    model: str = field(metadata=_space("A hub id, a checkpoint folder, or <provider>:<model> for a hosted model."))
    _: KW_ONLY
    dimensions: int | None = field(
        default=None, metadata=_space("Vector size, from 1 to the model's width; the width by default.", least=1)
    )
    query_task: str | None = field(
        default=AUTO,
        metadata=_space("The model's task for queries; 'auto' takes it from the model card, none is the bare model."),
    )
    document_task: str | None = field(
        default=AUTO,
        metadata=_space("The model's task for documents; 'auto' takes it from the model card, none is the bare model."),
    )
    query_instruction: str | None = field(
        default=None, metadata=_space("Text put before each query, instead of the task's own.")
    )
    document_instruction: str | None = field(
        default=None, metadata=_space("Text put before each document, instead of the task's own.")
    )
    normalize: bool = field(default=True, metadata=_space("Scale vectors to unit length."))
    truncate: Truncate = field(
        default="error", metadata=_says("Reject a text over the model's length ('error'), or cut its end ('end').")
    )
    query_truncate: Truncate | None = field(
        default=None, metadata=_says("Like truncate, for queries only; the same as truncate by default.")
    )
    batch_tokens: int | None = field(
        default=None, metadata=_says("Tokens per batch (local) or request (hosted).", least=1)
    )
    batch_items: int | None = field(
        default=None, metadata=_says("Texts per hosted request; the provider's limit by default.", least=1)
    )
    batch_bytes: int | None = field(
        default=None, metadata=_says("Bytes of text per hosted request; the provider's limit by default.", least=1)
    )
    late_window: int | None = field(
        default=None,
        metadata=_says(
            "Tokens per pass over a long document in late chunking; the model's length by default.", least=1
        ),
    )
    late_overlap: int | None = field(
        default=None,
        metadata=_says("Tokens that two such passes share; 512 by default, and at most half a window.", least=0),
    )
    device: str = field(default="auto", metadata=_says("auto, cpu, cuda, cuda:1 or mps; local models only."))
    dtype: Dtype = field(
        default="auto",
        metadata=_says(
            "What a local model computes in; 'auto' is bfloat16 where the hardware supports it, else float32."
        ),
    )
    merge_adapters: bool = field(
        default=False,
        metadata=_says(
            "Keep a copy of a local model's layers for each side, with its adapter merged: faster, but more memory."
        ),
    )
    revision: str | None = field(default=None, metadata=_space("A commit, tag or branch of a hub id."))
    api_key_env: str | None = field(
        default=None, metadata=_says("The environment variable that holds a hosted model's key.")
    )
    base_url: str | None = field(default=None, metadata=_says("A server that speaks the provider's API."))
    timeout: float = field(default=600.0, metadata=_says("Seconds for a whole hosted call, retries included."))
    max_outage: float | None = field(
        default=None, metadata=_says("Seconds to wait for an unavailable provider; the whole timeout by default.")
    )
    concurrency: int = field(default=4, metadata=_says("Hosted requests in flight at once.", least=1))
    encoding: Encoding = field(
        default="auto",
        metadata=_space("How a hosted model sends vectors; 'binary' and 'ubinary' keep only the sign of each value."),
    )
    cache: str | None = field(
        default=None, metadata=_says("A folder that keeps vectors, so that no text is embedded twice.")
    )
    served_as: str | None = field(
        default=None, metadata=_says("The name under which a gateway serves the model, if it has another.")
    )

    def __post_init__(self) -> None:
        object.__setattr__(self, "model", model_string(self.model))
        if isinstance(self.cache, os.PathLike):
            object.__setattr__(self, "cache", os.fspath(self.cache))
        for option in options():
            object.__setattr__(self, option.name, option.check(getattr(self, option.name)))
        _check_secrets(self)

    def to_dict(self) -> dict[str, Any]:
        """The options that differ from their defaults, as JSON values."""
        defaults = {option.name: option.default for option in options()}
        return {name: value for name, value in asdict(self).items() if value != defaults[name]}

    @classmethod
    def from_dict(cls, raw: Mapping[str, Any]) -> Settings:
        """The settings that `to_dict` wrote.

        Raises:
            InputError: an unknown option, or no model.
        """
        check_names(raw)
        if "model" not in raw:
            raise InputError("no model is named")
        return cls(**raw)


class Options(TypedDict, total=False):
    """The keyword arguments of an `Embedder`, for a constructor that takes `**options: Unpack[Options]`."""

    dimensions: int | None
    """Vector size, from 1 to the model's width; the width by default."""
    query_task: str | None
    """The model's task for queries; 'auto' takes it from the model card, none is the bare model."""
    document_task: str | None
    """The model's task for documents; 'auto' takes it from the model card, none is the bare model."""
    query_instruction: str | None
    """Text put before each query, instead of the task's own."""
    document_instruction: str | None
    """Text put before each document, instead of the task's own."""
    normalize: bool
    """Scale vectors to unit length."""
    truncate: Truncate
    """Reject a text over the model's length ('error'), or cut its end ('end')."""
    query_truncate: Truncate | None
    """Like truncate, for queries only; the same as truncate by default."""
    batch_tokens: int | None
    """Tokens per batch (local) or request (hosted)."""
    batch_items: int | None
    """Texts per hosted request; the provider's limit by default."""
    batch_bytes: int | None
    """Bytes of text per hosted request; the provider's limit by default."""
    late_window: int | None
    """Tokens per pass over a long document in late chunking; the model's length by default."""
    late_overlap: int | None
    """Tokens that two such passes share; 512 by default, and at most half a window."""
    device: str
    """auto, cpu, cuda, cuda:1 or mps; local models only."""
    dtype: Dtype
    """What a local model computes in; 'auto' is bfloat16 where the hardware supports it, else float32."""
    merge_adapters: bool
    """Keep a copy of a local model's layers for each side, with its adapter merged: faster, but more memory."""
    revision: str | None
    """A commit, tag or branch of a hub id."""
    api_key_env: str | None
    """The environment variable that holds a hosted model's key."""
    base_url: str | None
    """A server that speaks the provider's API."""
    timeout: float
    """Seconds for a whole hosted call, retries included."""
    max_outage: float | None
    """Seconds to wait for an unavailable provider; the whole timeout by default."""
    concurrency: int
    """Hosted requests in flight at once."""
    encoding: Encoding
    """How a hosted model sends vectors; 'binary' and 'ubinary' keep only the sign of each value."""
    cache: str | os.PathLike[str] | None
    """A folder that keeps vectors, so that no text is embedded twice."""
    served_as: str | None
    """The name under which a gateway serves the model, if it has another."""
    api_key: KeySource
    """The key of a hosted model: a string, or a callable that is called before each request."""
    http_client: Any
    """Your own httpx client, sync or async, for proxies and certificates."""


@cache
def options() -> tuple[Option, ...]:
    """Every option of an embedder, the model first."""
    hints = get_type_hints(Settings)
    return tuple(Option(each.name, hints[each.name], each.default, **each.metadata) for each in fields(Settings))


OTHER_WORDS = {
    **dict.fromkeys(
        ("task", "input_type", "prompt_name"),
        "query_task and document_task choose the task of each side, and embed(texts, task=...) uses any task",
    ),
    "late_chunking": "call embed_chunks(chunks) for one document, or embed_late(documents) for several",
    **dict.fromkeys(
        ("truncate_dim", "embedding_dim", "output_dimension", "output_dimensionality"),
        "Embedder(dimensions=...) does it",
    ),
    "batch_size": "Embedder(batch_tokens=...) limits a batch, and Embedder(batch_items=...) a hosted request",
    "prompt": "Embedder(query_instruction=..., document_instruction=...) does it",
    "normalized": "Embedder(normalize=...) does it",
    "normalize_embeddings": "Embedder(normalize=...) does it",
    "embedding_type": "Embedder(encoding=...) chooses how a hosted model sends vectors; results are always float32",
    "show_progress_bar": "embed_queries, embed_documents, embed_late and embed take progress=True",
    "max_length": "the model's own length applies, and Embedder(truncate='end') cuts longer texts",
    "trust_remote_code": "leave it out: Twofold runs no code from a checkpoint",
    "model_name": "pass the model first: Embedder(model, ...)",
}
"""Words of Jina's API, sentence-transformers and hosted APIs, with what does the same here."""

OTHER_METHODS = {
    "encode": "embed_query(text), embed_queries(texts) or embed_documents(texts)",
    "encode_query": "embed_query(text) or embed_queries(texts)",
    "encode_queries": "embed_queries(texts)",
    "encode_document": "embed_documents(texts)",
    "encode_documents": "embed_documents(texts)",
    "tokenize": "count_tokens(texts)",
    "similarity": "numpy: embed_query(text) @ embed_documents(texts).T",
    "get_sentence_embedding_dimension": "dimensions",
}


def check_names(names: Mapping[str, Any]) -> None:
    """Reject an unknown option, and name the right one.

    Raises:
        InputError: an option that no embedder has.
    """
    known = [option.name for option in options()]
    unknown = sorted(set(names) - set(known))
    if unknown:
        near = get_close_matches(unknown[0], known, n=1)
        meant = f"did you mean {near[0]}?" if near else f"the options are {', '.join(known)}"
        said = next((OTHER_WORDS[word] for word in unknown if word in OTHER_WORDS), meant)
        raise InputError(f"not an option of an embedder: {', '.join(unknown)}; {said}")


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


def _check_secrets(settings: Settings) -> None:
    """Reject secrets in options that are shown. The message does not have the value."""
    if settings.api_key_env is not None and not settings.api_key_env.isidentifier():
        raise InputError("api_key_env is not the name of a variable; a key itself is passed as api_key")
    if settings.base_url is not None and "@" in urlsplit(settings.base_url).netloc:
        raise InputError("base_url holds a user name or password, which would be shown: use api_key or http_client")


def _choices(hint: Any) -> tuple[Any, ...]:
    """The values of a `Literal`, with None if it is optional."""
    if get_origin(hint) is Literal:
        return get_args(hint)
    literals = [kind for kind in get_args(hint) if get_origin(kind) is Literal]
    return (None, *get_args(literals[0])) if literals else ()


def _whole_number(name: str, value: object, least: int) -> int:
    """The value as an `int`, from any type of whole number, including numpy's."""
    wrong = InputError(f"{name}={value!r}: it must be a whole number of at least {least}")
    if not isinstance(value, SupportsIndex) or isinstance(value, bool):
        raise wrong
    try:
        number = index(value)
    except TypeError:  # an array of one number has `__index__`, which raises
        raise wrong from None
    if number < least:
        raise wrong
    return number
