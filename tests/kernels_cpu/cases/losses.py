"""Losses of pairs of numbers: their kinds and reductions, forward and backward."""

from __future__ import annotations

import numpy as np

from numbanet.kernels.cpu.lines import CHUNK
from numbanet.kernels.cpu.pointwise_loss import KINDS
from tests.kernels_cpu.cases.case import Case, random, relative, unset
from tests.kernels_cpu.cases.pointwise import with_specials


def _pointwise_losses():
    for kind in KINDS:
        beta = 0.8 if kind in ("smooth", "huber") else 0.0
        sizes = (1, 17, 100, CHUNK, CHUNK + 5, 6 * CHUNK + 3, 40 * CHUNK) if kind == "squared" else (1, 33, CHUNK + 5)
        for size in sizes:
            # logits of which the sum of losses does not cancel, and large ones
            x, y = 3 * random(f"x {size}", size), random(f"y {size}", size)
            y = np.clip(y, 0, 1) if kind == "logistic" else y
            for reduction in ("none", "sum", "mean"):
                out = unset() if reduction != "none" else unset(size)
                grad = np.array(0.7, np.float32) if reduction != "none" else y[::-1].copy()
                name, rest = f"{kind}, {size}, {reduction}", (kind, beta, reduction)
                bound = relative(4, 1 if kind in ("logistic", "smooth", "huber") else 0)
                yield Case(f"pointwise_loss {name}", "pointwise_loss", (out, x, y, *rest), tolerance=bound)
                args = (unset(size), grad, x, y, *rest)
                yield Case(f"pointwise_loss_backward {name}", "pointwise_loss_backward", args, tolerance=bound)
        odd, y = with_specials(random("odd", 100)), random("y", 100)
        args = (unset(), odd, y, kind, beta, "mean")
        yield Case(f"pointwise_loss NaN, {kind}", "pointwise_loss", args, tolerance=relative(4))
        args = (unset(100), y, odd, y, kind, beta, "none")
        yield Case(f"pointwise_loss_backward NaN, {kind}", "pointwise_loss_backward", args, tolerance=relative(4, 1))
    large = np.array([-200, -90, -20, -1e-3, 0, 1e-3, 20, 90, 200, -np.inf, np.inf], np.float32)
    args = (unset(11), large, np.float32([0, 0, 0, 1, 1, 1, 1, 1, 1, 0.5, 0.5]), "logistic", 0.0, "none")
    yield Case("pointwise_loss of large logits", "pointwise_loss", args, tolerance=relative(4, 1e-30))


POINTWISE_LOSSES = list(_pointwise_losses())
