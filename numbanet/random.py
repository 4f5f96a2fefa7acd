"""The random state: one seed, and how much of each stream has been drawn.

Streams keep apart what is drawn for different ends, so that a layer more or less dropout does not change the
initial weights of the others: 0 initialisation (and ``rand``, ``randn``), 1 dropout, 2 shuffling, 3 augmentation.
"""

from __future__ import annotations

import threading

from numbanet.kernels.philox import words_needed

INITIALISATION, DROPOUT, SHUFFLING, AUGMENTATION = range(4)

_lock = threading.Lock()
_seed = 0
_offsets: dict[int, int] = {}


def manual_seed(seed: int) -> None:
    """Begin all streams anew from a seed (64 bits)."""
    global _seed
    if not -(2**63) <= int(seed) < 2**64:
        raise ValueError(f"a seed is a whole number of at most 64 bits, got {seed}")
    with _lock:
        _seed = int(seed) & 0xFFFFFFFFFFFFFFFF
        _offsets.clear()


def initial_seed() -> int:
    """The seed in force (0 unless ``manual_seed`` said otherwise)."""
    return _seed


def get_state() -> dict[str, object]:
    """Seed and offsets, as numbers that JSON can hold; for ``set_state``."""
    with _lock:
        return {"seed": _seed, "offsets": {str(stream): offset for stream, offset in sorted(_offsets.items())}}


def set_state(state: dict[str, object]) -> None:
    """Go on where ``get_state`` was asked."""
    global _seed
    with _lock:
        _seed = int(state["seed"])
        _offsets.clear()
        _offsets.update({int(stream): int(offset) for stream, offset in state["offsets"].items()})


def reserve(amounts: dict[int, int]) -> tuple[int, dict[int, int]]:
    """Reserve so many words of each stream: the seed, and where in the streams they begin."""
    with _lock:
        begins = {stream: _offsets.get(stream, 0) for stream in amounts}
        for stream, words in amounts.items():
            _offsets[stream] = begins[stream] + words
        return _seed, begins


def draw(stream: int, size: int, dtype: object) -> tuple[int, int, int]:
    """Reserve what ``size`` numbers of a float dtype need from a stream: (seed, stream, offset)."""
    with _lock:
        offset = _offsets.get(stream, 0)
        _offsets[stream] = offset + words_needed(size, dtype)
        return _seed, stream, offset
