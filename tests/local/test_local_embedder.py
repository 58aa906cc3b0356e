"""The embedder with local weights: vectors, order, bad input, sharing, memory."""

from __future__ import annotations

import asyncio
import pickle
import shutil
import subprocess
import sys
import threading
import warnings
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch

from support.checkpoints import INSTRUCTIONS, TASKS, write_json
from twofold import DeviceError, Document, Embedder, InputError, LicenceWarning
from twofold.local import backend as local
from twofold.local.files.checkpoint import Checkpoint
from twofold.models import warn_terms

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from support.checkpoints import Made
    from twofold.local.encoder import Encoder
    from twofold.local.packing import Batch

TEXTS = [
    "How do I remove a directory and everything in it?",
    "Berlin",
    "The lighthouse keeper counted nine ships before the fog came in over the harbour.",
    "東京の地下鉄は朝八時に最も混雑する。",
    "fog",
]


def reference(made: Made, text: str, adapter: str | None, instruction: str = "") -> np.ndarray:
    """The mean over all tokens, including instruction and special tokens, scaled to unit length, as in the original."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(made.folder / "tokenizer.json"))
    tokenizer.no_padding()
    tokenizer.no_truncation()
    vector = made.hidden(tokenizer.encode(instruction + text).ids, adapter).mean(0)
    return np.asarray(vector / vector.norm())


@pytest.mark.parametrize("name", ["jina-v3", "jina-v3-hf"])
def test_each_side_goes_in_with_its_adapter_and_instruction(
    made: Callable[[str], Made], embedder: Callable[..., Embedder], name: str
) -> None:
    model = embedder(name)
    query, passage = "retrieval.query", "retrieval.passage"
    for got, task in ((model.embed_queries(TEXTS), query), (model.embed_documents(TEXTS), passage)):
        want = [reference(made(name), text, task, INSTRUCTIONS[task]) for text in TEXTS]
        np.testing.assert_allclose(got, want, atol=1e-5)
    np.testing.assert_allclose(model.embed_query(TEXTS[0]), model.embed_queries(TEXTS)[0], atol=1e-5)


def test_every_task_of_v3_and_the_bare_model(made: Callable[[str], Made], embedder: Callable[..., Embedder]) -> None:
    for task in (None, *TASKS):
        want = [reference(made("jina-v3"), text, task, INSTRUCTIONS.get(task or "", "")) for text in TEXTS]
        np.testing.assert_allclose(embedder("jina-v3").embed(TEXTS, task=task), want, atol=1e-5)


@pytest.mark.parametrize("pooling", ["mean", "cls"])
@pytest.mark.parametrize("length", [128, 20])
def test_vectors_are_sentence_transformers(bert_with: Callable[..., str], pooling: str, length: int) -> None:
    from sentence_transformers import SentenceTransformer

    folder = bert_with(pooling, length, query="query: ", document="passage: ")
    peer = SentenceTransformer(folder, device="cpu")
    mine = Embedder(folder, dtype="float32", device="cpu", truncate="end")
    assert mine.card.max_tokens == length
    np.testing.assert_allclose(mine.embed_queries(TEXTS), peer.encode_query(TEXTS), atol=1e-5)
    np.testing.assert_allclose(mine.embed_documents(TEXTS), peer.encode_document(TEXTS), atol=1e-5)
    np.testing.assert_allclose(mine.embed(TEXTS, task=None), peer.encode(TEXTS), atol=1e-5)


def test_the_real_minilm_is_sentence_transformers_minilm(minilm: str) -> None:
    from sentence_transformers import SentenceTransformer

    want = SentenceTransformer(minilm, device="cpu").encode(TEXTS, normalize_embeddings=True)
    least: dict[Any, float] = {"float32": 0.99999, "bfloat16": 0.999, "int8": 0.995}
    for dtype, cosine in least.items():
        got = Embedder(minilm, dtype=dtype, device="cpu").embed_documents(TEXTS)
        assert (got * want).sum(1).min() >= cosine, dtype


@pytest.mark.parametrize("budget", [1, 30, 100_000])
def test_batches_keep_the_order(embedder: Callable[..., Embedder], budget: int) -> None:
    many = TEXTS * 3
    alone = np.stack([embedder("jina-v3").embed_documents([text])[0] for text in many])
    np.testing.assert_allclose(embedder("jina-v3", batch_tokens=budget).embed_documents(many), alone, atol=1e-5)


def test_dimensions_are_cut_then_normalised(embedder: Callable[..., Embedder]) -> None:
    full = embedder("jina-v3", normalize=False).embed_documents(TEXTS)
    for dimensions in range(1, 49):
        cut = full[:, :dimensions]
        with warnings.catch_warnings(action="ignore"):
            got = embedder("jina-v3", dimensions=dimensions).embed_documents(TEXTS)
        np.testing.assert_allclose(got, cut / np.linalg.norm(cut, axis=1, keepdims=True), atol=1e-6)


def test_more_dimensions_than_the_model_has_names_its_width(embedder: Callable[..., Embedder]) -> None:
    with pytest.raises(InputError, match=r"dimensions=49, but .* has 1 to 48"):
        embedder("jina-v3", dimensions=49).embed_query("fog")


class NoForward:
    """Replaces the encoder and fails the test if it runs."""

    def __call__(self, *_: object) -> None:
        pytest.fail("a forward pass was made for bad input")


def test_a_text_over_the_length_is_refused_before_any_work(
    embedder: Callable[..., Embedder], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = embedder("jina-v3")
    long = "fog " * 300
    count = model.count_tokens([long])[0]
    monkeypatch.setattr("twofold.local.encoder.Encoder.__call__", NoForward())
    with pytest.raises(InputError, match=rf"text 1 has {count} tokens, the limit is 128") as caught:
        model.embed_documents(["fine", long, "fine"])
    assert caught.value.index == 1


def test_truncation_at_the_end_keeps_the_closing_token(
    made: Callable[[str], Made], embedder: Callable[..., Embedder]
) -> None:
    from tokenizers import Tokenizer

    long = "fog and harbour " * 100
    ids = Tokenizer.from_file(str(made("jina-v3").folder / "tokenizer.json")).encode(long).ids
    want = made("jina-v3").hidden([*ids[:127], ids[-1]], "separation").mean(0).numpy()
    got = embedder("jina-v3", truncate="end").embed([long], task="separation")[0]
    np.testing.assert_allclose(got, want / np.linalg.norm(want), atol=1e-5)


@pytest.mark.parametrize("text", ["a\x00b", "\x01\x02 fog", "fog\u200b\u200d", "\x7f tab\there"])
@pytest.mark.parametrize("name", ["bert", "jina-v3"])
def test_control_characters_are_accepted_and_deterministic(
    embedder: Callable[..., Embedder], name: str, text: str
) -> None:
    one, other = embedder(name).embed_documents([text]), embedder(name).embed_documents([text])
    np.testing.assert_array_equal(one, other)


def test_an_unknown_task_lists_those_that_the_model_has(embedder: Callable[..., Embedder]) -> None:
    with pytest.raises(InputError, match=r"no task 'clustering'.*'separation'.*None is the bare model"):
        embedder("jina-v3").embed(["fog"], task="clustering")
    with pytest.raises(InputError, match="no task"):
        embedder("bert", query_task="retrieval.query").embed_query("fog")


def test_a_device_that_is_not_there(embedder: Callable[..., Embedder]) -> None:
    with pytest.raises(DeviceError, match=r"'cuda:63' does not exist: this machine has cpu"):
        embedder("bert", device="cuda:63").embed_query("fog")


def test_out_of_memory_halves_the_batch_and_keeps_the_order(
    embedder: Callable[..., Embedder], monkeypatch: pytest.MonkeyPatch
) -> None:
    want = embedder("jina-v3").embed_documents(TEXTS)
    refused = small_memory(monkeypatch, tokens=100)
    np.testing.assert_allclose(embedder("jina-v3").embed_documents(TEXTS), want, atol=1e-5)
    assert refused


def test_out_of_memory_with_one_sequence_is_an_error(
    embedder: Callable[..., Embedder], monkeypatch: pytest.MonkeyPatch
) -> None:
    small_memory(monkeypatch, tokens=5)
    with pytest.raises(DeviceError, match="out of memory on cpu with a single sequence of"):
        embedder("jina-v3").embed_documents(TEXTS)


def small_memory(monkeypatch: pytest.MonkeyPatch, tokens: int) -> list[int]:
    """Let the encoder run out of memory beyond `tokens`, as torch would. Returns the refused sizes."""
    from twofold.local.encoder import Encoder

    real, refused = Encoder.__call__, []

    def limited(self: Encoder, batch: Batch, adapter: str | None = None) -> torch.Tensor:
        if len(batch.ids) > tokens:
            refused.append(len(batch.ids))
            raise torch.OutOfMemoryError
        return real(self, batch, adapter)

    monkeypatch.setattr(Encoder, "__call__", limited)
    return refused


def test_another_error_of_torch_is_not_taken_for_memory(
    embedder: Callable[..., Embedder], monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("shapes cannot be multiplied")

    monkeypatch.setattr("twofold.local.encoder.Encoder.__call__", broken)
    with pytest.raises(RuntimeError, match="multiplied"):
        embedder("bert").embed_query("fog")


def test_weights_are_loaded_once_for_the_process(
    embedder: Callable[..., Embedder], monkeypatch: pytest.MonkeyPatch
) -> None:
    local.unload()
    loads: list[Checkpoint] = []
    real = Checkpoint.load

    def counted(self: Checkpoint, *args: Any, **options: Any) -> Encoder:
        loads.append(self)
        return real(self, *args, **options)

    monkeypatch.setattr(Checkpoint, "load", counted)
    models = [embedder("jina-v3"), embedder("jina-v3", dimensions=8), pickle.loads(pickle.dumps(embedder("jina-v3")))]
    got: dict[int, np.ndarray] = {}
    threads = [
        threading.Thread(target=lambda i=i: got.update({i: models[i % 3].embed_documents(TEXTS)[:, :8]}))
        for i in range(6)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(loads) == 1
    for vectors in got.values():
        unit = vectors / np.linalg.norm(vectors, axis=1, keepdims=True)
        np.testing.assert_allclose(unit, got[1], atol=1e-5)


def test_tokens_are_counted_without_the_weights(
    embedder: Callable[..., Embedder], monkeypatch: pytest.MonkeyPatch
) -> None:
    local.unload()
    monkeypatch.setattr(Checkpoint, "load", lambda *_, **__: pytest.fail("loaded the weights"))
    short, long = embedder("jina-v3").count_tokens(["fog", "fog over the harbour"])
    assert 2 < short < long


def test_a_cpu_needs_nothing_of_torchs_compiler(made: Callable[[str], Made]) -> None:
    code = (
        "import sys, twofold; twofold.Embedder(sys.argv[1], device='cpu').embed_query('fog');"
        "print(sorted(sys.modules.keys() & {'torch._dynamo', 'torch._inductor', 'sympy'}))"
    )
    done = subprocess.run([sys.executable, "-c", code, str(made("bert").folder)], capture_output=True, check=True)
    assert done.stdout.decode().strip() == "[]"


def test_a_long_list_is_tokenised_by_slices_and_checked_before_any_work(
    embedder: Callable[..., Embedder], monkeypatch: pytest.MonkeyPatch
) -> None:
    model = embedder("jina-v3")
    documents = [Document.from_chunks(["fog ", "over the harbour "]), *map(Document.whole, TEXTS * 3)]
    told: list[tuple[int, int]] = []
    whole = model.backend.embed(documents, model.document_task, 48)
    monkeypatch.setattr("twofold.local.packing.SLICE", 4)
    parts = model.backend.embed(documents, model.document_task, 48, report=lambda *done: told.append(done))
    np.testing.assert_allclose(parts, whole, atol=1e-5)
    assert sum(done for done, _ in told) == len(documents)
    monkeypatch.setattr("twofold.local.encoder.Encoder.__call__", NoForward())
    with pytest.raises(InputError, match="text 9 has") as caught:
        model.embed_documents([*["fine"] * 9, "fog " * 300])
    assert caught.value.index == 9


async def test_async_gives_the_same_and_leaves_the_loop_free(embedder: Callable[..., Embedder]) -> None:
    model = embedder("jina-v3")
    got = await asyncio.gather(model.aembed_documents(TEXTS), model.aembed_queries(TEXTS))
    np.testing.assert_allclose(got[0], model.embed_documents(TEXTS), atol=1e-5)
    np.testing.assert_allclose(got[1], model.embed_queries(TEXTS), atol=1e-5)


async def test_a_cancelled_call_stops_after_the_batch_in_hand(
    embedder: Callable[..., Embedder], monkeypatch: pytest.MonkeyPatch
) -> None:
    from twofold.local.encoder import Encoder

    real, begun, calls = Encoder.__call__, threading.Event(), []

    def slow(self: Encoder, batch: Batch, adapter: str | None = None) -> torch.Tensor:
        calls.append(1)
        begun.set()
        released.wait(10)
        return real(self, batch, adapter)

    embedder("bert").embed_query("fog")  # the check of the weights is over
    released = threading.Event()
    monkeypatch.setattr(Encoder, "__call__", slow)
    task = asyncio.create_task(embedder("bert", batch_tokens=1).aembed_documents(TEXTS))
    await asyncio.to_thread(begun.wait, 10)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    released.set()
    for thread in [t for t in threading.enumerate() if "asyncio" in t.name]:
        thread.join(0.2)
    assert len(calls) == 1


def test_the_licence_of_v3_is_said_once_and_can_be_silenced(made: Callable[[str], Made], tmp_path: Path) -> None:
    folder = shutil.copytree(made("jina-v3").folder, tmp_path / "elsewhere")
    warn_terms.cache_clear()
    with pytest.warns(LicenceWarning, match=r"CC-BY-NC-4.0: not for commercial use.*'jina:jina-embeddings-v3'"):
        Embedder(folder).embed_query("fog")
    with warnings.catch_warnings(action="error"):
        local.unload()
        Embedder(folder).embed_query("fog")


def test_progress_counts_every_document_and_token(embedder: Callable[..., Embedder]) -> None:
    model = embedder("jina-v3", batch_tokens=40, late_window=64, late_overlap=16)
    told: list[tuple[int, int]] = []
    documents = [Document.whole(text) for text in TEXTS]
    model.backend.embed(documents, model.document_task, 48, report=lambda *done: told.append(done))
    assert sum(done for done, _ in told) == len(TEXTS)
    assert sum(tokens for _, tokens in told) == sum(model.count_tokens(TEXTS))
    told.clear()
    text = "fog over the harbour. " * 40
    long = Document.from_spans(text, [(i, i + 22) for i in range(0, len(text), 22)])
    model.backend.embed([long], model.document_task, 48, report=lambda *done: told.append(done))
    assert sum(done for done, _ in told) == 1
    assert len(told) > 1


def test_last_token_pooling(made: Callable[[str], Made], bert_with: Callable[..., str]) -> None:
    folder = bert_with("last")
    got = Embedder(folder, dtype="float32", normalize=False).embed_documents(["fog", "the harbour"])
    full = Embedder(made("bert").folder, dtype="float32", normalize=False)
    assert full.space.model == Embedder(folder).space.model
    assert got.shape == (2, 48)
    assert not np.allclose(got, full.embed_documents(["fog", "the harbour"]))


def test_describe_says_what_runs(embedder: Callable[..., Embedder]) -> None:
    said = embedder("jina-v3").backend.describe()  # type: ignore[attr-defined]
    assert said["family"] == "jina-v3"
    assert said["dtype"] == "float32"
    assert said["device"] == "cpu"
    assert "retrieval.query" in said["adapters"]


def test_prompts_of_the_checkpoint_are_its_tasks(bert_with: Callable[..., str]) -> None:
    card = Embedder(bert_with(query="find: ", passage="text: ", topic="about: ")).card
    assert card.query_task == "query"
    assert card.document_task == "passage"
    assert card.task("topic").prefix == "about: "


def test_a_default_prompt_serves_a_side_that_has_none(bert_with: Callable[..., str], tmp_path: Any) -> None:
    folder = bert_with(all="say: ")
    write_json(
        tmp_path / "bert" / "config_sentence_transformers.json",
        {"prompts": {"all": "say: "}, "default_prompt_name": "all"},
    )
    assert Embedder(folder).query_task.prefix == "say: "
    assert Embedder(folder).document_task.prefix == "say: "
