"""Sends requests over HTTP with httpx, or with its successor httpx2: one request in, one `Answer` out.

The key is put into the header only here, so no frame of an exception of ours holds it. What httpx raises becomes a
message, and the exception is dropped.
"""

from __future__ import annotations

import asyncio
import inspect
import logging
import ssl
import threading
import zlib
from contextvars import ContextVar
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
"""Names of the error classes of either library that a retry may avoid."""
LASTING = frozenset({"UnsupportedProtocol", "LocalProtocolError"})
"""Subclasses of these that a retry does not avoid."""
LOGGERS = tuple(f"httpcore.{part}" for part in ("connection", "http11", "http2", "proxy", "socks"))
"""They log the headers of answers, in which a provider may quote the key."""
_sent_key: ContextVar[Key | None] = ContextVar("sent_key", default=None)


class _Redacting(logging.Filter):
    """Removes the key of the request in whose context a record is logged."""

    def filter(self, record: logging.LogRecord) -> bool:
        key = _sent_key.get()
        if key is not None:
            record.msg, record.args = key.redact(record.getMessage()), ()
        return True


_redacting = _Redacting()


class HttpTransport:
    """Sends requests to one URL, and owns the connections unless `client` is given.

    Connections stay open for later calls until the transport is deleted. A user's sync client is used on threads. A
    user's async client is used on the event loop of the call, since its connections belong to that loop.
    """

    def __init__(
        self,
        url: str,
        late_url: str,
        headers: Callable[[], Awaitable[tuple[Key, dict[str, str]]]],
        client: Any = None,
    ) -> None:
        """Open no connection yet. `headers` returns the key, and the headers with the key.

        Raises:
            MissingExtra: httpx is not installed.
        """
        with extra("hosted"):
            import httpx  # noqa: PLC0415
        self._httpx, self._url, self._late_url, self._headers = httpx, url, late_url, headers
        self._theirs = client
        self._theirs_async = inspect.iscoroutinefunction(getattr(client, "send", None))
        for name in LOGGERS:
            logging.getLogger(name).addFilter(_redacting)  # once, however often
        self._own: list[tuple[asyncio.AbstractEventLoop, Any]] = []
        finalize(self, _hang_up, self._own).atexit = False  # at exit, the system closes them

    async def send(self, request: Request, seconds: float, caller: asyncio.AbstractEventLoop | None) -> Answer:
        """Send one request; see `exchange.Transport`.

        Raises:
            InputError: the user's client is async, and the call is sync.
            MissingExtra: the environment's proxy needs a package that is not installed.
        """
        if self._theirs is None:
            return await self._exchange(self._client(), request, seconds)
        if not self._theirs_async:
            return await self._on_thread(request)
        if caller is None:
            raise InputError(
                "http_client is an async client, which works only with the async methods: pass a sync client"
            )
        there = asyncio.run_coroutine_threadsafe(self._exchange(self._theirs, request), caller)
        return await asyncio.wrap_future(there)

    async def _exchange(self, client: Any, request: Request, seconds: float | None = None) -> Answer:
        key = Key()
        try:
            key, arguments = await self._arguments(request, seconds)
            _sent_key.set(key)
            async with client.stream(**arguments) as response:
                body = _Body(request, response)
                if not body.is_complete:
                    async for chunk in response.aiter_raw():
                        if not body.take(chunk):
                            break
                return body.answer(key)
        except InputError:  # an invalid key
            raise
        except Exception as error:  # noqa: BLE001 - every exception becomes a message
            return fault(request, error, key)

    async def _on_thread(self, request: Request) -> Answer:
        """Use the user's sync client. After a cancelled call, its thread ends at the next bytes or at its timeout."""
        given_up = threading.Event()
        try:
            return await in_thread(self._exchange_sync, *await self._arguments(request), request, given_up)
        except InputError:  # an invalid key
            raise
        except Exception as error:  # noqa: BLE001 - the key's callable failed
            return fault(request, error, Key())
        finally:
            given_up.set()

    def _exchange_sync(self, key: Key, arguments: Any, request: Request, given_up: threading.Event) -> Answer:
        _sent_key.set(key)
        try:
            with self._theirs.stream(**arguments) as response:
                body = _Body(request, response)
                if not body.is_complete:
                    for chunk in response.iter_raw():
                        if not body.take(chunk) or given_up.is_set():
                            break
                return body.answer(key)
        except Exception as error:  # noqa: BLE001 - every exception becomes a message
            return fault(request, error, key)

    async def _arguments(self, request: Request, seconds: float | None = None) -> tuple[Key, dict[str, Any]]:
        """The key and the arguments of one request. Without `seconds`, the client's own timeouts apply."""
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
        """Our own client. It checks certificates, and uses the environment's proxy except for this machine."""
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
            # After a fork, older clients belong to the parent: they are kept, but neither used nor closed.
            self._own.insert(0, (loop, client))
        return self._own[0][1]


