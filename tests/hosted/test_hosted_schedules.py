"""Random schedules of faults: what comes back is right, or an error that accounts for every text. Nothing else.

First the flow alone, one decision at a time (a state machine that hypothesis shrinks), then the whole client in a
simulation, then over sockets. `make soak` runs 2,000 examples of the first, and 10,000 schedules over sockets.
"""

from __future__ import annotations

import asyncio
import json
import os
import random
import sys
import time
from collections import Counter
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from support import faultserver as fs
from support.faultserver import FaultServer, truth
from support.simulation import Recorded, Simulation
from twofold import Document, Embedder, ProviderError
from twofold.hosted.call import Call
from twofold.hosted.exchange import Answer
from twofold.hosted.flow import Flow
from twofold.hosted.limiter import Limiter
from twofold.hosted.packing import batches
from twofold.hosted.piece import Item, Limits
from twofold.wires import jina
from twofold.wires.wire import Ask

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from support.faultserver import Exchange
    from twofold.hosted.exchange import Request
    from twofold.hosted.flow import Step

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore::twofold.errors.DimensionsWarning")]
WIDTH, TASK = 16, "retrieval.passage"
STARTED = time.monotonic()
REFUSALS: dict[str, Callable[[Exchange], None]] = {
    "413": fs.status(413),
    "429": fs.status(429),
    "429 hold": fs.status(429, retry_after="0.3"),
    "503 hold": fs.status(503, retry_after="0.2"),
}
WELL = fs.poison("poison")
ODD: dict[str, Callable[[Exchange], None]] = {
    name: fs.poison("poison", otherwise=behave) for name, behave in fs.HARMLESS.items()
}
MILD = {**fs.PASSING, **ODD, **REFUSALS}
FAULTS = {**MILD, **fs.WRONG, **fs.FATAL}


def outcome(exchange: Recorded, request: Request) -> Answer:
    """The bytes as a transport would hand them on."""
    head, found, body = exchange.sent.partition(b"\r\n\r\n")
    lines = head.decode("latin-1").split("\r\n")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:])}
    if not found or "chunked" in head.decode("latin-1") or len(body) < int(headers.get("content-length", 0)):
        return Answer(request.number, fault="the connection was closed")
    if "content-encoding" in headers:
        return Answer(request.number, fault="cannot be decoded")
    wrong = "too long" if len(body) > request.most_bytes else ""
    return Answer(request.number, int(lines[0].split()[1]), headers, body, wrong)


def judged(vectors: Mapping[int, Any] | None, error: ProviderError | None, texts: list[str]) -> None:
    """Hold an outcome against the truth."""
    right = [truth(text, TASK, WIDTH) for text in texts]
    if error is None:
        assert vectors is not None
        np.testing.assert_allclose([vectors[index] for index in range(len(texts))], right, atol=1e-6)
        assert not any("poison" in text for text in texts)
        return
    assert not set(error.partial) & set(error.failed)
    assert set(error.partial) | set(error.failed) == set(range(len(texts)))
    assert error.failed
    for index, rows in error.partial.items():
        np.testing.assert_allclose(rows, [right[index]], atol=1e-6)
        assert "poison" not in texts[index]


class Schedules(RuleBasedStateMachine):
    """One call; each rule is something that the world does to it."""

    @initialize(
        poison=st.lists(st.sampled_from([False] * 6 + [True]), min_size=1, max_size=40),
        items=st.integers(1, 12),
        concurrency=st.integers(1, 4),
        proved=st.booleans(),
    )
    def start(self, poison: list[bool], items: int, concurrency: int, proved: bool) -> None:
        self.texts = [f"{'poison' if bad else 'text'} {number}" for number, bad in enumerate(poison)]
        self.concurrency, self.now = concurrency, 1000.0
        self.requests: dict[int, Request] = {}
        self.vectors: Any = None
        self.error: ProviderError | None = None
        self.over = False
        entries = [Item(text, 5, len(text), (index,), (index,)) for index, text in enumerate(self.texts)]
        ask = Ask(model="jina-embeddings-v3", texts=(), task=TASK, dimensions=WIDTH, normalize=True, encoding="base64")
        call = Call(
            host="api.example",
            name="jina:jina-embeddings-v3",
            documents=[Document.whole(text) for text in self.texts],
            pieces=list(batches(entries, Limits(items=items, tokens=10_000, length=100, window=100, overlap=0))),
            ask=ask,
            wire=jina,
            late_wire=jina,
            width=WIDTH,
            unit=True,
            echoes=lambda model: model == "jina-embeddings-v3",
            at_once=concurrency,
            deadline=self.now + 60,
            timeout=60,
            late_limit=8192,
            proved=proved,
        )
        self.limiter = Limiter(jitter=lambda: 0.5)
        self.flow = Flow(call, self.limiter, clock=lambda: self.now).run()
        self.go(lambda: next(self.flow))

    def go(self, advance: Callable[[], Step]) -> None:
        try:
            step = advance()
        except StopIteration as end:
            self.vectors, self.over = dict(enumerate(end.value)), True
        except ProviderError as error:
            self.error, self.over = error, True
        else:
            self.wait = step.wait
            assert 0 <= step.wait <= 60
            self.requests |= {request.number: request for request in step.send}
        if self.over:
            judged(self.vectors, self.error, self.texts)

    def answer(self, pick: int, behave: Callable[[Exchange], None] = WELL) -> None:
        number = sorted(self.requests)[pick % len(self.requests)]
        request = self.requests.pop(number)
        exchange = Recorded(number, json.loads(request.body), {})
        behave(exchange)
        self.now += 0.01
        answer = outcome(exchange, request)
        self.go(lambda: self.flow.send([answer]))

    @precondition(lambda self: not self.over and self.requests)
    @rule(pick=st.integers(0, 3))
    def well(self, pick: int) -> None:
        self.answer(pick)

    @precondition(lambda self: not self.over and self.requests)
    @rule(pick=st.integers(0, 3), name=st.sampled_from(sorted(MILD)))
    def mildly(self, pick: int, name: str) -> None:
        self.answer(pick, MILD[name])

    @precondition(lambda self: not self.over and self.requests)
    @rule(pick=st.integers(0, 3), name=st.sampled_from(sorted(FAULTS)))
    def badly(self, pick: int, name: str) -> None:
        self.answer(pick, FAULTS[name])

    @precondition(lambda self: not self.over)
    @rule(seconds=st.floats(0, 15))
    def nothing(self, seconds: float) -> None:
        self.now += seconds
        self.go(lambda: self.flow.send([]))

    @precondition(lambda self: self.over)
    @rule()
    def it_is_over(self) -> None:
        pass

    @invariant()
    def never_too_many(self) -> None:
        if hasattr(self, "requests"):
            assert len(self.requests) <= self.concurrency

    def teardown(self) -> None:
        """From here on all is well; the call must end, and have given back every leave that it took."""
        if not hasattr(self, "flow"):
            return
        for _ in range(2000):
            if self.over:
                break
            if self.requests:
                self.answer(0)
            else:
                self.now += max(self.wait, 0.001)
                self.go(lambda: self.flow.send([]))
        assert self.over
        assert self.limiter._under_way == 0


