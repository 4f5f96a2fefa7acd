"""Recurrent layers: what they refuse, lengths and padding, steps one by one, the lecture's GRU, plans of one size."""

from __future__ import annotations

import numpy as np
import pytest

import numbanet
from numbanet import nn
from numbanet.kernels.backend import load_backend
from numbanet.nn.utils.rnn import PackedSequence, pack_padded_sequence, pad_packed_sequence, pad_sequence
from numbanet.ops.recurrent import Recurrent

LAYERS = {
    "RNN": lambda **options: nn.RNN(3, 5, **options),
    "RNN relu": lambda **options: nn.RNN(3, 5, nonlinearity="relu", **options),
    "LSTM": lambda **options: nn.LSTM(3, 5, **options),
    "GRU": lambda **options: nn.GRU(3, 5, **options),
    "GRU, reset before": lambda **options: nn.GRU(3, 5, reset_after=False, **options),
}
CELLS = {
    "RNN": lambda: nn.RNNCell(3, 5),
    "RNN relu": lambda: nn.RNNCell(3, 5, nonlinearity="relu"),
    "LSTM": lambda: nn.LSTMCell(3, 5),
    "GRU": lambda: nn.GRUCell(3, 5),
    "GRU, reset before": lambda: nn.GRUCell(3, 5, reset_after=False),
}


@pytest.fixture(params=LAYERS)
def name(request):
    numbanet.manual_seed(3)
    return request.param


def randn(*shape):
    return numbanet.tensor(np.random.default_rng(sum(shape)).normal(0, 1, shape).astype(np.float32))


def as_tuple(value):
    return value if isinstance(value, tuple) else (value,)


# --- lengths ---------------------------------------------------------------------------------------------------------
def test_padding_and_other_sentences_change_nothing(backend, name):
    """A sentence alone gives what it gives in a batch, whatever lies in its padding; so do its gradients."""
    layer = LAYERS[name](num_layers=2, bidirectional=True)
    x, lengths = randn(6, 4, 3), [4, 6, 1, 3]
    for number, length in enumerate(lengths):
        x.data[length:, number].fill_(1e30 if number % 2 else -1e30)
    x.requires_grad_()
    y, last = layer(x, None, lengths)
    y.square().sum().backward()
    for number, length in enumerate(lengths):
        alone = x.detach()[:length, number : number + 1].clone().requires_grad_()
        single, its_last = layer(alone)
        single.square().sum().backward()
        np.testing.assert_allclose(y.detach().numpy()[:length, number], single.detach().numpy()[:, 0], atol=1e-6)
        np.testing.assert_allclose(x.grad.numpy()[:length, number], alone.grad.numpy()[:, 0], atol=1e-6)
        for state, its in zip(as_tuple(last), as_tuple(its_last), strict=True):
            np.testing.assert_allclose(state.detach().numpy()[:, number], its.detach().numpy()[:, 0], atol=1e-6)
        assert not y.detach().numpy()[length:, number].any()
        assert not x.grad.numpy()[length:, number].any()


def test_a_packed_batch_is_a_padded_one_with_lengths(backend, name):
    layer = LAYERS[name](batch_first=True)
    x, lengths = randn(4, 6, 3), [4, 6, 1, 3]
    packed, its_last = layer(pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False))
    y, last = layer(x, lengths=lengths)
    again, its_lengths = pad_packed_sequence(packed, batch_first=True)
    assert its_lengths.tolist() == lengths
    np.testing.assert_array_equal(again.detach().numpy(), y.detach().numpy())
    for state, its in zip(as_tuple(last), as_tuple(its_last), strict=True):
        np.testing.assert_array_equal(state.detach().numpy(), its.detach().numpy())


