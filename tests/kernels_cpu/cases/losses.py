"""The squared error: its three reductions, forward and backward."""

from __future__ import annotations

import numpy as np

from numbanet.kernels.cpu.lines import CHUNK
from tests.kernels_cpu.cases.case import Case, random, relative, unset
from tests.kernels_cpu.cases.pointwise import with_specials


def _squared_errors():
    for size in (1, 17, 100, CHUNK, CHUNK + 5, 6 * CHUNK + 3, 40 * CHUNK):
        x, y = random(f"x {size}", size), random(f"y {size}", size)
        for reduction in ("none", "sum", "mean"):
            out, grad = (unset(), np.array(0.7, np.float32)) if reduction != "none" else (unset(size), y[::-1].copy())
            name = f"{size}, {reduction}"
            yield Case(f"mse_loss {name}", "mse_loss", (out, x, y, reduction), tolerance=relative(4))
            args = (unset(size), grad, x, y, reduction)
            yield Case(f"mse_loss_backward {name}", "mse_loss_backward", args, tolerance=relative(4))
    odd = with_specials(random("odd", 100))
    yield Case("mse_loss NaN", "mse_loss", (unset(), odd, random("y", 100), "mean"), tolerance=relative(4))


SQUARED_ERRORS = list(_squared_errors())
