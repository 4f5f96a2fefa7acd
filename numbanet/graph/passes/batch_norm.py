"""A batch norm that does not train is folded into the weights and the bias of the convolution before it.

The one pass that does other arithmetic, (w·s)·x + b' for (w·x + b − μ)·s + β: the same within 1e-5 of the largest.
The weights are folded in each replay, for they may be others by then: a pass over them, instead of one over pictures.
Functions with a backward pass are left alone: a training step keeps its bits, whichever of its layers are frozen.
"""

from __future__ import annotations

import math

from numbanet.graph.lower import Call, make_call
from numbanet.graph.passes.activation import made_by
from numbanet.graph.passes.editor import Editor, is_whole
from numbanet.graph.trace import TEMPORARY, Buffer
from numbanet.kernels.array import Array, Storage
from numbanet.kernels.backend import Backend


def fold_batch_norms(calls: list[Call], backend: Backend) -> list[Call]:
    """y = norm(conv(x, w, b)) with given statistics becomes w', b' = fold(w, b, norm), y = conv(x, w', b')."""
    if any(call.node.is_backward for call in calls):
        return calls
    editor = Editor(calls)
    for slot, call in editor:
        if call.name == "batch_norm" and not call.arguments["training"] and call.arguments["residual"] is None:
            _fold(editor, slot, call, backend)
    return editor.calls


def _fold(editor: Editor, slot: int, norm: Call, backend: Backend) -> None:
    x, out, statistics = (norm.arguments[name] for name in ("x", "out", "statistics"))
    if not (is_whole(x) and x.storage.is_temporary and out.is_contiguous and out.dtype is x.dtype):
        return
    if not norm.arguments["eps"] > 0:  # a channel without variance would scale its weights by infinity
        return
    at = made_by(editor, x, slot)
    conv = editor.slots[at] if at is not None else None
    if conv is None or not _is_plain_convolution(conv, x):
        return
    if list(editor.users(x.storage)) != [at, slot] or list(editor.users(statistics.storage)) != [slot]:
        return
    weight, shape = conv.arguments["weight"], conv.arguments["out"].shape
    rows = weight.shape[0]
    folded = Array(_temporary(backend, x.storage, weight), weight.shape, weight.dtype)
    shift = Array(_temporary(backend, x.storage, norm.arguments["running_mean"]), (rows,), weight.dtype)
    fold = make_call("batch_norm_fold", _arguments(conv, norm, folded, shift), conv.node)
    result = Array(out.storage, shape, out.dtype, None, out.offset)
    fused = conv.with_arguments(out=result, weight=folded, bias=shift, activation=norm.arguments["activation"])
    if editor.can_move(norm, at, slot) and editor.can_move(conv, at, slot):
        editor.put(at, fold)
        editor.put(slot, fused)


def _is_plain_convolution(conv: Call, x: Array) -> bool:
    """Whether x is all that a convolution makes, channel by channel (reshaped, it may have others), of weights of its
    own dtype that lie in a row."""
    given = conv.arguments
    return (
        conv.name == "conv2d"
        and given["activation"] is None
        and given["weight"].is_contiguous
        and given["weight"].dtype is x.dtype
        and is_whole(given["out"])
        and given["out"].storage is x.storage
        and given["out"].shape[:2] == x.shape[:2]
    )


def _temporary(backend: Backend, like: Buffer, array: Array) -> Buffer:
    """A buffer of the arena as large as an array."""
    return Buffer(like.number, Storage(backend, None, 0, array.size * array.dtype.itemsize), TEMPORARY)


def _arguments(conv: Call, norm: Call, folded: Array, shift: Array) -> dict[str, object]:
    """Those of ``batch_norm_fold``: a row of weights for each output channel."""
    weight, given = conv.arguments["weight"], norm.arguments
    rows, size = weight.shape[0], math.prod(weight.shape[1:])
    return {
        "weight_out": Array(folded.storage, (rows, size), weight.dtype),
        "bias_out": shift,
        "weight": Array(weight.storage, (rows, size), weight.dtype, None, weight.offset),
        "bias": conv.arguments["bias"],
        "norm_weight": given["weight"],
        "norm_bias": given["bias"],
        "mean": given["running_mean"],
        "var": given["running_var"],
        "eps": given["eps"],
    }
