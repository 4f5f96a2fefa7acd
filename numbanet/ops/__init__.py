"""Operations: shapes, kernels and gradients, one small class each.

``OPS`` lists all of them; the tests demand a row in their table for each. Only who asks for it imports them all: the
functions and layers import the modules that they use.
"""

from __future__ import annotations

import importlib
import pkgutil

from numbanet.ops.base import Op, Spec, ViewOp

_ABSTRACT = {
    "Op", "ViewOp", "Unary", "UnaryBackward", "Binary", "Reduce", "Walk", "WalkBackward", "_Update", "_RandomFill",
    "_ChangeAll",
}  # fmt: skip


def _all_ops() -> list[type[Op]]:
    modules = [importlib.import_module(f"{__name__}.{module.name}") for module in pkgutil.iter_modules(__path__)]
    return [
        kind
        for module in modules
        for name, kind in vars(module).items()
        if isinstance(kind, type)
        and issubclass(kind, Op)
        and kind.__module__ == module.__name__
        and name not in _ABSTRACT
    ]


def __getattr__(name: str) -> object:
    if name == "OPS":
        globals()["OPS"] = _all_ops()
        return globals()["OPS"]
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


__all__ = ["Op", "Spec", "ViewOp"]
