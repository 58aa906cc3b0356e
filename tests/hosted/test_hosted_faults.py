"""Every fault, in threads and in an event loop: the right vectors, or an error that says what is wrong."""

from __future__ import annotations

import asyncio
import pickle
import random
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest

from support import faultserver as fs
from support.faultserver import FaultServer, truth
from support.simulation import Simulation, provider_for
from twofold import Embedder, ProviderError
from twofold.errors import DeadlineExceeded, InputError, ProviderUnavailable, RequestRefused, ResponseInvalid
from twofold.hosted import loop

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.faultserver import Provider

KEY = "jina_0123456789abcdef0123456789abcdef"
TEXTS = ["the first text", "a second one", "третий текст", "第四の文 🙂"]
SIZE = 16
TASK = "retrieval.passage"


def make(server: Provider, **options: Any) -> Embedder:
    defaults: dict[str, Any] = {"dimensions": SIZE, "base_url": server.url, "api_key": KEY, "timeout": 20}
    return Embedder("jina:jina-embeddings-v3", **{**defaults, **options})


@pytest.fixture(params=["sync", "async"])
def embed(request: pytest.FixtureRequest) -> Callable[[Embedder, list[str]], Any]:
    """`embed_documents`, from a thread or from an event loop."""
    if request.param == "sync":
        return lambda embedder, texts: embedder.embed_documents(texts)
    return lambda embedder, texts: asyncio.run(embedder.aembed_documents(texts))


pytestmark = pytest.mark.filterwarnings("ignore::twofold.errors.DimensionsWarning")


def assert_right(vectors: Any, texts: list[str] = TEXTS, task: str = TASK, width: int = SIZE) -> None:
    np.testing.assert_allclose(vectors, [truth(text, task, width) for text in texts], atol=1e-6)


@pytest.mark.parametrize("name", fs.HARMLESS)
def test_what_is_odd_but_right_is_taken(name: str, embed: Any) -> None:
    with provider_for(name, fs.HARMLESS[name]) as server:
        assert_right(embed(make(server), TEXTS))
        assert server.count == 1


@pytest.mark.parametrize("name", [*fs.PASSING, *fs.WRONG])
def test_what_passes_is_tried_again(name: str, embed: Any) -> None:
    fault = (fs.PASSING | fs.WRONG)[name]
    with provider_for(name, fs.first(fault)) as server:
        embedder = make(server)
        assert_right(embed(embedder, TEXTS))
        assert server.count == (3 if name == "504" else 2)  # in halves: the batch may have been too much
        usage = embedder.backend.usage  # type: ignore[attr-defined]
        assert (usage.requests, usage.retries) == (server.count, server.count - 1)


@pytest.mark.parametrize("name", fs.PASSING)
def test_what_does_not_pass_is_an_error(name: str, embed: Any) -> None:
    with Simulation(fs.PASSING[name]) as server, pytest.raises((ProviderUnavailable, ResponseInvalid)) as caught:
        embed(make(server, max_outage=0.3), TEXTS)
    assert 3 <= server.count <= 6
    assert server.count == 6 or "unavailable for longer than max_outage=0.3 s" in str(caught.value)
    assert caught.value.partial == {}
    assert set(caught.value.failed) == set(range(4))


@pytest.mark.parametrize("name", fs.WRONG)
def test_what_can_not_be_right_never_leaves(name: str, embed: Any) -> None:
    with Simulation(fs.WRONG[name]) as server, pytest.raises(ResponseInvalid, match="is invalid, twice in a row"):
        embed(make(server), TEXTS)
    assert server.count == 2


def test_another_model_is_said_after_one_paid_answer(embed: Any) -> None:
    with Simulation(fs.OTHER_MODEL) as server, pytest.raises(ResponseInvalid, match=r"v2-base-en.*served_as"):
        embed(make(server), TEXTS)
    assert server.count == 1


@pytest.mark.parametrize("status", range(201, 207))
def test_vectors_with_any_successful_status_are_taken(status: int, embed: Any) -> None:
    with Simulation(lambda exchange: exchange.answer(status, exchange.reply())) as server:
        assert_right(embed(make(server), TEXTS))
        assert server.count == 1


