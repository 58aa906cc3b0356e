"""Chroma's embedding function.

- Chroma stores `get_config()` with the collection and rebuilds the function from it at almost every call. Building
  therefore loads no weights and opens no connection, and functions with equal settings share one embedder.
- A `base_url` is neither stored nor accepted from a stored configuration: anyone who can write to a collection could
  otherwise choose where the user's texts and key are sent. Open such a collection with the embedder that has the URL.
- `__call__` embeds documents, `embed_query` embeds queries. Both take and return lists.
- Chroma reports an unknown function by its name alone, so the name says what to import.

Chroma itself compares functions only by name. How this function knows the space of a collection's vectors:

- `open_collection` compares the collection's record, and gives the collection a function that holds this record.
- A function that Chroma rebuilds finds the record in its configuration and compares it at its first use. A collection
  created by Chroma's own `create_collection` has no record yet. Its configuration has the settings, and the space if
  the embedder had computed it by then.
- A function passed to Chroma's `get_collection` learns of its collection only from the call stack. It compares the
  record, or else the stored configuration, of the collection that is calling it. If it runs in another thread, where
  it finds no collection, it warns once.
"""

from __future__ import annotations

import json
import sys
import threading
import warnings
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Unpack, cast
from weakref import WeakKeyDictionary

from twofold import Embedder, InputError, Settings, Space, SpaceMismatch, SpaceRecord, TwofoldWarning
from twofold.adapters import as_embedder, embed_texts, extra, mismatch_message, options

with extra("chroma"):
    from chromadb.api.models.CollectionCommon import CollectionCommon
    from chromadb.api.types import Documents, EmbeddingFunction
    from chromadb.utils.embedding_functions import register_embedding_function

if TYPE_CHECKING:
    from collections.abc import Mapping
    from types import FrameType

    from chromadb.api.types import Embeddings
    from chromadb.api.types import Space as Distance

    from twofold.adapters import Model, Options

RECORD = "twofold_record"
"""The field of the collection's metadata, and of the stored configuration, that holds the `SpaceRecord`."""

SPACE = "twofold_space"
"""The field of the stored configuration that holds the `Space` of a function without a record."""

CONFIG_VERSION = 1
URL_WITHHELD = "base_url_withheld"


