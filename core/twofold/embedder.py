"""`Embedder`: the public API. One embedder, two sides."""

from __future__ import annotations

import asyncio
import re
import sys
import threading
import warnings
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from functools import cached_property, wraps
from inspect import iscoroutinefunction, signature
from typing import TYPE_CHECKING, Any, Self, TypeVar, Unpack

import numpy as np

from twofold import vectors
from twofold.backend import CALLER, Estimate, Requesting, running_loop
from twofold.cache import Lookup, VectorCache
from twofold.documents import BLANK, Document, check_documents, check_text, check_texts, is_blank, span_counts
from twofold.errors import BlankWarning, InputError, ProviderError
from twofold.keys import Key
from twofold.models import AUTO, warn_untrained
from twofold.progress import reporting
from twofold.resolve import known_card, load_backend
from twofold.settings import OTHER_METHODS, OTHER_WORDS, Settings, check_names, options
from twofold.space import CANARIES, Space, SpaceRecord

if TYPE_CHECKING:
    import os
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from twofold.backend import Backend, Report
    from twofold.keys import KeySource
    from twofold.models import ModelCard, Side, Task
    from twofold.settings import Dtype, Encoding, Options, Truncate
    from twofold.vectors import FloatArray

    Method = TypeVar("Method", bound=Callable[..., Any])


def _checks_options(constructor: Method) -> Method:
    """Answer an unknown option with an `InputError` that names the right one, and hide the key from tracebacks."""

    @wraps(constructor)
    def construct(
        self: Embedder, *model: Any, api_key: KeySource = None, http_client: Any = None, **given: Any
    ) -> None:
        key = Key(api_key)
        del api_key  # a traceback may show the local variables of this frame
        check_names(given)
        constructor(self, *model, api_key=key, http_client=http_client, **given)

    return construct  # type: ignore[return-value] # it has the constructor's signature


def _checks_words(method: Method) -> Method:
    """Answer another library's argument ("late_chunking", "batch_size") with ours, instead of Python's bare message."""
    known = signature(method).parameters

    def check(given: Iterable[str]) -> None:
        for word in given:
            if word in OTHER_WORDS and word not in known:
                raise TypeError(f"{method.__name__}() has no argument {word!r}: {OTHER_WORDS[word]}")

    if iscoroutinefunction(method):

        @wraps(method)
        async def acall(self: Embedder, *args: Any, **given: Any) -> Any:
            check(given)
            return await method(self, *args, **given)

        return acall  # type: ignore[return-value] # it has the method's signature

    @wraps(method)
    def call(self: Embedder, *args: Any, **given: Any) -> Any:
        check(given)
        return method(self, *args, **given)

    return call  # type: ignore[return-value] # it has the method's signature


@dataclass(frozen=True, slots=True)
class _Facts:
    """What the settings and the model's card decide together."""

    card: ModelCard
    dimensions: int
    query: Task
    document: Task


