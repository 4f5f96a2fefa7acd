"""Ops that walk over a sequence step by step inside one kernel, with inputs and outputs that have names."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from numbanet.autograd import apply, apply_view, enable_grad, grad, is_grad_enabled
from numbanet.ops.base import Op, Spec, as_tuple, named
from numbanet.ops.shape import Alias

if TYPE_CHECKING:
    from numbanet.autograd import Node
    from numbanet.tensor import Tensor


@dataclass(slots=True, eq=False)
class Walk(Op):
    """An op with the properties ``names`` and ``outputs`` (of its inputs and outputs) over a whole sequence.

    ``kept`` names the outputs that are there for the backward pass, ``saves_outputs`` says which that takes, and
    ``gradients`` is its op. For gradients that will be differentiated the steps are done again as ops, one by one
    (``steps``)."""

    kept: ClassVar[tuple[str, ...]] = ()
    gradients: ClassVar[type[WalkBackward]]

    def steps(self, saved: dict) -> tuple:
        """The outputs that are not for the backward pass alone, from ops that have gradients."""
        raise NotImplementedError

    def saved_inputs(self, needs):
        return range(len(self.names))

    def wanted(self, node: Node) -> tuple[str, ...]:
        """The names of the inputs whose gradients are asked for; the node may have more inputs behind them."""
        return tuple([name for name, need in zip(self.names, node.needs, strict=False) if need])

    def backward(self, node: Node, *grads: Tensor | None):
        incoming = {name: value for name, value in named(self.outputs, grads).items() if value is not None}
        if not incoming.keys().isdisjoint(self.kept):
            raise RuntimeError(f"what {type(self).__name__} keeps for its backward pass has no gradient")
        saved = named(self.names, [node.input(number) for number in range(len(self.names))])
        wanted = self.wanted(node)
        if is_grad_enabled():
            found = self._composed(saved, incoming, wanted)
        else:
            op = self.gradients(self, tuple(incoming), wanted)
            outputs = [node.output(number) for number in self.saves_outputs]
            found = as_tuple(apply(op, *incoming.values(), *outputs, *saved.values()))
        results = named(wanted, found)
        return tuple([results.get(name) for name in self.names])

    def _composed(self, saved: dict, incoming: dict, wanted: tuple[str, ...]) -> tuple:
        """The gradients from ops that have gradients; inputs that are one tensor are told apart."""
        saved = {name: apply_view(Alias(), value) for name, value in saved.items()}
        with enable_grad():
            results = named([name for name in self.outputs if name not in self.kept], self.steps(saved))
            outs = [results[name] for name in incoming]
            inputs = [saved[name] for name in wanted]
            return grad(outs, inputs, list(incoming.values()), create_graph=True, allow_unused=True)


@dataclass(slots=True, eq=False)
class WalkBackward(Op):
    """The gradients that ``wanted`` names of the inputs of a ``walk``.

    Inputs: the gradients for its outputs that ``incoming`` names, what it saved of its outputs, and all its inputs.
    It has no gradient of its own: the walk puts its own together from other ops where that will be differentiated."""

    differentiable: ClassVar[bool] = False
    walk: Walk
    incoming: tuple[str, ...]
    wanted: tuple[str, ...]

    def split(self, arrays: tuple) -> tuple[dict, dict, dict]:
        """The gradients, what was saved of the outputs, and the inputs of the walk."""
        outputs = [self.walk.outputs[number] for number in self.walk.saves_outputs]
        first, second = len(self.incoming), len(self.incoming) + len(outputs)
        return (
            named(self.incoming, arrays[:first]), named(outputs, arrays[first:second]),
            named(self.walk.names, arrays[second:]),
        )  # fmt: skip

    def infer(self, *arrays):
        _, _, inputs = self.split(arrays)
        return tuple([Spec(inputs[name].shape, inputs[name].dtype) for name in self.wanted])
