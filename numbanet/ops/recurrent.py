"""Recurrent layers: one direction of one layer over a whole sequence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from numbanet.autograd import is_grad_enabled, is_watched
from numbanet.ops.base import INT64, Spec, named, require_float
from numbanet.ops.embedding import Embedding
from numbanet.ops.recurrent_formulas import unrolled
from numbanet.ops.walk import Walk, WalkBackward

GATES = {"rnn_tanh": 1, "rnn_relu": 1, "lstm": 4, "gru": 3, "gru_reset_before": 3}
"""Gates of each mode: blocks of rows in its weights."""


@dataclass(slots=True, eq=False)
class RecurrentBackward(WalkBackward):
    """The gradients of a Recurrent."""

    def forward(self, program, out, *arrays):
        grads, kept, by = self.split(arrays)
        to, inputs = named(self.wanted, out), "table" if "table" in by else "x"
        program.recurrent_backward(
            to.get(inputs), to.get("h0"), to.get("c0"), to.get("weight_ih"), to.get("weight_hh"), to.get("bias_ih"),
            to.get("bias_hh"), grads.get("out"), grads.get("h_n"), grads.get("c_n"), kept["out"], kept.get("gates"),
            kept.get("cells"), by[inputs], by["h0"], by.get("c0"), by["weight_ih"], by["weight_hh"], by.get("lengths"),
            by.get("tokens"), self.walk.mode, self.walk.reverse,
        )  # fmt: skip


@dataclass(slots=True, eq=False)
class Recurrent(Walk):
    """(y, h_n[, c_n][, gates][, cells]) of a walk over x (t, b, i), from the first time to the last or, ``reverse``,
    from the last to the first. LECTURE rows L29, L31, L32; Elman 1990, Hochreiter & Schmidhuber 1997, Cho et al. 2014.

    Inputs: x, weight_ih (g·h, i), weight_hh (g·h, h), h0 (b, h), with mode lstm c0 (b, h), and those of bias_ih,
    bias_hh (g·h,), lengths (b,) int64, table (v, i) and tokens (t, b) int64 that ``given`` names; g blocks of rows, one
    a gate. With a = W x_t + b and u = U h + b′ in these blocks, a step gives

    rnn_tanh, rnn_relu: h ← tanh(a + u) or max(a + u, 0);
    lstm: i, f, o = σ(a + u), g = tanh(a + u), c ← f·c + i·g, h ← o·tanh(c); blocks i, f, g, o;
    gru: r, z = σ(a + u), n = tanh(a + r·u), h ← (1 − z)·n + z·h; blocks r, z, n;
    gru_reset_before: the same with n = tanh(a + U (r·h) + b′).

    y (t, b, h) has the states; row b has the times t < lengths[b], and y is 0 at the others, which change no state.
    The backward pass (``RecurrentBackward``) goes through the steps in the other order. For gradients that will be
    differentiated, the steps are done again as ops, one by one.

    With a table, which is named last, x is what was looked up there: x_t = table[tokens_t]. Then W x_t =
    (table Wᵀ)[tokens_t] is a product of v rows, not of t·b, and so are the gradients of W and, in one go with the
    lookup's, of the table: it has a gradient, and x has none, unless somebody looks at that (a hook, ``retain_grad``,
    ``grad``; from before the walk back comes here) or the table has been changed since.

    Raises RuntimeError for shapes that do not fit."""

    gradients: ClassVar = RecurrentBackward
    kept: ClassVar = ("gates", "cells")
    mode: str
    reverse: bool
    given: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the inputs."""
        states = ("h0", "c0") if self.mode == "lstm" else ("h0",)
        return ("x", "weight_ih", "weight_hh", *states, *self.given)

    @property
    def outputs(self) -> tuple[str, ...]:
        """The names of the outputs."""
        kept = {"lstm": ("c_n", "gates", "cells"), "gru": ("gates",), "gru_reset_before": ("gates",)}
        return ("out", "h_n", *kept.get(self.mode, ()))

    @property
    def saves_outputs(self) -> tuple[int, ...]:
        return tuple([number for number, name in enumerate(self.outputs) if name in ("out", "gates", "cells")])

    def infer(self, x, weight_ih, weight_hh, h0, *others):
        by = named(self.names[4:], others)
        lengths, tokens = by.pop("lengths", None), by.pop("tokens", None)
        require_float(self.mode, x, weight_ih, weight_hh, h0, *by.values())
        if x.ndim != 3:
            raise RuntimeError(f"{self.mode} needs an input of shape (time, batch, features), got {x.shape}")
        steps, batch, features = x.shape
        hidden = weight_hh.shape[-1]
        rows = GATES[self.mode] * hidden
        wanted = {
            "weight_ih": (weight_ih, (rows, features)), "weight_hh": (weight_hh, (rows, hidden)),
            "h0": (h0, (batch, hidden)), "c0": (by.get("c0"), (batch, hidden)),
            "bias_ih": (by.get("bias_ih"), (rows,)), "bias_hh": (by.get("bias_hh"), (rows,)),
            "table": (by.get("table"), (*by["table"].shape[:1], features) if "table" in by else ()),
            "tokens": (tokens, (steps, batch)),
        }  # fmt: skip
        for name, (array, shape) in wanted.items():
            if array is not None and array.shape != shape:
                raise RuntimeError(f"{self.mode}: {name} has shape {array.shape}, expected {shape}")
        if lengths is not None and (lengths.shape != (batch,) or lengths.dtype != INT64):
            raise RuntimeError(
                f"{self.mode}: lengths should be {batch} int64, one a row of the batch, got {lengths.shape} of "
                f"{lengths.dtype}"
            )
        shapes = {
            "out": (steps, batch, hidden), "h_n": (batch, hidden), "c_n": (batch, hidden),
            "gates": (steps, batch, 4 * hidden), "cells": (steps, batch, hidden),
        }  # fmt: skip
        return tuple([Spec(shapes[name], x.dtype) for name in self.outputs])

    def forward(self, program, out, *arrays):
        to, by = named(self.outputs, out), named(self.names, arrays)
        program.recurrent(
            to["out"], to["h_n"], to.get("c_n"), to.get("gates"), to.get("cells"), by.get("table", by["x"]), by["h0"],
            by.get("c0"), by["weight_ih"], by["weight_hh"], by.get("bias_ih"), by.get("bias_hh"), by.get("lengths"),
            by.get("tokens"), self.mode, self.reverse,
        )  # fmt: skip

    def wanted(self, node):
        names = Walk.wanted(self, node)
        return names[1:] if "table" in self.given and names[:1] == ("x",) else names

    def backward(self, node, *grads):
        if "table" not in self.given or not self._goes_by_x(node):
            return Walk.backward(self, node, *grads)
        plain = Recurrent(self.mode, self.reverse, self.given[:-2])
        return *Walk.backward(plain, node, *grads), None, None

    def _goes_by_x(self, node):
        """Whether the gradient is to be x's, and not the table's."""
        numbers = [self.names.index(name) for name in ("table", "tokens")]
        is_changed = not node.released and any(node.is_changed(number) for number in numbers)
        return is_changed or is_grad_enabled() or is_watched(node.edges[0][0], Embedding)

    def steps(self, saved):
        return unrolled(self, saved)
