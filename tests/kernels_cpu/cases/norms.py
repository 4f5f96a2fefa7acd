"""Normalisation: rows in one go and by levels, along planes and across columns, in one part and in many."""

from __future__ import annotations

import itertools

import numpy as np

from tests.kernels_cpu.cases.case import Case, random, unset
from tests.kernels_cpu.helpers import EPSILON

# (n, c, s)
SHAPES = {
    "planes": (2, 3, 50),
    "short planes": (9, 21, 17),
    "planes of 16": (40, 2, 16),
    "parts": (20, 3, 1000),
    "parts of one plane": (3, 2, 9001),
    "one sample": (1, 2, 20000),
    "one channel": (3, 1, 40),
    "one channel, short": (3, 1, 4),
    "matrix": (7, 40, 1),
    "matrix of many samples": (521, 33, 1),
    "wide matrix": (4, 300, 1),
    "matrix, two rows over": (4, 130, 1),
    "narrow matrix": (37, 3, 1),
    "short rows": (260, 50, 3),
    "few short rows": (5, 2, 3),
}
ONE_GO = {
    "": (),
    ", one go": (("norm", "in_one_go", lambda *_: True),),
    ", levels": (("norm", "in_one_go", lambda *_: False),),
}
SETTINGS = {
    "plain": {},
    "ReLU": {"activation": "relu"},
    "residual": {"residual": True},
    "residual and ReLU": {"residual": True, "activation": "relu"},
    "no weight": {"affine": False, "activation": "relu"},
    "given statistics": {"training": False, "activation": "relu"},
    "given statistics, residual": {"training": False, "residual": True, "activation": "relu"},
}


