"""What is done to vectors after the model, against exact values and against float64."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from twofold import InputError, OutputError
from twofold.vectors import FloatArray, Quantisation, check, finish, from_base64, normalize, quantize, to_base64, unpack

finite = st.floats(width=32, allow_nan=False, allow_infinity=False)


def _rows(count: int, width: int) -> FloatArray:
    return np.random.default_rng(7).standard_normal((count, width), dtype=np.float32)


def test_every_size_is_cut_and_then_normalised() -> None:
    full = _rows(5, 24)
    for size in range(1, 25):
        exact = full[:, :size].astype(np.float64)
        exact /= np.linalg.norm(exact, axis=1, keepdims=True)
        short = finish(full, 5, size, unit=True)
        assert short.dtype == np.float32
        assert short.flags.c_contiguous
        np.testing.assert_allclose(short, exact, atol=1e-6)


def test_without_normalising_the_model_s_values_are_kept() -> None:
    full = _rows(3, 16)
    short = finish(full, 3, 8, unit=False)
    np.testing.assert_array_equal(short, full[:, :8])
    assert short.flags.c_contiguous


def test_wider_numbers_become_float32() -> None:
    assert finish(np.ones((1, 2), np.float64), 1, 2, unit=False).dtype == np.float32


@given(arrays(np.float32, st.tuples(st.integers(1, 4), st.integers(1, 9)), elements=finite))
def test_every_row_that_is_not_zero_gets_unit_length(rows: FloatArray) -> None:
    norms = np.linalg.norm(normalize(rows).astype(np.float64), axis=1)
    np.testing.assert_allclose(norms, rows.any(axis=1).astype(np.float64), atol=1e-6)


@pytest.mark.parametrize("shape", [(2, 8), (4, 8), (3, 7), (24,)])
def test_a_wrong_shape_does_not_leave(shape: tuple[int, ...]) -> None:
    with pytest.raises(OutputError, match=r"not \(3, at least 8\)"):
        check(np.ones(shape, np.float32), 3, 8)


@pytest.mark.parametrize("value", [np.nan, np.inf, -np.inf])
def test_a_number_that_is_none_does_not_leave(value: float) -> None:
    rows = _rows(5, 8)
    rows[[2, 4], 7] = value
    with pytest.raises(OutputError, match=r"NaN or infinity for item 2 \(2 of 5 items\)"):
        finish(rows, 5, 4, unit=True)


def test_zeros_do_not_leave() -> None:
    rows = _rows(4, 8)
    rows[1, :4] = 0  # the part that is kept, though not the whole
    with pytest.raises(OutputError, match=r"zeros for item 1 \(1 of 4 items\)"):
        finish(rows, 4, 4, unit=True)
    assert finish(rows, 4, 5, unit=True).shape == (4, 5)


def test_int8_is_one_scale_for_all_columns() -> None:
    rows = np.array([[1.0, -1.0, 0.5, 0.004, -0.003, 0.0]], np.float32)
    assert quantize(rows, "int8").tolist() == [[127, -127, 64, 1, 0, 0]]
    assert quantize(np.array([[0.25, 9.0, -9.0]], np.float32), "int8", limit=0.25).tolist() == [[127, 127, -127]]
    assert quantize(rows, "int8").dtype == np.int8


def test_binary_is_packed_first_dimension_into_the_highest_bit() -> None:
    rows = np.array([[1, -1, -1, -1, -1, -1, -1, -1], [0.1] * 8, [0.0] * 8, [-1] * 7 + [1]], np.float32)
    assert quantize(rows, "ubinary").ravel().tolist() == [128, 255, 0, 1]
    assert quantize(rows, "binary").ravel().tolist() == [0, 127, -128, -127]  # the same, minus 128
    assert quantize(rows, "binary").dtype == np.int8
    assert quantize(rows, "ubinary").dtype == np.uint8


@pytest.mark.parametrize("kind", ["binary", "ubinary"])
@given(arrays(np.float32, st.tuples(st.integers(0, 3), st.just(24)), elements=finite))
def test_unpacking_gives_the_signs_back(kind: Quantisation, rows: FloatArray) -> None:
    packed = quantize(rows, kind)
    assert packed.shape == (len(rows), 3)
    np.testing.assert_array_equal(unpack(packed), np.where(rows > 0, 1.0, -1.0))


def test_one_vector_is_quantised_as_many_are() -> None:
    rows = _rows(1, 16)
    for kind in ("int8", "binary", "ubinary"):
        np.testing.assert_array_equal(quantize(rows[0], kind), quantize(rows, kind)[0])
    assert unpack(quantize(rows[0], "binary")).shape == (16,)


def test_what_can_not_be_quantised_is_refused() -> None:
    with pytest.raises(InputError, match="a multiple of 8 dimensions, not 12"):
        quantize(_rows(1, 12), "binary")
    with pytest.raises(InputError, match="quantisation 'float': it must be one of 'int8', 'binary', 'ubinary'"):
        quantize(_rows(1, 8), "float")  # type: ignore[arg-type]


@given(arrays(np.float32, st.integers(0, 9), elements=finite))
def test_base64_keeps_float32_exactly(row: FloatArray) -> None:
    np.testing.assert_array_equal(from_base64(to_base64(row)), row)


def test_base64_is_little_endian() -> None:
    assert to_base64(np.array([1.0], np.float32)) == "AACAPw=="


@pytest.mark.parametrize("text", ["not base64!", "AACA", "AACAPw"])
def test_base64_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r".+"):
        from_base64(text)
