"""A convolution and the max pool behind it as one function, and the gradients of both, which skip what the pool did not
pass on (``conv_pooled_weight.py``, ``conv_pooled_input.py``)."""

from __future__ import annotations

from numbanet.kernels.contract import Pair
from numbanet.kernels.cpu import conv_pooled_input, conv_pooled_weight
from numbanet.kernels.cpu.conv import window_of
from numbanet.kernels.cpu.conv_choice import choose_for_pooled
from numbanet.kernels.cpu.pointwise import float32_contiguous

PLAIN = (0, 0), (1, 1)
"""Padding and dilation of the pool."""


def conv2d_max_pool(
    program, out, positions, x, weight, bias, stride, padding, dilation, groups, pool_kernel, pool_stride,
    activation=None,
):  # fmt: skip
    reason = float32_contiguous(out, x, weight, bias)
    if reason is None and out.size:
        full = program.workspace((*out.shape[:2], *conv_size(x.shape, weight.shape, stride, padding, dilation)))
        program.conv2d(full, x, weight, bias, stride, padding, dilation, groups)
        program.max_pool2d(out, positions, full, pool_kernel, pool_stride, *PLAIN)
        if activation is not None:
            program.unary(out, out, activation)
    return reason


def conv_size(shape, weight_shape, stride: Pair, padding: Pair, dilation: Pair) -> Pair:
    """Height and width of what the pool reads."""
    return tuple(
        (shape[2 + a] + 2 * padding[a] - dilation[a] * (weight_shape[2 + a] - 1) - 1) // stride[a] + 1 for a in (0, 1)
    )


def conv2d_max_pool_backward(
    program, x_out, weight_out, bias_out, grad, output, positions, x, weight, stride, padding, dilation, groups,
    pool_kernel, pool_stride,
):  # fmt: skip
    reason = float32_contiguous(x_out, weight_out, bias_out, grad, output, x, weight)
    if reason is not None or grad.size == 0:
        return reason or "an empty sum"
    if weight_out is None and bias_out is not None:
        sums = bias_out.view((1, *bias_out.shape, 1, 1))
        program.reduce(sums, _append_mask(program, grad, output), (0, 2, 3), "sum")
    if x_out is None and weight_out is None:
        return None
    shape, weight_shape = (x if x_out is None else x_out).shape, (weight if weight_out is None else weight_out).shape
    size = conv_size(shape, weight_shape, stride, padding, dilation)
    window = window_of(shape, (*grad.shape[:2], *size), weight_shape[2:], stride, padding, dilation)
    for_weights, for_input = choose_for_pooled(
        window, pool_kernel, pool_stride, shape[0], shape[1], grad.shape[1], groups
    )  # fmt: skip
    for_weights, for_input = for_weights and weight_out is not None, for_input and x_out is not None
    pool = (window, pool_kernel, pool_stride)
    if for_weights:
        partial = conv_pooled_weight.append_sums(program, grad, output, positions, x, weight_shape, *pool)
    if for_input:
        packed = conv_pooled_input.append_pack(program, weight, window)
        conv_pooled_input.append(program, x_out, grad, output, positions, packed, *pool)
    if for_weights:
        conv_pooled_weight.append_total(program, weight_out, bias_out, partial, x, *pool)
    if for_weights == (weight_out is not None) and for_input == (x_out is not None):
        return None
    # What is left goes by way of the gradient of the convolution's output.
    full = program.workspace((*grad.shape[:2], *size))
    program.max_pool2d_backward(
        full, _append_mask(program, grad, output), positions, pool_kernel, pool_stride, *PLAIN
    )  # fmt: skip
    if x_out is not None and not for_input:
        program.conv2d_input_grad(x_out, full, weight, stride, padding, dilation, groups)
    if weight_out is not None and not for_weights:
        program.conv2d_weight_grad(weight_out, bias_out, full, x, stride, padding, dilation, groups)
    return None


def _append_mask(program, grad, output):
    """The gradient before the activation."""
    if output is None:
        return grad
    masked = program.workspace(grad.shape)
    program.relu_backward(masked, grad, output)
    return masked


FUNCTIONS = (conv2d_max_pool, conv2d_max_pool_backward)