class Embedder:
    """Turns text into vectors, encoding queries and documents the way the model was trained.

    Creating an embedder is cheap: weights are loaded and connections opened at the first use, and a process loads the
    same weights once. Its repr and its pickle hold the settings and no secret. Threads may share an embedder.

    Args:
        model: A hub id ("jinaai/jina-embeddings-v3"), a checkpoint folder, or a hosted model
            ("jina:jina-embeddings-v3").
        dimensions: Vector size, from 1 to the model's width; the width by default.
        query_task: The model's task for queries; 'auto' takes it from the model card, none is the bare model.
        document_task: The model's task for documents; 'auto' takes it from the model card, none is the bare
            model.
        query_instruction: Text put before each query, instead of the task's own.
        document_instruction: Text put before each document, instead of the task's own.
        normalize: Scale vectors to unit length.
        truncate: Reject a text over the model's length ('error'), or cut its end ('end').
        query_truncate: Like truncate, for queries only; the same as truncate by default.
        batch_tokens: Tokens per batch (local) or request (hosted).
        batch_items: Texts per hosted request; the provider's limit by default.
        batch_bytes: Bytes of text per hosted request; the provider's limit by default.
        late_window: Tokens per pass over a long document in late chunking; the model's length by default.
        late_overlap: Tokens that two such passes share; 512 by default, and at most half a window.
        device: auto, cpu, cuda, cuda:1 or mps; local models only.
        dtype: What a local model computes in; 'auto' is bfloat16 where the hardware supports it, else float32.
        merge_adapters: Keep a copy of a local model's layers for each side, with its adapter merged: faster,
            but more memory.
        revision: A commit, tag or branch of a hub id.
        api_key_env: The environment variable that holds a hosted model's key.
        base_url: A server that speaks the provider's API.
        timeout: Seconds for a whole hosted call, retries included.
        max_outage: Seconds to wait for an unavailable provider; the whole timeout by default.
        concurrency: Hosted requests in flight at once.
        encoding: How a hosted model sends vectors; 'binary' and 'ubinary' keep only the sign of each value.
        cache: A folder that keeps vectors, so that no text is embedded twice.
        served_as: The name under which a gateway serves the model, if it has another.
        api_key: The key of a hosted model: a string, or a callable that is called before each request.
        http_client: Your own httpx client, sync or async, for proxies and certificates.

    Raises:
        InputError: an unknown option, or a value that the model does not support. A model with a known card is checked
            now, any other at its first use.
    """

    @_checks_options
    def __init__(
        self,
        model: str | os.PathLike[str],
        *,
        dimensions: int | None = None,
        query_task: str | None = AUTO,
        document_task: str | None = AUTO,
        query_instruction: str | None = None,
        document_instruction: str | None = None,
        normalize: bool = True,
        truncate: Truncate = "error",
        query_truncate: Truncate | None = None,
        batch_tokens: int | None = None,
        batch_items: int | None = None,
        batch_bytes: int | None = None,
        late_window: int | None = None,
        late_overlap: int | None = None,
        device: str = "auto",
        dtype: Dtype = "auto",
        merge_adapters: bool = False,
        revision: str | None = None,
        api_key_env: str | None = None,
        base_url: str | None = None,
        timeout: float = 600.0,
        max_outage: float | None = None,
        concurrency: int = 4,
        encoding: Encoding = "auto",
        cache: str | os.PathLike[str] | None = None,
        served_as: str | None = None,
        api_key: KeySource = None,
        http_client: Any = None,
    ) -> None:
        given = locals()
        self.settings = Settings(**{option.name: given[option.name] for option in options()})
        self._key = Key(api_key, self.settings.api_key_env)
        self._http_client = http_client
        self._loading = threading.Lock()
        self._backend: Backend | None = None
        self._known: _Facts | None = None
        if (card := known_card(self.settings.model)) is not None:
            self._check_options(card, tasks=not card.has_more_tasks)
        _answer_langchain()

    @classmethod
    def from_settings(cls, settings: Settings, *, api_key: KeySource = None, http_client: Any = None) -> Self:
        """Create an embedder from `settings`, for example from a stored configuration."""
        return cls(**asdict(settings), api_key=api_key, http_client=http_client)

    def with_options(self, *, model: str | os.PathLike[str] | None = None, **options: Unpack[Options]) -> Self:
        """Return an embedder with these options changed. Unless given, its key and client are those of this one.

        Raises:
            InputError: see `Embedder`.
        """
        same = {**asdict(self.settings), "api_key": self._key, "http_client": self._http_client}
        return type(self)(**{**same, **options, "model": self.settings.model if model is None else model})

    def check_travels(self) -> None:
        """Check that another machine can recreate this embedder from its pickle.

        Raises:
            InputError: it was given a key or a client, which stay in this process.
        """
        if self._key.is_given:
            raise InputError(
                "a key that is passed as api_key stays in its process: set the provider's environment variable, or "
                "that of api_key_env, on every machine"
            )
        if self._http_client is not None:
            raise InputError("an http_client stays in its process: other machines cannot use it")

    # -- the model ----------------------------------------------------------------------------------------------------

    @property
    def backend(self) -> Backend:
        """What computes the vectors; created at the first use."""
        if self._backend is None:
            with self._loading:
                if self._backend is None:
                    backend = load_backend(self.settings, self._key, self._http_client)
                    self._check_options(backend.card)
                    self._backend = backend
        return self._backend

    @property
    def card(self) -> ModelCard:
        """The model's card: width, length, tasks, licence."""
        return self._facts.card

    @property
    def dimensions(self) -> int:
        """The size of the vectors."""
        return self._facts.dimensions

    @property
    def query_task(self) -> Task:
        """How queries are encoded."""
        return self._facts.query

    @property
    def document_task(self) -> Task:
        """How documents are encoded."""
        return self._facts.document

    @cached_property
    def space(self) -> Space:
        """The identity of the vectors; see `Space`. The first access reads the weight files to digest them."""
        card, settings = self.card, self.settings
        return Space(
            model=card.name,
            weights=self.backend.weights_digest,
            provider=self.backend.provider,
            query_task=self.query_task.name,
            query_prefix=self.query_task.prefix,
            document_task=self.document_task.name,
            document_prefix=self.document_task.prefix,
            dimensions=self.dimensions,
            width=card.width,
            pooling=card.pooling,
            normalized=settings.normalize,
            quantisation="binary" if settings.encoding in {"binary", "ubinary"} else None,
        )

    def record(self) -> SpaceRecord:
        """The space and its canary vectors, to store beside the vectors. Embeds a few short texts."""
        return SpaceRecord(self.space, self._canaries())

    def check(self, record: SpaceRecord) -> None:
        """Check that this embedder may search and extend vectors that were stored with `record`.

        Raises:
            SpaceMismatch: they belong to another space. The message names both spaces and the differences.
            InputError: `record` is not a `SpaceRecord`.
        """
        _as_record(record).require(self.space, self._canaries)

    async def arecord(self) -> SpaceRecord:
        """Async version of `record`."""
        return SpaceRecord((await self._ready()).space, await self._acanaries())

    async def acheck(self, record: SpaceRecord) -> None:
        """Async version of `check`."""
        stored, space = _as_record(record), (await self._ready()).space
        canaries = await self._acanaries() if stored.space.relation(space) == "unproven" else None
        stored.require(space, lambda: self._canaries() if canaries is None else canaries)

    @_checks_words
    def count_tokens(self, texts: Iterable[str], *, task: str | None = AUTO) -> list[int]:
        """Count the tokens of each text as the model sees it; "auto" counts it as a document."""
        chosen = self.document_task if task == AUTO else self.card.task(task)
        return self.backend.count_tokens(check_texts(texts), chosen)

    @_checks_words
    async def acount_tokens(self, texts: Iterable[str], *, task: str | None = AUTO) -> list[int]:
        """Async version of `count_tokens`."""
        return await asyncio.to_thread(self.count_tokens, check_texts(texts), task=task)

    @_checks_words
    def estimate(self, texts: Iterable[str | Document], *, side: Side = "document") -> Estimate:
        """Estimate the requests, the tokens and, where the price is known, the cost of embedding `texts`.

        Nothing is embedded and no key is needed, except that a model known only to its server is asked for the vector
        of one word. A local model sends no requests and costs nothing. Texts in the cache are not counted.

        Raises:
            InputError: a text that embedding would reject.
        """
        items = check_texts(texts) if isinstance(texts, str) else list(texts)  # check_texts rejects a single string
        documents = [
            item if isinstance(item, Document) else Document.whole(check_text(item, index))
            for index, item in enumerate(items)
        ]
        task = self.query_task if side == "query" else self.document_task
        if (lookup := self._look_up(documents, side)) is not None:
            documents = list(lookup.missing.values())
        if isinstance(self.backend, Requesting):
            return self.backend.estimate(documents, task, self.dimensions, truncate=self._truncate(side))
        tokens = sum(self.backend.count_tokens([document.text for document in documents], task)) if documents else 0
        return Estimate(texts=len(documents), requests=0, tokens=tokens, least=tokens, exact=True, cost=0.0)

    # -- embedding ----------------------------------------------------------------------------------------------------

    @_checks_words
    def embed_query(self, text: str) -> FloatArray:
        """Embed one query. Returns shape (dimensions,).

        Raises:
            InputError: see `embed_documents`; also for a list.
        """
        return self._embed([Document.whole(text)], self.query_task, "query").reshape(-1)

    @_checks_words
    def embed_queries(self, texts: Iterable[str], *, progress: bool = False) -> FloatArray:
        """Embed queries. Returns shape (n, dimensions), in the order of `texts`."""
        return self._embed(_whole(texts), self.query_task, "query", progress)

    @_checks_words
    def embed_documents(self, texts: Iterable[str], *, progress: bool = False) -> FloatArray:
        """Embed documents. Returns shape (n, dimensions), in the order of `texts`.

        Raises:
            InputError: a text is empty or blank, too long for the model, has a lone surrogate, or is not a string.
                The message names its index, and nothing has been embedded.
            ProviderError: a hosted model failed; its `partial` has the finished vectors.
        """
        return self._embed(_whole(texts), self.document_task, "document", progress)

    @_checks_words
    def embed_chunks(self, chunks: Iterable[str]) -> FloatArray:
        """Embed the consecutive chunks of ONE document by late chunking. Returns shape (n, dimensions).

        The whole document goes through the model, so each chunk knows its context. Chunks are joined as they are, so
        keep the white space between them: "a" and "b" become one word, "ab".
        """
        with _naming_chunks():
            return self._embed([Document.from_chunks(chunks)], self.document_task, "document")

    @_checks_words
    def embed_late(self, documents: Iterable[Document], *, progress: bool = False) -> list[FloatArray]:
        """Embed the spans of documents by late chunking. Returns an array of shape (n_spans, dimensions) for each."""
        documents = check_documents(documents)
        return _split(self._embed(documents, self.document_task, "document", progress), documents)

    @_checks_words
    def embed(self, texts: Iterable[str], *, task: str | None, progress: bool = False) -> FloatArray:
        """Embed texts with any task of the model; None is the bare model. Returns shape (n, dimensions)."""
        return self._embed(_whole(texts), self.card.task(task), None, progress)

    @_checks_words
    async def aembed_query(self, text: str) -> FloatArray:
        """Async version of `embed_query`."""
        documents = [Document.whole(text)]
        task = (await self._loaded()).query_task
        return (await self._aembed(documents, task, "query")).reshape(-1)

    @_checks_words
    async def aembed_queries(self, texts: Iterable[str], *, progress: bool = False) -> FloatArray:
        """Async version of `embed_queries`."""
        return await self._aembed(_whole(texts), (await self._loaded()).query_task, "query", progress)

    @_checks_words
    async def aembed_documents(self, texts: Iterable[str], *, progress: bool = False) -> FloatArray:
        """Async version of `embed_documents`."""
        return await self._aembed(_whole(texts), (await self._loaded()).document_task, "document", progress)

    @_checks_words
    async def aembed_chunks(self, chunks: Iterable[str]) -> FloatArray:
        """Async version of `embed_chunks`."""
        with _naming_chunks():
            return await self._aembed([Document.from_chunks(chunks)], (await self._loaded()).document_task, "document")

    @_checks_words
    async def aembed_late(self, documents: Iterable[Document], *, progress: bool = False) -> list[FloatArray]:
        """Async version of `embed_late`."""
        documents = check_documents(documents)
        task = (await self._loaded()).document_task
        return _split(await self._aembed(documents, task, "document", progress), documents)

    @_checks_words
    async def aembed(self, texts: Iterable[str], *, task: str | None, progress: bool = False) -> FloatArray:
        """Async version of `embed`."""
        return await self._aembed(_whole(texts), (await self._loaded()).card.task(task), None, progress)

    def __call__(self, texts: Iterable[str]) -> list[list[float]]:
        """`embed_documents` as lists, for code that takes a function of texts, if queries are encoded the same way.

        Raises:
            InputError: the model encodes queries and documents differently, which a function of texts cannot do.
        """
        if (self.query_task, self._truncate("query")) != (self.document_task, self._truncate("document")):
            raise InputError(
                f"{self.card.label} encodes queries and documents differently, but a function has only one side: "
                "import LangChain or langgraph before the embedder is created, or pass "
                "langchain_twofold.TwofoldEmbeddings"
            )
        rows: list[list[float]] = self.embed_documents(texts).tolist()
        return rows

    # -- computing ----------------------------------------------------------------------------------------------------

    def _embed(
        self, documents: Sequence[Document], task: Task, side: Side | None, progress: bool = False
    ) -> FloatArray:
        """Embed checked documents. `side` is None for a task of neither side, which is never cached."""
        if not documents:
            return np.empty((0, self.dimensions), np.float32)
        lookup = self._look_up(documents, side)
        if lookup is None:
            return self._compute(documents, task, side, progress)
        if missing := list(lookup.missing.values()):
            with self._salvaging(lookup):
                rows = self._compute(missing, task, side, progress)
            self._cache.put(lookup.filled(_split(rows, missing)))
        return np.concatenate(lookup.arrays())

    async def _aembed(
        self, documents: Sequence[Document], task: Task, side: Side | None, progress: bool = False
    ) -> FloatArray:
        running_loop()
        if not documents:
            return np.empty((0, self.dimensions), np.float32)
        lookup = None
        if self.settings.cache is not None and side is not None:
            await self._ready()
            lookup = await asyncio.to_thread(self._look_up, documents, side)
        if lookup is None:
            return await self._acompute(documents, task, side, progress)
        if missing := list(lookup.missing.values()):
            with self._salvaging(lookup):
                rows = await self._acompute(missing, task, side, progress)
            await asyncio.to_thread(self._cache.put, lookup.filled(_split(rows, missing)))
        return np.concatenate(lookup.arrays())

    def _compute(self, documents: Sequence[Document], task: Task, side: Side | None, progress: bool) -> FloatArray:
        cut = self._truncate(side)
        with self._watching(len(documents), progress) as report:
            raw = self.backend.embed(documents, task, self.dimensions, truncate=cut, report=report)
        return self._finish(raw, sum(span_counts(documents)))

    async def _acompute(
        self, documents: Sequence[Document], task: Task, side: Side | None, progress: bool
    ) -> FloatArray:
        cut = self._truncate(side)
        with self._watching(len(documents), progress) as report:
            raw = await self.backend.aembed(documents, task, self.dimensions, truncate=cut, report=report)
        return self._finish(raw, sum(span_counts(documents)))

    @contextmanager
    def _watching(self, count: int, progress: bool) -> Iterator[Report | None]:
        """Show progress if asked to, and finish the vectors that a provider sent before it failed."""
        try:
            if progress:
                with reporting(count) as report:
                    yield report
            else:
                yield None
        except ProviderError as error:
            for index, raw in error.partial.items():
                error.partial[index] = self._finish(raw, len(raw))
            raise

    def _finish(self, raw: FloatArray, count: int) -> FloatArray:
        return vectors.finish(raw, count, self.dimensions, unit=self.settings.normalize)

    def _canaries(self) -> FloatArray:
        """Never from the cache: they show what this backend returns now."""
        texts = _whole(CANARIES)
        return np.concatenate([self._embed(texts, self.query_task, None), self._embed(texts, self.document_task, None)])

    async def _acanaries(self) -> FloatArray:
        texts = _whole(CANARIES)
        query, document = (await self._loaded()).query_task, self.document_task
        return np.concatenate([await self._aembed(texts, query, None), await self._aembed(texts, document, None)])

    # -- the cache ----------------------------------------------------------------------------------------------------

    @cached_property
    def _cache(self) -> VectorCache:
        assert self.settings.cache is not None  # noqa: S101 - used only with a cache
        return VectorCache(self.settings.cache)

    def _look_up(self, documents: Sequence[Document], side: Side | None) -> Lookup[Document] | None:
        """What the cache has of these documents; None without a cache, or for a task of neither side."""
        if self.settings.cache is None or side is None:
            return None
        lookup = Lookup(self, side, documents)
        lookup.read(self._cache.get(lookup.keys))
        return lookup

    @contextmanager
    def _salvaging(self, lookup: Lookup[Document]) -> Iterator[None]:
        """Cache what a provider sent before it failed, and let its error count by the places of the whole call."""
        try:
            yield
        except (InputError, ProviderError) as error:
            self._cache.put(lookup.salvaged(error))
            if isinstance(error, ProviderError):
                error.partial = lookup.done()
                why = {lookup.keys[place]: reason for place, reason in error.failed.items()}
                error.failed = {place: why[key] for place, key in enumerate(lookup.keys) if key in why}
            raise

    # -- inside -------------------------------------------------------------------------------------------------------

    @property
    def _facts(self) -> _Facts:
        if self._known is None:
            card, settings = self.backend.card, self.settings
            query = card.side("query", settings.query_task)
            document = card.side("document", settings.document_task)
            self._known = _Facts(
                card,
                card.check_dimensions(settings.dimensions),
                query if settings.query_instruction is None else replace(query, prefix=settings.query_instruction),
                document
                if settings.document_instruction is None
                else replace(document, prefix=settings.document_instruction),
            )
        return self._known

    def _truncate(self, side: Side | None) -> Truncate:
        return (self.settings.query_truncate if side == "query" else None) or self.settings.truncate

    async def _loaded(self) -> Self:
        """Create the backend, which may read files or ask a hub, in a thread."""
        return self if self._backend is not None else await self._off_the_loop("backend")

    async def _ready(self) -> Self:
        """Compute the space, which digests the weight files, in a thread."""
        return await self._off_the_loop("space")

    async def _off_the_loop(self, name: str) -> Self:
        before = CALLER.set(running_loop())
        try:
            await asyncio.to_thread(getattr, self, name)
        finally:
            CALLER.reset(before)
        return self

    def _check_options(self, card: ModelCard, *, tasks: bool = True) -> None:
        dimensions = card.check_dimensions(self.settings.dimensions)
        if tasks:
            card.side("query", self.settings.query_task)
            card.side("document", self.settings.document_task)
        card.late_policy(self.settings.late_window, self.settings.late_overlap)
        if dimensions != card.width and dimensions not in card.matryoshka:
            warn_untrained(card, dimensions)

    def __copy__(self) -> Self:
        """Return itself: an embedder never changes, and a copy needs its key."""
        return self

    def __deepcopy__(self, _: Any) -> Self:
        return self

    def __repr__(self) -> str:
        if not hasattr(self, "settings"):  # a traceback may show an embedder whose options were rejected
            return f"{type(self).__name__}(…)"
        given = self.settings.to_dict()
        shown = "".join(f", {name}={value!r}" for name, value in given.items() if name != "model")
        return f"{type(self).__name__}({self.settings.model!r}{shown})"

    if not TYPE_CHECKING:  # a checker reports an unknown attribute itself

        def __getattr__(self, name: str) -> Any:
            """Answer the methods of other libraries with ours."""
            if name in OTHER_METHODS:
                raise AttributeError(f"an Embedder has no method {name!r}: use {OTHER_METHODS[name]}")
            return super().__getattribute__(name)  # Python's own error

    def __reduce__(self) -> tuple[Any, ...]:
        """Pickle the settings alone: no weights, no client, no key."""
        return type(self).from_settings, (self.settings,)


