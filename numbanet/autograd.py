"""Reverse-mode differentiation, define-by-run: the one dispatcher, the graph it links, and the walk back through it.

``apply`` runs an op and, where a gradient will be wanted, links a :class:`Node`. Nodes are numbered in the order they
are made, and a node only ever reads from older ones, so the walk back needs no sorting: it takes the youngest node
that has a gradient waiting, until none is left.
"""

from __future__ import annotations

import functools
import heapq
import itertools
import threading
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


class _State(threading.local):
    """What every thread has for itself; the class attributes are its beginning."""

    grad_enabled = True
    recorder = None
    fresh: set[int] | None = None  # ids of the storages made in a running backward pass: free to be kept as .grad


_state = _State()
_sequence = itertools.count()
_make: Callable[..., Tensor]  # the class Tensor, once it exists


def bind_tensor(tensor_class: type) -> None:
    """Called by ``tensor`` when it has made its class: the dispatcher makes Tensors, and Tensors call it."""
    global _make
    _make = tensor_class


# --- grad mode -------------------------------------------------------------------------------------------------------
def is_grad_enabled() -> bool:
    """Whether ops on this thread are recorded for differentiation."""
    return _state.grad_enabled


class set_grad_enabled:  # noqa: N801  (PyTorch's name)
    """Turn recording on or off on this thread: as a statement, a context manager or a decorator."""

    def __init__(self, mode: bool) -> None:
        self.mode = bool(mode)
        self.previous = [_state.grad_enabled]
        _state.grad_enabled = self.mode

    def __enter__(self) -> None:
        _state.grad_enabled = self.mode

    def __exit__(self, *exception: object) -> None:
        _state.grad_enabled = self.previous[-1]

    def __call__(self, function: Callable) -> Callable:
        _state.grad_enabled = self.previous[-1]
        return _with_mode(function, self.mode)


class _Mode:
    mode = False

    def __init__(self) -> None:
        self.previous: list[bool] = []

    def __enter__(self) -> None:
        self.previous.append(_state.grad_enabled)
        _state.grad_enabled = self.mode

    def __exit__(self, *exception: object) -> None:
        _state.grad_enabled = self.previous.pop()

    def __call__(self, function: Callable) -> Callable:
        return _with_mode(function, self.mode)

    def __new__(cls, function: Callable | None = None) -> object:
        if function is not None:  # @no_grad without brackets
            return _with_mode(function, cls.mode)
        return super().__new__(cls)


class no_grad(_Mode):  # noqa: N801
    """Context manager or decorator: ops inside are not recorded for differentiation."""

    mode = False


class enable_grad(_Mode):  # noqa: N801
    """Context manager or decorator: ops inside are recorded, even within ``no_grad``."""

    mode = True


def _with_mode(function: Callable, mode: bool) -> Callable:
    @functools.wraps(function)
    def wrapped(*arguments: object, **keywords: object) -> object:
        previous, _state.grad_enabled = _state.grad_enabled, mode
        try:
            return function(*arguments, **keywords)
        finally:
            _state.grad_enabled = previous

    return wrapped


def set_recorder(recorder: Callable | None) -> Callable | None:
    """Have ``recorder(op, inputs, outputs)`` called after every op on this thread; returns the one before."""
    previous, _state.recorder = _state.recorder, recorder
    return previous


# --- the graph -------------------------------------------------------------------------------------------------------
class Node:
    """One op that was run: where its inputs came from, and what its gradient needs to know."""

    __slots__ = ("edges", "hooks", "needs", "op", "released", "retained", "saved", "sequence", "shapes", "specs")

    def __init__(self, op: Op, edges: list, needs: tuple[bool, ...], arrays: Sequence[Array]) -> None:
        self.op = op
        self.edges = edges  # (Node, output number), (leaf Tensor, -1), or None where no gradient is wanted
        self.needs = needs
        self.shapes = [array.shape for array in arrays]
        self.specs: tuple = ()  # (shape, dtype, backend) of the outputs
        self.saved: dict[int, tuple[Array, int]] = {}
        self.released = False
        self.sequence = next(_sequence)
        self.hooks: dict[int, dict[int, Callable]] | None = None  # by output number
        self.retained: dict[int, object] | None = None  # weak references to tensors that keep their gradient

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


