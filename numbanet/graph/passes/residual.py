"""A sum of something with the result of a norm or a product is done where those write their result."""

from __future__ import annotations

from numbanet.graph.lower import Call
from numbanet.graph.passes.activation import made_by
from numbanet.graph.passes.editor import Editor, is_whole
from numbanet.kernels.array import Array
from numbanet.kernels.backend import Backend

LAYERS = ("batch_norm", "group_norm", "matmul")
"""Functions of the contract that add a residual of their result's shape."""


def fuse_residuals(calls: list[Call], backend: Backend) -> list[Call]:
    """s = a + r with a = layer(…) that nothing else reads becomes s = layer(…, residual=r)."""
    editor = Editor(calls)
    for slot, call in editor:
        if call.name == "binary" and call.arguments["function"] == "add":
            x, y = call.arguments["x"], call.arguments["y"]
            _ = _fuse(editor, slot, call, x, y) or _fuse(editor, slot, call, y, x)
    return editor.calls


def _fuse(editor: Editor, slot: int, add: Call, a: Array, other: Array) -> bool:
    """Let the layer that made ``a`` add ``other``, in the slot of the sum."""
    out = add.arguments["out"]
    if not (is_whole(a) and a.storage.is_temporary and other.is_contiguous and out.is_contiguous):
        return False
    if out.shape != a.shape or other.storage is a.storage:
        return False
    if other.storage is out.storage:  # a layer writes parts of its result before it reads the residual
        return False
    at = made_by(editor, a, slot)
    layer = editor.slots[at] if at is not None else None
    if layer is None or not _takes_residual(layer, a) or out.dtype is not a.dtype:
        return False
    is_in_place = out.storage is a.storage
    if not is_in_place and list(editor.users(a.storage)) != [at, slot]:
        return False
    shape = layer.arguments["out"].shape
    fused = layer.with_arguments(
        out=Array(out.storage, shape, out.dtype, None, out.offset),
        residual=Array(other.storage, shape, other.dtype, None, other.offset),
    )
    if other.storage in {array.storage for array in layer.writes} or not editor.can_move(layer, at, slot):
        return False
    editor.put(at, None)
    editor.put(slot, fused)
    return True


def _takes_residual(layer: Call, a: Array) -> bool:
    given = layer.arguments
    return (
        layer.name in LAYERS
        and not given.get("accumulate")
        and given["residual"] is None
        and given["activation"] is None
        and is_whole(given["out"])
        and given["out"].storage is a.storage
        and given["out"].dtype is a.dtype
    )
