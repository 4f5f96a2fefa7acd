"""Layers as functions: PyTorch's names and arguments."""

from __future__ import annotations

import math
from collections.abc import Sequence

from numbanet.autograd import apply, is_grad_enabled
from numbanet.nn._arguments import Size, as_pictures, pair, pictures, single
from numbanet.nn._attention import scaled_dot_product_attention as scaled_dot_product_attention
from numbanet.nn._dropout import dropout as dropout
from numbanet.nn._dropout import dropout1d as dropout1d
from numbanet.nn._dropout import dropout2d as dropout2d
from numbanet.nn._dropout import dropout3d as dropout3d
from numbanet.nn._embedding import embedding as embedding
from numbanet.nn._norm import batch_norm as batch_norm
from numbanet.nn._norm import group_norm as group_norm
from numbanet.nn._norm import instance_norm as instance_norm
from numbanet.nn._norm import layer_norm as layer_norm
from numbanet.nn._padding import pad as pad
from numbanet.nn.functional_loss import binary_cross_entropy as binary_cross_entropy
from numbanet.nn.functional_loss import binary_cross_entropy_with_logits as binary_cross_entropy_with_logits
from numbanet.nn.functional_loss import cross_entropy as cross_entropy
from numbanet.nn.functional_loss import huber_loss as huber_loss
from numbanet.nn.functional_loss import l1_loss as l1_loss
from numbanet.nn.functional_loss import mse_loss as mse_loss
from numbanet.nn.functional_loss import nll_loss as nll_loss
from numbanet.nn.functional_loss import smooth_l1_loss as smooth_l1_loss
from numbanet.nn.functional_pooling import adaptive_avg_pool1d as adaptive_avg_pool1d
from numbanet.nn.functional_pooling import adaptive_avg_pool2d as adaptive_avg_pool2d
from numbanet.nn.functional_pooling import adaptive_max_pool1d as adaptive_max_pool1d
from numbanet.nn.functional_pooling import adaptive_max_pool2d as adaptive_max_pool2d
from numbanet.nn.functional_pooling import avg_pool1d as avg_pool1d
from numbanet.nn.functional_pooling import avg_pool2d as avg_pool2d
from numbanet.nn.functional_pooling import max_pool1d as max_pool1d
from numbanet.nn.functional_pooling import max_pool2d as max_pool2d
from numbanet.ops.base import INT64
from numbanet.ops.conv import Conv2d
from numbanet.ops.conv_pool import Conv2dMaxPool
from numbanet.ops.local import LocallyConnected2d
from numbanet.ops.matmul import BY_OUTPUT, LINEAR
from numbanet.ops.pointwise import UNARY
from numbanet.ops.pool import MaxPool2d
from numbanet.tensor import Tensor

_GELU = {"none": UNARY["gelu"], "tanh": UNARY["gelu_tanh"]}


# --- activations -----------------------------------------------------------------------------------------------------
def relu(input: Tensor, inplace: bool = False) -> Tensor:
    """max(x, 0)."""
    return input.relu_() if inplace else input.relu()


def sigmoid(input: Tensor) -> Tensor:
    """1 / (1 + exp(−x))."""
    return input.sigmoid()


def tanh(input: Tensor) -> Tensor:
    """The hyperbolic tangent."""
    return input.tanh()


def gelu(input: Tensor, approximate: str = "none") -> Tensor:
    """x·Φ(x), Φ the normal distribution function; with approximate="tanh" ½·x·(1 + tanh(√(2/π)·(x + 0.044715·x³)))."""
    if approximate not in _GELU:
        raise RuntimeError(f"approximate argument must be either none or tanh, got {approximate!r}")
    return apply(_GELU[approximate], input)


def silu(input: Tensor, inplace: bool = False) -> Tensor:
    """x / (1 + exp(−x))."""
    return input.mul_(input.sigmoid()) if inplace else input * input.sigmoid()


