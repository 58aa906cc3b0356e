"""A hosted model as a backend. It plans a call on the caller's thread and runs it on the hosted loop."""

from __future__ import annotations

import asyncio
from contextlib import contextmanager
from dataclasses import replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from twofold.backend import CALLER, Estimate, running_loop
from twofold.documents import Document
from twofold.hosted import telemetry
from twofold.hosted.call import Usage
from twofold.hosted.counting import least_tokens
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
"""With more documents than this, an async call is planned on a thread."""


class HostedBackend:
    """One model at one provider. Safe to use from threads and event loops. Connections are opened on first use.

    Attributes:
        provider: the provider's name.
        usage: tokens billed, requests and retries so far.
    """

    weights_digest = None

    def __init__(self, settings: Settings, key: Key, http_client: Any = None) -> None:
        """Find the provider and the model in the table; nothing is sent.

        Raises:
            InputError: the model's name is misspelt; or see `Endpoint`.
            MissingExtra: httpx, msgspec or boto3 is not installed.
        """
        self.provider, _, self._model = settings.model.partition(":")
        self.usage = Usage()
        self._row, self._settings = PROVIDERS[self.provider].row_of(self._model), settings
        self._known = self._row.find(self._model)
        if self._known is None and self._row.base_url is not None and settings.base_url is None:
            PROVIDERS[self.provider].check_spelling(self._model)
        self._proved: set[str | None] = set()
        self._sizes = Sizes()
        self._endpoint = Endpoint(self._row, self._model, settings, key, http_client)

    @property
    def card(self) -> ModelCard:
        """The model's card. For a model that is not in the tables, one request of one word finds the width."""
        return self._hosted.card

    def count_tokens(self, texts: Sequence[str], task: Task) -> list[int]:
        """The tokens of each text: exact if the model's tokenizer is on this machine, otherwise a bound."""
        return self._planner.counter.count([task.prefix + text for text in texts])

    def likely_tokens(self, texts: Sequence[str], task: Task) -> list[int]:
        """The tokens of each text: exact if the model's tokenizer is on this machine, otherwise likely ones."""
        return self._planner.counter.weigh([task.prefix + text for text in texts])

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
            InputError: a text is too long, or the provider does not support the spans, the size or the task. Nothing
                has been sent.
            ProviderError: the provider failed; its `partial` has the finished vectors.
        """
        plan = self._plan(documents, task, dimensions, truncate)
        with self._observed(dimensions) as usage:
            return call(self._carry_out(plan, task, usage, report), self._settings.timeout)

    async def aembed(
        self,
        documents: Sequence[Document],
        task: Task,
        dimensions: int,
        *,
        truncate: Truncate = "error",
        report: Report | None = None,
    ) -> FloatArray:
        """Like `embed`, without blocking the event loop."""
        caller, arguments = running_loop(), (documents, task, dimensions, truncate)
        large = len(documents) > LARGE
        plan = await asyncio.to_thread(self._plan, *arguments) if large else self._plan(*arguments)
        with self._observed(dimensions) as usage:
            running = self._carry_out(plan, task, usage, report, caller)
            return await acall(running, self._settings.timeout)

    def estimate(
        self, documents: Sequence[Document], task: Task, dimensions: int, *, truncate: Truncate = "error"
    ) -> Estimate:
        """The requests and tokens that `embed` would take, and at the provider's own address their price."""
        plan = self._planner.plan(documents, task, dimensions, truncate, proved=True, sizes=self._sizes)
        tokens, exact = sum(piece.most for piece in plan.pieces), self._planner.counter.exact
        least = sum(least_tokens(item.text) for piece in plan.pieces for item in piece.items)
        price = price_of(self.provider, self._model) if self._settings.base_url is None else None
        return Estimate(
            texts=len(documents),
            requests=len(plan.pieces),
            tokens=tokens,
            least=tokens if exact else least,
            exact=exact,
            price=price,
            cost=None if price is None else tokens * price.dollars / 1e6,
        )

    def batch_api(self, task: Task, dimensions: int, truncate: Truncate) -> Batches:
        """The batch API for one task; see `twofold.backend`.

        Raises:
            InputError: this model has no batch API, or there is no key.
        """
        from twofold.hosted.batching import Batches  # noqa: PLC0415 - single requests do not need it

        def plan(texts: Sequence[str]) -> Call:
            return self._plan([Document.whole(text) for text in texts], task, dimensions, truncate)

        return Batches(self._settings, self._row, self._endpoint, plan)

    @property
    def billed(self) -> int:
        """The tokens of all requests so far: the provider's numbers, or ours for answers without one."""
        return self.usage.tokens + self.usage.unsaid

    @property
    def address(self) -> str:
        """The URL that requests go to."""
        return self._endpoint.url

    def check_key(self) -> str:
        """Where the key comes from, in words that do not show it.

        Raises:
            InputError: the key is missing or invalid.
        """
        return self._endpoint.check_key()

    def limits(self) -> dict[str, float]:
        """The provider's limits for a minute, "requests" and "tokens"; 0 if unknown."""
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
        learnt = call(self._carry_out(plan, task, Usage(), caller=CALLER.get()), self._settings.timeout)
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
        """Run one call on the hosted loop, and keep what it learnt for the next one."""
        flow = Flow(plan, self._endpoint.limiter(), report=report)
        try:
            return await carry_out(flow, self._endpoint.transport, self._settings.timeout, caller)
        finally:
            (self._proved.add if flow.proved else self._proved.discard)(task.name)
            usage.add(flow.usage)
            self.usage.add(flow.usage)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.provider}:{self._model})"
