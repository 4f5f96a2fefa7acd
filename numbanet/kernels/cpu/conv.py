"""Two-dimensional convolution and its gradients: what each is made of; ``conv_choice.py`` says which form it takes.

All but Winograd's (``conv_winograd.py``, ``conv_weight_winograd.py``) are a walk of taps over bands of pictures
(``geometry.py``), done with vectors over the output channels (``conv_channels.py``), over neighbouring positions
(``conv_positions.py``) or over pictures (``conv_pictures.py``). Depthwise convolutions, which share nothing between
channels, have ``conv_depthwise.py`` and ``conv_depthwise_3x3.py``, those of 1 × 1 taps and many channels
``conv_gathered.py``; the gradient for the weights has ``conv_weight.py`` and ``conv_weight_rows.py``.
"""

from __future__ import annotations

import functools

from numbanet.kernels.cpu import (
    conv_channels,
    conv_depthwise,
    conv_gathered,
    conv_pictures,
    conv_positions,
    conv_weight,
    conv_weight_rows,
    conv_weight_winograd,
    conv_winograd,
)
from numbanet.kernels.cpu.conv_channels import Filters
from numbanet.kernels.cpu.conv_choice import choose, choose_for_weights
from numbanet.kernels.cpu.gemm import ACTIVATIONS, matmul
from numbanet.kernels.cpu.geometry import Window, forward_walk, gradient_walk
from numbanet.kernels.cpu.pointwise import float32_contiguous


@functools.lru_cache(maxsize=512)
def window_of(shape, out_shape, kernel_size, stride, padding, dilation) -> Window:
    """The geometry of a convolution as it is called."""
    return Window(*shape[2:], *out_shape[2:], kernel_size, stride, padding, dilation)


def _append_product(program, out, x, weight, filters, activation):
    """out (o, positions) = weight (o, c) · x (c, positions) of each picture: nothing is packed, nothing turned."""
    pictures, channels, positions = x.shape[0], x.shape[1], x.shape[2] * x.shape[3]
    shape, strides = (pictures, out.shape[1], channels), (0, filters.out_stride, filters.channel_stride)
    planes = [array.view((pictures, array.shape[1], positions)) for array in (out, x)]
    matmul(program, planes[0], weight.view(shape, strides), planes[1], activation=activation)


def _append(program, out, x, weight, bias, window, filters, groups, activation, is_gradient):
    walk = gradient_walk(window) if is_gradient else forward_walk(window)
    form, rows = choose(window, walk, x.shape[2:], x.shape[0], x.shape[1], out.shape[1], groups, bias is not None)
    code = ACTIVATIONS[activation]
    if form == "depthwise":
        conv_depthwise.append(program, out, x, weight, bias, walk, code)
    elif form == "gathered" and is_gradient:
        conv_gathered.append_input_grad(program, out, x, weight, window)
    elif form == "gathered":
        conv_gathered.append(program, out, x, weight, bias, window, activation)
    elif form == "product":
        _append_product(program, out, x, weight, filters, activation)
    elif form == "winograd":
        conv_winograd.append(program, out, x, weight, bias, walk, filters, code)
    elif form == "channels":
        conv_channels.append(program, out, x, weight, bias, walk, filters, groups, code)
    elif form == "pictures":
        conv_pictures.append(program, out, x, weight, bias, walk, filters, groups, code, rows)
    else:
        conv_positions.append(program, out, x, weight, bias, walk, filters, groups, code, rows, is_gradient)


def conv2d(program, out, x, weight, bias, stride, padding, dilation, groups, activation=None):
    reason = float32_contiguous(out, x, weight, bias)
    if reason is None and out.size:
        if weight.shape[1] == 0:
            return "an empty sum"
        window = window_of(x.shape, out.shape, weight.shape[2:], stride, padding, dilation)
        area, taps = weight.shape[2] * weight.shape[3], weight.size // weight.shape[0]
        filters = Filters(weight.size // groups, taps, area)
        _append(program, out, x, weight, bias, window, filters, groups, activation, False)
    return reason


def conv2d_input_grad(program, out, grad, weight, stride, padding, dilation, groups):
    reason = float32_contiguous(out, grad, weight)
    if reason is None and out.size:
        if grad.size == 0:
            return "an empty sum"
        window = window_of(out.shape, grad.shape, weight.shape[2:], stride, padding, dilation)
        area, taps = weight.shape[2] * weight.shape[3], weight.size // weight.shape[0]
        filters = Filters(weight.size // groups, area, taps)
        _append(program, out, grad, weight, None, window, filters, groups, None, True)
    return reason


def conv2d_weight_grad(program, out, bias_out, grad, x, stride, padding, dilation, groups, output=None):
    reason = float32_contiguous(out, bias_out, grad, x, output)
    if reason is not None or out.size == 0 or grad.size == 0:
        return reason or "an empty sum"
    window = window_of(x.shape, grad.shape, out.shape[2:], stride, padding, dilation)
    form = choose_for_weights(window, x.shape[1], out.shape[0], groups)
    if form == "rows":
        conv_weight_rows.append(program, out, bias_out, grad, output, x, window, groups)
        return None
    if output is not None:
        masked = program.workspace(grad.shape)
        program.relu_backward(masked, grad, output)
        grad = masked
    if form == "depthwise":
        conv_depthwise.append_weights(program, out, bias_out, grad, x, window)
    elif form == "gathered":
        conv_gathered.append_weight_grad(program, out, bias_out, grad, x, window)
    elif form == "winograd":
        conv_weight_winograd.append(program, out, bias_out, grad, x, window)
    else:
        conv_weight.append(program, out, bias_out, grad, x, window, groups)
    return None


FUNCTIONS = (conv2d, conv2d_input_grad, conv2d_weight_grad)
