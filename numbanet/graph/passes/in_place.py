"""A result takes over the memory of an input that nobody reads afterwards, where the kernel allows."""

from __future__ import annotations

from numbanet.graph.lower import Call
from numbanet.graph.passes.editor import Editor, is_whole
from numbanet.graph.trace import OUTLIVING
from numbanet.kernels.array import Array, Storage
from numbanet.kernels.backend import Backend
from numbanet.kernels.contract import CONTRACT


def overwrite_inputs(calls: list[Call], backend: Backend) -> list[Call]:
    """One buffer in place of two for a function's output and an input that the contract lists as ``inplace``: less
    memory, and the output's is in the cache already."""
    editor = Editor(calls)
    for slot, call in editor:
        for name in CONTRACT[call.name].inplace:
            if _may_overwrite(editor, slot, call, name):
                _merge(editor, call.arguments["out"].storage, call.arguments[name].storage)
                break
    return editor.calls


def _may_overwrite(editor: Editor, slot: int, call: Call, name: str) -> bool:
    out, x = call.arguments["out"], call.arguments[name]
    if not (is_whole(out) and is_whole(x)) or out.storage is x.storage or out.dtype.itemsize != x.dtype.itemsize:
        return False
    if out.size != x.size or not x.storage.is_temporary:
        return False
    if not (out.storage.is_temporary or out.storage.kind in OUTLIVING):
        return False
    if editor.users(out.storage)[0] != slot or editor.users(x.storage)[-1] != slot:
        return False
    given = [call.arguments[other] for other in CONTRACT[call.name].inplace]
    mine = [array for array in call.reads if array.storage is x.storage]
    return all(is_whole(array) and _is_one_of(array, given) for array in mine)


def _is_one_of(array: Array, arrays: list) -> bool:
    return any(array is one for one in arrays)


def _merge(editor: Editor, out: Storage, x: Storage) -> None:
    """Let all calls use one of two buffers for both: that which outlives the call, if one does."""
    kept, gone = (x, out) if out.is_temporary else (out, x)
    for slot in list(editor.users(gone)):
        editor.put(slot, editor.slots[slot].with_storages({gone: kept}))
