"""1 × 1 convolutions of many channels as one product of all pictures, of whatever stride.

The pictures that count are gathered as X (channels, pictures · positions), so that no tile ends with a picture, and
out = W·X, grad_x = Wᵀ·grad, grad_W = grad·Xᵀ. What is copied is little beside the product where the channels are many.
"""

from __future__ import annotations

from numbanet.kernels.array import Array
from numbanet.kernels.contract import Pair
from numbanet.kernels.cpu.gemm import matmul
from numbanet.kernels.cpu.geometry import Window

LEAST_USES = 128
"""Multiply-adds for each element copied, from which on it pays."""


def wins(window: Window, channels: int, out_channels: int, groups: int) -> bool:
    """Whether it takes a convolution, or a gradient, and is quicker."""
    is_plain = groups == 1 and window.kernel == (1, 1) and window.padding == (0, 0)
    return is_plain and channels * out_channels >= LEAST_USES * (channels + out_channels)


def _turned(pictures: Array, size: Pair, stride: Pair = (1, 1)) -> Array:
    """The view (channel, picture, row, column) of pictures (n, c, h, w), of every so many rows and columns."""
    n, c, row, column = pictures.strides
    shape = pictures.shape[1], pictures.shape[0], *size
    return pictures.view(shape, (c, n, row * stride[0], column * stride[1]))


def _gather(program, pictures: Array, size: Pair, stride: Pair = (1, 1)) -> Array:
    """A temporary array (channels, pictures · positions) with these pictures."""
    gathered = program.workspace((pictures.shape[1], pictures.shape[0], *size))
    program.copy(gathered, _turned(pictures, size, stride))
    return gathered.view((gathered.shape[0], gathered.size // gathered.shape[0]))


def append(
    program, out: Array, x: Array, weight: Array, bias: Array | None, window: Window, activation: str | None
) -> None:
    """Append what computes out (n, o, oh, ow) = activation(weight (o, c, 1, 1) ⋆ x (n, c, h, w) + bias)."""
    size, out_channels = out.shape[2:], out.shape[1]
    gathered = _gather(program, x, size, window.stride)
    result = program.workspace((out_channels, gathered.shape[1]))
    if bias is not None:  # a row is a channel here
        program.copy(result, bias.view(result.shape, (1, 0)))
    rows = weight.view((out_channels, x.shape[1]))
    matmul(program, result, rows, gathered, activation=activation, accumulate=bias is not None)
    program.copy(_turned(out, size), result.view((out_channels, out.shape[0], *size)))


def append_input_grad(program, out: Array, grad: Array, weight: Array, window: Window) -> None:
    """Append what computes out (n, c, h, w) from grad (n, o, oh, ow): 0 where a stride has left elements out."""
    size, channels = grad.shape[2:], out.shape[1]
    gathered = _gather(program, grad, size)
    result = program.workspace((channels, gathered.shape[1]))
    matmul(program, result, weight.view((channels, grad.shape[1]), (1, channels)), gathered)
    if window.stride != (1, 1):
        program.fill(out, 0)
    program.copy(_turned(out, size, window.stride), result.view((channels, out.shape[0], *size)))


def append_weight_grad(program, out: Array, bias_out: Array | None, grad: Array, x: Array, window: Window) -> None:
    """Append what computes out (o, c, 1, 1), and bias_out (o,) or None, from grad (n, o, oh, ow) and x (n, c, h, w)."""
    size, channels, out_channels = grad.shape[2:], x.shape[1], grad.shape[1]
    inputs, gradients = _gather(program, x, size, window.stride), _gather(program, grad, size)
    positions = inputs.shape[1]
    matmul(program, out.view((out_channels, channels)), gradients, inputs.view((positions, channels), (1, positions)))
    if bias_out is not None:
        program.reduce(bias_out.view((out_channels, 1)), gradients, (1,), "sum")
