"""Carrying requests over HTTP with httpx, or its continuation httpx2: one request in, one `Answer` out.

The key is put into the header here and nowhere else, so that it stands in no frame that an exception of ours passes
through; what httpx raises is turned into words, and the exception is dropped.
"""

from __future__ import annotations

import asyncio
import inspect
import ssl
import threading
import zlib
from functools import cache
from typing import TYPE_CHECKING, Any
from weakref import finalize

from twofold.errors import InputError, MissingExtra
from twofold.extras import extra
from twofold.hosted.addresses import is_loopback
from twofold.hosted.exchange import CONNECT_SECONDS, READ_SECONDS, Answer
from twofold.hosted.loop import in_thread, is_home
from twofold.keys import Key

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from twofold.hosted.exchange import Request

HEADERS = {"accept": "application/json", "accept-encoding": "identity"}
PASSING = frozenset({"TransportError", "DecodingError", "OSError", "TimeoutError"})
"""Classes of errors, of either library, that another try may not meet."""
LASTING = frozenset({"UnsupportedProtocol", "LocalProtocolError"})
"""Those among them that it will."""
OK = 200


class HttpTransport:
    """Sends requests to one URL, and owns the connections, unless a client is given.

    Connections stay open for the next call until the transport is dropped. A sync client of the user's is used on
    threads, and an async one on the event loop that its user calls from, since its connections belong there.
    """

    def __init__(
        self,
        url: str,
        late_url: str,
        headers: Callable[[], Awaitable[tuple[Key, dict[str, str]]]],
        client: Any = None,
    ) -> None:
        """Open nothing yet. `headers` gives the key and the headers that it travels in.

        Raises:
            MissingExtra: httpx is not installed.
        """
        with extra("hosted"):
            import httpx  # noqa: PLC0415
        self._httpx, self._url, self._late_url, self._headers = httpx, url, late_url, headers
        self._theirs = client
        self._theirs_async = inspect.iscoroutinefunction(getattr(client, "send", None))
        self._own: list[tuple[asyncio.AbstractEventLoop, Any]] = []
        finalize(self, _hang_up, self._own).atexit = False  # then the system closes them

    async def send(self, request: Request, seconds: float, caller: asyncio.AbstractEventLoop | None) -> Answer:
        """Send one request; see `exchange.Transport`.

        Raises:
            InputError: the user's client is an async one, and the call a sync one.
            MissingExtra: a proxy of the environment's needs a package that is not installed.
        """
        if self._theirs is None:
            return await self._exchange(self._client(), request, seconds)
        if not self._theirs_async:
            return await self._on_thread(request)
        if caller is None:
            raise InputError("http_client is an async client, which only the async methods can use: give a sync one")
        there = asyncio.run_coroutine_threadsafe(self._exchange(self._theirs, request), caller)
        return await asyncio.wrap_future(there)

    async def _exchange(self, client: Any, request: Request, seconds: float | None = None) -> Answer:
        key = Key()
        try:
            key, arguments = await self._arguments(request, seconds)
            async with client.stream(**arguments) as response:
                body = _Body(request, response)
                if not body.is_complete:
                    async for chunk in response.aiter_raw():
                        if not body.take(chunk):
                            break
                return body.answer(key)
        except InputError:  # of the key
            raise
        except Exception as error:  # noqa: BLE001 - whatever it is, it becomes words
            return fault(request, error, key)

    async def _on_thread(self, request: Request) -> Answer:
        """Through the user's sync client. One that is given up ends at its next bytes, or its own timeouts."""
        given_up = threading.Event()
        try:
            return await in_thread(self._exchange_sync, *await self._arguments(request), request, given_up)
        except InputError:  # of the key
            raise
        except Exception as error:  # noqa: BLE001 - the key's callable failed
            return fault(request, error, Key())
        finally:
            given_up.set()

    def _exchange_sync(self, key: Key, arguments: Any, request: Request, given_up: threading.Event) -> Answer:
        try:
            with self._theirs.stream(**arguments) as response:
                body = _Body(request, response)
                if not body.is_complete:
                    for chunk in response.iter_raw():
                        if not body.take(chunk) or given_up.is_set():
                            break
                return body.answer(key)
        except Exception as error:  # noqa: BLE001 - whatever it is, it becomes words
            return fault(request, error, key)

    async def _arguments(self, request: Request, seconds: float | None = None) -> tuple[Key, dict[str, Any]]:
        """The key and all arguments of one request. A client of the user's keeps its own timeouts."""
        key, headers = await self._headers()
        arguments = {
            "method": request.method,
            "url": request.url or (self._late_url if request.late else self._url),
            "content": request.body,
            "headers": HEADERS | {"content-type": request.kind} | headers,
            "follow_redirects": False,
        }
        if seconds is not None:
            read = min(READ_SECONDS, seconds)
            arguments["timeout"] = (min(CONNECT_SECONDS, seconds), read, read, None)
        return key, arguments

    def _client(self) -> Any:
        """Our own client: certificates are checked, proxies are the environment's, but for this machine itself."""
        loop = asyncio.get_running_loop()
        if not self._own or self._own[0][0] is not loop:
            try:
                client = self._httpx.AsyncClient(
                    verify=_certificates(),
                    trust_env=not is_loopback(self._url),
                    limits=self._httpx.Limits(max_connections=None, max_keepalive_connections=20),
                )
            except ImportError as missing:  # httpx[socks]
                raise MissingExtra(f"your proxy needs a package that is not installed: {missing}") from None
            # After a fork these were the parent's: kept out of reach, neither used nor closed.
            self._own.insert(0, (loop, client))
        return self._own[0][1]


