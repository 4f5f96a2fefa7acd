"""Pointwise functions, copies and fills: every function contiguous, every kernel on every arrangement of strides."""

from __future__ import annotations

import numpy as np

from numbanet.kernels.cpu.binary import COMPARISONS
from numbanet.kernels.cpu.chain import BLOCK
from numbanet.kernels.cpu.copy import ELEMENTS, SIDE
from numbanet.kernels.cpu.integers import ARITHMETIC
from numbanet.kernels.cpu.lines import CHUNK
from numbanet.kernels.cpu.pointwise import BINARY_KERNELS
from numbanet.kernels.cpu.unary import GRADIENT_KERNELS, PREDICATES, UNARY_KERNELS
from numbanet.kernels.numpy import KERNELS as NUMPY
from tests.kernels_cpu.cases.case import Case, random, relative, unset
from tests.kernels_cpu.helpers import EPSILON

SIZES = (1, 15, 16, 17, 100, CHUNK, CHUNK + 5, 6 * CHUNK + 3)


def of_gelu_tanh(case: Case, expected: list[np.ndarray]) -> list[np.ndarray]:
    """For negative x a rounding error of u is one of the result."""
    with np.errstate(invalid="ignore"):
        exponent = np.abs(1.6 * case.args[1] * (1 + 0.045 * np.square(np.minimum(np.abs(case.args[1]), 12))))
        return [EPSILON * (4 + 2 * np.minimum(exponent, 120)) * (np.abs(value) + 1e-37) for value in expected]


TOLERANCES = {
    "exp": relative(1, 1e-37),
    "log": relative(2, 1e-37),
    "tanh": relative(2),
    "sigmoid": relative(3, 1e-37),
    "erf": relative(2),
    "gelu": relative(7, 1e-37),
    "gelu_tanh": of_gelu_tanh,
    "sin": relative(2),
    "cos": relative(2),
    "pow": relative(1, 1e-37),
}
"""Bounds for normal numbers; tests/kernels_cpu/test_maths.py has them in ulp over the whole range. Others are exact."""


def with_specials(values: np.ndarray) -> np.ndarray:
    """Some of the values replaced by NaN, infinities and zeros of both signs."""
    specials = (np.nan, np.inf, -np.inf, 0.0, -0.0)
    values = values.copy()
    for i, special in enumerate(specials[: values.size]):
        values.flat[i :: len(specials) + 9 + i] = special
    return values


def of_gradient(case: Case, expected: list[np.ndarray]) -> list[np.ndarray]:
    """A derivative of about 1 has an error of a few ε of it, which the gradient multiplies."""
    with np.errstate(invalid="ignore"):
        return [6 * EPSILON * (np.abs(value) + np.abs(case.args[1])) for value in expected]


def _bool(*shape: int) -> np.ndarray:
    return unset(*shape, dtype=bool)


# --- contiguous ------------------------------------------------------------------------------------------------------
def _contiguous():
    for size in SIZES:
        x, y = with_specials(random(f"x {size}", size)), with_specials(random(f"y {size}", size))[::-1].copy()
        few = size in (17, 6 * CHUNK + 3)
        for name in UNARY_KERNELS if few else ("relu", "neg", "tanh"):
            yield Case(f"{name} {size}", "unary", (unset(size), 3 * x, name), tolerance=TOLERANCES.get(name))
        for name in PREDICATES if few else ("isnan",):
            yield Case(f"{name} {size}", "unary", (_bool(size), x, name))
        yield Case(f"relu_backward {size}", "relu_backward", (unset(size), y, x))
        for name in GRADIENT_KERNELS if few else ("tanh",):
            args = (unset(size), y, np.clip(x, -1, 1) if name in ("tanh", "sigmoid") else x, name)
            yield Case(f"{name}, backward {size}", "unary_backward", args, tolerance=of_gradient)
        yield Case(f"fill {size}", "fill", (unset(size), 0.1))
        yield Case(f"copy {size}", "copy", (unset(size), x))
        for name in BINARY_KERNELS if few else ("add", "lt", "remainder"):
            out = _bool(size) if name in COMPARISONS else unset(size)
            yield Case(f"{name} {size}", "binary", (out, x, y, name), tolerance=TOLERANCES.get(name))
        yield Case(f"where {size}", "where", (unset(size), x > 0, x, y))
    yield Case("fill with NaN", "fill", (unset(3, 20), np.nan))


