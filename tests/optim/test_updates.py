"""What the optimisers compute, against float64 NumPy, on every back end."""

from __future__ import annotations

import numpy as np
import pytest

import numbanet as nb
from numbanet import nn, optim
from tests.optim import reference

SHAPES = [(7, 5), (5,), (3, 2, 3, 3), (), (1, 1), (17,)]
STEPS = 40

METHODS = [
    ("SGD", {}),
    ("SGD", {"lr": 0.05, "weight_decay": 0.01}),
    ("SGD", {"lr": 0.05, "momentum": 0.9}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "dampening": 0.3}),
    ("SGD", {"lr": 0.05, "momentum": 0.5, "dampening": 1.0, "weight_decay": 0.1}),
    ("SGD", {"lr": 0.05, "momentum": 0.9, "nesterov": True, "weight_decay": 5e-4}),
    ("Adam", {}),
    ("Adam", {"lr": 0.01, "betas": (0.8, 0.95), "eps": 1e-4, "weight_decay": 0.02}),
    ("Adam", {"lr": 0.01, "betas": (0.0, 0.9)}),
    ("AdamW", {}),
    ("AdamW", {"lr": 0.01, "weight_decay": 0.3}),
    ("RMSprop", {}),
    ("RMSprop", {"lr": 0.005, "alpha": 0.9, "eps": 1e-3, "weight_decay": 0.02}),
    ("RMSprop", {"lr": 0.005, "momentum": 0.8}),
    ("RMSprop", {"lr": 0.005, "eps": 0.01, "centered": True}),
    ("RMSprop", {"lr": 0.005, "eps": 0.01, "centered": True, "momentum": 0.5, "weight_decay": 0.1}),
    ("RMSprop", {"lr": 0.01, "eps_inside_sqrt": True}),
    ("RMSprop", {"lr": 0.01, "eps_inside_sqrt": True, "eps": 0.01, "centered": True, "momentum": 0.5}),
]


def make(dtype):
    random = np.random.default_rng(3)
    values = [random.normal(size=shape).astype(dtype) for shape in SHAPES]
    return [nn.Parameter(nb.tensor(value)) for value in values], [value.astype(np.float64) for value in values]


def set_gradients(parameters, values, step):
    """A pull to the origin plus noise: the gradient depends on the parameters, so errors would grow."""
    random = np.random.default_rng(100 + step)
    gradients = []
    for parameter, value in zip(parameters, values, strict=True):
        noise = random.normal(size=value.shape).astype(parameter.dtype)
        parameter.grad = nb.tensor((parameter.detach().numpy() + noise).astype(parameter.dtype))
        gradients.append(value + noise.astype(np.float64))
    return gradients


def assert_close(parameters, values, dtype):
    # Float32 rounds every step, and the pull to the origin keeps the errors from growing.
    rtol, atol = (2e-5, 5e-6) if dtype == np.float32 else (1e-12, 1e-13)
    for parameter, value in zip(parameters, values, strict=True):
        np.testing.assert_allclose(parameter.detach().numpy(), value, rtol=rtol, atol=atol)


@pytest.mark.parametrize("dtype", [np.float32, np.float64], ids=["float32", "float64"])
@pytest.mark.parametrize(("name", "options"), METHODS, ids=str)
def test_one_group(backend, name, options, dtype):
    parameters, values = make(dtype)
    before = [value.copy() for value in values]
    optimizer = getattr(optim, name)(parameters, **options)
    references = [getattr(reference, name)(**options) for _ in parameters]
    for step in range(STEPS):
        gradients = set_gradients(parameters, values, step)
        optimizer.step()
        values = [one.step(v, g) for one, v, g in zip(references, values, gradients, strict=True)]
    assert_close(parameters, values, dtype)
    assert all(not np.allclose(value, old, atol=1e-3) for value, old in zip(values, before, strict=True))


@pytest.mark.parametrize(
    ("name", "own"), [("SGD", {"momentum": 0.9, "lr": 0.2}), ("AdamW", {"betas": (0.5, 0.9), "weight_decay": 0.0})]
)
def test_groups_have_their_own_options_and_rates_change(backend, name, own):
    parameters, values = make(np.float32)
    common = {"lr": 0.01, "weight_decay": 0.1}
    optimizer = getattr(optim, name)([{"params": parameters[:2]}, {"params": iter(parameters[2:]), **own}], **common)
    references = [getattr(reference, name)(**{**common, **(own if n >= 2 else {})}) for n in range(len(parameters))]
    for step in range(STEPS):
        if step == 10:
            optimizer.param_groups[0]["lr"] = 0.05
            references[0].lr = references[1].lr = 0.05
        gradients = set_gradients(parameters, values, step)
        optimizer.step()
        values = [one.step(v, g) for one, v, g in zip(references, values, gradients, strict=True)]
    assert_close(parameters, values, np.float32)


