"""Philox4x32-10 in NumPy: random numbers as a pure function of (seed, stream, offset).

Salmon, Moraes, Dror, Shaw: "Parallel random numbers: as easy as 1, 2, 3" (SC 2011). A counter of four 32-bit words
goes through ten rounds of multiply-and-mix under a key of two words, and four random words come out. Nothing is
carried from one number to the next, so any element can be drawn alone, in any order, on any number of threads.

Here the key is the seed (64 bits), the counter is (block low, block high, stream, substream). The words of block b
have the offsets 4·b … 4·b + 3.
"""

from __future__ import annotations

import numpy as np

MULTIPLIERS = (np.uint64(0xD2511F53), np.uint64(0xCD9E8D57))
WEYL = (0x9E3779B9, 0xBB67AE85)
ROUNDS = 10

_MASK = np.uint64(0xFFFFFFFF)
_SHIFT = np.uint64(32)


def philox4x32(counter: np.ndarray, key: tuple[int, int]) -> np.ndarray:
    """The random words (n, 4) uint32 for the counters (n, 4) under key (two 32-bit words)."""
    c0, c1, c2, c3 = (counter[:, word].astype(np.uint64) for word in range(4))
    k0, k1 = key
    for _ in range(ROUNDS):
        product0 = c0 * MULTIPLIERS[0]
        product1 = c2 * MULTIPLIERS[1]
        c0 = (product1 >> _SHIFT) ^ c1 ^ np.uint64(k0)
        c2 = (product0 >> _SHIFT) ^ c3 ^ np.uint64(k1)
        c1 = product1 & _MASK
        c3 = product0 & _MASK
        k0 = (k0 + WEYL[0]) & 0xFFFFFFFF
        k1 = (k1 + WEYL[1]) & 0xFFFFFFFF
    return np.stack([c0, c1, c2, c3], axis=1).astype(np.uint32)


def random_bits(seed: int, stream: int, offset: int, count: int, substream: int = 0) -> np.ndarray:
    """The random words offset … offset + count − 1 (uint32) of a stream.

    Two calls whose ranges overlap agree on the overlap. ``substream`` (32 bits) tells apart what is drawn again and
    again from the beginning, such as the epochs of a shuffle.
    """
    if offset < 0 or count < 0:
        raise ValueError(f"offset and count cannot be negative: {offset}, {count}")
    if count == 0:
        return np.empty(0, np.uint32)
    first, last = offset // 4, (offset + count - 1) // 4
    blocks = np.arange(first, last + 1, dtype=np.uint64)
    counter = np.empty((len(blocks), 4), np.uint32)
    counter[:, 0] = blocks & _MASK
    counter[:, 1] = blocks >> _SHIFT
    counter[:, 2] = stream & 0xFFFFFFFF
    counter[:, 3] = substream & 0xFFFFFFFF
    words = philox4x32(counter, (seed & 0xFFFFFFFF, (seed >> 32) & 0xFFFFFFFF)).reshape(-1)
    start = offset - 4 * first
    return words[start : start + count]


def random_halves(seed: int, stream: int, offset: int, count: int) -> np.ndarray:
    """The first ``count`` halves of the words from offset on, of each word the lower half first: numbers below 65536.

    int32, which holds the threshold 65536 of p = 1 as well."""
    words = random_bits(seed, stream, offset, (count + 1) // 2)
    return words.astype("<u4").view("<u2")[:count].astype(np.int32)


def permutation(seed: int, stream: int, epoch: int, n: int) -> np.ndarray:
    """A random order of 0 … n − 1 (int64), the same for the same (seed, stream, epoch, n).

    Every element draws 64 random bits, and the order is theirs when sorted; equal draws keep the order of the elements.
    """
    words = random_bits(seed, stream, 0, 2 * n, substream=epoch).astype(np.uint64)
    keys = (words[0::2] << _SHIFT) | words[1::2]
    return np.argsort(keys, kind="stable").astype(np.int64)


def uniform(shape: tuple[int, ...], dtype: np.dtype, seed: int, stream: int, offset: int) -> np.ndarray:
    """Uniform numbers in [0, 1): one word and 24 bits for a float32, two words and 53 bits for a float64."""
    size = int(np.prod(shape, dtype=np.int64))
    if dtype == np.float32:
        bits = random_bits(seed, stream, offset, size) >> np.uint32(8)
        return (bits.astype(np.float32) * np.float32(2.0**-24)).reshape(shape)
    words = random_bits(seed, stream, offset, 2 * size).astype(np.uint64)
    bits = ((words[0::2] >> np.uint64(5)) << np.uint64(26)) | (words[1::2] >> np.uint64(6))
    return (bits.astype(np.float64) * 2.0**-53).reshape(shape)


def half_threshold(p: float) -> int:
    """The halves of words below this are a share p of all, to the nearest 1/65536: but not none, and not all, unless p
    is 0 or 1."""
    return max(min(round(p * 2**16), 2**16 - (p < 1)), int(p > 0))


def words_needed(size: int, dtype: np.dtype) -> int:
    """How many words a draw of ``size`` uniform or normal numbers uses up, rounded up to whole blocks."""
    words = (size + size % 2) * (1 if dtype == np.float32 else 2)
    return (words + 3) // 4 * 4
