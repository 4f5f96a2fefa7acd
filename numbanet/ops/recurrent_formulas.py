"""Recurrent steps as ops on tensors: what a gradient that will be differentiated is made of."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from numbanet.autograd import apply
from numbanet.ops.indexing import Concatenate

if TYPE_CHECKING:
    from numbanet.ops.additive_decoder import AdditiveDecoder
    from numbanet.ops.recurrent import Recurrent
    from numbanet.tensor import Tensor


def unrolled(op: Recurrent, inputs: dict[str, Tensor]) -> tuple[Tensor, ...]:
    """(y, h_n[, c_n]) of ``Recurrent`` by its formulas, step by step."""
    x, lengths = inputs["x"], inputs.get("lengths")
    steps = x.shape[0]
    states = [inputs["h0"], inputs["c0"]] if op.mode == "lstm" else [inputs["h0"]]
    outs: list[Tensor | None] = [None] * steps
    for t in range(steps - 1, -1, -1) if op.reverse else range(steps):
        news = _step(op.mode, x[t], states, inputs)
        if lengths is None:
            states, outs[t] = news, news[0]
        else:
            active = (lengths > t).unsqueeze(1)
            outs[t] = active.where(news[0], 0.0)
            states = [active.where(new, old) for new, old in zip(news, states, strict=True)]
    return (apply(Concatenate(0), *[out.unsqueeze(0) for out in outs]), *states)


def decoded(op: AdditiveDecoder, inputs: dict[str, Tensor]) -> tuple[Tensor, Tensor, Tensor]:
    """(s, c, a) of ``AdditiveDecoder`` by its formulas, step by step."""
    memory, hidden = inputs["memory"], inputs.get("hidden")
    state, found = inputs["h0"], []
    for word in inputs["words"]:
        query = _product(state, inputs["weight_query"], None)
        scores = _product((query.unsqueeze(1) + inputs["keys"]).tanh(), inputs["weight_score"], None).squeeze(2)
        if hidden is None:
            weights = scores.softmax(1)
        else:
            nothing = hidden.all(1, keepdim=True)  # a row of −∞ alone would be NaN
            scores = (~hidden | nothing).where(scores, -math.inf)
            weights = (~hidden).where(scores.softmax(1), 0.0)
        context = (weights.unsqueeze(1) @ memory).squeeze(1)
        state = _step(op.mode, apply(Concatenate(1), word, context), [state], inputs)[0]
        found.append((state, context, weights))
    return tuple([apply(Concatenate(0), *[one.unsqueeze(0) for one in ones]) for ones in zip(*found, strict=True)])


def _product(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    product = x @ weight.T
    return product if bias is None else product + bias


def _step(mode: str, x: Tensor, states: list[Tensor], by: dict[str, Tensor]) -> list[Tensor]:
    """The states after one step."""
    h, weight, bias = states[0], by["weight_hh"], by.get("bias_hh")
    outer = _product(x, by["weight_ih"], by.get("bias_ih"))
    hidden = h.shape[1]
    if mode == "gru_reset_before":
        cut = 2 * hidden
        rz = (outer[:, :cut] + _product(h, weight[:cut], None if bias is None else bias[:cut])).sigmoid()
        r, z = rz[:, :hidden], rz[:, hidden:]
        inner = _product(r * h, weight[cut:], None if bias is None else bias[cut:])
        n = (outer[:, cut:] + inner).tanh()
        return [(1 - z) * n + z * h]
    inner = _product(h, weight, bias)
    if mode == "rnn_tanh":
        return [(outer + inner).tanh()]
    if mode == "rnn_relu":
        return [(outer + inner).relu()]
    parts = [slice(k * hidden, (k + 1) * hidden) for k in range(4)]
    if mode == "lstm":
        total = outer + inner
        i, f, o = (total[:, parts[k]].sigmoid() for k in (0, 1, 3))
        c = f * states[1] + i * total[:, parts[2]].tanh()
        return [o * c.tanh(), c]
    r, z = ((outer[:, parts[k]] + inner[:, parts[k]]).sigmoid() for k in (0, 1))
    n = (outer[:, parts[2]] + r * inner[:, parts[2]]).tanh()
    return [(1 - z) * n + z * h]