def test_a_204_without_a_body_is_said(embed: Any) -> None:
    said = pytest.raises(ResponseInvalid, match="204: its answer is not JSON: it is empty")
    with Simulation(lambda exchange: exchange.answer(204, b"")) as server, said:
        embed(make(server), TEXTS)


@pytest.mark.parametrize("name", fs.FATAL)
def test_what_is_no_use_to_repeat_is_asked_once(name: str, embed: Any) -> None:
    texts = [f"text {number}" for number in range(256)]
    with Simulation(fs.FATAL[name]) as server, pytest.raises(RequestRefused) as caught:
        embed(make(server, batch_tokens=64, concurrency=8), texts)
    assert server.count == 1
    assert str(caught.value.status) in str(caught.value)


def test_503_three_times_then_well(embed: Any) -> None:
    with Simulation(fs.first(fs.status(503), times=3)) as server:
        assert_right(embed(make(server), TEXTS))
        assert server.count == 5
    assert server.exchanges[3].texts == ["test"]  # whether the texts are the cause


TOO_LARGE = "input is too large to process"


@pytest.mark.parametrize("code", [500, 502, 503])
@pytest.mark.parametrize("place", [0, 13, 63])
def test_a_text_that_causes_a_5xx_is_named_and_the_others_are_returned(code: int, place: int, embed: Any) -> None:
    texts = [f"text {number}" for number in range(64)]
    texts[place] = "the poison"
    with Simulation(fs.poison("poison", code, said=TOO_LARGE)) as server:
        started = server.now
        with pytest.raises(RequestRefused, match=f"text {place} refused: {code} .*{TOO_LARGE}") as caught:
            embed(make(server, timeout=600), texts)
        assert server.now - started < 20
    assert caught.value.status == code
    assert set(caught.value.failed) == {place}
    assert set(caught.value.partial) == set(range(64)) - {place}
    assert server.count <= 35


def test_a_single_text_that_causes_a_500_ends_its_call_long_before_the_timeout(embed: Any) -> None:
    with Simulation(fs.poison("poison", 500, said=TOO_LARGE)) as server:
        started = server.now
        with pytest.raises(RequestRefused, match=TOO_LARGE):
            embed(make(server, timeout=600), ["the poison"])
        assert server.now - started < 20
    assert server.count <= 12


def test_other_calls_continue_while_a_text_causes_a_500(monkeypatch: pytest.MonkeyPatch) -> None:
    """Calls of one text, beside one with a text that causes a 500, with the pauses of every client."""

    async def calls(server: Simulation) -> tuple[list[float], RequestRefused]:
        embedder, waits = make(server, timeout=600, batch_items=8), []
        bad = asyncio.create_task(embedder.aembed_documents([*(f"text {n}" for n in range(16)), "the poison"]))
        while not bad.done():
            started = server.now
            await embedder.aembed_query(f"question {started}")
            waits.append(server.now - started)
            await asyncio.sleep(0.1)
        error = (await asyncio.gather(bad, return_exceptions=True))[0]
        assert isinstance(error, RequestRefused)
        return waits, error

    monkeypatch.undo()
    with Simulation(fs.poison("poison", 500)) as server:
        waits, error = loop.call(calls(server))  # on the virtual clock
    assert set(error.failed) == {16}
    assert max(waits) < 1.0
    assert sum(waits) / len(waits) < 0.1
    assert len(waits) > 10


@pytest.mark.parametrize("seed", range(4))
def test_a_5xx_by_chance_blames_no_text(seed: int, embed: Any) -> None:
    chance = random.Random(seed)

    def behave(exchange: fs.Exchange) -> None:
        (fs.status(500) if chance.random() < 0.1 else fs.Exchange.well)(exchange)

    texts = [f"text {number}" for number in range(400)]
    with Simulation(behave) as server:
        assert_right(embed(make(server, batch_items=1, timeout=600), texts), texts)
        assert server.count <= 1.3 * 400


