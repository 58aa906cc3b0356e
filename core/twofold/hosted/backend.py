"""A hosted model as a backend: settles what to say to whom, and hands the call to a flow and a driver."""

from __future__ import annotations

import re
import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from twofold.documents import Document
from twofold.errors import InputError
from twofold.hosted import telemetry
from twofold.hosted.drivers import adrive, drive
from twofold.hosted.flow import PROBE, Flow, Job, Usage
from twofold.hosted.limiter import limiter_for
from twofold.hosted.plan import MAX_LATE_TOKENS, Item, Limits, Piece, is_whole, plan
from twofold.hosted.providers import PROVIDERS, Hosted, endpoint, is_loopback
from twofold.hosted.tokens import Counter
from twofold.hosted.wires import BINARY, Ask

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from twofold.backend import Report
    from twofold.hosted.drivers import Transport
    from twofold.hosted.limiter import Limiter
    from twofold.keys import Key
    from twofold.models import ModelCard, Task
    from twofold.settings import Settings, Truncate
    from twofold.vectors import FloatArray

SHORTEST_KEY = 8
"""Characters of a key that is worth hiding: a shorter one is a placeholder, and a part of words."""
_LIKE_KEYS = re.compile(r"(?i)\bbearer\s+\S+|\b(?:sk|jina|pa|co|hf)[-_][\w-]{12,}")


