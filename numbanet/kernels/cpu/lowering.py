"""How Numba's lowering is used here: typed code becomes LLVM's, without what only Python objects need.

Kernels hold numbers, vectors and addresses: nothing is counted, and nothing is deleted before the function ends. What
an operator does follows from the types that the inference has found; Numba infers them again, three times with its
operands taken for constants. Without that a kernel is compiled in seven eighths of the time.
"""

from __future__ import annotations

import operator
from collections.abc import Callable

from llvmlite import ir as llvm
from numba.core import ir, lowering, types
from numba.core.compiler_machinery import register_pass
from numba.core.typed_passes import NativeLowering

CONSTANT_MATTERS = {operator.pow, operator.ipow}
"""Operators for which Numba has implementations of constant operands."""
_resolved: dict[tuple, tuple] = {}
_plain: set[types.Type] = set()


class KernelLowering(lowering.Lower):
    """Numba's lowering of a function that knows no Python object."""

    def lower_binop(self, resty: types.Type, expr: ir.Expr, op: object) -> llvm.Value:
        """The value of a binary operator, by the signature that the inference chose."""
        if op in CONSTANT_MATTERS:
            return super().lower_binop(resty, expr, op)
        context, builder = self.context, self.builder
        signature = self.fndesc.calltypes[expr]
        operands = [
            context.cast(builder, self.loadvar(operand.name), self.typeof(operand.name), wanted)
            for operand, wanted in zip((expr.lhs, expr.rhs), signature.args, strict=True)
        ]
        implementation = self._implementation(op, signature.args)
        return context.cast(builder, implementation(builder, operands), signature.return_type, resty)

    def _implementation(self, op: object, args: tuple) -> Callable:
        """What computes an operator for operands of these types."""
        found = _resolved.get((op, args))
        if found is None:
            typing = self.context.typing_context
            function = typing.resolve_value_type(op)
            found = _resolved[op, args] = function, function.get_call_type(typing, args, {})
        return self.context.get_function(*found)

    def storevar(self, value: llvm.Value, name: str, argidx: int | None = None) -> None:
        """Store a value in a variable; TypeError for an object, which nobody would free (a constant table never is)."""
        kind = self.typeof(name)
        if kind not in _plain:
            is_table = isinstance(kind, types.Array) and not kind.mutable
            if self.context.data_model_manager[kind].contains_nrt_meminfo() and not is_table:
                raise TypeError(f"a kernel holds numbers, vectors and pointers, and no {kind}, as {name!r} is")
            _plain.add(kind)
        super().storevar(value, name, argidx)

    def delvar(self, name: str) -> None:
        """Nothing."""

    def incref(self, typ: types.Type, val: llvm.Value) -> None:
        """Nothing."""

    def decref(self, typ: types.Type, val: llvm.Value) -> None:
        """Nothing."""


@register_pass(mutates_CFG=True, analysis_only=False)
class LowerKernel(NativeLowering):
    """The pass of Numba's pipeline that lowers, with ``KernelLowering``."""

    _name = "numbanet_lower_kernel"

    @property
    def lowering_class(self) -> type[lowering.Lower]:
        return KernelLowering
