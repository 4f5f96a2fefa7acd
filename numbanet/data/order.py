"""In which order samples come: a function of the seed and the epoch alone, the same on every machine."""

from __future__ import annotations

import numpy as np

from numbanet.kernels.philox import permutation

# Streams of random numbers, told apart from those of initialisation, dropout and augmentation.
_SHUFFLE = 0x5348
_SPLIT = 0x5350


def epoch_order(seed: int, epoch: int, size: int, shuffle: bool) -> np.ndarray:
    """The numbers 0 … size − 1 (int64) as an epoch goes through them."""
    if not shuffle:
        return np.arange(size, dtype=np.int64)
    return permutation(seed, _SHUFFLE, epoch, size)


def split_order(seed: int, size: int) -> np.ndarray:
    """The numbers 0 … size − 1 (int64) as :func:`random_split` deals them out."""
    return permutation(seed, _SPLIT, 0, size)