def fault(request: Request, error: BaseException, key: Key) -> Answer:
    """An exception in words."""
    name = type(error).__name__
    words = key.redact(f"{name}: {error}" if str(error) else name)[:300]
    kinds = {base.__name__ for base in type(error).__mro__}
    unproven = any(isinstance(cause, ssl.SSLCertVerificationError) for cause in _causes(error))
    refused = name == "ProxyError" and "407" in str(error)
    hopeless = not kinds & PASSING or bool(kinds & LASTING) or unproven or refused
    slow = "Timeout" in name and not name.startswith(("Connect", "Pool"))
    return Answer(request.number, fault=words, slow=slow, hopeless=hopeless)


def _causes(error: BaseException | None) -> Any:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


class _Body:
    """An answer's body as it comes: into memory, or into the request's file, a good one that is not compressed."""

    def __init__(self, request: Request, response: Any) -> None:
        self._request, self._response = request, response
        self._headers = {name.lower(): value for name, value in response.headers.items()}
        # A MockTransport, cache, recorder or hook of the user's client may have read and decoded the body already.
        self.is_complete = response.is_stream_consumed
        self._encoding = "identity" if self.is_complete else self._headers.get("content-encoding", "identity")
        self._file = request.file if response.status_code == OK and self._encoding == "identity" else None
        self._kept, self._size = bytearray(), 0
        if request.file is not None:  # an earlier try may have left something
            request.file.seek(0)
            request.file.truncate()
        if self.is_complete:
            self.take(response.content)

    def take(self, chunk: bytes) -> bool:
        """Keep a part; whether more may come."""
        self._size += len(chunk)
        if self._file is None:
            self._kept += chunk
        else:
            self._file.write(chunk)
        return self._size <= self._request.most_bytes

    def answer(self, key: Key) -> Answer:
        """What came, decoded within its bound.

        Raises:
            OSError: an encoding that was not asked for, or a body that is not in it.
        """
        request, status = self._request, self._response.status_code
        plain = _plain(bytes(self._kept), self._encoding, request.most_bytes)
        if request.file is not None and self._file is None and status == OK:
            request.file.write(plain)
        wrong = ""
        if max(len(plain), self._size) > request.most_bytes and status == OK:
            wrong = f"over {request.most_bytes} bytes came, more than what was asked for can have"
        return Answer(request.number, status, self._headers, plain, wrong, redact=key.redact)


def _plain(body: bytes, encoding: str, most: int) -> bytes:
    """A body decoded, as far as one byte over `most`; gzip is taken from proxies that compress unasked."""
    if encoding in {"", "identity"} or len(body) > most:
        return body
    if encoding not in {"gzip", "x-gzip", "deflate"}:
        raise OSError(f"the answer is encoded as {encoding[:20]!r}, which was not asked for")
    decoder = zlib.decompressobj(wbits=47)  # gzip and zlib, told apart by their heads
    try:
        plain = decoder.decompress(body, most + 1)
    except zlib.error:
        raise OSError(f"the answer is not in {encoding}, as it says") from None
    if not decoder.eof and len(plain) <= most:
        raise OSError(f"the answer's {encoding} is cut off")
    return plain


def _hang_up(own: list[tuple[asyncio.AbstractEventLoop, Any]]) -> None:
    """Close what this process has opened, on its loop."""
    for loop, client in own:
        if is_home(loop):
            asyncio.run_coroutine_threadsafe(client.aclose(), loop)


@cache
def _certificates() -> ssl.SSLContext:
    """Made once: reading the certificates takes longer than a request."""
    import httpx  # noqa: PLC0415

    return httpx.create_ssl_context()
