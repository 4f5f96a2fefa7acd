"""Embedding: what it starts as, what learns, what it says to wrong arguments."""

from __future__ import annotations

import numpy as np
import pytest

import numbanet as nb
from numbanet import nn
from numbanet.nn import functional as F


def test_lookup_and_gradient(backend):
    layer = nn.Embedding(5, 3, padding_idx=-2)
    assert layer.padding_idx == 3
    weight = layer.weight.detach().numpy()
    assert (weight[3] == 0).all()
    assert (weight[[0, 1, 2, 4]] != 0).all()
    numbers = np.array([[0, 3, 0], [4, 0, 3]])
    out = layer(nb.tensor(numbers))
    np.testing.assert_array_equal(out.detach().numpy(), weight[numbers])
    out.sum().backward()
    np.testing.assert_array_equal(layer.weight.grad.numpy(), np.array([[3.0], [0], [0], [0], [1]]) * np.ones(3))
    assert list(layer.state_dict()) == ["weight"]
    assert repr(layer) == "Embedding(5, 3, padding_idx=3)"


def test_starts_as_standard_normal(backend):
    nb.manual_seed(3)
    weight = nn.Embedding(1000, 30).weight.detach().numpy()
    assert abs(weight.mean()) < 0.03
    assert abs(weight.std() - 1) < 0.03


def test_int32_numbers(backend):
    weight = nb.tensor([[1.0], [2.0]])
    assert F.embedding(nb.tensor(np.array([1, 0], np.int32)), weight).numpy().tolist() == [[2], [1]]


def test_from_pretrained(backend):
    weight = nb.tensor([[1.0, 2], [3, 4]])
    layer = nn.Embedding.from_pretrained(weight)
    assert not layer.weight.requires_grad
    assert layer(nb.tensor(np.array([1]))).numpy().tolist() == [[3, 4]]
    assert nn.Embedding.from_pretrained(weight, freeze=False).weight.requires_grad
    with pytest.raises(ValueError, match="expected to be 2-dimensional"):
        nn.Embedding.from_pretrained(nb.tensor([1.0]))


@pytest.mark.parametrize("wrong", [5, -1])
def test_number_out_of_range(backend, wrong):
    layer = nn.Embedding(5, 3)
    message = rf"index {wrong} at position \(1, 0\) is out of range: the embedding has 5 rows, 0 to 4"
    with pytest.raises(IndexError, match=message):
        layer(nb.tensor(np.array([[0, 4], [wrong, 9]])))


def test_indexing_out_of_range(backend):
    x = nb.tensor(np.ones((5, 3), np.float32))
    with pytest.raises(IndexError, match="index -6 is out of bounds for axis 0 with size 5"):
        x[nb.tensor(np.array([1, -6]))]


def test_wrong_arguments(backend):
    with pytest.raises(ValueError, match="Padding_idx must be within num_embeddings"):
        nn.Embedding(5, 3, padding_idx=5)
    with pytest.raises(RuntimeError, match="int64 indices, got float32"):
        nn.Embedding(5, 3)(nb.tensor([1.0]))
    for name, value in (("max_norm", 1.0), ("scale_grad_by_freq", True), ("sparse", True)):
        with pytest.raises(NotImplementedError, match=f"{name} is not supported"):
            nn.Embedding(5, 3, **{name: value})


def test_second_derivative_leaves_the_padding_out(backend):
    """The gradient's gradient is the lookup of what comes in, but 0 where the padding stands."""
    weight = nb.tensor(np.ones((3, 2)), requires_grad=True)
    numbers = nb.tensor(np.array([0, 1, 1]))
    cotangent = nb.tensor(np.ones((3, 2)), requires_grad=True)
    (grad,) = nb.autograd.grad(F.embedding(numbers, weight, 1), weight, cotangent, create_graph=True)
    (second,) = nb.autograd.grad((grad * 5).sum(), cotangent)
    assert second.numpy().tolist() == [[5, 5], [0, 0], [0, 0]]
