"""The options of an embedder as fields of a LlamaIndex component: what its cache, its dumps and pickle see."""

from __future__ import annotations

from dataclasses import asdict, fields
from typing import TYPE_CHECKING, Any, Self

from llama_index_twofold.cache import SidedCache
from twofold import Embedder, InputError, Settings
from twofold.extras import extra
from twofold.models import AUTO
from twofold.settings import Dtype, Encoding, Truncate

with extra("llama-index"):
    from llama_index.core.base.embeddings.base import BaseEmbedding
    from pydantic import Field, PrivateAttr

if TYPE_CHECKING:
    from collections.abc import Mapping

    from twofold.keys import KeySource

OPTIONS = frozenset(field.name for field in fields(Settings))


class EmbedderOptions(BaseEmbedding):
    """A `BaseEmbedding` that holds an embedder made of its fields, and stays true to them."""

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
    embed_batch_size: int = Field(default=512, gt=0, le=2048)

    if TYPE_CHECKING:  # arguments of the constructor, kept in no field
        api_key: KeySource = None
        http_client: Any = None

    _embedder: Embedder = PrivateAttr()
    _given: dict[str, Any] = PrivateAttr()

    def __init__(self, model: str, *, api_key: KeySource = None, http_client: Any = None, **options: Any) -> None:
        """Let the embedder check the options: its errors are `InputError`, pydantic's are not."""
        options.pop("class_name", None)  # of a dump
        if options.pop("model_name", model) != model:
            raise InputError("model_name follows model: give model alone")
        host = {name: options.pop(name) for name in BaseEmbedding.model_fields if name in options}
        embedder = Embedder(model, api_key=api_key, http_client=http_client, **options)
        super().__init__(**asdict(embedder.settings), **host, model_name=embedder.settings.model)
        self._embedder = embedder
        self._given = {"api_key": api_key, "http_client": http_client}
        self.embeddings_cache = self.embeddings_cache  # behind its guard

    def __getstate__(self) -> dict[str, Any]:
        """Pickle to the fields: neither weights, nor a client, nor a key."""
        return {**super().__getstate__(), "__pydantic_private__": None}

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """Make it anew with the options in `update`, so that its embedder has them too; `deep` changes nothing."""
        options = {name: value for name, value in self if name != "model_name"}
        return type(self)(**{**options, **self._given, **(update or {})})

    def __copy__(self) -> Self:
        return self.model_copy()

    def __deepcopy__(self, memo: dict[int, Any] | None = None) -> Self:
        return self.model_copy()

    def __setattr__(self, name: str, value: Any) -> None:
        """Guard the cache; refuse to change an option, which the embedder would not see."""
        if name in OPTIONS:
            raise InputError(f"{name} can not be changed: make another, as model_copy(update={{{name!r}: …}}) does")
        if name == "embeddings_cache" and value is not None:
            value = SidedCache(value, self._embedder)
        super().__setattr__(name, value)
