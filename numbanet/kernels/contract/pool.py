"""Max and average pooling."""

from __future__ import annotations

from numbanet.kernels.contract.declaration import Pair, declare


@declare(writes=("positions",))
def max_pool2d(out, positions, x, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair):
    """out (n, c, oh, ow) = maximum of each window of x (n, c, h, w); positions = where in the window, ky · kw + kx.

    That is the first maximum of the window, or its last NaN (as PyTorch). positions are uint8, or int32 for windows of
    more than 256 cells."""


@declare()
def max_pool2d_backward(out, grad, positions, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair):
    """out (n, c, h, w) = grad (n, c, oh, ow) added up at positions, 0 elsewhere."""


@declare()
def max_pool2d_indices(out, positions, width: int, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair):
    """out (int64) = the places y · width + x in the plane that positions stand for."""


@declare()
def avg_pool2d(out, x, kernel: Pair, stride: Pair, padding: Pair, count_include_pad: bool):
    """out (n, c, oh, ow) = mean of each window of x (n, c, h, w) zero-padded."""


@declare()
def avg_pool2d_backward(out, grad, kernel: Pair, stride: Pair, padding: Pair, count_include_pad: bool):
    """out (n, c, h, w) = gradient of avg_pool2d."""


@declare()
def adaptive_avg_pool2d(out, x):
    """out (n, c, oh, ow) = mean of each window of x (n, c, h, w).

    Window i of n along an axis covers ⌊i·size/n⌋ … ⌈(i+1)·size/n⌉ − 1."""


@declare()
def adaptive_avg_pool2d_backward(out, grad):
    """out (n, c, h, w) = gradient of adaptive_avg_pool2d."""


@declare(writes=("indices",))
def adaptive_max_pool2d(out, indices, x):
    """out = maximum of each window of adaptive_avg_pool2d; indices (int32) = where in the plane: the first, or the
    last NaN."""


@declare()
def adaptive_max_pool2d_backward(out, grad, indices):
    """out (n, c, h, w) = grad (n, c, oh, ow) added up at indices, 0 elsewhere."""