def leaky_relu(input: Tensor, negative_slope: float = 0.01, inplace: bool = False) -> Tensor:
    """x where x > 0, else negative_slope · x."""
    result = (input > 0).where(input, input * negative_slope)
    return input.copy_(result) if inplace else result


def softmax(input: Tensor, dim: int, dtype: object = None) -> Tensor:
    """exp(x) / Σ exp(x) along dim."""
    return input.softmax(dim, dtype)


def log_softmax(input: Tensor, dim: int, dtype: object = None) -> Tensor:
    """x − ln Σ exp(x) along dim."""
    return input.log_softmax(dim, dtype)


# --- layers ----------------------------------------------------------------------------------------------------------
def linear(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    activation: str | None = None,
    residual: Tensor | None = None,
) -> Tensor:
    """y (…, out) = activation(x (…, in) Wᵀ + b + residual (…, out)) with weight (out, in) and bias (out,).

    ``activation`` is None, relu, sigmoid, tanh, gelu or gelu_tanh. All in one kernel, with the bits of one after the
    other."""
    if (activation, False) not in LINEAR:
        known = ", ".join(repr(name) for name, has_residual in LINEAR if not has_residual)
        raise ValueError(f"linear: unknown activation {activation!r}; there are: {known}")
    shape = input._array.shape
    if not shape or shape[-1] != weight._array.shape[-1]:
        raise RuntimeError(
            f"linear: an input of shape {shape} does not fit a weight of shape {weight.shape} (out, in): its "
            "last dimension "
            f"should be {weight.shape[-1]}"
        )
    if residual is not None and residual._array.shape != (*shape[:-1], weight._array.shape[0]):
        raise RuntimeError(
            f"linear: a residual of shape {tuple(residual.shape)} does not fit a result of shape "
            f"{(*shape[:-1], weight.shape[0])}"
        )
    late = None
    if activation is not None and activation not in BY_OUTPUT and is_grad_enabled():
        late, activation = UNARY[activation], None  # its gradient needs what it is applied to
    rows = input if len(shape) == 2 else input.reshape((math.prod(shape[:-1]), shape[-1]))
    op = LINEAR[activation, residual is not None]
    inputs = [rows, weight]
    if bias is not None:
        inputs.append(bias.contiguous())
    if residual is not None:
        inputs.append(residual if len(shape) == 2 else residual.reshape((rows.shape[0], weight.shape[0])))
    result = apply(op, *inputs)
    if late is not None:
        result = apply(late, result)
    return result if len(shape) == 2 else result.reshape((*shape[:-1], weight.shape[0]))


def conv2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size | str = 0,
    dilation: Size = 1,
    groups: int = 1,
    activation: str | None = None,
    pool: tuple[Size, Size] | None = None,
) -> Tensor:
    """Cross-correlation of input (n, c, h, w) with weight (o, c/groups, kh, kw), plus bias (o,); see
    ``ops.conv.Conv2d``.

    padding may be "valid" (none) or "same" (output as large as input, with stride 1; of an even kernel's padding the
    larger half lies behind). ``pool``, window and stride of a max pool without padding, is done before the activation;
    see ``ops.conv_pool.Conv2dMaxPool``."""
    if activation not in (None, "relu"):
        raise ValueError(f"conv2d: unknown activation {activation!r}; there are: None, 'relu'")
    stride, dilation = pair(stride, "stride"), pair(dilation, "dilation")
    planes, is_single = pictures(input, "conv2d")
    if isinstance(padding, str):
        planes, padding = _named_padding(padding, planes, weight.shape[2:], stride, dilation)
    conv = Conv2d(stride, pair(padding, "padding"), dilation, groups, activation if pool is None else None)
    inputs = (planes, weight) if bias is None else (planes, weight, bias)
    if pool is None:
        result = apply(conv, *inputs)
    else:
        window, step = (pair(size, "pool") for size in pool)
        maxima = MaxPool2d(window, step, (0, 0), (1, 1), False)
        result, _ = apply(Conv2dMaxPool(conv, maxima, activation), *inputs)
    return result.squeeze(0) if is_single else result


