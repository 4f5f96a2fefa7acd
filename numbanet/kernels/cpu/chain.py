"""Chains of pointwise functions: each block of elements goes through all of them while it lies in the first cache.

A step is a call of the kernel that the function has by itself, on a block, so a chain has the bits of its functions one
after the other and nothing is compiled for it. A table of int64 lists the steps: the address of the kernel, its code,
whether it takes two arrays, the number of its output, the numbers of its inputs. Numbers below ARRAYS are the arrays of
the row; from there on they are slots of BLOCK elements in the thread's scratch memory, where values lie that no array
keeps, and numbers that are repeated.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numbanet.kernels.cpu.arguments import HEADER, I64_FIELD, KERNEL, VIOLATION, unpack, workspace
from numbanet.kernels.cpu.binary import BINARY_CODES, arithmetic, pow, remainder
from numbanet.kernels.cpu.kernel import Kernel, device_function, kernel
from numbanet.kernels.cpu.lines import CHUNK, tasks_of
from numbanet.kernels.cpu.simd.pointers import F32, INT64
from numbanet.kernels.cpu.simd.vector import splat, store
from numbanet.kernels.cpu.unary import GRADIENT_KERNELS, UNARY_KERNELS, relu_gradient
from numbanet.kernels.cpu.words import address_of, call_kernel, float_at, peek, poke
from numbanet.kernels.numpy import share

ARRAYS = 8
BLOCK = 1024
STEP = 6
ADDRESS, CODE, TAKES_TWO, OUT, FIRST, SECOND = range(STEP)
WIDTH = F32.words
ROW_FLOATS = 64
"""float32 of scratch memory in front of the slots: the row with which the kernel of a step is called."""
FLOAT32 = np.dtype(np.float32)

KERNELS: dict[tuple[str, str | None], tuple[Kernel, int]] = {
    **{("unary", name): one for name, one in UNARY_KERNELS.items()},
    **{("binary", name): (arithmetic, code) for name, code in BINARY_CODES.items()},
    ("binary", "pow"): (pow, 0),
    ("binary", "floor_divide"): (remainder, 0),
    ("binary", "remainder"): (remainder, 1),
    ("relu_backward", None): (relu_gradient, 0),
    **{("unary_backward", name): one for name, one in GRADIENT_KERNELS.items()},
}


class Chain(NamedTuple):
    """``repeated``: a bit for each array that is one number; these have the first slots."""

    a0: F32
    a1: F32
    a2: F32
    a3: F32
    a4: F32
    a5: F32
    a6: F32
    a7: F32
    steps: INT64
    count: I64_FIELD
    size: I64_FIELD
    repeated: I64_FIELD


@device_function
def point_to(call, word, row, scratch, number, begin):
    """Write a pointer to array ``number`` from element ``begin`` on, or to a slot, into a word of the call's row."""
    if number < ARRAYS:
        poke(call, word, peek(row, WIDTH * number) + 4 * begin)
        for i in range(1, WIDTH):
            poke(call, word + i, peek(row, WIDTH * number + i))
    else:
        address = scratch + 4 * (ROW_FLOATS + BLOCK * (number - ARRAYS))
        poke(call, word, address)
        for i in range(1, WIDTH):
            poke(call, word + i, address + 4 * BLOCK * (i - 1))
    return word + WIDTH


@kernel(Chain)
def chain(start, stop, row, scratch):
    """All steps for block after block; a task is CHUNK elements."""
    a = unpack(row, Chain)
    slots = workspace(row, scratch) + ROW_FLOATS
    mine = address_of(row)
    poke(scratch, VIOLATION, peek(mine, VIOLATION - HEADER))
    slot = 0
    for number in range(ARRAYS):
        if (a.repeated >> number) & 1:
            value = splat(float_at(peek(mine, WIDTH * number)))
            for i in range(0, BLOCK, 16):
                store(slots, slot * BLOCK + i, value)
            slot += 1
    last = min(stop * CHUNK, a.size)
    for begin in range(start * CHUNK, last, BLOCK):
        for at in range(0, a.count * STEP, STEP):
            poke(scratch, KERNEL, a.steps[at + ADDRESS])
            word = point_to(scratch, HEADER, mine, scratch, a.steps[at + OUT], begin)
            word = point_to(scratch, word, mine, scratch, a.steps[at + FIRST], begin)
            if a.steps[at + TAKES_TWO]:
                word = point_to(scratch, word, mine, scratch, a.steps[at + SECOND], begin)
            poke(scratch, word, min(BLOCK, last - begin))
            poke(scratch, word + 1, a.steps[at + CODE])
            for i in range(WIDTH):
                poke(scratch, word + 2 + i, 0)
            call_kernel(scratch, 0, 0, 1, 0)
    return 0


def pointwise_chain(program, outs, inputs, steps, kept):
    arrays = [*outs, *inputs]
    for array in arrays:
        if array.dtype is not FLOAT32 or not (array.is_contiguous or array.size == 1 or not any(array.strides)):
            return "strided" if array.dtype is FLOAT32 else f"dtype {array.dtype}"
    if len(arrays) > ARRAYS:
        return f"more than {ARRAYS} arrays"
    size = outs[0].size
    repeated = [n for n in range(len(outs), len(arrays)) if not (arrays[n].is_contiguous and arrays[n].size == size)]
    numbers = [ARRAYS + repeated.index(n) if n in repeated else n for n in range(len(outs), len(arrays))]
    words, kernels, slots = _table(numbers, steps, {value: n for n, value in enumerate(kept)}, len(repeated))
    table = program.keep_calls(share(None, np.array(words, np.int64)), kernels)
    given = arrays + [None] * (ARRAYS - len(arrays))
    tasks, chunk = tasks_of(size)
    args = Chain(*given, table, len(steps), size, sum(1 << n for n in repeated))
    program.append(chain, tasks, args, chunk=chunk, scratch=ROW_FLOATS + slots * BLOCK)
    return None


def _table(numbers: list[int], steps, kept: dict[int, int], taken: int) -> tuple[list[int], dict[int, Kernel], int]:
    """The words of the steps, the words that hold kernels' addresses, and how many slots there are.

    ``numbers``: where the inputs lie; ``kept``: the arrays that keep values; ``taken``: slots that are not free. A slot
    is free again behind the last step that reads its value, and the step itself may write into it."""
    last = {source: at for at, (_, _, sources) in enumerate(steps) for source in sources}
    numbers, free, slots = list(numbers), [], taken
    inputs, words, kernels = len(numbers), [], {}
    for at, (name, function, sources) in enumerate(steps):
        which, code = KERNELS[name, function]
        value = inputs + at
        places = [numbers[source] for source in sources]
        free += [
            numbers[one] for one in dict.fromkeys(sources) if one >= inputs and last[one] == at and one not in kept
        ]
        if value in kept:
            numbers.append(kept[value])
        elif free:
            numbers.append(free.pop())
        else:
            numbers.append(ARRAYS + slots)
            slots += 1
        kernels[len(words)] = which
        words += [0, code, int(len(places) == 2), numbers[value], places[0], places[-1]]
    return words, kernels, slots
