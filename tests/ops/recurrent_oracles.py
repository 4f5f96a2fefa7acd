"""Recurrent layers in float64 NumPy, row by row and gate by gate, from the formulas of the lecture and of PyTorch."""

from __future__ import annotations

import numpy as np
import scipy.special


def recurrent(mode, reverse, x, weight_ih, weight_hh, *rest, biases=True, lengths=None):
    """(y, h_n[, c_n]) for x (t, b, i); ``rest`` is h0, c0 for an LSTM, and two biases unless there are none."""
    h0, *rest = rest
    c0 = rest.pop(0) if mode == "lstm" else None
    bias_ih, bias_hh = rest if biases else (np.zeros(len(weight_hh)),) * 2
    steps, batch, hidden = len(x), len(h0), h0.shape[1]
    y, h_n, c_n = np.zeros((steps, batch, hidden)), h0.copy(), None if c0 is None else c0.copy()
    for b in range(batch):
        length = steps if lengths is None else lengths[b]
        times = range(length - 1, -1, -1) if reverse else range(length)
        h, c = h0[b], None if c0 is None else c0[b]
        for t in times:
            h, c = _step(mode, weight_ih @ x[t, b] + bias_ih, weight_hh, bias_hh, h, c)
            y[t, b] = h
        h_n[b] = h
        if c_n is not None:
            c_n[b] = c
    return (y, h_n) if c_n is None else (y, h_n, c_n)


def _step(mode, outer, weight, bias, h, c):
    n = len(h)
    gate = [slice(k * n, (k + 1) * n) for k in range(4)]
    sigmoid = scipy.special.expit
    if mode == "rnn_tanh":
        return np.tanh(outer + weight @ h + bias), None
    if mode == "rnn_relu":
        return np.maximum(outer + weight @ h + bias, 0), None
    inner = weight @ h + bias
    if mode == "lstm":
        total = outer + inner
        c = sigmoid(total[gate[1]]) * c + sigmoid(total[gate[0]]) * np.tanh(total[gate[2]])
        return sigmoid(total[gate[3]]) * np.tanh(c), c
    r, z = sigmoid((outer + inner)[gate[0]]), sigmoid((outer + inner)[gate[1]])
    if mode == "gru":
        new = np.tanh(outer[gate[2]] + r * inner[gate[2]])
        return (1 - z) * new + z * h, None
    new = np.tanh(outer[gate[2]] + weight[gate[2]] @ (r * h) + bias[gate[2]])
    update = 1 - z  # the lecture's i
    return (1 - update) * h + update * new, None


def additive_decoder(mode, hidden, words, memory, keys, h0, weight_query, weight_score, weight_ih, weight_hh, *biases):
    """(s, c, a) of a GRU over words (t, b, e) that looks at memory (b, n, m) before each; up to two biases."""
    bias_ih, bias_hh = (*biases, *[np.zeros(len(weight_hh))] * (2 - len(biases)))
    steps, batch, length = *words.shape[:2], memory.shape[1]
    s, c, a = (np.zeros((steps, batch, n)) for n in (h0.shape[1], memory.shape[2], length))
    for b in range(batch):
        h, shown = h0[b], range(length) if hidden is None else np.flatnonzero(~hidden[b])
        for t in range(steps):
            scores = np.array([weight_score[0] @ np.tanh(weight_query @ h + keys[b, i]) for i in shown])
            for i, share in zip(shown, scipy.special.softmax(scores) if len(scores) else (), strict=True):
                a[t, b, i], c[t, b] = share, c[t, b] + share * memory[b, i]
            outer = weight_ih @ np.concatenate([words[t, b], c[t, b]]) + bias_ih
            h, _ = _step(mode, outer, weight_hh, bias_hh, h, None)
            s[t, b] = h
    return s, c, a
