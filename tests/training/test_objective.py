"""Objectives by hand, steps in parts, and batch norm's exact statistics."""

from __future__ import annotations

import copy

import numpy as np
import pytest

import numbanet as nb
from numbanet import nn, optim
from numbanet.data import TensorDataset
from numbanet.nn import functional as F
from numbanet.training.batchnorm import set_exact_batchnorm
from numbanet.training.config import LOSSES
from numbanet.training.errors import TrainingError
from numbanet.training.objective import POINTWISE, Objective
from numbanet.training.step import Rules, TrainingStep

RANDOM = np.random.default_rng(0)
LOGITS = nb.tensor(RANDOM.normal(size=(6, 3)).astype(np.float32))
CLASSES = nb.tensor(np.array([0, 2, 1, 1, 0, 2]))


def test_every_loss_has_an_objective() -> None:
    assert set(LOSSES) == {"cross_entropy", *POINTWISE}
    for loss in LOSSES:
        objective = Objective(loss)
        mean, total = objective(LOGITS, CLASSES).item(), objective.total(LOGITS, CLASSES).item()
        assert total == pytest.approx(6 * mean, rel=1e-5)
        assert objective.correct(LOGITS, CLASSES) == (LOGITS.numpy().argmax(1) == CLASSES.numpy()).sum()


def test_pointwise_losses_compare_with_one_at_the_class() -> None:
    wanted = np.eye(3, dtype=np.float32)[CLASSES.numpy()]
    assert Objective("mse")(LOGITS, CLASSES).item() == pytest.approx(np.mean((LOGITS.numpy() - wanted) ** 2), rel=1e-5)


def test_weights_and_smoothing_shape_the_loss_alone() -> None:
    objective = Objective("cross_entropy", 0.2, [1, 2, 4])
    expected = F.cross_entropy(LOGITS, CLASSES, nb.tensor([1.0, 2.0, 4.0]), label_smoothing=0.2)
    assert objective(LOGITS, CLASSES).item() == pytest.approx(expected.item())
    assert objective.total(LOGITS, CLASSES).item() == Objective().total(LOGITS, CLASSES).item()
    assert objective.share(CLASSES) == 14


def test_numbers_as_targets() -> None:
    numbers = nb.tensor(np.array([1.0, 0, 1, 0, 1, 0], np.float32))
    one = LOGITS[:, :1]
    bce = Objective("bce")
    assert bce(one, numbers).item() == pytest.approx(F.binary_cross_entropy_with_logits(one[:, 0], numbers).item())
    assert bce.correct(one, numbers) == ((one.numpy()[:, 0] > 0) == (numbers.numpy() > 0.5)).sum()
    labels = nb.tensor((RANDOM.random((6, 3)) > 0.5).astype(np.float32))
    assert bce.correct(LOGITS, labels) == ((LOGITS.numpy() > 0) == (labels.numpy() > 0.5)).all(1).sum()
    assert Objective("mse").correct(one, numbers) is None
    with pytest.raises(TrainingError, match=r"the loss mse needs outputs of the targets' shape: .*\(6, 3\).*\(6,\)"):
        Objective("mse")(LOGITS, numbers)


@pytest.mark.parametrize("weights", [(), (1.0, 2.0, 5.0)])
@pytest.mark.parametrize("parts", [2, 4, 6])
def test_parts_add_up_to_the_gradient_of_the_batch(parts: int, weights: tuple) -> None:
    def gradients(rules: Rules) -> tuple[float, list[np.ndarray]]:
        nb.manual_seed(0)
        model = nn.Linear(3, 3)
        step = TrainingStep(
            model,
            optim.SGD(model.parameters(), lr=0.0),
            lambda number: 1.0,
            0.0,
            Objective(class_weights=weights),
            rules,
        )
        loss = step(LOGITS, CLASSES)
        return loss, [parameter.grad.numpy() for parameter in model.parameters()]

    (loss, whole), (loss_of_parts, sums) = gradients(Rules()), gradients(Rules(parts=parts))
    assert loss_of_parts == pytest.approx(loss, rel=1e-5)
    for one, other in zip(whole, sums, strict=True):
        np.testing.assert_allclose(other, one, rtol=1e-4, atol=1e-6)


