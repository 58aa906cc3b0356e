"""The routes that embed. Each has its dialect; all handle a request in the same way."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING, Any

from twofold.server.refusal import ClientGone, Refusal, refusal_of
from twofold.wires.wire import Reply

if TYPE_CHECKING:
    from collections.abc import Hashable, Mapping

    from starlette.types import Receive, Scope, Send

    from twofold.models import Side
    from twofold.server.served import Served
    from twofold.server.service import Service
    from twofold.server.turns import QueuedRequest
    from twofold.wires import Served as Wire
    from twofold.wires.wire import Ask

LOG = logging.getLogger("twofold.server")
JSON = (b"content-type", b"application/json")
NO_LIMIT = {
    "x-ratelimit-limit-requests": "1000000",
    "x-ratelimit-limit-tokens": "1000000000",
    "x-ratelimit-remaining-requests": "1000000",
    "x-ratelimit-remaining-tokens": "1000000000",
    "x-ratelimit-reset-requests": "1s",
    "x-ratelimit-reset-tokens": "1s",
}
"""The server has no rate limit, but without these headers Weaviate's OpenAI module sends one text per request."""


class Door:
    """An ASGI application for one route: reads a request in its dialect and answers with vectors.

    Args:
        service: the state that all routes share.
        wire: the dialect.
        route: the path, a label of the metrics.
        side: the side of a request that does not name one.
        headers: headers of every answer.
        sides_needed: refuse a request without a side if the model has two sides.
    """

    def __init__(
        self,
        service: Service,
        wire: Wire,
        route: str,
        *,
        side: Side | None = None,
        headers: Mapping[str, str] | None = None,
        sides_needed: bool = False,
    ) -> None:
        self._service, self._wire, self._route = service, wire, route
        self._side, self._sides_needed = side, sides_needed
        self._headers = [JSON, *((name.encode(), value.encode()) for name, value in (headers or {}).items())]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request, unless its client disconnects first."""
        metrics, started = self._service.metrics, time.perf_counter()
        metrics.inflight.inc()
        try:
            status, body, headers = await self._answer(scope, receive)
            length = (b"content-length", str(len(body)).encode())
            await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
            await send({"type": "http.response.body", "body": body})
            metrics.answered(self._route, status, time.perf_counter() - started)
        except ClientGone:
            metrics.rejected.labels("gone").inc()
        finally:
            metrics.inflight.dec()

    async def _answer(self, scope: Scope, receive: Receive) -> tuple[int, bytes, list[tuple[bytes, bytes]]]:
        try:
            client = self._service.guard.client_of(scope)
            bodies = self._service.bodies
            with bodies.holding(bodies.check_size(scope)):
                ask = self._wire.read_request(await bodies.read(scope, receive))
                reply = await self._embed(ask, scope, receive, client)
                return 200, self._wire.write_answer(reply, ask), self._headers
        except ClientGone:
            raise
        except Exception as error:  # noqa: BLE001 - every error is answered in the client's dialect
            return self._refused(error)

    async def _embed(self, ask: Ask, scope: Scope, receive: Receive, client: Hashable) -> Reply:
        served = await self._service.find(ask.model or scope.get("path_params", {}).get("model", ""))
        if self._sides_needed and ask.task is None and self._side is None and served.two_sided:
            raise Refusal(422, SIDES, "side")
        work = await served.work_of(ask, self._side, client, self._service.limits.texts)
        vectors = await self._watched(served, work, ask, receive)
        return Reply(vectors, served.name, sum(work.tokens))

    async def _watched(self, served: Served, work: QueuedRequest, ask: Ask, receive: Receive) -> Any:
        """Return the vectors; raises `ClientGone` if the client disconnects first."""

        async def watch() -> None:
            while (await receive())["type"] != "http.disconnect":
                pass
            served.hang_up(work)

        watching = asyncio.create_task(watch())
        try:
            return await served.vectors_of(work, normalize=ask.normalize)
        finally:
            watching.cancel()
            served.hang_up(work)  # if this task itself was cancelled

    def _refused(self, error: Exception) -> tuple[int, bytes, list[tuple[bytes, bytes]]]:
        refusal = refusal_of(error)
        self._service.metrics.rejected.labels(refusal.reason).inc()
        if refusal.status >= 500:
            LOG.error("%s: %s: %s", self._route, type(error).__name__, refusal.message)
        headers = list(self._headers)
        if refusal.retry_after is not None:
            headers.append((b"retry-after", str(refusal.retry_after).encode()))
        if refusal.status == 401:
            headers.append((b"www-authenticate", b"Bearer"))
        if refusal.status in CLOSING:
            headers.append((b"connection", b"close"))
        return refusal.status, self._wire.write_error(refusal.message, refusal.status), headers


CLOSING = (408, 413)
"""Statuses that are sent before the whole body is read; the connection cannot be used again."""

SIDES = (
    "the request does not say whether it is a query or a passage, and this model embeds them differently: update "
    "Weaviate to 1.31 or later, or give the collection passage_inference_url=…/passage and query_inference_url=…/query"
)
