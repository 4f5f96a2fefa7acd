"""Initialisation: the numbers promised by the formulas, from the one stream."""

from __future__ import annotations

import math

import numpy as np
import pytest

import numbanet as nb
from numbanet import nn
from numbanet.nn import init

SHAPE = (300, 50, 3, 3)
FAN_IN, FAN_OUT = 450, 2700


def empty(*shape, dtype=np.float32):
    return nb.tensor(np.full(shape, np.nan, dtype))


@pytest.fixture(autouse=True)
def _seed():
    nb.manual_seed(7)


def moments(tensor):
    values = tensor.detach().numpy().astype(np.float64)
    assert np.isfinite(values).all()
    return values.mean(), values.std(), np.abs(values).max()


@pytest.mark.parametrize(
    ("fill", "std", "bound"),
    [
        (lambda t: init.uniform_(t, -2, 2), 4 / math.sqrt(12), 2),
        (lambda t: init.normal_(t, 0, 0.3), 0.3, None),
        (lambda t: init.kaiming_uniform_(t), math.sqrt(2 / FAN_IN), math.sqrt(6 / FAN_IN)),
        (lambda t: init.kaiming_uniform_(t, a=math.sqrt(5)), math.sqrt(1 / (3 * FAN_IN)), math.sqrt(1 / FAN_IN)),
        (lambda t: init.kaiming_uniform_(t, mode="fan_out"), math.sqrt(2 / FAN_OUT), math.sqrt(6 / FAN_OUT)),
        (lambda t: init.kaiming_normal_(t, nonlinearity="relu"), math.sqrt(2 / FAN_IN), None),
        (lambda t: init.kaiming_normal_(t, mode="fan_out", nonlinearity="tanh"), 5 / 3 / math.sqrt(FAN_OUT), None),
        (lambda t: init.xavier_uniform_(t), math.sqrt(2 / (FAN_IN + FAN_OUT)), math.sqrt(6 / (FAN_IN + FAN_OUT))),
        (lambda t: init.xavier_normal_(t, gain=3.0), 3 * math.sqrt(2 / (FAN_IN + FAN_OUT)), None),
        (lambda t: init.trunc_normal_(t, std=1.0), 0.8796256610342398, 2),
    ],
)
def test_mean_spread_and_bound(fill, std, bound):
    tensor = empty(*SHAPE)
    assert fill(tensor) is tensor
    mean, spread, largest = moments(tensor)
    # 135,000 values: the mean is within 5 standard errors, the spread within 1 %.
    assert abs(mean) < 5 * std / math.sqrt(135_000)
    assert spread == pytest.approx(std, rel=0.01)
    if bound is not None:
        assert 0.99 * bound < largest <= bound * (1 + 1e-6)
    else:
        assert 4 * std < largest < 6 * std


def test_constants():
    assert init.zeros_(empty(2)).numpy().tolist() == [0, 0]
    assert init.ones_(empty(2)).numpy().tolist() == [1, 1]
    assert init.constant_(empty(2), 2.5).numpy().tolist() == [2.5, 2.5]
    assert init.eye_(empty(2, 3)).numpy().tolist() == [[1, 0, 0], [0, 1, 0]]
    with pytest.raises(ValueError, match="Only tensors with 2 dimensions"):
        init.eye_(empty(2))


@pytest.mark.parametrize("shape", [(40, 40), (60, 20), (20, 60), (8, 3, 2, 2)])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_orthogonal(shape, dtype):
    matrix = init.orthogonal_(empty(*shape, dtype=dtype), gain=2.0).numpy().reshape(shape[0], -1).astype(np.float64)
    product = matrix @ matrix.T if matrix.shape[0] <= matrix.shape[1] else matrix.T @ matrix
    np.testing.assert_allclose(product, 4 * np.eye(min(matrix.shape)), atol=1e-5 if dtype == np.float32 else 1e-12)


def test_orthogonal_is_uniform():
    # The sign convention of QR alone would make the diagonal one-sided.
    diagonals = [init.orthogonal_(empty(2, 2)).numpy()[0, 0] for _ in range(50)]
    assert min(diagonals) < 0 < max(diagonals)
    with pytest.raises(ValueError, match="Only tensors with 2 or more dimensions"):
        init.orthogonal_(empty(3))
    assert init.orthogonal_(empty(0, 3)).shape == (0, 3)


def test_truncated_normal_moves_with_its_bounds():
    values = init.trunc_normal_(empty(20_000), mean=1.0, std=2.0, a=0.0, b=2.0).numpy()
    assert values.min() >= 0
    assert values.max() <= 2
    assert values.mean() == pytest.approx(1.0, abs=0.02)
    with pytest.raises(ValueError, match="needs a < b"):
        init.trunc_normal_(empty(1), a=1, b=1)
    with pytest.raises(ValueError, match="move mean into the interval"):
        init.trunc_normal_(empty(1), mean=50.0)


