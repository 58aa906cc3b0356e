"""Who may send when: what is learnt from headers, one quota for many processes, and a budget for retries."""

from __future__ import annotations

import os
import stat
import tempfile
from pathlib import Path
from typing import Any

import pytest

from hosted import faultserver as fs
from hosted.faultserver import FaultServer
from hosted.quotaserver import QuotaServer, share
from twofold import Embedder, ProviderError, RequestRefused
from twofold.doctor import examine
from twofold.hosted.exchange import reason_of, retry_after
from twofold.hosted.limiter import Grant, Limiter, limiter_for
from twofold.hosted.quota import Ledger, Meter
from twofold.testing import FakeEmbedder

pytestmark = pytest.mark.filterwarnings("ignore::twofold.errors.DimensionsWarning")
HEADERS = {"x-ratelimit-limit-requests": "600", "x-ratelimit-remaining-requests": "3"}


def make(server: FaultServer, **options: Any) -> Embedder:
    defaults: dict[str, Any] = {"dimensions": 8, "base_url": server.url, "api_key": "k", "timeout": 30}
    return Embedder("jina:jina-embeddings-v3", **{**defaults, **options})


def granted(limiter: Limiter, now: float, tokens: int = 1) -> Grant:
    leave = limiter.acquire(tokens, now)
    assert isinstance(leave, Grant)
    return leave


def test_what_the_headers_say_is_kept_to() -> None:
    limiter = Limiter("a host", "key")
    limiter.accepted(granted(limiter, 10.0), HEADERS, None, 10.0)
    limiter.release()
    for _ in range(3):
        granted(limiter, 10.0)
        limiter.release()
    wait = limiter.acquire(1, 10.0)
    assert isinstance(wait, float)
    assert wait == pytest.approx(0.1, rel=0.02)  # 600 a minute
    granted(limiter, 10.0 + wait + 1e-6)
    assert limiter.limits(11.0) == {"requests": 600.0, "tokens": 0.0}


def test_an_answer_that_is_late_does_not_give_back_what_was_taken_since() -> None:
    limiter = Limiter("a host", "key")
    early = granted(limiter, 10.0)
    for _ in range(3):
        granted(limiter, 10.0)
    limiter.accepted(early, HEADERS, None, 10.0)  # three remained before the three others
    limiter.release()
    assert isinstance(limiter.acquire(1, 10.0), float)


def test_tokens_are_settled_by_what_the_provider_counts() -> None:
    headers = {"x-ratelimit-limit-tokens": "6000", "x-ratelimit-remaining-tokens": "100"}
    limiter = Limiter("a host", "key")
    limiter.accepted(granted(limiter, 10.0, 50), headers, 50, 10.0)
    limiter.release()
    assert isinstance(limiter.acquire(110, 10.0), float)
    limiter.accepted(granted(limiter, 10.0, 90), {}, 10, 10.0)
    limiter.release()
    granted(limiter, 10.0, 85)


def test_a_request_over_a_whole_minutes_tokens_goes_when_the_account_is_full() -> None:
    meter = Meter(limit=100, level=100)
    assert meter.wait(500) == 0


def test_only_what_remains_is_stated() -> None:
    limiter = Limiter("a host", "key")
    limiter.accepted(granted(limiter, 10.0), {"x-ratelimit-remaining-requests": "59"}, None, 10.0)
    assert limiter.limits(10.0)["requests"] == 60


def test_a_retry_after_holds_everybody() -> None:
    one, other = Limiter("a host", "key"), Limiter("a host", "key")  # as two processes would have
    one.hold(5, 100.0)
    assert other.acquire(1, 101.0) == pytest.approx(4.0)
    assert isinstance(Limiter("a host", "another key").acquire(1, 101.0), Grant)


def test_a_guess_is_lowered_by_refusals_and_raised_by_success() -> None:
    limiter = Limiter("a host", "key")
    for step in range(20):
        grant = granted(limiter, 10.0 + step * 0.1)
        limiter.release()
    limiter.refused(grant, {}, None, 12.0)
    first = limiter.limits(12.0)["requests"]
    assert 200 < first < 600  # they came at 600 a minute
    limiter.refused(grant, {}, None, 12.0)  # of the same time: counts once
    assert limiter.limits(12.0)["requests"] == first
    limiter.accepted(grant, {}, None, 12.0)
    assert limiter.limits(12.0)["requests"] > first


def test_what_went_before_a_guess_is_no_debt() -> None:
    limiter = Limiter("a host", "key")
    for step in range(500):
        grant = granted(limiter, 10.0 + step * 0.01)
        limiter.release()
    limiter.refused(grant, {}, None, 15.0)
    wait = limiter.acquire(1, 15.0)
    assert isinstance(wait, float)
    assert wait < 0.1