def test_windows_that_carry_the_state_are_one_sequence(backend, name):
    layer = LAYERS[name](num_layers=2)
    x = randn(7, 2, 3)
    whole, last = layer(x)
    first, state = layer(x[:3])
    second, state = layer(x[3:], state)
    np.testing.assert_allclose(numbanet.cat([first, second]).detach().numpy(), whole.detach().numpy(), atol=1e-6)
    for one, other in zip(as_tuple(state), as_tuple(last), strict=True):
        np.testing.assert_allclose(one.detach().numpy(), other.detach().numpy(), atol=1e-6)


def test_a_cell_is_one_step(backend, name):
    layer, cell = LAYERS[name](), CELLS[name]()
    cell.load_state_dict({key.removesuffix("_l0"): value for key, value in layer.state_dict().items()})
    x, state = randn(4, 2, 3), None
    y, _ = layer(x)
    for t in range(4):
        state = cell(x[t], state)
        np.testing.assert_allclose(as_tuple(state)[0].detach().numpy(), y.detach().numpy()[t], atol=1e-6)


def test_states_as_a_list(backend):
    """``[h, c]`` as well as ``(h, c)``, in layer and cell."""
    layer, cell = nn.LSTM(3, 5), nn.LSTMCell(3, 5)
    x, states = randn(4, 2, 3), [randn(1, 2, 5), randn(1, 2, 5) * 0.5]
    np.testing.assert_array_equal(layer(x, states)[0].detach().numpy(), layer(x, tuple(states))[0].detach().numpy())
    states = [one[0] for one in states]
    np.testing.assert_array_equal(cell(x[0], states)[1].detach().numpy(), cell(x[0], tuple(states))[1].detach().numpy())


# --- settings --------------------------------------------------------------------------------------------------------
def test_dropout_is_between_layers_and_only_in_training():
    numbanet.manual_seed(1)
    layer, x = nn.LSTM(3, 64, num_layers=2, dropout=0.5), randn(4, 2, 3)
    quiet = layer.eval()(x)[0].detach().numpy()
    np.testing.assert_array_equal(layer(x)[0].detach().numpy(), quiet)
    layer.train()
    noisy = layer(x)[0].detach().numpy()
    assert (noisy != quiet).any()
    assert (noisy != 0).all()  # the last layer's outputs are not dropped
    with pytest.warns(UserWarning, match="num_layers greater than 1"):
        nn.GRU(3, 4, dropout=0.5)


def test_forget_bias():
    numbanet.manual_seed(1)
    plain = nn.LSTM(2, 3).bias_ih_l0.detach().numpy()
    numbanet.manual_seed(1)
    with_bias = nn.LSTM(2, 3, forget_bias=1.0).bias_ih_l0.detach().numpy()
    np.testing.assert_allclose(with_bias - plain, [0] * 3 + [1] * 3 + [0] * 6, atol=1e-6)
    with pytest.raises(ValueError, match="bias=True"):
        nn.LSTM(2, 3, bias=False, forget_bias=1.0)


@pytest.mark.parametrize("kind", [nn.GRU, nn.GRUCell])
def test_the_two_forms_of_a_gru_refuse_each_others_weights(kind):
    forms = [kind(2, 3, reset_after=form) for form in (True, False)]
    for ours, theirs in (forms, forms[::-1]):
        with pytest.raises(RuntimeError, match=f"Build it with reset_after={theirs.reset_after}"):
            ours.load_state_dict(theirs.state_dict())
    assert "reset_after=False" in repr(nn.GRU(2, 3, reset_after=False))


# --- what is refused -------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("arguments", "options", "error", "words"),
    [
        (("3", 4), {}, TypeError, "input_size should be of type int"),
        ((3, 0), {}, ValueError, "hidden_size must be greater than zero"),
        ((3, 4), {"num_layers": 0}, ValueError, "num_layers must be greater than zero"),
        ((3, 4), {"dropout": 1.5}, ValueError, "dropout should be a number"),
        ((3, 4), {"batch_first": 1}, TypeError, "batch_first should be of type bool"),
        ((3, 4), {"proj_size": 2}, NotImplementedError, "proj_size"),
    ],
)
def test_wrong_settings(arguments, options, error, words):
    with pytest.raises(error, match=words):
        nn.LSTM(*arguments, **options)