def _stale(tensor: Tensor) -> bool:
    return tensor._base._node is not tensor._base_node


def _edges(inputs: Sequence[Tensor]) -> list:
    edges = []
    for tensor in inputs:
        if tensor._base is not None and _stale(tensor):
            raise RuntimeError(
                f"a view of shape {tensor.shape} is used after the tensor it shows was changed in place by an operation "
                "that is part of the graph, so its gradient is not known any more. Make the view again."
            )
        if not tensor._requires_grad:
            edges.append(None)
        elif tensor._node is None:
            edges.append((tensor, -1))
        else:
            edges.append((tensor._node, tensor._index))
    return edges


def _link(op: Op, inputs: Sequence[Tensor], arrays: Sequence[Array], outputs: tuple[Array, ...]) -> Node:
    edges = _edges(inputs)
    node = Node(op, edges, tuple([edge is not None for edge in edges]), arrays)
    node.specs = tuple([(array.shape, array.dtype, array.storage.backend) for array in outputs])
    saved = node.saved
    for index in op.saved_inputs(node.needs):
        saved[index] = (arrays[index], arrays[index].storage.version)
    for index in op.saves_outputs:
        saved[-1 - index] = (outputs[index], outputs[index].storage.version)
    return node


# --- the dispatcher --------------------------------------------------------------------------------------------------
def _mixed(arrays: Sequence[Array], op: Op) -> RuntimeError:
    names = [array.storage.backend.name for array in arrays]
    return RuntimeError(
        f"{type(op).__name__} got tensors of different back ends ({', '.join(names)}); move them to one of them with "
        ".to(backend=...)"
    )


