"""The one dispatcher: every op, on tensors, in place or not."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from operator import attrgetter
from typing import TYPE_CHECKING

from numbanet.autograd.modes import no_grad, state
from numbanet.autograd.node import Node, edges_of, is_stale, link
from numbanet.kernels import threads
from numbanet.kernels.array import Array, Storage, new_array
from numbanet.kernels.calls import remembered

if TYPE_CHECKING:
    from numbanet.ops.base import Op
    from numbanet.tensor import Tensor

_make: Callable[..., Tensor]  # makes a Tensor of an Array, once there is that class


def bind_tensor(make: Callable[..., Tensor]) -> None:
    """Called by ``tensor`` when it has made its class: the dispatcher makes Tensors, and Tensors call it."""
    global _make
    _make = make


def _mixed(arrays: Sequence[Array], op: Op) -> RuntimeError:
    names = [array.storage.backend.name for array in arrays]
    return RuntimeError(
        f"{type(op).__name__} got tensors of different back ends ({', '.join(names)}); move them to one of them with "
        ".to(backend=...)"
    )


_array_of, _layout_of = attrgetter("_array"), attrgetter("layout")
IN_PLACE = "in place"
"""Is part of the keys of calls that change inputs and have no outputs beside."""


def apply(op: Op, *inputs: Tensor) -> Tensor | tuple[Tensor, ...]:
    """Run an op on tensors: the only way to a kernel.

    Infers the outputs (which checks the inputs), makes inputs contiguous unless the op takes any strides, allocates,
    has the op append its kernels to this thread's program, runs it, and links the graph if gradients are recorded
    and an input requires one. What the op changes (``op.mutates``, running statistics) must be contiguous. What the
    back end remembers of the same op and shapes is run again instead.
    """
    arrays = list(map(_array_of, inputs))
    outs = None
    if op.repeats:
        call = remembered.calls.get((op, threads.count, *map(_layout_of, arrays)))
        if call is not None:
            outs = call.run(arrays)
    if outs is None:
        if not op.strided:
            for array in arrays:
                if not array.is_contiguous:
                    return apply(op, *[tensor.contiguous() for tensor in inputs])
        outs = _run(op, arrays)
    if op.mutates:
        for index in op.mutates:
            arrays[index].storage.version += 1
    fresh = state.fresh
    if fresh is not None:
        for out in outs:
            fresh.add(id(out.storage))
    return link_outputs(op, inputs, arrays, outs, False)


def _run(op: Op, arrays: Sequence[Array]) -> Sequence[Array]:
    """Infer the outputs, allocate them, and run the op; what it does is remembered."""
    backend = _common_backend(op, arrays)
    spec = op.infer(*arrays)
    if type(spec) is tuple:
        outs = target = tuple([new_array(backend, one.shape, one.dtype) for one in spec])
    else:
        target = new_array(backend, spec.shape, spec.dtype)
        outs = (target,)
    if any(out.size for out in outs):
        _forward(op, backend, outs, target, arrays)
    return outs


def _common_backend(op: Op, arrays: Sequence[Array]) -> object:
    backend = arrays[0].storage.backend
    for array in arrays:
        if array.storage.backend is not backend:
            raise _mixed(arrays, op)
    return backend


def _forward(
    op: Op,
    backend: object,
    outs: Sequence[Array],
    target: object,
    arrays: Sequence[Array],
    copies: Sequence[tuple[Array, Array]] = (),
) -> None:
    """Run the op on these inputs into its target, which is ``outs`` or, if there are none, is among the inputs; then
    do the copies, (to, from)."""
    remembers = op.repeats and backend.remembers and not copies
    if remembers:
        arrays = _apart(arrays)
    program = backend.eager()
    try:
        op.forward(program, target, *arrays)
        if remembers:
            call = backend.remember(outs, arrays)
            if call is not None:
                kind = () if outs else (IN_PLACE,)
                remembered.add((op, *kind, threads.get_num_threads(), *map(_layout_of, arrays)), call)
        for to, made in copies:
            program.copy(to, made)
        program.run()
    finally:
        program.clear()


def _apart(arrays: Sequence[Array]) -> list[Array]:
    """The arrays, each with a storage of its own over its memory: so the inputs of x + x are told apart, which other
    arrays will take the places of."""
    found, seen = [], set()
    for array in arrays:
        storage = array.storage
        if id(storage) in seen:
            storage = Storage(storage.backend, storage.buffer, storage.address, storage.nbytes)
            array = Array(storage, array.shape, array.dtype, array.strides, array.offset)
        seen.add(id(storage))
        found.append(array)
    return found


def apply_view(op: Op, tensor: Tensor) -> Tensor:
    """Run a view op: the result shares the storage."""
    array = tensor._array
    result = link_outputs(op, (tensor,), (array,), (op.view(array),), True)
    base = tensor if tensor._base is None else tensor._base
    result._base, result._base_node = base, base._node
    return result


def link_outputs(
    op: Op, inputs: Sequence[Tensor], arrays: Sequence[Array], outs: Sequence[Array], is_view: bool
) -> Tensor | tuple[Tensor, ...]:
    """Tensors for the outputs, linked where gradients are recorded."""
    node = None
    for tensor in inputs:
        if tensor._requires_grad or (tensor._base is not None and is_stale(tensor)):
            if state.grad_enabled and op.differentiable and outs[0].dtype.kind == "f":
                node = link(op, inputs, arrays, outs)
            break
    if len(outs) == 1:
        result = _make(outs[0]) if node is None else _make(outs[0], True, node, 0)
        outputs = (result,)
    elif node is None:
        result = outputs = tuple([_make(out) for out in outs])
    else:
        result = outputs = tuple(
            [_make(out, True, node, number) if out.dtype.kind == "f" else _make(out) for number, out in enumerate(outs)]
        )
    if state.recorder is not None:
        state.recorder(op, _shown(inputs, arrays), outputs)
    return result


def _shown(tensors: Sequence[Tensor], arrays: Sequence[Array]) -> list[Tensor]:
    """The tensors for a recorder, each with the array that the kernels were given in its place."""
    return [t if t._array is a else _make(a) for t, a in zip(tensors, arrays, strict=True)]


def check_inplace(tensor: Tensor, records: bool) -> None:
    """PyTorch's rules for changing a tensor in place; ``records``: the change is part of the graph."""
    if not state.grad_enabled:
        return
    if tensor._requires_grad and tensor._node is None and tensor._base is None:
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
    records = op.differentiable and state.grad_enabled and any(tensor._requires_grad for tensor in inputs)
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
    key = (op, IN_PLACE, threads.count, *map(_layout_of, arrays))
    call = remembered.calls.get(key) if op.repeats else None
    if call is None:
        spec = op.infer(*arrays)
        if spec.shape != out.shape:
            raise RuntimeError(f"output with shape {out.shape} doesn't match the broadcast shape {spec.shape}")
        if spec.dtype != out.dtype:
            raise RuntimeError(f"result type {spec.dtype} can't be cast to the desired output type {out.dtype}")
    node = None
    if records:
        edges = edges_of(inputs)
        needs = tuple([edge is not None for edge in edges])
        node = Node(op, edges, needs, arrays)
        for index in op.saved_inputs(needs):
            array = arrays[index]
            if array.storage is out.storage:
                with no_grad():
                    array = inputs[index].clone()._array  # its value from before the change
            node.saved[index] = (array, array.storage.version)
    if call is not None and call.run(arrays) is not None:
        if state.recorder is not None:
            state.recorder(op, _shown(inputs, arrays), (target,))
    elif out.size:
        _run_inplace(op, backend, target, inputs, arrays)
    out.storage.version += 1
    if node is not None:
        for index in op.saves_outputs:
            node.saved[-1 - index] = (out, out.storage.version)
        if target._node is not None and target._node.retained:
            _move_retained(target, node)
        target._node, target._index, target._requires_grad = node, 0, True
    return target


