"""Data sets of token numbers: windows of a long text, sequences with labels, pairs of sequences."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from numbanet.data.dataset import Dataset

IGNORED = -100  # a target that counts for nothing (cross_entropy's ignore_index)


class WindowDataset(Dataset):
    """Every window of ``length`` tokens of a text and, as its target, the same window one token later.

    ``dataset[i]`` begins at token i: (tokens (length,), targets (length,)) int64, of one memory with the text.
    """

    in_memory = True

    def __init__(self, tokens: np.ndarray, length: int) -> None:
        if len(tokens) <= length or length < 1:
            raise ValueError(
                f"windows of {length} tokens need a text of {length + 1} tokens, and this one has {len(tokens)}"
            )
        self.tokens = np.asarray(tokens, np.int64)
        self.length = length
        self._windows = np.lib.stride_tricks.sliding_window_view(self.tokens, length)

    def __len__(self) -> int:
        return len(self.tokens) - self.length

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        if not 0 <= index < len(self):
            raise IndexError(f"there is no window {index}: the text has {len(self)}")
        return self._windows[index], self._windows[index + 1]

    def get_batch(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return self._windows[indices], self._windows[indices + 1]


class SequenceDataset(Dataset):
    """Sequences of different lengths, each with a label: ``dataset[i]`` is (tokens (length,), label).

    A batch is (tokens (n, longest), labels (n,)) int64; ``padding`` stands behind the end.
    """

    in_memory = True

    def __init__(self, sequences: Sequence[np.ndarray], labels: Sequence[int], padding: int) -> None:
        if len(sequences) != len(labels):
            raise ValueError(f"there are {len(sequences)} sequences and {len(labels)} labels")
        self.sequences, self.labels, self.padding = list(sequences), np.asarray(labels, np.int64), padding
        self.lengths = np.array([len(sequence) for sequence in sequences], np.int64)

    def __len__(self) -> int:
        return len(self.sequences)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.int64]:
        return self.sequences[index], self.labels[index]

    def get_batch(self, indices: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        return pad([self.sequences[index] for index in indices.tolist()], self.padding), self.labels[indices]


class PairDataset(Dataset):
    """Pairs of sequences, such as a sentence and its translation: ``dataset[i]`` is (source, target).

    A batch is ((source (n, S), inputs (n, T)), targets (n, T)) int64. The decoder's inputs are the
    target after ``begin``, its targets the target before ``end``; behind the end stand ``padding`` and −100, which
    counts for nothing. S and T are multiples of ``multiple``, or that of the longest pair, so that batches of few
    shapes come again and again.
    """

    in_memory = True

    def __init__(
        self,
        sources: Sequence[np.ndarray],
        targets: Sequence[np.ndarray],
        padding: int,
        begin: int,
        end: int,
        multiple: int = 1,
    ) -> None:
        if len(sources) != len(targets):
            raise ValueError(f"there are {len(sources)} sources and {len(targets)} targets")
        self.sources, self.targets = list(sources), list(targets)
        self.padding, self.begin, self.end, self.multiple = padding, begin, end, multiple
        self.lengths = np.array([len(source) for source in sources], np.int64)
        self.target_lengths = np.array([len(target) + 1 for target in targets], np.int64)

    def __len__(self) -> int:
        return len(self.sources)

    def __getitem__(self, index: int) -> tuple[np.ndarray, np.ndarray]:
        return self.sources[index], self.targets[index]

    def get_batch(self, indices: np.ndarray) -> tuple[tuple[np.ndarray, ...], np.ndarray]:
        numbers = indices.tolist()
        source = pad([self.sources[number] for number in numbers], self.padding, self._width(self.lengths, indices))
        targets, width = [self.targets[number] for number in numbers], self._width(self.target_lengths, indices)
        inputs = pad([np.concatenate(([self.begin], target)) for target in targets], self.padding, width)
        wanted = pad([np.concatenate((target, [self.end])) for target in targets], IGNORED, width)
        return (source, inputs), wanted

    def _width(self, lengths: np.ndarray, indices: np.ndarray) -> int:
        return min(-(-lengths[indices].max() // self.multiple) * self.multiple, lengths.max())


def pad(sequences: Sequence[np.ndarray], value: int, width: int = 0) -> np.ndarray:
    """Sequences as the rows (n, longest) int64 of one array, or of ``width`` if that is more, with ``value`` behind
    their ends."""
    rows = np.full((len(sequences), max(width, *map(len, sequences))), value, np.int64)
    for row, sequence in zip(rows, sequences, strict=True):
        row[: len(sequence)] = sequence
    return rows
