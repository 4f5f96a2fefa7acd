"""Recurrent layers: one direction of one layer, a whole sequence."""

from __future__ import annotations

from numbanet.kernels.contract.declaration import declare


@declare(writes=("h_n", "c_n", "gates", "cells"))
def recurrent(
    out,
    h_n,
    c_n,
    gates,
    cells,
    x,
    h0,
    c0,
    weight_ih,
    weight_hh,
    bias_ih,
    bias_hh,
    lengths,
    tokens,
    mode: str,
    reverse: bool,
):
    """out (t, b, h) = the states of a recurrent network over x (t, b, i) from h0 (b, h) on; h_n (b, h) = the last.

    weight_ih (g·h, i) and weight_hh (g·h, h), both biases (g·h,) or None; g is 1 for mode rnn_tanh and rnn_relu, 4 for
    lstm (gates i, f, g, o), 3 for gru and gru_reset_before (r, z, n). lstm has c0 and c_n (b, h) and keeps cells
    (t, b, h) and gates (t, b, 4h); gru keeps r, z, n and U h + b (or r·h, reset before) as gates (t, b, 4h); else None.
    lengths (b,) int64, or None: row b has the times t < lengths[b]; at others its state stays and all else is 0.
    tokens (t, b) int64, or None: x (v, i) is a table, and the input at each place the row that its token names;
    IndexError if there is none. reverse: the walk goes from the last time to the first."""


@declare(optional=("x_out", "h0_out", "c0_out", "weight_ih_out", "weight_hh_out", "bias_ih_out", "bias_hh_out"))
def recurrent_backward(
    x_out,
    h0_out,
    c0_out,
    weight_ih_out,
    weight_hh_out,
    bias_ih_out,
    bias_hh_out,
    grad,
    grad_h,
    grad_c,
    out,
    gates,
    cells,
    x,
    h0,
    c0,
    weight_ih,
    weight_hh,
    lengths,
    tokens,
    mode: str,
    reverse: bool,
):
    """Gradients of recurrent for its inputs, each of them None if not wanted, from those for out, h_n and c_n (each
    may be None). out, gates and cells are as recurrent left them. With tokens x_out (v, i) is the gradient of
    the table."""
