"""The encoder against transformers' own models, and against itself in other packings."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from support.checkpoints import MAKERS, TASKS
from twofold import Embedder
from twofold.local.files.checkpoint import Checkpoint
from twofold.local.kernels import alibi_slopes, attend
from twofold.local.packing import Batch

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.checkpoints import Made
    from twofold.local.encoder import Encoder

CPU = torch.device("cpu")
LENGTHS = (37, 37, 20, 5)


def sequences(lengths: tuple[int, ...] = LENGTHS, seed: int = 3) -> list[list[int]]:
    generator = torch.Generator().manual_seed(seed)
    return [[0, *torch.randint(5, 90, (n - 2,), generator=generator).tolist(), 2] for n in lengths]


@pytest.fixture(scope="module")
def encoders(made: Callable[[str], Made]) -> Callable[[str], Encoder]:
    """The encoder of each tiny checkpoint in float32, loaded once."""
    return cache(lambda name: Checkpoint.read(made(name).folder).load(CPU, torch.float32))


def run(encoder: Encoder, lists: list[list[int]], adapter: str | None = None) -> list[torch.Tensor]:
    batch = Batch(torch.tensor([i for ids in lists for i in ids]), [len(ids) for ids in lists])
    return list(torch.split(encoder(batch, adapter), [len(ids) for ids in lists]))


@pytest.mark.parametrize("name", MAKERS)
def test_hidden_states_are_the_reference_models(
    made: Callable[[str], Made], encoders: Callable[[str], Encoder], name: str
) -> None:
    reference = made(name)
    for adapter in (None, *Checkpoint.read(reference.folder).adapter_names):
        for got, ids in zip(run(encoders(name), sequences(), adapter), sequences(), strict=True):
            torch.testing.assert_close(got, reference.hidden(ids, adapter), atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["jina-v3", "jina-v3-hf", "jina-v3-saved"])
def test_v3_has_five_adapters_and_each_computes_something_else(
    made: Callable[[str], Made], encoders: Callable[[str], Encoder], name: str
) -> None:
    assert Checkpoint.read(made(name).folder).adapter_names == TASKS
    states = [run(encoders(name), sequences((20,)), adapter)[0] for adapter in (None, *TASKS)]
    for i, one in enumerate(states):
        for other in states[:i]:
            assert (one - other).abs().max() > 0.05


def test_adapters_share_one_table_of_words(encoders: Callable[[str], Encoder]) -> None:
    encoder = encoders("jina-v3")
    table = encoder.embedding.word
    run(encoder, sequences(), "retrieval.query")
    assert encoder.embedding.word is table
    held = sum(lora.a.nbytes + lora.b.nbytes for lora in encoder.embedding.word_loras.values())
    assert held < table.nbytes


@pytest.mark.parametrize(("dtype", "least"), [("float32", 0.999999), ("bfloat16", 0.999), ("int8", 0.97)])
def test_merged_adapters_are_the_adapters(made: Callable[[str], Made], dtype: Any, least: float) -> None:
    options = {"device": "cpu", "truncate": "end"}
    texts = ["fog over the harbour", "Berlin", "How do I remove a directory?"]
    apart = Embedder(made("jina-v3").folder, dtype="float32", **options)  # type: ignore[arg-type]
    merged = Embedder(made("jina-v3").folder, dtype=dtype, merge_adapters=True, **options)  # type: ignore[arg-type]
    assert (merged.embed_queries(texts) * apart.embed_queries(texts)).sum(1).min() > least
    assert (merged.embed_documents(texts) * apart.embed_documents(texts)).sum(1).min() > least
    encoder = merged.backend.loaded.encoder  # type: ignore[attr-defined]
    assert set(encoder.layers) == {"retrieval.query", "retrieval.passage"}
    assert all(not layer.qkv.loras for layers in encoder.layers.values() for layer in layers)
    other = [one.embed(texts, task="separation") for one in (apart, merged)]
    assert (other[0] * other[1]).sum(1).min() > least
    assert None in encoder.layers  # read when a task of neither side needed the bare layers


@settings(max_examples=25, deadline=None)
@given(lengths=st.lists(st.integers(3, 40), min_size=1, max_size=8), seed=st.integers(0, 10_000))
@pytest.mark.parametrize("name", ["bert", "jina-v2", "jina-v3"])
def test_any_packing_equals_each_sequence_alone(
    encoders: Callable[[str], Encoder], name: str, lengths: list[int], seed: int
) -> None:
    encoder = encoders(name)
    lists = sequences(tuple(lengths), seed)
    for got, ids in zip(run(encoder, lists), lists, strict=True):
        torch.testing.assert_close(got, run(encoder, [ids])[0], atol=1e-5, rtol=0)


def test_the_mlp_by_blocks_of_rows_changes_nothing(
    encoders: Callable[[str], Encoder], monkeypatch: pytest.MonkeyPatch
) -> None:
    encoder = encoders("jina-v2")
    whole = run(encoder, sequences())
    monkeypatch.setattr("twofold.local.encoder.MLP_SIZE", 200)
    for one, other in zip(whole, run(encoder, sequences()), strict=True):
        torch.testing.assert_close(one, other, atol=1e-5, rtol=0)


@pytest.mark.parametrize("name", ["bert", "jina-v2", "jina-v3"])
def test_the_number_of_threads_changes_nothing(encoders: Callable[[str], Encoder], name: str) -> None:
    encoder, threads = encoders(name), torch.get_num_threads()
    results = []
    try:
        for number in (1, 2, 3):
            torch.set_num_threads(number)
            results.append(run(encoder, sequences((100, 90, 60, 37, 37, 20, 5))))
    finally:
        torch.set_num_threads(threads)
    for one, *others in zip(*results, strict=True):
        for other in others:
            torch.testing.assert_close(one, other, atol=1e-5, rtol=0)


def test_alibi_by_blocks_of_queries_changes_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    q, k, v = torch.randn(3, 2, 4, 50, 8)
    whole = attend(q, k, v, alibi_slopes(4))
    monkeypatch.setattr("twofold.local.kernels.BIAS_ELEMENTS", 50 * 4 * 7)
    torch.testing.assert_close(attend(q, k, v, alibi_slopes(4)), whole)


def test_alibi_slopes_are_the_published_ones() -> None:
    powers = [2.0**-n for n in (1, 2, 3, 4, 5, 6, 7, 8)]
    np.testing.assert_allclose(alibi_slopes(8), powers)
    np.testing.assert_allclose(alibi_slopes(12), [*powers, *(2.0**-n for n in (0.5, 1.5, 2.5, 3.5))])


def test_a_position_blind_model_would_show(encoders: Callable[[str], Encoder]) -> None:
    encoder = encoders("jina-v3")
    ids = sequences((20,))[0]
    turned = [ids[0], *ids[-2:0:-1], ids[-1]]
    one, other = (run(encoder, [order])[0].mean(0) for order in (ids, turned))
    assert (one - other).abs().max() > 1e-3


def test_int8_weights_are_near_and_smaller(made: Callable[[str], Made]) -> None:
    checkpoint = Checkpoint.read(made("bert").folder)
    full, small = checkpoint.load(CPU, torch.float32), checkpoint.load(CPU, torch.float32, int8=True)
    assert small.nbytes < full.nbytes
    for one, other in zip(run(full, sequences()), run(small, sequences()), strict=True):
        assert torch.nn.functional.cosine_similarity(one.mean(0), other.mean(0), dim=0) > 0.99
