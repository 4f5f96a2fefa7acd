"""The gradient through a ReLU is cut to where its output is positive by the kernel that reads it."""

from __future__ import annotations

from numbanet.graph.lower import Call
from numbanet.graph.passes.editor import Editor, is_whole
from numbanet.kernels.array import Array
from numbanet.kernels.backend import Backend

NORMS = {"batch_norm_backward": "batch_norm", "group_norm_backward": "group_norm"}


def fuse_masks(calls: list[Call], backend: Backend) -> list[Call]:
    """g = grad where y > 0 is left to the gradient of a norm that reads g (which also writes g, if others read it), or
    to a gradient of a convolution's weights that alone reads it."""
    editor = Editor(calls)
    for slot, call in editor:
        if call.name == "relu_backward":
            _ = _fuse_norm(editor, slot, call) or _fuse_weights(editor, slot, call)
    return editor.calls


def _parts(editor: Editor, slot: int, call: Call) -> tuple[Array, Array, Array, list[int]] | None:
    """g, grad, y and the slots of those who read g; None if another call has a hand in g."""
    g, grad, y = (call.arguments[name] for name in ("out", "grad", "y"))
    if not (is_whole(g) and g.storage.is_temporary and grad.is_contiguous and y.is_contiguous):
        return None
    if grad.storage is g.storage or y.storage is g.storage:
        return None
    users = list(editor.users(g.storage))
    return (g, grad, y, users[1:]) if users[0] == slot and len(users) > 1 else None


def _fuse_norm(editor: Editor, slot: int, mask: Call) -> bool:
    parts = _parts(editor, slot, mask)
    if parts is None:
        return False
    g, _grad, _y, readers = parts
    for at in readers:
        norm = editor.slots[at]
        if norm.name not in NORMS or norm.arguments["activation"] is not None or not _is_read_as(norm, "grad", g):
            continue
        if at == readers[0] and editor.can_move(mask, slot, at):
            place = at
        elif editor.can_move(norm, slot, at):
            place = slot  # it is done earlier, before the others read g
        else:
            continue
        fused = _masking(editor, at, mask, is_read=len(readers) > 1)
        editor.put(at, None)
        editor.put(slot, None)
        editor.put(place, fused)
        return True
    return False


def _masking(editor: Editor, at: int, mask: Call, is_read: bool) -> Call:
    """The gradient of the norm in slot ``at`` that cuts by itself what the mask cut; it leaves that, if it is read."""
    norm = editor.slots[at]
    g, grad, y = (mask.arguments[name] for name in ("out", "grad", "y"))
    shape = norm.arguments["grad"].shape
    changes = {"y": Array(y.storage, shape, y.dtype, None, y.offset)}
    if _is_made_again(editor, at, y):
        changes = {"y": None, "bias": _forward_of(editor, norm)[1].arguments["bias"]}
    return norm.with_arguments(
        grad=Array(grad.storage, shape, grad.dtype, None, grad.offset),
        residual_out=Array(g.storage, shape, g.dtype) if is_read else None,
        activation="relu",
        **changes,
    )


def _fuse_weights(editor: Editor, slot: int, mask: Call) -> bool:
    parts = _parts(editor, slot, mask)
    if parts is None or len(parts[3]) != 1:
        return False
    g, grad, y, (at,) = parts
    gradient = editor.slots[at]
    if gradient.name != "conv2d_weight_grad" or gradient.arguments["output"] is not None:
        return False
    if not _is_read_as(gradient, "grad", g):
        return False
    shape = gradient.arguments["grad"].shape
    fused = gradient.with_arguments(
        grad=Array(grad.storage, shape, grad.dtype, None, grad.offset),
        output=Array(y.storage, shape, y.dtype, None, y.offset),
    )
    if not editor.can_move(mask, slot, at):
        return False
    editor.put(slot, None)
    editor.put(at, fused)
    return True


def _is_read_as(call: Call, name: str, g: Array) -> bool:
    """Whether the call has g, whole, as this argument, and as no other."""
    mine = [array for array in call.reads if array.storage is g.storage]
    return len(mine) == 1 and mine[0] is call.arguments[name] and is_whole(mine[0]) and mine[0].dtype is g.dtype


def _forward_of(editor: Editor, norm: Call) -> tuple[int, Call] | None:
    """The call that wrote the statistics which a gradient reads, and its slot."""
    at = editor.writers(norm.arguments["statistics"].storage)
    call = editor.slots[at[0]] if len(at) == 1 else None
    return (at[0], call) if call is not None and call.name == NORMS[norm.name] else None


def _is_made_again(editor: Editor, at: int, y: Array) -> bool:
    """Whether the gradient may find y's sign from the norm's input instead, which is a read less: y is what the norm
    wrote, without a residual, and its input, weight and bias are still the same."""
    found = _forward_of(editor, editor.slots[at])
    if found is None:
        return False
    first, given = found[0], found[1].arguments
    if given["activation"] != "relu" or given["residual"] is not None or given["out"].storage is not y.storage:
        return False
    inputs = [given[name].storage for name in ("x", "weight", "bias") if given[name] is not None]
    return editor.slots[at].arguments["x"].storage is inputs[0] and not any(
        first < writer < at for storage in inputs for writer in editor.writers(storage)
    )
