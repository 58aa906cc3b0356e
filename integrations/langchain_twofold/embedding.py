"""`TwofoldEmbeddings`: an embedder as LangChain's `Embeddings`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from typing import TYPE_CHECKING, Any, Self

from twofold import Embedder
from twofold.extras import extra
from twofold.models import AUTO
from twofold.settings import Dtype, Encoding, Truncate

with extra("langchain"):
    from langchain_core.embeddings import Embeddings
    from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, SecretStr

if TYPE_CHECKING:
    from collections.abc import Mapping


class TwofoldEmbeddings(BaseModel, Embeddings):
    """An embedder for LangChain, with the query and the document side each sent as the model was trained for.

    * every option is that of a `twofold.Embedder`, by the same name; the key and the client are in no dump, no JSON
      and no pickle, and a loaded copy finds its key in the environment;
    * vectors are lists of python floats, of the core's values exactly; no texts give no vectors;
    * the async methods are the embedder's own, not a thread pool;
    * `embed_documents` never late-chunks, since a list of texts does not say where a document ends: see `late_chunk`.

    Raises:
        InputError: an option or a text that can not be embedded; see `twofold.Embedder`.
    """

    model_config = ConfigDict(extra="forbid", frozen=True, hide_input_in_errors=True)

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
    api_key: SecretStr | Callable[[], str] | str | None = Field(default=None, exclude=True, repr=False)
    http_client: Any = Field(default=None, exclude=True, repr=False)

    _embedder: Embedder = PrivateAttr()

    if not TYPE_CHECKING:  # type checkers read the fields above

        def __init__(self, **options: Any) -> None:
            """Let the embedder check the options: its errors are `InputError`, pydantic's are not."""
            embedder = Embedder(**options)
            key, client = options.get("api_key"), options.get("http_client")
            key = SecretStr(key) if isinstance(key, str) else key
            super().__init__(**asdict(embedder.settings), api_key=key, http_client=client)
            self._embedder = embedder

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
        vectors: list[list[float]] = self._embedder.embed_documents(texts).tolist()
        return vectors

    async def aembed_query(self, text: str) -> list[float]:
        """`embed_query`, without holding up the event loop."""
        vector: list[float] = (await self._embedder.aembed_query(text)).tolist()
        return vector

    async def aembed_documents(self, texts: list[str]) -> list[list[float]]:
        """`embed_documents`, without holding up the event loop."""
        vectors: list[list[float]] = (await self._embedder.aembed_documents(texts)).tolist()
        return vectors

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Make it anew with the options in `update`, so that its embedder has them too; `deep` changes nothing."""
        return type(self)(**{**dict(self), **(update or {})})

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