def fault(request: Request, error: BaseException, key: Key) -> Answer:
    """An exception as an answer."""
    name = type(error).__name__
    words = key.redact(f"{name}: {error}" if str(error) else name)[:300]
    kinds = {base.__name__ for base in type(error).__mro__}
    unproven = any(isinstance(cause, ssl.SSLCertVerificationError) for cause in _causes(error))
    refused = name == "ProxyError" and "407" in str(error)
    hopeless = not kinds & PASSING or bool(kinds & LASTING) or unproven or refused
    slow = "Timeout" in name and not name.startswith(("Connect", "Pool"))
    unreached = name.startswith("Connect")
    return Answer(request.number, fault=words, slow=slow, hopeless=hopeless, unreached=unreached)


def _causes(error: BaseException | None) -> Any:
    while error is not None:
        yield error
        error = error.__cause__ or error.__context__


class _Body:
    """Collects an answer's body in memory, or in the request's file if it is successful and not compressed."""

    def __init__(self, request: Request, response: Any) -> None:
        self._request, self._response = request, response
        self._headers = response.headers  # of httpx, which ignores case
        # A MockTransport, cache, recorder or hook of the user's client may have read and decoded the body already.
        self.is_complete = response.is_stream_consumed
        self._encoding = "identity" if self.is_complete else self._headers.get("content-encoding", "identity")
        self._file = request.file if 200 <= response.status_code < 300 and self._encoding == "identity" else None
        self._kept, self._size = bytearray(), 0
        if request.file is not None:  # an earlier attempt may have written to it
            request.file.seek(0)
            request.file.truncate()
        if self.is_complete:
            self.take(response.content)

    def take(self, chunk: bytes) -> bool:
        """Store a part. Returns whether the body is still within its bound."""
        self._size += len(chunk)
        if self._file is None:
            self._kept += chunk
        else:
            self._file.write(chunk)
        return self._size <= self._request.most_bytes

    def answer(self, key: Key) -> Answer:
        """The answer, its body decoded as far as its bound allows.

        Raises:
            OSError: the content encoding was not requested, or the body is not valid in it.
        """
        request, status = self._request, self._response.status_code
        plain = _plain(bytes(self._kept), self._encoding, request.most_bytes)
        if request.file is not None and self._file is None and 200 <= status < 300:
            request.file.write(plain)
        wrong = ""
        if max(len(plain), self._size) > request.most_bytes and 200 <= status < 300:
            wrong = f"it is longer than {request.most_bytes} bytes, the most that the requested vectors can take"
        return Answer.received(request.number, status, self._headers, plain, key=key, wrong=wrong)


def _plain(body: bytes, encoding: str, most: int) -> bytes:
    """The decoded body, at most one byte longer than `most`. Some proxies send gzip although it was not requested."""
    if encoding in {"", "identity"} or len(body) > most:
        return body
    if encoding not in {"gzip", "x-gzip", "deflate"}:
        raise OSError(f"the answer is encoded as {encoding[:20]!r}, which was not requested")
    decoder = zlib.decompressobj(wbits=47)  # gzip and zlib, told apart by their heads
    try:
        plain = decoder.decompress(body, most + 1)
    except zlib.error:
        raise OSError(f"the answer is not valid {encoding}") from None
    if not decoder.eof and len(plain) <= most:
        raise OSError(f"the answer's {encoding} is truncated")
    return plain


def _hang_up(own: list[tuple[asyncio.AbstractEventLoop, Any]]) -> None:
    """Close the clients that this process opened, on its loop."""
    for loop, client in own:
        if is_home(loop):
            asyncio.run_coroutine_threadsafe(client.aclose(), loop)


@cache
def _certificates() -> ssl.SSLContext:
    """Cached: reading the certificates takes longer than a request."""
    import httpx  # noqa: PLC0415

    return httpx.create_ssl_context()
