"""int8: close to float32, independent of the rest of the batch, smaller, and with a fallback for missing kernels."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest
import torch

from support.checkpoints import MAKERS
from twofold import Embedder
from twofold.local import backend, int8
from twofold.local.calibration import TEXTS, samples
from twofold.local.files.checkpoint import Checkpoint
from twofold.local.int8 import NARROW, WIDE, Calibrated, Int8Weight, Range, Rowwise, largest, quantize
from twofold.local.kernels import Plain
from twofold.local.tokenizer import Tokenizer

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.checkpoints import Made
    from twofold.local.kernels import Product

CPU = torch.device("cpu")
LIMIT = largest() or WIDE
needs_kernels = pytest.mark.skipif(largest() is None, reason="oneDNN has no exact int8 products here")
PASSAGES = [
    "The lighthouse keeper counted nine ships before the fog came in over the harbour.",
    "Berlin",
    "東京の地下鉄は朝八時に最も混雑する。",
    "How do I remove a directory and everything in it? " * 4,
    *(f"In {year} the harbour of the town was closed by ice for {year % 60} days." for year in range(1901, 1931)),
]


def test_a_weight_is_within_half_a_step_of_its_rows_scale() -> None:
    weight = torch.randn(50, 3000) * torch.rand(50, 1)
    values, scale = quantize(weight)
    assert ((values.float() * scale[:, None] - weight).abs() <= scale[:, None] / 2 + 1e-7).all()
    assert (values.abs().amax(1) == 127).all()


def near(got: torch.Tensor, want: torch.Tensor, cosine: float) -> bool:
    return bool(torch.nn.functional.cosine_similarity(got.flatten(), want.flatten(), dim=0) > cosine)


@needs_kernels
def test_a_calibrated_product_smooths_channels_of_any_size() -> None:
    x = torch.randn(200, 64) * torch.logspace(-1, 2, 64)
    plain, other = Plain(torch.randn(48, 64), torch.randn(48)), torch.randn(200, 48)
    seen = Range.empty(64)
    seen.take(x)
    product = Calibrated.of(plain, seen, torch.float32, LIMIT)
    assert near(product(x), plain(x), 0.9999)
    assert near(product.gelu(x), plain.gelu(x), 0.9999)
    assert near(product.add(other.clone(), x) - other, plain(x), 0.9999)
    assert torch.equal(product(100 * x), product(100 * x))  # values beyond the range are clipped and do not wrap
    assert (product(torch.full((1, 64), 1e6)) >= product(torch.zeros(1, 64)) - 1e6).all()


@needs_kernels
@pytest.mark.parametrize("gated", [False, True])
def test_rows_have_their_own_scale(gated: bool) -> None:
    x = torch.randn(200, 64) * torch.logspace(-2, 2, 200)[:, None]
    x = x if gated else torch.nn.functional.gelu(x)
    plain, other = Plain(torch.randn(48, 64), torch.randn(48)), torch.zeros(200, 48)
    got = Rowwise.of(plain, LIMIT, gated=gated).add(other.clone(), x.clone())
    large = x.abs().amax(1) > 1
    for one, expected in zip(got[large], plain(x)[large], strict=True):
        assert near(one, expected, 0.999)
    alone = Rowwise.of(plain, LIMIT, gated=gated).add(other[:1].clone(), x[:1].clone())
    torch.testing.assert_close(alone[0], got[0])


@pytest.mark.skipif(largest() != NARROW or not int8.few_rows_work(), reason="FBGEMM is for processors without VNNI")
@pytest.mark.parametrize("rows", [1, int8.FEW, int8.FEW + 1])
def test_few_rows_give_what_many_give(monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    x, other = torch.randn(rows, 64), torch.randn(rows, 48)
    plain, seen = Plain(torch.randn(48, 64), torch.randn(48)), Range(torch.full((64,), -4.0), torch.full((64,), 4.0))

    def made() -> tuple[Calibrated, Rowwise]:
        return Calibrated.of(plain, seen, torch.float32, NARROW), Rowwise.of(plain, NARROW, gated=True)

    by_fbgemm = made()
    monkeypatch.setattr(int8, "few_rows_work", lambda: False)
    alone = made()
    assert [one.weight.few is None for one in (*by_fbgemm, *alone)] == [False, False, True, True]
    products: list[tuple[Product, Product]] = list(zip(by_fbgemm, alone, strict=True))
    for one, same in products:
        assert torch.equal(one(x), same(x))
        assert torch.equal(one.gelu(x), same.gelu(x))
        assert torch.equal(one.add(other.clone(), x), same.add(other.clone(), x))


@pytest.mark.parametrize("name", MAKERS)
def test_every_family_is_near_in_int8_and_smaller(made: Callable[[str], Made], name: str) -> None:
    options = {"device": "cpu", "truncate": "end"}
    full = Embedder(made(name).folder, dtype="float32", **options).embed_documents(PASSAGES)  # type: ignore[arg-type]
    small = Embedder(made(name).folder, dtype="int8", **options)  # type: ignore[arg-type]
    assert (small.embed_documents(PASSAGES) * full).sum(1).min() > 0.97  # trained weights are far easier


@pytest.mark.parametrize("dtype", ["int8", "bfloat16"])
def test_the_real_minilm_is_near(minilm: str, dtype: str) -> None:
    full = Embedder(minilm, dtype="float32", device="cpu").embed_documents(PASSAGES)
    cosines = (Embedder(minilm, dtype=dtype, device="cpu").embed_documents(PASSAGES) * full).sum(1)  # type: ignore[arg-type]
    assert cosines.min() > {"int8": 0.995, "bfloat16": 0.999}[dtype]


def test_what_else_is_in_the_batch_does_not_matter(minilm: str) -> None:
    model = Embedder(minilm, dtype="int8", device="cpu")
    together = model.embed_documents(PASSAGES)
    alone = np.concatenate([model.embed_documents([text]) for text in PASSAGES])
    assert (together * alone).sum(1).min() > 0.9999


def test_every_task_of_a_model_is_calibrated(made: Callable[[str], Made]) -> None:
    checkpoint = Checkpoint.read(made("jina-v3").folder)
    found = samples(Tokenizer(checkpoint.folder), checkpoint.card)
    assert {adapter for adapter, _ in found} == set(checkpoint.adapter_names)
    assert sum(len(batch.lengths) for _, batch in found) == len(TEXTS)


def test_without_the_kernels_the_weights_alone_are_int8(
    made: Callable[[str], Made], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("twofold.local.files.checkpoint.largest", lambda: None)
    backend.unload()
    model = Embedder(made("bert").folder, dtype="int8", device="cpu")
    full = Embedder(made("bert").folder, dtype="float32", device="cpu").embed_documents(PASSAGES)
    assert (model.embed_documents(PASSAGES) * full).sum(1).min() > 0.99
    assert model.backend.describe()["products"] == Int8Weight.said  # type: ignore[attr-defined]
    backend.unload()
