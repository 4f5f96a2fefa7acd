"""Hooks of a module that see gradients pass: the two boundaries around its call."""

from __future__ import annotations

import warnings
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, ClassVar

from numbanet.autograd import apply, is_grad_enabled, keep_apart
from numbanet.kernels.array import Array
from numbanet.ops.base import Op, Spec
from numbanet.tensor import Tensor


@dataclass(slots=True, eq=False)
class GradientBoundary(Op):
    """Identity of several tensors at once, which shows their gradients to a function when they come back.

    ``y_i = x_i``; backward calls ``on_backward(gradients)`` once, with None where an output was not used, and passes
    on what it returns (None: the gradients as they are). The outputs are copies, so that a change in place inside the
    module is seen by neither side of the boundary.
    """

    on_backward: Callable[[tuple], tuple | None]

    strided: ClassVar[bool] = True
    repeats: ClassVar[bool] = False

    def infer(self, *arrays: Array) -> tuple[Spec, ...]:
        return tuple(Spec(array.shape, array.dtype) for array in arrays)

    def forward(self, program: Any, out: tuple[Array, ...], *arrays: Array) -> None:
        for target, source in zip(out, arrays, strict=True):
            if target.size:
                program.copy(target, source)

    def backward(self, node: Any, *grads: Tensor | None) -> tuple[Tensor | None, ...]:
        keep_apart(*grads)
        changed = self.on_backward(grads)
        if changed is None:
            return grads
        keep_apart(*changed)
        return changed


class BackwardHooks:
    """The backward hooks of one call of a module: a boundary around its inputs and one around its outputs.

    Gradients reach the outputs' boundary first, where the pre-hooks run, and the inputs' boundary last, where the
    hooks run. Only tensors that require a gradient pass through; for the others the hooks see None.
    """

    def __init__(self, module: Any, pre_hooks: Iterable[Callable], hooks: Iterable[Callable]) -> None:
        self.module = module
        self.pre_hooks = list(pre_hooks)
        self.hooks = list(hooks)
        self.inputs: list[int] = []
        self.outputs: list[int] = []
        self.counts = [0, 0]
        self.grad_output: tuple | None = None

    def watch_inputs(self, args: tuple) -> tuple:
        """The positional arguments, tensors among them behind the boundary."""
        self.counts[0] = len(args)
        args, self.inputs = _watch(args, self._at_inputs)
        return args

    def watch_outputs(self, result: Any) -> Any:
        """The output, or the tuple of outputs, behind the boundary."""
        if not isinstance(result, (Tensor, tuple)):
            warnings.warn(
                "For backward hooks to be called, module output should be a Tensor or a tuple of Tensors "
                f"but received {type(result)}",
                stacklevel=4,
            )
            return result
        values = result if isinstance(result, tuple) else (result,)
        self.counts[1] = len(values)
        watched, self.outputs = _watch(values, self._at_outputs)
        return watched if isinstance(result, tuple) else watched[0]

    def _at_outputs(self, gradients: tuple) -> tuple:
        grad_output = _spread(self.outputs, gradients, self.counts[1])
        for hook in self.pre_hooks:
            changed = hook(self.module, grad_output)
            if changed is not None:
                grad_output = _same_length(changed, grad_output, "Backward pre hook", "grad_output")
        if self.inputs:
            self.grad_output = grad_output
        else:
            # No gradient will reach the inputs, so the hooks run now.
            nothing = (None,) * self.counts[0]
            for hook in self.hooks:
                changed = hook(self.module, nothing, grad_output)
                if changed is not None and any(gradient is not None for gradient in changed):
                    raise RuntimeError(
                        "Backward hook for Modules where no input requires gradient should always return None or "
                        "None for all gradients."
                    )
        return tuple(grad_output[index] for index in self.outputs)

    def _at_inputs(self, gradients: tuple) -> tuple | None:
        if self.grad_output is None:  # the gradient came around the outputs, as in a second derivative
            return None
        grad_input = _spread(self.inputs, gradients, self.counts[0])
        for hook in self.hooks:
            changed = hook(self.module, grad_input, self.grad_output)
            if changed is not None:
                grad_input = _same_length(changed, grad_input, "Backward hook", "grad_input")
        self.grad_output = None
        return tuple(grad_input[index] for index in self.inputs)


def _watch(values: tuple, on_backward: Callable[[tuple], tuple | None]) -> tuple[tuple, list[int]]:
    """``values`` with the tensors that require a gradient behind a boundary, and where these are."""
    indices = [index for index, value in enumerate(values) if isinstance(value, Tensor) and value.requires_grad]
    if not indices or not is_grad_enabled():
        return values, []
    passed = apply(GradientBoundary(on_backward), *(values[index] for index in indices))
    result = list(values)
    for index, tensor in zip(indices, passed if isinstance(passed, tuple) else (passed,), strict=True):
        result[index] = tensor
    # A named tuple stays one.
    return (type(values)(*result) if hasattr(values, "_fields") else tuple(result)), indices


def _spread(indices: list[int], gradients: tuple, count: int) -> tuple:
    result: list[Tensor | None] = [None] * count
    for index, gradient in zip(indices, gradients, strict=True):
        result[index] = gradient
    return tuple(result)


def _same_length(changed: Any, before: tuple, hook: str, what: str) -> tuple:
    changed = changed if isinstance(changed, tuple) else (changed,)
    if len(changed) != len(before):
        raise RuntimeError(
            f"{hook} returned an invalid number of {what}, got {len(changed)}, but expected {len(before)}"
        )
    return changed
