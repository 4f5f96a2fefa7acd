"""Sequences of different lengths in one batch: padded, or packed without the padding, with PyTorch's names.

Packed, ``data`` (n, …) holds the elements of all sequences, those of time 0 first, the longest sequence first within a
time; ``batch_sizes`` says how many sequences reach each time.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from numbanet.creation import cat, tensor
from numbanet.tensor import Tensor


class PackedSequence(NamedTuple):
    """Sequences without padding; made by :func:`pack_padded_sequence` and :func:`pack_sequence`.

    ``sorted_indices`` puts the batch in the order of falling lengths, ``unsorted_indices`` back (None: sorted)."""

    data: Tensor
    batch_sizes: Tensor
    sorted_indices: Tensor | None = None
    unsorted_indices: Tensor | None = None


def invert_permutation(permutation: Tensor | None) -> Tensor | None:
    """The permutation that undoes this one."""
    if permutation is None:
        return None
    return tensor(np.argsort(permutation.numpy()))


def as_lengths(lengths: Tensor | Sequence[int] | np.ndarray, batch: int, steps: int) -> np.ndarray:
    """lengths as int64, one a sequence of the batch, each from 1 to ``steps``. RuntimeError for others."""
    values = lengths.numpy() if isinstance(lengths, Tensor) else np.asarray(lengths)
    if values.dtype.kind not in "iu" or values.ndim != 1:
        raise RuntimeError(f"`lengths` should be a list of whole numbers, got {values.dtype} of shape {values.shape}")
    if len(values) != batch:
        raise RuntimeError(
            f"Expected `len(lengths)` to be equal to batch_size, but got {len(values)} (batch_size={batch})"
        )
    if (values <= 0).any():
        raise RuntimeError(
            "Length of all samples has to be greater than 0, but found an element in 'lengths' that is <= 0"
        )
    if (values > steps).any():
        at = int(np.argmax(values))
        raise RuntimeError(f"the length {values[at]} of sequence {at} is beyond the {steps} steps of the input")
    return values.astype(np.int64)


def _places(lengths: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Of packed sequences, whose lengths fall: the time and the sequence of each element, and their numbers a time."""
    times, rows = np.nonzero(np.arange(lengths[0])[:, None] < lengths)
    return times, rows


def _lengths_of(batch_sizes: np.ndarray) -> np.ndarray:
    """Falling lengths from the number of sequences that reach each time."""
    return (np.arange(batch_sizes[0])[:, None] < batch_sizes).sum(axis=1)


def pack_padded_sequence(
    input: Tensor, lengths: Tensor | Sequence[int], batch_first: bool = False, enforce_sorted: bool = True
) -> PackedSequence:
    """The elements of input (t, b, …), or (b, t, …) if ``batch_first``, that lie within the sequences' lengths.

    ``enforce_sorted`` demands falling lengths; else the batch is sorted, and what uses the result knows how."""
    steps, batch = (input.shape[1], input.shape[0]) if batch_first else input.shape[:2]
    values = as_lengths(lengths, batch, steps)
    order = None
    if not enforce_sorted:
        order = np.argsort(-values, kind="stable")
        values = values[order]
    elif (values[:-1] < values[1:]).any():
        raise RuntimeError(
            "`lengths` array must be sorted in decreasing order when `enforce_sorted` is True. You can pass "
            "`enforce_sorted=False` to pack_padded_sequence and/or pack_sequence to sidestep this requirement if you "
            "do not need ONNX exportability."
        )
    times, rows = _places(values)
    sizes = np.bincount(times)
    if order is not None:
        rows = order[rows]
    flat = rows * steps + times if batch_first else times * batch + rows
    data = input.reshape((steps * batch, *input.shape[2:]))[tensor(flat)]
    sorted_indices = None if order is None else tensor(order)
    return PackedSequence(data, tensor(sizes), sorted_indices, invert_permutation(sorted_indices))


def pad_packed_sequence(
    sequence: PackedSequence, batch_first: bool = False, padding_value: float = 0.0, total_length: int | None = None
) -> tuple[Tensor, Tensor]:
    """(padded, lengths): (t, b, …), or (b, t, …) if ``batch_first``, in the order before packing.

    t is the longest length, or ``total_length``; what lies beyond a sequence is ``padding_value``."""
    lengths = _lengths_of(sequence.batch_sizes.numpy())
    steps, batch = int(lengths[0]), len(lengths)
    if total_length is not None:
        if total_length < steps:
            raise ValueError(
                "Expected total_length to be at least the length of the longest sequence in input, but got "
                f"total_length={total_length} and max sequence length being {steps}"
            )
        steps = total_length
    data = sequence.data
    table = np.full((steps, batch), data.shape[0])
    times, rows = _places(lengths)
    table[times, rows] = np.arange(data.shape[0])
    if sequence.unsorted_indices is not None:
        order = sequence.unsorted_indices.numpy()
        table, lengths = table[:, order], lengths[order]
    if batch_first:
        table = table.T
    if (lengths < steps).any():
        data = cat([data, data.new_full((1, *data.shape[1:]), padding_value)])
    padded = data[tensor(np.ascontiguousarray(table).reshape(-1))]
    return padded.reshape((*table.shape, *data.shape[1:])), tensor(lengths)


def pad_sequence(
    sequences: Sequence[Tensor], batch_first: bool = False, padding_value: float = 0.0, padding_side: str = "right"
) -> Tensor:
    """Tensors (length, …) as one, (t, b, …), or (b, t, …) if ``batch_first``, padded at one side."""
    if padding_side not in ("left", "right"):
        raise ValueError(f"padding_side should be 'left' or 'right', got {padding_side!r}")
    sequences = list(sequences)
    if not sequences:
        raise RuntimeError("pad_sequence needs at least one sequence")
    steps = max(sequence.shape[0] for sequence in sequences)
    padded = []
    for sequence in sequences:
        missing = steps - sequence.shape[0]
        if missing:
            padding = sequence.new_full((missing, *sequence.shape[1:]), padding_value)
            sequence = cat([sequence, padding] if padding_side == "right" else [padding, sequence])
        padded.append(sequence.unsqueeze(0 if batch_first else 1))
    return cat(padded, 0 if batch_first else 1)


def unpad_sequence(padded_sequences: Tensor, lengths: Tensor, batch_first: bool = False) -> list[Tensor]:
    """The sequences within a padded tensor, each (length, …)."""
    steps, batch = padded_sequences.shape[:2][:: -1 if batch_first else 1]
    values = as_lengths(lengths, batch, steps)
    return [
        padded_sequences[row, :length] if batch_first else padded_sequences[:length, row]
        for row, length in enumerate(values.tolist())
    ]


def pack_sequence(sequences: Sequence[Tensor], enforce_sorted: bool = True) -> PackedSequence:
    """Tensors (length, …) as a packed sequence."""
    lengths = [sequence.shape[0] for sequence in sequences]
    return pack_padded_sequence(pad_sequence(sequences), lengths, enforce_sorted=enforce_sorted)


def unpack_sequence(packed_sequences: PackedSequence) -> list[Tensor]:
    """The sequences within a packed one."""
    padded, lengths = pad_packed_sequence(packed_sequences, batch_first=True)
    return unpad_sequence(padded, lengths, batch_first=True)