def test_gradients_are_limited() -> None:
    for rules in (Rules(clip_norm=0.01), Rules(clip_value=0.01), Rules(clip_value=0.02, clip_norm=0.01)):
        model = nn.Linear(3, 3)
        TrainingStep(model, optim.SGD(model.parameters(), lr=0.0), lambda number: 1.0, 0.0, rules=rules)(
            LOGITS, CLASSES
        )
        gradients = np.concatenate([parameter.grad.numpy().ravel() for parameter in model.parameters()])
        if rules.clip_norm:
            assert np.linalg.norm(gradients) == pytest.approx(0.01, rel=1e-3)
        else:
            assert np.abs(gradients).max() == np.float32(0.01)


@pytest.mark.parametrize("batch_size", [4, 8, 32])
def test_exact_batchnorm_is_the_law_of_total_variance(batch_size: int) -> None:
    """Of one layer the statistics of all samples; of the second those of what the first gives batch by batch."""
    nb.manual_seed(0)
    model = nn.Sequential(
        nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU(), nn.Dropout(0.5), nn.BatchNorm2d(3), nn.Flatten()
    )
    x = RANDOM.normal(size=(33, 2, 6, 6)).astype(np.float32) * 3 + 1
    model.train()
    model(nb.tensor(x[:5]))
    before = copy.deepcopy(model)
    state = nb.random.get_state()
    assert set_exact_batchnorm(model, TensorDataset(x, np.zeros(33, np.int64)), batch_size) == 2
    assert nb.random.get_state() == state, "no dropout"
    assert [module.training for module in model.modules()] == [True] * 7
    first = before[0](nb.tensor(x)).detach().numpy().astype(np.float64)
    np.testing.assert_allclose(model[1].running_mean.numpy(), first.mean((0, 2, 3)), rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(model[1].running_var.numpy(), first.var((0, 2, 3)), rtol=1e-5)
    size = {4: 3, 8: 7, 32: 31}[batch_size]  # no sample alone
    parts = [first[begin : begin + size] for begin in range(0, 33, size)]
    normalised = [
        (part - part.mean((0, 2, 3), keepdims=True)) / np.sqrt(part.var((0, 2, 3), keepdims=True) + 1e-5)
        for part in parts
    ]
    second = np.maximum(np.concatenate(normalised), 0)
    np.testing.assert_allclose(model[4].running_mean.numpy(), second.mean((0, 2, 3)), rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(model[4].running_var.numpy(), second.var((0, 2, 3)), rtol=1e-4)
    for name, value in before.state_dict().items():
        if "running" not in name:
            np.testing.assert_array_equal(model.state_dict()[name].numpy(), value.numpy())


def test_exact_batchnorm_that_fails_half_way_changes_nothing() -> None:
    class Breaks(nn.Module):
        def forward(self, x):
            if len(x) < 8:
                raise KeyError("the last batch")
            return x

    model = nn.Sequential(nn.BatchNorm1d(3), Breaks())
    before = {name: value.numpy().copy() for name, value in model.state_dict().items()}
    with pytest.raises(KeyError, match="the last batch"):
        set_exact_batchnorm(model, TensorDataset(np.ones((20, 3), np.float32), np.zeros(20)), 8)
    for name, value in model.state_dict().items():
        np.testing.assert_array_equal(value.numpy(), before[name])
    assert [module.training for module in model.modules()] == [True] * 3


def test_exact_batchnorm_without_batchnorm() -> None:
    assert set_exact_batchnorm(nn.Linear(2, 2), TensorDataset(np.zeros((3, 2), np.float32), np.zeros(3)), 2) == 0
