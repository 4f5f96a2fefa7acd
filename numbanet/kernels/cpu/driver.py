"""The one driver: replays a table of kernel rows, level by level, on all threads or on one.

The table holds rows of any length; ``rows`` lists where each begins, ``levels`` the first node of each level. Nodes of
a level do not depend on each other. The tasks of a node are cut into ranges, one a thread (at most RANGES, which more
threads share). A thread claims chunks of its own first, as far as the threading layer lets it the same in each run and
in each node of so many tasks, so what it has written before lies in its core's caches (sums of 64 MB take 0.66 ms
instead of 1.2); then chunks that are left of the others', so a busy core does not stall the rest. Who does a task has
no influence on its bits. A level with a single chunk of tasks runs without waking anybody. A table of many levels is
replayed in one parallel region with a barrier between levels: that takes 0.2–0.5 µs a level on any threading layer,
where a region a level takes 1.4–10 µs on omp and 40–300 µs on workqueue.
The first kernel to return a status other than 0 stops the run after its level, on one thread after its node; node and
status are reported.
"""

from __future__ import annotations

import time

from numba import njit, prange
from numba.core import types
from numba.extending import intrinsic

from numbanet.kernels.cpu import layer
from numbanet.kernels.cpu.arguments import CHUNK, TASKS
from numbanet.kernels.cpu.cache import is_cached, kernel_cache
from numbanet.kernels.cpu.clock import CLOCK, collector_paused
from numbanet.kernels.cpu.kernel import device_function
from numbanet.kernels.cpu.words import call_kernel, claim, look, peek, place, poke

TABLE, ROWS, LEVELS, COUNT, THREADS, SCRATCH, SLICE, COUNTERS, WIDTH, STATUS = range(10)
"""The words of a block: where the table, its rows and its levels begin; the number of levels and of threads; scratch
memory, and its bytes a thread; the counters, and how many words the next range's are behind; the status. A driver is
given the address of a block: one number takes Python a fraction of the time of ten."""
BLOCK_WORDS = 10
RANGES = 16
"""At most so many ranges of a node's tasks; more threads share them."""


@device_function
def begin_of(block):
    """table, rows and levels of a block."""
    return peek(block, TABLE), peek(block, ROWS), peek(block, LEVELS)


@device_function
def begin_ranges(block):
    """counters, their width and the number of ranges of a block, whose counters are set to 0."""
    levels, counters, width = peek(block, LEVELS), peek(block, COUNTERS), peek(block, WIDTH)
    ranges = min(peek(block, THREADS), RANGES)
    for which in range(ranges):
        for node in range(peek(levels, 0), peek(levels, peek(block, COUNT))):
            poke(counters, which * width + node, 0)
    return counters, width, ranges


@device_function
def call(table, row, node, begin, end, scratch, status):
    """Do some tasks of a node; the first status other than 0 is kept."""
    code = call_kernel(table, row, begin, end, scratch)
    if code != 0 and claim(status, 0, 1) == 0:
        poke(status, 1, node)
        poke(status, 2, code)


@device_function
def call_all(table, rows, node, scratch, status):
    """Do all tasks of a node at once."""
    row = peek(rows, node)
    call(table, row, node, 0, peek(table, row + TASKS), scratch, status)


@device_function
def run_tasks(table, rows, node, counters, width, ranges, thread, scratch, status):
    """Claim and do tasks of one node until none is left, from the thread's own range on."""
    row = peek(rows, node)
    tasks, chunk = peek(table, row + TASKS), peek(table, row + CHUNK)
    chunks = (tasks + chunk - 1) // chunk
    for nth in range(ranges):
        which = (thread + nth) % ranges
        first, end = chunks * which // ranges * chunk, min(chunks * (which + 1) // ranges * chunk, tasks)
        counter = which * width + node
        while first + look(counters, counter) < end:
            begin = first + claim(counters, counter, chunk)
            if begin < end:
                call(table, row, node, begin, min(begin + chunk, end), scratch, status)


@device_function
def is_single(table, rows, first, last):
    """Whether a level is one task that needs no other thread."""
    row = peek(rows, first)
    return last - first == 1 and peek(table, row + TASKS) <= peek(table, row + CHUNK)


def replay(block):
    """Run all levels, those with more than one chunk of tasks on all threads; the first word of the status."""
    table, rows, levels = begin_of(block)
    counters, width, ranges = begin_ranges(block)
    threads, scratch, slice_ = peek(block, THREADS), peek(block, SCRATCH), peek(block, SLICE)
    status = peek(block, STATUS)
    for level in range(peek(block, COUNT)):
        first, last = peek(levels, level), peek(levels, level + 1)
        if is_single(table, rows, first, last):
            call_all(table, rows, first, scratch, status)
        else:
            for thread in prange(threads):
                mine = scratch + thread * slice_
                for node in range(first, last):
                    run_tasks(table, rows, node, counters, width, ranges, thread, mine, status)
        if peek(status, 0) != 0:
            break
    return peek(status, 0)


def replay_on_one_thread(block):
    """As ``replay`` without waking any thread: in loader threads, in forked children, with one thread."""
    table, rows, levels = begin_of(block)
    scratch, status = peek(block, SCRATCH), peek(block, STATUS)
    for node in range(peek(levels, 0), peek(levels, peek(block, COUNT))):
        call_all(table, rows, node, scratch, status)
        if peek(status, 0) != 0:
            break
    return peek(status, 0)