@register_embedding_function
class TwofoldEmbeddingFunction(EmbeddingFunction[Documents]):
    """A Twofold embedder as Chroma's embedding function.

    Args:
        model: an `Embedder`, or the model of a new one.
        options: the options of a new `Embedder`.

    Raises:
        InputError: an unknown option, or a value that the model does not accept.
    """

    def __init__(self, model: Model, **options: Unpack[Options]) -> None:
        self.embedder = as_embedder(model, **options)
        self._url_withheld = False
        self._record: str | None = None
        self._space: str | None = None

    @classmethod
    def with_record(cls, embedder: Embedder, record: str | None) -> TwofoldEmbeddingFunction:
        """Return the function of one collection, which holds the collection's record."""
        function = cls(embedder)
        function._record = record
        return function

    def __call__(self, input: Documents) -> Embeddings:  # noqa: A002 - Chroma passes it by this name
        """Embed documents: a list of float32 arrays of shape (dimensions,).

        A blank text gets the vector of the empty text, with a warning, so that it does not stop an ingestion.

        Raises:
            InputError: a text that cannot be embedded, or an embedder whose URL was not stored.
            SpaceMismatch: the collection's vectors are of another space.
        """
        self._check()
        return cast("Embeddings", list(embed_texts(self.embedder, "document", input)))

    def embed_query(self, input: Documents) -> Embeddings:  # noqa: A002 - Chroma passes it by this name
        """Embed queries: a list of float32 arrays of shape (dimensions,). Raises the errors of `__call__`."""
        self._check()
        return cast("Embeddings", list(embed_texts(self.embedder, "query", input)))

    @staticmethod
    def name() -> str:
        """The name that collections store."""
        return "twofold (import chroma_twofold)"

    def default_space(self) -> Distance:
        """Cosine: the ranking is the same whether vectors are normalised or not."""
        return "cosine"

    def get_config(self) -> dict[str, Any]:
        """Return the settings that differ from their defaults, and the record or space if known; no key and no URL.

        Raises:
            SpaceMismatch: a collection is about to store this configuration in place of one of another space.
        """
        config = {"config_version": CONFIG_VERSION, **self.embedder.settings.to_dict()}
        if config.pop("base_url", None) or self._url_withheld:
            config[URL_WITHHELD] = True
        space = self._space or _known_space(self.embedder)
        if self._record is not None:
            config[RECORD] = self._record
        elif space is not None:
            config[SPACE] = space
        # Chroma's `modify` sends the new configuration to the server before it calls `validate_config_update`
        if (collection := _calling(sys._getframe(1))) and (stored := stored_config(collection.configuration_json)):  # noqa: SLF001
            self.validate_config_update(stored, config)
            config = {**{field: stored[field] for field in (RECORD, SPACE) if field in stored}, **config}
        return config

    @staticmethod
    def build_from_config(config: dict[str, Any]) -> TwofoldEmbeddingFunction:
        """Build the function that `get_config` described. A missing key, GPU or file raises at the first use, not here.

        Raises:
            InputError: see `validate_config`.
        """
        function = TwofoldEmbeddingFunction(_embedder(_settings(config)))
        function._url_withheld = bool(config.get(URL_WITHHELD))
        function._record, function._space = config.get(RECORD), config.get(SPACE)
        return function

    @staticmethod
    def validate_config(config: dict[str, Any]) -> None:
        """Reject a configuration that `get_config` cannot have written.

        Raises:
            InputError: another version, an unknown option, an invalid value, or a URL.
        """
        _settings(config)

    def validate_config_update(self, old_config: Mapping[str, Any], new_config: Mapping[str, Any]) -> None:
        """Accept settings that change how vectors are computed, and reject those that change the space.

        Raises:
            SpaceMismatch: a setting of the space differs; the message names it.
        """
        if changed := _changed(_settings(old_config), _settings(new_config)):
            listed = ", ".join(f"{name} (from {old!r} to {new!r})" for name, (old, new) in changed.items())
            raise SpaceMismatch(
                f"a collection's embedder cannot change in {listed}: embed its documents again into a new collection"
            )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.embedder!r})"

    def _check(self) -> None:
        """Reject a missing URL, and a collection of another space.

        Raises:
            InputError: the URL was not stored.
            SpaceMismatch: the collection's vectors are of another space.
        """
        if self._url_withheld:
            raise InputError(
                "this collection's embedder has a base_url, which Chroma does not store: open the collection with "
                "chroma_twofold.open_collection(client, name, Embedder(..., base_url=...))"
            )
        if self._record is not None:
            _check_record(self.embedder, self._record)
        elif self._space is not None:
            _check_space(self.embedder, self._space)
        collection = _calling(sys._getframe(2)) or self._calling_elsewhere()  # noqa: SLF001 - see the module's docstring
        if collection is not None:
            try:
                check_stored(self.embedder, collection.metadata, collection.configuration_json)
            except SpaceMismatch as mismatch:
                raise SpaceMismatch(f"collection {collection.name!r}: {mismatch}") from None

    def _calling_elsewhere(self) -> CollectionCommon[Any] | None:
        """Return the collection that is waiting for this function in another thread, or warn if that is unknown."""
        if self._record is not None:
            return None
        own = threading.get_ident()
        frames = [frame for thread, frame in sys._current_frames().items() if thread != own]  # noqa: SLF001
        others = [found for frame in frames if (found := _calling(frame)) is not None]
        mine = next((one for one in others if one._embedding_function is self), None)  # noqa: SLF001
        if others and mine is None:
            _warn_unchecked()
        return mine


