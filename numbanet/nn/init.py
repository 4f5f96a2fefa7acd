"""Initialisation of parameters: PyTorch's names and formulas, numbers from the initialisation stream of the generator.

Every function writes into its tensor in place, outside the graph, and returns it. The same ``numbanet.manual_seed``
gives the same weights on every machine and back end.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import TYPE_CHECKING

import numpy as np

from numbanet.autograd import no_grad
from numbanet.kernels.numpy.random import normal as draw_normal
from numbanet.random import INITIALISATION, draw
from numbanet.tensor import Tensor

if TYPE_CHECKING:
    from numbanet.nn.module import Module

_GAINS = {
    "linear": 1.0,
    "conv1d": 1.0,
    "conv2d": 1.0,
    "conv3d": 1.0,
    "conv_transpose1d": 1.0,
    "conv_transpose2d": 1.0,
    "conv_transpose3d": 1.0,
    "sigmoid": 1.0,
    "tanh": 5.0 / 3.0,
    "relu": math.sqrt(2.0),
    "selu": 0.75,
}


def calculate_gain(nonlinearity: str, param: float | None = None) -> float:
    """The factor on the standard deviation that makes up for a nonlinearity.

    1 for linear layers and sigmoid, 5/3 for tanh, √2 for relu, √(2 / (1 + a²)) for leaky_relu with slope a = ``param``
    (0.01 unless given), 3/4 for selu.
    """
    if nonlinearity == "leaky_relu":
        if param is None:
            param = 0.01
        elif isinstance(param, bool) or not isinstance(param, (int, float)):
            raise ValueError(f"negative_slope {param} not a valid number")
        return math.sqrt(2.0 / (1.0 + param**2))
    if nonlinearity not in _GAINS:
        raise ValueError(f"Unsupported nonlinearity {nonlinearity}; there are: {', '.join([*_GAINS, 'leaky_relu'])}")
    return _GAINS[nonlinearity]


def fans(tensor: Tensor) -> tuple[int, int]:
    """(fan-in, fan-out) of a weight (out, in, …): inputs that reach one output, outputs that one input reaches."""
    if tensor.ndim < 2:
        raise ValueError("Fan in and fan out can not be computed for tensor with fewer than 2 dimensions")
    receptive_field = math.prod(tensor.shape[2:])
    return tensor.shape[1] * receptive_field, tensor.shape[0] * receptive_field


def uniform_(tensor: Tensor, a: float = 0.0, b: float = 1.0) -> Tensor:
    """Fill with U(a, b)."""
    with no_grad():
        return tensor.uniform_(a, b)


def normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0) -> Tensor:
    """Fill with N(mean, std²)."""
    with no_grad():
        return tensor.normal_(mean, std)


def constant_(tensor: Tensor, val: float) -> Tensor:
    """Fill with ``val``."""
    with no_grad():
        return tensor.fill_(val)


def zeros_(tensor: Tensor) -> Tensor:
    """Fill with 0."""
    return constant_(tensor, 0.0)


def ones_(tensor: Tensor) -> Tensor:
    """Fill with 1."""
    return constant_(tensor, 1.0)


def eye_(tensor: Tensor) -> Tensor:
    """The identity matrix, cut or padded with zeros to the shape of a matrix."""
    if tensor.ndim != 2:
        raise ValueError("Only tensors with 2 dimensions are supported")
    return _write(tensor, np.eye(*tensor.shape))


def trunc_normal_(tensor: Tensor, mean: float = 0.0, std: float = 1.0, a: float = -2.0, b: float = 2.0) -> Tensor:
    """Fill with N(mean, std²) cut to [a, b] (absolute bounds): values outside are drawn again."""
    if not a < b:
        raise ValueError(f"trunc_normal_ needs a < b, but got a={a}, b={b}")
    reach = (math.erf((b - mean) / (std * math.sqrt(2.0))) - math.erf((a - mean) / (std * math.sqrt(2.0)))) / 2.0
    if reach < 1e-3:
        raise ValueError(
            f"trunc_normal_: only {reach:.1e} of N({mean}, {std}²) lies in [{a}, {b}]; move mean into the interval"
        )
    values = _normal_values(tensor.shape).reshape(-1) * std + mean
    outside = np.flatnonzero((values < a) | (values > b))
    while outside.size:
        values[outside] = _normal_values((outside.size,)) * std + mean
        outside = outside[(values[outside] < a) | (values[outside] > b)]
    return _write(tensor, values.reshape(tensor.shape))


def kaiming_uniform_(tensor: Tensor, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu") -> Tensor:
    """U(−β, β) with β = √3 · gain / √fan: variance gain²/fan (He et al. 2015; LECTURE row L11)."""
    bound = math.sqrt(3.0) * _kaiming_std(tensor, a, mode, nonlinearity)
    return uniform_(tensor, -bound, bound)


def kaiming_normal_(tensor: Tensor, a: float = 0.0, mode: str = "fan_in", nonlinearity: str = "leaky_relu") -> Tensor:
    """N(0, gain²/fan): with ``nonlinearity="relu"`` the lecture's Std = √(2 / fan-in) (He et al. 2015)."""
    return normal_(tensor, 0.0, _kaiming_std(tensor, a, mode, nonlinearity))