@pytest.mark.parametrize(
    ("name", "options"),
    [("SGD", {"lr": 0.05, "momentum": 0.9, "dampening": 0.5}), ("Adam", {"lr": 0.01}), ("SGD", {"weight_decay": 0.1})],
    ids=str,
)
def test_parameters_without_a_gradient_wait(backend, name, options):
    """They are neither decayed nor counted: each parameter has the steps that it took."""
    parameters, values = make(np.float32)
    optimizer = getattr(optim, name)(parameters, **options)
    references = [getattr(reference, name)(**options) for _ in parameters]
    for step in range(STEPS):
        gradients = set_gradients(parameters, values, step)
        for number, parameter in enumerate(parameters):
            if step % (number + 1):
                parameter.grad = None
            else:
                values[number] = references[number].step(values[number], gradients[number])
        optimizer.step()
    assert_close(parameters, values, np.float32)


def test_dtypes_mix_in_a_group(backend):
    (singles, values), (doubles, exact) = make(np.float32), make(np.float64)
    both = [parameter for pair in zip(singles, doubles, strict=True) for parameter in pair]
    optimizer = optim.Adam(both, lr=0.01)
    references = [reference.Adam(lr=0.01) for _ in both]
    twice = [value for pair in zip(values, exact, strict=True) for value in pair]
    for step in range(STEPS):
        gradients = set_gradients(both, twice, step)
        optimizer.step()
        twice = [one.step(v, g) for one, v, g in zip(references, twice, gradients, strict=True)]
    assert_close(both[0::2], twice[0::2], np.float32)
    assert_close(both[1::2], twice[1::2], np.float64)


def test_float32_adam_has_no_bias_from_rounded_betas(backend):
    """1 − 0.999 in float32 is off by 1.3e-5; the first steps of size lr must not be."""
    parameter = nn.Parameter(nb.zeros(1))
    optimizer = optim.Adam([parameter], lr=1.0, eps=0.0)
    for step in range(1, 6):
        parameter.grad = nb.tensor([0.37])
        optimizer.step()
        assert parameter.item() == pytest.approx(-step, rel=1e-6)


def test_nan_and_infinity_pass_through(backend):
    for make_optimizer in (
        lambda p: optim.SGD(p, lr=0.1, momentum=0.9),
        lambda p: optim.Adam(p, lr=0.1),
        lambda p: optim.RMSprop(p, lr=0.1),
        lambda p: optim.RMSprop(p, lr=0.1, centered=True, momentum=0.9),
    ):
        parameter = nn.Parameter(nb.ones(3))
        parameter.grad = nb.tensor([1.0, float("nan"), float("inf")])
        make_optimizer([parameter]).step()
        values = parameter.detach().numpy()
        assert np.isfinite(values[0])
        assert not np.isfinite(values[1:]).any()


def test_views_as_parameters(backend):
    """A parameter that is a strided view of a larger tensor changes that tensor, and only there."""
    whole = nb.ones(4, 6)
    view = whole.t()[1:3]
    parameter = nn.Parameter(view)
    optimizer = optim.SGD([parameter], lr=1.0, momentum=0.9)
    for _ in range(2):
        parameter.grad = nb.ones(2, 4)
        optimizer.step()
    expected = np.ones((4, 6), np.float32)
    expected[:, 1:3] = 1 - 1.0 - 1.9
    np.testing.assert_allclose(whole.numpy(), expected, rtol=1e-6)


def test_training_finds_the_minimum(backend):
    random = np.random.default_rng(0)
    x, w = random.normal(size=(64, 5)), random.normal(size=(5, 2))
    data, target = nb.tensor(x.astype(np.float32)), nb.tensor((x @ w).astype(np.float32))
    for make_optimizer in (
        lambda p: optim.SGD(p, lr=0.1, momentum=0.9, nesterov=True),
        lambda p: optim.Adam(p, lr=0.05),
        lambda p: optim.AdamW(p, lr=0.05, weight_decay=0.0),
        lambda p: optim.RMSprop(p, lr=0.002, momentum=0.9),
    ):
        nb.manual_seed(0)
        model = nn.Linear(5, 2)
        optimizer = make_optimizer(model.parameters())
        for _ in range(300):
            optimizer.zero_grad()
            loss = nn.MSELoss()(model(data), target)
            loss.backward()
            optimizer.step()
        assert loss.item() < 1e-5
        np.testing.assert_allclose(model.weight.detach().numpy(), w.T, atol=0.01)
