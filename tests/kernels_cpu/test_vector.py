"""Typed pointers and vectors of 16 lanes against NumPy."""

from __future__ import annotations

import numpy as np
import pytest

from numbanet.kernels.cpu.arguments import is_null, unpack, workspace
from numbanet.kernels.cpu.simd.transpose import interleave_rows, transpose_block, transpose_corner
from numbanet.kernels.cpu.simd.vector import (
    any_lane,
    as_float_bits,
    as_int_bits,
    every_second,
    first_lane,
    fma,
    interleave,
    lane,
    lane_index,
    lane_max,
    lane_product,
    lane_sum,
    load,
    load_first,
    rint,
    select,
    shift_left,
    shift_right,
    splat,
    sqrt,
    store,
    store_first,
    to_float,
)
from tests.kernels_cpu.device import Row, kernel_for_test, launch

SPECIALS = np.array([np.nan, np.inf, -np.inf, 0.0, -0.0, 1e-45, -1e-45, 3.4e38, -3.4e38], np.float32)


def numbers(seed: int, size: int = 16) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(size).astype(np.float32)


# --- pointers ----------------------------------------------------------------------------------------------------
@kernel_for_test
def indexing(start, stop, row, scratch):
    """All that a pointer can do, with a negative and with an unsigned index."""
    p = unpack(row, Row)
    p.out[0] = p.x[2]
    p.out[1] = (p.x + 3)[-1]
    p.out[2] = (p.x + np.uint8(200))[0]
    p.out[3] = (p.x + np.int32(5) + np.int64(-1))[np.uint16(0)]
    p.ints[0] = np.int32(-7)
    p.ints[1] = p.ints[2] + np.int32(p.bytes_[1])
    p.bytes_[0] = np.uint8(255)
    p.out[4] = np.float32(1) if is_null(p.y) else np.float32(0)
    p.out[5] = np.float32(1) if is_null(p.x) else np.float32(0)
    return 0


def test_pointers():
    out, x = np.zeros(6, np.float32), numbers(0, 201)
    ints, small = np.array([0, 0, -40], np.int32), np.array([0, 200], np.uint8)
    launch(indexing, out, x, None, ints, small)
    assert out.tolist() == [x[2], x[2], x[200], x[4], 1, 0]
    assert ints.tolist() == [-7, 160, -40]
    assert small.tolist() == [255, 200]


@kernel_for_test
def fields(start, stop, row, scratch):
    p = unpack(row, Row)
    memory = workspace(row, scratch)
    for i in range(p.m):
        memory[i] = np.float32(p.n + i)
    for i in range(p.m):
        p.out[i] = memory[i]
    return 0


@pytest.mark.parametrize("n", [0, 5, -(1 << 20)])
def test_integers_and_scratch(n):
    out = np.zeros(100, np.float32)
    launch(fields, out, n=n, m=100, scratch=100)
    assert out.tolist() == [n + i for i in range(100)]


# --- arithmetic --------------------------------------------------------------------------------------------------
@kernel_for_test
def arithmetic(start, stop, row, scratch):
    p = unpack(row, Row)
    x, y = load(p.x, 0), load(p.y, 0)
    store(p.out, 0, x + y)
    store(p.out, 16, x - y)
    store(p.out, 32, x * y)
    store(p.out, 48, x / y)
    store(p.out, 64, fma(x, y, x))
    store(p.out, 80, x * y + x)
    store(p.out, 96, sqrt(x))
    store(p.out, 112, rint(x))
    return 0


@pytest.mark.parametrize("seed", range(4))
def test_arithmetic_rounds_once(seed):
    """Each operation has IEEE 754's bits; a product and a sum are fused only where it is written."""
    x, y = numbers(seed) * 3, numbers(seed + 10)
    x[7:] = SPECIALS if seed == 0 else x[7:]
    y[:9] = SPECIALS if seed == 1 else y[:9]
    out = np.zeros(128, np.float32)
    launch(arithmetic, out, x, y)
    with np.errstate(all="ignore"):
        fused = (x.astype(np.float64) * y + x).astype(np.float32)
        expected = [x + y, x - y, x * y, x / y, fused, x * y + x, np.sqrt(x), np.rint(x)]
    np.testing.assert_array_equal(out.reshape(8, 16), expected)


def test_fma_and_product_with_sum_differ():
    """Were the two the same, the flags would allow contraction and bits would hang on the compiler's mood."""
    differ = 0
    for seed in range(20):
        out = np.zeros(128, np.float32)
        launch(arithmetic, out, numbers(seed), numbers(seed + 100))
        differ += np.count_nonzero(out[64:80] != out[80:96])
    assert differ > 20


