"""Rows of normalisation."""

from __future__ import annotations

import numpy as np

from numbanet.nn import functional as F
from numbanet.ops import norm, norm_samples
from tests.ops import oracles
from tests.ops.row import Row
from tests.ops.samples import normal, positive

SHAPES = [(5, 3), (130, 17), (4, 1), (300, 2), (4, 3, 5), (3, 4, 7, 7), (2, 3, 16), (1, 3, 7, 9), (3, 1, 4)]
LONG = [(2, 2, 73, 61), (1, 2, 16411), (17, 2, 1031)]


def spread(*shape):
    """Not normal: the cotangents are, and a gradient along the input itself vanishes."""
    return lambda rng: np.asarray(rng.uniform(-2, 2, shape))


def near(mean, *shape):
    """Numbers of deviation 1 about a mean."""
    return lambda rng: mean + rng.normal(0, 1, shape)


def _vectors(shape, count=2):
    return [normal(shape[1]) for _ in range(count)]


def _size(x, weight=None, bias=None, residual=None, mean=None, var=None):
    """|x| and the mean count with their size over σ."""
    axes, shape = oracles.channel_axes(x)
    if mean is None:
        mean, var = np.abs(x).mean(axes), x.var(axes)
    scale = 1 / np.sqrt(var + 1e-5)
    scale = scale if weight is None else scale * np.abs(weight)
    size = (np.abs(x) + np.abs(mean).reshape(shape)) * scale.reshape(shape)
    size = size + (0 if bias is None else np.abs(bias).reshape(shape))
    return size + (0 if residual is None else np.abs(residual))


def _training(x, weight=None, bias=None, residual=None, activation=None):
    return F.batch_norm(x, None, None, weight, bias, True, residual=residual, activation=activation)


def _training_rows():
    for activation in (None, "relu"):
        ops = [norm.BatchNorm, norm.BatchNormBackward]
        settings = {"activation": activation}
        yield Row(
            f"batch_norm {activation}",
            ops,
            lambda x, w, b, k=settings: _training(x, w, b, **k),
            lambda x, w, b, k=settings: oracles.batch_norm(x, w, b, **k),
            [[spread(*shape), *_vectors(shape)] for shape in SHAPES + LONG],
            size=_size,
            twice=True,
        )
        yield Row(
            f"batch_norm {activation}, residual",
            ops,
            lambda x, w, b, r, k=settings: _training(x, w, b, r, **k),
            lambda x, w, b, r, k=settings: oracles.batch_norm(x, w, b, r, **k),
            [[spread(*shape), *_vectors(shape), normal(*shape)] for shape in SHAPES],
            size=_size,
            twice=True,
        )
        yield Row(
            f"batch_norm {activation}, no weight",
            ops,
            lambda x, k=settings: _training(x, **k),
            lambda x, k=settings: oracles.batch_norm(x, **k),
            [[spread(*shape)] for shape in SHAPES],
            size=_size,
            twice=True,
        )


def _given(x, mean, var, weight, bias, residual=None, activation=None):
    return F.batch_norm(x, mean.detach(), var.detach(), weight, bias, False, residual=residual, activation=activation)


def _given_rows():
    for activation in (None, "relu"):
        settings = {"activation": activation}
        yield Row(
            f"batch_norm {activation}, given statistics",
            [norm.BatchNorm, norm.BatchNormBackward],
            lambda x, w, b, k=settings: _given(x, *_constants(x), w, b, **k),
            lambda x, w, b, k=settings: oracles.batch_norm(x, w, b, None, *_constants(x), **k),
            [[spread(*shape), *_vectors(shape)] for shape in SHAPES],
            size=lambda x, w, b: _size(x, w, b, None, *_constants(x)),
            twice=True,
        )
    yield Row(
        "batch_norm relu, given statistics, residual",
        [norm.BatchNorm, norm.BatchNormBackward],
        lambda x, w, b, r: _given(x, *_constants(x), w, b, r, "relu"),
        lambda x, w, b, r: oracles.batch_norm(x, w, b, r, *_constants(x), activation="relu"),
        [[spread(*shape), *_vectors(shape), normal(*shape)] for shape in SHAPES],
        size=lambda x, w, b, r: _size(x, w, b, r, *_constants(x)),
        twice=True,
    )


def _constants(x):
    """Mean and variance for the channels of an array or a tensor: no function of x, exact in float32."""
    channels = np.arange(x.shape[1])
    mean, var = channels % 5 / 4 - 0.5, channels % 3 / 2 + 0.5
    return (mean, var) if isinstance(x, np.ndarray) else (x.new_tensor(mean, x.dtype), x.new_tensor(var, x.dtype))


