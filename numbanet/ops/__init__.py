"""Operations: shapes, kernels and gradients, one small class each.

``OPS`` lists all of them; the tests demand a row in their table for each.
"""

from __future__ import annotations

from numbanet.ops import (
    attention,
    binary,
    clip,
    conv,
    embedding,
    indexing,
    local,
    loss,
    matmul,
    norm,
    norm_samples,
    optim,
    pointwise,
    pointwise_loss,
    pool,
    random,
    recurrent,
    reduce,
    shape,
    transfer,
)
from numbanet.ops.base import Op, Spec, ViewOp

_ABSTRACT = {"Op", "ViewOp", "Unary", "UnaryBackward", "Binary", "Reduce", "_Update", "_RandomFill", "_ChangeAll"}

OPS: list[type[Op]] = [
    kind
    for module in (
        pointwise,
        binary,
        reduce,
        shape,
        indexing,
        embedding,
        matmul,
        attention,
        conv,
        local,
        pool,
        norm,
        norm_samples,
        recurrent,
        loss,
        pointwise_loss,
        optim,
        clip,
        random,
        transfer,
    )
    for name, kind in vars(module).items()
    if isinstance(kind, type) and issubclass(kind, Op) and kind.__module__ == module.__name__ and name not in _ABSTRACT
]

__all__ = ["OPS", "Op", "Spec", "ViewOp"]
