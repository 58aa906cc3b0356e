"""Chroma's embedding function.

- Chroma stores `get_config()` with the collection and builds the function from it again at every call, so building
  touches neither weights nor a network, and functions of the same settings share one embedder.
- A `base_url` is not stored, and none is read from what is stored: whoever can write to a collection would otherwise
  choose where the user's texts and key are sent. Such a collection is opened with the embedder that has the URL.
- `__call__` is the document side, `embed_query` the query side; both take and give lists.
- Chroma compares functions by name alone; `open_collection` compares spaces, and so does the function itself, at its
  first use by a collection that was opened natively.
- Chroma tells of an unknown function by its name alone, so that the name says what to import.
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

from twofold import Embedder, InputError, Settings, SpaceMismatch, SpaceRecord
from twofold.adapters import as_embedder, extra, options

with extra("chroma"):
    from chromadb.api.models.CollectionCommon import CollectionCommon
    from chromadb.api.types import Documents, EmbeddingFunction
    from chromadb.utils.embedding_functions import register_embedding_function

if TYPE_CHECKING:
    from types import FrameType

    from chromadb.api.types import Embeddings, Space

    from twofold.adapters import Model

RECORD = "twofold_record"
"""The collection's metadata field that holds its `SpaceRecord`."""

CONFIG_VERSION = 1
URL_WITHHELD = "base_url_withheld"


@register_embedding_function
class TwofoldEmbeddingFunction(EmbeddingFunction[Documents]):
    """A Twofold embedder as Chroma's embedding function.

    Args:
        model: an `Embedder`, or what one takes as its model, with its options as keywords.

    Raises:
        InputError: an option that no embedder takes, or a value that the model cannot take.
    """

    def __init__(self, model: Model, **options: Any) -> None:
        self.embedder = as_embedder(model, **options)
        self._url_withheld = False
        self._checked: set[tuple[str, str]] = set()

    def __call__(self, input: Documents) -> Embeddings:  # noqa: A002 - Chroma passes it by this name
        """Embed documents: a list of float32 arrays of shape (dimensions,).

        Raises:
            InputError: a text that cannot be embedded, or an embedder whose URL was not stored.
        """
        self._check(sys._getframe(1))  # noqa: SLF001 - see there
        return cast("Embeddings", list(self.embedder.embed_documents(input)))

    def embed_query(self, input: Documents) -> Embeddings:  # noqa: A002 - Chroma passes it by this name
        """Embed queries: a list of float32 arrays of shape (dimensions,)."""
        self._check(sys._getframe(1))  # noqa: SLF001 - see there
        return cast("Embeddings", list(self.embedder.embed_queries(input)))

    @staticmethod
    def name() -> str:
        """The name that collections store."""
        return "twofold (import chroma_twofold)"

    def default_space(self) -> Space:
        """Cosine, which ranks alike whether vectors are normalised or not."""
        return "cosine"

    def get_config(self) -> dict[str, Any]:
        """The embedder's settings that differ from their defaults: neither a key nor a URL."""
        config = {"config_version": CONFIG_VERSION, **self.embedder.settings.to_dict()}
        if config.pop("base_url", None) or self._url_withheld:
            config[URL_WITHHELD] = True
        return config

    @staticmethod
    def build_from_config(config: dict[str, Any]) -> TwofoldEmbeddingFunction:
        """The function that `get_config` described. A missing key, GPU or file shows at its first use, not here.

        Raises:
            InputError: see `validate_config`.
        """
        function = TwofoldEmbeddingFunction(_embedder(_settings(config)))
        function._url_withheld = bool(config.get(URL_WITHHELD))
        return function

    @staticmethod
    def validate_config(config: dict[str, Any]) -> None:
        """Refuse what `get_config` cannot have written.

        Raises:
            InputError: another version, an unknown option, a value that no embedder takes, or a URL.
        """
        _settings(config)

    def validate_config_update(self, old_config: dict[str, Any], new_config: dict[str, Any]) -> None:
        """Let how vectors are computed change, never their space.

        Raises:
            SpaceMismatch: a setting differs that makes other vectors; it is named.
        """
        old, new = (asdict(_settings(config)) for config in (old_config, new_config))
        changed = [option.name for option in options() if option.identity and old[option.name] != new[option.name]]
        if changed:
            listed = ", ".join(f"{name} (from {old[name]!r} to {new[name]!r})" for name in changed)
            raise SpaceMismatch(
                f"a collection's embedder cannot change in {listed}: embed its documents again into a new collection"
            )

    def __repr__(self) -> str:
        """The embedder's settings, and nothing secret."""
        return f"{type(self).__name__}({self.embedder!r})"

    def _check(self, caller: FrameType) -> None:
        """Refuse to work without a URL that was withheld, or for a collection of another space.

        Chroma does not say for which collection a function is called. It stands in the frames of the call, and its
        record is compared once.

        Raises:
            InputError: the URL is not known here.
            SpaceMismatch: the collection's vectors are of another space.
        """
        if self._url_withheld:
            raise InputError(
                "this collection's embedder has a base_url, and Chroma stores none: open it with "
                "chroma_twofold.open_collection(client, name, Embedder(..., base_url=...))"
            )
        collection = _calling(caller)
        record = (collection.metadata or {}).get(RECORD) if collection is not None else None
        if collection is None or record is None or (str(collection.id), str(record)) in self._checked:
            return
        try:
            self.embedder.check(SpaceRecord.from_json(str(record)))
        except SpaceMismatch as mismatch:
            raise SpaceMismatch(f"collection {collection.name!r}: {mismatch}") from None
        self._checked.add((str(collection.id), str(record)))


FRAMES = 8
"""How far up a call of Chroma's the collection stands; it is the sixth frame of 1.5.9 at most."""


def _calling(frame: FrameType | None) -> CollectionCommon[Any] | None:
    for _ in range(FRAMES):
        if frame is None:
            return None
        if isinstance(found := frame.f_locals.get("self"), CollectionCommon):
            return found
        frame = frame.f_back
    return None


def _settings(config: dict[str, Any]) -> Settings:
    known = {name: value for name, value in config.items() if name not in ("config_version", URL_WITHHELD)}
    if config.get("config_version") != CONFIG_VERSION:
        raise InputError(f"config_version={config.get('config_version')!r}: this Twofold reads {CONFIG_VERSION}")
    if "base_url" in known:
        raise InputError("a stored configuration may not name a base_url: give it to the Embedder")
    return Settings.from_dict(known)


@lru_cache(maxsize=32)
def _embedder(settings: Settings) -> Embedder:
    return Embedder.from_settings(settings)
