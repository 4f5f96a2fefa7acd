"""Layers: what they compute against NumPy, and what they say to wrong arguments."""

from __future__ import annotations

import math

import numpy as np
import pytest

import numbanet as nb
from numbanet import nn

RANDOM = np.random.default_rng(5)


def data(*shape):
    return RANDOM.normal(size=shape).astype(np.float32)


def naive_conv2d(x, weight, bias, stride, padding, dilation, groups, mode="constant"):
    """The definition, output pixel by output pixel, in float64. padding: (top, bottom, left, right)."""
    x, weight = x.astype(np.float64), weight.astype(np.float64)
    x = np.pad(x, ((0, 0), (0, 0), padding[:2], padding[2:]), mode=mode)
    n, _, h, w = x.shape
    o, cg, kh, kw = weight.shape
    oh = (h - dilation[0] * (kh - 1) - 1) // stride[0] + 1
    ow = (w - dilation[1] * (kw - 1) - 1) // stride[1] + 1
    out = np.zeros((n, o, oh, ow))
    for channel in range(o):
        group = channel // (o // groups)
        part = x[:, group * cg : (group + 1) * cg]
        for i in range(oh):
            for j in range(ow):
                top, left = i * stride[0], j * stride[1]
                rows = slice(top, top + dilation[0] * (kh - 1) + 1, dilation[0])
                columns = slice(left, left + dilation[1] * (kw - 1) + 1, dilation[1])
                out[:, channel, i, j] = (part[:, :, rows, columns] * weight[channel]).sum(axis=(1, 2, 3))
    return out if bias is None else out + bias.astype(np.float64)[:, None, None]


CONVOLUTIONS = [
    ((3, 4, 3), {}, (0, 0, 0, 0)),
    ((3, 4, (2, 3)), {"stride": (2, 1), "padding": (1, 2)}, (1, 1, 2, 2)),
    ((4, 6, 3), {"groups": 2, "dilation": 2, "padding": 1}, (1, 1, 1, 1)),
    ((4, 4, 3), {"groups": 4, "bias": False, "stride": 3}, (0, 0, 0, 0)),
    ((2, 3, 5), {"padding": "same"}, (2, 2, 2, 2)),
    ((2, 3, (2, 4)), {"padding": "same", "dilation": (1, 3)}, (0, 1, 4, 5)),
    ((2, 3, 3), {"padding": "valid"}, (0, 0, 0, 0)),
    ((1, 1, 1), {}, (0, 0, 0, 0)),
    ((3, 4, 3), {"padding": 1, "padding_mode": "reflect", "stride": 2}, (1, 1, 1, 1)),
    ((3, 4, (3, 5)), {"padding": (1, 2), "padding_mode": "circular"}, (1, 1, 2, 2)),
    ((2, 3, (2, 4)), {"padding": "same", "padding_mode": "replicate"}, (0, 1, 1, 2)),
    ((2, 3, 3), {"padding": "valid", "padding_mode": "circular"}, (0, 0, 0, 0)),
]


@pytest.mark.parametrize(("arguments", "options", "padding"), CONVOLUTIONS, ids=str)
def test_conv2d(backend, arguments, options, padding):
    layer = nn.Conv2d(*arguments, **options)
    x = data(2, arguments[0], 11, 13)
    bias = None if layer.bias is None else layer.bias.detach().numpy()
    weight = layer.weight.detach().numpy()
    mode = {"zeros": "constant", "replicate": "edge", "circular": "wrap"}.get(layer.padding_mode, layer.padding_mode)
    expected = naive_conv2d(x, weight, bias, layer.stride, padding, layer.dilation, layer.groups, mode)
    out = layer(nb.tensor(x))
    assert out.shape == expected.shape
    np.testing.assert_allclose(out.detach().numpy(), expected, rtol=1e-4, atol=1e-5)
    if options.get("padding") == "same":
        assert out.shape[2:] == (11, 13)
    out.sum().backward()
    assert layer.weight.grad.shape == layer.weight.shape


@pytest.mark.parametrize("bias", [True, False])
@pytest.mark.parametrize("lead", [(4,), (2, 3), ()], ids=str)
def test_linear(backend, bias, lead):
    layer = nn.Linear(5, 7, bias=bias)
    x = data(*lead, 5)
    expected = x @ layer.weight.detach().numpy().T + (layer.bias.detach().numpy() if bias else 0)
    np.testing.assert_allclose(layer(nb.tensor(x)).detach().numpy(), expected, rtol=1e-5, atol=1e-6)
    with pytest.raises(RuntimeError, match="does not fit a weight"):
        layer(nb.ones(2, 6))


