"""The routes that embed. Each has its dialect; all handle a request in the same way."""

from __future__ import annotations

import asyncio
import logging
import re
import time
from typing import TYPE_CHECKING, Any
from uuid import uuid4

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
    """A route that embeds: reads a request in its dialect and answers with vectors.

    Args:
        service: the state that all routes share.
        wire: the dialect.
        route: the path, a label of the metrics.
        headers: headers of every answer.
        sides_needed: refuse a request without a side if the model has two sides.
    """

    def __init__(
        self,
        service: Service,
        wire: Wire,
        route: str,
        *,
        headers: Mapping[str, str] | None = None,
        sides_needed: bool = False,
    ) -> None:
        self._service, self._wire, self._route = service, wire, route
        self._sides_needed = sides_needed
        self._headers = [JSON, *((name.encode(), value.encode()) for name, value in (headers or {}).items())]

    async def answer(self, scope: Scope, receive: Receive, send: Send, side: Side | None, model: str) -> None:
        """Answer one request, unless its client disconnects first. Its path set `side` and `model`.

        The answer has the request's `x-request-id`, or a new one.
        """
        metrics, started = self._service.metrics, time.perf_counter()
        metrics.inflight.inc()
        request_id = _request_id(scope)
        try:
            status, body, headers = await self._answer(scope, receive, side, model, request_id)
            own = [(b"content-length", str(len(body)).encode()), (b"x-request-id", request_id.encode())]
            await send({"type": "http.response.start", "status": status, "headers": [*headers, *own]})
            await send({"type": "http.response.body", "body": body})
            metrics.answered(self._route, status, time.perf_counter() - started)
        except ClientGone:
            metrics.rejected.labels("gone").inc()
        finally:
            metrics.inflight.dec()

    async def _answer(
        self, scope: Scope, receive: Receive, side: Side | None, model: str, request_id: str
    ) -> tuple[int, bytes, list[tuple[bytes, bytes]]]:
        try:
            self._service.guard.check_host(scope)
            client = self._service.guard.client_of(scope)
            bodies = self._service.bodies
            with bodies.reserve(bodies.check_size(scope)):
                ask = self._wire.read_request(await bodies.read(scope, receive))
                reply = await self._embed(ask, side, await self._find(model, ask.model), receive, client)
                ignored = [(b"x-twofold-ignored", ", ".join(ask.ignored).encode())] if ask.ignored else []
                return 200, self._wire.write_answer(reply, ask), [*self._headers, *ignored]
        except ClientGone:
            raise
        except Exception as error:  # noqa: BLE001 - every error is answered in the client's dialect
            return self._refused(error, request_id)

    async def _find(self, model: str, named: str) -> Served:
        """The model that the path names, or else the body. If both name one, they must agree.

        Raises:
            Refusal: the model is unknown, or the two differ.
        """
        served = await self._service.find(model or named)
        if model and named and await self._service.find(named) is not served:
            raise Refusal(422, f"the path names the model {model!r}, the body {named[:80]!r}: name only one", "model")
        return served

    async def _embed(self, ask: Ask, side: Side | None, served: Served, receive: Receive, client: Hashable) -> Reply:
        if self._sides_needed and ask.task is None and side is None and served.two_sided:
            raise Refusal(422, SIDES, "side")
        work = await served.work_of(ask, side, client, self._service.limits.texts)
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

    def _refused(self, error: Exception, request_id: str) -> tuple[int, bytes, list[tuple[bytes, bytes]]]:
        refusal = refusal_of(error)
        self._service.metrics.rejected.labels(refusal.reason).inc()
        if refusal.status >= 500:
            LOG.error("%s %s: %s: %s", self._route, request_id, type(error).__name__, refusal.message)
        headers = list(self._headers)
        if refusal.retry_after is not None:
            headers.append((b"retry-after", str(refusal.retry_after).encode()))
        if refusal.status == 401:
            headers.append((b"www-authenticate", b"Bearer"))
        if refusal.status in CLOSING:
            headers.append((b"connection", b"close"))
        return refusal.status, self._wire.write_error(refusal.message, refusal.status), headers


def _request_id(scope: Scope) -> str:
    """The id that the client or a proxy sent, if it is short and printable, or a new one."""
    sent = next((value for name, value in scope["headers"] if name == b"x-request-id"), b"")
    return sent.decode("ascii") if REQUEST_ID.fullmatch(sent) else uuid4().hex


REQUEST_ID = re.compile(rb"[\w.:/+=-]{1,128}")

CLOSING = (408, 413)
"""Statuses that are sent before the whole body is read; the connection cannot be used again."""

SIDES = (
    "the request does not say whether it is a query or a passage, and this model embeds them differently: update "
    "Weaviate to 1.31 or later, or give the collection passage_inference_url=…/passage and query_inference_url=…/query"
)
