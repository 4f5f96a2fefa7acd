"""The choice between the forms of a convolution and of its gradients: all of it is here, and it knows the shape only.

What a training step or an inference takes is shown by ``numbanet plan MODEL --kernels``.
"""

from __future__ import annotations

import functools
import os

from numbanet.kernels.contract import Pair
from numbanet.kernels.cpu import (
    conv_channels,
    conv_gathered,
    conv_pictures,
    conv_pooled_input,
    conv_positions,
    conv_weight_rows,
    conv_weight_winograd,
    conv_winograd,
    pooled,
)
from numbanet.kernels.cpu.caches import cache_bytes
from numbanet.kernels.cpu.conv_pictures import GROUP
from numbanet.kernels.cpu.geometry import Walk, Window, channel_block, gradient_walk, tap_counts
from numbanet.kernels.cpu.samples import has_samples, spread
from numbanet.kernels.cpu.simd.tile import LANES

DIRECT = ("positions", "channels", "pictures")
"""The forms that multiply each weight with each input, to the same bits."""
TURN_STEPS = 12
"""Turning the result of the form "channels" costs as much as so many steps of its chains."""
PICTURE_STEPS = 6 if LANES < 16 else 10
"""Turning a result of the form "pictures", or as many inputs as a tile has, costs as much as so many steps: it is done
by blocks of eight, however many lanes there are."""
PRODUCT_POSITIONS = 128
"""Positions of a picture from which a 1 × 1 convolution is a product: few of them fill no tile."""
STORE_STEPS = 4
"""Adding a tile to the output costs as much as so many steps of its chain."""
POSITION_STEPS = 8
"""The same of the form "positions", whose vectors have each a place and a number of lanes of its own."""
FAR_RESULTS = 3 * cache_bytes(2) // 256
"""Outputs of a picture beyond which those of 16 pictures, which are written side by side, fill three quarters of the
second-level cache; then the form "pictures" takes half as long again."""
SAMPLE_OUTPUTS = 24
"""Packing a sample costs as much as multiply-adds for so many output channels, where vectors of samples are full."""
BAND_OUTPUTS = 16
"""The same of an element of a band, or of pictures that are turned: all of them, however few a stride reads."""
FAR_OUTPUTS = 256
"""Output channels beyond which the lines that a tile of samples is stored to are too many for the first cache."""
FAR_CHANNELS = 16
"""Channels beyond which those of a tap of the form "pictures" are too far from each other for the first caches."""


