"""Rows of softmax and losses."""

from __future__ import annotations

import numpy as np
import scipy.special

from numbanet.nn import functional as F
from numbanet.ops import indexing, loss, pointwise_loss
from tests.ops import oracles
from tests.ops.row import Row
from tests.ops.samples import SIZES, given, integers, normal

CLASSES = [(1, 1), (7, 10), (130, 10), (3, 517), (33, 17)]


def _weights(logits):
    """A weight a class, from 0.5 to 2.5."""
    return logits.new_tensor(0.5 + np.arange(logits.shape[1]) % 3, logits.dtype)


def _entropy_rows():
    for reduction in ("mean", "sum", "none"):
        for smoothing in (0.0, 0.1):
            for ignore in (-100, 1):
                settings = {"reduction": reduction, "ignore_index": ignore, "label_smoothing": smoothing}
                yield Row(
                    f"cross_entropy {reduction} {smoothing} {ignore}",
                    [loss.CrossEntropy, loss.CrossEntropyBackward],
                    lambda x, t, k=settings: F.cross_entropy(x, t, **k),
                    lambda x, t, k=settings: oracles.cross_entropy(x, t, **k),
                    [[normal(n, c, scale=3), integers(0, c, n)] for n, c in CLASSES if c > 1],
                    size=lambda x, t, k=settings: oracles.cross_entropy(x, t, **k) + 2 * np.abs(x).max(),
                    refuses_twice="twice",
                )
        yield Row(
            f"cross_entropy {reduction}, weighted",
            [loss.CrossEntropy, loss.CrossEntropyBackward],
            lambda x, t, r=reduction: F.cross_entropy(x, t, _weights(x), 1, r, 0.1),
            lambda x, t, r=reduction: oracles.cross_entropy(x, t, r, 1, 0.1, 0.5 + np.arange(x.shape[1]) % 3),
            [[normal(n, c, scale=3), integers(0, c, n)] for n, c in CLASSES if c > 1],
            size=lambda x, t, r=reduction: 3 * len(x) * (4 * np.abs(x).max() + np.log(x.shape[1])),
            refuses_twice="twice",
        )


def _pointwise(kind, x, y, beta=0.7):
    d = x - y
    if kind == "binary_cross_entropy_with_logits":
        return np.logaddexp(0, x) - x * y
    inside, outside = d**2 / 2, np.abs(d) - beta / 2
    return {
        "mse_loss": d**2,
        "l1_loss": np.abs(d),
        "smooth_l1_loss": np.where(np.abs(d) < beta, inside / beta, outside),
        "huber_loss": np.where(np.abs(d) < beta, inside, beta * outside),
    }[kind]


def _pointwise_rows():
    options = {"smooth_l1_loss": {"beta": 0.7}, "huber_loss": {"delta": 0.7}}
    for kind in pointwise_loss.NAMES.values():
        function, keywords = getattr(F, kind), options.get(kind, {})
        for reduction, total in (("mean", np.mean), ("sum", np.sum), ("none", lambda x: x)):
            yield Row(
                f"{kind} {reduction}",
                [pointwise_loss.PointwiseLoss, pointwise_loss.PointwiseLossBackward],
                lambda x, y, f=function, k=keywords, r=reduction: f(x, y, reduction=r, **k),
                lambda x, y, k=kind, t=total: np.asarray(t(_pointwise(k, x, y))),
                [[normal(*s), normal(*s)] for s in SIZES],
                twice=True,
                size=lambda x, y, t=total: np.asarray(t(2 * np.abs(x * y) + np.abs(x) + np.abs(y) + x**2 + y**2 + 1)),
            )


ROWS = [
    Row(
        "softmax",
        [loss.Softmax, loss.SoftmaxBackward],
        lambda x: F.softmax(x, -1),
        lambda x: scipy.special.softmax(x, -1),
        [[normal(*s, scale=3)] for s in CLASSES] + [[normal(7)], [normal(2, 3, 4)]],
        twice=True,
        tolerance=64,
    ),
    Row(
        "softmax along 1",
        [loss.Softmax, loss.SoftmaxBackward],
        lambda x: F.softmax(x, 1),
        lambda x: scipy.special.softmax(x, 1),
        [[normal(2, 3, 4)], [normal(1, 7, 33)], [normal(3, 130, 2, 5)]],
        twice=True,
        tolerance=64,
    ),
    Row(
        "log_softmax along 0",
        [loss.Softmax, loss.SoftmaxBackward],
        lambda x: F.log_softmax(x, 0),
        lambda x: scipy.special.log_softmax(x, 0),
        [[normal(5, 3)], [normal(17, 2, 16)], [normal(1, 7)]],
        twice=True,
        size=lambda x: np.abs(scipy.special.log_softmax(x, 0)) + 2 * np.abs(x).max(0, keepdims=True),
    ),
    Row(
        "log_softmax",
        [loss.Softmax, loss.SoftmaxBackward],
        lambda x: F.log_softmax(x, -1),
        lambda x: scipy.special.log_softmax(x, -1),
        [[normal(*s, scale=3)] for s in CLASSES] + [[normal(7)], [normal(0, 4)], [normal(2, 3, 4)]],
        twice=True,
        size=lambda x: np.abs(scipy.special.log_softmax(x, -1)) + 2 * np.abs(x).max(-1, keepdims=True),
    ),
    Row(
        "softmax of large numbers",
        [loss.Softmax],
        lambda x: F.softmax(x, -1),
        lambda x: scipy.special.softmax(x, -1),
        [[given([[1e4, 1e4, -1e4], [3e38, -3e38, 0], [-100, -100.5, -101]])]],
        differentiable=False,
        tolerance=64,
    ),
    *_entropy_rows(),
    *_pointwise_rows(),
    Row(
        "cross_entropy of infinite logits",
        [loss.CrossEntropy],
        lambda x, t: F.cross_entropy(x, t, reduction="none"),
        lambda x, t: oracles.cross_entropy(x, t, "none"),
        [[given([[0.0, -np.inf, 1], [np.inf, 0, 0], [0, np.nan, 1], [1e4, -1e4, 0]]), given([0, 1, 2, 1])]],
        differentiable=False,
    ),
    Row(
        "nll_loss",
        [indexing.Take],
        lambda x, t: F.nll_loss(F.log_softmax(x, 1), t, ignore_index=1),
        lambda x, t: oracles.cross_entropy(x, t, ignore_index=1),
        [[normal(7, 10), integers(0, 10, 7)]],
        size=lambda x, t: np.abs(x).max() * 2,
        twice=True,
    ),
]
