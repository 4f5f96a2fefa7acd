"""A sum of a norm's result and something else is done where the norm writes its result."""

from __future__ import annotations

from numbanet.graph.lower import Call
from numbanet.graph.passes.activation import made_by
from numbanet.graph.passes.editor import Editor, is_whole
from numbanet.kernels.array import Array
from numbanet.kernels.backend import Backend

NORMS = ("batch_norm", "group_norm")


def fuse_residuals(calls: list[Call], backend: Backend) -> list[Call]:
    """s = a + r with a = norm(…) that nothing else reads becomes s = norm(…, residual=r)."""
    editor = Editor(calls)
    for slot, call in editor:
        if call.name == "binary" and call.arguments["function"] == "add":
            x, y = call.arguments["x"], call.arguments["y"]
            _ = _fuse(editor, slot, call, x, y) or _fuse(editor, slot, call, y, x)
    return editor.calls


def _fuse(editor: Editor, slot: int, add: Call, a: Array, other: Array) -> bool:
    """Let the norm that made ``a`` add ``other``, in the slot of the sum."""
    out = add.arguments["out"]
    if not (is_whole(a) and a.storage.is_temporary and other.is_contiguous and out.is_contiguous):
        return False
    if out.shape != a.shape or other.storage is a.storage:
        return False
    at = made_by(editor, a, slot)
    norm = editor.slots[at] if at is not None else None
    if norm is None or not _takes_residual(norm, a) or out.dtype is not a.dtype:
        return False
    is_in_place = out.storage is a.storage
    if not is_in_place and list(editor.users(a.storage)) != [at, slot]:
        return False
    shape = norm.arguments["out"].shape
    fused = norm.with_arguments(
        out=Array(out.storage, shape, out.dtype, None, out.offset),
        residual=Array(other.storage, shape, other.dtype, None, other.offset),
    )
    if other.storage in {array.storage for array in norm.writes} or not editor.can_move(norm, at, slot):
        return False
    editor.put(at, None)
    editor.put(slot, fused)
    return True


def _takes_residual(norm: Call, a: Array) -> bool:
    given = norm.arguments
    return (
        norm.name in NORMS
        and given["residual"] is None
        and given["activation"] is None
        and is_whole(given["out"])
        and given["out"].storage is a.storage
        and given["out"].dtype is a.dtype
    )
