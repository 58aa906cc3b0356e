"""The ASGI application, and the router that follows the table of routes."""

from __future__ import annotations

import re
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, NamedTuple

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.cors import CORSMiddleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Mount

from twofold.server.doors import NO_LIMIT, Door
from twofold.server.facts import Facts
from twofold.server.pages import Pages
from twofold.server.refusal import Refusal, refusal_of
from twofold.server.routes import ROUTES, SIDES
from twofold.server.service import Service
from twofold.wires import find_served
from twofold.wires.openai import write_error

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence

    from starlette.types import ASGIApp, Receive, Scope, Send

    from twofold.embedder import Embedder
    from twofold.models import Side
    from twofold.server.limits import Limits
    from twofold.server.routes import Route


def create_app(
    embedders: Embedder | Sequence[Embedder] | Mapping[str, Embedder],
    *,
    api_keys: Iterable[str] = (),
    limits: Limits | None = None,
    allow_origins: Iterable[str] = (),
    allow_hosts: Iterable[str] | None = None,
) -> Starlette:
    """Return an ASGI application that serves embedders. Run it alone or mount it in another application.

    Weights are loaded at startup. A mounted application gets no startup event; it loads them at the first request.

    Args:
        embedders: one embedder, a sequence (each is served under its model's name), or a mapping from names to
            embedders. A request that names no model, such as Weaviate's, gets the first one.
        api_keys: the accepted keys. A client sends one as `Authorization: Bearer <key>`. Without keys, anyone can use
            the server.
        limits: the server's limits; the defaults of `Limits` if None.
        allow_origins: the sites whose pages may use this server, such as "https://example.org"; "*" allows all.
        allow_hosts: the names under which the server may be addressed. localhost and IP addresses are always accepted.
            None accepts every name. The list protects a server without keys from DNS rebinding.

    Raises:
        InputError: there is no embedder, two embedders have the same name, or a key is invalid.
    """
    origins = tuple(allow_origins)
    service = Service(embedders, api_keys, limits, origins, allow_hosts)

    @asynccontextmanager
    async def lifespan(_: Starlette) -> AsyncIterator[None]:
        await service.start()
        yield
        await service.stop()

    cors = Middleware(
        CORSMiddleware,
        allow_origins=origins,
        allow_methods=["GET", "POST"],
        allow_headers=["authorization", "content-type", "x-request-id"],
        expose_headers=["x-request-id", "x-twofold-ignored", "retry-after"],
    )
    app = Starlette(routes=[Mount("/", Router(service))], lifespan=lifespan, middleware=[cors] if origins else [])
    app.state.service = service
    return app


class Address(NamedTuple):
    """What a path says: the route's path, the side and the model of its prefixes, and the name after it."""

    path: str
    side: Side | None
    model: str
    name: str


class Router:
    """Finds the route of each request. It answers unknown paths and methods in JSON."""

    def __init__(self, service: Service) -> None:
        self._service, self._facts, self._pages = service, Facts(service), Pages()
        self._rows = {path: route for route in ROUTES for path in route.paths}
        self._doors: dict[str, Door] = {
            route.paths[0]: Door(
                service,
                find_served(route.dialect),
                route.paths[0],
                headers=NO_LIMIT if route.dialect == "jina" else None,
                sides_needed=route.dialect == "weaviate",
            )
            for route in ROUTES
            if route.dialect
        }
        paths = "|".join(re.escape(path) for path in sorted(self._rows, key=len, reverse=True))
        self._pattern = re.compile(
            rf"(?P<first>/query|/passage)?(?:/models/(?P<model>.+?))?(?P<second>/query|/passage)?"
            rf"(?P<path>{paths})(?P<name>(?<=/v1/models)/.+)?"
        )

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        address = self._read(scope)
        route = None if address is None else self._rows[address.path]
        if address is None or route is None:
            await self._unknown(scope)(scope, receive, send)
        elif route.method != scope["method"] and not (route.method == "GET" and scope["method"] == "HEAD"):
            await self._wrong_method(address, scope)(scope, receive, send)
        elif route.dialect:
            await self._doors[route.paths[0]].answer(scope, receive, send, address.side, address.model)
        else:
            await (await self._state(route, address, Request(scope, receive)))(scope, receive, send)

    def _read(self, scope: Scope) -> Address | None:
        """The address of a request; None if the path has no route."""
        path = re.sub("/+", "/", scope["path"]).removeprefix(scope.get("root_path", "")).rstrip("/")
        found = self._pattern.fullmatch(path)
        if found is None:
            return None
        side = SIDES[found["first"]] or SIDES[found["second"]]
        address = Address(found["path"], side, found["model"] or "", (found["name"] or "").removeprefix("/"))
        route, is_prefixed = self._rows[address.path], side is not None or found["model"] is not None
        return None if is_prefixed and not (route.prefixed or route.dialect) else address

    async def _state(self, route: Route, address: Address, request: Request) -> Response:
        try:
            if not route.is_open:
                self._service.guard.client_of(request.scope)
            self._service.guard.check_host(request.scope)
            answer: Callable[[str], Awaitable[Response]] = getattr(self._facts, route.fact)
            return await answer(address.name or address.model)
        except Exception as error:  # noqa: BLE001 - every error is answered
            return _error(refusal_of(error))

    def _unknown(self, scope: Scope) -> ASGIApp:
        """A file of the page for GET, else an error."""
        if scope["method"] in {"GET", "HEAD"}:
            return self._pages
        return _error(Refusal(404, f"there is no route {scope['path'][:80]!r}; /docs lists the routes", "route"))

    def _wrong_method(self, address: Address, scope: Scope) -> ASGIApp:
        route = self._rows[address.path]
        is_page = not address.path and address.side is None and not address.model
        if is_page and scope["method"] in {"GET", "HEAD"}:
            return self._pages
        allowed = ", ".join((["POST"] if route.dialect else []) + (["GET", "HEAD"] if is_page or route.fact else []))
        said = f"{address.path or '/'} takes {route.method}, not {scope['method']}"
        return _error(Refusal(405, said, "method"), {"allow": allowed})


def _error(refusal: Refusal, headers: dict[str, str] | None = None) -> Response:
    found = dict(headers or {})
    if refusal.status == 401:
        found["www-authenticate"] = "Bearer"
    body = write_error(refusal.message, refusal.status)
    return Response(body, refusal.status, found, media_type="application/json")
