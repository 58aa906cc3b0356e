"""OpenTelemetry with its conventions for generative AI, if `opentelemetry` is installed.

One span `embeddings {model}` covers a call with all its requests and retries. Two histograms record seconds and tokens.
No span and no metric contains a text, a vector or a key.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from functools import cache
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

if TYPE_CHECKING:
    from collections.abc import Iterator

    from twofold.hosted.call import Usage

SCOPE = "twofold.hosted"


@contextmanager
def operation(asked: str, dimensions: int, encoding: str, url: str, usage: Usage) -> Iterator[None]:
    """Observe one call to the model `asked`, "<provider>:<model>"; `usage` is read at its end."""
    try:
        from opentelemetry.trace import SpanKind, Status, StatusCode, get_tracer  # noqa: PLC0415
    except ImportError:
        yield
        return
    provider, _, model = asked.partition(":")
    parts = urlsplit(url)
    common: dict[str, str | int] = {
        "gen_ai.operation.name": "embeddings",
        "gen_ai.provider.name": provider,
        "gen_ai.request.model": model,
    }
    if parts.hostname:
        common |= {"server.address": parts.hostname, "server.port": parts.port or 443}
    started = time.monotonic()
    with get_tracer(SCOPE).start_as_current_span(
        f"embeddings {model}",
        kind=SpanKind.CLIENT,
        attributes={
            **common,
            "gen_ai.embeddings.dimension.count": dimensions,
            "gen_ai.request.encoding_formats": (encoding,),
        },
        record_exception=False,  # its message may quote the provider, which may quote a text
        set_status_on_exception=False,
    ) as span:
        try:
            yield
        except BaseException as error:
            common["error.type"] = type(error).__name__
            span.set_attribute("error.type", type(error).__name__)
            span.set_status(Status(StatusCode.ERROR))
            raise
        finally:
            span.set_attribute("gen_ai.usage.input_tokens", usage.tokens)
            seconds, tokens = _histograms()
            seconds.record(time.monotonic() - started, common)
            if usage.tokens:
                tokens.record(usage.tokens, {**common, "gen_ai.token.type": "input"})


@cache
def _histograms() -> tuple[Any, Any]:
    from opentelemetry.metrics import get_meter  # noqa: PLC0415

    meter = get_meter(SCOPE)
    return (
        meter.create_histogram("gen_ai.client.operation.duration", "s", "GenAI operation duration"),
        meter.create_histogram("gen_ai.client.token.usage", "{token}", "Number of input tokens used"),
    )