def test_an_outage_while_a_text_is_isolated_blames_no_other_text(embed: Any) -> None:
    def behave(exchange: fs.Exchange) -> None:
        if 6 <= exchange.number < 20:
            fs.status(503)(exchange)
        else:
            fs.poison("poison", 500)(exchange)

    texts = [*(f"text {number}" for number in range(15)), "the poison"]
    with Simulation(behave) as server, pytest.raises(RequestRefused) as caught:
        embed(make(server, timeout=600), texts)
    assert set(caught.value.failed) == {15}


def test_a_timeout_says_what_the_provider_said_last(embed: Any) -> None:
    def behave(exchange: fs.Exchange) -> None:
        if any("poison" in text for text in exchange.texts):
            exchange.pause(1.0)  # the end falls while the request is under way
            exchange.answer(500, {"detail": TOO_LARGE}, x_request_id="req-9")
        else:
            exchange.well()

    with Simulation(behave) as server, pytest.raises(DeadlineExceeded) as caught:
        embed(make(server, timeout=2.5, batch_items=1), ["text 0", "the poison", "text 2"])
    assert f"the timeout of 2.5 s ran out; before that: 500 {TOO_LARGE}" in str(caught.value)
    assert (caught.value.status, caught.value.request_id) == (500, "req-9")
    assert caught.value.failed == {1: f"500 {TOO_LARGE}; the timeout of 2.5 s ran out; before that: 500 {TOO_LARGE}"}
    assert set(caught.value.partial) == {0, 2}


@pytest.mark.parametrize(
    ("fault", "least"),
    [
        (fs.status(429, retry_after="1"), 1.0),
        (fs.status(503, retry_after="1"), 1.0),
        (fs.status(429, retry_after_ms="700"), 0.7),
        (fs.busy_until_date(2), 1.0),
    ],
    ids=["429 seconds", "503 seconds", "429 milliseconds", "429 date"],
)
def test_retry_after_is_kept(fault: Any, least: float, embed: Any) -> None:
    with Simulation(fs.first(fault)) as server:
        assert_right(embed(make(server), TEXTS))
        first, second = server.exchanges
        assert second.arrived - first.arrived >= least


def test_a_wait_beyond_the_timeout_is_said_at_once(embed: Any) -> None:
    with Simulation(fs.status(429, retry_after="3600")) as server:
        started = server.now
        with pytest.raises(ProviderUnavailable, match="3600 s, longer than what is left of the timeout of 20 s"):
            embed(make(server), TEXTS)
        assert server.now - started < 2


@pytest.mark.parametrize(
    "fault", [fs.slowly(head=True), fs.slowly(head=False), fs.silent], ids=["head", "body", "silence"]
)
def test_the_timeout_is_the_whole_calls(fault: Any, embed: Any) -> None:
    with Simulation(fault) as server:
        embedder = make(server, timeout=1.5)
        started = server.now
        with pytest.raises(DeadlineExceeded, match=r"timeout of 1.5 s"):
            embed(embedder, TEXTS)
        assert server.now - started == pytest.approx(1.5)


def test_too_many_texts_are_split_and_that_is_remembered(embed: Any) -> None:
    with Simulation(fs.at_most(2)) as server:
        embedder = make(server)
        assert_right(embed(embedder, TEXTS))
        assert [len(exchange.texts) for exchange in server.exchanges] == [4, 2, 2]
        assert_right(embed(embedder, TEXTS))
        assert [len(exchange.texts) for exchange in server.exchanges[3:]] == [2, 2]


@pytest.mark.parametrize("code", [400, 422])
@pytest.mark.parametrize("place", [0, 1, 100, 255])
def test_one_bad_text_of_256_is_found_in_18_requests_and_the_others_are_kept(code: int, place: int, embed: Any) -> None:
    texts = [f"text {number}" for number in range(256)]
    texts[place] = "the poison"
    with Simulation(fs.poison("poison", code)) as server, pytest.raises(RequestRefused) as caught:
        embed(make(server), texts)
    assert server.count <= 18
    assert set(caught.value.failed) == {place}
    assert f"text {place} refused: {code}" in str(caught.value)
    assert set(caught.value.partial) == set(range(256)) - {place}
    assert_right(caught.value.partial[128], [texts[128]])