@kernel_for_test
def comparisons(start, stop, row, scratch):
    p = unpack(row, Row)
    x, y = load(p.x, 0), load(p.y, 0)
    one, zero = splat(np.float32(1)), splat(np.float32(0))
    store(p.out, 0, select(x < y, one, zero))
    store(p.out, 16, select(x <= y, one, zero))
    store(p.out, 32, select(x > y, one, zero))
    store(p.out, 48, select(x >= y, one, zero))
    store(p.out, 64, select(x == y, one, zero))
    store(p.out, 80, select(x != y, one, zero))
    store(p.out, 96, select((x < y) | (x == y), one, zero))
    store(p.out, 112, select((x <= y) & (x >= y), one, zero))
    p.out[128] = np.float32(1) if any_lane(x < y) else np.float32(0)
    return 0


def test_comparisons_with_nan():
    x = np.concatenate([SPECIALS, [1, 2, 3, np.nan, 1, 5, -1]]).astype(np.float32)
    y = np.concatenate([SPECIALS[::-1], [1, 3, 2, np.nan, np.nan, 5, 0]]).astype(np.float32)
    for left, right in ((x, y), (x, x), (np.full(16, 2, np.float32), np.full(16, 1, np.float32))):
        out = np.zeros(129, np.float32)
        launch(comparisons, out, left, right)
        a, b = left, right
        expected = [a < b, a <= b, a > b, a >= b, a == b, a != b, (a < b) | (a == b), (a <= b) & (a >= b)]
        np.testing.assert_array_equal(out[:128].reshape(8, 16), expected)
        assert out[128] == (a < b).any()


@kernel_for_test
def integers(start, stop, row, scratch):
    p = unpack(row, Row)
    x, i = load(p.x, 0), load(p.ints, 0)
    store(p.ints, 16, as_int_bits(x))
    store(p.ints, 32, shift_left(i, 3))
    store(p.ints, 48, shift_right(i, 2))
    store(p.ints, 64, lane_index() + i * splat(np.int32(3)) - splat(np.int32(1)))
    store(p.ints, 80, (i & splat(np.int32(12))) | splat(np.int32(1)))
    store(p.ints, 96, select(i < splat(np.int32(0)), splat(np.int32(-1)), i))
    store(p.out, 0, to_float(i))
    store(p.out, 16, as_float_bits(as_int_bits(x)))
    return 0


def test_integer_lanes():
    x = np.array([0, 1.9, -1.9, 2.0**30, -(2.0**31), *range(11)], np.float32)
    ints = np.zeros(112, np.int32)
    ints[:16] = i = np.array([0, 1, -1, 2**20, -(2**20), 1234567, *range(-5, 5)], np.int32)
    out = np.zeros(32, np.float32)
    launch(integers, out, x, ints=ints)
    expected = [
        x.view(np.int32), i << 3, i >> 2, np.arange(16) + i * 3 - 1, (i & 12) | 1, np.maximum(i, -1)
    ]  # fmt: skip
    np.testing.assert_array_equal(ints[16:].reshape(6, 16), expected)
    np.testing.assert_array_equal(out, np.concatenate([i.astype(np.float32), x]))


# --- loads and stores under a mask -------------------------------------------------------------------------------
@kernel_for_test
def masked(start, stop, row, scratch):
    p = unpack(row, Row)
    store_first(p.out, p.n, load_first(p.x, p.n, p.m), p.m)
    return 0


@pytest.mark.parametrize("count", [-3, 0, 1, 7, 15, 16, 20])
@pytest.mark.parametrize("first", [0, 3])
def test_only_the_first_lanes_are_touched(count, first):
    lanes = min(max(count, 0), 16)
    out, x = np.full(60, np.nan, np.float32), np.full(60, np.nan, np.float32)
    x[20 + first : 20 + first + lanes] = np.arange(lanes)
    expected = out.copy()
    expected[20 + first : 20 + first + lanes] = np.arange(lanes)
    launch(masked, out[20:], x[20:], n=first, m=count)
    np.testing.assert_array_equal(out, expected)


@kernel_for_test
def first_lanes_read(start, stop, row, scratch):
    p = unpack(row, Row)
    store(p.out, 0, load_first(p.x, 0, p.n))
    return 0


@pytest.mark.parametrize("count", [-5, -2, 0, 3, 9, 12, 16])
def test_other_lanes_are_zero(count):
    x, out = np.arange(1, 17, dtype=np.float32), np.full(16, np.nan, np.float32)
    launch(first_lanes_read, out, x, n=count)
    np.testing.assert_array_equal(out, np.where(np.arange(16) < count, x, 0))


# --- across lanes ------------------------------------------------------------------------------------------------
@kernel_for_test
def across(start, stop, row, scratch):
    p = unpack(row, Row)
    x, y = load(p.x, 0), load(p.y, 0)
    p.out[0] = lane_sum(x)
    p.out[1] = lane_max(x)
    p.out[2] = lane_product(x)
    p.out[3] = lane(x, p.n)
    p.out[4] = np.float32(first_lane(x == splat(lane(x, p.n))))
    p.out[5] = np.float32(first_lane(x > splat(lane_max(x))))
    store(p.out, 16, every_second(x, y, 0))
    store(p.out, 32, every_second(x, y, 1))
    store(p.out, 48, interleave(x, y, 0))
    store(p.out, 64, interleave(x, y, 1))
    return 0


