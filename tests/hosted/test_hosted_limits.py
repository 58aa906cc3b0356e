"""Who may send when: what is learnt from headers, one quota for many processes, and a budget for retries."""

from __future__ import annotations

import asyncio
import heapq
import itertools
import random
import time
from typing import TYPE_CHECKING, Any

import pytest

from support import faultserver as fs
from support.faultserver import FaultServer
from support.quotaserver import QuotaServer, share
from support.simulation import Simulation
from twofold import Embedder, ProviderError, RequestRefused
from twofold.doctor import examine
from twofold.hosted import limiter as limiters
from twofold.hosted.exchange import parse_duration, reason_of, retry_after
from twofold.hosted.limiter import Grant, Limiter, Wait, limiter_for, take_part
from twofold.hosted.meter import Meter
from twofold.testing import FakeEmbedder

if TYPE_CHECKING:
    from support.faultserver import Provider

pytestmark = pytest.mark.filterwarnings("ignore::twofold.errors.DimensionsWarning")
FIRST = 0.02  # seconds of the first pause, in tests
HEADERS = {"x-ratelimit-limit-requests": "600", "x-ratelimit-remaining-requests": "3"}


def make(server: Provider, **options: Any) -> Embedder:
    defaults: dict[str, Any] = {"dimensions": 8, "base_url": server.url, "api_key": "k", "timeout": 30}
    return Embedder("jina:jina-embeddings-v3", **{**defaults, **options})


def granted(limiter: Limiter, now: float, tokens: int = 1) -> Grant:
    leave = limiter.acquire(tokens, now)
    assert isinstance(leave, Grant)
    return leave


def over(limiter: Limiter, now: float, tokens: int = 1) -> Grant:
    """A request that has ended."""
    grant = granted(limiter, now, tokens)
    limiter.release(grant)
    return grant


def waiting(limiter: Limiter, now: float, tokens: int = 1) -> Wait:
    leave = limiter.acquire(tokens, now)
    assert isinstance(leave, Wait)
    return leave


def test_what_the_headers_say_is_kept_to() -> None:
    limiter = Limiter()
    limiter.accepted(over(limiter, 10.0), HEADERS, None)
    for _ in range(3):
        over(limiter, 10.0)
    wait = waiting(limiter, 10.0).seconds
    assert wait == pytest.approx(0.1, rel=0.02)  # 600 a minute
    granted(limiter, 10.0 + wait + 1e-6)
    assert limiter.limits() == {"requests": 600.0, "tokens": 0.0}


def test_an_answer_that_is_late_does_not_give_back_what_was_taken_since() -> None:
    limiter = Limiter()
    early = granted(limiter, 10.0)
    for _ in range(3):
        granted(limiter, 10.0)
    limiter.accepted(early, HEADERS, None)  # three remained before the three others
    limiter.release(early)
    assert waiting(limiter, 10.0).seconds > 0.02


def test_tokens_are_settled_by_what_the_provider_counts() -> None:
    headers = {"x-ratelimit-limit-tokens": "6000", "x-ratelimit-remaining-tokens": "100"}
    limiter = Limiter()
    limiter.accepted(over(limiter, 10.0, 50), headers, 50)
    waiting(limiter, 10.0, 110)
    limiter.accepted(over(limiter, 10.0, 90), {}, 10)
    granted(limiter, 10.0, 85)


def test_a_request_over_a_whole_minutes_tokens_goes_when_the_account_is_full() -> None:
    assert Meter(limit=100, level=100).wait(500) == 0


def test_only_what_remains_is_stated() -> None:
    limiter = Limiter()
    limiter.accepted(over(limiter, 10.0), {"x-ratelimit-remaining-requests": "59"}, None)
    assert limiter.limits()["requests"] == 60


@pytest.mark.parametrize(
    ("resets", "limit", "seconds"),
    [
        # what remains, and the seconds until all of it is back
        ([(499, "0.12s"), (498, "240ms"), (400, "12s")], 500, 60.0),  # comes back all along, in a minute
        ([(9, "0.95"), (5, "0.5"), (0, "0.02"), (9, "0.99")], 10, 1.0),  # comes back at the end of each second
        ([(14_399, "6s"), (14_390, "1m0s")], 14_400, 3600.0),  # by the day: said as what an hour's pace allows
        ([(499, "1e9"), (498, "soon")], 500, 60.0),
    ],
)
def test_limits_of_any_period_are_read_with_their_resets(
    resets: list[tuple[int, str]], limit: int, seconds: float
) -> None:
    meter = Meter()
    for remaining, reset in resets:
        meter.learn(float(limit), float(remaining), parse_duration(reset), 0.0)
    assert meter.period == pytest.approx(seconds, rel=0.05)