def _running(momentum, count):
    """The running statistics after a batch that is not the first."""

    def function(x, mean, var):
        mean, var = mean.detach().clone(), var.detach().clone()
        batches = x.new_tensor(np.array(count))
        out = norm.batch_norm(x, None, None, None, mean, var, batches, True, momentum, 1e-5)
        return out, mean, var, batches

    def oracle(x, mean, var):
        axes, _ = oracles.channel_axes(x)
        m = 1 / (count + 1) if momentum is None else momentum
        fresh = x.var(axes, ddof=1)
        return (
            oracles.batch_norm(x), (1 - m) * mean + m * x.mean(axes), (1 - m) * var + m * fresh, np.array(count + 1)
        )  # fmt: skip

    def size(x, mean, var):
        axes, _ = oracles.channel_axes(x)
        whole = np.abs(x).mean(axes)
        return _size(x), np.abs(mean) + whole, var + x.var(axes, ddof=1), np.zeros(())

    return Row(
        f"batch_norm, running statistics, momentum {momentum}",
        [norm.BatchNorm],
        function,
        oracle,
        [[normal(*s), normal(s[1]), positive(s[1])] for s in [*SHAPES, *LONG] if np.prod(s) > s[1]],
        size=size,
        differentiable=False,
    )


def _group_size(x, weight, bias, residual, groups):
    grouped = x.reshape(x.shape[0], groups, -1)
    scale = 1 / np.sqrt(grouped.var(2, keepdims=True) + 1e-5)
    size = (np.abs(grouped) + np.abs(grouped).mean(2, keepdims=True)) * scale
    _, shape = oracles.channel_axes(x)
    return size.reshape(x.shape) * np.abs(weight).reshape(shape) + np.abs(bias).reshape(shape) + np.abs(residual)


def _group_rows():
    cases = [((5, 6), 2), ((4, 6, 5), 3), ((3, 4, 5, 7), 1), ((2, 8, 4, 4), 8), ((1, 2, 130, 9), 2)]
    for (shape, groups), activation in [(case, activation) for case in cases for activation in (None, "relu")]:
        vectors = [normal(shape[1]), normal(shape[1])]
        settings = {"activation": activation}
        for residual in (False, True):
            yield Row(
                f"group_norm {shape} {groups} {activation} {residual}",
                [norm_samples.GroupNorm, norm_samples.GroupNormBackward],
                lambda x, w, b, r=None, g=groups, k=settings: F.group_norm(x, g, w, b, residual=r, **k),
                lambda x, w, b, r=None, g=groups, k=settings: oracles.group_norm(x, g, w, b, r, **k),
                [[spread(*shape), *vectors, *([normal(*shape)] if residual else [])]],
                size=lambda x, w, b, r=0, g=groups: _group_size(x, w, b, r, g),
                twice=True,
            )


def _layer_size(x, weight=1.0, bias=0.0, axes=(-1,)):
    scale = 1 / np.sqrt(x.var(axes, keepdims=True) + 1e-5)
    return (np.abs(x) + np.abs(x).mean(axes, keepdims=True)) * scale * np.abs(weight) + np.abs(bias)


def _layer_rows():
    cases = [((5, 33), (33,)), ((70, 3), (3,)), ((2, 3, 4, 5), (4, 5)), ((130, 17), (17,)), ((6,), (6,))]
    for shape, normalized in cases:
        axes = tuple(range(-len(normalized), 0))
        yield Row(
            f"layer_norm {shape} {normalized}",
            [norm_samples.LayerNorm, norm_samples.LayerNormBackward],
            lambda x, w, b, n=normalized: F.layer_norm(x, n, w, b),
            lambda x, w, b, a=axes: oracles.layer_norm(x, a) * w + b,
            [[spread(*shape), normal(*normalized), normal(*normalized)]],
            size=lambda x, w, b, a=axes: _layer_size(x, w, b, a),
            twice=True,
        )
        yield Row(
            f"layer_norm {shape} {normalized}, no weight",
            [norm_samples.LayerNorm, norm_samples.LayerNormBackward],
            lambda x, n=normalized: F.layer_norm(x, n),
            lambda x, a=axes: oracles.layer_norm(x, a),
            [[spread(*shape)]],
            size=lambda x, a=axes: _layer_size(x, axes=a),
            twice=True,
        )


ROWS = [
    *_training_rows(),
    *_given_rows(),
    _running(0.1, 3),
    _running(None, 3),
    *_group_rows(),
    *_layer_rows(),
    Row(
        "batch_norm of a large mean",
        [norm.BatchNorm],
        _training,
        oracles.batch_norm,
        [[near(1e4, *shape)] for shape in [(130, 17), (4, 3, 9, 9), (1, 2, 16411)]],
        size=_size,
        differentiable=False,
    ),
]
