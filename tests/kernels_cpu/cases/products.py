"""Matrix products: both ways to read B, rows fewer than a tile, edges, batches, several blocks of the depth."""

from __future__ import annotations

import numpy as np

from numbanet.kernels.cpu.gemm_pack import DEPTH
from tests.kernels_cpu.cases.case import Case, of_terms, random, relative, unset

BOUND = of_terms(4)
"""|error| ≤ 4·ε·Σ|a||b|: chains of DEPTH terms at most, whose rounding errors mostly cancel."""

# name: rows, columns, depth. The same on every machine (panels have 8 to 48 columns, tiles 6 or 8 rows).
SIZES = {
    "one number": (1, 1, 1),
    "one row": (1, 23, 40),
    "one row, wide": (1, 700, 2 * DEPTH + 9),
    "one row, few columns, deep": (1, 150, 2100),
    "one column": (37, 1, 50),
    "one column, long": (700, 1, 2 * DEPTH + 9),
    "one column, short sums": (300, 1, 5),
    "three columns, short sums": (61, 3, 21),
    "two columns": (41, 2, 33),
    "few rows": (3, 53, 17),
    "few rows, deep": (4, 21, 3 * DEPTH),
    "few rows, few columns": (5, 7, 33),
    "whole tiles of 8": (8, 48, 16),
    "whole tiles of 6": (6, 16, 16),
    "edges": (25, 103, 31),
    "edges of one": (9, 49, 1),
    "edges of one, tiles of 6": (7, 17, 5),
    "narrow": (19, 7, 84),
    "ten columns": (19, 10, 84),
    "two blocks": (10, 51, DEPTH + 70),
    "three blocks, few rows": (2, 33, 2 * DEPTH + 1),
    "many tasks": (150, 130, 60),
    "many panels, deep": (31, 417, DEPTH + 33),
    "blocks of rows": (330, 140, 70),
    "a layer": (96, 201, DEPTH + 20),
    "a layer, rows missing": (95, 250, 37),
    "outer product, many panels": (30, 1601, 1),
    "many rows, three columns": (90, 3, 20),
    "many rows, few columns": (150, 5, 40),
    "many rows, some columns": (203, 19, DEPTH + 20),
    "a column more than a panel": (40, 17, 5),
}


def _orders(name: str, rows: int, columns: int, depth: int):
    """a and b, each as it comes or transposed."""
    a, b = random(f"a {name}", rows, depth), random(f"b {name}", depth, columns)
    yield "", a, b
    yield ", a transposed", np.asfortranarray(a), b
    yield ", b transposed", a, np.asfortranarray(b)
    yield ", both transposed", np.asfortranarray(a), np.asfortranarray(b)


def _strided(array: np.ndarray, extra: int, step: int = 1) -> np.ndarray:
    """The same values with ``extra`` elements behind each row and every ``step``-th column only."""
    *leading, columns = array.shape
    whole = np.zeros((*leading, columns * step + extra), array.dtype)
    whole[..., : columns * step : step] = array
    return whole[..., : columns * step : step]


def _single():
    for name, (rows, columns, depth) in SIZES.items():
        for order, a, b in _orders(name, rows, columns, depth):
            yield Case(f"matmul {name}{order}", "matmul", (unset(rows, columns), a, b), tolerance=BOUND)
        a, b, bias = random(f"a {name}", rows, depth), random(f"b {name}", depth, columns), random(name, columns)
        yield Case(f"matmul {name}, bias", "matmul", (unset(rows, columns), a, b, bias), tolerance=BOUND)
        yield Case(
            f"matmul {name}, bias and ReLU", "matmul", (unset(rows, columns), a, b, bias), tolerance=BOUND,
            options={"activation": "relu"},
        )  # fmt: skip
        yield Case(
            f"matmul {name}, accumulated", "matmul", (random(f"out {name}", rows, columns), a, b), tolerance=BOUND,
            options={"accumulate": True},
        )  # fmt: skip
        yield Case(
            f"matmul {name}, gaps everywhere", "matmul",
            (_strided(unset(rows, columns), 3), _strided(a, 2, 2), _strided(b, 5)), tolerance=BOUND,
        )  # fmt: skip


VECTORS = (
    "one row", "one row, wide", "one row, few columns, deep", "one column", "one column, long",
    "one column, short sums", "three columns, short sums", "few rows",
)  # fmt: skip


def _vectors():
    """Few rows or columns, with all that their kernels do along, of matrices in either order."""
    for name in VECTORS:
        rows, columns, depth = SIZES[name]
        bias, out = random(name, columns), random(f"out {name}", rows, columns)
        for order, a, b in _orders(name, rows, columns, depth):
            if order:
                yield Case(
                    f"matmul {name}{order}, bias and ReLU", "matmul", (unset(rows, columns), a, b, bias),
                    tolerance=BOUND, options={"activation": "relu"},
                )  # fmt: skip
                yield Case(
                    f"matmul {name}{order}, accumulated", "matmul", (out, a, b), tolerance=BOUND,
                    options={"accumulate": True},
                )  # fmt: skip


def _after(case, expected):
    """The product's bound, and 8 units in the last place of what the activation gives."""
    pairs = zip(BOUND(case, expected), relative(8)(case, expected), strict=True)
    return [terms + last for terms, last in pairs]


