"""Two-dimensional convolution and its gradient for the input: the choice between the kernels, and nothing else.

All are a walk of taps over bands of pictures (``geometry.py``), done with vectors over the output channels
(``conv_channels.py``), over neighbouring positions (``conv_positions.py``) or over pictures (``conv_pictures.py``).
Depthwise convolutions, which share nothing between channels, have ``conv_depthwise.py``; the gradient for the weights
is in ``conv_weight.py``.
"""

from __future__ import annotations

import functools
import os

from numbanet.kernels.contract import Pair
from numbanet.kernels.cpu import conv_channels, conv_depthwise, conv_pictures, conv_positions, conv_winograd
from numbanet.kernels.cpu.conv_channels import Filters
from numbanet.kernels.cpu.conv_pictures import GROUP, tap_counts
from numbanet.kernels.cpu.conv_weight import conv2d_weight_grad
from numbanet.kernels.cpu.gemm import ACTIVATIONS, matmul
from numbanet.kernels.cpu.geometry import Walk, Window, channel_block, forward_walk, gradient_walk
from numbanet.kernels.cpu.pointwise import float32_contiguous
from numbanet.kernels.cpu.simd.tile import LANES

FORMS = ("positions", "channels", "pictures")
TURN_STEPS = 12
"""Turning the result of the form "channels" costs as much as so many steps of its chains."""
PICTURE_STEPS = 8
"""Turning a result of the form "pictures", or as many inputs as a tile has, costs as much as so many steps."""
PRODUCT_POSITIONS = 128
"""Positions of a picture from which a 1 × 1 convolution is a product: few of them fill no tile."""
STORE_STEPS = 4
"""Adding a tile to the output costs as much as so many steps of its chain."""