def xavier_uniform_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """U(−β, β) with β = gain · √(6 / (fan-in + fan-out)) (Glorot and Bengio 2010)."""
    bound = gain * math.sqrt(6.0 / sum(fans(tensor)))
    return uniform_(tensor, -bound, bound)


def xavier_normal_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """N(0, gain² · 2 / (fan-in + fan-out)) (Glorot and Bengio 2010)."""
    return normal_(tensor, 0.0, gain * math.sqrt(2.0 / sum(fans(tensor))))


def orthogonal_(tensor: Tensor, gain: float = 1.0) -> Tensor:
    """A (semi-)orthogonal matrix times ``gain``: Q of the QR decomposition of a normal matrix (Saxe et al. 2013).

    Axes after the first are taken as one. The signs are fixed by R's diagonal, so that Q is uniformly distributed.
    """
    if tensor.ndim < 2:
        raise ValueError("Only tensors with 2 or more dimensions are supported")
    if tensor.numel() == 0:
        return tensor
    rows, columns = tensor.shape[0], math.prod(tensor.shape[1:])
    flat = _normal_values((rows, columns))
    q, r = np.linalg.qr(flat.T if rows < columns else flat)
    q = q * np.where(np.diag(r) < 0, -1.0, 1.0)
    return _write(tensor, gain * (q.T if rows < columns else q).reshape(tensor.shape))


SCHEMES: dict[str, Callable[[Tensor, str], Tensor]] = {
    "kaiming_normal": lambda weight, name: kaiming_normal_(weight, nonlinearity=name),
    "kaiming_uniform": lambda weight, name: kaiming_uniform_(weight, nonlinearity=name),
    "kaiming_normal_fan_out": lambda weight, name: kaiming_normal_(weight, mode="fan_out", nonlinearity=name),
    "kaiming_uniform_fan_out": lambda weight, name: kaiming_uniform_(weight, mode="fan_out", nonlinearity=name),
    "xavier_normal": lambda weight, name: xavier_normal_(weight),
    "xavier_uniform": lambda weight, name: xavier_uniform_(weight),
    "orthogonal": lambda weight, name: orthogonal_(weight, calculate_gain(name)),
    "constant": lambda weight, name: ones_(weight),
}
"""How a weight starts, by name: ``SCHEMES[name](weight, nonlinearity)``."""


def has_filters(module: Module) -> bool:
    """Whether a module has the method ``filters``, as linear, convolution and locally connected layers do: not just
    anything of the name."""
    return callable(getattr(type(module), "filters", None))


def initialise_(module: Module, scheme: str, nonlinearity: str = "relu", scale: float = 1.0) -> Module:
    """Start all linear, convolution and locally connected layers of ``module`` anew (LECTURE row L11).

    ``scheme`` is one of ``SCHEMES``, with the gain of ``nonlinearity`` and biases 0, or "pytorch", which is what the
    layers do by themselves. ``scale`` multiplies the weights: below 1 they are too small, and signals die out with
    depth, above 1 too big, and they explode; it is the gain of Xavier's schemes, and what all weights of "constant"
    are. Raises ValueError for an unknown scheme or a scale that is not finite.
    """
    if not math.isfinite(scale):
        raise ValueError(f"scale must be a finite number, not {scale}")
    if scheme != "pytorch" and scheme not in SCHEMES:
        raise ValueError(f"unknown scheme {scheme!r}; use one of: pytorch, {', '.join(SCHEMES)}")
    for layer in module.modules():
        if not has_filters(layer):
            continue
        if scheme == "pytorch":
            layer.reset_parameters()
        else:
            with no_grad():
                for weight in layer.filters():
                    SCHEMES[scheme](weight, nonlinearity)
            if layer.bias is not None:
                zeros_(layer.bias)
        if scale != 1:
            with no_grad():
                layer.weight.mul_(scale)
    return module


def _kaiming_std(tensor: Tensor, a: float, mode: str, nonlinearity: str) -> float:
    modes = ("fan_in", "fan_out")
    if mode not in modes:
        raise ValueError(f"Mode {mode} not supported, please use one of {list(modes)}")
    if 0 in tensor.shape:
        return 0.0
    return calculate_gain(nonlinearity, a) / math.sqrt(fans(tensor)[modes.index(mode)])


def _normal_values(shape: tuple[int, ...]) -> np.ndarray:
    """Standard normal float64 values from the initialisation stream; drawn by NumPy whatever the back end is."""
    values = np.empty(shape)
    draw_normal(values, 0.0, 1.0, *draw(INITIALISATION, values.size, values.dtype))
    return values


def _write(tensor: Tensor, values: np.ndarray) -> Tensor:
    with no_grad():
        return tensor.copy_(tensor.new_tensor(values.astype(tensor.dtype)))
