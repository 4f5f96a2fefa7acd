"""Pools as functions: PyTorch's names and arguments. Those of sequences are pools of pictures of height 1, as views."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from numbanet.autograd import apply
from numbanet.nn._arguments import Size, as_pictures, pair, pictures, single
from numbanet.ops.pool import AdaptiveAvgPool2d, AdaptiveMaxPool2d, AvgPool2d, MaxPool2d, MaxPool2dIndices
from numbanet.tensor import Tensor


def max_pool2d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """The maximum of each window; with return_indices also where it is in its plane (int64)."""
    planes, is_single = pictures(input, "max_pool2d")
    kernel = pair(kernel_size, "kernel_size")
    stride = kernel if stride is None or stride == () else pair(stride, "stride")
    op = MaxPool2d(kernel, stride, pair(padding, "padding"), pair(dilation, "dilation"), bool(ceil_mode))
    result, positions = apply(op, planes)
    if is_single:
        result = result.squeeze(0)
    if not return_indices:
        return result
    indices = apply(MaxPool2dIndices(op.kernel, op.stride, op.padding, op.dilation, planes.shape[3]), positions)
    return result, indices.squeeze(0) if is_single else indices


def avg_pool2d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
    divisor_override: int | None = None,
) -> Tensor:
    """The mean of each window; with ``divisor_override`` its sum over that number."""
    planes, is_single = pictures(input, "avg_pool2d")
    kernel, padding = pair(kernel_size, "kernel_size"), pair(padding, "padding")
    stride = kernel if stride is None or stride == () else pair(stride, "stride")
    if divisor_override == 0:
        raise RuntimeError("divisor must be not zero")
    includes_pad = bool(count_include_pad) or divisor_override is not None
    result = apply(AvgPool2d(kernel, stride, padding, bool(ceil_mode), includes_pad), planes)
    if divisor_override is not None:
        cells = _cells(planes.shape[2:], result.shape[2:], kernel, stride, padding)
        result = result * result.new_tensor((cells / divisor_override).astype(result.dtype))
    return result.squeeze(0) if is_single else result


def _cells(
    sizes: Sequence[int],
    counts: Sequence[int],
    kernel: Sequence[int],
    stride: Sequence[int],
    padding: Sequence[int],
) -> np.ndarray:
    """How many cells of the padded picture each window (oh, ow) has; with ``ceil_mode`` the last ones reach over."""
    rows, columns = (
        np.minimum(k, size + 2 * p - s * np.arange(count))
        for size, count, k, s, p in zip(sizes, counts, kernel, stride, padding, strict=True)
    )
    return np.outer(rows, columns)


def max_pool1d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    dilation: Size = 1,
    ceil_mode: bool = False,
    return_indices: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """The maximum of each window of a sequence (n, c, length); with return_indices also where it is (int64)."""
    planes, kernel = as_pictures(input, "max_pool1d"), single(kernel_size, "kernel_size")
    step = kernel if stride is None or stride == () else single(stride, "stride")
    across, apart = single(padding, "padding"), single(dilation, "dilation")
    result = max_pool2d(planes, (1, kernel), (1, step), (0, across), (1, apart), ceil_mode, return_indices)
    return tuple(one.squeeze(-2) for one in result) if return_indices else result.squeeze(-2)


def avg_pool1d(
    input: Tensor,
    kernel_size: Size,
    stride: Size | None = None,
    padding: Size = 0,
    ceil_mode: bool = False,
    count_include_pad: bool = True,
) -> Tensor:
    """The mean of each window of a sequence (n, c, length)."""
    planes, kernel = as_pictures(input, "avg_pool1d"), single(kernel_size, "kernel_size")
    step = kernel if stride is None or stride == () else single(stride, "stride")
    across = (0, single(padding, "padding"))
    return avg_pool2d(planes, (1, kernel), (1, step), across, ceil_mode, count_include_pad).squeeze(-2)


def adaptive_avg_pool1d(input: Tensor, output_size: Size) -> Tensor:
    """The mean of output_size windows that share the sequence (n, c, length) out."""
    planes = as_pictures(input, "adaptive_avg_pool1d")
    return adaptive_avg_pool2d(planes, (1, single(output_size, "output_size"))).squeeze(-2)


def adaptive_max_pool1d(
    input: Tensor, output_size: Size, return_indices: bool = False
) -> Tensor | tuple[Tensor, Tensor]:
    """The maximum of output_size windows that share the sequence (n, c, length) out."""
    planes = as_pictures(input, "adaptive_max_pool1d")
    result = adaptive_max_pool2d(planes, (1, single(output_size, "output_size")), return_indices)
    return tuple(one.squeeze(-2) for one in result) if return_indices else result.squeeze(-2)


def _output_size(pictures: Tensor, output_size: int | Sequence[int | None] | None, name: str) -> tuple[int, int]:
    """The two sizes of an adaptive pool's output; None keeps the picture's."""
    sizes = output_size if isinstance(output_size, tuple | list) else (output_size, output_size)
    if len(sizes) != 2:
        raise ValueError(f"{name}: output_size should be an int or a pair, got {output_size!r}")
    pairs = zip(pictures.shape[2:], sizes, strict=True)
    height, width = (extent if size is None else int(size) for extent, size in pairs)
    return height, width


def adaptive_avg_pool2d(input: Tensor, output_size: int | Sequence[int | None] | None) -> Tensor:
    """The mean of output_size windows that share the picture out: window i of n covers ⌊i·h/n⌋ … ⌈(i+1)·h/n⌉ − 1."""
    planes, is_single = pictures(input, "adaptive_avg_pool2d")
    result = apply(AdaptiveAvgPool2d(_output_size(planes, output_size, "adaptive_avg_pool2d")), planes)
    return result.squeeze(0) if is_single else result


def adaptive_max_pool2d(
    input: Tensor, output_size: int | Sequence[int | None] | None, return_indices: bool = False
) -> Tensor | tuple[Tensor, Tensor]:
    """The maximum of each window of adaptive_avg_pool2d; with return_indices also where it is in its plane (int64)."""
    planes, is_single = pictures(input, "adaptive_max_pool2d")
    result, indices = apply(AdaptiveMaxPool2d(_output_size(planes, output_size, "adaptive_max_pool2d")), planes)
    if is_single:
        result = result.squeeze(0)
    if not return_indices:
        return result
    indices = indices.long()
    return result, indices.squeeze(0) if is_single else indices
