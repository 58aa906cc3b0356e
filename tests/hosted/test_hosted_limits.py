"""Who may send when: what is learnt from headers, one quota for many processes, and a budget for retries."""

from __future__ import annotations

import asyncio
import random
import time
from typing import TYPE_CHECKING, Any

import pytest

from support import faultserver as fs
from support.faultserver import FaultServer
from support.quotas import SPELLINGS, STEPWISE, Moody, Quota, Steps, separate, use
from support.quotaserver import QuotaServer, share
from support.simulation import Simulation
from twofold import Embedder, ProviderError, RequestRefused
from twofold.doctor import examine
from twofold.hosted import limiter as limiters
from twofold.hosted.exchange import Answer
from twofold.hosted.limiter import Grant, Limiter, Wait, limiter_for, take_part
from twofold.hosted.meter import Meter
from twofold.hosted.window import SMALLEST, Window
from twofold.testing import FakeEmbedder
from twofold.wires.limits import Quota as Stated
from twofold.wires.limits import parse_duration, retry_after, stated_quotas

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


def accept(
    limiter: Limiter, grant: Grant, headers: dict[str, str] | None = None, tokens: int | None = None, now: float = 10.0
) -> None:
    """The request is answered with these headers."""
    limiter.accepted(grant, stated_quotas(headers or {}), tokens, now)


def test_what_the_headers_say_is_kept_to() -> None:
    limiter = Limiter()
    accept(limiter, over(limiter, 10.0), HEADERS)
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
    accept(limiter, early, HEADERS)  # three remained before the three others
    limiter.release(early)
    assert waiting(limiter, 10.0).seconds > 0.02


def test_tokens_are_settled_by_what_the_provider_counts() -> None:
    headers = {"x-ratelimit-limit-tokens": "6000", "x-ratelimit-remaining-tokens": "100"}
    limiter = Limiter()
    accept(limiter, over(limiter, 10.0, 50), headers, 50)
    waiting(limiter, 10.0, 110)
    accept(limiter, over(limiter, 10.0, 90), {}, 10)
    granted(limiter, 10.0, 85)


def test_a_request_over_a_whole_minutes_tokens_goes_when_the_account_is_full() -> None:
    assert Meter(limit=100, level=100).wait(500) == 0


def test_only_what_remains_is_stated() -> None:
    limiter = Limiter()
    accept(limiter, over(limiter, 10.0), {"x-ratelimit-remaining-requests": "59"})
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
        meter.learn(Stated(float(limit), float(remaining), parse_duration(reset)), 1.0, 0.0)
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
    accept(limiter, over(limiter, 10.0), headers, 10**400)
    leave = limiter.acquire(500, 10.0)
    assert isinstance(leave, Grant) or leave.seconds < 130


def test_a_retry_after_holds_everybody_of_that_host_and_key() -> None:
    one = limiter_for("a host", "a key")
    assert limiter_for("a host", "a key") is one
    one.hold(5, 100.0)
    assert waiting(one, 101.0).seconds == pytest.approx(4.0)
    assert isinstance(limiter_for("a host", "another key").acquire(1, 101.0), Grant)
    assert limiter_for("another host", "a key") is not one


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
    accept(limiter, over(limiter, 10.0), HEADERS)
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
    accept(limiter, probe, now=11.1)
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
    accept(limiter, early)
    waiting(limiter, 10.0)
    accept(limiter, late)
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
            accept(limiter, over(limiter, 10.0), HEADERS | {"x-ratelimit-remaining-requests": "600"})
            assert limiter.limits()["requests"] == 600  # the account's, for messages
            sent = 0
            for tick in range(2400):
                if isinstance(leave := limiter.acquire(1, 11 + tick / 20), Grant):
                    limiter.release(leave)
                    sent += 1
            assert sent == pytest.approx(2 * 150 + 150, rel=0.03)  # of two minutes, and what was there at first
    finally:
        take_part(1.0)


