"""Adam and AdamW (LECTURE rows L18 and L19)."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import numpy as np

from numbanet.ops.optim import adam_update
from numbanet.optim.optimizer import Optimizer
from numbanet.tensor import Tensor


class Adam(Optimizer):
    """Steps scaled by running moments of the gradient (Kingma and Ba 2015), PyTorch's form.

    ``g ← ∇ + weight_decay·θ``; ``m ← β₁m + (1 − β₁)g``; ``v ← β₂v + (1 − β₂)g²``; after t steps
    ``m̂ = m/(1 − β₁ᵗ)``, ``v̂ = v/(1 − β₂ᵗ)``; ``θ ← θ − lr·m̂ / (√v̂ + eps)``. With ``decoupled_weight_decay`` it is
    AdamW.

    The state holds "step" (t, an int), "exp_avg" (m) and "exp_avg_sq" (v). Raises ValueError for negative or NaN
    options and for betas outside [0, 1).
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0,
        *,
        decoupled_weight_decay: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "betas": betas,
            "eps": eps,
            "weight_decay": weight_decay,
            "decoupled_weight_decay": decoupled_weight_decay,
        }
        super().__init__(params, defaults)

    def _check(self, options: dict[str, Any]) -> None:
        if not options["lr"] >= 0.0:
            raise ValueError(f"Invalid learning rate: {options['lr']}")
        if not options["eps"] >= 0.0:
            raise ValueError(f"Invalid epsilon value: {options['eps']}")
        if len(options["betas"]) != 2:
            raise ValueError(f"betas must be two numbers, but got {options['betas']}")
        for index, beta in enumerate(options["betas"]):
            if not 0.0 <= beta < 1.0:
                raise ValueError(f"Invalid beta parameter at index {index}: {beta}")
        if not options["weight_decay"] >= 0.0:
            raise ValueError(f"Invalid weight_decay value: {options['weight_decay']}")

    def _update(self, index: int, group: dict[str, Any]) -> None:
        beta1, beta2 = group["betas"]
        for number, (step, batch) in enumerate(self._batches(group, _advance)):
            first = batch.parameters[0]
            hyper = self._hyper(
                index,
                number,
                first,
                (
                    group["lr"],
                    beta1,
                    beta2,
                    group["eps"],
                    group["weight_decay"],
                    float(group["decoupled_weight_decay"]),
                    _correction(beta1, step, first.dtype),
                    math.sqrt(_correction(beta2, step, first.dtype)),
                ),
            )
            means = [state["exp_avg"] for state in batch.states]
            squares = [state["exp_avg_sq"] for state in batch.states]
            adam_update(batch.parameters, batch.gradients, means, squares, hyper)


class AdamW(Adam):
    """Adam with decoupled weight decay (Loshchilov and Hutter 2019).

    ``θ ← θ − lr·(m̂ / (√v̂ + eps) + weight_decay·θ)``, the moments from the plain gradient.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 1e-3,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 1e-2,
    ) -> None:
        super().__init__(params, lr, betas, eps, weight_decay, decoupled_weight_decay=True)


def _advance(parameters: Sequence[Tensor], states: Sequence[dict[str, Any]]) -> list[int]:
    """Count the step of each parameter (those without a gradient do not count); start its moments at zero."""
    for parameter, state in zip(parameters, states, strict=True):
        if not state:
            state["step"] = 0
            state["exp_avg"] = parameter.zeros_like()
            state["exp_avg_sq"] = parameter.zeros_like()
        state["step"] += 1
    return [state["step"] for state in states]


def _correction(beta: float, step: int, dtype: np.dtype) -> float:
    """1 − βᵗ, for the β that the kernel sees.

    In float32 that is not the β of the user: 1 − 0.999 is off by 1.3e-5 of itself, which the running mean and its
    correction must share, or every step would be off by half of that.
    """
    return 1.0 - float(dtype.type(beta)) ** step
