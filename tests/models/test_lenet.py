"""LeNet-5 and the MLP in particular."""

from __future__ import annotations

import math

import numpy as np
import pytest

import numbanet as nb
from numbanet import models, nn


def test_lenet_layers():
    model = models.create_model("lenet5")
    shapes = {name: tuple(value.shape) for name, value in model.state_dict().items()}
    assert shapes == {
        "conv1.weight": (6, 1, 5, 5),
        "conv1.bias": (6,),
        "conv2.weight": (16, 6, 5, 5),
        "conv2.bias": (16,),
        "fc1.weight": (120, 400),
        "fc1.bias": (120,),
        "fc2.weight": (84, 120),
        "fc2.bias": (84,),
        "fc3.weight": (10, 84),
        "fc3.bias": (10,),
    }
    assert sum(parameter.numel() for parameter in model.parameters()) == 61_706


def lenet_in_numpy(state, x, pool):
    """LeNet-5 once more, in float64, by loops over the window."""
    state = {name: value.numpy().astype(np.float64) for name, value in state.items()}

    def conv(x, weight, bias, padding):
        x = np.pad(x, ((0, 0), (0, 0), (padding, padding), (padding, padding)))
        oh, ow = x.shape[2] - 4, x.shape[3] - 4
        out = np.zeros((x.shape[0], weight.shape[0], oh, ow)) + bias[:, None, None]
        for i in range(5):
            for j in range(5):
                out += np.einsum("nchw,oc->nohw", x[:, :, i : i + oh, j : j + ow], weight[:, :, i, j])
        return out

    def halve(x):
        n, c, h, w = x.shape
        windows = x[:, :, : h // 2 * 2, : w // 2 * 2].reshape(n, c, h // 2, 2, w // 2, 2)
        return windows.max(axis=(3, 5)) if pool == "max" else windows.mean(axis=(3, 5))

    x = np.maximum(halve(conv(x, state["conv1.weight"], state["conv1.bias"], 2)), 0)
    x = np.maximum(halve(conv(x, state["conv2.weight"], state["conv2.bias"], 0)), 0).reshape(len(x), -1)
    x = np.maximum(x @ state["fc1.weight"].T + state["fc1.bias"], 0)
    x = np.maximum(x @ state["fc2.weight"].T + state["fc2.bias"], 0)
    return x @ state["fc3.weight"].T + state["fc3.bias"]


@pytest.mark.parametrize("pool", ["max", "avg"])
@pytest.mark.parametrize("size", [28, 31])
def test_lenet_computes_what_it_says(backend, pool, size):
    nb.manual_seed(0)
    model = models.create_model("lenet5", pool=pool, image_size=size)
    with nb.no_grad():
        for number, parameter in enumerate(model.parameters()):
            if parameter.ndim == 1:
                parameter.fill_(0.1 * number)
    x = np.random.default_rng(0).normal(size=(3, 1, size, size)).astype(np.float32)
    expected = lenet_in_numpy(model.state_dict(), x.astype(np.float64), pool)
    np.testing.assert_allclose(model(nb.tensor(x)).detach().numpy(), expected, rtol=1e-4, atol=1e-4)


def test_weights_start_as_in_the_lecture():
    nb.manual_seed(0)
    model = models.create_model("lenet5")
    for module in model.modules():
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            weight = module.weight.detach().numpy()
            expected = math.sqrt(2 / np.prod(weight.shape[1:]))
            # The standard error of a standard deviation is σ/√(2n).
            assert abs(weight.std() - expected) < 5 * expected / math.sqrt(2 * weight.size)
            assert not module.bias.detach().numpy().any()
    weight = models.create_model("lenet5", activation="tanh").fc1.weight.detach().numpy()
    assert weight.std() == pytest.approx(math.sqrt(2 / (400 + 120)), rel=0.02)


@pytest.mark.parametrize(
    ("shape", "message"),
    [
        ((28, 28), r"takes a batch of pictures of shape \(batch, 1, 28, 28\), but got shape \(28, 28\)$"),
        ((1, 28, 28), r"but got shape \(1, 28, 28\); add the batch axis with x\[None\]"),
        ((2, 3, 32, 32), r"but got \(2, 3, 32, 32\); build it with in_channels=3, image_size=32, or resize"),
        (
            (2, 1, 28, 27),
            r"takes pictures of shape \(batch, 1, 28, 28\), but got \(2, 1, 28, 27\); .*image_size=\(28, 27\), or",
        ),
    ],
)
def test_wrong_input_to_lenet(shape, message):
    model = models.create_model("lenet5")
    with pytest.raises(ValueError, match=message):
        model(nb.ones(*shape))


def test_lenet_limits():
    assert models.create_model("lenet5", image_size=12)(nb.ones(1, 1, 12, 12)).shape == (1, 10)
    with pytest.raises(ValueError, match="at least 12×12, but got image_size=11"):
        models.create_model("lenet5", image_size=11)
    with pytest.raises(ValueError, match="unknown pool 'min'; use one of: max, avg"):
        models.create_model("lenet5", pool="min")


def test_local_net_with_equal_filters_is_lenet():
    """LECTURE rows L2 and L3: what tells the two apart is that the filters differ from position to position."""
    nb.manual_seed(0)
    lenet, local = models.create_model("lenet5"), models.create_model("local_net")
    state = {name: value.numpy() for name, value in lenet.state_dict().items()}
    for name, side in (("conv1", 28), ("conv2", 10)):
        weight, bias = state[f"{name}.weight"], state[f"{name}.bias"]
        state[f"{name}.weight"] = np.tile(weight.reshape(len(weight), -1).T, (side * side, 1, 1))
        state[f"{name}.bias"] = np.tile(bias[:, None, None], (1, side, side))
    local.load_state_dict(state)
    x = nb.tensor(np.random.default_rng(0).normal(size=(3, 1, 28, 28)).astype(np.float32))
    np.testing.assert_allclose(local(x).detach().numpy(), lenet(x).detach().numpy(), rtol=1e-4, atol=1e-5)
    shared, local_ones = models.summarise(lenet, (1, 28, 28)), models.summarise(local, (1, 28, 28))
    assert [layer.flops for layer in shared] == [layer.flops for layer in local_ones]
    assert local_ones[0].parameters == 28 * 28 * shared[0].parameters
    assert models.create_model("local_net", radius=1).conv1.kernel_size == (3, 3)
    with pytest.raises(ValueError, match="local_net needs pictures of at least 16×16, but got image_size=15"):
        models.create_model("local_net", radius=3, image_size=15)


def test_mlp():
    model = models.create_model("mlp")
    assert [name for name, _ in model.named_parameters()][::2] == ["fc1.weight", "fc2.weight", "fc3.weight"]
    assert sum(parameter.numel() for parameter in model.parameters()) == 535_818
    assert model(nb.ones(2, 784)).shape == model(nb.ones(2, 1, 28, 28)).shape == (2, 10)
    with pytest.raises(ValueError, match=r"samples with 784 values each, but got shape \(2, 3, 28, 28\)"):
        model(nb.ones(2, 3, 28, 28))
    with pytest.raises(ValueError, match=r"but got shape \(784,\)"):
        model(nb.ones(784))
    linear = models.create_model("mlp", hidden=(), in_channels=3, image_size=4, num_classes=2)
    assert [name for name, _ in linear.named_parameters()] == ["fc1.weight", "fc1.bias"]
    assert models.create_model("mlp", hidden=7).fc1.out_features == 7
    with pytest.raises(ValueError, match="hidden must be a positive whole number, but got 0"):
        models.create_model("mlp", hidden=(3, 0))
