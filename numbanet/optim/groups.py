"""Which parameters weight decay acts on."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from numbanet.tensor import Tensor


def decay_groups(named_parameters: Iterable[tuple[str, Tensor]], weight_decay: float) -> list[dict[str, Any]]:
    """Parameter groups for an optimiser: weight decay for matrices and filters, none for biases and norms.

    Left out is what is called a bias (``bias``, ``bias_ih_l0``, …) and what has fewer than two axes: the scales and
    shifts of normalisations. A group without parameters is left out too.
    """
    groups: list[dict[str, Any]] = [
        {"params": [], "weight_decay": weight_decay},
        {"params": [], "weight_decay": 0.0},
    ]
    for name, parameter in named_parameters:
        last = name.rpartition(".")[2]
        is_left_out = parameter.ndim < 2 or last == "bias" or last.startswith("bias_")
        groups[is_left_out]["params"].append(parameter)
    return [group for group in groups if group["params"]]
