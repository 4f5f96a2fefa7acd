"""RMSprop in both forms (LECTURE row L17)."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

from numbanet.ops.optim import rmsprop_update
from numbanet.optim.optimizer import Optimizer
from numbanet.tensor import Tensor

OUTSIDE, INSIDE = 1e-8, 1e-16


class RMSprop(Optimizer):
    """Steps divided by a running root mean square of the gradient (Hinton 2012), so that gradients get norm 1.

    ``g ← ∇ + weight_decay·θ``; ``s ← alpha·s + (1 − alpha)·g²``; ``θ ← θ − lr·g / (√s + eps)`` in PyTorch's form, or
    ``θ ← θ − lr·g / √(s + eps)`` in the lecture's (``eps_inside_sqrt``). ``centered`` takes the variance s − c² in
    place of s, with ``c ← alpha·c + (1 − alpha)·g``. ``momentum`` gathers the scaled gradients,
    ``b ← momentum·b + g/√…`` and ``θ ← θ − lr·b``.

    ``eps`` is 1e-8, or 1e-16 inside the root, unless given: both keep the divisor above 1e-8. The state holds "step",
    "square_avg" (s), "momentum_buffer" (b) and "grad_avg" (c). Raises ValueError for negative or NaN options.
    """

    def __init__(
        self,
        params: Iterable[Tensor] | Iterable[dict[str, Any]],
        lr: float = 1e-2,
        alpha: float = 0.99,
        eps: float | None = None,
        weight_decay: float = 0,
        momentum: float = 0,
        centered: bool = False,
        *,
        eps_inside_sqrt: bool = False,
    ) -> None:
        defaults = {
            "lr": lr,
            "alpha": alpha,
            "eps": _default_eps(eps_inside_sqrt) if eps is None else eps,
            "weight_decay": weight_decay,
            "momentum": momentum,
            "centered": centered,
            "eps_inside_sqrt": eps_inside_sqrt,
        }
        super().__init__(params, defaults)

    def add_param_group(self, param_group: dict[str, Any]) -> None:
        """Add a group; one that only says where eps belongs takes the default for there."""
        if isinstance(param_group, dict) and "eps" not in param_group:
            inside = param_group.get("eps_inside_sqrt", self.defaults["eps_inside_sqrt"])
            if inside != self.defaults["eps_inside_sqrt"]:
                param_group = {**param_group, "eps": _default_eps(inside)}
        super().add_param_group(param_group)

    def _check(self, options: dict[str, Any]) -> None:
        if not options["lr"] >= 0.0:
            raise ValueError(f"Invalid learning rate: {options['lr']}")
        if not options["eps"] >= 0.0:
            raise ValueError(f"Invalid epsilon value: {options['eps']}")
        if not options["momentum"] >= 0.0:
            raise ValueError(f"Invalid momentum value: {options['momentum']}")
        if not options["weight_decay"] >= 0.0:
            raise ValueError(f"Invalid weight_decay value: {options['weight_decay']}")
        if not options["alpha"] >= 0.0:
            raise ValueError(f"Invalid alpha value: {options['alpha']}")

    def _update(self, index: int, group: dict[str, Any]) -> None:
        names = ["square_avg"]
        if group["momentum"] > 0:
            names.append("momentum_buffer")
        if group["centered"]:
            names.append("grad_avg")

        def advance(parameters: Sequence[Tensor], states: Sequence[dict[str, Any]]) -> list[None]:
            for parameter, state in zip(parameters, states, strict=True):
                state["step"] = state.get("step", 0) + 1
                for name in names:
                    if name not in state:
                        state[name] = parameter.zeros_like()
            return [None] * len(states)

        for number, (_, batch) in enumerate(self._batches(group, advance)):
            values = (
                group["lr"],
                group["alpha"],
                group["eps"],
                group["weight_decay"],
                group["momentum"],
                float(group["eps_inside_sqrt"]),
            )
            hyper = self._hyper(index, number, batch.parameters[0], values)
            buffers = {name: [state[name] for state in batch.states] for name in names}
            rmsprop_update(
                batch.parameters,
                batch.gradients,
                buffers["square_avg"],
                buffers.get("momentum_buffer", ()),
                buffers.get("grad_avg", ()),
                hyper,
            )


def _default_eps(inside: bool) -> float:
    return INSIDE if inside else OUTSIDE
