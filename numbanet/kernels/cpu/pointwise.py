"""Pointwise functions: which kernel does one, on which lines of its arrays.

Contiguous float32 arrays of one shape are one line. Else the arrays are walked over line by line; a kernel reads an
array whose elements lie side by side along a line, or one that is repeated along it. What lies otherwise is copied
first.
"""

from __future__ import annotations

import numpy as np

from numbanet.kernels.array import Array
from numbanet.kernels.cpu import integers
from numbanet.kernels.cpu.binary import BINARY_CODES, COMPARISONS, Where, arithmetic, choice, comparison, pow, remainder
from numbanet.kernels.cpu.chain import pointwise_chain
from numbanet.kernels.cpu.copy import contiguous, copy
from numbanet.kernels.cpu.elementwise import Binary, Predicate, Unary
from numbanet.kernels.cpu.kernel import Kernel
from numbanet.kernels.cpu.lines import CHUNK, Lines, lines_of, tasks_of
from numbanet.kernels.cpu.unary import GRADIENT_KERNELS, PREDICATES, UNARY_KERNELS, predicate, relu_gradient

FLOAT32 = np.dtype(np.float32)
BOOL = np.dtype(np.bool_)
__all__ = ["BINARY_CODES", "CHUNK", "FUNCTIONS", "float32_contiguous"]

BINARY_KERNELS: dict[str, tuple[Kernel, int, type, np.dtype]] = {
    **{name: (arithmetic, code, Binary, FLOAT32) for name, code in BINARY_CODES.items()},
    **{name: (comparison, code, Predicate, BOOL) for name, code in COMPARISONS.items()},
    "pow": (pow, 0, Binary, FLOAT32),
    "floor_divide": (remainder, 0, Binary, FLOAT32),
    "remainder": (remainder, 1, Binary, FLOAT32),
}


def float32_contiguous(*arrays) -> str | None:
    """Why kernels for contiguous float32 cannot take these arrays (None: left out); None if they can."""
    for array in arrays:
        if array is not None:
            if array.dtype is not FLOAT32:
                return f"dtype {array.dtype}"
            if not array.is_contiguous:
                return "strided"
    return None


def _append(program, which: Kernel, arguments: type, arrays: tuple[Array, ...], rest: tuple) -> None:
    """A row for arrays, the output first, that are not all contiguous; ``rest`` are the arguments between arrays and
    lines."""
    out = arrays[0]
    lines = lines_of(out.shape, *[array.strides for array in arrays])
    if not lines.is_plain:
        arrays = _made_plain(program, arrays, lines)
        lines = lines_of(out.shape, *[array.strides for array in arrays])
    program.append(which, lines.tasks, arguments(*arrays, *rest, program.keep(lines.table)), chunk=lines.chunk)
    if arrays[0] is not out:
        copy(program, out, arrays[0])


def _made_plain(program, arrays: tuple[Array, ...], lines: Lines) -> tuple[Array, ...]:
    """Copies of the arrays that have gaps along a line. If the output has, all lie row by row behind its stand-in."""
    out, *others = arrays
    if lines.steps[0] == 1:
        made = [a if step <= 1 else contiguous(program, a) for a, step in zip(others, lines.steps[1:], strict=True)]
        if lines_of(out.shape, out.strides, *[array.strides for array in made]).is_plain:
            return out, *made
    stand_in = program.workspace(out.shape, out.dtype)
    lines = lines_of(out.shape, stand_in.strides, *[array.strides for array in others])
    made = [a if step <= 1 else contiguous(program, a) for a, step in zip(others, lines.steps[1:], strict=True)]
    return stand_in, *made


def unary(program, out, x, function):
    if function == "logical_not" and x.dtype is BOOL:
        integers.logical_not(program, out, x)
        return None
    if x.dtype is not FLOAT32:
        return f"dtype {x.dtype}"
    chosen = UNARY_KERNELS.get(function)
    if chosen is None:
        return _predicate(program, out, x, function)
    if out.dtype is not FLOAT32:
        return f"dtype {out.dtype}"
    which, code = chosen
    if x.is_contiguous and out.is_contiguous:
        tasks, chunk = tasks_of(out.size)
        program.append(which, tasks, Unary(out, x, out.size, code, None), chunk=chunk)
    else:
        _append(program, which, Unary, (out, _spread(program, out, x)), (0, code))
    return None


def _predicate(program, out, x, function):
    code = PREDICATES.get(function)
    if code is None or out.dtype is not BOOL:
        return f"{function} has no Numba kernel"
    if x.is_contiguous and out.is_contiguous:
        tasks, chunk = tasks_of(out.size)
        program.append(predicate, tasks, Predicate(out, x, None, out.size, code, None), chunk=chunk)
    else:
        _append(program, predicate, Predicate, (out, _spread(program, out, x)), (None, 0, code))
    return None


def _spread(program, out: Array, x: Array) -> Array:
    """x; a whole copy of it if it is repeated along the lines, which kernels of one array do not read."""
    if lines_of(out.shape, out.strides, x.strides).steps[1] != 0:
        return x
    made = program.workspace(out.shape)
    copy(program, made, x)
    return made


def _of_two(program, which, code, out, x, y) -> None:
    if x.is_contiguous and y.is_contiguous and out.is_contiguous:
        tasks, chunk = tasks_of(out.size)
        program.append(which, tasks, Binary(out, x, y, out.size, code, None), chunk=chunk)
    else:
        _append(program, which, Binary, (out, x, y), (0, code))


def relu_backward(program, out, grad, y):
    if not (out.dtype is grad.dtype is y.dtype is FLOAT32):
        return f"dtype {out.dtype}"
    _of_two(program, relu_gradient, 0, out, grad, y)
    return None


def unary_backward(program, out, grad, saved, function):
    if not (out.dtype is grad.dtype is saved.dtype is FLOAT32):
        return f"dtype {out.dtype}"
    _of_two(program, *GRADIENT_KERNELS[function], out, grad, saved)
    return None


def binary(program, out, x, y, function):
    if x.dtype is not FLOAT32 and integers.of_two(program, out, x, y, function):
        return None
    chosen = BINARY_KERNELS.get(function)
    if chosen is None:
        return f"{function} has no Numba kernel"
    which, code, arguments, dtype = chosen
    if x.dtype is not FLOAT32 or y.dtype is not FLOAT32 or out.dtype is not dtype:
        return f"dtypes {x.dtype}, {y.dtype}"
    if x.is_contiguous and y.is_contiguous and out.is_contiguous:
        tasks, chunk = tasks_of(out.size)
        program.append(which, tasks, arguments(out, x, y, out.size, code, None), chunk=chunk)
    else:
        _append(program, which, arguments, (out, x, y), (0, code))
    return None


def where(program, out, condition, x, y):
    if not (out.dtype is x.dtype is y.dtype is FLOAT32) or condition.dtype is not BOOL:
        return f"dtypes {condition.dtype}, {x.dtype}, {y.dtype}"
    if condition.is_contiguous and x.is_contiguous and y.is_contiguous and out.is_contiguous:
        tasks, chunk = tasks_of(out.size)
        program.append(choice, tasks, Where(out, condition, x, y, out.size, None), chunk=chunk)
    else:
        _append(program, choice, Where, (out, condition, x, y), (0,))
    return None


FUNCTIONS = (unary, relu_backward, unary_backward, binary, where, pointwise_chain)
