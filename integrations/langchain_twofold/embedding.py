"""`TwofoldEmbeddings`: an embedder as LangChain's `Embeddings`."""

from __future__ import annotations

from collections.abc import Callable  # noqa: TC003 - pydantic reads it
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any, Self, cast

from langchain_twofold.ready import take
from twofold import Embedder
from twofold.adapters import as_embedder, extra, option_fields

with extra("langchain"):
    from langchain_core.embeddings import Embeddings
    from pydantic import ConfigDict, Field, PrivateAttr, SecretStr, create_model

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from twofold import Document
    from twofold.adapters import FloatArray, Model

_Options: Any = create_model("_Options", **cast("Any", option_fields()))
"""Every option of an embedder as a field of pydantic's."""


class TwofoldEmbeddings(_Options, Embeddings):  # type: ignore[misc] # its fields are known when it runs
    """An embedder for LangChain, with the query and the document side each sent as the model was trained for.

    * `model` is what a `twofold.Embedder` takes, with any of its options beside it, or an `Embedder` that is made
      already; the key and the client are in no dump, no JSON and no pickle, and a loaded copy finds its key in the
      environment;
    * vectors are lists of python floats, of the core's values exactly; no texts give no vectors;
    * the async methods are the embedder's own, not a thread pool;
    * `embed_documents` never late-chunks, since a list of texts does not say where a document ends: see `late_chunk`.

    Raises:
        InputError: an option or a text that cannot be embedded; see `twofold.Embedder`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

    api_key: SecretStr | Callable[[], str] | str | None = Field(default=None, exclude=True, repr=False)
    http_client: Any = Field(default=None, exclude=True, repr=False)

    _embedder: Embedder = PrivateAttr()
    _is_given: bool = PrivateAttr()

    def __init__(self, model: Model, **options: Any) -> None:
        """Let the embedder check the options: its errors are `InputError`, pydantic's are not."""
        embedder = as_embedder(model, **options)
        key, client = options.get("api_key"), options.get("http_client")
        key = SecretStr(key) if isinstance(key, str) else key
        super().__init__(**asdict(embedder.settings), api_key=key, http_client=client)
        self._embedder, self._is_given = embedder, embedder in (model, getattr(model, "embedder", None))

    @property
    def embedder(self) -> Embedder:
        """The embedder itself, for its `space`, its numpy vectors and everything else that it does."""
        return self._embedder

    def embed_query(self, text: str) -> list[float]:
        """The vector of one query."""
        vector: list[float] = self._embedder.embed_query(text).tolist()
        return vector

    def embed_documents(self, texts: list[str]) -> list[list[float]]:
        """The vectors of documents, in the order of `texts`."""
        vectors: list[list[float]] = take(texts) or self._embedder.embed_documents(texts).tolist()
        return vectors

    def embed_late(self, documents: Iterable[Document], *, progress: bool = False) -> list[FloatArray]:
        """The vectors of each document's spans, late-chunked; see `Embedder.embed_late`."""
        return self._embedder.embed_late(documents, progress=progress)

    async def aembed_query(self, text: str) -> list[float]:
        """`embed_query`, without holding up the event loop."""
        vector: list[float] = (await self._embedder.aembed_query(text)).tolist()
        return vector

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """`embed_documents`, without holding up the event loop."""
        vectors: list[list[float]] = take(texts) or (await self._embedder.aembed_documents(texts)).tolist()
        return vectors

    async def aembed_late(self, documents: Iterable[Document], *, progress: bool = False) -> list[FloatArray]:
        """`embed_late`, without holding up the event loop."""
        return await self._embedder.aembed_late(documents, progress=progress)

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Make it anew with the options in `update`, so that its embedder has them too; `deep` changes nothing.

        Raises:
            InputError: a wrong option, or any where it was made of an `Embedder`.
        """
        if not update or self._is_given:
            return type(self)(self._embedder, **(update or {}))
        return type(self)(**{**dict(self), **update})

    def __copy__(self) -> Self:
        return self.model_copy()

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return self.model_copy()

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle to the settings: neither weights, nor a client, nor a key."""
        return partial(type(self), **asdict(self._embedder.settings)), ()

    def __repr_args__(self) -> list[tuple[str, Any]]:
        """Show the options that were given, and nothing secret."""
        return list(self._embedder.settings.to_dict().items())


def as_embeddings(model: Model) -> Any:
    """What has an embedder and is LangChain's already, as it is, `cached` ones too; anything else as our embeddings.

    Raises:
        InputError: it makes no embedder.
    """
    own = isinstance(model, Embeddings) and isinstance(getattr(model, "embedder", None), Embedder)
    return model if own else TwofoldEmbeddings(model)
