"""Reverse-mode differentiation, define-by-run.

``apply`` is the one dispatcher: it runs an op and, where a gradient will be wanted, links a node. ``backward`` and
``grad``
walk back through the nodes, and every gradient is written in ops again.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from numbanet.autograd import dispatch, node
from numbanet.autograd.dispatch import apply, apply_inplace, apply_mutating, apply_view, link_outputs
from numbanet.autograd.modes import (
    current_capture,
    enable_grad,
    is_captured,
    is_grad_enabled,
    keep_apart,
    no_grad,
    rehearse,
    run_update,
    set_capture,
    set_grad_enabled,
    set_recorder,
    tell_of_hook,
    undo_list,
    update_number,
    with_numbers,
)
from numbanet.autograd.node import Node, is_watched
from numbanet.autograd.walk import backward, grad

if TYPE_CHECKING:
    from numbanet.tensor import Tensor


def bind_tensor(make: Callable[..., Tensor]) -> None:
    """Called by ``tensor`` when it has made its class: the dispatcher makes Tensors, and Tensors call it."""
    dispatch.bind_tensor(make)
    node.bind_tensor(make)


__all__ = [
    "Node",
    "apply",
    "apply_inplace",
    "apply_mutating",
    "apply_view",
    "backward",
    "bind_tensor",
    "current_capture",
    "enable_grad",
    "grad",
    "is_captured",
    "is_grad_enabled",
    "is_watched",
    "keep_apart",
    "link_outputs",
    "no_grad",
    "rehearse",
    "run_update",
    "set_capture",
    "set_grad_enabled",
    "set_recorder",
    "tell_of_hook",
    "undo_list",
    "update_number",
    "with_numbers",
]
