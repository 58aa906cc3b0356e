"""Packed products and grouped attention agree with torch's own, which replace them where they do not work."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from twofold.local import kernels
from twofold.local.files.checkpoint import Checkpoint
from twofold.local.kernels import Packed, Plain, alibi_slopes, attend_group, attend_runs
from twofold.local.packing import Batch
from twofold.local.windows import TokenSequence

if TYPE_CHECKING:
    from collections.abc import Callable

    from support.checkpoints import Made

CPU = torch.device("cpu")
needs_packing = pytest.mark.skipif(
    not kernels.packing_works(torch.float32), reason="this torch cannot pack weights here"
)


@needs_packing
@pytest.mark.parametrize("rows", [1, 10, 700])
@pytest.mark.parametrize("bias", [True, False])
def test_a_packed_weight_gives_the_plain_product(rows: int, bias: bool) -> None:
    plain = Plain(torch.randn(72, 40), torch.randn(72) if bias else None)
    packed, x, other = Packed.of(plain), torch.randn(rows, 40), torch.randn(rows, 72)
    torch.testing.assert_close(packed(x), plain(x), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(packed.gelu(x), plain.gelu(x), atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(packed.add(other.clone(), x), plain.add(other.clone(), x), atol=1e-5, rtol=1e-5)


class Wrong(Plain):
    """A kernel that is slightly wrong in one of its forms."""

    def gelu(self, x: torch.Tensor) -> torch.Tensor:
        return torch.nn.functional.gelu(self(x), approximate="tanh")


def test_a_kernel_that_is_wrong_in_one_form_is_not_used() -> None:
    plain, x, other = Plain(torch.randn(24, 16), torch.randn(24)), torch.randn(8, 16), torch.randn(8, 24)
    assert kernels.agrees(plain, lambda: Plain(plain.weight, plain.bias), other, x, 1e-5)
    assert not kernels.agrees(plain, lambda: Wrong(plain.weight, plain.bias), other, x, 1e-5)


def test_where_the_operators_are_missing_the_plain_path_runs(
    made: Callable[[str], Made], monkeypatch: pytest.MonkeyPatch
) -> None:
    def missing(*_: object) -> None:
        raise AttributeError("'_OpNamespace' 'mkldnn' object has no attribute '_reorder_linear_weight'")

    reference = made("bert")
    kernels.packing_works.cache_clear()
    monkeypatch.setattr(Packed, "of", missing)
    try:
        encoder = Checkpoint.read(reference.folder).load(CPU, torch.float32)
    finally:
        kernels.packing_works.cache_clear()
    assert encoder.products == Plain.said
    ids = [0, 7, 8, 9, 2]
    got = encoder(Batch(torch.tensor(ids), [len(ids)]))
    torch.testing.assert_close(got, reference.hidden(ids, None), atol=1e-5, rtol=0)


@settings(max_examples=40, deadline=None)
@given(
    lengths=st.lists(st.integers(1, 60), min_size=1, max_size=12).map(lambda found: sorted(found, reverse=True)),
    alibi=st.booleans(),
    seed=st.integers(0, 1000),
)
def test_grouped_attention_is_attention(lengths: list[int], alibi: bool, seed: int) -> None:
    qkv = torch.randn(sum(lengths), 3, 4, 8, generator=torch.Generator().manual_seed(seed)) * 2
    slopes = alibi_slopes(4) if alibi else None
    groups = Batch(torch.zeros(sum(lengths), dtype=torch.long), lengths).groups
    assert [length for group in groups for length in group.lengths] == lengths
    for group in groups:
        assert min(group.lengths) >= 7 / 8 * group.longest
        torch.testing.assert_close(
            attend_group(qkv, group, slopes), attend_runs(qkv, group, slopes), atol=1e-5, rtol=1e-5
        )


@pytest.mark.parametrize("size", [60.0, -60.0])
def test_scores_that_no_exponential_holds_go_to_torchs_kernel(size: float) -> None:
    qkv = torch.randn(40, 3, 4, 8)
    qkv[:, 0], qkv[:, 1] = 5.0, size
    (group,) = Batch(torch.zeros(40, dtype=torch.long), [20, 20]).groups
    got = attend_group(qkv, group, None)
    torch.testing.assert_close(got, attend_runs(qkv, group, None))


def test_long_sequences_are_grouped_with_no_other() -> None:
    groups = Batch(torch.zeros(1300, dtype=torch.long), [600, 600, 100]).groups
    assert [list(group.lengths) for group in groups] == [[600], [600], [100]]


def test_batches_have_few_sizes() -> None:
    """For texts of any length and number. A query keeps its own size."""
    sizes = set()
    for count in range(1, 40):
        for length in range(2, 120, 7):
            one = TokenSequence(0, [5] * length, (0,), ())
            batch = Batch.of([one] * count, CPU)
            assert sum(batch.lengths) == len(batch.ids)
            assert len(batch.ids) - count * length <= max(7, count * length / 16)
            assert list(batch.lengths[:count]) == [length] * count
            assert len(batch.ids) == length or count > 1
            sizes.add(len(batch.ids))
    assert len(sizes) < 160
