"""What depends on constants alone is computed once, when the plan is made."""

from __future__ import annotations

from numbanet.graph.lower import Call, arrays_in
from numbanet.graph.passes.editor import Editor, is_whole
from numbanet.graph.trace import CONSTANT
from numbanet.kernels.array import Array
from numbanet.kernels.backend import Backend
from numbanet.kernels.contract import CONTRACT

MOST_BYTES = 1 << 16
"""Of a result that is kept: constants take memory for as long as the plan lives, what is temporary shares the arena."""


def fold_constants(calls: list[Call], backend: Backend) -> list[Call]:
    """Run the calls whose inputs are all constant (or that have none, as ``fill``), and keep what they give."""
    editor = Editor(calls)
    for slot, call in editor:
        if _is_constant(editor, slot, call):
            _run(call, backend)
            editor.put(slot, None)
    return editor.calls


def _is_constant(editor: Editor, slot: int, call: Call) -> bool:
    """Whether the call gives the same with each replay, and nobody changes what it gives."""
    line = CONTRACT[call.name]
    if "seed" in call.arguments or not call.writes:
        return False
    for name, value in call.arguments.items():
        for array in arrays_in(value):
            if not line.is_written(name):
                if array.storage.kind != CONSTANT:
                    return False
            elif not (array.storage.is_temporary and is_whole(array) and array.storage.nbytes <= MOST_BYTES):
                return False
    return all(
        editor.users(array.storage)[0] == slot and editor.writers(array.storage) == [slot] for array in call.writes
    )


def _run(call: Call, backend: Backend) -> None:
    """Run the call now; its outputs are constants from here on."""
    for array in call.writes:
        array.storage.kind = CONSTANT
        array.storage.storage = backend.allocate(array.storage.nbytes)
    program = backend.program()
    getattr(program, call.name)(*[_real(value) for value in call.arguments.values()])
    program.run()


def _real(value: object) -> object:
    """An argument with the memory in which constants lie."""
    if type(value) is Array:
        strides = None if value.is_contiguous else value.strides
        return Array(value.storage.storage, value.shape, value.dtype, strides, value.offset)
    return tuple(map(_real, value)) if type(value) in (tuple, list) else value