@pytest.fixture
def real_pauses(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those of every client, on a virtual clock."""
    monkeypatch.undo()


@pytest.mark.usefixtures("real_pauses")
@pytest.mark.parametrize("per_minute", [500, 2000])
@pytest.mark.parametrize("spelling", SPELLINGS)
def test_processes_learn_to_share_a_quota(spelling: str, per_minute: float) -> None:
    """Eight processes are refused at most 5 % of the time, once they have found their shares."""
    says = SPELLINGS[spelling]
    late = []
    for seed in range(3):
        quota: Any = Steps(per_minute, says) if spelling in STEPWISE else Quota(per_minute, per_minute / 60, says)
        outcome = use(quota, 120, processes=8, seed=seed)
        assert len(outcome.granted) >= 0.9 * 120 * per_minute / 60
        assert outcome.part_refused() <= 0.25
        late.append(outcome.part_refused(60))
    assert sum(late) / 3 <= 0.05


@pytest.mark.usefixtures("real_pauses")
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(
    ("part", "length", "slower"), [(0.005, 0, 1.1), (0.01, 0, 1.1), (0.03, 0, 1.3), (0.06, 0, 1.5), (0.05, 1, 1.5)]
)
def test_refusals_that_do_not_depend_on_the_pace_cost_about_as_much_as_separate_back_off(
    part: float, length: float, slower: float, seed: int
) -> None:
    ours = use(Moody(part, seed, length), 60, threads=16, latency=0.1)
    alone = separate(Moody(part, seed, length), 60, threads=16, latency=0.1)
    assert len(alone.granted) <= slower * len(ours.granted)
    assert ours.part_refused() <= 1.3 * max(part, alone.part_refused())


@pytest.mark.usefixtures("real_pauses")
def test_processes_use_a_quota_that_becomes_free() -> None:
    quota = Quota(1200, 20, SPELLINGS["none"], others=18.0)
    quota(0.0)
    first = use(quota, 60)
    quota.others, quota.stamp = 0.0, 0.0
    assert first.part_refused(30) <= 0.15
    assert len(use(quota, 60).granted) >= 0.9 * 1200


def rounds(window: Window, part: float, number: int, now: float) -> float:
    """So many rounds of answers of which a part are refusals."""
    chance = random.Random(1)
    for _ in range(number * 50):
        now += 0.1
        window.answered(refused=chance.random() < part, seconds=0.1, used=16, now=now)
    return now


def test_the_window_widens_without_refusals_and_narrows_with_many() -> None:
    window = Window()
    now = rounds(window, 0.0, 1, 0.0)
    assert window.size == 32  # twice of what is used
    now = rounds(window, 0.9, 10, now)
    assert window.size == SMALLEST
    assert window.gap == pytest.approx(0.1 / SMALLEST)
    rounds(window, 0.0, 50, now)
    assert window.size >= 4


@pytest.mark.parametrize("part", [0.05, 0.08, 0.15])
def test_refusals_that_may_be_unrelated_narrow_the_window_to_a_third_at_most(part: float) -> None:
    window = Window()
    now = rounds(window, 0.0, 1, 0.0)
    for _ in range(60):
        for number in range(100):
            now += 0.1
            refused = int(number * part) != int((number + 1) * part)
            window.answered(refused=refused, seconds=0.1, used=16, now=now)
        assert window.size >= 32 / 3


def test_answers_to_what_was_sent_before_a_change_do_not_change_the_window_again() -> None:
    window = Window()
    for number in range(16):
        window.answered(refused=True, seconds=0.1, used=16, now=10.0 + number / 1000)
    assert window.size == 2


@pytest.mark.parametrize(
    ("headers", "unit", "quota"),
    [
        ({"x-ratelimit-limit-tokens": "9", "x-ratelimit-reset-tokens": "6m0s"}, "tokens", Stated(9, None, 360)),
        ({"x-ratelimit-limit-req-minute": "60"}, "requests", Stated(60, None, None, 60)),
        ({"x-ratelimit-remaining-tokens-minute": "5"}, "tokens", Stated(None, 5, None, 60)),
        (
            {"ratelimit-policy": '"a";q=100;w=60,"b";q=9999;w=99999', "ratelimit": '"a";r=50;t=30'},
            "requests",
            Stated(100, 50, 30, 60, stepwise=True),
        ),
        (
            {"ratelimit-policy": '"s";q=10;w=1, "m";q=100;w=60', "ratelimit": '"s";r=9;t=1, "m";r=2;t=31'},
            "requests",
            Stated(100, 2, 31, 60, stepwise=True),
        ),
        ({"ratelimit-policy": '"t";q=10;w=1;qu="tokens"'}, "tokens", Stated(10, None, None, 1, stepwise=True)),
        (
            {"ratelimit": "limit=100, remaining=50, reset=5", "ratelimit-policy": "100;w=10"},
            "requests",
            Stated(100, 50, 5, 10, stepwise=True),
        ),
        (
            {"ratelimit-limit": "100, 100;w=60", "ratelimit-remaining": "7", "ratelimit-reset": "9"},
            "requests",
            Stated(100, 7, 9, 60, stepwise=True),
        ),
        (
            {"x-ratelimit-limit": "100", "x-ratelimit-remaining": "7", "x-ratelimit-reset": "9"},
            "requests",
            Stated(100, 7, 9, stepwise=True),
        ),
    ],
)
def test_limits_are_read_in_every_spelling(headers: dict[str, str], unit: str, quota: Stated) -> None:
    assert stated_quotas(headers) == {unit: quota}


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"ratelimit": ""},
        {"ratelimit": "soon", "ratelimit-policy": ";;=,"},
        {"x-ratelimit-limit": "many"},
        {"ratelimit-policy": '"b";q=9;w=9;qu="content-bytes"'},
    ],
)
def test_what_is_no_limit_is_ignored(headers: dict[str, str]) -> None:
    assert stated_quotas(headers) == {}


def test_a_limit_that_is_restored_at_once_is_waited_for() -> None:
    limiter = Limiter(jitter=lambda: 0.5)
    accept(limiter, over(limiter, 10.0), {"ratelimit-policy": '"a";q=100;w=60', "ratelimit": '"a";r=0;t=30'})
    assert waiting(limiter, 10.0).seconds == pytest.approx(30.5)


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
        ({"x-ms-retry-after-ms": "20"}, 0.02),
    ],
)
def test_retry_after_in_every_form(headers: dict[str, str], seconds: float | None) -> None:
    wall = 1_792_567_677.0  # 2026-10-21 07:27:57 GMT
    assert retry_after(headers, b"", lambda: wall) == seconds


@pytest.mark.parametrize(
    ("body", "seconds"),
    [
        (b'{"error": {"details": [{"@type": "t/google.rpc.RetryInfo", "retryDelay": "34.5s"}]}}', 34.5),
        (b'[{"error": {"details": [{"@type": "x"}, {"@type": "t/google.rpc.RetryInfo", "retryDelay": "1s"}]}}]', 1.0),
        (b'{"error": {"details": [{"@type": "t/google.rpc.RetryInfo"}]}}', None),
        (b'{"error": "RetryInfo"}', None),
        (b"RetryInfo", None),
    ],
)
def test_a_wait_in_the_body_is_read(body: bytes, seconds: float | None) -> None:
    assert retry_after({}, body) == seconds


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
    assert Answer(0, 400, {}, body).said == reason
    assert len(Answer(0, 400, {}, b"x" * 9999).said) == 300


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
