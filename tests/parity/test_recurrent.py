"""Recurrent layers and cells against PyTorch's: the same state, outputs, last states and gradients."""

from __future__ import annotations

import numpy as np
import pytest

import numbanet
from numbanet import nn
from numbanet.nn.utils import rnn as utils

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch

LAYERS = [
    ("RNN", {}),
    ("RNN", {"nonlinearity": "relu", "bias": False, "batch_first": True}),
    ("RNN", {"num_layers": 2, "bidirectional": True}),
    ("LSTM", {}),
    ("LSTM", {"num_layers": 2, "bidirectional": True, "batch_first": True}),
    ("LSTM", {"num_layers": 3, "bias": False}),
    ("GRU", {}),
    ("GRU", {"num_layers": 2, "bidirectional": True}),
    ("GRU", {"batch_first": True, "bias": False}),
]
BATCH, STEPS, FEATURES, HIDDEN = 6, 5, 4, 7
LENGTHS = [3, 5, 1, 4, 5, 2]


def assert_close(ours, theirs) -> None:
    np.testing.assert_allclose(ours.detach().numpy(), theirs.detach().numpy(), rtol=1e-5, atol=2e-6)


def as_tuple(value) -> tuple:
    return value if isinstance(value, tuple) else (value,)


def twins(name: str, *arguments: int, **options):
    """A layer of ours and PyTorch's with the same weights."""
    ours, theirs = getattr(nn, name)(*arguments, **options), getattr(torch.nn, name)(*arguments, **options)
    assert repr(ours) == repr(theirs)
    assert list(ours.state_dict()) == list(theirs.state_dict())
    ours.load_state_dict({key: value.numpy() for key, value in theirs.state_dict().items()})
    return ours, theirs


def random(*shape: int) -> tuple:
    """The same leaf for both."""
    array = np.random.default_rng(sum(shape)).normal(0, 1, shape).astype(np.float32)
    return numbanet.tensor(array).requires_grad_(), torch.tensor(array, requires_grad=True)


def assert_same(ours: tuple, theirs: tuple, leaves: list, layers: tuple) -> None:
    """Results, and the gradients of all leaves and parameters for a weighted sum of the results."""
    totals = [0, 0]
    for mine, other in zip(ours, theirs, strict=True):
        assert_close(mine, other)
        weights = np.cos(np.arange(mine.detach().numpy().size)).reshape(mine.shape).astype(np.float32)
        totals[0] = totals[0] + (mine * numbanet.tensor(weights)).sum()
        totals[1] = totals[1] + (other * torch.tensor(weights)).sum()
    for total in totals:
        total.backward()
    for mine, other in leaves:
        assert_close(mine.grad, other.grad)
    for mine, other in zip(*(layer.parameters() for layer in layers), strict=True):
        assert_close(mine.grad, other.grad)


def states(name: str, options: dict, batch: int) -> list:
    """Pairs of leaves: h_0, and c_0 for an LSTM."""
    count = options.get("num_layers", 1) * (2 if options.get("bidirectional") else 1)
    return [random(count, batch, HIDDEN), random(count, batch, HIDDEN)][: 2 if name == "LSTM" else 1]


def sides(pairs: list) -> tuple:
    """The states of each side as a layer takes them."""
    both = tuple(tuple(pair[side] for pair in pairs) for side in (0, 1))
    return both if len(pairs) == 2 else (both[0][0], both[1][0])


@pytest.mark.parametrize("given", [False, True], ids=["zeros", "states"])
@pytest.mark.parametrize(("name", "options"), LAYERS, ids=str)
def test_layer(name: str, options: dict, given: bool) -> None:
    layers = twins(name, FEATURES, HIDDEN, **options)
    x = random(*((BATCH, STEPS) if options.get("batch_first") else (STEPS, BATCH)), FEATURES)
    pairs = states(name, options, BATCH) if given else []
    hx = sides(pairs) if given else (None, None)
    results = [layer(one, state) for layer, one, state in zip(layers, x, hx, strict=True)]
    assert_same(*[(y, *as_tuple(last)) for y, last in results], [x, *pairs], layers)


