"""Two recordings of a function side by side: what is the same in both may be repeated, what differs may not."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from numbanet.graph.errors import FrozenNumberError, SideEffectError
from numbanet.graph.lower import calls_of, place_of
from numbanet.graph.trace import CONSTANT, EXTERNAL, Buffer, Gradient, Node, Trace
from numbanet.kernels.array import Array


def settle(before: Trace, trace: Trace) -> str | None:
    """Find out what the buffers of a trace are by a trace of an earlier call; None if a replay can do the same.

    Otherwise the first difference, in words: the function has to be recorded again. Raises for what no recording would
    mend: FrozenNumberError for a number that differs, SideEffectError for a tensor that the function keeps."""
    difference = _difference(before, trace)
    if difference is not None:
        return difference
    frozen: list[str] = []
    for old, new in zip(before.nodes, trace.nodes, strict=True):
        if old.op is not new.op:
            frozen += _different_settings(before, old, trace, new)
    written = {id(array.storage) for node in trace.nodes for array in node.written}
    for old, new in zip(before.buffers, trace.buffers, strict=True):
        if new.kind == EXTERNAL:
            _settle_external(old, new, written, frozen)
    if before.reads != trace.reads:
        frozen.append(f"{trace.reads[0][0]}: a value that Python reads from a tensor")
    if before.drawn != trace.drawn:
        frozen.append("how many random numbers are drawn")
    if frozen:
        raise FrozenNumberError(
            "a number differs from call to call, and a replay would repeat the one that was recorded: "
            + "; ".join(frozen[:3])
            + ". Pass it to the compiled function as a tensor, or set it outside (an optimiser's learning rate is read "
            "from its param_groups at each call)"
        )
    _recognise_kept(before, trace)
    for buffer in trace.kept:
        raise SideEffectError(
            f"{buffer.where}: the compiled function keeps a tensor of {buffer.nbytes} bytes that this line makes (as "
            "an attribute, or in a list). A replay would not put it there: return it instead"
        )
    return None


# --- structure -------------------------------------------------------------------------------------------------------
def _difference(before: Trace, trace: Trace) -> str | None:
    """The first difference in what is done to which buffers; None if there is none."""
    for number, (old, new) in enumerate(zip(before.nodes, trace.nodes, strict=False)):
        if type(old.op) is not type(new.op):
            return f"{new.where or old.where}: op {number} was {old.name} and is {new.name}"
        pairs = [(old.inputs, new.inputs), (old.outputs, new.outputs)]
        if any([_view(a) for a in one] != [_view(a) for a in other] for one, other in pairs):
            return f"{new.where}: {new.name} works on other tensors than before"
    if len(before.nodes) != len(trace.nodes):
        more = max(before.nodes, trace.nodes, key=len)[min(len(before.nodes), len(trace.nodes))]
        return (
            f"{more.where}: {len(before.nodes)} ops were run before, and {len(trace.nodes)} now, the first {more.name}"
        )
    for old, new in zip(before.buffers, trace.buffers, strict=True):
        if old.kind != new.kind or (old.kind != EXTERNAL and not is_same(old.key, new.key)):
            return f"{new.where}: what was {old} is {new}"
    if before.result != trace.result:
        return f"the function returned {before.result} and then {trace.result}"
    if not _same_views(before.returned, trace.returned):
        return "the function returned other tensors than before"
    grads = [[(owner_of(g), g.array) for g in one.gradients] for one in (before, trace)]
    if [owner for owner, _ in grads[0]] != [owner for owner, _ in grads[1]]:
        return "other tensors have got a gradient than before"
    if not _same_views([array for _, array in grads[0]], [array for _, array in grads[1]]):
        return "the gradients are others than before"
    return None


def _view(array: Array) -> tuple:
    return array.storage.number, array.shape, array.dtype.num, array.strides, array.offset


def _same_views(before: Sequence[Any], now: Sequence[Any]) -> bool:
    if len(before) != len(now):
        return False
    for old, new in zip(before, now, strict=True):
        if type(old) is Array and type(new) is Array:
            if _view(old) != _view(new):
                return False
        elif not is_same(old, new):
            return False
    return True


def is_same(a: Any, b: Any) -> bool:
    """Whether this is one tensor, or the number of one argument."""
    return a is b or (type(a) is type(b) is int and a == b)


def owner_of(gradient: Gradient) -> int:
    """Whose gradient it is: an argument's number, or the tensor."""
    return gradient.owner if type(gradient.owner) is int else id(gradient.owner)


# --- numbers ---------------------------------------------------------------------------------------------------------
def _different_settings(before: Trace, old: Node, trace: Trace, new: Node) -> list[str]:
    """What differs of the numbers that two nodes give to their kernels; which random numbers those draw may not."""
    calls = list(zip(calls_of(old), calls_of(new), strict=False))
    found = []
    for was, now in calls:
        places = [place_of(was, before), place_of(now, trace)]
        given = [{name: _setting(value) for name, value in one.arguments.items()} for one in (was, now)]
        if places[0] is not None and places[1] is not None:
            for one, place in zip(given, places, strict=True):
                one.update(seed=0, stream=place[0], offset=place[1])
        found += [
            f"{new.where}: {name} of {new.name} was {given[0].get(name)!r} and is {value!r}"
            for name, value in given[1].items()
            if not _equal(given[0].get(name), value)
        ]
    return found


def _setting(value: Any) -> Any:
    """An argument of a call without its arrays, which are compared by themselves."""
    if type(value) is Array:
        return None
    if type(value) in (tuple, list):
        return tuple([_setting(one) for one in value])
    return value


def _equal(a: Any, b: Any) -> bool:
    return a is b or (type(a) is type(b) and (a == b or (a != a and b != b)))


def _recognise_kept(before: Trace, trace: Trace) -> None:
    """A buffer that is filled before it is read, and the same one in both calls, was there before."""
    for buffer in list(trace.kept):
        storage = buffer.source()
        if storage is not None and before.buffers[buffer.number].source() is storage:
            buffer.kind, buffer.storage = EXTERNAL, storage
            trace.kept.remove(buffer)


def _settle_external(old: Buffer, new: Buffer, written: set[int], frozen: list[str]) -> None:
    """An external buffer is somebody's tensor if it was that before, and a constant if it has the same value."""
    if old.storage is new.storage or old.key is new.key:
        return
    if old.nbytes == new.nbytes and _bytes(old) == _bytes(new):
        if id(new) in written:
            raise SideEffectError(
                f"{new.where}: a tensor that the function makes from Python data is changed in place; a replay would "
                "go on from the changed one. Make it outside, or change a clone() of it"
            )
        new.kind = CONSTANT
        return
    values = [one.key._array.numpy() for one in (old, new)]
    if values[0].size == values[1].size == 1:
        frozen.append(f"{new.where}: a number was {values[0].item()!r} and is {values[1].item()!r}")
    else:
        frozen.append(f"{new.where}: the elements of a tensor of shape {values[1].shape} that is made from Python data")


def _bytes(buffer: Buffer) -> bytes:
    return np.asarray(buffer.storage.buffer)[: buffer.nbytes].tobytes()