# --- any strides -----------------------------------------------------------------------------------------------------
def gaps(array: np.ndarray, step: int = 2) -> np.ndarray:
    """The same values with every step-th element of each axis between others."""
    space = np.zeros([step * extent for extent in array.shape], array.dtype)
    view = space[tuple(slice(None, None, step) for _ in array.shape)]
    view[...] = array
    return view


def turned(array: np.ndarray) -> np.ndarray:
    """The same values, the axes in reversed order in memory."""
    return np.asfortranarray(array)


def margin(array: np.ndarray) -> np.ndarray:
    """The same values in rows that are longer."""
    space = np.zeros((*array.shape[:-1], array.shape[-1] + 3), array.dtype)
    space[..., :-3] = array
    return space[..., :-3]


def _arrangements():
    """(name, out, x, y): outputs and inputs of one shape in memory of every kind."""
    shape = (5, 37, 21)
    a, b, spread = random("a", *shape), random("b", *shape), np.broadcast_to
    for name, view in {"gaps": gaps, "turned": turned, "margin": margin}.items():
        yield f"x {name}", unset(*shape), view(a), b
        yield f"y {name}", unset(*shape), a, view(b)
        yield f"out {name}", view(unset(*shape)), a, b
        yield f"all {name}", view(unset(*shape)), view(a), view(b)
    yield "out turned, x gaps", turned(unset(*shape)), gaps(a), b
    yield "a number", unset(*shape), a, spread(b[0, 0, 0], shape)
    yield "a number at the left", unset(*shape), spread(a[0, 0, 0], shape), b
    yield "two numbers", unset(*shape), spread(a[0, 0, 0], shape), spread(b[0, 0, 0], shape)
    yield "a row", unset(*shape), a, spread(b[0, 0], shape)
    yield "channels", unset(*shape), a, spread(b[0, :, :1], shape)
    yield "a column and a row", unset(*shape), spread(a[:, :1, :1], shape), spread(b[0, 0], shape)
    yield "channels, turned", turned(unset(*shape)), a, spread(b[0, :, :1], shape)
    yield "every second channel", unset(*shape), a, spread(random("b", 74)[::2][:, None], shape)
    yield "long lines", unset(3, 2 * CHUNK + 5), margin(random("a", 3, 2 * CHUNK + 5)), random("b", 3, 2 * CHUNK + 5)
    many = (700, 19)
    yield "many lines", unset(*many), random("a", *many), spread(random("b", 19), many)
    five = (3, 4, 2, 5, 7)
    mixed = random("b", *five[::-1]).transpose(2, 4, 0, 3, 1).reshape(3, 4, 2, 5, 7)
    yield "five axes", unset(*five), random("a", 3, 4, 2, 7, 5).swapaxes(3, 4), gaps(mixed, 3)
    yield "one element", gaps(unset(1, 1)), gaps(random("a", 1, 1)), random("b", 1, 1)


def _strided():
    for name, out, x, y in _arrangements():
        yield Case(f"add, {name}", "binary", (out, x, y, "add"))
        yield Case(f"remainder, {name}", "binary", (out, x, y, "remainder"))
        yield Case(f"relu_backward, {name}", "relu_backward", (out, x, y))
        yield Case(f"relu, {name}", "unary", (out, x, "relu"))
        yield Case(f"exp, {name}", "unary", (out, x, "exp"), tolerance=TOLERANCES["exp"])
        yield Case(f"fill, {name}", "fill", (out, 1.5))
        yield Case(f"copy, {name}", "copy", (out, x))
        as_bool = np.zeros_like(out, bool)  # with the order of its axes
        yield Case(f"lt, {name}", "binary", (as_bool, x, y, "lt"))
        yield Case(f"isinf, {name}", "unary", (as_bool, x, "isinf"))
        yield Case(f"where, {name}", "where", (out, x[:1] > 0 if x.shape[0] == 1 else x > 0, x, y))
        condition = np.broadcast_to(x.reshape(-1)[:1] > 0, x.shape)
        yield Case(f"where of one condition, {name}", "where", (out, condition, x, y))


