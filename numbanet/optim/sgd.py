"""Stochastic gradient descent (LECTURE rows L14 and L16)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from numbanet.ops.optim import sgd_update
from numbanet.optim.optimizer import Optimizer
from numbanet.tensor import Tensor


class SGD(Optimizer):
    """Gradient descent with momentum, PyTorch's form.

    ``g ← ∇ + weight_decay·θ``; ``v ← momentum·v + (1 − dampening)·g`` (``v ← g`` at the first step);
    ``θ ← θ − lr·v``, or ``θ ← θ − lr·(g + momentum·v)`` with ``nesterov``.

    The state "momentum_buffer" holds v. Raises ValueError for negative or NaN options, and for Nesterov's form
    without momentum or with dampening.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 1e-3,
        momentum: float = 0,
        dampening: float = 0,
        weight_decay: float = 0,
        nesterov: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "momentum": momentum,
            "dampening": dampening,
            "weight_decay": weight_decay,
            "nesterov": nesterov,
        }
        super().__init__(params, defaults)

    def _check(self, options: dict[str, Any]) -> None:
        # "not 0 <= x" refuses NaN as well, "x < 0" would let it pass.
        if not options["lr"] >= 0.0:
            raise ValueError(f"Invalid learning rate: {options['lr']}")
        if not options["momentum"] >= 0.0:
            raise ValueError(f"Invalid momentum value: {options['momentum']}")
        if not options["weight_decay"] >= 0.0:
            raise ValueError(f"Invalid weight_decay value: {options['weight_decay']}")
        if options["nesterov"] and (options["momentum"] <= 0.0 or options["dampening"] != 0.0):
            raise ValueError("Nesterov momentum requires a momentum and zero dampening")

    def _update(self, index: int, group: dict[str, Any]) -> None:
        momentum = group["momentum"]
        stage = _have_buffers if momentum else None
        for number, (started, batch) in enumerate(self._batches(group, stage)):
            if momentum and not started:
                for parameter, state in zip(batch.parameters, batch.states, strict=True):
                    state["momentum_buffer"] = parameter.new_empty(parameter.shape)
            buffers = [state["momentum_buffer"] for state in batch.states] if momentum else []
            hyper = self._hyper(
                index,
                number,
                batch.parameters[0],
                (
                    group["lr"],
                    momentum,
                    group["dampening"],
                    group["weight_decay"],
                    float(group["nesterov"]),
                    float(not started),
                ),
            )
            sgd_update(batch.parameters, batch.gradients, buffers, hyper)


def _have_buffers(parameters: Sequence[Tensor], states: Sequence[dict[str, Any]]) -> list[bool]:
    # no state.get: a replay of a recorded step makes no call for each parameter
    return ["momentum_buffer" in state and state["momentum_buffer"] is not None for state in states]