def _run_inplace(op: Op, backend: object, target: Tensor, inputs: Sequence[Tensor], arrays: Sequence[Array]) -> None:
    out = result = target._array
    direct = op.inplace and (op.strided or all(array.is_contiguous for array in arrays))
    if not direct:
        with no_grad():
            arrays = [array if array.is_contiguous else _make(array).contiguous()._array for array in arrays]
        result = new_array(backend, out.shape, out.dtype)
    _forward(op, backend, (), result, arrays, () if direct else [(out, result)])
    if state.recorder is not None:
        made = target if direct else _make(result)
        state.recorder(op, _shown(inputs, arrays), (made,))
        if not direct:
            _show_copy(target, made)


def _show_copy(target: Tensor, source: Tensor) -> None:
    """Tell the recorder of a copy into a tensor."""
    from numbanet.ops.pointwise import CLONE

    state.recorder(CLONE, (source,), (target,))


def _move_retained(target: Tensor, node: Node) -> None:
    reference = target._node.retained.get(target._index)
    if reference is not None and reference() is target:
        del target._node.retained[target._index]
        node.retained = {0: reference}


def _run_mutating(op: Op, inputs: Sequence[Tensor], arrays: Sequence[Array]) -> Sequence[Array]:
    """Run an op without outputs; the contiguous arrays that its kernels were given."""
    backend = _common_backend(op, arrays)
    op.infer(*arrays)
    with no_grad():
        works = [a if a.is_contiguous else t.contiguous()._array for a, t in zip(arrays, inputs, strict=True)]
    copies = [(arrays[index], works[index]) for index in op.mutates if works[index] is not arrays[index]]
    _forward(op, backend, (), None, works, copies)
    return works


def apply_mutating(op: Op, *inputs: Tensor) -> None:
    """Run an op that changes the inputs named in ``op.mutates`` and has no outputs (optimiser updates, random
    fills)."""
    mutated = op.mutates
    if state.grad_enabled:
        for index in mutated:
            tensor = inputs[index]
            check_inplace(tensor, tensor._requires_grad)
            if tensor._requires_grad:
                raise RuntimeError(f"{type(op).__name__} changes a tensor that requires grad; call it under no_grad()")
    if state.rehearsal is not None:
        state.rehearsal.append((op, inputs))
        return
    arrays = works = list(map(_array_of, inputs))
    key = (op, IN_PLACE, threads.count, *map(_layout_of, arrays))
    call = remembered.calls.get(key) if op.repeats else None
    if call is None or call.run(arrays) is None:
        works = _run_mutating(op, inputs, arrays)
    for index in mutated:
        arrays[index].storage.version += 1
    if state.recorder is not None:
        shown = _shown(inputs, works)
        state.recorder(op, shown, ())
        for index in mutated:
            if works[index] is not arrays[index]:
                _show_copy(inputs[index], shown[index])
