"""The walk back through the graph.

Nodes are numbered in the order they are made, and a node only ever reads from older ones. So the walk needs no sorting:
it takes the youngest node that has a gradient waiting, until none is left.
"""

from __future__ import annotations

import heapq
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from numbanet.autograd.modes import keep_apart, state, tell_of_hook
from numbanet.autograd.node import SECOND_BACKWARD, Node, edges_of

if TYPE_CHECKING:
    from numbanet.tensor import Tensor


class Walk:
    """One run through the graph: the gradients that wait at nodes and leaves."""

    def __init__(self, retain_graph: bool, create_graph: bool) -> None:
        self.retain_graph = retain_graph
        self.create_graph = create_graph
        self.heap: list[Node] = []
        self.waiting: dict[Node, list] = {}
        self.leaves: dict[int, list] = {}  # id → [leaf, gradient]
        self.wanted: dict[tuple[int, int], Tensor | None] | None = None  # for grad(): (id of node, output) → gradient
        self.needed: set[int] | None = None  # for grad(): nodes whose gradient is of use
        self.running: set[int] | None = None  # for grad(): nodes whose inputs' gradients are of use
        self.taken: set[int] = set()  # storages that already became somebody's .grad

    def push(self, edge: tuple, gradient: Tensor | None) -> None:
        """Let a gradient wait; None: there is none, but what is behind is done with as well."""
        source, number = edge
        if gradient is None:
            if number >= 0 and source not in self.waiting and (self.needed is None or id(source) in self.needed):
                self.waiting[source] = [None] * source.outputs
                heapq.heappush(self.heap, source)
            return
        if number < 0:
            entry = self.leaves.get(id(source))
            if entry is None:
                self.leaves[id(source)] = [source, gradient]
            else:
                entry[1] = entry[1] + gradient
            return
        if self.needed is not None and id(source) not in self.needed:
            return
        slots = self.waiting.get(source)
        if slots is None:
            slots = self.waiting[source] = [None] * source.outputs
            heapq.heappush(self.heap, source)
        slots[number] = gradient if slots[number] is None else slots[number] + gradient

    def run(self) -> None:
        while self.heap:
            node = heapq.heappop(self.heap)
            gradients = self.waiting.pop(node)
            if node.hooks or node.retained or self.wanted:
                self._observe(node, gradients)
            if self.running is not None and id(node) not in self.running:
                continue
            if node.released:
                raise RuntimeError(SECOND_BACKWARD)
            if any(gradient is not None for gradient in gradients):
                results = node.op.backward(node, *gradients)
            else:
                results = (None,) * len(node.edges)
            if type(results) is not tuple:
                results = (results,)
            for edge, gradient, shape in zip(node.edges, results, node.shapes, strict=True):
                if edge is not None:
                    if gradient is not None and gradient._array.shape != shape:
                        raise RuntimeError(
                            f"{node.name} returned a gradient of shape {gradient.shape} for an input of shape {shape}"
                        )
                    self.push(edge, gradient)
            if not self.retain_graph and node.saved:
                node.saved = None
                node.released = True

    def _observe(self, node: Node, gradients: list) -> None:
        for number, hooks in (node.hooks or {}).items():
            if gradients[number] is not None:
                gradients[number] = _call_hooks(hooks, gradients[number])
        for number, reference in (node.retained or {}).items():
            tensor = reference()
            if tensor is not None and gradients[number] is not None:
                self.keep(tensor, gradients[number])
        if self.wanted:
            for number, gradient in enumerate(gradients):
                if (id(node), number) in self.wanted:
                    self.wanted[id(node), number] = gradient

    def keep(self, tensor: Tensor, gradient: Tensor) -> None:
        """Add a gradient to a tensor's ``.grad``, which shares memory with nothing else."""
        if gradient.dtype != tensor.dtype:
            gradient = gradient.to(tensor.dtype)
        held = tensor._grad
        if held is not None:
            if self.create_graph or held._requires_grad:
                tensor._grad = held + gradient
            else:
                held.add_(gradient)
            return
        array = gradient._array
        storage = array.storage
        free = id(storage) in state.fresh and id(storage) not in self.taken and array.is_contiguous
        if free and not self.create_graph and array.size * array.dtype.itemsize == storage.nbytes:
            self.taken.add(id(storage))
            tensor._grad = gradient.detach()
        else:
            tensor._grad = gradient.clone()

    def fill_leaves(self) -> None:
        for leaf, gradient in self.leaves.values():
            if leaf._hooks:
                gradient = _call_hooks(leaf._hooks, gradient)
            self.keep(leaf, gradient)


def _call_hooks(hooks: dict[int, Callable], gradient: Tensor) -> Tensor:
    tell_of_hook()
    keep_apart(gradient)
    for hook in list(hooks.values()):
        result = hook(gradient)
        if result is not None:
            keep_apart(result)
            if result.shape != gradient.shape:
                raise RuntimeError(f"a hook returned a gradient of shape {result.shape}, expected {gradient.shape}")
            gradient = result
    return gradient


