"""Vectors of two halves, vectors of bytes, and blocks transposed."""

from __future__ import annotations

import numpy as np

from numbanet.kernels.cpu.arguments import unpack
from numbanet.kernels.cpu.simd.lanes import (
    as_bytes,
    as_ints,
    copy_bytes,
    load_bytes,
    load_halves,
    store_bytes,
    store_halves,
    transpose_bytes,
    transpose_eight,
)
from numbanet.kernels.cpu.simd.vector import store
from tests.kernels_cpu.device import Row, kernel_for_test, launch


@kernel_for_test
def halves(start, stop, row, scratch):
    """Two halves of x, apart in out; bytes as numbers, and numbers as bytes."""
    p = unpack(row, Row)
    store_halves(p.out, 0, 20, load_halves(p.x, 3, 40))
    where = load_bytes(p.bytes_, 1, 100)
    store(p.ints, 0, where)
    store_bytes(p.bytes_, 30, 60, where)
    return 0


def test_halves():
    x, bytes_ = np.arange(64, dtype=np.float32), np.arange(200, 72, -1).astype(np.uint8)
    out, ints, before = np.full(32, -1, np.float32), np.zeros(16, np.int32), bytes_.copy()
    launch(halves, out=out, x=x, ints=ints, bytes_=bytes_)
    np.testing.assert_array_equal(out[:8], x[3:11])
    np.testing.assert_array_equal(out[20:28], x[40:48])
    assert (out[8:20] == -1).all()
    assert (out[28:] == -1).all()
    np.testing.assert_array_equal(ints, np.concatenate([before[1:9], before[100:108]]))
    before[30:38], before[60:68] = before[1:9].copy(), before[100:108].copy()
    np.testing.assert_array_equal(bytes_, before)


@kernel_for_test
def blocks(start, stop, row, scratch):
    """Eight rows of x of which the last three repeat the fifth, and sixteen rows of bytes."""
    p = unpack(row, Row)
    transpose_eight(p.out, 9, p.x, 11, 5)
    transpose_bytes(p.bytes_ + 300, 17, p.bytes_, 18)
    copy_bytes(p.bytes_, 600, p.bytes_, 1)
    as_ints(p.out)[80] = np.int32(-5)
    as_bytes(p.out)[4 * 81] = np.uint8(200)
    return 0


def test_blocks():
    x, out = np.random.default_rng(1).standard_normal(96).astype(np.float32), np.zeros(96, np.float32)
    bytes_ = np.random.default_rng(2).integers(0, 256, 640).astype(np.uint8)
    before = bytes_.copy()
    launch(blocks, out=out, x=x, bytes_=bytes_)
    rows = x[:88].reshape(8, 11)[np.minimum(np.arange(8), 4), :8]
    np.testing.assert_array_equal(out[:72].reshape(8, 9)[:, :8], rows.T)
    assert (out[8:72:9] == 0).all()
    assert out.view(np.int32)[80] == -5
    assert out.view(np.uint8)[4 * 81] == 200
    square = before[:288].reshape(16, 18)[:, :16]
    np.testing.assert_array_equal(bytes_[300:572].reshape(16, 17)[:, :16], square.T)
    np.testing.assert_array_equal(bytes_[600:616], before[1:17])