def embed_texts(embedder: Embedder, side: Side, texts: Iterable[str], *, progress: bool = False) -> FloatArray:
    """`embed_queries` or `embed_documents` for a host's own call, which must not stop at a blank text.

    A blank text gets the vector of the empty text on that side (of "." from a hosted model), and one warning counts
    them. Returns shape (n, dimensions).

    Raises:
        InputError, ProviderError: see `Embedder.embed_documents`.
    """
    texts = check_texts(texts, blank=True)
    task = embedder.query_task if side == "query" else embedder.document_task
    return embedder._embed(_with_blanks(embedder, texts), task, side, progress)  # noqa: SLF001 - the same module


async def aembed_texts(embedder: Embedder, side: Side, texts: Iterable[str], *, progress: bool = False) -> FloatArray:
    """Async version of `embed_texts`."""
    texts = check_texts(texts, blank=True)
    await embedder._loaded()  # noqa: SLF001 - the same module
    task = embedder.query_task if side == "query" else embedder.document_task
    return await embedder._aembed(_with_blanks(embedder, texts), task, side, progress)  # noqa: SLF001 - the same module


def _with_blanks(embedder: Embedder, texts: Sequence[str]) -> list[Document]:
    blanks = [index for index, text in enumerate(texts) if is_blank(text)]
    if blanks:
        warnings.warn(
            f"text {blanks[0]} is blank ({len(blanks)} of {len(texts)}): it gets the vector of the empty text",
            BlankWarning,
            stacklevel=4,  # the caller of the host's method
        )
    empty = Document.empty() if embedder.backend.provider is None else Document.whole(BLANK)
    return [empty if is_blank(text) else Document.whole(text) for text in texts]


def _answer_langchain() -> None:
    """Once LangChain is imported, make embedders `Embeddings`, so that it and langgraph use both sides."""
    if (module := sys.modules.get("langchain_core.embeddings.embeddings")) is not None:
        module.Embeddings.register(Embedder)


def _whole(texts: Iterable[str]) -> list[Document]:
    return [Document.whole(text) for text in check_texts(texts)]


def _split(rows: FloatArray, documents: Sequence[Document]) -> list[FloatArray]:
    """The rows of each document."""
    return np.split(rows, np.cumsum(span_counts(documents))[:-1]) if documents else []


def _as_record(record: object) -> SpaceRecord:
    if not isinstance(record, SpaceRecord):
        raise InputError(
            f"expected a SpaceRecord, got {type(record).__name__}: read one with SpaceRecord.from_json, or compare two "
            "spaces with space.differences"
        )
    return record


@contextmanager
def _naming_chunks() -> Iterator[None]:
    """Call the spans of the only document "chunks", as the caller does."""
    try:
        yield
    except InputError as error:
        raise InputError(re.sub(r"\bspan (\d+) of document 0\b", r"chunk \1", str(error)), index=error.index) from None
