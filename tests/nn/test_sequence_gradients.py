"""Layers of sequences in float64 against central differences, along a random direction of each input and parameter; and
what sees nothing is exactly 0, and so is its gradient."""

from __future__ import annotations

import numpy as np
import pytest

import numbanet
from numbanet import autograd, nn
from numbanet.nn import functional as F

STEP = 1e-6
MASK = np.array([[False, False, True, True], [False] * 4])  # True is padding
MASKS = {
    "padding at the end": MASK,
    "a text of padding alone": np.array([[True] * 4, [False, False, False, True]]),
    "texts of 1": np.array([[False], [False]]),
    "one of them padding": np.array([[True], [False]]),
}


def sample(seed, *shape):
    return np.random.default_rng(seed).normal(0, 1, shape)


def check(module, run, *arrays):
    """``run(*inputs)``, a tensor or some, has the gradients of its differences, for inputs and parameters."""
    for seed, parameter in enumerate(module.parameters()):
        parameter.data.copy_(numbanet.tensor(0.5 * sample(100 + seed, *parameter.shape)))
    inputs = [numbanet.tensor(array).requires_grad_() for array in arrays]
    leaves = [*inputs, *module.parameters()]

    def loss():
        outputs = run(*inputs)
        outputs = outputs if isinstance(outputs, tuple) else (outputs,)
        parts = [(one * numbanet.tensor(sample(50 + i, *one.shape))).sum() for i, one in enumerate(outputs)]
        return sum(parts[1:], parts[0])

    found = autograd.grad(loss(), leaves)
    for number, (leaf, gradient) in enumerate(zip(leaves, found, strict=True)):
        start, direction, values = leaf.detach().numpy().copy(), sample(200 + number, *leaf.shape), []
        for step in (STEP, -STEP):
            leaf.data.copy_(numbanet.tensor(start + step * direction))
            values.append(loss().item())
        leaf.data.copy_(numbanet.tensor(start))
        expected = (values[0] - values[1]) / (2 * STEP)
        assert (gradient.numpy() * direction).sum() == pytest.approx(expected, rel=1e-6, abs=1e-6), number


@pytest.mark.parametrize("hidden", MASKS.values(), ids=MASKS)
@pytest.mark.parametrize("how", ["self", "causal", "cross", "one query"])
def test_multihead_attention(how, hidden):
    layer = nn.MultiheadAttention(4, 2, batch_first=True, dtype=np.float64)
    mask, size = numbanet.tensor(hidden), hidden.shape[1]
    x, memory = sample(1, 2, 1 if how == "one query" else size, 4), sample(2, 2, size, 4)
    options = {"need_weights": False}
    if how == "causal":
        causal = numbanet.tensor(np.triu(np.ones((size, size), bool), 1))
        check(layer, lambda x: layer(x, x, x, mask, attn_mask=causal, is_causal=True, **options)[0], x)
    elif how == "self":
        check(layer, lambda x: layer(x, x, x, mask), x)
    else:
        check(layer, lambda x, y: layer(x, y, y, mask, **options)[0], x, memory)


@pytest.mark.parametrize("hidden", MASKS.values(), ids=MASKS)
@pytest.mark.parametrize("norm_first", [False, True])
@pytest.mark.parametrize("activation", ["relu", "gelu"])
def test_transformer_layers(norm_first, activation, hidden):
    options = {"batch_first": True, "norm_first": norm_first, "activation": activation, "dtype": np.float64}
    mask, shape = numbanet.tensor(hidden), (*hidden.shape, 4)
    x, memory = sample(1, *shape), sample(2, *shape)
    encoder = nn.TransformerEncoderLayer(4, 2, 6, 0.0, **options)
    check(encoder, lambda x: encoder(x, src_key_padding_mask=mask), x)
    decoder = nn.TransformerDecoderLayer(4, 2, 6, 0.0, **options)
    check(decoder, lambda x, y: decoder(x, y, memory_key_padding_mask=mask, tgt_is_causal=True), x, memory)


@pytest.mark.parametrize("length", [1, 5])
def test_positions(length):
    fixed, learned = nn.SinusoidalPositionalEncoding(4, 6), nn.LearnedPositionalEncoding(4, 6)
    learned.to(np.float64)
    check(learned, lambda x: learned(x), sample(1, 2, length, 4))
    check(fixed.to(np.float64), lambda x: fixed(x), sample(1, 2, length, 4))