def apply(op: Op, *inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
    """Run an op on tensors: the only way to a kernel.

    Infers the outputs (which checks the inputs), makes inputs contiguous unless the op takes any strides, allocates,
    has the op append its kernels to this thread's program, runs it, and links the graph if gradients are recorded
    and an input requires one.
    """
    if not op.strided:
        for tensor in inputs:
            if not tensor._array.is_contiguous:
                inputs = [tensor.contiguous() for tensor in inputs]
                break
    arrays = [tensor._array for tensor in inputs]
    backend = arrays[0].storage.backend
    for array in arrays:
        if array.storage.backend is not backend:
            raise _mixed(arrays, op)
    spec = op.infer(*arrays)
    if type(spec) is tuple:
        outs = target = tuple([_allocate(backend, one) for one in spec])
        empty = not any([out.size for out in outs])
    else:
        target = _allocate(backend, spec)
        outs = (target,)
        empty = not target.size
    if not empty:
        program = backend.eager()
        try:
            op.forward(program, target, *arrays)
            program.run()
        finally:
            program.clear()
    return link_outputs(op, inputs, arrays, outs, False)


def _allocate(backend: object, spec: object) -> Array:
    array = Array(None, spec.shape, spec.dtype)
    array.storage = storage = backend.allocate(array.size * spec.dtype.itemsize)
    if _state.fresh is not None:
        _state.fresh.add(id(storage))
    return array


def apply_view(op: Op, tensor: Tensor) -> Tensor:
    """Run a view op: the result shares the storage."""
    array = tensor._array
    result = link_outputs(op, (tensor,), (array,), (op.view(array),), True)
    base = tensor if tensor._base is None else tensor._base
    result._base, result._base_node = base, base._node
    return result


def link_outputs(
    op: Op, inputs: Sequence[Tensor], arrays: Sequence[Array], outs: tuple[Array, ...], is_view: bool
) -> Tensor | tuple[Tensor, ...]:
    """Tensors for the outputs, linked where gradients are recorded."""
    state = _state
    node = None
    if state.grad_enabled and op.differentiable and outs[0].dtype.kind == "f":
        for tensor in inputs:
            if tensor._requires_grad or (tensor._base is not None and _stale(tensor)):
                node = _link(op, inputs, arrays, outs)
                break
    if len(outs) == 1:
        result = _make(outs[0]) if node is None else _make(outs[0], True, node, 0)
        outputs = (result,)
    elif node is None:
        result = outputs = tuple([_make(out) for out in outs])
    else:
        result = outputs = tuple(
            [
                _make(out, True, node, number) if out.dtype.kind == "f" else _make(out)
                for number, out in enumerate(outs)
            ]
        )
    if state.recorder is not None:
        state.recorder(op, inputs, outputs)
    return result


def check_inplace(tensor: Tensor, records: bool) -> None:
    """PyTorch's rules for changing a tensor in place; ``records``: the change is part of the graph."""
    if not _state.grad_enabled:
        return
    if tensor._requires_grad and tensor._node is None:
        if tensor._base is None:
            raise RuntimeError("a leaf Variable that requires grad is being used in an in-place operation.")
    if records and tensor._base is not None:
        raise RuntimeError(
            f"a view (of shape {tensor.shape}) of a tensor that needs its gradient is being changed in place; numbanet "
            "does not follow that. Use the operation that is not in place, change a clone() of the view, or assign to "
            "the tensor itself: x[index] = values."
        )


def apply_inplace(op: Op, target: Tensor, *others: Tensor) -> Tensor:
    """Run an op whose output takes the place of its first input, and give that tensor the op's history."""
    inputs = [target, *others]
    records = op.differentiable and _state.grad_enabled and any([tensor._requires_grad for tensor in inputs])
    check_inplace(target, records)
    out = target._array
    arrays = [tensor._array for tensor in inputs]
    backend = out.storage.backend
    for index, array in enumerate(arrays):
        if array.storage.backend is not backend:
            raise _mixed(arrays, op)
        same = array.shape == out.shape and array.strides == out.strides and array.offset == out.offset
        if index and array.storage is out.storage and not same:
            with no_grad():
                arrays[index] = inputs[index].clone()._array
    spec = op.infer(*arrays)
    if spec.shape != out.shape:
        raise RuntimeError(f"output with shape {out.shape} doesn't match the broadcast shape {spec.shape}")
    if spec.dtype != out.dtype:
        raise RuntimeError(f"result type {spec.dtype} can't be cast to the desired output type {out.dtype}")
    node = None
    if records:
        edges = _edges(inputs)
        needs = tuple([edge is not None for edge in edges])
        node = Node(op, edges, needs, arrays)
        node.specs = ((out.shape, out.dtype, backend),)
        for index in op.saved_inputs(needs):
            array = arrays[index]
            if array.storage is out.storage:
                with no_grad():
                    array = inputs[index].clone()._array  # its value from before the change
            node.saved[index] = (array, array.storage.version)
    if out.size:
        _run_inplace(op, backend, target, arrays)
    out.storage.version += 1
    if node is not None:
        for index in op.saves_outputs:
            node.saved[-1 - index] = (out, out.storage.version)
        if target._node is not None and target._node.retained:
            _move_retained(target, node)
        target._node, target._index, target._requires_grad = node, 0, True
    if _state.recorder is not None:
        _state.recorder(op, inputs, (target,))
    return target


def _run_inplace(op: Op, backend: object, target: Tensor, arrays: Sequence[Array]) -> None:
    out = target._array
    direct = op.inplace and (op.strided or all([array.is_contiguous for array in arrays]))
    program = backend.eager()
    try:
        if direct:
            op.forward(program, out, *arrays)
        else:
            with no_grad():
                arrays = [array if array.is_contiguous else _make(array).contiguous()._array for array in arrays]
            result = Array(backend.allocate(out.size * out.dtype.itemsize), out.shape, out.dtype)
            op.forward(program, result, *arrays)
            program.copy(out, result)
        program.run()
    finally:
        program.clear()


def _move_retained(target: Tensor, node: Node) -> None:
    reference = target._node.retained.get(target._index)
    if reference is not None and reference() is target:
        del target._node.retained[target._index]
        node.retained = {0: reference}


def apply_mutating(op: Op, *inputs: Tensor) -> None:
    """Run an op that changes the inputs named in ``op.mutates`` and has no outputs (optimiser updates, random fills)."""
    mutated = op.mutates
    if _state.grad_enabled:
        for index in mutated:
            tensor = inputs[index]
            check_inplace(tensor, tensor._requires_grad)
            if tensor._requires_grad:
                raise RuntimeError(f"{type(op).__name__} changes a tensor that requires grad; call it under no_grad()")
    arrays = [tensor._array for tensor in inputs]
    backend = arrays[0].storage.backend
    for array in arrays:
        if array.storage.backend is not backend:
            raise _mixed(arrays, op)
    op.infer(*arrays)
    works = arrays
    for array in arrays:
        if not array.is_contiguous:
            with no_grad():
                works = [a if a.is_contiguous else t.contiguous()._array for a, t in zip(arrays, inputs, strict=True)]
            break
    program = backend.eager()
    try:
        op.forward(program, None, *works)
        if works is not arrays:
            for index in mutated:
                if works[index] is not arrays[index]:
                    program.copy(arrays[index], works[index])
        program.run()
    finally:
        program.clear()
    for index in mutated:
        arrays[index].storage.version += 1
    if _state.recorder is not None:
        _state.recorder(op, inputs, ())


# --- the walk back ---------------------------------------------------------------------------------------------------
class _Walk:
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

    def push(self, edge: tuple, gradient: Tensor) -> None:
        source, number = edge
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
            slots = self.waiting[source] = [None] * len(source.specs)
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
            results = node.op.backward(node, *gradients)
            if type(results) is not tuple:
                results = (results,)
            for edge, gradient, shape in zip(node.edges, results, node.shapes, strict=True):
                if edge is not None and gradient is not None:
                    if gradient._array.shape != shape:
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
        free = id(storage) in _state.fresh and id(storage) not in self.taken and array.is_contiguous
        if free and not self.create_graph and array.size * array.dtype.itemsize == storage.nbytes:
            self.taken.add(id(storage))
            tensor._grad = _make(array)
        else:
            tensor._grad = gradient.clone()

    def fill_leaves(self) -> None:
        for leaf, gradient in self.leaves.values():
            if leaf._hooks:
                gradient = _call_hooks(leaf._hooks, gradient)
                self.taken.add(id(gradient._array.storage))  # the hook may have kept it
            self.keep(leaf, gradient)


def _call_hooks(hooks: dict[int, Callable], gradient: Tensor) -> Tensor:
    for hook in list(hooks.values()):
        result = hook(gradient)
        if result is not None:
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
            gradient = tensor.new_ones(tensor.shape)
        elif gradient.shape != tensor.shape:
            raise RuntimeError(
                f"Mismatch in shape: grad_output[{index}] has a shape of {gradient.shape} and output[{index}] has a "
                f"shape of {tensor.shape}."
            )
        starts.append((_edges([tensor])[0], gradient))
    return starts


def _run(walk: _Walk, starts: list[tuple[tuple, Tensor]]) -> None:
    previous_mode, previous_fresh = _state.grad_enabled, _state.fresh
    _state.grad_enabled, _state.fresh = walk.create_graph, set()
    try:
        for edge, gradient in starts:
            walk.push(edge, gradient)
        walk.run()
        if walk.wanted is None:
            walk.fill_leaves()
    finally:
        _state.grad_enabled, _state.fresh = previous_mode, previous_fresh


def _as_list(value: Tensor | Sequence | None, count: int | None = None) -> list:
    if value is None:
        return [None] * (count or 0)
    return list(value) if isinstance(value, list | tuple) else [value]


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
    _run(_Walk(create_graph if retain_graph is None else retain_graph, create_graph), starts)


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
    walk = _Walk(create_graph if retain_graph is None else retain_graph, create_graph)
    walk.wanted = {(id(tensor._node), tensor._index): None for tensor in inputs if tensor._node is not None}
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
