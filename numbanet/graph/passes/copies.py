"""A copy of what nobody reads afterwards is not made: the copied buffer is the copy."""

from __future__ import annotations

from numbanet.graph.lower import Call
from numbanet.graph.passes.editor import Editor
from numbanet.kernels.backend import Backend


def drop_copies(calls: list[Call], backend: Backend) -> list[Call]:
    """Leave out copies of whole buffers to others of their dtype, as an assignment to a part of a new tensor makes
    them, where the copied buffer is not used again."""
    editor = Editor(calls)
    for slot, call in editor:
        if call.name != "copy":
            continue
        out, x = call.arguments["out"], call.arguments["x"]
        if out.dtype is x.dtype and editor.may_take_over(slot, out, x):
            editor.put(slot, None)
            editor.take_over(out.storage, x.storage)
    return editor.calls