def _copies():
    for rows, columns in ((8, 8), (16, 24), (3, 100), (100, 3), (SIDE + 9, 2 * SIDE + 1), (200, 130), (1, 5)):
        x = random("x", rows, columns)
        yield Case(f"transposed {rows} x {columns}", "copy", (unset(rows, columns), turned(x)))
    pictures = random("pictures", 3, 17, 9, 10)
    yield Case("channels last", "copy", (unset(3, 9, 10, 17), pictures.transpose(0, 2, 3, 1)))
    yield Case("channels first", "copy", (unset(3, 9, 17, 10), pictures.transpose(0, 2, 1, 3)))
    yield Case("batch last", "copy", (unset(17, 10, 9, 3), pictures.transpose(1, 3, 2, 0)))
    for out, x in ELEMENTS:
        for shape in ((), (7,), (3, 50, 40)):
            values = np.asarray(3 * np.abs(random("values", *shape))).astype(x)
            name = f"copy {shape} from {x} to {out}"
            yield Case(name, "copy", (unset(*shape, dtype=out), values))
            yield Case(f"{name}, turned", "copy", (unset(*shape, dtype=out), turned(values)))
            if shape:
                yield Case(f"{name}, gaps", "copy", (unset(*shape, dtype=out), gaps(values)))
                yield Case(f"{name}, into gaps", "copy", (gaps(unset(*shape, dtype=out)), values))


# --- integers and bools ----------------------------------------------------------------------------------------------
def _integers():
    """Every function contiguous and on one arrangement of strides."""
    rng = np.random.default_rng(3)
    for shape in ((1,), (33,), (CHUNK + 7,), (5, 37, 21)):
        x, y = rng.integers(-3, 4, (2, *shape))
        views = [("", lambda a: a)] + [("gaps", gaps), ("turned", turned)] * (len(shape) == 3)
        for name, view in views:
            for function in ARITHMETIC:
                args = (unset(*shape, dtype=np.int64), view(x), y, function)
                yield Case(f"{function} of integers {shape} {name}", "binary", args)
            for function in COMPARISONS:
                args = (view(_bool(*shape)), view(x), y, function)
                yield Case(f"{function} of integers {shape} {name}", "binary", args)
                yield Case(
                    f"{function} of bools {shape} {name}", "binary", (_bool(*shape), view(x > 0), y > 0, function)
                )
            yield Case(f"logical_not of bools {shape} {name}", "unary", (_bool(*shape), view(x > 0), "logical_not"))
    number = np.broadcast_to(np.int64(2), (40, 30))
    args = (_bool(40, 30), rng.integers(0, 4, (40, 30)), number, "eq")
    yield Case("integers that are one number", "binary", args)


def _joined():
    for axis in range(3):
        shapes = [[2, 3, 4] for _ in range(3)]
        for extent, shape in zip((1, 5, 0), shapes, strict=True):
            shape[axis] = extent
        total = [2, 3, 4]
        total[axis] = 6
        for dtype in (np.float32, np.int64, bool):
            parts = tuple((10 * random(f"part {at}", *shape)).astype(dtype) for at, shape in enumerate(shapes))
            args = (unset(*total, dtype=dtype), parts, axis)
            yield Case(f"joined along {axis}, {np.dtype(dtype)}", "concatenate", args)


# --- chains ----------------------------------------------------------------------------------------------------------
STEPS = (
    ("binary", "mul", (0, 1)),
    ("binary", "add", (3, 2)),
    ("unary", "square", (4,)),
    ("relu_backward", None, (5, 4)),
    ("binary", "maximum", (6, 0)),
    ("binary", "sub", (7, 5)),
)


def in_float32(case: Case) -> list[np.ndarray]:
    """Every step is rounded, and none of these has an error besides."""
    outs = tuple(unset(*out.shape) for out in case.args[0])
    NUMPY["pointwise_chain"](outs, *case.args[1:])
    return list(outs)


def _chains():
    for size in (*SIZES, BLOCK, BLOCK + 1):
        x, y, z = (random(f"{name} of a chain {size}", size) for name in "xyz")
        for name, second, kept in (("", y, (8,)), (" with a number", np.broadcast_to(y[0], (size,)), (8, 4, 6))):
            args = (tuple(unset(size) for _ in kept), (x, second, z), STEPS, kept)
            yield Case(f"a chain of {size}{name}", "pointwise_chain", args, oracle=in_float32)
    shape = (3, 5, 7)
    args = ((unset(*shape),), (random("x", *shape), random("y", 105), random("z", 1)), STEPS, (8,))
    yield Case("a chain of one size and several shapes", "pointwise_chain", args, oracle=in_float32)


POINTWISE = [*_contiguous(), *_strided(), *_copies(), *_integers(), *_joined(), *_chains()]
