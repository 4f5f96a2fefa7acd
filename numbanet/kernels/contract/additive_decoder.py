"""The decoder with additive attention, a whole sequence."""

from __future__ import annotations

from numbanet.kernels.contract.declaration import declare


@declare(writes=("contexts", "weights", "queries", "gates"))
def additive_decoder(
    out,
    contexts,
    weights,
    queries,
    gates,
    words,
    memory,
    keys,
    hidden,
    h0,
    weight_query,
    weight_score,
    weight_ih,
    weight_hh,
    bias_ih,
    bias_hh,
    mode: str,
):
    """out (t, b, h) = the states of a GRU over words (t, b, e) from h0 (b, h) on that looks at memory (b, n, m) before
    each step; contexts (t, b, m) and weights (t, b, n) = what it saw, and how much of each.

    From the state h before a step: queries (t, b, a) = weight_query (a, h) · h, the weights are the softmax over n of
    weight_score (1, a) · tanh(queries + keys (b, n, a)), the context is Σ weights · memory, and the input of the step
    is the word with the context behind it. hidden (b, n) bool or None: True is not looked at and has a weight of 0, a
    row of nothing else a context of 0. mode is gru or gru_reset_before, weight_ih (3h, e + m), and weight_hh, both
    biases and gates as for recurrent."""


@declare(
    optional=(
        "words_out", "memory_out", "keys_out", "h0_out", "weight_query_out", "weight_score_out", "weight_ih_out",
        "weight_hh_out", "bias_ih_out", "bias_hh_out",
    )
)  # fmt: skip
def additive_decoder_backward(
    words_out,
    memory_out,
    keys_out,
    h0_out,
    weight_query_out,
    weight_score_out,
    weight_ih_out,
    weight_hh_out,
    bias_ih_out,
    bias_hh_out,
    grad,
    grad_contexts,
    grad_weights,
    out,
    contexts,
    weights,
    queries,
    gates,
    words,
    memory,
    keys,
    hidden,
    h0,
    weight_query,
    weight_score,
    weight_ih,
    weight_hh,
    mode: str,
):
    """Gradients of additive_decoder for its inputs, each of them None if not wanted, from those for out, contexts and
    weights (each may be None). What it wrote is as it left it; the energies tanh(queries + keys) are computed again."""
