"""Bahdanau's attention against its formula, with lengths, masks and rows of nothing."""

from __future__ import annotations

import numpy as np
import pytest

import numbanet
from numbanet import autograd, nn


def sample(seed, *shape):
    return np.random.default_rng(seed).normal(0, 1, shape)


def by_formula(layer, query, keys, shown):
    """Contexts and weights, row by row."""
    w, u, b, v = (
        one.detach().numpy() for one in (layer.query.weight, layer.key.weight, layer.key.bias, layer.score.weight)
    )
    contexts, weights = np.zeros((len(query), keys.shape[2])), np.zeros(keys.shape[:2])
    for row in range(len(query)):
        at = np.flatnonzero(shown[row])
        scores = np.array([v[0] @ np.tanh(w @ query[row] + u @ keys[row, i] + b) for i in at])
        if len(at):
            weights[row, at] = np.exp(scores - scores.max()) / np.exp(scores - scores.max()).sum()
        contexts[row] = weights[row] @ keys[row]
    return contexts, weights


@pytest.mark.parametrize("how", ["all", "lengths", "mask", "both"])
def test_is_its_formula(backend, how):
    layer = nn.BahdanauAttention(3, 4, 5, dtype=np.float64)
    query, keys = sample(1, 3, 3), sample(2, 3, 6, 4)
    lengths, mask = np.array([6, 2, 0]), sample(3, 3, 6) > 0
    shown, options = np.ones((3, 6), bool), {}
    if how in ("lengths", "both"):
        shown, options["lengths"] = shown & (np.arange(6) < lengths[:, None]), numbanet.tensor(lengths)
    if how in ("mask", "both"):
        shown, options["key_padding_mask"] = shown & ~mask, numbanet.tensor(mask)
    wanted = by_formula(layer, query, keys, shown)
    found = layer(numbanet.tensor(query), numbanet.tensor(keys), **options)
    many = layer(numbanet.tensor(query[:, None]), numbanet.tensor(keys), **options)
    for value, one, expected in zip(found, many, wanted, strict=True):
        np.testing.assert_allclose(value.detach().numpy(), expected, atol=1e-12)
        np.testing.assert_allclose(one.detach().numpy()[:, 0], expected, atol=1e-12)


def test_a_row_of_nothing_is_exactly_zero(backend):
    layer = nn.BahdanauAttention(3, 4, 5)
    query, keys = (
        numbanet.tensor(sample(1, *shape).astype(np.float32)).requires_grad_() for shape in ((2, 3), (2, 6, 4))
    )
    context, weights = layer(query, keys, lengths=numbanet.tensor([0, 6]))
    (context.sum() + weights.square().sum()).backward()
    for array in (context.detach().numpy(), weights.detach().numpy(), query.grad.numpy(), keys.grad.numpy()):
        assert not array[0].any()
        assert array[1].any()


def test_refuses():
    layer, keys = nn.BahdanauAttention(3, 4, 5), numbanet.zeros(2, 6, 4)
    with pytest.raises(RuntimeError, match="takes queries"):
        layer(numbanet.zeros(2, 2), keys)
    with pytest.raises(RuntimeError, match="key_padding_mask should be of shape"):
        layer(numbanet.zeros(2, 3), keys, numbanet.zeros(2, 5, dtype=bool))
    with pytest.raises(RuntimeError, match="lengths should be of shape"):
        layer(numbanet.zeros(2, 3), keys, lengths=numbanet.tensor([1]))


# --- a decoder -------------------------------------------------------------------------------------------------------
def decoder(reset_after, bias=True, dtype=np.float32):
    numbanet.manual_seed(5)
    return (
        nn.BahdanauAttention(6, 4, 7, dtype=dtype), nn.GRUCell(3 + 4, 6, bias, dtype, reset_after=reset_after)
    )  # fmt: skip


def inputs(dtype=np.float32, steps=5):
    """Words, state and keys that want their gradients, and lengths, one of them 0."""
    arrays = [sample(seed, *shape).astype(dtype) for seed, shape in enumerate(((steps, 3, 3), (3, 6), (3, 8, 4)))]
    return [numbanet.tensor(one).requires_grad_() for one in arrays], numbanet.tensor([8, 0, 5])


def by_steps(attention, cell, words, state, keys, lengths):
    """``decode`` by its definition."""
    found = []
    for word in words:
        context, weights = attention(state, keys, lengths=lengths)
        state = cell(numbanet.cat([word, context], 1), state)
        found.append((state, context, weights))
    return [numbanet.stack(ones) for ones in zip(*found, strict=True)]


def outcome(attention, cell, leaves, results):
    """The results, and the gradients of a number made of all of them."""
    total = sum((one * one).sum() for one in results)
    wanted = [*leaves, *attention.parameters(), *cell.parameters()]
    return [one.detach().numpy() for one in (*results, *autograd.grad(total, wanted))]


@pytest.mark.parametrize("reset_after", [True, False])
@pytest.mark.parametrize(("bias", "steps"), [(True, 5), (False, 5), (True, 1)])
def test_a_decoder_is_its_steps(backend, reset_after, bias, steps):
    attention, cell = decoder(reset_after, bias)
    leaves, lengths = inputs(steps=steps)
    found = outcome(attention, cell, leaves, attention.decode(cell, *leaves, lengths=lengths))
    wanted = outcome(attention, cell, leaves, by_steps(attention, cell, *leaves, lengths))
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-5)
    assert not found[1][:, 1].any()
    assert not found[2][:, 1].any()
    assert not found[5][1].any()


def test_a_decoder_is_one_op_unless_a_hook_looks(backend):
    attention, cell = decoder(reset_after=True)
    (words, state, keys), _ = inputs()
    names, seen = [], []
    before = autograd.set_recorder(lambda op, inputs, outputs: names.append(type(op).__name__))
    try:
        one = attention.decode(cell, words, state, keys)
        assert names.count("AdditiveDecoder") == 1
        assert not {"Recurrent", "Tanh"} & set(names)
        with cell.register_forward_hook(lambda module, arguments, result: seen.append(result)):
            other = attention.decode(cell, words, state, keys)
    finally:
        autograd.set_recorder(before)
    assert len(seen) == 5
    for value, expected in zip(one, other, strict=True):
        np.testing.assert_allclose(value.detach().numpy(), expected.detach().numpy(), rtol=0, atol=1e-6)


def test_a_decoder_of_any_cell(backend):
    """One that is no GRU goes step by step."""
    attention, cell = decoder(reset_after=True)[0], nn.RNNCell(7, 6)
    (words, state, keys), lengths = inputs()
    found = attention.decode(cell, words, state, keys, lengths=lengths)
    for value, expected in zip(found, by_steps(attention, cell, words, state, keys, lengths), strict=True):
        np.testing.assert_allclose(value.detach().numpy(), expected.detach().numpy(), rtol=0, atol=1e-6)


def test_a_decoder_refuses():
    attention, cell = decoder(reset_after=True)
    (words, state, keys), _ = inputs()
    with pytest.raises(RuntimeError, match=r"takes words \(t, b, e\), t > 0"):
        attention.decode(cell, words[:0], state, keys)
    with pytest.raises(RuntimeError, match="weight_ih has shape"):
        attention.decode(cell, words[:, :, :2], state, keys)
    with pytest.raises(RuntimeError, match="takes queries"):
        attention.decode(cell, words, state[:2], keys)
