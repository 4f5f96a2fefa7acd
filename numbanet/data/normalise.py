"""Bytes to numbers: what every batch of pictures goes through on its way to the model."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

_LINE = 64  # bytes of a cache line: arrays that begin on one can be handed to a back end without a copy


def aligned_empty(shape: tuple[int, ...], dtype: np.dtype | type = np.float32) -> np.ndarray:
    """An uninitialised array of ``shape`` that begins at a multiple of 64 bytes."""
    dtype = np.dtype(dtype)
    nbytes = int(np.prod(shape)) * dtype.itemsize
    block = np.empty(nbytes + _LINE, np.uint8)
    begin = -block.ctypes.data % _LINE
    return block[begin : begin + nbytes].view(dtype).reshape(shape)


class Normalise:
    """Normalise pictures of bytes by channel: y = (x/255 − mean)/std.

    Computed as ``x·scale + shift`` with scale = 1/(255·std) and shift = −mean/std rounded once to float32. The two
    roundings of each element are IEEE's, so every machine gets the same bits; twice as fast as a table of 256 values.

    Args:
        mean, std: one number a channel, of pictures in [0, 1]; every std is greater than 0.

    Raises:
        ValueError: mean and std differ in length, hold NaN or infinity, or a std is not positive.
    """

    def __init__(self, mean: Sequence[float], std: Sequence[float]) -> None:
        self.mean = tuple(float(m) for m in mean)
        self.std = tuple(float(s) for s in std)
        if len(self.mean) != len(self.std) or not self.mean:
            raise ValueError(
                f"mean and std need one number a channel, got {len(self.mean)} means and {len(self.std)} deviations"
            )
        if not np.all(np.isfinite(self.mean + self.std)) or min(self.std) <= 0:
            raise ValueError(f"mean must be finite and std positive, got mean={self.mean}, std={self.std}")
        std64 = np.array(self.std)
        self.scale = (1.0 / (255.0 * std64)).astype(np.float32)
        self.shift = (-np.array(self.mean) / std64).astype(np.float32)

    @property
    def channels(self) -> int:
        """How many channels the pictures have."""
        return len(self.mean)

    def __call__(self, pictures: np.ndarray) -> np.ndarray:
        """Pictures of bytes (…, C, H, W) as a new float32 array of the same shape."""
        if pictures.dtype != np.uint8:
            raise TypeError(f"expected pictures of uint8, got {pictures.dtype}")
        if pictures.ndim < 3 or pictures.shape[-3] != self.channels:
            raise ValueError(f"expected pictures (…, {self.channels}, height, width), got {pictures.shape}")
        out = aligned_empty(pictures.shape)
        np.copyto(out, pictures)
        out *= self.scale[:, None, None]
        out += self.shift[:, None, None]
        return out
