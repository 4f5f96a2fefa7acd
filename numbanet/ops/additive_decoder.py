"""A recurrent decoder that looks at a memory by additive attention, over a whole sequence."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

from numbanet.ops.base import BOOL, Spec, named, require_float
from numbanet.ops.recurrent_formulas import decoded
from numbanet.ops.walk import Walk, WalkBackward

INPUTS = ("words", "memory", "keys", "h0", "weight_query", "weight_score", "weight_ih", "weight_hh")


@dataclass(slots=True, eq=False)
class AdditiveDecoderBackward(WalkBackward):
    """The gradients of an AdditiveDecoder."""

    def forward(self, program, out, *arrays):
        grads, kept, by = self.split(arrays)
        to = named(self.wanted, out)
        program.additive_decoder_backward(
            *[to.get(name) for name in (*INPUTS, "bias_ih", "bias_hh")],
            *[grads.get(name) for name in self.walk.outputs[:3]],
            *kept.values(), by["words"], by["memory"], by["keys"], by.get("hidden"), by["h0"], by["weight_query"],
            by["weight_score"], by["weight_ih"], by["weight_hh"], self.walk.mode,
        )  # fmt: skip


@dataclass(slots=True, eq=False)
class AdditiveDecoder(Walk):
    """(s, c, a, queries, gates) of a walk over words y (t, b, e). LECTURE row L34; Bahdanau et al. 2014.

    Inputs: words, memory h (b, n, m), keys k (b, n, f), h0 (b, d), weight_query W (f, d), weight_score v (1, f),
    weight_ih (3d, e + m), weight_hh (3d, d), and those of hidden (b, n) bool, bias_ih and bias_hh (3d,) that ``given``
    names. From s_0 = h0 on, a step gives

    a_t = softmax over i of vᵀ tanh(W s_{t−1} + k_i), c_t = Σ_i a_{t,i} h_i, s_t = GRU([y_t, c_t], s_{t−1}),

    the GRU in the form ``mode`` as Recurrent has it. States s (t, b, d), contexts c (t, b, m), weights a (t, b, n).
    What is hidden has a weight of 0 and is not looked at; a row of nothing else has a context of 0, and gives the
    memory and the keys gradients of exactly 0. queries W s_{t−1} (t, b, f) and gates are kept for the backward pass
    (``AdditiveDecoderBackward``), which goes through the steps from the last on and computes the tanh again: nothing
    holds t · n · f numbers. For gradients that will be differentiated the steps are done again as ops, one by one.

    Raises RuntimeError for shapes that do not fit."""

    outputs: ClassVar = ("out", "contexts", "weights", "queries", "gates")
    gradients: ClassVar = AdditiveDecoderBackward
    kept: ClassVar = ("queries", "gates")
    saves_outputs: ClassVar = (0, 1, 2, 3, 4)
    mode: str
    given: tuple[str, ...]

    @property
    def names(self) -> tuple[str, ...]:
        """The names of the inputs."""
        return (*INPUTS, *self.given)

    def infer(self, *arrays):
        by = named(self.names, arrays)
        hidden = by.pop("hidden", None)
        require_float("additive_decoder", *by.values())
        for name in ("words", "memory", "keys"):
            if by[name].ndim != 3:
                raise RuntimeError(f"additive_decoder: {name} should have three dimensions, got {by[name].shape}")
        steps, batch, features = by["words"].shape
        length, width = by["memory"].shape[1:]
        size, across = by["weight_hh"].shape[-1], by["keys"].shape[2]
        wanted = {
            "memory": (batch, length, width), "keys": (batch, length, across), "h0": (batch, size),
            "weight_query": (across, size), "weight_score": (1, across), "weight_ih": (3 * size, features + width),
            "weight_hh": (3 * size, size), "bias_ih": (3 * size,), "bias_hh": (3 * size,),
        }  # fmt: skip
        for name, shape in wanted.items():
            if name in by and by[name].shape != shape:
                raise RuntimeError(f"additive_decoder: {name} has shape {by[name].shape}, expected {shape}")
        if hidden is not None and (hidden.shape != (batch, length) or hidden.dtype != BOOL):
            raise RuntimeError(
                f"additive_decoder: hidden should be bool of shape {(batch, length)}, got {hidden.shape} of "
                f"{hidden.dtype}"
            )
        widths = (size, width, length, across, 4 * size)
        return tuple([Spec((steps, batch, one), by["words"].dtype) for one in widths])

    def forward(self, program, out, *arrays):
        by = named(self.names, arrays)
        program.additive_decoder(
            *out, by["words"], by["memory"], by["keys"], by.get("hidden"), by["h0"], by["weight_query"],
            by["weight_score"], by["weight_ih"], by["weight_hh"], by.get("bias_ih"), by.get("bias_hh"), self.mode,
        )  # fmt: skip

    def steps(self, saved):
        return decoded(self, saved)
