"""Lookup of rows by number, its gradient, and indexing along the first axis."""

from __future__ import annotations

import numpy as np

from numbanet.kernels.cpu.embedding import BLOCK, ELEMENTS_A_CHUNK, RANGES
from tests.kernels_cpu.cases.case import Case, of_terms, random, unset

SHAPES = [
    ((1,), 1, 1),
    ((7,), 5, 3),
    ((2, 9), 5, 16),
    ((33,), 3, BLOCK + 37),
    ((ELEMENTS_A_CHUNK // 16,), 2 * RANGES + 3, 33),
    ((ELEMENTS_A_CHUNK // 64,), 2, 65),
    ((50,), 11, RANGES * BLOCK),
]
"""Shape of the numbers, rows of the matrix, its columns."""


def _numbers(shape, low, high):
    return np.random.default_rng(11).integers(low, high, shape)


def _lookups():
    for shape, rows, columns in SHAPES:
        name = f"{shape} of {rows} x {columns}"
        numbers = _numbers(shape, 0, rows)
        weight, grad = random(f"weight {name}", rows, columns), random(f"grad {name}", *shape, columns)
        weight.flat[0], grad.flat[-1] = np.inf, np.nan
        yield Case(f"embedding {name}", "embedding", (unset(*shape, columns), weight, numbers))
        for padding in (None, rows - 1):
            args = (unset(rows, columns), grad, numbers, padding)
            yield Case(
                f"embedding_backward {name}, padding {padding}", "embedding_backward", args, tolerance=of_terms(30)
            )
        args = (unset(*shape, columns), weight, (_numbers(shape, -rows, rows),))
        yield Case(f"take {name}", "take", args)


def _indexing():
    x, numbers = random("take axes", 6, 3, 5), _numbers((4, 2), -6, 6)
    yield Case("take among axes", "take", (unset(4, 2, 3, 5), x, (numbers, slice(0, 3, 1))))
    for accumulate in (False, True):
        name = f"put {'+= ' if accumulate else ''}"
        tolerance = of_terms(30) if accumulate else None
        args = (random("put", 6, 3, 5), random("values", 4, 2, 3, 5), (numbers,), accumulate)
        yield Case(f"{name}axes", "put", args, tolerance=tolerance)
        args = (random("put", 9), random("values", 40), (_numbers((40,), -9, 9),), accumulate)
        yield Case(f"{name}vector", "put", args, tolerance=tolerance)
        args = (random("put", 9, 70), random("values", 400, 70), (_numbers((400,), -9, 9),), accumulate)
        yield Case(f"{name}many rows", "put", args, tolerance=tolerance)


LOOKUPS = [*_lookups(), *_indexing()]
