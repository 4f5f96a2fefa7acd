"""Losses against float64 NumPy."""

from __future__ import annotations

import numpy as np
import pytest

import numbanet as nb
from numbanet import nn

RANDOM = np.random.default_rng(8)
N, C = 6, 4
LOGITS = RANDOM.normal(size=(N, C)).astype(np.float32)
TARGET = np.array([0, 3, 1, 1, -100, 2])
WEIGHT = np.array([0.5, 1.0, 2.0, 3.0], np.float32)


def log_softmax(x):
    x = x.astype(np.float64)
    return x - np.log(np.exp(x - x.max(1, keepdims=True)).sum(1, keepdims=True)) - x.max(1, keepdims=True)


def reduced(losses, weights, reduction):
    if reduction == "none":
        return losses
    return losses.sum() / weights.sum() if reduction == "mean" else losses.sum()


def expected_cross_entropy(logits, target, weight, smoothing, reduction):
    logs, losses, weights = log_softmax(logits), np.zeros(len(target)), np.zeros(len(target))
    for row, label in enumerate(target):
        if label == -100:
            continue
        w = np.ones(C) if weight is None else weight.astype(np.float64)
        weights[row] = w[label]
        losses[row] = -(1 - smoothing) * w[label] * logs[row, label] - smoothing / C * (w * logs[row]).sum()
    return reduced(losses, weights, reduction)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("smoothing", [0.0, 0.1])
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])
def test_cross_entropy(backend, weight, smoothing, reduction):
    loss = nn.CrossEntropyLoss(weight=weight, reduction=reduction, label_smoothing=smoothing)
    logits = nb.tensor(LOGITS, requires_grad=True)
    out = loss(logits, nb.tensor(TARGET))
    expected = expected_cross_entropy(LOGITS, TARGET, weight, smoothing, reduction)
    np.testing.assert_allclose(out.detach().numpy(), expected, rtol=1e-5, atol=1e-6)
    out.sum().backward()
    step = 1e-6
    numeric = np.zeros((N, C))
    for i in range(N):
        for j in range(C):
            for sign in (1, -1):
                moved = LOGITS.astype(np.float64)
                moved[i, j] += sign * step
                value = np.sum(expected_cross_entropy(moved, TARGET, weight, smoothing, reduction))
                numeric[i, j] += sign * value / (2 * step)
    np.testing.assert_allclose(logits.grad.numpy(), numeric, rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
@pytest.mark.parametrize("weight", [None, WEIGHT], ids=["plain", "weighted"])
def test_nll_loss_of_log_softmax_is_cross_entropy(backend, weight, reduction):
    logs = nn.LogSoftmax(dim=1)(nb.tensor(LOGITS))
    out = nn.NLLLoss(weight=weight, reduction=reduction)(logs, nb.tensor(TARGET))
    expected = expected_cross_entropy(LOGITS, TARGET, weight, 0.0, reduction)
    np.testing.assert_allclose(out.numpy(), expected, rtol=1e-5, atol=1e-6)


def test_another_number_to_ignore():
    target = np.where(TARGET == -100, 0, TARGET)
    out = nn.CrossEntropyLoss(ignore_index=0)(nb.tensor(LOGITS), nb.tensor(target))
    masked = np.where(target == 0, -100, target)
    assert out.item() == pytest.approx(expected_cross_entropy(LOGITS, masked, None, 0.0, "mean"), rel=1e-5)


@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_mse(backend, reduction):
    a, b = RANDOM.normal(size=(3, 2)).astype(np.float32), RANDOM.normal(size=(3, 2)).astype(np.float32)
    out = nn.MSELoss(reduction=reduction)(nb.tensor(a), nb.tensor(b))
    np.testing.assert_allclose(out.numpy(), reduced((a - b) ** 2, np.ones(6), reduction), rtol=1e-5)


def test_class_weights_are_state():
    loss = nn.CrossEntropyLoss(weight=WEIGHT)
    assert list(loss.state_dict()) == ["weight"]
    assert loss.double().weight.dtype == nb.float64
    assert list(nn.CrossEntropyLoss().state_dict()) == []


def test_bad_arguments():
    for cls in (nn.MSELoss, nn.NLLLoss, nn.CrossEntropyLoss):
        with pytest.raises(ValueError, match="median is not a valid value for reduction; use 'none', 'mean' or 'sum'"):
            cls(reduction="median")
    with pytest.raises(ValueError, match=r"label_smoothing must be between 0.0 and 1.0. Got: 2"):
        nn.CrossEntropyLoss(label_smoothing=2)
    with pytest.raises(IndexError, match="12"):
        nn.CrossEntropyLoss()(nb.tensor(LOGITS), nb.tensor(np.array([0, 1, 2, 12, 0, 0])))
