"""Philox4x32-10 in vectors: eight blocks side by side, and the numbers made of their words.

A word of the counter is the low half of a 64-bit lane, because a product of two words has 64 bits; what lies in the
upper half is never looked at. ``numbanet.kernels.philox`` says what counter and key are and how the words are ordered.
"""

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from numbanet.kernels.cpu.kernel import device_function
from numbanet.kernels.cpu.simd.maths import log
from numbanet.kernels.cpu.simd.pointers import I64, as_i64
from numbanet.kernels.cpu.simd.vector import (
    I32T,
    as_int_bits,
    broadcast,
    fma,
    i32x16,
    lane_numbers,
    llvm_vector,
    select,
    splat,
    sqrt,
    to_float,
)
from numbanet.kernels.philox import MULTIPLIERS, ROUNDS, WEYL

BLOCKS = 8
WORD = (1 << 32) - 1
BIAS = np.float32(3 * 2**22)
UNIT = np.float32(2.0**-24)
# sin 2πr = r · Σ SINE · r²ⁱ and cos 2πr = 1 + r² · Σ COSINE · r²ⁱ for |r| ≤ 1/8, within 3e-9.
SINE = tuple(np.float32(c) for c in (6.2831852878, -4.1341662602e1, 8.1592548207e1, -7.5401840308e1))
COSINE = tuple(np.float32(c) for c in (-1.9739208790e1, 6.4939369068e1, -8.5448822888e1, 5.9424225351e1))


@intrinsic
def random_words(typingctx, block, stream, seed):
    """The 32 words of the blocks ``block`` … ``block + 7`` of a stream, each without its lowest 8 bits (0 … 2²⁴ − 1):
    those of the first four blocks and those of the other four. The upper half of ``stream`` is the substream."""

    def codegen(context, builder, sig, args):
        eight = broadcast(builder, ir.Constant(I32T, 8))
        words = _words(builder, *[as_i64(builder, args[i], sig.args[i]) for i in range(3)])
        words = [builder.lshr(builder.bitcast(four, llvm_vector(types.int32)), eight) for four in words]
        return context.make_tuple(builder, sig.return_type, words)

    return types.UniTuple(i32x16, 2)(block, stream, seed), codegen


@intrinsic
def random_halves(typingctx, block, stream, seed):
    """The 64 halves (0 … 2¹⁶ − 1) of the words of the blocks ``block`` … ``block + 7``, of a word the lower first."""

    def codegen(context, builder, sig, args):
        halves = []
        for four in _words(builder, *[as_i64(builder, args[i], sig.args[i]) for i in range(3)]):
            sixteen = builder.bitcast(four, ir.VectorType(ir.IntType(16), 32))
            for begin in (0, 16):
                order = ir.Constant(ir.VectorType(I32T, 16), list(range(begin, begin + 16)))
                some = builder.shuffle_vector(sixteen, sixteen, order)
                halves.append(builder.zext(some, llvm_vector(types.int32)))
        return context.make_tuple(builder, sig.return_type, halves)

    return types.UniTuple(i32x16, 4)(block, stream, seed), codegen


def _words(builder, block, stream, seed):
    """The words of blocks 0 … 3 and of blocks 4 … 7 after ``block``, block after block, two in an int64."""
    low, high = ir.Constant(I64, WORD), ir.Constant(I64, 32)
    blocks = builder.add(broadcast(builder, block, BLOCKS), lane_numbers(BLOCKS, I64))
    counter = [
        blocks,
        builder.lshr(blocks, broadcast(builder, high, BLOCKS)),
        broadcast(builder, stream, BLOCKS),
        broadcast(builder, builder.lshr(stream, high), BLOCKS),
    ]
    key = [builder.and_(seed, low), builder.lshr(seed, high)]
    for _ in range(ROUNDS):
        counter = _mix(builder, counter, [broadcast(builder, word, BLOCKS) for word in key])
        key = [
            builder.and_(builder.add(word, ir.Constant(I64, step)), low) for word, step in zip(key, WEYL, strict=True)
        ]
    return _in_order(builder, counter)


def _mix(builder, counter, key):
    """One round: both products of 32 × 32 bits, whose upper words are mixed with the other words and the key."""
    c0, c1, c2, c3 = counter
    low, high = (broadcast(builder, ir.Constant(I64, value), BLOCKS) for value in (WORD, 32))
    factors = [broadcast(builder, ir.Constant(I64, int(value)), BLOCKS) for value in MULTIPLIERS]
    product0 = builder.mul(builder.and_(c0, low), factors[0])
    product1 = builder.mul(builder.and_(c2, low), factors[1])
    upper0, upper1 = builder.lshr(product0, high), builder.lshr(product1, high)
    return [
        builder.xor(builder.xor(upper1, c1), key[0]),
        product1,
        builder.xor(builder.xor(upper0, c3), key[1]),
        product0,
    ]


def _in_order(builder, counter):
    """The words of blocks 0 … 3 and of blocks 4 … 7, block after block."""
    low, high = (broadcast(builder, ir.Constant(I64, value), BLOCKS) for value in (WORD, 32))
    pairs = [
        builder.or_(builder.and_(counter[at], low), builder.shl(counter[at + 1], high)) for at in (0, 2)
    ]  # words 0 and 1, words 2 and 3 of each block
    result = []
    for first in (0, BLOCKS // 2):
        order = [half * BLOCKS + lane for lane in range(first, first + BLOCKS // 2) for half in (0, 1)]
        result.append(builder.shuffle_vector(*pairs, ir.Constant(ir.VectorType(I32T, BLOCKS), order)))
    return result


@device_function
def unit(words):
    """Numbers in [0, 1) with 24 bits from the words of ``random_words``."""
    return to_float(words) * splat(UNIT)


@device_function
def box_muller(u, v):
    """Two independent standard normal numbers from two uniform ones in [0, 1) with 24 bits:
    √(−2 ln(1 − u)) · (cos 2πv, sin 2πv), each within 4 ulp."""
    radius = sqrt(splat(np.float32(-2)) * log(splat(np.float32(1)) - u))  # 1 − u is exact
    biased = v * splat(np.float32(4)) + splat(BIAS)  # rounds to quarters of a turn, whose number are the low bits
    quarter = biased - splat(BIAS)
    r = fma(quarter, splat(np.float32(-0.25)), v)  # exact, in −1/8 … 1/8
    square = r * r
    p = fma(fma(fma(splat(SINE[3]), square, splat(SINE[2])), square, splat(SINE[1])), square, splat(SINE[0]))
    sine = p * r
    p = fma(fma(fma(splat(COSINE[3]), square, splat(COSINE[2])), square, splat(COSINE[1])), square, splat(COSINE[0]))
    cosine = fma(p, square, splat(np.float32(1)))
    turn, one, two = as_int_bits(biased), splat(np.int32(1)), splat(np.int32(2))
    zero = splat(np.float32(0))
    is_odd = (turn & one) == one
    x, y = select(is_odd, sine, cosine), select(is_odd, cosine, sine)
    x = select(((turn + one) & two) == two, zero - x, x)
    y = select((turn & two) == two, zero - y, y)
    return radius * x, radius * y
