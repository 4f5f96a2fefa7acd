"""Pointwise functions one after the other become one call, which takes blocks through all of them."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numbanet.graph.lower import Call, make_call
from numbanet.graph.passes.editor import Editor, is_whole
from numbanet.kernels.array import Array, Storage
from numbanet.kernels.backend import Backend

MOST_ARRAYS, MOST_STEPS = 8, 16
FLOAT32 = np.dtype(np.float32)
Step = tuple[str, str | None, tuple[int, ...]]
SOURCES = {"unary": ("x",), "binary": ("x", "y"), "relu_backward": ("grad", "y"), "unary_backward": ("grad", "saved")}
"""Functions of the contract that can be steps, and the arguments that are their inputs."""


class Chain(NamedTuple):
    """The arguments of ``pointwise_chain``; see the contract."""

    outs: tuple[Array, ...]
    inputs: tuple[Array, ...]
    steps: tuple[Step, ...]
    kept: tuple[int, ...]


def fuse_chains(calls: list[Call], backend: Backend) -> list[Call]:
    """Join each pointwise call with the pointwise calls that make what it reads; what nobody else reads is no array."""
    editor = Editor(calls)
    for slot, call in editor:
        chain = chain_of(call)
        while chain is not None:
            chain = _join_one(editor, slot, chain)
    return editor.calls


def chain_of(call: Call) -> Chain | None:
    """A call as a chain; None if it cannot be a part of one."""
    if call.name == "pointwise_chain":
        return Chain(*call.arguments.values())
    names = SOURCES.get(call.name)
    if names is None:
        return None
    out, inputs = call.arguments["out"], tuple([call.arguments[name] for name in names])
    if out.dtype is not FLOAT32 or not out.is_contiguous or not out.size:
        return None
    for array in inputs:
        if array.dtype is not FLOAT32 or array.storage is out.storage:
            return None
        if not (array.is_contiguous and array.size == out.size) and any(array.strides):
            return None
    if len(inputs) == 2 and _is_one_view(*inputs):
        inputs, sources = inputs[:1], (0, 0)
    else:
        sources = tuple(range(len(inputs)))
    step = (call.name, call.arguments.get("function"), sources)
    return Chain((out,), inputs, (step,), (len(inputs),))


def _join_one(editor: Editor, slot: int, chain: Chain) -> Chain | None:
    """Join the chain in ``slot`` with one that makes an input of its; the joint chain, or None if there is none."""
    for array in chain.inputs:
        writers = [at for at in editor.writers(array.storage) if at < slot]
        if not writers:
            continue
        at = writers[-1]
        before = editor.slots[at]
        first = chain_of(before)
        if first is None or first.outs[0].size != chain.outs[0].size or not _fits(first, chain):
            continue
        if editor.can_move(before, at, slot):
            place = slot
        elif editor.can_move(editor.slots[slot], at, slot):
            place = at
        else:
            continue
        gone = {one.storage for one in first.outs if _is_read_by(editor, one, at, slot)}
        joint = _joined(first, chain, gone)
        if len(joint.outs) + len(joint.inputs) <= MOST_ARRAYS and len(joint.steps) <= MOST_STEPS:
            node = editor.slots[slot].node
            editor.put(at, None)
            editor.put(slot, None)
            editor.put(place, make_call("pointwise_chain", joint._asdict(), node))
            return joint if place == slot else None
    return None


def _fits(first: Chain, second: Chain) -> bool:
    """Whether the second chain reads of what the first writes only whole outputs, and writes nothing the first uses."""
    outs = {array.storage: array for array in first.outs}
    written = {array.storage for array in second.outs}
    if any(array.storage in written for array in (*first.outs, *first.inputs)):
        return False
    return all(array.storage not in outs or _is_same(array, outs[array.storage]) for array in second.inputs)


def _is_same(array: Array, out: Array) -> bool:
    return array.is_contiguous and (array.size, array.offset) == (out.size, out.offset)


def _is_read_by(editor: Editor, out: Array, at: int, slot: int) -> bool:
    """Whether an output of the call in slot ``at`` is there for the call in ``slot`` alone."""
    storage: Storage = out.storage
    return storage.is_temporary and is_whole(out) and list(editor.users(storage)) == [at, slot]


def _joined(first: Chain, second: Chain, gone: set[Storage]) -> Chain:
    """Both chains as one, without the first's outputs in ``gone``."""
    made = {(out.storage, out.offset): value for out, value in zip(first.outs, first.kept, strict=True)}
    inputs = list(first.inputs)
    numbers: list[int | None] = []  # of the second's inputs: a value of the first, or an input of both
    extra: list[int] = []
    for array in second.inputs:
        value = made.get((array.storage, array.offset))
        if value is not None:
            numbers.append(value)
            continue
        known = [n for n, one in enumerate(inputs) if _is_one_view(one, array)]
        extra.append(len(numbers))
        numbers.append(known[0] if known else len(inputs))
        if not known:
            inputs.append(array)
    shift = len(inputs) - len(first.inputs)

    def of_first(value: int) -> int:
        return value if value < len(first.inputs) else value + shift

    def of_second(value: int) -> int:
        if value >= len(second.inputs):
            return value - len(second.inputs) + len(inputs) + len(first.steps)
        return numbers[value] if value in extra else of_first(numbers[value])

    steps = [(name, function, tuple(map(of_first, sources))) for name, function, sources in first.steps]
    steps += [(name, function, tuple(map(of_second, sources))) for name, function, sources in second.steps]
    outs = [(out, of_first(value)) for out, value in zip(first.outs, first.kept, strict=True)]
    outs = [(out, value) for out, value in outs if out.storage not in gone]
    outs += [(out, of_second(value)) for out, value in zip(second.outs, second.kept, strict=True)]
    return Chain(tuple([out for out, _ in outs]), tuple(inputs), tuple(steps), tuple([value for _, value in outs]))


def _is_one_view(a: Array, b: Array) -> bool:
    return a.storage is b.storage and (a.offset, a.size, a.strides, a.shape) == (b.offset, b.size, b.strides, b.shape)
