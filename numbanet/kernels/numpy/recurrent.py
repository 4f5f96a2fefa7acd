"""Recurrent layers: a loop over time, forward and backward."""

from __future__ import annotations

import numpy as np

from numbanet.kernels.numpy.embedding import check_numbers
from numbanet.kernels.numpy.pointwise import quiet


def _sigmoid(x):
    """1 / (1 + e⁻ˣ), by way of tanh, which does not overflow."""
    return 0.5 * (1 + np.tanh(0.5 * x))


def _times(steps, reverse):
    """The times in the order of the walk."""
    return range(steps - 1, -1, -1) if reverse else range(steps)


def _active(lengths, t, batch):
    """(b, 1): which rows have an element at time t."""
    return np.ones((batch, 1), bool) if lengths is None else (t < lengths)[:, None]


def _before(states, first, t, lengths, reverse):
    """The states (b, h) before time t: ``first`` (b, h) where a row begins."""
    steps, batch = states.shape[:2]
    begin = np.zeros(batch, np.int64)
    if reverse:
        begin += steps - 1 if lengths is None else np.minimum(lengths, steps) - 1
    at = min(max(t + 1 if reverse else t - 1, 0), steps - 1)
    return np.where((t == begin)[:, None], first, states[at])


def cell(mode, product, hidden, h, c, weight, bias):
    """One step: the new h and c, and the gates to keep, from the product of the input and the state before."""
    bias = 0 if bias is None else bias
    if mode in ("rnn_tanh", "rnn_relu"):
        x = product + (h @ weight.T + bias)
        return np.tanh(x) if mode == "rnn_tanh" else np.where(x < 0, x.dtype.type(0), x), None, None
    if mode == "lstm":
        parts = np.split(product + (h @ weight.T + bias), 4, axis=1)
        i, f, g, o = (np.tanh(x) if k == 2 else _sigmoid(x) for k, x in enumerate(parts))
        c = f * c + i * g
        return o * np.tanh(c), c, np.concatenate([i, f, g, o], axis=1)
    cut = 2 * hidden
    bias = np.broadcast_to(bias, (3 * hidden,))
    rz = _sigmoid(product[:, :cut] + (h @ weight[:cut].T + bias[:cut]))
    r, z = rz[:, :hidden], rz[:, hidden:]
    if mode == "gru":
        fourth = h @ weight[cut:].T + bias[cut:]
        n = np.tanh(product[:, cut:] + r * fourth)
    else:
        fourth = r * h
        n = np.tanh(product[:, cut:] + (fourth @ weight[cut:].T + bias[cut:]))
    return n + z * (h - n), None, np.concatenate([r, z, n, fourth], axis=1)


@quiet
def recurrent(
    out, h_n, c_n, gates, cells, x, h0, c0, weight_ih, weight_hh, bias_ih, bias_hh, lengths, tokens, mode, reverse
):
    steps, batch, hidden = out.shape
    products = x @ weight_ih.T
    if bias_ih is not None:
        products = products + bias_ih
    if tokens is not None:
        check_numbers(tokens, len(x))
        products = products[tokens]
    h, c = h0, c0
    for t in _times(steps, reverse):
        active = _active(lengths, t, batch)
        new_h, new_c, kept = cell(mode, products[t], hidden, h, c, weight_hh, bias_hh)
        out[t] = np.where(active, new_h, 0)
        h = np.where(active, new_h, h)
        if kept is not None:
            gates[t] = np.where(active, kept, 0)
        if new_c is not None:
            cells[t] = np.where(active, new_c, 0)
            c = np.where(active, new_c, c)
    h_n[...] = h
    if c_n is not None:
        c_n[...] = c


