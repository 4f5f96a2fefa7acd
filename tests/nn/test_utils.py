"""Clipping of gradients."""

from __future__ import annotations

import numpy as np
import pytest

import numbanet as nb
from numbanet import nn
from numbanet.nn.utils import clip_grad_norm_, clip_grad_value_

SHAPES = [(33, 17), (5,), (), (0,), (4100,)]


def parameters(dtypes=(np.float32,), scale=1.0):
    """Parameters with gradients, one of them without, and the gradients in float64."""
    random, made, gradients = np.random.default_rng(0), [], []
    for number, shape in enumerate(SHAPES):
        dtype = dtypes[number % len(dtypes)]
        parameter = nn.Parameter(nb.zeros(*shape, dtype=dtype))
        gradients.append((scale * random.normal(size=shape)).astype(dtype).astype(np.float64))
        parameter.grad = nb.tensor(gradients[-1].astype(dtype))
        made.append(parameter)
    return [*made, nn.Parameter(nb.ones(3))], gradients


@pytest.mark.parametrize("dtypes", [(np.float32,), (np.float64,), (np.float32, np.float64)], ids=str)
@pytest.mark.parametrize("order", [2, 1, 3.5, float("inf")])
@pytest.mark.parametrize("limit", [0.7, 1e4])
def test_norm(backend, dtypes, order, limit):
    made, gradients = parameters(dtypes)
    made = [parameter for parameter in made if parameter.numel()]  # there is no maximum of nothing
    gradients = [gradient for gradient in gradients if gradient.size]
    wanted = np.linalg.norm(np.concatenate([gradient.ravel() for gradient in gradients]), order)
    found = clip_grad_norm_(iter(made), limit, order)
    assert found.item() == pytest.approx(wanted, rel=2e-6)
    for parameter, gradient in zip(made, gradients, strict=False):
        np.testing.assert_allclose(parameter.grad.numpy(), min(1, limit / (wanted + 1e-6)) * gradient, rtol=3e-6)


def test_one_tensor_and_no_gradients(backend):
    parameter = nn.Parameter(nb.zeros(2))
    assert clip_grad_norm_(parameter, 1.0).item() == 0
    clip_grad_value_(parameter, 1.0)
    parameter.grad = nb.tensor([3.0, 4.0])
    assert clip_grad_norm_(parameter, 1.0).item() == 5
    np.testing.assert_allclose(parameter.grad.numpy(), [0.6, 0.8], rtol=1e-6)


def test_a_norm_that_is_not_finite(backend):
    parameter = nn.Parameter(nb.zeros(3))
    parameter.grad = nb.tensor([1.0, float("nan"), 2.0])
    with pytest.raises(
        RuntimeError, match=r"The total norm of order 2.0 for gradients from `parameters` is non-finite"
    ):
        clip_grad_norm_([parameter], 1.0, error_if_nonfinite=True)
    assert parameter.grad.tolist()[::2] == [1, 2]
    assert np.isnan(clip_grad_norm_([parameter], 1.0).item())
    assert np.isnan(parameter.grad.numpy()).all()


@pytest.mark.parametrize("dtypes", [(np.float32,), (np.float32, np.float64)], ids=str)
def test_value(backend, dtypes):
    made, gradients = parameters(dtypes)
    clip_grad_value_(made, 0.5)
    for parameter, gradient in zip(made, gradients, strict=False):
        np.testing.assert_array_equal(parameter.grad.numpy(), np.clip(gradient, -0.5, 0.5).astype(parameter.dtype))
    made[0].grad = nb.tensor(np.full((33, 17), np.nan, np.float32))
    clip_grad_value_(made[0], 0.5)
    assert np.isnan(made[0].grad.numpy()).all()


def test_a_gradient_with_gaps_is_clipped_where_it_lies(backend):
    whole, parameter = nb.ones(4, 6), nn.Parameter(nb.zeros(6, 2))
    parameter.grad = whole.t()[:, 1:3]
    clip_grad_norm_([parameter], 1.0)
    expected = np.ones((4, 6), np.float32)
    expected[1:3] = 1 / np.sqrt(12)
    np.testing.assert_allclose(whole.numpy(), expected, rtol=1e-6)