# --- one region for all levels ---------------------------------------------------------------------------------------
SYNC_BYTES = 128
"""In front of the scratch memory: a word for the handshake and, 64 bytes on, one for the barrier."""
BARRIER = 8
SPINS = 2000
"""Looks at the barrier before the core is offered to others; spinning alone takes milliseconds if another process holds
the core of a thread that is waited for."""
PATIENCE = 20000
"""Such offers before a handshake is given up."""
GIVEN_UP = -(1 << 40)

sched_yield = types.ExternalFunction("sched_yield", types.int32())


@intrinsic
def replace(typingctx, address, index, expected, value):
    """address[index] = value if it is ``expected``, atomically; what it was."""

    def codegen(context, builder, sig, args):
        result = builder.cmpxchg(place(builder, args[0], args[1]), args[2], args[3], "acq_rel", "acquire")
        return builder.extract_value(result, 0)

    return types.int64(*(types.int64,) * 4), codegen


@device_function
def meet(sync, threads):
    """Whether all threads are here, running at once. One that waits in vain gives up for all: nobody has begun."""
    claim(sync, 0, 1)
    spins = 0
    here = look(sync, 0)
    while 0 <= here < threads:
        spins += 1
        if spins > SPINS:
            sched_yield()
        if spins > SPINS + PATIENCE:
            replace(sync, 0, here, GIVEN_UP)
        here = look(sync, 0)
    return here == threads


@device_function
def wait_for(sync, goal):
    """Arrive at the barrier, and wait until so many arrivals are counted."""
    claim(sync, BARRIER, 1)
    spins = 0
    while look(sync, BARRIER) < goal:
        spins += 1
        if spins > SPINS:
            sched_yield()


@device_function
def run_levels(block, thread, mine, counters, width, ranges):
    """One thread's share of all levels. Levels of a single task in a row are the first thread's, with no barrier
    between.

    After a status other than 0 nobody begins anything, but all still meet at every barrier."""
    table, rows, levels = begin_of(block)
    threads, status, sync = peek(block, THREADS), peek(block, STATUS), peek(block, SCRATCH) - SYNC_BYTES
    count, goal = peek(block, COUNT), 0
    single = is_single(table, rows, peek(levels, 0), peek(levels, 1))
    for level in range(count):
        if single and thread == 0 and look(status, 0) == 0:
            call_all(table, rows, peek(levels, level), mine, status)
        elif not single and look(status, 0) == 0:
            for node in range(peek(levels, level), peek(levels, level + 1)):
                run_tasks(table, rows, node, counters, width, ranges, thread, mine, status)
        was_single, single = single, False
        if level + 1 < count:
            single = is_single(table, rows, peek(levels, level + 1), peek(levels, level + 2))
        if not (was_single and single):
            goal += threads
            wait_for(sync, goal)
    return 0


def replay_in_one_region(block):
    """As ``replay`` with one parallel region for all levels, between which the threads meet at a barrier of ours.

    Whether it was done: the threading layer may not run all threads at once."""
    counters, width, ranges = begin_ranges(block)
    threads, scratch, slice_ = peek(block, THREADS), peek(block, SCRATCH), peek(block, SLICE)
    sync = scratch - SYNC_BYTES
    poke(sync, 0, 0)
    poke(sync, BARRIER, 0)
    for thread in prange(threads):
        if meet(sync, threads):
            run_levels(block, thread, scratch + thread * slice_, counters, width, ranges)
    return look(sync, 0) == threads


class Driver:
    """A compiled (or cached) form of one of the functions above."""

    def __init__(self, function, parallel: bool) -> None:
        self.function = function
        self.name = f"driver:{function.__name__}"
        self.parallel = parallel
        self.seconds = 0.0
        self._dispatcher = None
        self._entry = None

    @property
    def run(self):
        """The compiled function of a block's address; compiles or loads it at the first call."""
        return self._entry or self._load()

    @property
    def is_ready(self) -> bool:
        """Whether nothing needs to be compiled."""
        return self._entry is not None or is_cached(self.function.__module__, self.function.__name__)

    def _load(self):
        begin = time.perf_counter()
        if self.parallel:
            layer.choose_layer()  # before Numba loads one on its own
        dispatcher = njit(parallel=self.parallel, nogil=True, error_model="numpy")(self.function)
        dispatcher._cache = kernel_cache(self.function, self.function.__name__)
        with collector_paused():
            dispatcher.compile((types.int64,))
        dispatcher.disable_compile()
        self._dispatcher = dispatcher  # keeps the machine code
        # a dispatcher spends as long on the kind of its argument as on the call; what it would then call is this
        self._entry = dispatcher.overloads[types.int64,].entry_point
        self.seconds = time.perf_counter() - begin
        if not dispatcher.stats.cache_hits:
            CLOCK.add(self.seconds)
        return self._entry


PARALLEL = Driver(replay, parallel=True)
ONE_REGION = Driver(replay_in_one_region, parallel=True)
SERIAL = Driver(replay_on_one_thread, parallel=False)
DRIVERS = {one.name: one for one in (PARALLEL, ONE_REGION, SERIAL)}
