"""The one driver: replays a table of kernel rows, level by level, on all threads or on one.

The table holds rows of any length; ``rows`` lists where each begins, ``levels`` the first node of each level. Nodes of
a level do not depend on each other. Threads claim chunks of tasks from a counter a node, so a busy core does not stall
the rest; who does a task has no influence on its bits. A level with a single task runs without waking anybody.
The first kernel to return a status other than 0 stops the run after its level; node and status are reported.
"""

from __future__ import annotations

import time

from llvmlite import ir
from numba import njit, prange
from numba.core import types
from numba.extending import intrinsic

from numbanet.kernels.cpu import layer
from numbanet.kernels.cpu.arguments import CHUNK, HEADER, KERNEL, TASKS
from numbanet.kernels.cpu.cache import kernel_cache
from numbanet.kernels.cpu.kernel import device_function

I64 = ir.IntType(64)
WORDS = (types.int64,) * 9
"""table, rows, levels (addresses), number of levels, threads, scratch, bytes of scratch a thread, counters, status."""


def _place(builder, address, index):
    return builder.gep(builder.inttoptr(address, I64.as_pointer()), [index])


@intrinsic
def peek(typingctx, address, index):
    """The int64 word at address[index]."""
    return types.int64(types.int64, types.int64), lambda c, b, sig, args: b.load(_place(b, args[0], args[1]))


@intrinsic
def poke(typingctx, address, index, value):
    """address[index] = value."""

    def codegen(context, builder, sig, args):
        builder.store(args[2], _place(builder, args[0], args[1]))
        return context.get_dummy_value()

    return types.void(types.int64, types.int64, types.int64), codegen


@intrinsic
def claim(typingctx, address, index, amount):
    """address[index] += amount, atomically; the value before."""

    def codegen(context, builder, sig, args):
        return builder.atomic_rmw("add", _place(builder, args[0], args[1]), args[2], "acq_rel")

    return types.int64(types.int64, types.int64, types.int64), codegen


@intrinsic
def call_kernel(typingctx, table, row, start, stop, scratch):
    """Call the kernel of the row at table[row] for the tasks start … stop − 1; its status."""

    def codegen(context, builder, sig, args):
        table, row, start, stop, scratch = args
        kind = ir.FunctionType(I64, [I64, I64, I64.as_pointer(), I64])
        address = builder.load(_place(builder, table, builder.add(row, ir.Constant(I64, KERNEL))))
        arguments = _place(builder, table, builder.add(row, ir.Constant(I64, HEADER)))
        return builder.call(builder.inttoptr(address, kind.as_pointer()), [start, stop, arguments, scratch])

    return types.int64(*(types.int64,) * 5), codegen


@device_function
def run_tasks(table, rows, node, counters, scratch, status):
    """Claim and do tasks of one node until none is left."""
    row = peek(rows, node)
    tasks, chunk = peek(table, row + TASKS), peek(table, row + CHUNK)
    begin = claim(counters, node, chunk)
    while begin < tasks:
        code = call_kernel(table, row, begin, min(begin + chunk, tasks), scratch)
        if code != 0 and claim(status, 0, 1) == 0:
            poke(status, 1, node)
            poke(status, 2, code)
        begin = claim(counters, node, chunk)


@device_function
def is_single(table, rows, first, last):
    """Whether a level is one task that needs no other thread."""
    row = peek(rows, first)
    return last - first == 1 and peek(table, row + TASKS) <= peek(table, row + CHUNK)


def replay(table, rows, levels, count, threads, scratch, slice_, counters, status):
    """Run all levels, those with more than one chunk of tasks on ``threads`` threads."""
    for node in range(peek(levels, 0), peek(levels, count)):
        poke(counters, node, 0)
    for level in range(count):
        first, last = peek(levels, level), peek(levels, level + 1)
        if is_single(table, rows, first, last):
            run_tasks(table, rows, first, counters, scratch, status)
        else:
            for thread in prange(threads):
                for node in range(first, last):
                    run_tasks(table, rows, node, counters, scratch + thread * slice_, status)
        if peek(status, 0) != 0:
            break


def replay_on_one_thread(table, rows, levels, count, threads, scratch, slice_, counters, status):
    """As ``replay`` without waking any thread: in loader threads, in forked children, with one thread."""
    for node in range(peek(levels, 0), peek(levels, count)):
        poke(counters, node, 0)
    for node in range(peek(levels, 0), peek(levels, count)):
        run_tasks(table, rows, node, counters, scratch, status)
        if peek(status, 0) != 0:
            break


class Driver:
    """A compiled (or cached) form of one of the two functions above."""

    def __init__(self, function, parallel: bool) -> None:
        self.function = function
        self.parallel = parallel
        self.seconds = 0.0
        self._dispatcher = None

    @property
    def run(self):
        """The compiled function; compiles or loads it at the first call."""
        return self._dispatcher or self._load()

    def _load(self):
        begin = time.perf_counter()
        if self.parallel:
            layer.choose_layer()  # before Numba loads one on its own
        dispatcher = njit(parallel=self.parallel, nogil=True, error_model="numpy")(self.function)
        dispatcher._cache = kernel_cache(self.function, self.function.__name__)
        dispatcher.compile(WORDS)
        dispatcher.disable_compile()
        self._dispatcher = dispatcher
        self.seconds = time.perf_counter() - begin
        return dispatcher


PARALLEL = Driver(replay, parallel=True)
SERIAL = Driver(replay_on_one_thread, parallel=False)