@pytest.mark.parametrize("length", [1, 6])
@pytest.mark.parametrize("width", [1, 3])
def test_convolutions_of_sequences(width, length):
    layer = nn.Conv1d(3, 4, width, padding=width // 2, dtype=np.float64)
    check(layer, layer, sample(1, 2, 3, length))


@pytest.mark.parametrize("kind", ["RNNCell", "LSTMCell", "GRUCell", "GRUCell, reset before"])
def test_cells(kind):
    options = {"reset_after": False} if kind == "GRUCell, reset before" else {}
    cell = getattr(nn, kind.split(",")[0])(3, 2, dtype=np.float64, **options)
    states = [sample(number, 4, 2) for number in range(2 if kind == "LSTMCell" else 1)]
    check(cell, lambda x, *states: cell(x, states if len(states) > 1 else states[0]), sample(5, 4, 3), *states)


@pytest.mark.parametrize("lengths", [[3, 1, 0], [1, 1, 1]])
def test_additive_attention(lengths):
    layer = nn.BahdanauAttention(3, 4, 5, dtype=np.float64)
    arrays, lengths = (sample(1, 3, 3), sample(2, 3, max(lengths), 4)), numbanet.tensor(lengths)
    check(layer, lambda query, memory: layer(query, memory, lengths=lengths), *arrays)


def test_embedding_with_padding():
    """The padding's row has no gradient, whatever it is."""
    layer = nn.Embedding(5, 3, padding_idx=2, dtype=np.float64)
    tokens = numbanet.tensor(np.array([[2, 0, 4], [1, 2, 4]]))
    shown = numbanet.tensor((tokens.numpy() != 2)[:, :, None].astype(np.float64))
    check(layer, lambda: layer(tokens) * shown)
    layer(tokens).sum().backward()
    np.testing.assert_array_equal(layer.weight.grad.numpy()[:, 0], [1, 1, 0, 0, 2])


@pytest.mark.parametrize("lengths", [[4, 1, 3], [1, 1, 1]])
@pytest.mark.parametrize("kind", ["RNN", "LSTM", "GRU", "GRU, reset before"])
def test_recurrent_layers(kind, lengths):
    options = {"reset_after": False} if kind == "GRU, reset before" else {}
    layer = getattr(nn, kind.split(",")[0])(3, 2, num_layers=2, bidirectional=True, dtype=np.float64, **options)

    def run(x):
        outputs, states = layer(x, None, lengths)
        return (outputs, *(states if isinstance(states, tuple) else (states,)))

    check(layer, run, sample(1, max(lengths), 3, 3))


# --- rows that see nothing -------------------------------------------------------------------------------------------
def float32(seed, *shape):
    return numbanet.tensor(sample(seed, *shape).astype(np.float32)).requires_grad_()


def test_a_query_that_sees_no_key_is_exactly_zero(backend):
    query, key, value = (float32(seed, 2, 2, 5, 4) for seed in range(3))
    mask = np.ones((2, 1, 5, 5), bool)
    mask[0, 0, 2] = mask[1] = False
    out = F.scaled_dot_product_attention(query, key, value, attn_mask=numbanet.tensor(mask))
    out.square().sum().backward()
    for array in (out.detach().numpy(), query.grad.numpy()):
        assert not array[0, :, 2].any()
        assert array[0, :, 3].all()
    for array in (out.detach().numpy(), query.grad.numpy(), key.grad.numpy(), value.grad.numpy()):
        assert not array[1].any()
        assert array[0].any()


@pytest.mark.parametrize("need_weights", [False, True])
def test_a_text_of_padding_alone_gives_exactly_zero(backend, need_weights):
    """But for the bias of the output, which is 0 at the start."""
    layer = nn.MultiheadAttention(4, 2, batch_first=True)
    query, memory = float32(1, 2, 3, 4), float32(2, 2, 5, 4)
    hidden = numbanet.tensor(np.array([[True] * 5, [False] * 5]))
    out, _ = layer(query, memory, memory, key_padding_mask=hidden, need_weights=need_weights)
    out.square().sum().backward()
    for array in (out.detach().numpy(), query.grad.numpy(), memory.grad.numpy()):
        assert not array[0].any()
        assert array[1].any()


def test_dot_attention_is_a_scale_of_one(backend):
    """softmax(q·k) v (LECTURE row L34)."""
    query, key, value = (sample(seed, 1, 3, 4).astype(np.float32) for seed in range(3))
    shares = np.exp(query @ key.transpose(0, 2, 1))
    expected = shares / shares.sum(-1, keepdims=True) @ value
    found = F.scaled_dot_product_attention(*map(numbanet.tensor, (query, key, value)), scale=1.0)
    np.testing.assert_allclose(found.numpy(), expected, rtol=1e-5, atol=1e-6)
