"""A result takes over the memory of an input that nobody reads afterwards, where the kernel allows."""

from __future__ import annotations

from numbanet.graph.lower import Call
from numbanet.graph.passes.editor import Editor, is_whole
from numbanet.kernels.array import Array
from numbanet.kernels.backend import Backend
from numbanet.kernels.contract import CONTRACT


def overwrite_inputs(calls: list[Call], backend: Backend) -> list[Call]:
    """One buffer in place of two for a function's output and an input that the contract lists as ``inplace``: less
    memory, and the output's is in the cache already."""
    editor = Editor(calls)
    for slot, call in editor:
        for number in range(len(_outputs(call))):
            _overwrite(editor, slot, number)
    return editor.calls


def _outputs(call: Call) -> tuple[Array, ...]:
    """The outputs that may take an input's memory."""
    if call.name == "pointwise_chain":
        return call.arguments["outs"]
    return (call.arguments["out"],) if CONTRACT[call.name].inplace else ()


def _candidates(call: Call, number: int) -> list[Array]:
    """The inputs whose memory an output may take, were nobody to read it afterwards."""
    if call.name != "pointwise_chain":
        return [call.arguments[name] for name in CONTRACT[call.name].inplace]
    inputs, steps, kept = (call.arguments[name] for name in ("inputs", "steps", "kept"))
    later = steps[kept[number] - len(inputs) + 1 :]  # they still read their inputs when the output is written
    return [one for at, one in enumerate(inputs) if not any(at in sources for _, _, sources in later)]


def _overwrite(editor: Editor, slot: int, number: int) -> None:
    call = editor.slots[slot]
    out, given = _outputs(call)[number], _candidates(call, number)
    for x in given:
        if editor.may_take_over(slot, out, x):
            mine = [array for array in call.reads if array.storage is x.storage]
            if all(is_whole(array) and any(array is one for one in given) for array in mine):
                editor.take_over(out.storage, x.storage)
                return
