"""A hosted model as a backend: plans a call where it was made, and has the hosted loop carry it out."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from twofold.backend import CALLER, Estimate
from twofold.documents import Document
from twofold.hosted import telemetry
from twofold.hosted.call import Usage
from twofold.hosted.endpoint import Endpoint
from twofold.hosted.flow import Flow
from twofold.hosted.loop import acall, call, carry_out
from twofold.hosted.planning import Planner
from twofold.hosted.prices import price_of
from twofold.hosted.provider import HostedModel
from twofold.hosted.providers import PROVIDERS
from twofold.hosted.sizes import Sizes

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from twofold.backend import Report
    from twofold.hosted.batching import Batches
    from twofold.hosted.call import Call
    from twofold.keys import Key
    from twofold.models import ModelCard, Task
    from twofold.settings import Settings, Truncate
    from twofold.vectors import FloatArray

LARGE = 64
"""Documents beyond which a call is planned away from the event loop that made it."""


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
        self.provider, _, self._model = settings.model.partition(":")
        self.usage = Usage()
        self._row, self._settings = PROVIDERS[self.provider].row_of(self._model), settings
        self._known = self._row.find(self._model)
        self._proved: set[str | None] = set()
        self._sizes = Sizes()
        self._endpoint = Endpoint(self._row, self._model, settings, key, http_client)

    @property
    def card(self) -> ModelCard:
        """The model's card. Of a model that only its server knows, one word is asked, to see how wide vectors are."""
        return self._hosted.card

    def count_tokens(self, texts: Sequence[str], task: Task) -> list[int]:
        """The length of each text: exact where the model's tokenizer is on this machine, else an estimate above it."""
        return self._planner.counter.count([task.prefix + text for text in texts])

    def embed(
        self,
        documents: Sequence[Document],
        task: Task,
        dimensions: int,
        *,
        truncate: Truncate = "error",
        report: Report | None = None,
    ) -> FloatArray:
        """One vector for each span, in order; see `twofold.backend.Backend`. `report` is called on another thread.

        Raises:
            InputError: a text that is too long, or spans, a size or a task that the provider has no word for; before
                any work.
            ProviderError: the provider failed; what was done is in its `partial`.
        """
        plan = self._plan(documents, task, dimensions, truncate)
        with self._observed(dimensions) as usage:
            return call(self._carry_out(plan, task, usage, report))

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
        arguments = documents, task, dimensions, truncate
        large = len(documents) > LARGE
        plan = await asyncio.to_thread(self._plan, *arguments) if large else self._plan(*arguments)
        with self._observed(dimensions) as usage:
            return await acall(self._carry_out(plan, task, usage, report, asyncio.get_running_loop()))

    def estimate(
        self, documents: Sequence[Document], task: Task, dimensions: int, *, truncate: Truncate = "error"
    ) -> Estimate:
        """What `embed` would ask for, as it is planned, and at the provider's own address what that costs."""
        plan = self._planner.plan(documents, task, dimensions, truncate, proved=True, sizes=self._sizes)
        tokens = sum(piece.tokens for piece in plan.pieces)
        price = price_of(self.provider, self._model) if self._settings.base_url is None else None
        return Estimate(
            texts=len(documents),
            requests=len(plan.pieces),
            tokens=tokens,
            exact=self._planner.counter.exact,
            price=price,
            cost=None if price is None else tokens * price.dollars / 1e6,
        )

    def batch_api(self, task: Task, dimensions: int, truncate: Truncate) -> Batches:
        """The batch API for one task; see `twofold.backend`.

        Raises:
            InputError: there is none for this model; no key.
        """
        from twofold.hosted.batching import Batches  # noqa: PLC0415 - what single requests do without

        def plan(texts: Sequence[str]) -> Call:
            return self._plan([Document.whole(text) for text in texts], task, dimensions, truncate)

        return Batches(self._settings, self._row, self._endpoint, plan)

    @property
    def billed(self) -> int:
        """The tokens of all requests so far: as the provider says, or as they are counted where it does not."""
        return self.usage.tokens + self.usage.unsaid

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
        return self._endpoint.limiter().limits()

    # -- inside -------------------------------------------------------------------------------------------------------

    @cached_property
    def _hosted(self) -> HostedModel:
        if self._known is not None:
            return self._known
        card = self._row.template
        task, unknown = card.side("document"), HostedModel(card, self._row.unknown, bare=not card.tasks)
        plan = self._planner_for(unknown).first_word(task, self._sizes)
        self.check_key()
        learnt = call(self._carry_out(plan, task, Usage(), caller=CALLER.get()))
        return replace(unknown, card=replace(card, name=self._model, width=learnt.shape[1]))

    @cached_property
    def _planner(self) -> Planner:
        return self._planner_for(self._hosted)

    def _planner_for(self, hosted: HostedModel) -> Planner:
        return Planner(self._row, self._model, hosted, self._settings, self._endpoint)

    def _plan(self, documents: Sequence[Document], task: Task, dimensions: int, truncate: Truncate) -> Call:
        self.check_key()
        proved = task.name in self._proved
        return self._planner.plan(documents, task, dimensions, truncate, proved=proved, sizes=self._sizes)

    @contextmanager
    def _observed(self, dimensions: int) -> Iterator[Usage]:
        usage, endpoint = Usage(), self._endpoint
        with telemetry.operation(self._settings.model, dimensions, endpoint.encoding, endpoint.url, usage):
            yield usage

    async def _carry_out(
        self,
        plan: Call,
        task: Task,
        usage: Usage,
        report: Report | None = None,
        caller: asyncio.AbstractEventLoop | None = None,
    ) -> FloatArray:
        """Run one call on the hosted loop, and keep what it learnt for the next."""
        flow = Flow(plan, self._endpoint.limiter(), report=report)
        try:
            return await carry_out(flow, self._endpoint.transport, self._settings.timeout, caller)
        finally:
            (self._proved.add if flow.proved else self._proved.discard)(task.name)
            usage.add(flow.usage)
            self.usage.add(flow.usage)

    def __repr__(self) -> str:
        """Who is asked for what."""
        return f"{type(self).__name__}({self.provider}:{self._model})"
