"""An activation behind a product, a convolution or a norm is done where those write their result."""

from __future__ import annotations

from numbanet.graph.lower import Call
from numbanet.graph.passes.editor import Editor, is_whole
from numbanet.kernels.array import Array
from numbanet.kernels.backend import Backend

ACTIVATIONS = {
    "matmul": ("relu", "gelu", "gelu_tanh", "sigmoid", "tanh"),
    "conv2d": ("relu",),
    "batch_norm": ("relu",),
    "group_norm": ("relu",),
}
"""Functions of the contract that apply an activation to what they have finished, and which."""


def fuse_activations(calls: list[Call], backend: Backend) -> list[Call]:
    """y = f(a), a = layer(…) that nothing else reads, becomes y = layer(…, activation=f)."""
    editor = Editor(calls)
    for slot, call in editor:
        if call.name == "unary":
            _fuse(editor, slot, call)
    return editor.calls


def _fuse(editor: Editor, slot: int, call: Call) -> None:
    x, out, function = (call.arguments[name] for name in ("x", "out", "function"))
    if not (is_whole(x) and out.is_contiguous and x.storage.is_temporary and x.dtype is out.dtype):
        return
    at = made_by(editor, x, slot)
    layer = editor.slots[at] if at is not None else None
    if layer is None or not _takes(layer, function, x):
        return
    is_in_place = out.storage is x.storage
    if not is_in_place and (
        list(editor.users(x.storage)) != [at, slot] or not editor.is_untouched(out.storage, at, slot)
    ):
        return
    place = layer.arguments["out"]
    result = Array(out.storage, place.shape, place.dtype, None, out.offset)
    editor.put(slot, None)
    editor.put(at, layer.with_arguments(out=result, activation=function))


def made_by(editor: Editor, array: Array, slot: int) -> int | None:
    """The slot of the call that wrote an array which the call in ``slot`` reads, if that is its first user and nobody
    else used it since."""
    users = editor.users(array.storage)
    at = users[0]
    return at if len(users) > 1 and users[1] == slot and editor.writers(array.storage)[0] == at else None


def _takes(layer: Call, function: str, x: Array) -> bool:
    given = layer.arguments
    return (
        function in ACTIVATIONS.get(layer.name, ())
        and given["activation"] is None
        and not given.get("accumulate")
        and is_whole(given["out"])
        and given["out"].storage is x.storage
        and given["out"].dtype is x.dtype
    )