def tree(function, x: np.ndarray) -> np.float32:
    while x.size > 1:
        with np.errstate(over="ignore"):
            x = function(x[: x.size // 2], x[x.size // 2 :])
    return x[0]


def tree_sum(x: np.ndarray) -> np.float32:
    return tree(np.add, x)


@pytest.mark.parametrize("seed", range(5))
def test_across_lanes(seed):
    x, y, out = numbers(seed) * 1000, numbers(seed + 50), np.zeros(80, np.float32)
    launch(across, out, x, y, n=3 * seed)
    assert out[0] == tree_sum(x)
    assert out[1] == x.max()
    assert out[2] == tree(np.multiply, x)
    assert out[3] == x[3 * seed]
    assert out[4:6].tolist() == [3 * seed, 16]
    both, mixed = np.concatenate([x, y]), np.stack([x, y], axis=1).ravel()
    np.testing.assert_array_equal(out[16:], np.concatenate([both[::2], both[1::2], mixed]))


def test_the_tree_of_sums_is_the_documented_one():
    """Large numbers that cancel only in the right order: 16 = 8 + 8, lanes i and i + 8 first."""
    x = np.zeros(16, np.float32)
    x[[0, 8, 1, 4]] = 1e10, -1e10, 1, 2
    out = np.zeros(80, np.float32)
    launch(across, out, x, x)
    assert out[0] == 3
    x[[8, 4]] = 2, -1e10
    launch(across, out, x, x)
    assert out[0] == 1


@pytest.mark.parametrize("place", range(16))
def test_maximum_of_lanes_with_nan(place):
    x, out = numbers(place), np.zeros(80, np.float32)
    x[place] = np.nan
    launch(across, out, x, x)
    assert np.isnan(out[1])
    x[:], x[place] = -np.inf, -5
    launch(across, out, x, x)
    assert out[1] == -5


@kernel_for_test
def transposed(start, stop, row, scratch):
    p = unpack(row, Row)
    transpose_block(p.out, 18, p.x, 21, p.n)
    return 0


@pytest.mark.parametrize("rows", [1, 5, 15, 16])
def test_transpose_block(rows):
    """Rows that are not wanted lie in a buffer that ends before them, and count as zeros."""
    x = np.random.default_rng(rows).standard_normal((rows - 1) * 21 + 16).astype(np.float32)
    out = np.full(16 * 18, np.nan, np.float32)
    launch(transposed, out, x, n=rows)
    matrix = np.zeros((16, 16), np.float32)
    for i in range(rows):
        matrix[i] = x[i * 21 : i * 21 + 16]
    np.testing.assert_array_equal(out.reshape(16, 18)[:, :16], matrix.T)
    assert np.isnan(out.reshape(16, 18)[:, 16:]).all()


@kernel_for_test
def turned_corner(start, stop, row, scratch):
    p = unpack(row, Row)
    transpose_corner(p.out, 18, p.x, 21, p.n, p.m)
    return 0


@pytest.mark.parametrize("rows", [0, 1, 5, 9, 16, 40])
@pytest.mark.parametrize("columns", [1, 4, 7, 8, 13, 16])
def test_transpose_corner(rows, columns):
    """Neither rows nor columns that are not wanted are read, and as many columns become rows."""
    there = min(rows, 16)
    x = np.random.default_rng(rows).standard_normal(max(1, (there - 1) * 21 + columns)).astype(np.float32)
    out = np.full(16 * 18, np.nan, np.float32)
    launch(turned_corner, out, x, n=rows, m=columns)
    matrix = np.zeros((16, columns), np.float32)
    for i in range(there):
        matrix[i] = x[i * 21 : i * 21 + columns]
    lines = out.reshape(16, 18)
    np.testing.assert_array_equal(lines[:columns, :16], matrix.T)
    assert np.isnan(lines[:, 16:]).all()
    assert np.isnan(lines[columns:]).all()


@kernel_for_test
def six_rows(start, stop, row, scratch):
    p = unpack(row, Row)
    interleave_rows(p.out, p.x, 11, 6)
    return 0


@kernel_for_test
def eight_rows(start, stop, row, scratch):
    p = unpack(row, Row)
    interleave_rows(p.out, p.x, 11, 8)
    return 0


@pytest.mark.parametrize(("kernel", "rows"), [(six_rows, 6), (eight_rows, 8)])
def test_interleave_rows(kernel, rows):
    x = np.random.default_rng(rows).standard_normal((rows - 1) * 11 + 8).astype(np.float32)
    out = np.full(80, np.nan, np.float32)
    launch(kernel, out, x)
    expected = np.stack([x[i * 11 : i * 11 + 8] for i in range(rows)], axis=1).ravel()
    np.testing.assert_array_equal(out[: 8 * rows], expected)
    assert np.isnan(out[7 * rows + 8 :]).all()
