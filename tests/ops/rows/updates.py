"""Rows of ops that change their inputs: optimisers and random fills."""

from __future__ import annotations

import numpy as np

from numbanet import autograd
from numbanet.ops import clip, optim, random
from tests.ops import oracles
from tests.ops.row import Row
from tests.ops.samples import each, normal, positive


def _sgd(*hyper, momentum=True):
    def function(p, g, v):
        p, v = p.detach().clone(), v.detach().clone()
        optim.sgd_update([p], [g], [v] if momentum else [], p.new_tensor(hyper, p.dtype))
        return p, v

    return function


def _adam(lr, beta1, beta2, eps, decay, decoupled, step):
    def function(p, g, m, v):
        p, m, v = p.detach().clone(), m.detach().clone(), v.detach().clone()
        hyper = [lr, beta1, beta2, eps, decay, decoupled, 1 - beta1**step, (1 - beta2**step) ** 0.5]
        optim.adam_update([p], [g], [m], [v], p.new_tensor(hyper, p.dtype))
        return p, m, v

    return function


def _rmsprop(hyper, momentum, centered):
    def function(p, g, s, b, c):
        p, s, b, c = (x.detach().clone() for x in (p, s, b, c))
        optim.rmsprop_update(
            [p], [g], [s], [b] if momentum else [], [c] if centered else [], p.new_tensor(hyper, p.dtype)
        )
        return (p, s, *[b] * momentum, *[c] * centered)

    def oracle(p, g, s, b, c):
        results = oracles.rmsprop(p, g, s, b if momentum else None, c if centered else None, *hyper)
        return tuple(result for result in results if result is not None)

    return function, oracle


_PARAMETERS = [(), (1,), (130,), (33, 17), (0,)]


def _optimiser_rows():
    for hyper in [
        (0.1, 0.9, 0, 0, 0, 0),
        (0.1, 0.9, 0, 0, 0, 1),
        (0.1, 0.9, 0.5, 1e-2, 0, 0),
        (0.1, 0.9, 0, 1e-2, 1, 0),
        (0.1, 0, 0, 1e-2, 0, 0),
    ]:
        yield Row(
            f"sgd {hyper}",
            [optim.SGDUpdate],
            _sgd(*hyper, momentum=hyper[1] != 0),
            lambda p, g, v, h=hyper: oracles.sgd(p, g, v, *h),
            [[normal(*s), normal(*s), normal(*s)] for s in _PARAMETERS],
            differentiable=False,
            size=lambda p, g, v: abs(p) + abs(g) + abs(v),
        )
    for hyper in [
        (1e-2, 0.9, 0.999, 1e-8, 0, 0, 1),
        (1e-2, 0.9, 0.999, 1e-8, 1e-2, 0, 7),
        (1e-2, 0.8, 0.99, 1e-6, 1e-2, 1, 100),
    ]:
        yield Row(
            f"adam {hyper}",
            [optim.AdamUpdate],
            _adam(*hyper),
            lambda p, g, m, v, h=hyper: oracles.adam(p, g, m, v, *h),
            [[normal(*s), normal(*s), normal(*s), positive(*s)] for s in _PARAMETERS],
            differentiable=False,
            tolerance=64,
            size=lambda p, g, m, v: abs(p) + abs(g) + abs(m) + v + g * g,
        )
    for hyper, momentum, centered in [
        ((1e-2, 0.99, 1e-8, 0, 0, 0), False, False),
        ((1e-2, 0.9, 1e-8, 1e-2, 0.5, 0), True, False),
        ((1e-2, 0.9, 1e-2, 0, 0, 1), False, True),
        ((1e-2, 0.9, 1e-2, 1e-2, 0.9, 1), True, True),
    ]:
        function, oracle = _rmsprop(hyper, momentum, centered)
        yield Row(
            f"rmsprop {hyper}{', centered' if centered else ''}",
            [optim.RMSpropUpdate],
            function,
            oracle,
            # The second moment is above the square of the first, as it is in any history of gradients.
            [[normal(*s), normal(*s), positive(*s, low=2), normal(*s), positive(*s, high=1)] for s in _PARAMETERS],
            differentiable=False,
            tolerance=32,
            size=lambda p, g, s, b, c: abs(p) + abs(g) + abs(b) + abs(c) + s + g * g,
        )