def _named_padding(
    name: str, planes: Tensor, kernel: Sequence[int], stride: tuple, dilation: tuple
) -> tuple[Tensor, tuple[int, ...]]:
    """The planes, padded as far as the kernels do not pad: by an odd number; and the padding to go with them."""
    if name == "valid":
        return planes, (0, 0)
    if name != "same":
        raise ValueError(f"padding should be numbers, 'valid' or 'same', got {name!r}")
    if stride != (1, 1):
        raise ValueError("padding='same' is not supported for strided convolutions")
    spans = [d * (k - 1) for d, k in zip(dilation, kernel, strict=True)]
    if any(span % 2 for span in spans):
        around = [side for span in reversed(spans) for side in (span // 2, span - span // 2)]
        return pad(planes, tuple(around)), (0, 0)
    return planes, tuple(span // 2 for span in spans)


def conv1d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    stride: Size = 1,
    padding: Size | str = 0,
    dilation: Size = 1,
    groups: int = 1,
    activation: str | None = None,
) -> Tensor:
    """Cross-correlation of input (n, c, length) with weight (o, c/groups, k), plus bias (o,): conv2d of height 1."""
    planes = as_pictures(input, "conv1d")
    if weight.ndim != 3:
        raise RuntimeError(f"conv1d needs a weight (o, c/groups, k), got {weight.shape}")
    if not isinstance(padding, str):
        padding = (0, single(padding, "padding"))
    steps = (1, single(stride, "stride")), (1, single(dilation, "dilation"))
    result = conv2d(planes, weight.unsqueeze(2), bias, steps[0], padding, steps[1], groups, activation)
    return result.squeeze(-2)


def locally_connected2d(
    input: Tensor,
    weight: Tensor,
    bias: Tensor | None = None,
    kernel_size: Size = 1,
    stride: Size = 1,
    padding: Size = 0,
) -> Tensor:
    """A convolution whose weights (oh · ow, c · kh · kw, o) and bias (o, oh, ow) differ from position to position.

    See ``ops.local.LocallyConnected2d``; weights tied over positions, ``conv.weight.reshape(o, -1).T`` in each, give
    conv2d."""
    planes, is_single = pictures(input, "locally_connected2d")
    op = LocallyConnected2d(pair(kernel_size, "kernel_size"), pair(stride, "stride"), pair(padding, "padding"))
    result = apply(op, planes, weight)
    if bias is not None:
        if bias.shape != result.shape[1:]:
            raise RuntimeError(f"locally_connected2d: expected bias of shape {result.shape[1:]}, got {bias.shape}")
        result = result + bias
    return result.squeeze(0) if is_single else result


# --- shapes ----------------------------------------------------------------------------------------------------------
def flatten(input: Tensor, start_dim: int = 0, end_dim: int = -1) -> Tensor:
    """The dimensions start_dim … end_dim as one."""
    return input.flatten(start_dim, end_dim)


def one_hot(tensor: Tensor, num_classes: int = -1) -> Tensor:
    """(…, num_classes) int64 with a 1 at the class number; num_classes −1 is one more than the largest."""
    if tensor.dtype != INT64:
        raise RuntimeError(f"one_hot is only applicable to index tensor of type int64, got {tensor.dtype}")
    if tensor.numel() and int(tensor.min()) < 0:
        raise RuntimeError("Class values must be non-negative.")
    largest = int(tensor.max()) if tensor.numel() else -1
    if num_classes == -1:
        if largest < 0:
            raise RuntimeError("Can not infer total number of classes from empty tensor.")
        num_classes = largest + 1
    if largest >= num_classes:
        raise RuntimeError(f"Class values must be smaller than num_classes: {largest} with {num_classes} classes.")
    return (tensor.unsqueeze(-1) == tensor.new_arange(num_classes)).long()