def test_an_error_counts_by_the_callers_own_list_though_the_cache_had_a_part(embed: Any, tmp_path: Path) -> None:
    texts = [f"text {number}" for number in range(8)]
    with Simulation(fs.poison("poison", 400)) as server:
        embed(make(server, cache=str(tmp_path)), texts[:5])
        texts[6] = "the poison"
        with pytest.raises(RequestRefused) as caught:
            embed(make(server, cache=str(tmp_path)), texts)
    assert set(caught.value.failed) == {6}
    assert "jina:jina-embeddings-v3: text 6 refused: 400" in str(caught.value)
    assert str(caught.value).endswith("; 7 others are done, in .partial")
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)


def test_a_request_that_is_refused_whatever_the_text_is_asked_few_times(embed: Any) -> None:
    texts = [f"text {number}" for number in range(256)]
    with Simulation(fs.status(400, "dimensions are not supported")) as server, pytest.raises(RequestRefused) as caught:
        embed(make(server), texts)
    assert server.count == 2
    assert "dimensions are not supported" in str(caught.value)


def test_several_bad_texts_are_all_named(embed: Any) -> None:
    texts = [f"poison {number}" if number in {3, 4, 40} else f"text {number}" for number in range(64)]
    with Simulation(fs.poison("poison")) as server, pytest.raises(RequestRefused, match="text 3 and 2 more") as caught:
        embed(make(server, batch_tokens=100), texts)
    assert set(caught.value.failed) == {3, 4, 40}
    good = [index for index in range(64) if index not in {3, 4, 40}]
    assert_right(np.concatenate([caught.value.partial[index] for index in good]), [texts[index] for index in good])


def test_what_is_done_before_the_end_is_kept_finished(embed: Any) -> None:
    def behave(exchange: fs.Exchange) -> None:
        if exchange.number < 3:
            exchange.well()
        else:
            exchange.answer(402, {"detail": "no balance"})

    texts = [f"text {number}" for number in range(40)]
    with Simulation(behave) as server, pytest.raises(RequestRefused, match="no balance") as caught:
        embed(make(server, batch_tokens=20, concurrency=1), texts)
    partial = caught.value.partial
    assert len(partial) == 3
    assert set(partial) | set(caught.value.failed) == set(range(40))
    for index, rows in partial.items():
        assert rows.shape == (1, SIZE)
        assert_right(rows, [texts[index]])


def test_order_is_kept_whatever_comes_first(embed: Any) -> None:
    def behave(exchange: fs.Exchange) -> None:
        exchange.pause(0.05 * (3 - exchange.number % 4))
        exchange.well()

    texts = [f"text {number}" for number in range(60)]
    with Simulation(behave) as server:
        assert_right(embed(make(server, batch_tokens=20, concurrency=4), texts), texts)
        assert server.count > 8
        assert server.most_open <= 4


def test_a_port_where_nothing_listens_is_an_outage() -> None:
    with FaultServer() as server:
        embedder = make(server, timeout=0.5)
    with pytest.raises(ProviderUnavailable, match=r"ConnectError.*; the timeout of 0.5 s ran out"):
        embedder.embed_query("anyone there?")


def test_bad_input_costs_no_request(embed: Any) -> None:
    with Simulation() as server:
        for texts in (["fine", "lone \ud800 surrogate"], ["fine", ""], ["fine", 3]):
            with pytest.raises(InputError) as caught:
                embed(make(server), texts)
            assert caught.value.index == 1
        assert server.count == 0


def test_the_error_keeps_what_support_asks_for() -> None:
    with Simulation(fs.status(403, x_request_id="req-7")) as server, pytest.raises(ProviderError) as caught:
        make(server).embed_query("a question")
    assert (caught.value.status, caught.value.request_id) == (403, "req-7")