class HostedBackend:
    """One model at one provider. Safe to use from threads and event loops; connections are opened at the first use.

    Attributes:
        provider: the provider's name.
        usage: what has been asked of it: tokens billed, requests, retries.
    """

    weights_digest = None

    def __init__(self, settings: Settings, key: Key, http_client: Any = None) -> None:
        """Settle who is asked, and with what key; send nothing.

        Raises:
            InputError: a base_url that can not be used, no key where one is needed, or one that would go unprotected.
            MissingExtra: httpx, or boto3, is not installed.
        """
        name, _, self._model = settings.model.partition(":")
        self.provider = name
        self.usage = Usage()
        self._row, self._settings, self._key = PROVIDERS[name], settings, key
        self._known = self._row.find(self._model)
        self._lock = threading.Lock()
        self._limited: Limiter | None = None
        self._proved: set[str | None] = set()
        self._most_items = self._row.max_items
        self._encoding = self._choose_encoding()
        self._url = self._where()
        self._transport = self._connect(http_client)

    @cached_property
    def card(self) -> ModelCard:
        """The model's card. Of a model that only its server knows, one word is asked, to see how wide vectors are."""
        return self._hosted.card

    @cached_property
    def _hosted(self) -> Hosted:
        if self._known is not None:
            return self._known
        card = self._row.template
        task = card.side("document")
        flow = self._flow([Document.whole(PROBE)], task, None)
        try:
            learnt = drive(flow.run(), self._transport, self._settings.timeout)
        finally:
            self._learn(flow, task)
        return Hosted(replace(card, name=self._model, width=learnt.shape[1]), self._row.unknown, bare=not card.tasks)

    @cached_property
    def _counter(self) -> Counter:
        return Counter(self.card)

    def count_tokens(self, texts: Sequence[str], task: Task) -> list[int]:
        """The length of each text: exact where the model's tokenizer is on this machine, else an estimate above it."""
        return self._counter.count([task.prefix + text for text in texts])

    def embed(
        self,
        documents: Sequence[Document],
        task: Task,
        dimensions: int,
        *,
        truncate: Truncate = "error",
        report: Report | None = None,
    ) -> FloatArray:
        """One vector for each span, in order; see `twofold.backend.Backend`.

        Raises:
            InputError: a text that is too long, or spans or a task that the provider has no word for; before any work.
            ProviderError: the provider failed; what was done is in its `partial`.
        """
        with self._call(documents, task, dimensions, truncate, report) as flow:
            return drive(flow.run(), self._transport, self._settings.timeout)

    async def aembed(
        self,
        documents: Sequence[Document],
        task: Task,
        dimensions: int,
        *,
        truncate: Truncate = "error",
        report: Report | None = None,
    ) -> FloatArray:
        """The same, without holding up the event loop."""
        with self._call(documents, task, dimensions, truncate, report) as flow:
            return await adrive(flow.run(), self._transport, self._settings.timeout)

    @property
    def address(self) -> str:
        """Where requests go."""
        return self._url

    def check_key(self) -> str:
        """Say where the key comes from, without showing it.

        Raises:
            InputError: there is none where one is needed, or it can not be one.
        """
        return repr(self._key) if self._key_for_call() else "none, and none is needed here"

    def limits(self) -> dict[str, float]:
        """What the provider grants in a minute, as far as it is known: "requests" and "tokens", 0 where it is not."""
        return self._limiter(self._reveal()).limits(time.monotonic())

    # -- inside -------------------------------------------------------------------------------------------------------

    @contextmanager
    def _call(
        self,
        documents: Sequence[Document],
        task: Task,
        dimensions: int,
        truncate: Truncate,
        report: Report | None,
    ) -> Iterator[Flow]:
        """A flow for one call, observed, with what it learnt kept for the next."""
        flow = self._flow(documents, task, dimensions, truncate, report)
        with telemetry.operation(self._settings.model, dimensions, self._encoding, self._url, flow.usage):
            try:
                yield flow
            finally:
                self._learn(flow, task)

    def _learn(self, flow: Flow, task: Task) -> None:
        with self._lock:
            self._most_items = min(self._most_items, flow.most_items or self._most_items)
            (self._proved.add if flow.proved else self._proved.discard)(task.name)
            self.usage.add(flow.usage)

    def _flow(
        self,
        documents: Sequence[Document],
        task: Task,
        dimensions: int | None,
        truncate: Truncate = "error",
        report: Report | None = None,
    ) -> Flow:
        """What to send, and what to believe. `dimensions` is None for the one word that shows how wide vectors are."""
        started = time.monotonic()
        key = self._key_for_call()
        if dimensions is None:
            pieces, size, width, says = [PROBE_PIECE], None, None, self._row.unknown
        else:
            self._check(documents, task)
            pieces = plan(documents, self._counter, self._limits(truncate), task.prefix, add=not self._row.instructs)
            size, says = self._hosted.asked_size(dimensions), self._hosted.says
            width = self.card.width if size is None else size
        ask = Ask(
            model=self._model,
            texts=(),
            task=task.name if "task" in says else None,
            dimensions=size,
            normalize=self._settings.normalize if "normalize" in says else None,
            truncate=truncate == "end" if "truncate" in says else None,
            encoding=self._encoding,
        )
        job = Job(
            name=f"{self.provider}:{self._model}",
            documents=documents,
            pieces=pieces,
            write=lambda piece: self._row.wire.write(_filled(ask, piece)),
            read=lambda body, piece: self._row.wire.read(body, _filled(ask, piece)),
            width=width,
            unit=self._unit(says),
            echoes=self._echoes,
            concurrency=self._settings.concurrency,
            deadline=started + self._settings.timeout,
            timeout=self._settings.timeout,
            late_limit=MAX_LATE_TOKENS,
            busy=self._row.busy,
            proved=task.name in self._proved,
            redact=self._redact,
        )
        return Flow(job, self._limiter(key), report=report)

    def _check(self, documents: Sequence[Document], task: Task) -> None:
        """Refuse what the provider has no word for."""
        if task.name is None and not self._hosted.bare and self.card.tasks:
            raise InputError(f"{self.provider} does not serve {self.card.name} bare: choose a task of the model")
        late = next((index for index, document in enumerate(documents) if not is_whole(document)), None)
        if late is None:
            return
        if "late" not in self._hosted.says:
            why = (
                f"it pools the {self.card.pooling} token"
                if self.card.pooling != "mean"
                else "the API does not offer it"
            )
            raise InputError(
                f"document {late} has several spans, and {self._model} at {self.provider} has no late chunking: {why}",
                index=late,
            )
        if task.name == self.card.query_task != self.card.document_task:
            raise InputError(f"document {late} has several spans: queries are never late-chunked", index=late)

    def _limits(self, truncate: Truncate) -> Limits:
        """How much goes into a request, and how long a text may be."""
        settings, card = self._settings, self.card
        window, overlap = card.late_policy(settings.late_window, settings.late_overlap)
        return Limits(
            items=self._most_items,
            tokens=settings.batch_tokens or self._row.max_tokens,
            length=card.max_tokens,
            window=window,
            overlap=overlap,
            cut=truncate == "end",
        )

    def _unit(self, says: frozenset[str]) -> bool:
        """Whether vectors are sure to come with unit length: asked for, or what the public API always gives."""
        if self._encoding in BINARY or not self._settings.normalize:
            return False
        return "normalize" in says or (self._row.unit and self._settings.base_url is None)

    def _echoes(self, model: str) -> bool:
        """Whether this is the name of the model that was asked for, with or without its organisation."""
        model = self._row.aliases.get(model, model)
        return model.rpartition("/")[2].casefold() == self._model.rpartition("/")[2].casefold()

    def _where(self) -> str:
        """The URL, or SageMaker's endpoint; checked together with how the key would travel."""
        base_url = self._settings.base_url
        if self.provider == "sagemaker":
            if not base_url:
                raise InputError("'sagemaker' needs base_url: the name of your endpoint")
            return base_url
        url = endpoint(self._row, base_url)
        if url.startswith("http:") and not is_loopback(url) and self._reveal():
            raise InputError(f"the key would go to {urlsplit(url).hostname} unencrypted: use https://")
        return url

    def _connect(self, client: Any) -> Transport:
        if self.provider == "sagemaker":
            from twofold.hosted.sagemaker import SageMakerTransport  # noqa: PLC0415 - boto3 is an extra

            return SageMakerTransport(self._url, self._redact, client)
        from twofold.hosted.transport import HttpTransport  # noqa: PLC0415 - httpx is an extra

        return HttpTransport(self._url, self._reveal, self._redact, client)

    def _limiter(self, key: str | None) -> Limiter:
        self._limited = limiter_for(urlsplit(self._url).netloc or self._url, key)  # held, so that it lives on
        return self._limited

    def _reveal(self) -> str | None:
        """The key. The provider's usual variable is for its own address: a server of your own must be given a key."""
        own = self._settings.base_url is None or self._row.base_url is None
        return self._key.reveal(self._row.key_env if own else None)

    def _key_for_call(self) -> str | None:
        key = self._reveal()
        if key is None and self._settings.base_url is None:
            variable = self._settings.api_key_env or self._row.key_env
            raise InputError(f"no key for {self.provider}: set the environment variable {variable}, or pass api_key")
        if key is not None and not (key.isascii() and key.isprintable() and " " not in key):
            raise InputError("the key has a character that no key has: a space, a line break, or one beyond ASCII")
        return key

    def _redact(self, text: str) -> str:
        """Take this key, and what looks like any, out of text that came from outside."""
        key = self._reveal()
        return _LIKE_KEYS.sub("***", text.replace(key, "***") if key and len(key) >= SHORTEST_KEY else text)

    def _choose_encoding(self) -> str:
        chosen, offered = self._settings.encoding, self._row.encodings
        if chosen == "auto":
            return offered[0]
        if chosen not in offered:
            raise InputError(f"encoding={chosen!r}: {self.provider} sends {', '.join(offered)}")
        return chosen

    def __repr__(self) -> str:
        """Who is asked for what."""
        return f"{type(self).__name__}({self.provider}:{self._model})"


PROBE_PIECE = Piece((Item(PROBE, 1, 0, 0),))


def _filled(ask: Ask, piece: Piece) -> Ask:
    """The request for one piece; late-chunked documents are never cut short."""
    texts = tuple(item.text for item in piece.items)
    if not piece.late:
        return replace(ask, texts=texts)
    return replace(ask, texts=texts, late=True, truncate=None if ask.truncate is None else False)