def efficiency(form: str, rows: int, walk: Walk, size: Pair, pictures: int, channels: int, out_channels: int) -> float:
    """Share of the multiply-adds' time in all time, and of those that count in all multiply-adds."""
    (ys, met_ys), (xs, met_xs) = tap_counts(walk.rows, size[0]), tap_counts(walk.columns, size[1])
    steps, useful = max(ys * xs * channels, 1), met_ys * met_xs / max(ys * xs, 1e-9)
    chains = -(-channels // channel_block(max(1, *(len(walk.taps(segment)[0]) for segment in walk.segments))))
    if form == "channels":
        share = out_channels / conv_channels.padded(out_channels)
        return useful * share * steps / (steps + STORE_STEPS * chains + TURN_STEPS)
    # A last tile that is shifted back does some rows twice: 10 channels are two tiles of 6 (12 rows).
    tiles = -(-out_channels // rows)
    share = out_channels / (tiles * rows)
    if form == "pictures":
        # A tenth less, because a tap of another channel is far away in the band.
        share *= 0.9 * pictures / (-(-pictures // GROUP) * GROUP) * min(1.0, rows * conv_pictures.COLUMNS / 10)
        inputs = channels * size[0] * size[1] / (walk.rows.size * walk.columns.size * tiles * rows)
        return share * steps * useful / (steps * useful + STORE_STEPS * chains + PICTURE_STEPS * (1 + inputs))
    width = walk.columns.size
    share *= width / (-(-width // LANES) * LANES)
    accumulators = rows * conv_positions.TILES[rows]
    return useful * share * min(1.0, accumulators / 10) * steps / (steps + STORE_STEPS * chains)


def forced_form() -> str:
    """The direct form that ``NUMBANET_CONV`` asks for, "" if it asks for none."""
    forced = os.environ.get("NUMBANET_CONV", "")
    if forced not in ("", *FORMS):
        raise ValueError(f"NUMBANET_CONV is {forced!r}; it must be one of {', '.join(FORMS)} (or unset)")
    return forced


@functools.lru_cache(maxsize=512)
def choose(walk: Walk, size: Pair, pictures: int, channels: int, out_channels: int) -> tuple[str, int]:
    """The form of a convolution and the rows of its tile: what wastes the least time.

    "channels" takes any stride and wastes nothing but the lanes beyond the last channel and products with padding;
    "positions" needs stride 1, has no result to turn, and wastes lanes at the end of each row of the picture;
    "pictures" wastes nothing but lanes beyond the last picture, and turns the pictures as well as the result. All give
    the same bits. ``NUMBANET_CONV`` forces a form where it is possible.
    """
    forced = forced_form()
    choices = [("channels", conv_channels.ROWS)]
    if walk.columns.phases == walk.rows.phases == walk.columns.step == 1:
        choices += [("positions", rows) for rows in conv_positions.TILES if rows <= out_channels]
    choices += [("pictures", rows) for rows in conv_pictures.ROWS if rows <= out_channels]
    wanted = [choice for choice in choices if choice[0] == forced] or choices
    return max(wanted, key=lambda choice: efficiency(*choice, walk, size, pictures, channels, out_channels))


@functools.lru_cache(maxsize=512)
def window_of(shape, out_shape, kernel_size, stride, padding, dilation) -> Window:
    """The geometry of a convolution as it is called."""
    return Window(*shape[2:], *out_shape[2:], kernel_size, stride, padding, dilation)


def is_depthwise(channels: int, out_channels: int, groups: int) -> bool:
    """Whether every group is one channel in and one out."""
    return channels == out_channels == groups > 1


def is_product(walk: Walk, size: Pair) -> bool:
    """Whether a convolution without bias is one product a picture: 1 × 1 taps, all positions, not too few."""
    axes = zip((walk.rows, walk.columns), size, strict=True)
    is_plain = all(
        axis.taps == (((0, 0),),) and axis.step == 1 and axis.pad == 0 and axis.size == extent for axis, extent in axes
    )
    return is_plain and size[0] * size[1] >= PRODUCT_POSITIONS


def _append_product(program, out, x, weight, filters, activation):
    """out (o, positions) = weight (o, c) · x (c, positions) of each picture: nothing is packed, nothing turned."""
    pictures, channels, positions = x.shape[0], x.shape[1], x.shape[2] * x.shape[3]
    shape, strides = (pictures, out.shape[1], channels), (0, filters.out_stride, filters.channel_stride)
    planes = [array.view((pictures, array.shape[1], positions)) for array in (out, x)]
    matmul(program, planes[0], weight.view(shape, strides), planes[1], activation=activation)


def _append(program, out, x, weight, bias, walk, filters, groups, activation, skip):
    if is_depthwise(x.shape[1], out.shape[1], groups):
        conv_depthwise.append(program, out, x, weight, bias, walk, activation)
        return
    if not forced_form() and groups == 1 and bias is None and is_product(walk, x.shape[2:]):
        _append_product(program, out, x, weight, filters, "relu" if activation else None)
        return
    if not forced_form() and conv_winograd.wins(walk, x.shape[1], out.shape[1], groups):
        conv_winograd.append(program, out, x, weight, bias, walk, filters, activation)
        return
    form, rows = choose(walk, x.shape[2:], x.shape[0], x.shape[1] // groups, out.shape[1] // groups)
    if form == "channels":
        conv_channels.append(program, out, x, weight, bias, walk, filters, groups, activation)
    elif form == "pictures":
        conv_pictures.append(program, out, x, weight, bias, walk, filters, groups, activation, rows)
    else:
        conv_positions.append(program, out, x, weight, bias, walk, filters, groups, activation, rows, skip)


def conv2d(program, out, x, weight, bias, stride, padding, dilation, groups, activation=None):
    reason = float32_contiguous(out, x, weight, bias)
    if reason is None and out.size:
        if weight.shape[1] == 0:
            return "an empty sum"
        walk = forward_walk(window_of(x.shape, out.shape, weight.shape[2:], stride, padding, dilation))
        area, taps = weight.shape[2] * weight.shape[3], weight.size // weight.shape[0]
        filters = Filters(weight.size // groups, taps, area)
        _append(program, out, x, weight, bias, walk, filters, groups, ACTIVATIONS[activation], False)
    return reason


def conv2d_input_grad(program, out, grad, weight, stride, padding, dilation, groups):
    reason = float32_contiguous(out, grad, weight)
    if reason is None and out.size:
        if grad.size == 0:
            return "an empty sum"
        walk = gradient_walk(window_of(out.shape, grad.shape, weight.shape[2:], stride, padding, dilation))
        area, taps = weight.shape[2] * weight.shape[3], weight.size // weight.shape[0]
        filters = Filters(weight.size // groups, area, taps)
        _append(program, out, grad, weight, None, walk, filters, groups, 0, True)
    return reason


FUNCTIONS = (conv2d, conv2d_input_grad, conv2d_weight_grad)
