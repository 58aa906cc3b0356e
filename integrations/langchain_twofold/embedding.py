"""`TwofoldEmbeddings`: an embedder as LangChain's `Embeddings`."""

from __future__ import annotations

from collections import Counter, defaultdict, deque
from collections.abc import Callable  # noqa: TC003 - pydantic reads it
from contextlib import contextmanager
from contextvars import ContextVar
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any, Self, TypeAlias, Unpack, cast

from twofold import Embedder, InputError, StoreError
from twofold.adapters import aembed_texts, as_embedder, embed_texts, extra, option_fields

with extra("langchain"):
    from langchain_core.embeddings import Embeddings
    from langchain_core.load.serializable import Serializable
    from pydantic import ConfigDict, Field, PrivateAttr, SecretStr, create_model

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from twofold import Document
    from twofold.adapters import FloatArray, Model, Options

_Fields: Any = create_model("_Fields", __base__=Serializable, **cast("Any", option_fields()))
"""Every option of an embedder as a pydantic field."""


class TwofoldEmbeddings(_Fields, Embeddings):  # type: ignore[misc] # its fields are known at run time
    """An embedder for LangChain that encodes queries and documents the way the model was trained.

    * `model` is an existing `Embedder`, or what a `twofold.Embedder` takes, with any of its options;
    * the key and the client appear in no dump, JSON or pickle, and not in what LangChain's `dumps` writes. A loaded
      copy finds its key in the environment;
    * vectors are lists of Python floats with exactly the core's values; no texts give no vectors;
    * a blank text does not stop an ingestion: it gets the vector of the empty text, with a `BlankWarning`;
    * the async methods are the embedder's own, not a thread pool;
    * embeddings with the same options are equal;
    * `embed_documents` never late-chunks, because a list of texts does not say where a document ends; see `late_chunk`.

    Raises:
        InputError: an option or a text that cannot be used; see `twofold.Embedder`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    api_key: SecretStr | Callable[[], str] | str | None = Field(default=None, exclude=True, repr=False)
    http_client: Any = Field(default=None, exclude=True, repr=False)

    _embedder: Embedder = PrivateAttr()
    _is_given: bool = PrivateAttr()

    def __init__(self, model: Model, **options: Unpack[Options]) -> None:
        """Let the embedder check the options: its errors are `InputError`, pydantic's are not."""
        embedder = as_embedder(model, **options)
        key = options.get("api_key")
        hidden = SecretStr(key) if isinstance(key, str) else key
        super().__init__(**asdict(embedder.settings), api_key=hidden, http_client=options.get("http_client"))
        self._embedder = embedder
        self._is_given = isinstance(model, Embedder) or getattr(model, "_is_given", hasattr(model, "embedder"))

    @property
    def embedder(self) -> Embedder:
        """The embedder itself, for its `space`, its numpy vectors and everything else that it does."""
        return self._embedder

    def embed_query(self, text: str) -> list[float]:
        """The vector of one query."""
        (vector,) = embed_texts(self._embedder, "query", [text]).tolist()
        return cast("list[float]", vector)

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """The vectors of documents, in the order of `texts`."""
        vectors: list[list[float]] = take(texts) or embed_texts(self._embedder, "document", texts).tolist()
        return vectors

    def embed_late(self, documents: Iterable[Document], *, progress: bool = False) -> list[FloatArray]:
        """The vectors of each document's spans, late-chunked; see `Embedder.embed_late`."""
        return self._embedder.embed_late(documents, progress=progress)

    async def aembed_query(self, text: str) -> list[float]:
        (vector,) = (await aembed_texts(self._embedder, "query", [text])).tolist()
        return cast("list[float]", vector)

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        vectors: list[list[float]] = take(texts) or (await aembed_texts(self._embedder, "document", texts)).tolist()
        return vectors

    async def aembed_late(self, documents: Iterable[Document], *, progress: bool = False) -> list[FloatArray]:
        """`embed_late` without blocking the event loop."""
        return await self._embedder.aembed_late(documents, progress=progress)

    # -- copies -------------------------------------------------------------------------------------------------------

    @classmethod
    def is_lc_serializable(cls) -> bool:
        return True

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Return a copy with the options in `update`, which its embedder has too; `deep` changes nothing.

        Raises:
            InputError: an invalid option, or any option if this was made from an `Embedder`.
        """
        if not update:
            return cast("Self", self.__copy__())
        own: dict[str, Any] = {"model": self._embedder} if self._is_given else dict(self)
        return type(self)(**{**own, **update})

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return self.model_copy()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle to the settings: no weights, no client, no key."""
        return partial(type(self), **asdict(self._embedder.settings)), ()

    def __eq__(self, other: object) -> bool:
        return type(other) is type(self) and other._embedder.settings == self._embedder.settings

    def __hash__(self) -> int:
        return hash((type(self), self._embedder.settings))

    def __repr_args__(self) -> list[tuple[str, Any]]:
        """Show the options that were given, and nothing secret."""
        return list(self._embedder.settings.to_dict().items())