@pytest.mark.parametrize(
    "headers",
    [
        {"x-ratelimit-limit-requests": "1e400", "x-ratelimit-remaining-requests": "-1"},
        {"x-ratelimit-limit-tokens": "9" * 400, "x-ratelimit-remaining-tokens": "nan"},
        {"x-ratelimit-limit-tokens": "1000", "x-ratelimit-remaining-tokens": "0", "x-ratelimit-reset-tokens": "9" * 30},
    ],
)
def test_absurd_numbers_hold_nobody_for_longer_than_a_minute(headers: dict[str, str]) -> None:
    limiter = Limiter()
    limiter.accepted(over(limiter, 10.0), headers, 10**400)
    leave = limiter.acquire(500, 10.0)
    assert isinstance(leave, Grant) or leave.seconds < 130


def test_a_retry_after_holds_everybody_of_that_host_and_key() -> None:
    one = limiter_for("a host", "a key")
    assert limiter_for("a host", "a key") is one
    one.hold(5, 100.0)
    assert waiting(one, 101.0).seconds == pytest.approx(4.0)
    assert isinstance(limiter_for("a host", "another key").acquire(1, 101.0), Grant)
    assert limiter_for("another host", "a key") is not one


def test_a_guess_is_lowered_by_refusals_and_raised_by_success() -> None:
    limiter = Limiter()
    for step in range(20):
        grant = over(limiter, 10.0 + step * 0.1)
    limiter.refused(grant, {}, 0.1, 12.0)
    first = limiter.limits()["requests"]
    assert 200 < first < 600  # they came at 600 a minute
    limiter.refused(grant, {}, 0.1, 12.0)  # of the same time: counts once
    assert limiter.limits()["requests"] == first
    limiter.accepted(grant, {}, None)
    assert limiter.limits()["requests"] > first


def test_what_went_before_a_guess_is_no_debt() -> None:
    limiter = Limiter()
    for step in range(500):
        grant = over(limiter, 10.0 + step * 0.01)
    limiter.refused(grant, {}, 0.001, 15.0)
    assert waiting(limiter, 15.0).seconds < 0.1


def test_a_stated_limit_that_others_use_too_is_shared() -> None:
    limiter = Limiter()
    for step in range(20):
        grant = over(limiter, 10.0 + step * 0.1)
        limiter.accepted(grant, {"x-ratelimit-limit-requests": "600"}, None)
    pace = limiter._requests.pace
    limiter.refused(grant, {}, 0.1, 12.0)
    assert 0.5 * pace <= limiter._requests.pace < 0.8 * pace  # towards what it did, which is less than all
    for _ in range(600):
        limiter.accepted(grant, {}, None)
    assert limiter._requests.pace == pytest.approx(pace)


def test_the_window_of_requests_under_way_narrows_and_widens() -> None:
    limiter = Limiter()
    grants = [granted(limiter, 10.0) for _ in range(4)]
    waiting(limiter, 10.0)
    for grant in grants:
        limiter.release(grant)
        limiter.refused(grant, {}, 0.01, 10.0)
    grants = [granted(limiter, 11.0) for _ in range(2)]
    waiting(limiter, 11.0)
    for grant in grants * 2:
        limiter.accepted(grant, {}, None)
    granted(limiter, 11.0)


def test_who_waits_for_others_is_woken_and_asks_no_more(monkeypatch: pytest.MonkeyPatch) -> None:
    """Twelve calls through a window of four requests: each asks for leave, is refused once or twice, and is woken."""
    asked = []
    acquire = Limiter.acquire

    def counting(self: Limiter, *given: Any, **options: Any) -> Grant | Wait:
        leave = acquire(self, *given, **options)
        asked.append(isinstance(leave, Wait))
        return leave

    def slowly(exchange: fs.Exchange) -> None:
        time.sleep(0.2)
        exchange.well()

    async def calls(embedder: Embedder) -> None:
        await asyncio.gather(*(embedder.aembed_documents([f"text {number}"]) for number in range(12)))

    with FaultServer(slowly) as server:
        embedder = Embedder("jina:jina-embeddings-v3", base_url=server.url, api_key="k")
        embedder.embed_query("proved")
        monkeypatch.setattr(limiters, "LOOK", 30.0)
        monkeypatch.setattr(Limiter, "acquire", counting)
        asyncio.run(calls(embedder))
    assert asked.count(False) == 12
    assert asked.count(True) <= 16


def test_what_was_learnt_long_ago_is_forgotten() -> None:
    limiter = Limiter()
    limiter.accepted(over(limiter, 10.0), HEADERS, None)
    limiter.failed(over(limiter, 10.0), 10.0)
    waiting(limiter, 10.0)
    granted(limiter, 1000.0)
    assert limiter.limits()["requests"] == 0


