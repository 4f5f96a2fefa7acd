"""Batch samplers: which samples make a batch, where that is more than a random order cut into pieces."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from numbanet.data.order import epoch_order, random_numbers

_POOL = 50  # batches that are sorted by length together


class BatchSampler:
    """What a :class:`DataLoader` asks for the batches of an epoch: a function of the seed and the epoch alone."""

    def __len__(self) -> int:
        """How many batches an epoch has."""
        raise NotImplementedError

    def batches(self, epoch: int) -> Sequence[np.ndarray]:
        """The numbers of the samples (int64) of each batch of an epoch."""
        raise NotImplementedError

    def settings(self) -> dict[str, Any]:
        """What decides about the order, as plain numbers, so that a saved position can be told from another's."""
        raise NotImplementedError


class BucketSampler(BatchSampler):
    """Batches of samples of about the same length, so that little of a batch is padding.

    With ``shuffle`` the samples of an epoch come in a random order, are sorted by length within pools of 50 batches,
    and the batches come in a random order again; without, all samples are sorted by length, the longest first.
    """

    def __init__(self, lengths: Sequence[int] | np.ndarray, batch_size: int, shuffle: bool = True, seed: int = 0):
        self.lengths = np.asarray(lengths, np.int64)
        if not len(self.lengths) or batch_size < 1:
            raise ValueError(f"buckets need samples and a batch size, got {len(self.lengths)} and {batch_size}")
        self.batch_size, self.shuffle, self.seed = batch_size, shuffle, seed

    def __len__(self) -> int:
        return -(-len(self.lengths) // self.batch_size)

    def batches(self, epoch: int) -> list[np.ndarray]:
        order = epoch_order(self.seed, epoch, len(self.lengths), self.shuffle)
        pool = _POOL * self.batch_size if self.shuffle else len(order)
        found = []
        for start in range(0, len(order), pool):
            chosen = order[start : start + pool]
            chosen = chosen[np.argsort(-self.lengths[chosen], kind="stable")]
            found += [chosen[at : at + self.batch_size] for at in range(0, len(chosen), self.batch_size)]
        # another seed: the order of the batches must not be tied to that of the samples
        return [found[number] for number in epoch_order(self.seed + 1, epoch, len(found), self.shuffle)]

    def settings(self) -> dict[str, Any]:
        return {"seed": self.seed, "shuffle": self.shuffle, "batch_size": self.batch_size, "samples": len(self.lengths)}


class StreamSampler(BatchSampler):
    """A long text as ``batch_size`` streams side by side: batch k + 1 goes on where batch k ended, row by row.

    For truncated back-propagation through time: a state can be carried from one batch to the next. The samples are
    the windows of a :class:`~numbanet.data.WindowDataset`. What is left over, less than a window a stream, is dropped.
    """

    def __init__(self, tokens: int, length: int, batch_size: int) -> None:
        self.tokens, self.length, self.batch_size = tokens, length, batch_size
        self.stream = (tokens - 1) // batch_size  # the last token is a target only
        if self.stream < length:
            raise ValueError(
                f"{batch_size} streams of windows of {length} tokens need a text of "
                f"{batch_size * length + 1} tokens, and this one has {tokens}"
            )

    def __len__(self) -> int:
        return self.stream // self.length

    def batches(self, epoch: int) -> list[np.ndarray]:
        first = np.arange(self.batch_size, dtype=np.int64) * self.stream
        return [first + number * self.length for number in range(len(self))]

    def settings(self) -> dict[str, Any]:
        return {"tokens": self.tokens, "length": self.length, "batch_size": self.batch_size}


class WindowSampler(BatchSampler):
    """Windows that begin anywhere in a long text, drawn with replacement; ``steps`` batches are an epoch.

    Without ``steps`` an epoch has as many tokens as the text.
    """

    def __init__(self, tokens: int, length: int, batch_size: int, seed: int = 0, steps: int | None = None) -> None:
        if tokens <= length:
            raise ValueError(
                f"windows of {length} tokens need a text of {length + 1} tokens, and this one has {tokens}"
            )
        self.tokens, self.length, self.batch_size, self.seed = tokens, length, batch_size, seed
        self.steps = steps or -(-(tokens - 1) // (batch_size * length))

    def __len__(self) -> int:
        return self.steps

    def batches(self, epoch: int) -> np.ndarray:
        numbers = random_numbers(self.seed, epoch, self.steps * self.batch_size, self.tokens - self.length)
        return numbers.reshape(self.steps, self.batch_size)

    def settings(self) -> dict[str, Any]:
        sizes = {"tokens": self.tokens, "length": self.length, "batch_size": self.batch_size, "steps": self.steps}
        return {"seed": self.seed, **sizes}
