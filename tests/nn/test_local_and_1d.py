"""Locally connected layers, and layers of sequences, which are those of pictures of height 1."""

from __future__ import annotations

import numpy as np
import pytest

import numbanet as nb
from numbanet import nn
from numbanet.nn import functional as F


def data(*shape):
    return np.random.default_rng(3).normal(size=shape).astype(np.float32)


@pytest.mark.parametrize(("stride", "padding"), [(1, 0), ((2, 1), (1, 2))])
def test_tied_weights_make_a_convolution(backend, stride, padding):
    """LECTURE rows L2 and L3: a convolution is a locally connected layer whose weights are the same everywhere."""
    conv, local = nn.Conv2d(3, 5, (3, 2), stride, padding), nn.LocallyConnected2d(3, 5, (7, 6), (3, 2), stride, padding)
    positions = local.output_size[0] * local.output_size[1]
    with nb.no_grad():
        tied = conv.weight.reshape(5, -1).T.unsqueeze(0).expand(positions, -1, -1)
        local.weight.copy_(tied)
        local.bias.copy_(conv.bias.reshape(5, 1, 1).expand(local.bias.shape))
    x = nb.tensor(data(4, 3, 7, 6))
    np.testing.assert_allclose(local(x).detach().numpy(), conv(x).detach().numpy(), rtol=1e-4, atol=1e-5)
    cotangent = nb.tensor(data(*local(x).shape))
    (local(x) * cotangent).sum().backward()
    (conv(x) * cotangent).sum().backward()
    summed = local.weight.grad.sum(0).numpy().T.reshape(conv.weight.shape)
    np.testing.assert_allclose(summed, conv.weight.grad.numpy(), rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(local.bias.grad.sum((1, 2)).numpy(), conv.bias.grad.numpy(), rtol=1e-3, atol=1e-4)


def test_locally_connected_parameters():
    layer = nn.LocallyConnected2d(2, 6, 8, 3, 2, 1)
    shapes = {name: value.shape for name, value in layer.state_dict().items()}
    assert shapes == {"weight": (16, 18, 6), "bias": (6, 4, 4)}
    bound = 18**-0.5
    assert 0.95 * bound < np.abs(layer.weight.detach().numpy()).max() <= bound
    bare = nn.LocallyConnected2d(2, 6, 8, 3, bias=False)
    assert list(bare.state_dict()) == ["weight"]
    assert bare(nb.tensor(data(2, 8, 8))).shape == (6, 6, 6)
    assert repr(layer) == (
        "LocallyConnected2d(2, 6, input_size=(8, 8), kernel_size=(3, 3), stride=(2, 2), padding=(1, 1))"
    )


@pytest.mark.parametrize(
    ("make", "error", "message"),
    [
        (lambda: nn.LocallyConnected2d(1, 1, 2, 3), ValueError, "does not fit into a picture"),
        (lambda: nn.LocallyConnected2d(1, 1, 4, 3, 0), ValueError, "stride must be positive"),
        (lambda: nn.LocallyConnected2d(0, 1, 4, 3), ValueError, "positive integers"),
        (lambda: nn.LocallyConnected2d(1, 1, 4, 3, padding=-1), ValueError, "must not be negative"),
        (lambda: nn.LocallyConnected2d(1, 1, 4, 3)(nb.zeros(1, 1, 5, 4)), RuntimeError, "is for pictures"),
        (lambda: F.locally_connected2d(nb.zeros(1, 1, 4, 4), nb.zeros(3, 9, 2), None, 3), RuntimeError, "does not fit"),
        (
            lambda: F.locally_connected2d(nb.zeros(1, 1, 4, 4), nb.zeros(4, 9, 2), nb.zeros(2), 3),
            RuntimeError,
            "expected bias of shape",
        ),
        (lambda: nn.Conv1d(2, 2, (3, 3)), ValueError, "kernel_size must be an int"),
        (lambda: nn.Conv1d(2, 2, 3, 2, "same"), ValueError, "not supported for strided"),
        (lambda: F.conv1d(nb.zeros(1, 2, 3, 4), nb.zeros(2, 2, 3)), RuntimeError, r"\(n, c, length\)"),
        (lambda: F.max_pool1d(nb.zeros(1, 2, 3), (1, 2)), ValueError, "kernel_size should be an int"),
    ],
)
def test_wrong_settings(make, error, message):
    with pytest.raises(error, match=message):
        make()


@pytest.mark.parametrize("padding", [0, 2, "valid", "same"])
@pytest.mark.parametrize("kernel", [3, 4])
def test_conv1d_is_a_convolution_of_height_1(backend, kernel, padding):
    layer = nn.Conv1d(4, 6, kernel, padding=padding, dilation=2, groups=2)
    x = nb.tensor(data(3, 4, 13))
    wide = (0, padding) if isinstance(padding, int) else padding
    twin = nn.Conv2d(4, 6, (1, kernel), padding=wide, dilation=(1, 2), groups=2)
    twin.load_state_dict({"weight": layer.weight.unsqueeze(2), "bias": layer.bias})
    np.testing.assert_array_equal(layer(x).detach().numpy(), twin(x.unsqueeze(2)).detach().numpy()[:, :, 0])
    assert layer.weight.shape == (6, 2, kernel)


def test_pools_of_sequences(backend):
    x = data(2, 3, 12)
    t, parts = nb.tensor(x), x.reshape(2, 3, 4, 3)
    np.testing.assert_array_equal(nn.MaxPool1d(3)(t).numpy(), parts.max(3))
    np.testing.assert_allclose(nn.AvgPool1d(3)(t).numpy(), parts.mean(3), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(nn.AdaptiveAvgPool1d(4)(t).numpy(), parts.mean(3), rtol=1e-5, atol=1e-6)
    values, indices = nn.MaxPool1d(3, return_indices=True)(t)
    np.testing.assert_array_equal(np.take_along_axis(x, indices.numpy(), 2), values.numpy())
    values, indices = nn.AdaptiveMaxPool1d(4, return_indices=True)(t)
    np.testing.assert_array_equal(indices.numpy(), parts.argmax(3) + np.arange(0, 12, 3))
    values, indices = nn.AdaptiveMaxPool2d((1, 4), return_indices=True)(t.unsqueeze(2))
    np.testing.assert_array_equal(values.numpy()[:, :, 0], parts.max(3))
    assert nn.MaxPool1d(2, 1, 1)(t[0]).shape == (3, 13)