# -- away, and back ---------------------------------------------------------------------------------------------------


def test_a_failure_pauses_everyone_and_one_request_looks_whether_the_provider_is_back() -> None:
    limiter = Limiter(jitter=lambda: 0.5)
    grants = [granted(limiter, 10.0) for _ in range(3)]
    for grant in grants:
        limiter.release(grant)
        limiter.failed(grant, 10.0)
    first = waiting(limiter, 10.0)
    assert first.seconds == pytest.approx(FIRST)
    assert first.away == 0
    probe = granted(limiter, 10.001 + FIRST)
    assert waiting(limiter, 10.001 + FIRST).away is None  # while it is under way
    limiter.release(probe)
    limiter.failed(probe, 11.0)
    second = waiting(limiter, 11.0)
    assert second.seconds == pytest.approx(2 * FIRST)
    assert second.away == 1  # since the first failure
    probe = granted(limiter, 11.001 + 2 * FIRST)
    limiter.release(probe)
    limiter.accepted(probe, {}, None)
    granted(limiter, 11.001 + 2 * FIRST)
    granted(limiter, 11.001 + 2 * FIRST)


def test_pauses_grow_to_a_minute_and_no_further(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    limiter, now, pauses = Limiter(jitter=lambda: 0.5), 0.0, []
    for _ in range(20):
        grant = over(limiter, now)
        limiter.failed(grant, now)
        pauses.append(waiting(limiter, now).seconds)
        now += pauses[-1] + 1e-6
    assert pauses[:3] == pytest.approx([0.5, 1, 2])
    assert pauses[-1] == pytest.approx(60)


def test_an_answer_to_a_later_request_ends_a_pause_and_one_to_an_earlier_does_not() -> None:
    limiter = Limiter()
    early, failing, late = (granted(limiter, 10.0) for _ in range(3))
    limiter.failed(failing, 10.0)
    limiter.accepted(early, {}, None)
    waiting(limiter, 10.0)
    limiter.accepted(late, {}, None)
    granted(limiter, 10.0)


def test_a_last_look_goes_ahead_of_a_pause() -> None:
    limiter = Limiter()
    limiter.failed(over(limiter, 10.0), 10.0)
    assert isinstance(limiter.acquire(1, 10.0, last=True), Grant)


def test_a_full_minute_is_waited_for_and_never_an_error() -> None:
    """Refusals cost time, not the call, however many there are."""
    with Simulation(fs.first(fs.status(429), 8)) as server:
        make(server, max_outage=0.001).embed_documents(["a text"])
        assert server.count == 9


@pytest.mark.parametrize("after", ["0", "-1", "nan", "1e999", "Wed, 21 Oct 2015 07:28:05 GMT", "soon"])
@pytest.mark.parametrize("code", [429, 503])
def test_a_retry_after_of_no_use_is_no_storm(code: int, after: str) -> None:
    with Simulation(fs.status(code, retry_after=after)) as server, pytest.raises(ProviderError):
        make(server, timeout=1.0).embed_query("a question")
    assert server.count <= 9


def test_a_part_of_what_is_granted_is_all_that_is_used() -> None:
    held = limiter_for("part.example", None)
    try:
        take_part(0.25)
        for limiter in (held, limiter_for("other.example", None)):
            limiter.accepted(over(limiter, 10.0), HEADERS | {"x-ratelimit-remaining-requests": "600"}, None)
            assert limiter.limits()["requests"] == 600  # the account's, for messages
            sent = 0
            for tick in range(2400):
                if isinstance(leave := limiter.acquire(1, 11 + tick / 20), Grant):
                    limiter.release(leave)
                    sent += 1
            assert sent == pytest.approx(2 * 150 + 150, rel=0.03)  # of two minutes, and what was there at first
    finally:
        take_part(1.0)


def share_a_quota(processes: int, seconds: float, *, per_minute: float, burst: float, latency: float) -> Any:
    """What part of a quota is used, and what part of the requests is refused, on a virtual clock.

    Each process is a limiter of its own with two threads, which ask for all they can get.
    """
    limiters = [Limiter(random.Random(seed).random) for seed in range(processes)]
    numbers = itertools.count()
    events: list[tuple[float, int, Limiter, Grant | None]] = [
        (0.0, next(numbers), limiter, None) for limiter in limiters for _ in range(2)
    ]
    waiting: dict[Limiter, int] = dict.fromkeys(limiters, 0)  # threads that wait for the other thread's request
    level, stamp, granted, refused = burst, 0.0, 0, 0
    headers = {"x-ratelimit-limit-requests": str(int(per_minute))}
    while events[0][0] < seconds:
        now, _, limiter, grant = heapq.heappop(events)
        if grant is not None:  # its answer
            level, stamp = min(burst, level + (now - stamp) * per_minute / 60), now
            fine = level >= 1
            level -= fine
            granted, refused = granted + fine, refused + (not fine)
            limiter.release(grant)
            said = headers | {"x-ratelimit-remaining-requests": str(int(level))}
            if fine:
                limiter.accepted(grant, said, None)
            else:
                limiter.refused(grant, said, None, now)
            for _ in range(waiting[limiter]):
                heapq.heappush(events, (now, next(numbers), limiter, None))
            waiting[limiter] = 0
        leave = limiter.acquire(1, now)
        if isinstance(leave, Grant):
            heapq.heappush(events, (now + latency, next(numbers), limiter, leave))
        elif leave.others:
            waiting[limiter] += 1
        else:
            heapq.heappush(events, (now + leave.seconds + 1e-6, next(numbers), limiter, None))
    return granted / (seconds * per_minute / 60 + burst), refused / (granted + refused)


@pytest.mark.parametrize("processes", [3, 8])
def test_processes_learn_to_share_a_quota(processes: int) -> None:
    used, refused = share_a_quota(processes, 60, per_minute=1200, burst=20, latency=0.02)
    assert used >= 0.9
    assert refused <= 0.2


@pytest.mark.soak
def test_real_processes_learn_to_share_a_quota() -> None:
    with QuotaServer(per_minute=1200, burst=20, latency=0.02) as server:
        used, refused, _ = share(server, processes=3, seconds=4)
    assert used >= 0.6  # benchmarks/hosted_quota.py measures eight processes, for longer
    assert refused <= 0.4


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:05 GMT", "date": "Wed, 21 Oct 2026 07:28:00 GMT"}, 5.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:05 GMT"}, 8.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:05 GMT"}, None),
        ({"retry-after": "0"}, None),
        ({"retry-after": "-3"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "soon"}, None),
    ],
)
def test_retry_after_in_every_form(headers: dict[str, str], seconds: float | None) -> None:
    wall = 1_792_567_677.0  # 2026-10-21 07:27:57 GMT
    assert retry_after(headers, lambda: wall) == seconds


