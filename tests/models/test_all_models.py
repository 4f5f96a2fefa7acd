"""Every registered model for pictures: builds, is as large as it says, learns, and travels."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import numbanet as nb
from numbanet import models, nn, optim

BATCH = 8
ALL = [name for name in models.list_models() if models.model_info(name).kind == "pictures"]


def make(name, **options):
    nb.manual_seed(11)
    return models.create_model(name, **options)


def batch(name, classes=10, **changed):
    random = np.random.default_rng(4)
    shape = models.model_info(name).input_shape
    x = random.normal(size=(BATCH, *changed.get("shape", shape))).astype(np.float32)
    return nb.tensor(x), nb.tensor(random.integers(0, classes, BATCH))


def arrays(model):
    return {name: value.numpy().copy() for name, value in model.state_dict().items()}


@pytest.mark.parametrize("name", ALL)
def test_is_documented_and_counted(name):
    info = models.model_info(name)
    model = make(name)
    assert sum(parameter.numel() for parameter in model.parameters()) == info.parameters
    assert len(info.source) > 20
    assert len(info.doc) > 40
    assert {"num_classes", "in_channels", "image_size"} <= set(info.options)


@pytest.mark.parametrize("name", ALL)
def test_the_seed_decides(name):
    one, same = arrays(make(name)), arrays(make(name))
    nb.manual_seed(12)
    other = arrays(models.create_model(name))
    for key, value in one.items():
        np.testing.assert_array_equal(value, same[key])
        assert not value.any() or not np.array_equal(value, other[key])


@pytest.mark.parametrize("name", ALL)
def test_learns_and_travels(backend, name):
    model = make(name)
    x, y = batch(name)
    optimizer = optim.SGD(model.parameters(), lr=0.01, momentum=0.9)
    losses = []
    for _ in range(3):
        optimizer.zero_grad()
        loss = nn.CrossEntropyLoss()(model(x), y)
        loss.backward()
        assert all(np.isfinite(parameter.grad.numpy()).all() for parameter in model.parameters())
        optimizer.step()
        losses.append(loss.item())
    assert losses[2] < losses[0]
    model.eval()
    expected = model(x).detach().numpy()
    assert expected.shape == (BATCH, 10)
    fresh = models.create_model(name).eval()
    assert not np.array_equal(fresh(x).detach().numpy(), expected)
    fresh.load_state_dict(arrays(model))
    for twin in (fresh, copy.deepcopy(model), pickle.loads(pickle.dumps(model))):
        np.testing.assert_array_equal(twin(x).detach().numpy(), expected)


@pytest.mark.parametrize("name", ALL)
def test_fits_other_pictures(backend, name):
    model = make(name, num_classes=3, in_channels=3, image_size=32)
    x, y = batch(name, classes=3, shape=(3, 32, 32))
    logits = model(x)
    assert logits.shape == (BATCH, 3)
    nn.CrossEntropyLoss()(logits, y).backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


@pytest.mark.parametrize("name", ALL)
def test_the_variance_of_activations_is_kept(name):
    """LECTURE row L10: with Kaiming's initialisation it neither dies nor explodes, layer after layer."""
    model = make(name)
    spreads = []
    for module in model.modules():
        if isinstance(module, (nn.Linear, nn.Conv2d)):
            module.register_forward_hook(lambda m, args, out: spreads.append(float(out.detach().numpy().std())))
    random = np.random.default_rng(0)
    x = nb.tensor(random.normal(size=(64, *models.model_info(name).input_shape)).astype(np.float32))
    model(x)
    assert len(spreads) >= 3
    assert min(spreads) > 0.4
    assert max(spreads) < 4.0


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_classes": 0}, "num_classes must be a positive whole number, but got 0"),
        ({"in_channels": 1.5}, "in_channels must be a positive whole number, but got 1.5"),
        ({"image_size": True}, "image_size must be a positive whole number, but got True"),
        ({"activation": "gelu"}, "unknown activation 'gelu'; use one of: relu, tanh, sigmoid"),
    ],
)
def test_bad_options(name, options, message):
    with pytest.raises(ValueError, match=message):
        make(name, **options)


@pytest.mark.parametrize("name", ALL)
@pytest.mark.parametrize("activation", ["tanh", "sigmoid"])
def test_other_activations(name, activation):
    model = make(name, activation=activation)
    assert sum(parameter.numel() for parameter in model.parameters()) == models.model_info(name).parameters
    assert model(batch(name)[0]).shape == (BATCH, 10)
    assert not np.array_equal(make(name)(batch(name)[0]).detach().numpy(), model(batch(name)[0]).detach().numpy())
