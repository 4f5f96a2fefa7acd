"""In which order samples come: a function of the seed and the epoch alone, the same on every machine."""

from __future__ import annotations

import numpy as np

from numbanet.kernels.philox import permutation, random_bits

# Streams of random numbers, told apart from those of initialisation, dropout and augmentation.
_SHUFFLE = 0x5348
_SPLIT = 0x5350
_WINDOWS = 0x5357
_SAMPLER = 0x5341


def epoch_order(seed: int, epoch: int, size: int, shuffle: bool) -> np.ndarray:
    """The numbers 0 … size − 1 (int64) as an epoch goes through them."""
    if not shuffle:
        return np.arange(size, dtype=np.int64)
    return permutation(seed, _SHUFFLE, epoch, size)


def drawn(seed: int, epoch: int, count: int) -> np.ndarray:
    """``count`` uniform numbers in [0, 1) (float64, 53 bits) for the samplers of an epoch."""
    words = random_bits(seed, _SAMPLER, 0, 2 * count, substream=epoch).astype(np.uint64)
    bits = ((words[0::2] >> np.uint64(5)) << np.uint64(26)) | (words[1::2] >> np.uint64(6))
    return bits.astype(np.float64) * 2.0**-53


def numbered(order: np.ndarray, size: int) -> np.ndarray:
    """A number for each draw in an ``order`` of ``size`` samples: the sample's own, and ``size`` more for each time
    that it was drawn before, so that no two are the same."""
    by_sample = np.argsort(order, kind="stable")
    ordered = order[by_sample]
    begins = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]]))
    times = np.empty(len(order), np.int64)
    times[by_sample] = np.arange(len(order)) - np.repeat(begins, np.diff(begins, append=len(order)))
    return order + size * times


def split_order(seed: int, size: int) -> np.ndarray:
    """The numbers 0 … size − 1 (int64) as :func:`random_split` deals them out."""
    return permutation(seed, _SPLIT, 0, size)


def random_numbers(seed: int, epoch: int, count: int, below: int) -> np.ndarray:
    """``count`` numbers (int64) of 0 … below − 1, each equally likely, as an epoch draws them."""
    words = random_bits(seed, _WINDOWS, 0, 2 * count, substream=epoch).astype(np.uint64)
    # 53 bits times a number below 2^53 / below: what the division leaves over favours none by more than 1e-9
    return ((words[0::2] << np.uint64(21) ^ words[1::2] >> np.uint64(11)) % np.uint64(below)).astype(np.int64)