FINISHED = (
    "one number", "one row, wide", "one column", "few rows", "two columns", "edges of one", "narrow", "two blocks",
    "three blocks, few rows", "many tasks", "many panels, deep", "blocks of rows", "a layer", "a layer, rows missing",
    "many rows, three columns", "many rows, some columns", "a column more than a panel",
)  # fmt: skip
LAYERS = ("a layer", "a layer, rows missing")
AFTER = (None, "relu", "gelu", "gelu_tanh", "sigmoid", "tanh")


def _finished():
    """Residuals and activations behind the product: in its kernel, or in passes of their own."""
    for name in FINISHED:
        rows, columns, depth = SIZES[name]
        a, b, bias = random(f"a {name}", rows, depth), random(f"b {name}", depth, columns), random(name, columns)
        a = a / np.float32(depth**0.5)
        if name in LAYERS:
            b = np.asfortranarray(b)
        residual = random(f"residual {name}", rows, columns)
        for activation in AFTER if name != "blocks of rows" else ("gelu", None):
            options = {"activation": activation}
            args = unset(rows, columns), a, b, bias, residual
            yield Case(f"matmul {name}, residual, {activation}", "matmul", args, tolerance=_after, options=options)
            if activation not in (None, "relu"):
                yield Case(f"matmul {name}, {activation}", "matmul", args[:4], tolerance=_after, options=options)
        apart = _strided(unset(rows, columns), 3), a, b, None, residual
        yield Case(
            f"matmul {name}, residual elsewhere", "matmul", apart, tolerance=_after, options={"activation": "tanh"}
        )
    a, b, residual = random("a after", 3, 2, 9, 20), random("b after", 3, 2, 20, 57), random("after", 3, 2, 9, 57)
    for name, args in {
        "batch, long": (
            unset(3, 2, 41, 5),
            random("a late", 3, 2, 41, 20),
            random("b late", 3, 2, 20, 5),
            None,
            random("late", 3, 2, 41, 5),
        ),
        "batch": (unset(3, 2, 9, 57), a, b, None, residual),
        "columns apart": (_by_axes(unset(3, 2, 9, 57), 0, 1, 3, 2), a, b, None, residual),
    }.items():
        yield Case(f"matmul {name}, residual, gelu", "matmul", args, tolerance=_after, options={"activation": "gelu"})


def _batches():
    for kind, rows, columns in (("narrow", 9, 7), ("wide", 9, 57), ("long", 70, 5)):
        a, b = random(f"a {kind}", 3, 2, rows, 20), random(f"b {kind}", 3, 2, 20, columns)
        shared = np.broadcast_to(b[0, 0], b.shape)
        one = np.broadcast_to(a[0, 0], a.shape)
        turned = np.ascontiguousarray(b.swapaxes(-1, -2)).swapaxes(-1, -2)
        for name, left, right in (
            ("batch", a, b),
            ("batch, b shared", a, shared),
            ("batch, a shared", one, b),
            ("batch, b transposed", a, turned),
        ):
            args = (unset(3, 2, rows, columns), left, right)
            yield Case(f"matmul {name}, {kind}", "matmul", args, tolerance=BOUND)


def _by_axes(array: np.ndarray, *order: int) -> np.ndarray:
    """The same values with the axes in memory in another order."""
    back = [order.index(axis) for axis in range(len(order))]
    return np.ascontiguousarray(array.transpose(order)).transpose(back)


def _heads():
    """Batches whose leading axes do not collapse, as those of heads, with shared operands and strided results."""
    for rows, columns, depth in (
        (7, 30, 9),
        (1, 40, 33),
        (3, 70, 20),
        (1, 130, 5),
        (20, 1, 18),
        (90, 110, 40),
        (50, 9, 33),
    ):
        name = f"{rows} x {columns} x {depth}"
        a, b = random(f"a heads {name}", 2, 3, rows, depth), random(f"b heads {name}", 2, 3, depth, columns)
        out = unset(2, 3, rows, columns)
        for kind, args in {
            "heads": (out, _by_axes(a, 0, 2, 1, 3), _by_axes(b, 0, 2, 1, 3)),
            "heads, transposed": (out, a, _by_axes(b, 0, 3, 1, 2)),
            "heads into rows": (_by_axes(out, 0, 2, 1, 3), a, b),
            "b shared by heads": (out, a, np.broadcast_to(b[:, :1], b.shape)),
            "a shared by samples": (out, np.broadcast_to(a[:1], a.shape), b),
            "columns apart": (_by_axes(out, 0, 1, 3, 2), a, b),
        }.items():
            yield Case(f"matmul {kind}, {name}", "matmul", args, tolerance=BOUND)
    a, b = random("a three", 2, 3, 2, 7, 5), random("b three", 2, 3, 2, 5, 9)
    turned = _by_axes(a, 2, 1, 0, 3, 4), _by_axes(b, 1, 0, 2, 3, 4)
    yield Case("matmul three axes", "matmul", (unset(2, 3, 2, 7, 9), *turned), tolerance=BOUND)
    shared = np.broadcast_to(b[:, :1, :, :, :], b.shape)
    yield Case("matmul three axes, b shared", "matmul", (unset(2, 3, 2, 7, 9), turned[0], shared), tolerance=BOUND)
    out = _by_axes(random("out three", 2, 3, 2, 7, 9), 2, 1, 0, 4, 3)
    options = {"accumulate": True}
    yield Case("matmul three axes, accumulated", "matmul", (out, *turned), tolerance=BOUND, options=options)


PRODUCTS = [*_single(), *_vectors(), *_finished(), *_batches(), *_heads()]