def _average(decay):
    def function(a, v):
        a = a.detach().clone()
        optim.average_update([a], [v], a.new_tensor([decay], a.dtype))
        return a

    return function


def _average_rows():
    for decay in (0.9, 0.0):
        yield Row(
            f"average_update {decay}",
            [optim.AverageUpdate],
            _average(decay),
            lambda a, v, d=decay: d * a + (1 - d) * v,
            [[normal(*s), normal(*s)] for s in _PARAMETERS],
            differentiable=False,
            size=lambda a, v: abs(a) + abs(v),
        )


def _random(kind, *settings):
    return lambda x: autograd.apply_inplace(kind(*settings), x.detach().clone())


def _random_rows():
    for offset in (6, 8):  # inside a block of words, and where one begins
        place = (12345678901, 1, offset)
        yield Row(
            f"uniform_ at {offset}",
            [random.Uniform],
            _random(random.Uniform, *place, -1.0, 3.0),
            lambda x, dtype, place=place: -1 + 4 * oracles.uniform(x.shape, dtype, *place),
            each(normal, (), (7,), (33, 17), (0,)),
            differentiable=False,
            nan=False,
            dtype_matters=True,
            size=lambda x: np.full(x.shape, 4.0),
        )
        yield Row(
            f"normal_ at {offset}",
            [random.Normal],
            _random(random.Normal, *place, 0.5, 2.0),
            lambda x, dtype, place=place: 0.5 + 2 * oracles.normal(x.shape, dtype, *place),
            each(normal, (), (7,), (33, 17), (0,)),
            differentiable=False,
            nan=False,
            dtype_matters=True,
            size=lambda x: np.full(x.shape, 4.0),
        )


def _dropout_rows():
    for name, settings, group, shapes in [
        ("dropout", (0.3, 1 / 0.7), 1, [(), (1,), (7,), (33, 17), (4099,), (0, 4)]),
        ("dropout, classic", (0.5, 1.0), 1, [(130,)]),
        ("dropout of everything", (1.0, 0.0), 1, [(37,)]),
        ("dropout of channels", (0.4, 1 / 0.6), 15, [(2, 3, 3, 5), (3, 37, 15), (0, 15)]),
    ]:
        place = (2**63 + 11, 1, 8)
        yield Row(
            name,
            [random.Dropout],
            lambda x, fields=(*place, *settings, group): autograd.apply(random.Dropout(*fields), x),
            lambda x, place=place, settings=settings, group=group: oracles.dropout(x, *settings, *place, group),
            each(normal, *shapes),
            multilinear=True,
            twice=True,
        )


def _changed(function, number):
    """Two tensors after they were changed in place."""

    def run(x, y):
        x, y = x.detach().clone(), y.detach().clone()
        function([x, y], x.new_tensor(number, x.dtype))
        return x, y

    return run


def _clip_rows():
    cases = [[normal(*a), normal(*b)] for a, b in [((), (3,)), ((33, 17), (1,)), ((0,), (4099,))]]
    yield Row(
        "sum_of_squares",
        [clip.SumOfSquares],
        lambda x, y: clip.sum_of_squares([x, y]),
        lambda x, y: (x**2).sum() + (y**2).sum(),
        cases,
        differentiable=False,
    )
    for factor in (0.3, 1.0):
        function = _changed(clip.scale_all, factor)
        yield Row(
            f"scale_all by {factor}",
            [clip.ScaleAll],
            function,
            lambda x, y, factor=factor: (x * factor, y * factor),
            cases,
            differentiable=False,
        )
    yield Row(
        "clamp_all",
        [clip.ClampAll],
        _changed(clip.clamp_all, 0.5),
        lambda x, y: (np.clip(x, -0.5, 0.5), np.clip(y, -0.5, 0.5)),
        cases,
        differentiable=False,
    )


ROWS = [*_clip_rows(), *_optimiser_rows(), *_average_rows(), *_random_rows(), *_dropout_rows()]
