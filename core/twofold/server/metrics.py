"""Metrics for Prometheus. No label contains a text, a key or a client's address."""

from __future__ import annotations

from dataclasses import dataclass

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, ProcessCollector, generate_latest

SECONDS = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0)
TOKENS = (16, 64, 256, 512, 1024, 2048, 8192, 32_768)
TEXTS = (1, 2, 4, 8, 16, 32, 64, 128, 512)


@dataclass(frozen=True, slots=True)
class ModelMeter:
    """The metrics of one model."""

    queue: Gauge
    tokens: Counter
    batch_tokens: Histogram
    batch_texts: Histogram
    batch_seconds: Histogram
    wait_seconds: Histogram

    def batch(self, texts: int, tokens: int, seconds: float) -> None:
        self.tokens.inc(tokens)
        self.batch_tokens.observe(tokens)
        self.batch_texts.observe(texts)
        self.batch_seconds.observe(seconds)


class Metrics:
    """The metrics of one application, in their own registry."""

    def __init__(self) -> None:
        own = self._registry = CollectorRegistry()
        ProcessCollector(registry=own)
        self.requests = Counter("twofold_requests", "Requests answered.", ("route", "code"), registry=own)
        self.seconds = Histogram(
            "twofold_request_duration_seconds",
            "Seconds from a request's headers to its answer.",
            ("route",),
            buckets=SECONDS,
            registry=own,
        )
        self.rejected = Counter("twofold_rejected", "Requests rejected.", ("reason",), registry=own)
        self.inflight = Gauge("twofold_inflight", "Requests in progress.", registry=own)
        self._queue = Gauge("twofold_queue_tokens", "Tokens waiting for the engine.", ("model",), registry=own)
        self._tokens = Counter("twofold_input_tokens", "Tokens embedded.", ("model",), registry=own)
        self._batch_tokens = _histogram("twofold_batch_tokens", "Tokens in a batch.", TOKENS, own)
        self._batch_texts = _histogram("twofold_batch_texts", "Texts in a batch.", TEXTS, own)
        self._batch_seconds = _histogram(
            "twofold_batch_duration_seconds", "Seconds of a batch in the engine.", SECONDS, own
        )

        self._wait_seconds = _histogram(
            "twofold_wait_duration_seconds", "Seconds from a request's arrival to its first batch.", SECONDS, own
        )

    def of_model(self, model: str) -> ModelMeter:
        return ModelMeter(
            self._queue.labels(model),
            self._tokens.labels(model),
            self._batch_tokens.labels(model),
            self._batch_texts.labels(model),
            self._batch_seconds.labels(model),
            self._wait_seconds.labels(model),
        )

    def answered(self, route: str, status: int, seconds: float) -> None:
        self.requests.labels(route, status).inc()
        self.seconds.labels(route).observe(seconds)

    def text(self) -> bytes:
        """All metrics in Prometheus' text format."""
        return generate_latest(self._registry)


def _histogram(name: str, help: str, buckets: tuple[float, ...], registry: CollectorRegistry) -> Histogram:  # noqa: A002
    return Histogram(name, help, ("model",), buckets=buckets, registry=registry)