def as_embeddings(model: Model) -> Any:
    """Return LangChain embeddings that have an embedder, such as `cached` ones, as they are; else our embeddings.

    Raises:
        InputError: no embedder can be made of it.
    """
    if isinstance(model, Embeddings) and not isinstance(model, Embedder):
        embedder_of(model, "these embeddings are")
        return model
    return TwofoldEmbeddings(model)


def embedder_of(embeddings: Any, what: str) -> Embedder:
    """Return the embedder of LangChain embeddings; `what` begins the message for those that have none.

    Raises:
        InputError: they have none; for LangChain's own cache around ours, the message names `cached`.
    """
    embedder = getattr(embeddings, "embedder", None)
    if isinstance(embedder, Embedder):
        return embedder
    if isinstance(embeddings, Embedder):
        raise InputError(f"{what} an Embedder, which LangChain cannot give vectors by: open it with TwofoldEmbeddings")
    around = isinstance(getattr(getattr(embeddings, "underlying_embeddings", None), "embedder", None), Embedder)
    raise InputError(
        f"{what} {type(embeddings).__name__}, whose space is unknown: "
        + (
            "use langchain_twofold.cached(embeddings, byte_store), a cache that keeps models and sides apart"
            if around
            else "open it with TwofoldEmbeddings"
        )
    )


# -- vectors that exist already ---------------------------------------------------------------------------------------
#
# LangChain's stores take texts and ask their embeddings for the vectors; most have no method for existing ones. If the
# embeddings are ours, they hand out existing vectors while the store's own method runs. The store is neither copied nor
# changed, and no other thread or task sees these vectors.

Waiting: TypeAlias = "dict[str, deque[list[float]]]"

_WAITING: ContextVar[Waiting | None] = ContextVar("twofold_ready", default=None)


@contextmanager
def ready(texts: Sequence[str], vectors: Sequence[list[float]]) -> Iterator[None]:
    """Answer requests for the vectors of these texts with `vectors`; those of equal texts in their order.

    Raises:
        StoreError: at the end, if some were not asked for, so that it is unknown what the store has written.
    """
    waiting: Waiting = defaultdict(deque)
    for text, vector in zip(texts, vectors, strict=True):
        waiting[text].append(vector)
    token = _WAITING.set(waiting)
    try:
        yield
    finally:
        _WAITING.reset(token)
    if left := sum(map(len, waiting.values())):
        raise StoreError(
            f"it did not ask its embeddings for {left} of {len(texts)} vectors, and may have stored others"
        )


def take(texts: Sequence[str]) -> list[list[float]] | None:
    """The existing vectors of all these texts; None if some have to be computed."""
    waiting = _WAITING.get()
    if not waiting or Counter(texts) - Counter({text: len(vectors) for text, vectors in waiting.items()}):
        return None
    return [waiting[text].popleft() for text in texts]