TestSchedules = Schedules.TestCase
TestSchedules.settings = settings(
    stateful_step_count=15,
    deadline=None,
    derandomize=True,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.filter_too_much],
)


# -- the whole client -------------------------------------------------------------------------------------------------


def run_schedules(count: int, seed: int, kind: type[FaultServer | Simulation] = FaultServer) -> Counter[str]:
    """Calls, each with faults drawn for it; half of them from an event loop."""
    seen: Counter[str] = Counter()
    chance = random.Random(seed)
    for number in range(count):
        texts = [f"{'poison' if chance.random() < 0.02 else 'text'} {place}" for place in range(chance.randint(1, 24))]
        names = [chance.choice(["", "", *MILD]) for _ in range(chance.randint(0, 6))]
        if chance.random() < 0.3:
            place = chance.randint(0, len(names))
            names[place:place] = [chance.choice(sorted(FAULTS))] * chance.choice([1, 12])
        left = list(names)

        def behave(exchange: Exchange, left: list[str] = left) -> None:
            name = left.pop(0) if left else ""
            (FAULTS[name] if name else WELL)(exchange)

        with kind(behave) as server:
            embedder = Embedder(
                "jina:jina-embeddings-v3",
                base_url=server.url,
                api_key="k",
                dimensions=WIDTH,
                batch_tokens=chance.choice([15, 40, 1000]),
                concurrency=chance.randint(1, 4),
                timeout=10,
            )
            vectors, error = None, None
            try:
                if number % 2:
                    vectors = dict(enumerate(asyncio.run(embedder.aembed_documents(texts))))
                else:
                    vectors = dict(enumerate(embedder.embed_documents(texts)))
            except ProviderError as raised:
                error = raised
            judged(vectors, error, texts)
        seen[type(error).__name__ if error else "right"] += 1
        seen["requests"] += server.count
    return seen


def test_schedules_of_the_whole_client() -> None:
    seen = run_schedules(100, seed=7, kind=Simulation)
    assert seen["right"] > 40
    assert seen["RequestRefused"] > 5
    assert seen["ResponseInvalid"] + seen["ProviderUnavailable"] > 2


def test_schedules_over_sockets() -> None:
    seen = run_schedules(20, seed=7)
    assert seen["right"] > 8
    assert seen["RequestRefused"] > 0


@pytest.mark.soak
@pytest.mark.parametrize("seed", range(1000, 1100))
def test_ten_thousand_schedules_over_sockets(seed: int, capsys: pytest.CaptureFixture[str]) -> None:
    """A hundred pieces of a hundred schedules; `make soak` goes on where it stopped, for as long as it is given."""
    done = Path(os.environ.get("SOAK_DONE", os.devnull))
    if done.is_file() and str(seed) in done.read_text("utf-8").split():
        pytest.skip("done in an earlier run")
    if time.monotonic() - STARTED > float(os.environ.get("SOAK_SECONDS", "inf")):
        pytest.skip("for a later run")
    seen = run_schedules(100, seed)
    with done.open("a", encoding="utf-8") as file:
        file.write(f"{seed}\n")
    with capsys.disabled():
        sys.stdout.write(f"\nseed {seed}: {dict(seen)}\n")
