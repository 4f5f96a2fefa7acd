"""A network's layers in numbers, against papers and against gradients."""

from __future__ import annotations

import numpy as np
import pytest

import numbanet as nb
from numbanet import autograd, models, nn
from numbanet.nn import functional as F


def fields(model, shape):
    return {layer.name: layer.receptive_field for layer in models.summarise(model, shape)}


def test_receptive_fields_of_known_networks():
    lenet = fields(models.create_model("lenet5"), (1, 28, 28))
    assert (lenet["conv1"], lenet["conv2"], lenet["fc1"]) == ((5, 5), (14, 14), None)
    alexnet = fields(models.create_model("alexnet_small", image_size=64), (3, 64, 64))
    assert alexnet["features.0"] == (11, 11)
    assert alexnet["features.12"] == (195, 195)
    resnet = fields(models.create_model("resnet20"), (3, 32, 32))
    # 3 by the first convolution; each of the 6 others of a stage adds 2, 4 or 8, the strided ones as the stage before.
    assert [resnet[f"layer{stage}.2.activation"] for stage in (1, 2, 3)] == [(15, 15), (37, 37), (81, 81)]


class Branches(nn.Module):
    """Two branches that see different windows, one of them by slicing, and what behind their sum."""

    def __init__(self):
        super().__init__()
        self.wide = nn.Conv2d(1, 1, (3, 5), stride=2, padding=(1, 2))
        self.behind = nn.Conv2d(1, 1, 3, dilation=2, padding=2)

    def forward(self, x):
        return self.behind(self.wide(x) + x[:, :, ::2, ::2])


class Sliced(nn.Module):
    """A convolution of every second row and every third column."""

    def __init__(self):
        super().__init__()
        self.conv = nn.Conv2d(1, 1, 3)

    def forward(self, x):
        return self.conv(x[:, :, ::2, 1::3])


NETWORKS = {
    "slices": Sliced,
    "convolutions": lambda: nn.Sequential(nn.Conv2d(1, 2, 3, 2, 1), nn.Conv2d(2, 1, (2, 5), (1, 2), dilation=(3, 1))),
    "pools": lambda: nn.Sequential(nn.Conv2d(1, 1, 3), nn.AvgPool2d(3, 2), nn.Conv2d(1, 1, 2), nn.AvgPool2d(2)),
    "local": lambda: nn.Sequential(nn.LocallyConnected2d(1, 2, 40, 5, 2, 2), nn.ReLU(), nn.Conv2d(2, 1, 3, padding=1)),
    "adaptive pool": lambda: nn.Sequential(nn.Conv2d(1, 1, 3, padding=1), nn.AdaptiveAvgPool2d(10)),
    "branches": Branches,
}


@pytest.mark.parametrize("name", NETWORKS)
def test_receptive_field_is_where_the_gradient_is(name):
    """With positive weights and inputs, the pixels that a value depends on are those with a gradient."""
    model = NETWORKS[name]()
    with nb.no_grad():
        for parameter in model.parameters():
            parameter.fill_(1)
    x = nb.ones(1, 1, 40, 40, requires_grad=True)
    y = model(x)
    y[0, 0, y.shape[2] // 2, y.shape[3] // 2].backward()
    rows, columns = np.nonzero(x.grad.numpy()[0, 0])
    seen = (rows.max() - rows.min() + 1, columns.max() - columns.min() + 1)
    layers = models.summarise(model, (1, 40, 40))
    assert layers[-1].receptive_field == seen
    assert layers[-1].output_shape == tuple(y.shape[1:])


def test_flops_and_parameters_by_layer():
    model = nn.Sequential(nn.Conv2d(4, 6, 3, groups=2), nn.ReLU(), nn.Flatten(), nn.Linear(6 * 36, 5, bias=False))
    conv, relu, _, linear = models.summarise(model, (4, 8, 8))
    assert (conv.kind, conv.parameters, conv.flops) == ("Conv2d", 6 * 2 * 9 + 6, 2 * 6 * 36 * 2 * 9)
    assert (relu.parameters, relu.flops) == (0, 0)
    assert (linear.parameters, linear.flops) == (6 * 36 * 5, 2 * 6 * 36 * 5)


@pytest.mark.parametrize("name", [n for n in models.list_models() if models.model_info(n).kind != "pictures"])
def test_models_of_texts_are_counted(name):
    info = models.model_info(name)
    layers = models.summarise(models.create_model(name), *models.example(info, info.options))
    assert sum(layer.flops for layer in layers) == info.flops
    assert sum(layer.parameters for layer in layers) == info.parameters


def test_flops_of_attention():
    """Four products with matrices of 8 × 8, and in each of 2 heads of 4 features 5 × 5 weights, twice."""
    layer = nn.MultiheadAttention(8, 2, batch_first=True)
    x = nb.ones(1, 5, 8)
    rows = models.summarise(layer, x, x, x)
    assert sum(row.flops for row in rows) == 2 * (4 * 5 * 8 * 8 + 2 * 2 * 5 * 5 * 4)
    assert rows[-1].output_shape == (5, 8)


def test_of_a_module_with_products_of_its_own_and_a_layer_called_twice():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(nb.ones(3, 3))
            self.layer = nn.Linear(3, 3)

        def forward(self, x):
            return F.linear(self.layer(self.layer(x)), self.weight)

    layers = models.summarise(Net(), (3,))
    assert [(layer.name, layer.parameters, layer.flops) for layer in layers] == [
        ("layer", 12, 18), ("layer", 0, 18), ("", 9, 18),
    ]  # fmt: skip


def test_a_convolution_and_a_pool_in_one():
    class Net(nn.Module):
        def __init__(self):
            super().__init__()
            self.weight = nn.Parameter(nb.ones(4, 3, 5, 3))

        def forward(self, x):
            return F.conv2d(x, self.weight, stride=2, pool=(3, 2))

    (one,) = models.summarise(Net(), (3, 30, 31))
    conv, pool = models.summarise(
        nn.Sequential(nn.Conv2d(3, 4, (5, 3), 2, bias=False), nn.MaxPool2d(3, 2)), (3, 30, 31)
    )
    assert (one.flops, one.receptive_field, one.output_shape) == (conv.flops, pool.receptive_field, pool.output_shape)


def test_nothing_is_changed(backend):
    model = models.create_model("resnet20")
    state = {name: value.numpy().copy() for name, value in model.state_dict().items()}
    models.summarise(model, (3, 32, 32))
    assert model.training
    assert not any(module.has_call_hooks for module in model.modules())
    assert autograd.set_recorder(None) is None
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), state[name])
    with pytest.raises(ValueError, match="resnet20 takes pictures"):
        models.summarise(model, (1, 28, 28))
    assert not any(module.has_call_hooks for module in model.modules())
    assert autograd.set_recorder(None) is None