@pytest.mark.parametrize(
    ("body", "reason"),
    [
        (b'{"detail": "no", "code": "AUTH"}', "AUTH: no"),
        (b'{"error": {"message": "no", "code": null}}', "no"),
        (b'{"message": "no"}', "no"),
        (b'{"error": "too long", "error_type": "validation"}', "validation: too long"),
        (b'{"detail": "bad", "errors": [{"field": "input", "message": "is empty"}]}', "bad: input: is empty"),
        (b"<html>\n  <b>oops</b></html>", "<html> <b>oops</b></html>"),
        (b"\xff\xfe", "\ufffd\ufffd"),
        (b"", ""),
    ],
)
def test_reasons_are_found_in_every_shape(body: bytes, reason: str) -> None:
    assert reason_of(body) == reason
    assert len(reason_of(b"x" * 9999)) == 300


def test_the_doctor_looks_at_a_hosted_model() -> None:
    behave = lambda exchange: exchange.well(x_ratelimit_limit_requests="500")  # noqa: E731 - one answer
    with Simulation(behave) as server:
        findings = {finding.name: finding for finding in examine(make(server))}
    assert findings["key"].ok
    assert findings["answer"].ok
    assert findings["two sides"].ok
    assert findings["limits"].detail == "500 requests a minute"
    assert findings["address"].detail == server.url + "/embeddings"
    assert findings["local model"].ok is None


def test_the_doctor_says_what_is_wrong() -> None:
    with Simulation(fs.status(401, "this key is unknown")) as server:
        last = list(examine(make(server)))[-1]
    assert last.ok is False
    assert "401 CODE_401: this key is unknown" in last.detail


def test_the_doctor_compares_with_the_local_model() -> None:
    from twofold.doctor.hosted import examine_hosted

    with Simulation() as server:
        hosted = make(server, dimensions=16)
        same = list(examine_hosted(hosted, hosted))[-1]
        other = list(examine_hosted(hosted, FakeEmbedder(dimensions=16)))[-1]
    assert (same.name, same.ok) == ("local model", True)
    assert other.ok is False


def test_what_is_refused_is_not_remembered_as_fine() -> None:
    with Simulation(fs.schedule([None, fs.status(401), None])) as server:
        embedder = make(server, batch_tokens=10)
        embedder.embed_documents(["one text"])
        with pytest.raises(RequestRefused):
            embedder.embed_documents(["one text"])
        embedder.embed_documents(["one text"])