@pytest.mark.parametrize("how", ["packed", "lengths"])
@pytest.mark.parametrize(("name", "options"), LAYERS, ids=str)
def test_lengths(name: str, options: dict, how: str) -> None:
    """A packed batch, and ours with lengths against PyTorch's packed one."""
    layers = twins(name, FEATURES, HIDDEN, **options)
    first = options.get("batch_first", False)
    x = random(*((BATCH, STEPS) if first else (STEPS, BATCH)), FEATURES)
    pairs = states(name, options, BATCH)
    hx = sides(pairs)
    theirs = torch.nn.utils.rnn
    packed = theirs.pack_padded_sequence(x[1], torch.tensor(LENGTHS), first, enforce_sorted=False)
    y, last = layers[1](packed, hx[1])
    expected = (theirs.pad_packed_sequence(y, first)[0], *as_tuple(last))
    if how == "packed":
        mine = utils.pack_padded_sequence(x[0], LENGTHS, first, enforce_sorted=False)
        assert_close(mine.data, packed.data)
        assert mine.batch_sizes.tolist() == packed.batch_sizes.tolist()
        assert mine.sorted_indices.tolist() == packed.sorted_indices.tolist()
        y, last = layers[0](mine, hx[0])
        out, lengths = utils.pad_packed_sequence(y, first)
        assert lengths.tolist() == LENGTHS
    else:
        out, last = layers[0](x[0], hx[0], LENGTHS)
    assert_same((out, *as_tuple(last)), expected, [x, *pairs], layers)


@pytest.mark.parametrize(
    ("name", "options"),
    [("RNNCell", {}), ("RNNCell", {"nonlinearity": "relu"}), ("LSTMCell", {"bias": False}), ("GRUCell", {})],
    ids=str,
)
@pytest.mark.parametrize("batch", [None, 1, 5])
def test_cell(name: str, options: dict, batch: int | None) -> None:
    layers = twins(name, FEATURES, HIDDEN, **options)
    lead = () if batch is None else (batch,)
    x = random(*lead, FEATURES)
    pairs = [random(*lead, HIDDEN) for _ in range(2 if name == "LSTMCell" else 1)]
    for hx, leaves in (((None, None), [x]), (sides(pairs), [x, *pairs])):
        results = [as_tuple(layer(one, state)) for layer, one, state in zip(layers, x, hx, strict=True)]
        for layer in layers:
            layer.zero_grad()
        for leaf in (leaf for pair in leaves for leaf in pair):
            leaf.grad = None
        assert_same(*results, leaves, layers)


def test_one_sequence_without_a_batch() -> None:
    for name in ("RNN", "LSTM", "GRU"):
        layers = twins(name, FEATURES, HIDDEN, num_layers=2)
        x, pairs = random(STEPS, FEATURES), [random(2, HIDDEN)] * (2 if name == "LSTM" else 1)
        results = [layer(one, state) for layer, one, state in zip(layers, x, sides(pairs), strict=True)]
        assert_same(*[(y, *as_tuple(last)) for y, last in results], [x], layers)


def test_padding_and_unpadding() -> None:
    theirs = torch.nn.utils.rnn
    arrays = [np.random.default_rng(n).normal(0, 1, (n, 2)).astype(np.float32) for n in (3, 5, 1)]
    mine, others = [numbanet.tensor(one) for one in arrays], [torch.tensor(one) for one in arrays]
    for first in (False, True):
        for side in ("left", "right"):
            assert_close(utils.pad_sequence(mine, first, -1.0, side), theirs.pad_sequence(others, first, -1.0, side))
        padded = utils.pad_sequence(mine, first)
        for one, other in zip(utils.unpad_sequence(padded, numbanet.tensor([3, 5, 1]), first), others, strict=True):
            assert_close(one, other)
    packed, expected = utils.pack_sequence(mine, False), theirs.pack_sequence(others, False)
    assert_close(packed.data, expected.data)
    for one, other in zip(utils.unpack_sequence(packed), theirs.unpack_sequence(expected), strict=True):
        assert_close(one, other)
    ours = utils.pad_packed_sequence(packed, True, 9.0, 7)
    for one, other in zip(ours, theirs.pad_packed_sequence(expected, True, 9.0, 7), strict=True):
        assert_close(one, other)