def _start(tensors: Sequence[Tensor], gradients: Sequence[Tensor | None]) -> list[tuple[tuple, Tensor]]:
    """The edges to begin at, each with its gradient; checks both."""
    starts = []
    for index, (tensor, gradient) in enumerate(zip(tensors, gradients, strict=True)):
        if not tensor._requires_grad:
            raise RuntimeError(f"element {index} of tensors does not require grad and does not have a grad_fn")
        if gradient is None:
            if tensor._array.size != 1:
                raise RuntimeError("grad can be implicitly created only for scalar outputs")
            gradient = _one(tensor)
        elif gradient.shape != tensor.shape:
            raise RuntimeError(
                f"Mismatch in shape: grad_output[{index}] has a shape of {gradient.shape} and output[{index}] has a "
                f"shape of {tensor.shape}."
            )
        starts.append((edges_of([tensor])[0], gradient))
    return starts


def _one(tensor: Tensor) -> Tensor:
    """The gradient of one number for itself: the constant 1, or a tensor of its own where hooks could change it."""
    node = tensor._node
    if tensor.shape or node is None or node.hooks or node.retained:
        return tensor.new_ones(tensor.shape)
    from numbanet.tensor_math import constant

    return constant(1, tensor._array.dtype, tensor._array.storage.backend)


def _run(walk: Walk, starts: list[tuple[tuple, Tensor]]) -> None:
    previous_mode, previous_fresh = state.grad_enabled, state.fresh
    state.grad_enabled, state.fresh = walk.create_graph, set()
    try:
        for edge, gradient in starts:
            walk.push(edge, gradient)
        walk.run()
        if walk.wanted is None:
            walk.fill_leaves()
    finally:
        state.grad_enabled, state.fresh = previous_mode, previous_fresh


def _as_list(value: Tensor | Sequence | None, count: int | None = None) -> list:
    if value is None:
        return [None] * (count or 0)
    return [value] if hasattr(value, "_array") else list(value)


def backward(
    tensors: Tensor | Sequence[Tensor],
    grad_tensors: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
) -> None:
    """Sum up the gradients of tensors with respect to the graph's leaves in their ``.grad``.

    The gradients of what is not a single number must be given. RuntimeError for tensors that do not require grad, a
    second pass without ``retain_graph``, and a saved tensor that was changed in place. As ``torch.autograd.backward``.
    """
    tensors = _as_list(tensors)
    starts = _start(tensors, _as_list(grad_tensors, len(tensors)))
    _run(Walk(create_graph if retain_graph is None else retain_graph, create_graph), starts)


def grad(
    outputs: Tensor | Sequence[Tensor],
    inputs: Tensor | Sequence[Tensor],
    grad_outputs: Tensor | Sequence[Tensor | None] | None = None,
    retain_graph: bool | None = None,
    create_graph: bool = False,
    allow_unused: bool = False,
) -> tuple[Tensor | None, ...]:
    """The gradients of the sum of outputs (weighted by ``grad_outputs``) with respect to inputs; no ``.grad`` changes.

    With ``create_graph`` the gradients can be differentiated again. An input that the outputs do not depend on is an
    error, or None with ``allow_unused``. As ``torch.autograd.grad``.
    """
    outputs, inputs = _as_list(outputs), _as_list(inputs)
    starts = _start(outputs, _as_list(grad_outputs, len(outputs)))
    for index, tensor in enumerate(inputs):
        if not tensor._requires_grad:
            raise RuntimeError(f"One of the differentiated Tensors does not require grad: input {index}")
    walk = Walk(create_graph if retain_graph is None else retain_graph, create_graph)
    walk.wanted = {(id(tensor._node), tensor._index): None for tensor in inputs if tensor._node is not None}
    for tensor in inputs:
        if tensor._node is not None:
            tensor._node.wanted = True
    walk.needed, walk.running = _leading_to(starts, inputs)
    _run(walk, starts)
    results = []
    for tensor in inputs:
        if tensor._node is None:
            entry = walk.leaves.get(id(tensor))
            result = None if entry is None else entry[1]
            if result is not None and tensor._hooks:
                result = _call_hooks(tensor._hooks, result)
        else:
            result = walk.wanted[id(tensor._node), tensor._index]
        if result is None and not allow_unused:
            raise RuntimeError(
                "One of the differentiated Tensors appears to not have been used in the graph. Set allow_unused=True "
                "if this is the desired behavior."
            )
        results.append(result)
    return tuple(results)


def _leading_to(starts: list[tuple[tuple, Tensor]], inputs: Sequence[Tensor]) -> tuple[set[int], set[int]]:
    """The ids of the nodes on a way from the starts to the inputs, and of those among them that lead on to an input."""
    seen: dict[int, Node] = {}
    stack = [edge[0] for edge, _ in starts if edge[1] >= 0]
    while stack:
        node = stack.pop()
        if id(node) not in seen:
            seen[id(node)] = node
            stack.extend(edge[0] for edge in node.edges if edge is not None and edge[1] >= 0)
    targets = {id(tensor) for tensor in inputs if tensor._node is None}
    needed = {id(tensor._node) for tensor in inputs if tensor._node is not None}
    running: set[int] = set()
    for node in sorted(seen.values(), key=lambda node: node.sequence):
        for edge in node.edges:
            if edge is not None and id(edge[0]) in (targets if edge[1] < 0 else needed):
                needed.add(id(node))
                running.add(id(node))
    return needed, running