def packing(form: str, walk: Walk) -> float:
    """What packing costs for each tap and position: as much as multiply-adds for so many output channels.

    0 where windows overlap: then each element is packed for many taps."""
    if not has_samples(walk):
        return 0.0
    if form == "positions":  # samples, in whole vectors or in halves of them
        width = walk.columns.size
        return SAMPLE_OUTPUTS * (8 if width <= 8 else -(-width // 16) * 16) / width
    return BAND_OUTPUTS * spread(walk) if form == "channels" or spread(walk) > 1 else 0.0


def busy(rows: int, columns: int, load: float) -> float:
    """Share of the multiply-adds that a processor can do in the time that a step of a tile takes.

    Ten of them are on their way at once, or with vectors of 16 lanes four, of which each takes as long as a load, and
    loads that cross a cache line take twice as long: ``load`` is how long those of the columns take."""
    if LANES < 16:
        return min(1.0, rows * columns / 10)
    return rows * columns / max(4, rows * columns, rows + load * columns)


def efficiency(form: str, rows: int, walk: Walk, size: Pair, pictures: int, channels: int, out_channels: int) -> float:
    """Share of the multiply-adds' time in all time, and of those that count in all multiply-adds."""
    (ys, met_ys), (xs, met_xs) = tap_counts(walk.rows, size[0]), tap_counts(walk.columns, size[1])
    steps, useful = max(ys * xs * channels, 1), met_ys * met_xs / max(ys * xs, 1e-9)
    chains = -(-channels // channel_block(max(1, *(len(walk.taps(segment)[0]) for segment in walk.segments))))
    packed = packing(form, walk)
    if form == "channels":
        share = out_channels / (conv_channels.padded(out_channels) + packed)
        return conv_channels.useful_share(walk, size) * share * steps / (steps + STORE_STEPS * chains + TURN_STEPS)
    # A last tile that is shifted back does some rows twice: 10 channels are two tiles of 6 (12 rows).
    tiles = -(-out_channels // rows)
    if form == "pictures":
        share = out_channels / (tiles * rows / busy(rows, conv_pictures.COLUMNS, 1) + packed)
        share *= pictures / (-(-pictures // GROUP) * GROUP)
        share *= 0.95 if channels > FAR_CHANNELS else 1.0
        share *= 0.67 if out_channels * walk.rows.size * walk.columns.size > FAR_RESULTS else 1.0
        inputs = channels * size[0] * size[1] / (walk.rows.size * walk.columns.size * tiles * rows)
        return share * steps * useful / (steps * useful + STORE_STEPS * chains + PICTURE_STEPS * (1 + inputs))
    width = walk.columns.size
    if has_samples(walk):
        width *= walk.rows.size
        chains *= 4 if out_channels > FAR_OUTPUTS else 1
    share = out_channels / (tiles * rows / busy(rows, conv_positions.TILES[rows], 2.5) + packed)
    share *= width / (-(-width // LANES) * LANES)
    return useful * share * steps / (steps + POSITION_STEPS * chains)


def forced_form() -> str:
    """The direct form that ``NUMBANET_CONV`` asks for, "" if it asks for none."""
    forced = os.environ.get("NUMBANET_CONV", "")
    if forced not in ("", *DIRECT):
        raise ValueError(f"NUMBANET_CONV is {forced!r}; it must be one of {', '.join(DIRECT)} (or unset)")
    return forced


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


def choose(
    window: Window, walk: Walk, size: Pair, pictures: int, channels: int, out_channels: int, groups: int, bias: bool
) -> tuple[str, int]:
    """The form of a convolution, or of its gradient for the input, and the rows of a direct form's tile.

    "depthwise", where each channel has filters of its own: nothing is shared, so memory decides. "product" for 1 × 1
    filters without bias or padding over all positions of pictures that are not too small: nothing is packed or turned.
    "gathered" for small or strided ones with so many channels that copying costs little. "winograd" for 3 × 3
    filters of stride 1 with 16 to 128 channels: 16 products instead of 36, in other bits; with fewer channels the
    transforms cost more than they save, with more they leave the cache. Else one of the direct forms.
    ``NUMBANET_CONV`` forces one of these where it is possible.
    """
    if is_depthwise(channels, out_channels, groups):
        return "depthwise", 0
    if not forced_form():
        has_large_pictures = groups == 1 and is_product(walk, size)
        if has_large_pictures and not bias:
            return "product", 0
        if not has_large_pictures and conv_gathered.wins(window, channels, out_channels, groups):
            return "gathered", 0
        if conv_winograd.wins(walk, channels, out_channels, groups):
            return "winograd", 0
    return choose_direct(walk, size, pictures, channels // groups, out_channels // groups)


@functools.lru_cache(maxsize=512)
def choose_direct(walk: Walk, size: Pair, pictures: int, channels: int, out_channels: int) -> tuple[str, int]:
    """The direct form and the rows of its tile, for a group of channels: what wastes the least time.

    "channels" takes any stride and wastes nothing but the lanes beyond the last channel, and products with the padding
    of pictures that are cut into bands, or whose edges would not fill a tile;
    "positions" has no result to turn, and wastes lanes at the end of each row of the picture, or, where a stride leaves
    out so much that samples are packed (``has_samples``), of each picture only;
    "pictures" wastes nothing but lanes beyond the last picture, and turns the pictures as well as the result.
    """
    forced = forced_form()
    choices = [("channels", conv_channels.ROWS)]
    if walk.columns.phases == walk.rows.phases == 1 and (walk.columns.step == 1 or has_samples(walk)):
        choices += [("positions", rows) for rows in conv_positions.TILES if rows <= out_channels]
    choices += [("pictures", rows) for rows in conv_pictures.ROWS if rows <= out_channels]
    wanted = [choice for choice in choices if choice[0] == forced] or choices
    return max(wanted, key=lambda choice: efficiency(*choice, walk, size, pictures, channels, out_channels))


def choose_for_weights(window: Window, channels: int, out_channels: int, groups: int) -> str:
    """The form of the gradient for the weights.

    "depthwise" and "gathered" as above, the latter for strides only. "winograd" with at most 128 channels on both
    sides, whose sums stay in the cache. Else "rows", dot products over neighbouring positions (or over samples, where a
    stride leaves most of a picture out), where few output channels would leave more of a vector's lanes idle than the
    ends of rows do, and "channels", vectors of output channels, for the rest. Their sums differ in the last bits.
    """
    if is_depthwise(channels, out_channels, groups):
        return "depthwise"
    if not forced_form():
        if window.stride != (1, 1) and conv_gathered.wins(window, channels, out_channels, groups):
            return "gathered"
        if conv_weight_winograd.wins(window, channels, out_channels, groups):
            return "winograd"
    return "rows" if conv_weight_rows.wins(out_channels // groups, window) else "channels"


def choose_for_pooled(
    window: Window, pool_kernel: Pair, pool_stride: Pair, pictures: int, channels: int, out_channels: int, groups: int
) -> tuple[bool, bool]:
    """Whether the gradients of a convolution with a max pool behind it, for the weights and for the input, skip what
    the pool did not pass on.

    That takes the place of direct forms only, which multiply zeros as well: Winograd's save as much as it does. The
    pool must leave a quarter or less, and planes that are not too small (a vector of entries) nor too large (bands of
    all rows and lists stay in the caches).
    """
    if groups > 1 or forced_form() or window.dilation[1] > 1 or pool_stride[0] * pool_stride[1] < 4:
        return False, False
    rows, columns = ((n - k) // s + 1 for n, k, s in zip(window.out_size, pool_kernel, pool_stride, strict=True))
    if not pooled.fits(window, rows * columns, channels, out_channels) or pool_kernel[0] * pool_kernel[1] > 256:
        return False, False
    walk = gradient_walk(window)
    form, _ = choose(window, walk, window.out_size, pictures, out_channels, channels, groups, False)
    return (
        choose_for_weights(window, channels, out_channels, groups) in ("rows", "channels"),
        form in DIRECT and conv_pooled_input.wins(window, channels, out_channels),
    )