def stored_config(configuration: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the configuration of our function that a collection stores, or an empty one."""
    function = configuration.get("embedding_function") or {}
    config: Mapping[str, Any] | None = function.get("config")
    return config if config and function.get("name") == TwofoldEmbeddingFunction.name() else {}


def stored_record(metadata: Mapping[str, Any] | None, configuration: Mapping[str, Any]) -> str | None:
    """Return the record that a collection has, in its metadata or in the configuration of its function.

    Raises:
        SpaceMismatch: the two are of different spaces.
    """
    named: str | None = (metadata or {}).get(RECORD)
    configured: str | None = stored_config(configuration).get(RECORD)
    if named is None or configured is None or named == configured:
        return configured if named is None else named
    one, other = SpaceRecord.from_json(named).space, SpaceRecord.from_json(configured).space
    if differences := one.differences(other):
        listed = "".join(f"\n  {line}" for line in differences)
        raise SpaceMismatch(
            f"its metadata has the record of {one.tag}, its stored configuration that of {other.tag}; they differ in "
            f"(metadata and configuration):{listed}\nRemove the field {RECORD!r} from the metadata if the "
            "configuration is right, or embed the documents again into a new collection."
        )
    return named


def check_stored(embedder: Embedder, metadata: Mapping[str, Any] | None, configuration: Mapping[str, Any]) -> None:
    """Check that a collection was written by `embedder`, as far as the collection says what wrote it.

    Raises:
        SpaceMismatch: its record, or the stored configuration of its function, is of another space.
    """
    config = stored_config(configuration)
    if (record := stored_record(metadata, configuration)) is not None:
        _check_record(embedder, record)
    elif SPACE in config:
        _check_space(embedder, config[SPACE])
    elif config:
        _check_settings(embedder, _settings(config))


_checked: WeakKeyDictionary[Embedder, set[str]] = WeakKeyDictionary()
"""The records that an embedder has passed: Chroma builds a new function for almost every call."""


def _check_record(embedder: Embedder, record: str) -> None:
    passed = _checked.setdefault(embedder, set())
    if record not in passed:
        embedder.check(SpaceRecord.from_json(record))
        passed.add(record)


def _check_space(embedder: Embedder, space: str) -> None:
    _same_space(Space.from_json(space), embedder.space)


def _same_space(stored: Space, current: Space) -> None:
    if differences := stored.differences(current):
        raise SpaceMismatch(mismatch_message(stored, current, differences))


def _check_settings(embedder: Embedder, stored: Settings) -> None:
    """Compare the settings that decide the space. Loads no other model than the embedder's own."""
    changed = _changed(stored, embedder.settings)
    if {"model", "revision"} & set(changed):
        listed = "".join(f"\n  {name}: {old!r} and {new!r}" for name, (old, new) in changed.items())
        raise SpaceMismatch(
            f"it was made for an embedder with other settings (stored and current):{listed}\nOpen it with those "
            "settings, once by chroma_twofold.open_collection, which stores the space; or embed its documents again "
            "into a new collection."
        )
    if changed:  # two settings may say the same, for example no dimensions and the model's width
        other = embedder.with_options(**{name: old for name, (old, _) in changed.items()})
        _same_space(other.space, embedder.space)


def _changed(old: Settings, new: Settings) -> dict[str, tuple[Any, Any]]:
    """Return the settings of the space that differ, with both values."""
    both = {each.name: (getattr(old, each.name), getattr(new, each.name)) for each in options() if each.identity}
    return {name: (one, other) for name, (one, other) in both.items() if one != other}


def _known_space(embedder: Embedder) -> str | None:
    """Return the embedder's space if it was computed before; computing it here would read the weights."""
    space = vars(embedder).get("space")
    return space.to_json() if isinstance(space, Space) else None


def _calling(frame: FrameType | None) -> CollectionCommon[Any] | None:
    """Return the nearest collection one of whose methods is running in `frame` or above."""
    while frame is not None:
        code = frame.f_code
        first = frame.f_locals.get(code.co_varnames[0]) if code.co_argcount else None
        if isinstance(first, CollectionCommon) and any(
            getattr(vars(kind).get(code.co_name), "__code__", None) is code for kind in type(first).__mro__
        ):
            return first
        frame = frame.f_back
    return None


_warned = False


def _warn_unchecked() -> None:
    global _warned  # noqa: PLW0603 - once a process, whatever filters say
    if not _warned:
        _warned = True
        warnings.warn(
            "an embedding function of Twofold runs in another thread than the Chroma collection that asked for it, so "
            "the collection's space is not checked: open the collection with chroma_twofold.open_collection",
            TwofoldWarning,
            stacklevel=4,
        )


_NOT_SETTINGS = ("config_version", URL_WITHHELD, RECORD, SPACE)


def _settings(config: Mapping[str, Any]) -> Settings:
    known = {name: value for name, value in config.items() if name not in _NOT_SETTINGS}
    if config.get("config_version") != CONFIG_VERSION:
        raise InputError(f"config_version={config.get('config_version')!r}: this Twofold reads {CONFIG_VERSION}")
    if "base_url" in known:
        raise InputError("a stored configuration cannot name a base_url: pass it to the Embedder")
    return _parse_settings(json.dumps(known, sort_keys=True, default=repr))


@lru_cache(maxsize=32)  # Chroma builds a new function for almost every call
def _parse_settings(known: str) -> Settings:
    return Settings.from_dict(json.loads(known))


@lru_cache(maxsize=32)
def _embedder(settings: Settings) -> Embedder:
    return Embedder.from_settings(settings)
