"""Parts of arrays, as the functions that cut work into tasks hand them on: the same memory, seen otherwise."""

from __future__ import annotations

import math

from numbanet.kernels.array import Array


def flat(array: Array) -> Array:
    """(t, b, n) as (t · b, n); a matrix as it is."""
    return array.view((math.prod(array.shape[:-1]), array.shape[-1]))


def columns_of(array: Array, begin: int, end: int) -> Array:
    """The columns begin … end − 1 of a matrix."""
    return array.view((array.shape[0], end - begin), array.strides, array.offset + begin * array.strides[1])


def rows_of(array: Array, begin: int, end: int) -> Array:
    """The rows begin … end − 1 of an array."""
    return array.view((end - begin, *array.shape[1:]), array.strides, array.offset + begin * array.strides[0])


def transposed(matrix: Array) -> Array:
    """The transpose of a matrix."""
    return matrix.view(matrix.shape[::-1], matrix.strides[::-1])