def test_gains():
    expected = {"linear": 1, "conv2d": 1, "sigmoid": 1, "tanh": 5 / 3, "relu": math.sqrt(2), "selu": 0.75}
    for name, gain in expected.items():
        assert init.calculate_gain(name) == pytest.approx(gain, rel=1e-12)
    assert init.calculate_gain("leaky_relu") == pytest.approx(math.sqrt(2 / 1.0001), rel=1e-12)
    assert init.calculate_gain("leaky_relu", 1.0) == 1.0
    with pytest.raises(ValueError, match="Unsupported nonlinearity nothing"):
        init.calculate_gain("nothing")
    with pytest.raises(ValueError, match="negative_slope x not a valid number"):
        init.calculate_gain("leaky_relu", "x")


def test_fans_need_two_dimensions():
    for fill in (init.kaiming_uniform_, init.kaiming_normal_, init.xavier_uniform_, init.xavier_normal_):
        with pytest.raises(ValueError, match="fewer than 2 dimensions"):
            fill(empty(3))
    with pytest.raises(ValueError, match="Mode fan_both not supported"):
        init.kaiming_uniform_(empty(3, 3), mode="fan_both")


def test_the_seed_decides_and_every_draw_is_new():
    first = [nn.Linear(5, 4), nn.Conv2d(2, 3, 3)]
    nb.manual_seed(7)
    second = [nn.Linear(5, 4), nn.Conv2d(2, 3, 3)]
    for one, other in zip(first, second, strict=True):
        np.testing.assert_array_equal(one.weight.detach().numpy(), other.weight.detach().numpy())
        np.testing.assert_array_equal(one.bias.detach().numpy(), other.bias.detach().numpy())
    third = nn.Linear(5, 4)
    assert not np.array_equal(third.weight.detach().numpy(), first[0].weight.detach().numpy())
    nb.manual_seed(8)
    assert not np.array_equal(nn.Linear(5, 4).weight.detach().numpy(), first[0].weight.detach().numpy())
    for fill in (init.orthogonal_, init.trunc_normal_):
        assert not np.array_equal(fill(empty(3, 3)).numpy(), fill(empty(3, 3)).numpy())


def test_parameters_stay_leaves():
    parameter = nn.Parameter(nb.ones(4, 4))
    for fill in (
        init.kaiming_normal_,
        init.xavier_uniform_,
        init.orthogonal_,
        init.zeros_,
        init.eye_,
        init.trunc_normal_,
    ):
        assert fill(parameter) is parameter
        assert parameter.requires_grad
        assert parameter.is_leaf


LAYERS = {
    "linear": (lambda: nn.Linear(300, 200), 300, 200),
    "conv": (lambda: nn.Conv2d(30, 40, 3, groups=2), 15 * 9, 40 * 9),
    "local": (lambda: nn.LocallyConnected2d(8, 10, 8, 3), 8 * 9, 10 * 9),
}


@pytest.mark.parametrize("name", LAYERS)
@pytest.mark.parametrize("scheme", [*sorted(set(init.SCHEMES) - {"constant"}), "pytorch"])
def test_schemes_of_whole_networks(name, scheme):
    make, fan_in, fan_out = LAYERS[name]
    layer = make()
    nn.init.ones_(layer.bias)
    before = layer.weight
    assert init.initialise_(nn.Sequential(layer, nn.ReLU()), scheme, "relu", scale=2.0)[0] is layer
    assert layer.weight is before
    variance = {"k": 2 / fan_in, "x": 2 / (fan_in + fan_out), "o": 2 / max(fan_in, layer.filters().__next__().shape[0])}
    expected = 1 / (3 * fan_in) if scheme == "pytorch" else 2 / fan_out if "out" in scheme else variance[scheme[0]]
    assert layer.weight.detach().numpy().std() == pytest.approx(2 * math.sqrt(expected), rel=0.03)
    assert layer.bias.detach().numpy().any() == (scheme == "pytorch")
    values = np.concatenate([weight.detach().numpy().reshape(-1) for weight in layer.filters()])
    kurtosis = ((values / values.std()) ** 4).mean()
    shape = 1.8 if "uniform" in scheme or scheme == "pytorch" else 3.0  # of a uniform and of a normal distribution
    assert kurtosis == pytest.approx(shape, abs=0.25)


def test_constant_weights_and_what_is_no_layer():
    class Bank(nn.Module):
        def __init__(self):
            super().__init__()
            self.filters = nn.Linear(3, 2)

    bank = init.initialise_(Bank(), "constant", scale=0.5)
    np.testing.assert_array_equal(bank.filters.weight.detach().numpy(), np.full((2, 3), 0.5))
    for scale in (math.nan, math.inf):
        with pytest.raises(ValueError, match="scale must be a finite number"):
            init.initialise_(nn.Linear(2, 2), "xavier_normal", scale=scale)


def test_filters_of_a_local_layer_are_views():
    layer = nn.LocallyConnected2d(2, 3, 4, (3, 2))
    weights = list(layer.filters())
    assert len(weights) == 2 * 3
    assert weights[0].shape == (3, 2, 3, 2)
    with nb.no_grad():
        weights[4][1, 0, 2, 1] = 7
    assert layer.weight[4, 0 * 6 + 2 * 2 + 1, 1].item() == 7


def test_unknown_scheme():
    with pytest.raises(ValueError, match="unknown scheme 'he'; use one of: pytorch, kaiming_normal, "):
        init.initialise_(nn.Linear(2, 2), "he")
