"""A hosted model as a backend: settles what to say to whom, and hands the call to a flow and a runner."""

from __future__ import annotations

import threading
import time
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from twofold.documents import Document
from twofold.errors import InputError
from twofold.hosted import telemetry
from twofold.hosted.call import Call, Usage
from twofold.hosted.counting import Counter
from twofold.hosted.endpoint import Endpoint
from twofold.hosted.flow import PROBE, Flow
from twofold.hosted.packing import MAX_LATE_TOKENS, Item, Limits, Piece, pack
from twofold.hosted.providers import PROVIDERS, HostedModel
from twofold.hosted.runners import arun, run
from twofold.wires.wire import BINARY, Ask

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from twofold.backend import Report
    from twofold.keys import Key
    from twofold.models import ModelCard, Task
    from twofold.settings import Settings, Truncate
    from twofold.vectors import FloatArray


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
            InputError: see `Endpoint`.
            MissingExtra: httpx, msgspec or boto3 is not installed.
        """
        name, _, self._model = settings.model.partition(":")
        self.provider = name
        self.usage = Usage()
        self._row, self._settings = PROVIDERS[name], settings
        self._known = self._row.find(self._model)
        self._lock = threading.Lock()
        self._proved: set[str | None] = set()
        self._most_items = self._row.max_items
        self._endpoint = Endpoint(self._row, settings, key, http_client)

    @cached_property
    def card(self) -> ModelCard:
        """The model's card. Of a model that only its server knows, one word is asked, to see how wide vectors are."""
        return self._hosted.card

    @cached_property
    def _hosted(self) -> HostedModel:
        if self._known is not None:
            return self._known
        card = self._row.template
        task = card.side("document")
        flow = self._flow([Document.whole(PROBE)], task, None)
        try:
            learnt = run(flow.run(), self._endpoint.transport, self._settings.timeout)
        finally:
            self._learn(flow, task)
        return HostedModel(
            replace(card, name=self._model, width=learnt.shape[1]), self._row.unknown, bare=not card.tasks
        )

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
            return run(flow.run(), self._endpoint.transport, self._settings.timeout)

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
            return await arun(flow.run(), self._endpoint.transport, self._settings.timeout)

    @property
    def address(self) -> str:
        """Where requests go."""
        return self._endpoint.url

    def check_key(self) -> str:
        """Say where the key comes from, without showing it.

        Raises:
            InputError: there is none where one is needed, or it cannot be one.
        """
        return self._endpoint.check_key()

    def limits(self) -> dict[str, float]:
        """What the provider grants in a minute, as far as it is known: "requests" and "tokens", 0 where it is not."""
        return self._endpoint.limiter().limits(time.monotonic())

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
        with telemetry.operation(
            self._settings.model, dimensions, self._endpoint.encoding, self._endpoint.url, flow.usage
        ):
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
        self._endpoint.key()
        wire = self._endpoint.wire
        if dimensions is None:
            pieces, size, width, accepts = [PROBE_PIECE], None, None, self._row.unknown
        else:
            self._check(documents, task)
            pieces = pack(documents, self._counter, self._limits(truncate), task.prefix, add=not self._row.instructs)
            size, accepts = self._hosted.asked_size(dimensions), self._hosted.accepts
            width = self.card.width if size is None else size
        ask = Ask(
            model=self._model,
            texts=(),
            task=task.name if "task" in accepts else None,
            dimensions=size,
            normalize=self._settings.normalize if "normalize" in accepts else None,
            truncate=truncate == "end" if "truncate" in accepts else None,
            encoding=self._endpoint.encoding,
        )
        call = Call(
            name=f"{self.provider}:{self._model}",
            documents=documents,
            pieces=pieces,
            write=lambda piece: wire.write_request(_filled(ask, piece)),
            read=lambda body, piece: wire.read_answer(body, _filled(ask, piece)),
            width=width,
            unit=self._unit(accepts),
            echoes=self._echoes,
            concurrency=self._settings.concurrency,
            deadline=started + self._settings.timeout,
            timeout=self._settings.timeout,
            late_limit=MAX_LATE_TOKENS,
            busy=self._row.busy,
            proved=task.name in self._proved,
            redact=self._endpoint.redact,
        )
        return Flow(call, self._endpoint.limiter(), report=report)

    def _check(self, documents: Sequence[Document], task: Task) -> None:
        """Refuse what the provider has no word for."""
        if task.name is None and not self._hosted.bare and self.card.tasks:
            raise InputError(f"{self.provider} does not serve {self.card.name} bare: choose a task of the model")
        late = next((index for index, document in enumerate(documents) if not document.is_whole), None)
        if late is None:
            return
        if "late" not in self._hosted.accepts:
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

    def _unit(self, accepts: frozenset[str]) -> bool:
        """Whether vectors are sure to come with unit length: asked for, or what the public API always gives."""
        if self._endpoint.encoding in BINARY or not self._settings.normalize:
            return False
        return "normalize" in accepts or (self._row.unit and self._settings.base_url is None)

    def _echoes(self, model: str) -> bool:
        """Whether this is the name of the model that was asked for, with or without its organisation."""
        model = self._row.aliases.get(model, model)
        return model.rpartition("/")[2].casefold() == self._model.rpartition("/")[2].casefold()

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