@pytest.mark.parametrize("make", [lambda: nn.Linear(30, 40), lambda: nn.Conv2d(6, 20, 3, groups=2)])
def test_default_initialisation_is_pytorchs(make):
    nb.manual_seed(3)
    layer = make()
    bound = 1 / math.sqrt(np.prod(layer.weight.shape[1:]))
    weight = layer.weight.detach().numpy()
    assert 0.98 * bound < np.abs(weight).max() <= bound
    assert weight.std() == pytest.approx(bound / math.sqrt(3), rel=0.1)
    assert 0.5 * bound < np.abs(layer.bias.detach().numpy()).max() <= bound
    before = weight.copy()
    layer.reset_parameters()
    assert not np.array_equal(layer.weight.detach().numpy(), before)


def test_layers_in_double_precision():
    assert nn.Linear(2, 3, dtype=nb.float64).bias.dtype == nb.float64
    assert nn.Conv2d(2, 3, 1, dtype=nb.float64).weight.dtype == nb.float64


def windows(x, size):
    n, c, h, w = x.shape
    return x.reshape(n, c, h // size, size, w // size, size)


def test_pooling(backend):
    x = data(2, 3, 8, 6)
    t = nb.tensor(x)
    np.testing.assert_array_equal(nn.MaxPool2d(2)(t).numpy(), windows(x, 2).max(axis=(3, 5)))
    np.testing.assert_allclose(nn.AvgPool2d(2)(t).numpy(), windows(x, 2).mean(axis=(3, 5)), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        nn.AdaptiveAvgPool2d(1)(t).numpy(), x.mean(axis=(2, 3), keepdims=True), rtol=1e-4, atol=1e-6
    )
    assert nn.AdaptiveAvgPool2d((None, 4))(t).shape == (2, 3, 8, 4)
    assert nn.MaxPool2d(3, stride=2, padding=1)(t).shape == (2, 3, 4, 3)
    assert nn.MaxPool2d(3, ceil_mode=True)(t).shape == (2, 3, 3, 2)
    assert nn.MaxPool2d((2, 1), dilation=2)(t).shape == (2, 3, 3, 6)
    corner = nn.AvgPool2d(2, stride=2, padding=1, count_include_pad=False)(t).numpy()[:, :, 0, 0]
    np.testing.assert_allclose(corner, x[:, :, 0, 0], rtol=1e-6)
    corner = nn.AvgPool2d(2, stride=2, padding=1)(t).numpy()[:, :, 0, 0]
    np.testing.assert_allclose(corner, x[:, :, 0, 0] / 4, rtol=1e-6)


def test_activations(backend):
    x = data(4, 5)
    t = nb.tensor(x)
    exponentials = np.exp(x.astype(np.float64))
    shares = exponentials / exponentials.sum(axis=1, keepdims=True)
    expected = {
        nn.ReLU(): np.maximum(x, 0),
        nn.Sigmoid(): 1 / (1 + np.exp(-x)),
        nn.Tanh(): np.tanh(x),
        nn.Softmax(dim=1): shares,
        nn.LogSoftmax(dim=-1): np.log(shares),
        nn.Softmax(dim=0): exponentials / exponentials.sum(axis=0),
        nn.Identity(1, x=2): x,
    }
    for layer, values in expected.items():
        np.testing.assert_allclose(layer(t).numpy(), values, rtol=1e-5, atol=1e-6)
    for layer in (nn.Softmax(), nn.LogSoftmax()):
        with pytest.raises(ValueError, match=r"needs the axis along which .*\(dim=1\) for input of shape \(4, 5\)"):
            layer(t)
    changed = nb.tensor(x)
    assert nn.ReLU(inplace=True)(changed) is changed
    np.testing.assert_array_equal(changed.numpy(), np.maximum(x, 0))


def test_flatten_and_unflatten():
    t = nb.tensor(data(2, 3, 4, 5))
    assert nn.Flatten()(t).shape == (2, 60)
    assert nn.Flatten(0, 1)(t).shape == (6, 4, 5)
    assert nn.Unflatten(1, (3, -1))(nn.Flatten()(t)).shape == (2, 3, 20)
    assert nn.Unflatten(-1, (5, 1))(t).shape == (2, 3, 4, 5, 1)
    np.testing.assert_array_equal(nn.Unflatten(1, (3, 4, 5))(nn.Flatten()(t)).numpy(), t.numpy())
    with pytest.raises(TypeError, match="unflattened_size must be a tuple of ints"):
        nn.Unflatten(1, 3)
    with pytest.raises(IndexError, match=r"Dimension out of range \(expected to be in range of \[-4, 3\], but got 4\)"):
        nn.Unflatten(4, (1, 1))(t)


def test_dropout():
    nb.manual_seed(0)
    layer, x = nn.Dropout(0.25), nb.ones(400, 100)
    values = layer(x).numpy()
    assert set(np.unique(values)) == {np.float32(0), np.float32(1 / 0.75)}
    assert (values == 0).mean() == pytest.approx(0.25, abs=0.01)
    assert layer.eval()(x) is x
    for p in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match=f"dropout probability has to be between 0 and 1, but got {p}"):
            nn.Dropout(p)