def test_the_window_of_requests_under_way_narrows_and_widens() -> None:
    limiter = Limiter("a host", "key")
    grants = [granted(limiter, 10.0) for _ in range(4)]
    assert isinstance(limiter.acquire(1, 10.0), float)
    for grant in grants:
        limiter.release()
        limiter.refused(grant, {}, 0.0, 10.0)
    grants = [granted(limiter, 10.0) for _ in range(2)]
    assert isinstance(limiter.acquire(1, 10.0), float)
    for grant in grants * 2:
        limiter.accepted(grant, {}, None, 10.0)
    granted(limiter, 10.0)


def test_one_limiter_for_a_host_and_a_key() -> None:
    one = limiter_for("host", "key")
    assert limiter_for("host", "key") is one
    assert limiter_for("host", "other") is not one
    assert limiter_for("other", "key") is not one


@pytest.mark.skipif(os.name == "nt", reason="accounts are shared through files where there are file locks")
def test_the_account_is_a_private_file_that_names_nobody() -> None:
    with Ledger("api.example", "jina_canary").open(1.0) as account:
        account.held_until = 5.0
    (folder,) = Path(tempfile.gettempdir()).glob("twofold-*")
    (file,) = folder.iterdir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert "canary" not in file.name
    assert b"canary" not in file.read_bytes()


@pytest.mark.skipif(os.name == "nt", reason="accounts are shared through files where there are file locks")
def test_a_folder_that_others_can_write_to_is_not_used() -> None:
    folder = Path(tempfile.gettempdir(), f"twofold-{os.getuid()}")
    folder.mkdir()
    folder.chmod(0o777)
    with Ledger("host", "key").open(1.0) as account:
        account.held_until = 5.0
    assert not list(folder.iterdir())


def test_a_stale_or_foreign_account_is_begun_anew() -> None:
    with Ledger("host", "key").open(1000.0) as account:
        account.held_until = 1020.0
    for now in (1200.0, 3.0):  # long ago; another boot's clock
        with Ledger("host", "key").open(now) as account:
            assert account.held_until == 0


def test_an_outage_is_not_amplified() -> None:
    """1,000 calls while everything fails: at most 1.1 requests a call."""
    with FaultServer(fs.status(503)) as server:
        embedder = make(server)
        for _ in range(1000):
            with pytest.raises(ProviderError):
                embedder.embed_query("anyone there?")
        assert 1000 < server.count <= 1100


def test_a_full_minute_is_waited_for_and_never_an_error() -> None:
    """Refusals cost time, not the call, however many there are."""
    with FaultServer(fs.first(fs.status(429), 8)) as server:
        make(server).embed_documents(["a text"])
        assert server.count == 9


@pytest.mark.skipif(os.name == "nt", reason="accounts are shared through files where there are file locks")
def test_processes_and_threads_share_one_quota() -> None:
    with QuotaServer(per_minute=1200, burst=20, latency=0.02) as server:
        used, refused = share(server, processes=4, seconds=4)
    assert used >= 0.9  # benchmarks/hosted_quota.py measures eight processes, for longer
    assert refused <= 0.02


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": "1.5"}, 1.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:05 GMT", "date": "Wed, 21 Oct 2026 07:28:00 GMT"}, 5.0),
        ({"retry-after": "Wed, 21 Oct 2026 07:28:05 GMT"}, 8.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:05 GMT"}, 0.0),
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
    with FaultServer(behave) as server:
        findings = {finding.name: finding for finding in examine(make(server))}
    assert findings["key"].ok
    assert findings["answer"].ok
    assert findings["two sides"].ok
    assert findings["limits"].detail == "500 requests a minute"
    assert findings["address"].detail == server.url + "/embeddings"
    assert findings["local model"].ok is None


def test_the_doctor_says_what_is_wrong() -> None:
    with FaultServer(fs.status(401, "this key is unknown")) as server:
        last = list(examine(make(server)))[-1]
    assert last.ok is False
    assert "401 CODE_401: this key is unknown" in last.detail


def test_the_doctor_compares_with_the_local_model() -> None:
    from twofold.doctor.hosted import examine_hosted

    with FaultServer() as server:
        hosted = make(server, dimensions=16)
        same = list(examine_hosted(hosted, hosted))[-1]
        other = list(examine_hosted(hosted, FakeEmbedder(dimensions=16)))[-1]
    assert (same.name, same.ok) == ("local model", True)
    assert other.ok is False


def test_what_is_refused_is_not_remembered_as_fine() -> None:
    with FaultServer(fs.schedule([None, fs.status(401), None])) as server:
        embedder = make(server, batch_tokens=10)
        embedder.embed_documents(["one text"])
        with pytest.raises(RequestRefused):
            embedder.embed_documents(["one text"])
        embedder.embed_documents(["one text"])