def cell_gradient(mode, dh, dc, y, gates, cell, h, c, weight):
    """Of one step: the gradients before the gates for the input and for the state, those for h and c before it."""
    hidden = y.shape[1]
    if mode in ("rnn_tanh", "rnn_relu"):
        d = dh * (1 - y * y) if mode == "rnn_tanh" else np.where(y <= 0, y.dtype.type(0), dh)
        return d, d, d @ weight, None
    if mode == "lstm":
        i, f, g, o = np.split(gates, 4, axis=1)
        new = np.tanh(cell)
        dc = dc + dh * o * (1 - new * new)
        d = np.concatenate(
            [dc * g * i * (1 - i), dc * c * f * (1 - f), dc * i * (1 - g * g), dh * new * o * (1 - o)], axis=1
        )
        return d, d, d @ weight, dc * f
    r, z, n, fourth = np.split(gates, 4, axis=1)
    dn = dh * (1 - z) * (1 - n * n)
    dz = dh * (h - n) * z * (1 - z)
    if mode == "gru":
        dr = dn * fourth * r * (1 - r)
        inner = np.concatenate([dr, dz, dn * r], axis=1)
        return np.concatenate([dr, dz, dn], axis=1), inner, dh * z + inner @ weight, None
    dreset = dn @ weight[2 * hidden :]
    dr = dreset * h * r * (1 - r)
    d = np.concatenate([dr, dz, dn], axis=1)
    return d, d, dh * z + dreset * r + d[:, : 2 * hidden] @ weight[: 2 * hidden], None


def _sums_by_row(x, tokens, rows):
    """(rows, n): the sums of the x (places, n) whose token names the row."""
    sums = np.zeros((rows, x.shape[1]))
    np.add.at(sums, tokens.reshape(-1), x)
    return sums.astype(x.dtype)


def _named_rows(x, tokens):
    """x, but 0 in the rows that no token names."""
    return np.where(np.isin(np.arange(len(x)), tokens)[:, None], x, x.dtype.type(0))


@quiet
def recurrent_backward(
    x_out, h0_out, c0_out, weight_ih_out, weight_hh_out, bias_ih_out, bias_hh_out, grad, grad_h, grad_c, out, gates,
    cells, x, h0, c0, weight_ih, weight_hh, lengths, tokens, mode, reverse,
):  # fmt: skip
    steps, batch, hidden = out.shape
    outer, inner = (np.zeros((steps, batch, weight_hh.shape[0]), x.dtype) for _ in range(2))
    previous = np.zeros_like(out)
    dh = np.zeros_like(h0) if grad_h is None else grad_h
    dc = np.zeros_like(h0) if grad_c is None else grad_c
    for t in reversed(_times(steps, reverse)):
        active = _active(lengths, t, batch)
        h = _before(out, h0, t, lengths, reverse)
        c, cell = (None, None) if cells is None else (_before(cells, c0, t, lengths, reverse), cells[t])
        total = dh if grad is None else dh + grad[t]
        kept = None if gates is None else gates[t]
        d_outer, d_inner, d_h, d_c = cell_gradient(mode, total, dc, out[t], kept, cell, h, c, weight_hh)
        outer[t], inner[t] = np.where(active, d_outer, 0), np.where(active, d_inner, 0)
        previous[t] = np.where(active, h, 0)
        dh = np.where(active, d_h, dh)
        dc = dc if d_c is None else np.where(active, d_c, dc)
    flat, inner, previous = (array.reshape(steps * batch, array.shape[2]) for array in (outer, inner, previous))
    if tokens is None:
        given, inputs = flat, x.reshape(steps * batch, x.shape[2])
    else:  # rows of the table meet the sums of what was for each of them; those that no token names do not count
        given, inputs = _sums_by_row(flat, tokens, len(x)), _named_rows(x, tokens)
    state = flat.T @ previous if mode != "gru" else inner.T @ previous
    if mode == "gru_reset_before":
        resets = gates.reshape(steps * batch, 4 * hidden)[:, 3 * hidden :]
        state = np.concatenate([state[: 2 * hidden], flat[:, 2 * hidden :].T @ resets])
    results = (
        (x_out, lambda: (given @ weight_ih).reshape(x.shape)), (h0_out, lambda: dh), (c0_out, lambda: dc),
        (weight_ih_out, lambda: given.T @ inputs), (weight_hh_out, lambda: state),
        (bias_ih_out, lambda: flat.sum(axis=0)), (bias_hh_out, lambda: inner.sum(axis=0)),
    )  # fmt: skip
    for target, value in results:
        if target is not None:
            target[...] = value()
