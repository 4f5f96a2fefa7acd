"""Augmentation: pictures uint8 (n, channels, height, width), each with its own numbers."""

from __future__ import annotations

from numbanet.kernels.contract.declaration import declare


@declare()
def sample_numbers(out, samples, seed: int, stream: int, epoch: int):
    """out (n, count) float32 uniform in [0, 1) with 24 bits; row i is the beginning of the stream of samples[i]
    (int64): the word of counter (number // 4, sample, stream, epoch) under the seed."""


@declare()
def move_pictures(out, x, maps, fill: int, border: str):
    """out[i, j] = x[a·i + b·j + c, d·i + e·j + f], maps (n, 6) int64 in this order, factors −1, 0 or 1; beyond x fill
    if border is constant, else what edge, reflect or symmetric padding has there. out may have another size than x."""


@declare(writes=("pictures",))
def erase_pictures(pictures, boxes, fill: int):
    """fill in all channels inside boxes (n, 4) int64: top, left, bottom, right (not included), clipped; in place."""


@declare()
def warp_pictures(out, x, matrices, fill: int, bilinear: bool):
    """The pixel (u, v), counted from the middle to the right and down, comes from (a·u + b·v + c, d·u + e·v + f),
    matrices (n, 6) float32 in this order: the nearest pixel (ties to even) or fill; bilinear: the sum s of the four
    pixels around, which are 0 outside, as round((s − fill)·w + fill), w being their share inside."""


@declare()
def resize_pictures(out, x, boxes):
    """Each box (n, 4) int64: top, left, height, width, inside x, enlarged to x's size, bilinear, rounded once."""


@declare()
def blur_pictures(out, x, weights):
    """Columns, then rows, weighted with weights (n, taps) float32, taps odd, reflected at the edges, rounded once.

    A picture whose middle weight is 1 stays."""


@declare()
def sobel_pictures(out, x, chosen):
    """out = √((h² + v²)/32) rounded, h and v being Sobel's horizontal and vertical sums with repeated edges, where
    chosen (n,) int64 is not 0, else x."""


@declare(writes=("pictures",))
def noise_pictures(pictures, samples, amounts, seed: int, stream: int, epoch: int):
    """x + trunc(shift + scale·z) clipped to 0 … 255, amounts (n, 2) float32: shift, scale; in place. The standard
    normal z, by Box–Muller, come from the sample's stream as in sample_numbers."""


@declare()
def normalise_pictures(out, x, scale, shift):
    """out (n, channels, height, width) float32 = x·scale + shift, (channels,) float32 each, rounded twice."""
