"""Passes: each takes the calls of a recorded function, in order, and returns fewer or cheaper ones that do the same.

``PASSES`` lists them in the order in which they are done. All but ``fold_batch_norms`` keep every bit: what they put
together is the same arithmetic in the same order.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from numbanet.graph.passes.activation import fuse_activations
from numbanet.graph.passes.batch_norm import fold_batch_norms
from numbanet.graph.passes.chains import fuse_chains
from numbanet.graph.passes.constants import fold_constants
from numbanet.graph.passes.copies import drop_copies
from numbanet.graph.passes.dead import drop_unread
from numbanet.graph.passes.in_place import overwrite_inputs
from numbanet.graph.passes.mask import fuse_masks
from numbanet.graph.passes.residual import fuse_residuals

if TYPE_CHECKING:
    from numbanet.graph.lower import Call
    from numbanet.kernels.backend import Backend

Pass = Callable[["list[Call]", "Backend"], "list[Call]"]
PASSES: tuple[Pass, ...] = (
    drop_unread,
    drop_copies,
    fold_constants,
    fuse_residuals,
    fuse_activations,
    fold_batch_norms,
    fuse_masks,
    fuse_chains,
    overwrite_inputs,
)


def optimise(calls: list[Call], backend: Backend) -> list[Call]:
    """The calls after all passes."""
    for one in PASSES:
        calls = one(calls, backend)
    return calls