def test_wrong_nonlinearity():
    with pytest.raises(ValueError, match="Select from 'tanh' or 'relu'"):
        nn.RNN(3, 4, nonlinearity="gelu")


@pytest.mark.parametrize(
    ("inputs", "error", "words"),
    [
        (lambda: (randn(2, 2, 2, 3),), ValueError, "Expected input to be 2D or 3D, got 4D"),
        (lambda: (randn(2, 2, 4),), RuntimeError, "Expected 3, got 4"),
        (lambda: (randn(0, 2, 3),), RuntimeError, "larger than 0"),
        (lambda: (randn(2, 2, 3), (randn(1, 3, 4), randn(1, 2, 4))), RuntimeError, "Expected hidden"),
        (lambda: (randn(2, 2, 3), (randn(2, 4), randn(2, 4))), RuntimeError, "should also be 3-D"),
        (lambda: (randn(2, 2, 3), randn(1, 2, 4)), RuntimeError, "a pair"),
        (lambda: (randn(2, 2, 3).to(np.float64),), ValueError, "does not match weight dtype"),
        (lambda: (randn(2, 2, 3), None, [1, 0]), RuntimeError, "greater than 0"),
        (lambda: (randn(2, 2, 3), None, [1, 3]), RuntimeError, "the length 3 of sequence 1 is beyond the 2 steps"),
        (lambda: (randn(2, 2, 3), None, [1]), RuntimeError, "got 1 \\(batch_size=2\\)"),
        (lambda: (randn(2, 2, 3), None, [1.5, 1.0]), RuntimeError, "whole numbers"),
        (lambda: (pack_padded_sequence(randn(2, 2, 3), [2, 1]), None, [2, 1]), ValueError, "knows its lengths"),
    ],
)
def test_wrong_inputs(inputs, error, words):
    with pytest.raises(error, match=words):
        nn.LSTM(3, 4)(*inputs())


def test_packing_refuses():
    with pytest.raises(RuntimeError, match="sorted in decreasing order"):
        pack_padded_sequence(randn(3, 2, 1), [1, 3])
    packed = pack_padded_sequence(randn(3, 2, 1), [3, 1])
    with pytest.raises(ValueError, match="total_length=2 and max sequence length being 3"):
        pad_packed_sequence(packed, total_length=2)
    with pytest.raises(ValueError, match="'left' or 'right'"):
        pad_sequence([randn(3, 2)], padding_side="top")
    with pytest.raises(RuntimeError, match="at least one"):
        pad_sequence([])
    assert isinstance(packed, PackedSequence)


# --- plans -----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("mode", ["rnn_tanh", "lstm", "gru", "gru_reset_before"])
def test_a_program_does_not_grow_with_the_sequence(mode):
    """One op a layer, and as many rows for 300 steps as for 20."""
    pytest.importorskip("numba")
    cpu = load_backend("cpu")
    counts = []
    for steps in (100, 300):  # both more rows than the product has columns, for which it has one form
        layer = {"rnn_tanh": nn.RNN, "lstm": nn.LSTM}.get(mode, nn.GRU)
        layer = layer(20, 30, **({"reset_after": False} if mode == "gru_reset_before" else {}))
        ran, program = [], cpu.program()
        before = numbanet.autograd.set_recorder(lambda op, inputs, outs, ran=ran: ran.append((op, inputs, outs)))
        try:
            layer(randn(steps, 9, 20))
        finally:
            numbanet.autograd.set_recorder(before)
        op, inputs, outs = next(one for one in ran if isinstance(one[0], Recurrent))
        op.forward(program, tuple(out._array for out in outs), *[one._array for one in inputs])
        counts.append((len(ran), program.nodes))
    assert counts[0] == counts[1]
