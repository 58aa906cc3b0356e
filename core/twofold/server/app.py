"""The ASGI application and its routes."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.routing import Mount, Route

from twofold.server.doors import NO_LIMIT, Door
from twofold.server.facts import Facts
from twofold.server.pages import Pages
from twofold.server.service import Service
from twofold.wires import find_served

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Iterable, Mapping, Sequence

    from starlette.types import ASGIApp, Receive, Scope, Send

    from twofold.embedder import Embedder
    from twofold.models import Side
    from twofold.server.limits import Limits

SIDES: dict[str, Side | None] = {"": None, "/query": "query", "/passage": "document"}
"""Path prefixes that set the side, for clients that have no field for it."""

DOORS: dict[str, tuple[str, ...]] = {
    "jina": ("/v1/embeddings", "/embeddings"),
    "cohere": ("/v2/embed",),
    "weaviate": ("/vectors", "/vectors/"),
    "tei": ("/embed",),
}
"""The paths of each dialect."""


def create_app(
    embedders: Embedder | Sequence[Embedder] | Mapping[str, Embedder],
    *,
    api_keys: Iterable[str] = (),
    limits: Limits | None = None,
) -> Starlette:
    """Return an ASGI application that serves embedders. Run it alone or mount it in another application.

    Weights are loaded at startup. A mounted application gets no startup event; it loads them at the first request.

    Args:
        embedders: one embedder, a sequence (each is served under its model's name), or a mapping from names to
            embedders. A request that names no model, such as Weaviate's, gets the first one.
        api_keys: the accepted keys. A client sends one as `Authorization: Bearer <key>`. Without keys, anyone may ask.
        limits: the server's limits; the defaults of `Limits` if None.

    Raises:
        InputError: there is no embedder, two embedders have the same name, or a key is invalid.
    """
    service = Service(embedders, api_keys, limits)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        await service.start()
        yield
        await service.stop()

    app = Starlette(routes=routes(service), lifespan=lifespan, middleware=[Middleware(OneSlash)])
    app.state.service = service
    return app


class OneSlash:
    """Collapses repeated slashes: clients join a base URL that ends in a slash with a path that begins with one."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if "//" in scope.get("path", ""):
            scope["path"] = re.sub("/+", "/", scope["path"])
        await self._app(scope, receive, send)


def routes(service: Service) -> list[Any]:
    """All routes. Those that embed come first because they are requested most."""
    facts = Facts(service)
    doors = [route for prefix, side in SIDES.items() for route in _doors(service, prefix, side)]
    states = [
        Route(prefix + path, endpoint)
        for prefix in SIDES
        for path, endpoint in (
            ("/.well-known/ready", facts.ready),
            ("/.well-known/live", facts.live),
            ("/meta", facts.meta),
            ("/v1/models", facts.models),
            ("/v1/models/{name:path}", facts.models),
        )
    ]
    return [
        *doors,
        *states,
        Route("/health", facts.health),
        Route("/info", facts.info),
        Route("/metrics", facts.metrics),
        Route("/openapi.json", facts.openapi),
        Route("/docs", facts.reference),
        Mount("/models/{model}", routes=[*doors, *states]),
        Route("/", Door(service, find_served("tei"), "/embed"), methods=["POST"]),
        Mount("/", Pages()),
    ]


def _doors(service: Service, prefix: str, side: Side | None) -> list[Route]:
    return [
        Route(
            prefix + path,
            Door(
                service,
                find_served(dialect),
                paths[0],
                side=side,
                headers=NO_LIMIT if dialect == "jina" else None,
                sides_needed=dialect == "weaviate",
            ),
            methods=["POST"],
        )
        for dialect, paths in DOORS.items()
        for path in paths
    ]
