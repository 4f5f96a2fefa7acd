"""Register tiles: sums of products, their edges, windows of stores, and what they leave alone."""

from __future__ import annotations

import itertools

import numpy as np
import pytest

from numbanet.kernels.cpu.arguments import unpack
from numbanet.kernels.cpu.simd.tile import (
    LANES,
    add_bias_columns,
    add_bias_rows,
    add_row,
    add_sums,
    inner,
    offsets,
    outer,
    store_columns,
    store_rows,
    store_tile,
    zero_sums,
    zeros,
)
from tests.kernels_cpu.device import Row, kernel_for_test, launch
from tests.kernels_cpu.test_vector import tree_sum

ROWS, COLUMNS, STEPS = 4, 2, 7
WIDTH = COLUMNS * LANES


def normal(seed: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal(shape).astype(np.float32)


def fma_chain(a: np.ndarray, b: np.ndarray) -> np.ndarray:
    """Σ_k a[:, k] · b[k, :] as one chain of fused multiply-adds in the order of k (float64 holds each product)."""
    total = np.zeros((a.shape[0], b.shape[1]), np.float32)
    for k in range(a.shape[1]):
        total = (a[:, k, None].astype(np.float64) * b[k] + total).astype(np.float32)
    return total


# --- outer -------------------------------------------------------------------------------------------------------
@kernel_for_test
def outer_strides(start, stop, row, scratch):
    p = unpack(row, Row)
    acc = zeros(4, 2)
    for k in range(p.n):
        acc = outer(acc, p.x + k, p.n, p.y + k * p.m, LANES)
    store_tile(acc, p.out, p.m, 0, 4, 0, 2 * LANES, 0, 0)
    return 0


def test_outer_is_one_chain_of_fused_products():
    a, b = normal(1, ROWS, STEPS), normal(2, STEPS, WIDTH)
    out = np.full((ROWS, WIDTH), np.nan, np.float32)
    launch(outer_strides, out, a, b, n=STEPS, m=WIDTH)
    np.testing.assert_array_equal(out, fma_chain(a, b))


@kernel_for_test
def outer_places(start, stop, row, scratch):
    """Columns from a table of offsets; rows as two runs of two."""
    p = unpack(row, Row)
    where, runs = offsets(p.ints, 1, 2), offsets(p.ints, 3, 2)
    acc = zeros(4, 2)
    for k in range(p.n):
        acc = outer(acc, p.x + k * 9, runs, p.y + k, where)
    store_tile(acc, p.out, 2 * LANES, 0, 4, 0, 2 * LANES, 0, 0)
    return 0


def test_outer_with_offsets():
    x, y = normal(3, 9 * STEPS), normal(4, 100)
    table = np.array([-1, 30, 5, 6, 1], np.int32)
    out = np.full((4, WIDTH), np.nan, np.float32)
    launch(outer_places, out, x, y, table, n=STEPS)
    a = np.array([[x[k * 9 + place] for k in range(STEPS)] for place in (6, 7, 1, 2)])
    b = np.array([np.concatenate([y[k + 30 : k + 30 + LANES], y[k + 5 : k + 5 + LANES]]) for k in range(STEPS)])
    np.testing.assert_array_equal(out, fma_chain(a, b))


# --- stores ------------------------------------------------------------------------------------------------------
@kernel_for_test
def windowed(start, stop, row, scratch):
    p = unpack(row, Row)
    acc = zeros(4, 2)
    for k in range(7):
        acc = outer(acc, p.x + k, 7, p.y + k * 2 * LANES, LANES)
    first, last, begin, end = p.ints[0], p.ints[1], p.ints[2], p.ints[3]
    store_tile(acc, p.out, p.m, first, last, begin, end, p.ints[4], p.ints[5])
    return 0


WINDOWS = [
    (0, 4, 0, WIDTH),
    (1, 3, 2, WIDTH - 1),
    (0, 4, LANES, LANES + 1),
    (2, 2, 0, 5),
    (0, 1, 0, 0),
    (3, 4, 1, LANES),
]


@pytest.mark.parametrize(("first", "last", "begin", "end"), WINDOWS)
@pytest.mark.parametrize("add", [0, 1])
@pytest.mark.parametrize("activation", [0, 1])
def test_store_touches_its_window_only(first, last, begin, end, add, activation):
    a, b = normal(5, ROWS, STEPS), normal(6, STEPS, WIDTH)
    out = normal(7, 60 + ROWS * (WIDTH + 3))
    expected = out.copy()
    pitch = WIDTH + 3
    tile = expected[30 : 30 + ROWS * pitch].reshape(ROWS, pitch)[first:last, begin:end]
    value = fma_chain(a, b)[first:last, begin:end]
    value = tile + value if add else value
    tile[...] = np.maximum(value, 0) if activation else value
    table = np.array([first, last, begin, end, add, activation], np.int32)
    launch(windowed, out[30:], a, b, table, m=pitch)
    np.testing.assert_array_equal(out, expected)


def test_relu_of_a_tile_keeps_nan():
    a, b = normal(5, ROWS, STEPS), normal(6, STEPS, WIDTH)
    a[1, 2] = np.nan
    out = np.zeros(ROWS * WIDTH, np.float32)
    launch(windowed, out, a, b, np.array([0, 4, 0, WIDTH, 0, 1], np.int32), m=WIDTH)
    out = out.reshape(ROWS, WIDTH)
    assert np.isnan(out[1]).all()
    assert (out[[0, 2, 3]] >= 0).all()


@kernel_for_test
def in_columns(start, stop, row, scratch):
    p = unpack(row, Row)
    acc = zeros(4, 2)
    for k in range(7):
        acc = outer(acc, p.x + k, 7, p.y + k * 2 * LANES, LANES)
    places, counts = offsets(p.ints, 2, 2), offsets(p.ints, 4, 2)
    store_columns(acc, p.out, 50, p.ints[0], p.ints[1], places, counts, p.m, p.n)
    return 0


@pytest.mark.parametrize("counts", [(LANES, LANES), (1, 3), (0, LANES - 1), (0, 0)])
@pytest.mark.parametrize(("first", "last"), [(0, 4), (1, 4), (2, 3)])
@pytest.mark.parametrize("add", [0, 1])
@pytest.mark.parametrize("relu", [0, 1])
def test_store_columns(counts, first, last, add, relu):
    """Each vector of positions goes to its own place, the lanes that count only."""
    a, b = normal(8, ROWS, STEPS), normal(9, STEPS, WIDTH)
    out = normal(10, 4 * 50 + 20)
    expected, value = out.copy(), fma_chain(a, b).reshape(ROWS, COLUMNS, LANES)
    for r, (column, place) in itertools.product(range(first, last), enumerate((25, 3))):
        at = slice(10 + r * 50 + place, 10 + r * 50 + place + counts[column])
        new = value[r, column, : counts[column]] + (expected[at] if add else 0)
        expected[at] = np.maximum(new, 0) if relu else new
    launch(in_columns, out[10:], a, b, np.array([first, last, 25, 3, *counts], np.int32), n=relu, m=add)
    np.testing.assert_array_equal(out, expected)


@kernel_for_test
def in_rows(start, stop, row, scratch):
    p = unpack(row, Row)
    acc = zeros(4, 2)
    for k in range(7):
        acc = outer(acc, p.x + k, 7, p.y + k * 2 * LANES, LANES)
    store_rows(add_row(acc, p.y), p.out, offsets(p.ints, 0, 4), p.n, p.m)
    return 0


@pytest.mark.parametrize("add", [0, 1])
@pytest.mark.parametrize("relu", [0, 1])
def test_store_rows(add, relu):
    """Each row goes to its own place, with a bias a column."""
    a, b = normal(8, ROWS, STEPS), normal(9, STEPS, WIDTH)
    out, places = normal(10, 5 * WIDTH + 7), np.array([3 * WIDTH, 0, 4 * WIDTH + 7, WIDTH], np.int32)
    expected, value = out.copy(), fma_chain(a, b) + b[0]
    for r, place in enumerate(places):
        at = slice(place, place + WIDTH)
        new = value[r] + (expected[at] if add else 0)
        expected[at] = np.maximum(new, 0) if relu else new
    launch(in_rows, out, a, b, places, n=add, m=relu)
    np.testing.assert_array_equal(out, expected)


# --- bias --------------------------------------------------------------------------------------------------------
@kernel_for_test
def with_bias(start, stop, row, scratch):
    p = unpack(row, Row)
    acc = add_bias_rows(zeros(4, 2), p.x, p.ints[0], p.ints[1])
    acc = add_bias_columns(acc, p.y, p.ints[2], p.ints[3])
    store_tile(acc, p.out, 2 * LANES, p.ints[0], p.ints[1], p.ints[2], p.ints[3], 0, 0)
    return 0


@pytest.mark.parametrize(("first", "last", "begin", "end"), [window for window in WINDOWS if window[0] < window[1]])
def test_bias(first, last, begin, end):
    """A bias is read inside the window only: around it lies NaN."""
    rows, columns = np.full(40, np.nan, np.float32), np.full(WIDTH + 40, np.nan, np.float32)
    rows[10 + first : 10 + last], columns[20 + begin : 20 + end] = normal(10, last - first), normal(11, end - begin)
    out = np.full((ROWS, WIDTH), -1, np.float32)
    expected = out.copy()
    total = rows[10 : 10 + ROWS, None] + columns[20 : 20 + WIDTH]
    expected[first:last, begin:end] = total[first:last, begin:end]
    launch(with_bias, out, rows[10:], columns[20:], np.array([first, last, begin, end], np.int32))
    np.testing.assert_array_equal(out, expected)


# --- inner -------------------------------------------------------------------------------------------------------
@kernel_for_test
def dot_products(start, stop, row, scratch):
    p = unpack(row, Row)
    where = offsets(p.ints, 0, 2)
    acc = zero_sums(3, 2)
    for i in range(0, p.n, 16):
        acc = inner(acc, p.x + i, 41, p.y + i, where, p.n - i)
    add_sums(acc, p.out, 5, p.ints[2], p.ints[3], p.ints[4], p.ints[5])
    return 0


@pytest.mark.parametrize("length", [1, 15, 16, 41])
@pytest.mark.parametrize(("first", "last", "columns"), [(0, 3, 2), (1, 3, 2), (0, 2, 1), (0, 3, 0)])
@pytest.mark.parametrize("add", [0, 1])
def test_inner(length, first, last, columns, add):
    """Sixteen chains a product, added up in the tree; nothing beyond the last element is read."""
    x, y = np.full(3 * 41 + 20, np.nan, np.float32), np.full(90, np.nan, np.float32)
    places = (3, 44)
    for r in range(3):
        x[r * 41 : r * 41 + length] = normal(r, length)
    for place in places:
        y[place : place + length] = normal(place, length)
    out = normal(12, 20)
    expected = out.copy()
    for r, c in itertools.product(range(first, last), range(columns)):
        chains = np.zeros(16, np.float32)
        for i in range(0, length, 16):
            a, b = (np.pad(v[i : i + 16], (0, 16 - v[i : i + 16].size)) for v in (
                x[r * 41 : r * 41 + length], y[places[c] : places[c] + length]
            ))  # fmt: skip
            chains = (a.astype(np.float64) * b + chains).astype(np.float32)
        expected[r * 5 + c] = tree_sum(chains) + (expected[r * 5 + c] if add else np.float32(0))
    launch(dot_products, out, x, y, np.array([*places, first, last, columns, add], np.int32), n=length)
    np.testing.assert_array_equal(out, expected)


def test_sizes_that_do_not_fit_are_refused():
    """A tuple of offsets that does not divide the rows of a tile is an error when the kernel is compiled."""

    @kernel_for_test
    def wrong(start, stop, row, scratch):
        p = unpack(row, Row)
        acc = outer(zeros(4, 2), p.x, offsets(p.ints, 0, 3), p.y, LANES)
        store_tile(acc, p.out, 0, 0, 4, 0, 1, 0, 0)
        return 0

    with pytest.raises(Exception, match="outer: rows .* do not fit tile<4x2"):
        wrong.address  # noqa: B018 - compiles it
