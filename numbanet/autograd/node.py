"""The graph: a node for every op that was run where a gradient will be wanted."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from numbanet.kernels.array import Array

if TYPE_CHECKING:
    from numbanet.ops.base import Op
    from numbanet.tensor import Tensor

SECOND_BACKWARD = (
    "Trying to backward through the graph a second time (or directly access saved tensors after they have already "
    "been freed). Saved intermediate values of the graph are freed when you call .backward() or autograd.grad(). "
    "Specify retain_graph=True if you need to backward through the graph a second time or if you need to access "
    "saved tensors after calling backward."
)

_sequence = itertools.count()
_make: Callable[..., Tensor]  # makes a Tensor of an Array, once there is that class


def bind_tensor(make: Callable[..., Tensor]) -> None:
    """Called by ``tensor`` when it has made its class, whose methods in turn need what is here."""
    global _make
    _make = make


class Node:
    """One op that was run: where its inputs came from, and what its gradient needs to know."""

    __slots__ = (
        "edges", "hooks", "lookup", "needs", "op", "outputs", "released", "retained", "saved", "sequence", "shapes",
        "wanted",
    )  # fmt: skip

    def __init__(self, op: Op, edges: list, needs: tuple[bool, ...], arrays: Sequence[Array]) -> None:
        self.op = op
        self.edges = edges  # (Node, output number), (leaf Tensor, -1), or None where no gradient is wanted
        self.needs = needs
        self.shapes = [array.shape for array in arrays]
        self.outputs = 1
        self.saved: dict[int, tuple[Array, int]] = {}
        self.released = False
        self.sequence = next(_sequence)
        self.hooks: dict[int, dict[int, Callable]] | None = None  # by output number
        self.retained: dict[int, object] | None = None  # weak references to tensors that keep their gradient
        self.wanted = False  # whether grad() was asked for the gradient of an output
        self.lookup: object = None  # of an embedding: what it knows of its output

    def __lt__(self, other: Node) -> bool:
        return self.sequence > other.sequence  # heapq gives the smallest: the youngest

    @property
    def name(self) -> str:
        return f"{type(self.op).__name__}Backward"

    def __repr__(self) -> str:
        return f"<{self.name}>"

    def _saved_array(self, key: int) -> Array:
        if self.released:
            raise RuntimeError(SECOND_BACKWARD)
        array, version = self.saved[key]
        if array.storage.version != version:
            raise RuntimeError(
                "one of the variables needed for gradient computation has been modified by an inplace operation: "
                f"a tensor of shape {array.shape} that {type(self.op).__name__} saved is at version "
                f"{array.storage.version}; expected version {version} instead. Change a clone() of it, or use the "
                "operation that is not in place."
            )
        return array

    def is_changed(self, index: int) -> bool:
        """Whether an input that was saved has been changed since."""
        array, version = self.saved[index]
        return array.storage.version != version

    def input(self, index: int) -> Tensor:
        """The input as it was in the forward pass, linked to its own history."""
        array = self._saved_array(index)
        edge = self.edges[index]
        if edge is None:
            return _make(array)
        source, number = edge
        if number < 0:
            return source if source._array is array else _make(array)
        return _make(array, True, source, number)

    def output(self, index: int = 0) -> Tensor:
        """The output as it was in the forward pass, linked to this node."""
        array = self._saved_array(-1 - index)
        return _make(array, array.dtype.kind == "f", self, index)


def is_watched(node: Node, kind: type[Op]) -> bool:
    """Whether somebody looks at the gradient of a node, or of one of those behind it along first inputs, as far as one
    of this kind."""
    while not (node.hooks or node.retained or node.wanted):
        if type(node.op) is kind:
            return False
        node = node.edges[0][0]
    return True


def is_stale(tensor: Tensor) -> bool:
    return tensor._base._node is not tensor._base_node


def edges_of(inputs: Sequence[Tensor]) -> list:
    edges = []
    for tensor in inputs:
        if tensor._base is not None and is_stale(tensor):
            raise RuntimeError(
                f"a view of shape {tensor.shape} is used after the tensor it shows was changed in place by an "
                "operation "
                "that is part of the graph, so its gradient is not known any more. Make the view again."
            )
        if not tensor._requires_grad:
            edges.append(None)
        elif tensor._node is None:
            edges.append((tensor, -1))
        else:
            edges.append((tensor._node, tensor._index))
    return edges


def link(op: Op, inputs: Sequence[Tensor], arrays: Sequence[Array], outputs: Sequence[Array]) -> Node:
    edges = edges_of(inputs)
    node = Node(op, edges, tuple([edge is not None for edge in edges]), arrays)
    node.outputs = len(outputs)
    saved = node.saved
    for index in op.saved_inputs(node.needs):
        saved[index] = (arrays[index], arrays[index].storage.version)
    for index in op.saves_outputs:
        saved[-1 - index] = (outputs[index], outputs[index].storage.version)
    return node
