"""The decoder with additive attention: a loop over time, forward and backward."""

from __future__ import annotations

import numpy as np

from numbanet.kernels.numpy.pointwise import quiet
from numbanet.kernels.numpy.recurrent import cell, cell_gradient


def _shown(hidden, memory):
    """(b, n): where there is something to look at."""
    return np.ones(memory.shape[:2], bool) if hidden is None else ~hidden


def _attend(h, memory, keys, shown, weight_query, weight_score):
    """Contexts (b, m), weights (b, n) and projected queries (b, a); what is not shown counts for nothing."""
    query = h @ weight_query.T
    scores = np.where(shown, np.tanh(query[:, None] + keys) @ weight_score[0], -np.inf)
    highest = np.where(shown.any(1), scores.max(1), 0)
    powers = np.where(shown, np.exp(scores - highest[:, None]), 0)
    weights = np.where(shown, powers / powers.sum(1, keepdims=True), 0)
    return np.einsum("bn,bnm->bm", weights, np.where(shown[:, :, None], memory, 0)), weights, query


@quiet
def additive_decoder(
    out, contexts, weights, queries, gates, words, memory, keys, hidden, h0, weight_query, weight_score, weight_ih,
    weight_hh, bias_ih, bias_hh, mode,
):  # fmt: skip
    shown, h = _shown(hidden, memory), h0
    for t in range(len(out)):
        contexts[t], weights[t], queries[t] = _attend(h, memory, keys, shown, weight_query, weight_score)
        product = np.concatenate([words[t], contexts[t]], axis=1) @ weight_ih.T
        if bias_ih is not None:
            product = product + bias_ih
        h, _, gates[t] = cell(mode, product, h.shape[1], h, None, weight_hh, bias_hh)
        out[t] = h


def _attend_gradient(dcontext, dweights, weights, query, memory, keys, shown, weight_score):
    """The gradients of the keys (b, n, a), the query (b, a) and v (1, a) at one time."""
    found = np.where(shown, np.einsum("bm,bnm->bn", dcontext, memory) + dweights, 0)
    dscores = np.where(shown, weights * (found - (weights * found).sum(1, keepdims=True)), 0)[:, :, None]
    energies = np.where(shown[:, :, None], np.tanh(query[:, None] + keys), 0)
    dkeys = dscores * (weight_score[0] * (1 - energies * energies))
    return dkeys, dkeys.sum(1), (dscores * energies).sum((0, 1))[None]


@quiet
def additive_decoder_backward(
    words_out, memory_out, keys_out, h0_out, weight_query_out, weight_score_out, weight_ih_out, weight_hh_out,
    bias_ih_out, bias_hh_out, grad, grad_contexts, grad_weights, out, contexts, weights, queries, gates, words, memory,
    keys, hidden, h0, weight_query, weight_score, weight_ih, weight_hh, mode,
):  # fmt: skip
    steps, batch, size = out.shape
    shown, features = _shown(hidden, memory), words.shape[2]
    outer, inner = (np.zeros((steps, batch, 3 * size), out.dtype) for _ in range(2))
    dqueries, dcontexts, dkeys = np.zeros_like(queries), np.zeros_like(contexts), np.zeros_like(keys)
    dscore, dh, previous = np.zeros_like(weight_score), np.zeros_like(h0), np.concatenate([h0[None], out[:-1]])
    for t in range(steps - 1, -1, -1):
        total = dh if grad is None else dh + grad[t]
        outer[t], inner[t], dh, _ = cell_gradient(
            mode, total, None, out[t], gates[t], None, previous[t], None, weight_hh
        )
        dcontexts[t] = outer[t] @ weight_ih[:, features:]
        if grad_contexts is not None:
            dcontexts[t] += grad_contexts[t]
        dweights = 0 if grad_weights is None else grad_weights[t]
        more, dqueries[t], score = _attend_gradient(
            dcontexts[t], dweights, weights[t], queries[t], memory, keys, shown, weight_score
        )
        dkeys, dscore, dh = dkeys + more, dscore + score, dh + dqueries[t] @ weight_query

    def product(a, b):
        """Σ of the outer products of the rows of all times."""
        return np.einsum("tbi,tbj->ij", a, b)

    state = product(inner, previous)
    if mode == "gru_reset_before":
        state[2 * size :] = product(outer[:, :, 2 * size :], gates[:, :, 3 * size :])
    results = (
        (words_out, lambda: outer @ weight_ih[:, :features]), (keys_out, lambda: dkeys), (h0_out, lambda: dh),
        (memory_out, lambda: np.einsum("tbn,tbm->bnm", weights, dcontexts)),
        (weight_query_out, lambda: product(dqueries, previous)), (weight_score_out, lambda: dscore),
        (weight_ih_out, lambda: product(outer, np.concatenate([words, contexts], axis=2))),
        (weight_hh_out, lambda: state), (bias_ih_out, lambda: outer.sum((0, 1))),
        (bias_hh_out, lambda: inner.sum((0, 1))),
    )  # fmt: skip
    for target, value in results:
        if target is not None:
            target[...] = value()
