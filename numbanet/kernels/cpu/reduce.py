"""Reductions over any axes, in an order that shape and strides alone decide: the choice of kernels and of parts.

Long reductions are cut into parts (``reduce_rows.BLOCK`` elements, ``reduce_columns.LINES`` lines), whose results are
reduced in turn; so one long sum occupies all threads, and no chain of additions gets long.
"""

from __future__ import annotations

import math

from numbanet.kernels.array import Array
from numbanet.kernels.cpu import reduce_columns, reduce_integers, reduce_rows
from numbanet.kernels.cpu.axes import Form, Offsets, form_of
from numbanet.kernels.cpu.fold import IDENTITIES
from numbanet.kernels.cpu.pointwise import FLOAT32
from numbanet.kernels.cpu.reduce_columns import COLUMNS, LINES, Columns
from numbanet.kernels.cpu.reduce_rows import PARTS_A_TASK, Rows, parts_of

ELEMENTS_A_CHUNK = 1 << 16
"""Elements that a thread claims at once: long stretches, for where each begins the processor fetches nothing ahead."""
ELEMENTS_ALONE = 1 << 16
"""Elements that one thread reduces by itself: in 3 to 6 µs, which is what it takes to wake another and to meet it."""
WIDE = 64
"""Columns below which several lines are taken for one, so that vectors are full."""
ONE = Offsets(1, 0, None)


def chunk_of(tasks: int, elements: int) -> int:
    """Tasks of so many elements that a thread claims at once."""
    if tasks * elements <= ELEMENTS_ALONE:
        return tasks
    return max(1, min(tasks, ELEMENTS_A_CHUNK // max(elements, 1)))


def append_rows(program, out: Array, x: Array, form: Form, function: str, divisor: float) -> None:
    """out (outer,) = function over reduced × inner elements; by several tasks if there are many."""
    kernel = reduce_rows.KERNELS[function]
    outer, reduced, inner = form.outer, form.reduced, form.inner
    lines, block, parts = parts_of(reduced.count, inner)
    each = -(-parts // PARTS_A_TASK)
    target = out if each == 1 else program.workspace((outer.count, each))
    args = Rows(
        target, x, outer.table, outer.stride, reduced.table, reduced.stride, reduced.count, inner, lines, block,
        divisor if each == 1 else 1.0,
    )  # fmt: skip
    tasks = outer.count * each
    program.append(kernel, tasks, args, chunk=chunk_of(tasks, lines * block * min(parts, PARTS_A_TASK)))
    if each > 1:
        following = Form(Offsets(outer.count, each, None), ONE, each, True)
        append_rows(program, out, target, following, function, divisor)


def append_columns(
    program, out: Array, x: Array, form: Form, function: str, divisor: float, out_stride: int | None = None
) -> None:
    """out (outer, inner) = function over the reduced lines; its outer lines are ``out_stride`` apart (inner)."""
    outer, reduced, inner = form.outer, form.reduced, form.inner
    out_stride = inner if out_stride is None else out_stride
    fold = -(-WIDE // inner)
    if inner < WIDE and reduced.table is None and reduced.stride == inner and reduced.count >= 8 * fold:
        _append_narrow(program, out, x, form, function, divisor, out_stride)
        return
    parts = 1 if reduced.count < 2 * LINES else -(-reduced.count // LINES)
    lines = reduced.count if parts == 1 else LINES
    target = out if parts == 1 else program.workspace((outer.count, parts, inner))
    args = Columns(
        target, x, outer.table, outer.stride, out_stride if parts == 1 else parts * inner, reduced.table,
        reduced.stride, reduced.count, inner, lines, divisor if parts == 1 else 1.0,
    )  # fmt: skip
    tasks = outer.count * parts * -(-inner // COLUMNS)
    program.append(reduce_columns.KERNELS[function], tasks, args, chunk=chunk_of(tasks, lines * min(inner, COLUMNS)))
    if parts > 1:
        following = Form(Offsets(outer.count, parts * inner, None), Offsets(parts, inner, None), inner, False)
        append_columns(program, out, target, following, function, divisor, out_stride)


def _append_narrow(program, out, x, form, function, divisor, out_stride) -> None:
    """Few columns: ``fold`` lines side by side are taken for one; at last these are put together, with the lines that
    are left."""
    outer, count, inner = form.outer, form.reduced.count, form.inner
    fold = -(-WIDE // inner)
    whole, left = divmod(count, fold)
    sums = program.workspace((outer.count, fold + (left > 0), inner))
    step = sums.shape[1] * inner
    wide = Form(outer, Offsets(whole, fold * inner, None), fold * inner, False)
    append_columns(program, sums, x, wide, function, 1.0, step)
    if left:
        rest = Form(outer, Offsets(left, inner, None), inner, False)
        start = x.offset + whole * fold * inner
        x = x.view((), (), start)
        append_columns(program, sums.view((), (), fold * inner), x, rest, function, 1.0, step)
    last = Form(Offsets(outer.count, step, None), Offsets(sums.shape[1], inner, None), inner, False)
    append_columns(program, out, sums, last, function, divisor, out_stride)


def contiguous(program, x: Array) -> Array:
    """A contiguous copy of x, as long as the program's rows."""
    copied = program.workspace(x.shape, x.dtype)
    program.copy(copied, x)
    return copied


def reduce(program, out, x, axes, function):
    if x.dtype is not FLOAT32 or out.dtype is not FLOAT32:
        return reduce_integers.append(program, out, x, axes, function)
    if not out.is_contiguous:
        return "strided"
    divisor = 1.0
    if function == "mean":
        function, divisor = "sum", float(math.prod([x.shape[axis] for axis in axes]))
    if function not in IDENTITIES:
        return f"{function} of float32 has no Numba kernel"
    if x.size == 0:
        program.fill(out, IDENTITIES[function] if divisor else math.nan)
        return None
    form = form_of(x.shape, x.strides, axes)
    if form is None and not x.is_contiguous:
        x = contiguous(program, x)
        form = form_of(x.shape, x.strides, axes)
    if form is None:
        _append_by_axis(program, out, x, axes, function, divisor)
    else:
        _append(program, out, x, form, function, divisor)
    return None


def _append(program, out, x, form, function, divisor) -> None:
    for offsets in (form.outer, form.reduced):
        if offsets.table is not None:
            program.keep(offsets.table)
    (append_rows if form.by_rows else append_columns)(program, out, x, form, function, divisor)


def _append_by_axis(program, out, x, axes, function, divisor) -> None:
    """One axis after the other, the last first: a contiguous array then needs no table."""
    for axis in sorted(axes, reverse=True):
        is_last = axis == min(axes)
        shape = tuple(1 if i == axis else extent for i, extent in enumerate(x.shape))
        target = out if is_last else program.workspace(shape)
        _append(program, target, x, form_of(x.shape, x.strides, (axis,)), function, divisor if is_last else 1.0)
        x = target


FUNCTIONS = (reduce,)