def test_forms_of_dropout():
    nb.manual_seed(0)
    layer, x = nn.Dropout(0.25, classic=True), nb.ones(400, 100)
    values = layer(x).numpy()
    assert set(np.unique(values)) == {0, 1}
    assert (values == 0).mean() == pytest.approx(0.25, abs=0.01)
    assert (layer.eval()(x).numpy() == 0.75).all()
    assert repr(layer) == "Dropout(p=0.25, inplace=False, classic=True)"
    for kind, shape in ((nn.Dropout1d, (9, 8, 5)), (nn.Dropout2d, (9, 8, 5, 1)), (nn.Dropout3d, (9, 8, 1, 5, 1))):
        layer, x = kind(0.5), nb.ones(*shape)
        channels = layer(x).numpy().reshape(72, 5)
        assert (channels == channels[:, :1]).all()
        assert set(np.unique(channels)) == {0, 2}
        assert layer.eval()(x) is x
        assert repr(layer) == f"{kind.__name__}(p=0.5, inplace=False)"
        assert kind(0.5, inplace=True)(x) is x
        with pytest.raises(ValueError, match="between 0 and 1"):
            kind(2.0)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"groups": 0}, "groups must be a positive integer"),
        ({"groups": 3}, "in_channels must be divisible by groups"),
        ({"groups": 4}, "out_channels must be divisible by groups"),
        ({"padding": "full"}, r"Invalid padding string 'full', should be one of \('same', 'valid'\)"),
        ({"padding": "same", "stride": 2}, "padding='same' is not supported for strided convolutions"),
        ({"padding": -1}, r"padding must not be negative, but got \(-1, -1\)"),
        ({"stride": 0}, r"stride must be positive, but got \(0, 0\)"),
        ({"dilation": (1, 2, 3)}, r"dilation must be an int or a tuple of two ints, but got \(1, 2, 3\)"),
        ({"stride": 1.5}, "stride must be an int or a tuple of two ints, but got 1.5"),
        ({"padding_mode": "mirror"}, "padding_mode must be one of 'zeros', .*, but got padding_mode='mirror'"),
    ],
)
def test_bad_convolutions(options, message):
    with pytest.raises(ValueError, match=message):
        nn.Conv2d(4, 6, 3, **options)


def test_wrong_input_to_a_convolution():
    with pytest.raises(RuntimeError, match="channels"):
        nn.Conv2d(3, 4, 3)(nb.ones(2, 1, 8, 8))


PRINTED = {
    "Linear(in_features=2, out_features=3, bias=False)": lambda: nn.Linear(2, 3, bias=False),
    (
        "Conv2d(4, 8, kernel_size=(3, 1), stride=(2, 2), padding=(1, 0), dilation=(2, 2), groups=4, bias=False)"
    ): lambda: nn.Conv2d(4, 8, (3, 1), stride=2, padding=(1, 0), dilation=2, groups=4, bias=False),
    "Conv2d(1, 2, kernel_size=(1, 1), stride=(1, 1), padding_mode=circular)": lambda: nn.Conv2d(
        1, 2, 1, padding_mode="circular"
    ),
    "Conv2d(1, 2, kernel_size=(3, 3), stride=(1, 1), padding=same)": lambda: nn.Conv2d(1, 2, 3, padding="same"),
    "AvgPool2d(kernel_size=2, stride=2, padding=0)": lambda: nn.AvgPool2d(2),
    "AdaptiveAvgPool2d(output_size=(1, 1))": lambda: nn.AdaptiveAvgPool2d((1, 1)),
    "Softmax(dim=1)": lambda: nn.Softmax(1),
    "LogSoftmax(dim=None)": lambda: nn.LogSoftmax(),
    "Dropout(p=0.5, inplace=False)": lambda: nn.Dropout(),
    "Flatten(start_dim=1, end_dim=-1)": lambda: nn.Flatten(),
    "Unflatten(dim=1, unflattened_size=(2, 3))": lambda: nn.Unflatten(1, (2, 3)),
    "Identity()": lambda: nn.Identity(3),
    "Tanh()": lambda: nn.Tanh(),
    "CrossEntropyLoss()": lambda: nn.CrossEntropyLoss(),
}


@pytest.mark.parametrize("text", PRINTED)
def test_printing_as_pytorch(text):
    assert repr(PRINTED[text]()) == text