def _mean_and_rstd(statistics: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    return statistics[0][:, None], statistics[1][:, None]


def forward_error(case: Case, expected: list[np.ndarray]) -> list[np.ndarray]:
    """x, μ and σ = 1/ρ count with their size, as their rounding errors do; ρ and what runs are right to a few ε."""
    x, weight, bias, residual = (None if one is None else np.abs(one) for one in case.args[2:6])
    mean, rstd = _mean_and_rstd(np.abs(expected[1]))
    size = (rstd * (x + mean) + 1) * (1 if weight is None else weight[:, None])
    size = size + (0 if bias is None else bias[:, None]) + (0 if residual is None else residual)
    running = [8 * EPSILON * (np.abs(value) + 1) for value in expected[2:]]
    statistics = np.stack([2 * EPSILON * (mean + 1 / rstd), 8 * EPSILON * rstd])[:, :, 0]
    return [4 * EPSILON * size, statistics, *running]


def backward_error(case: Case, expected: list[np.ndarray]) -> list[np.ndarray]:
    """ε of the terms of each sum: half of them would do for most, the rest is for sums of many."""
    _, residual_out, weight_out, bias_out, grad, x, _, statistics, weight = case.args[:9]
    mean, rstd = _mean_and_rstd(statistics.astype(np.float64))
    grad, normal = np.abs(grad), np.abs(x - mean) * rstd
    sums, products = grad.sum(axis=(0, 2)), (grad * normal).sum(axis=(0, 2))
    count = x.shape[0] * x.shape[2]
    scale = rstd * (1 if weight is None else np.abs(weight)[:, None])
    bounds = [8 * EPSILON * scale * (grad + (sums[:, None] + normal * products[:, None]) / count)]
    if residual_out is not None:
        bounds.append(np.zeros(x.shape))
    for out, size in ((weight_out, products), (bias_out, sums)):
        if out is not None:
            bounds.append(4 * EPSILON * size)
    return bounds if case.args[0] is not None else bounds[1:]


def _arrays(name: str, shape: tuple, mean: float = 0.0, affine: bool = True, residual: bool = False) -> tuple:
    c = shape[1]
    x = random(f"x {name}", *shape) + np.float32(mean)
    weight, bias = (random(f"{kind} {name}", c) if affine else None for kind in ("weight", "bias"))
    return x, weight, bias, random(f"residual {name}", *shape) if residual else None


def _running(name: str, channels: int) -> tuple:
    return random(f"mean {name}", channels), np.abs(random(f"var {name}", channels)) + 1, np.array(3)


def _data_name(name: str) -> str:
    """Cases that only differ in what is done in one go have the same data."""
    return name.removesuffix(", one go").removesuffix(", levels")


def forward(name, shape, patches=(), mean=0.0, training=True, momentum=0.1, running=True, **settings):
    activation = settings.pop("activation", None)
    arrays = _arrays(_data_name(name), shape, mean, **settings)
    tracked = _running(_data_name(name), shape[1]) if running else (None, None, None)
    args = (unset(*shape), unset(2, shape[1]), *arrays, *tracked, training, momentum, 1e-5)
    changed = (0, 1, 6, 7, 8) if training else (0, 1)
    options = {"activation": activation}
    return Case(f"batch_norm {name}", "batch_norm", args, changed, forward_error, options=options, patches=patches)


def backward(name, shape, patches=(), mean=0.0, training=True, wanted=(0, 1, 2, 3), **settings):
    activation = settings.pop("activation", None)
    x, weight, bias, residual = _arrays(_data_name(name), shape, mean, **settings)
    statistics = np.stack([x.mean(axis=(0, 2), dtype=np.float64), 1 / (x.std(axis=(0, 2), dtype=np.float64) + 0.01)])
    statistics = statistics.astype(np.float32)
    y = None
    if residual is not None and activation is not None:
        y = np.maximum(random(f"y {_data_name(name)}", *shape), 0)
    outs = [unset(*shape), None if y is None else unset(*shape), unset(shape[1]), unset(shape[1])]
    outs = [out if i in wanted else None for i, out in enumerate(outs)]
    args = (*outs, random(f"grad {_data_name(name)}", *shape), x, y, statistics, weight, bias, training)
    options = {"activation": activation}
    return Case(
        f"batch_norm_backward {name}", "batch_norm_backward", args, (0, 1, 2, 3), backward_error, options=options,
        patches=patches,
    )  # fmt: skip


def _batch_norms():
    for (name, shape), (how, patches) in itertools.product(SHAPES.items(), ONE_GO.items()):
        for kind, settings in SETTINGS.items() if how else [("plain", {})]:
            yield forward(f"{name}, {kind}{how}", shape, patches, **settings)
            yield backward(f"{name}, {kind}{how}", shape, patches, **settings)


def _more():
    for name in ("planes", "parts", "matrix", "narrow matrix", "one sample"):
        shape = SHAPES[name]
        for how, patches in ONE_GO.items():
            yield forward(f"{name}, cumulative{how}", shape, patches, momentum=None)
            yield forward(f"{name}, nothing runs{how}", shape, patches, running=False)
            yield forward(f"{name}, mean of 10⁴{how}", shape, patches, mean=1e4)
            yield backward(f"{name}, mean of 10⁴{how}", shape, patches, mean=1e4)
            for wanted in ((0,), (2, 3), (1, 3)):
                settings = {"residual": True, "activation": "relu", "wanted": wanted}
                yield backward(f"{name}, gradients {wanted}{how}", shape, patches, **settings)
    yield backward("given statistics, no sums", SHAPES["planes"], training=False, wanted=(0,))
    yield backward("given statistics, no sums, columns", SHAPES["matrix"], training=False, wanted=(0,))


# --- folded into the weights before ----------------------------------------------------------------------------------
def fold_error(case: Case, expected: list[np.ndarray]) -> list[np.ndarray]:
    """A few ε of each term."""
    _, _, weight, bias, norm_weight, norm_bias, mean, var, eps = case.args
    scale = (1 if norm_weight is None else np.abs(norm_weight)) / np.sqrt(var + eps)
    shift = (0 if bias is None else np.abs(bias)) + np.abs(mean)
    size = shift * scale + (0 if norm_bias is None else np.abs(norm_bias))
    return [4 * EPSILON * np.abs(weight) * scale[:, None], 4 * EPSILON * size]


def _folds():
    for rows, columns in ((1, 1), (3, 7), (16, 144), (70, 33), (64, 576)):
        for there in itertools.product((True, False), repeat=3):
            name = f"batch_norm_fold ({rows}, {columns}), {there}"
            bias, norm_weight, norm_bias = (
                random(f"{kind} {name}", rows) if given else None
                for kind, given in zip(("bias", "norm weight", "norm bias"), there, strict=True)
            )
            outs = (unset(rows, columns), unset(rows))
            args = (*outs, random(name, rows, columns), bias, norm_weight, norm_bias, *_running(name, rows)[:2], 1e-5)
            yield Case(name, "batch_norm_fold", args, (0, 1), fold_error)


# --- statistics of each sample ---------------------------------------------------------------------------------------
# (n, c, s), groups
GROUPS = {
    "groups": ((2, 6, 50), 3),
    "a group a channel": ((3, 8, 17), 8),
    "one group": ((2, 4, 3000), 1),
    "many rows": ((9, 32, 64), 4),
}


def _along(vector: np.ndarray, x: np.ndarray) -> np.ndarray:
    """(n·groups,) as it goes with x (n, c, s)."""
    lines = vector.reshape(x.shape[0], -1)
    return np.repeat(lines, x.shape[1] // lines.shape[1], axis=1)[:, :, None]


def group_error(case: Case, expected: list[np.ndarray]) -> list[np.ndarray]:
    """As forward_error."""
    x, weight, bias, residual = (None if one is None else np.abs(one) for one in case.args[2:6])
    mean, rstd = np.abs(expected[1])
    size = (_along(rstd, x) * (x + _along(mean, x)) + 1) * (1 if weight is None else weight[:, None])
    size = size + (0 if bias is None else bias[:, None]) + (0 if residual is None else residual)
    return [4 * EPSILON * size, np.stack([2 * EPSILON * (mean + 1 / rstd), 8 * EPSILON * rstd])]


def group_backward_error(case: Case, expected: list[np.ndarray]) -> list[np.ndarray]:
    """As backward_error."""
    out, residual_out, _, _, grad, x, _, statistics, weight, _, groups = case.args
    mean, rstd = (_along(one, x) for one in statistics.astype(np.float64))
    grad, normal = np.abs(grad), np.abs(x - mean) * rstd
    weighted = grad * (1 if weight is None else np.abs(weight)[:, None])
    means = [
        _along(values.reshape(x.shape[0] * groups, -1).mean(axis=1), x) for values in (weighted, weighted * normal)
    ]
    bounds = [] if out is None else [8 * EPSILON * rstd * (weighted + means[0] + normal * means[1])]
    bounds += [] if residual_out is None else [np.zeros(x.shape)]
    return bounds + [8 * EPSILON * values.sum(axis=(0, 2)) for values in (grad * normal, grad)]


def _group_case(name: str, shape: tuple, groups: int, options: dict, patches: tuple):
    options = dict(options)
    activation = {"activation": options.pop("activation", None)}
    x, weight, bias, residual = _arrays(_data_name(name), shape, **options)
    args = (unset(*shape), unset(2, shape[0] * groups), x, weight, bias, residual, groups, 1e-5)
    yield Case(f"group_norm {name}", "group_norm", args, (0, 1), group_error, activation, patches)
    rows = x.reshape(shape[0] * groups, -1)
    statistics = np.stack([rows.mean(axis=1), 1 / (rows.std(axis=1) + 0.01)]).astype(np.float32)
    y = np.maximum(random(f"y {_data_name(name)}", *shape), 0)
    y = y if residual is not None and activation["activation"] else None
    outs = (unset(*shape), None if y is None else unset(*shape), unset(shape[1]), unset(shape[1]))
    args = (*outs, random(f"grad {_data_name(name)}", *shape), x, y, statistics, weight, bias, groups)
    yield Case(
        f"group_norm_backward {name}", "group_norm_backward", args, (0, 1, 2, 3), group_backward_error, activation,
        patches,
    )  # fmt: skip


def _group_norms():
    settings = {name: options for name, options in SETTINGS.items() if "training" not in options}
    for (name, (shape, groups)), (kind, options) in itertools.product(GROUPS.items(), settings.items()):
        for how, patches in ONE_GO.items():
            yield from _group_case(f"{name}, {kind}{how}", shape, groups, options, patches)


# --- layer norm ------------------------------------------------------------------------------------------------------
ROWS = {"rows": (5, 33), "short rows": (70, 3), "whole vectors": (40, 64), "long rows": (2, 9001), "one": (1, 1)}


def row_error(case: Case, expected: list[np.ndarray]) -> list[np.ndarray]:
    """As forward_error."""
    x, weight, bias = (None if one is None else np.abs(one) for one in case.args[2:5])
    mean, rstd = np.abs(expected[1])[:, :, None]
    size = (rstd * (x + mean) + 1) * (1 if weight is None else weight) + (0 if bias is None else bias)
    return [4 * EPSILON * size, np.stack([2 * EPSILON * (mean + 1 / rstd), 8 * EPSILON * rstd])[:, :, 0]]


def row_backward_error(case: Case, expected: list[np.ndarray]) -> list[np.ndarray]:
    """As backward_error."""
    out, weight_out, bias_out, grad, x, statistics, weight = case.args
    mean, rstd = statistics.astype(np.float64)[:, :, None]
    grad, normal = np.abs(grad), np.abs(x - mean) * rstd
    g = grad * (1 if weight is None else np.abs(weight))
    means = [values.mean(axis=1, keepdims=True) for values in (g, g * normal)]
    sizes = [rstd * (g + means[0] + normal * means[1]), (grad * normal).sum(axis=0), grad.sum(axis=0)]
    return [8 * EPSILON * size for size, one in zip(sizes, (out, weight_out, bias_out), strict=True) if one is not None]


def _layer_norms():
    for (name, (rows, columns)), mean in itertools.product(ROWS.items(), (0.0, 1e4)):
        x = random(f"x {name}", rows, columns) + np.float32(mean)
        weight, bias = random(f"weight {name}", columns), random(f"bias {name}", columns)
        full = f"{name}, mean {mean:g}"
        pairs = {"": (weight, bias), ", weight": (weight, None), ", bias": (None, bias), ", plain": (None, None)}
        for kind, vectors in pairs.items():
            args = (unset(rows, columns), unset(2, rows), x, *vectors, 1e-5)
            yield Case(f"layer_norm {full}{kind}", "layer_norm", args, (0, 1), row_error)
        statistics = np.stack([x.mean(axis=1, dtype=np.float64), 1 / (x.std(axis=1, dtype=np.float64) + 0.01)])
        grad = random(f"grad {name}", rows, columns)
        for wanted in itertools.product((True, False), repeat=3):
            outs = (unset(rows, columns), unset(columns), unset(columns))
            outs = [out if there else None for out, there in zip(outs, wanted, strict=True)]
            args = (*outs, grad, x, statistics.astype(np.float32), weight if wanted[1] else None)
            if any(wanted):
                yield Case(
                    f"layer_norm_backward {full}, gradients {wanted}", "layer_norm_backward", args, (0, 1, 2),
                    row_backward_error,
                )  # fmt: skip


SPLIT = [*_batch_norms(), *_more(), *_group_norms()]
NORMS = [*SPLIT, *_folds(), *_layer_norms()]


def same_bits(case: Case) -> str:
    """What the cases have in common that only differ in what is done in one go."""
    return _data_name(case.name)
