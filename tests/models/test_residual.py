"""Residual networks in particular: shortcuts, blocks, the counts of their options."""

from __future__ import annotations

import numpy as np
import pytest

import numbanet as nb
from numbanet import models, nn
from numbanet.models._parts import Parts, group_count
from numbanet.models.residual import BasicBlock, Bottleneck, PadShortcut


def normal(*shape):
    return nb.tensor(np.random.default_rng(2).normal(size=shape).astype(np.float32))


def count(model):
    return sum(parameter.numel() for parameter in model.parameters())


@pytest.mark.parametrize(("inputs", "outputs", "before"), [(16, 32, 8), (2, 5, 1)])
def test_option_a(backend, inputs, outputs, before):
    """Every second pixel, zero channels half in front and half behind."""
    x = normal(3, inputs, 7, 8)
    y = PadShortcut(inputs, outputs, 2)(x).numpy()
    assert y.shape == (3, outputs, 4, 4)
    np.testing.assert_array_equal(y[:, before : before + inputs], x.numpy()[:, :, ::2, ::2])
    assert not y[:, :before].any()
    assert not y[:, before + inputs :].any()


@pytest.mark.parametrize("depth", [20, 32, 44, 56, 110])
def test_depths(depth):
    """6n + 2 layers; option B adds two 1×1 convolutions with norms; the plain network is as large as option A."""
    model = models.create_model(f"resnet{depth}")
    layers = [one for one in model.modules() if isinstance(one, (nn.Conv2d, nn.Linear))]
    assert len(layers) == depth
    assert count(models.create_model(f"plain{depth}")) == count(model)
    with_b = models.create_model(f"resnet{depth}", shortcut="B")
    assert count(with_b) - count(model) == 16 * 32 + 2 * 32 + 32 * 64 + 2 * 64
    assert set(models.create_model(f"plain{depth}").state_dict()) == set(model.state_dict())


@pytest.mark.parametrize("block", [BasicBlock, Bottleneck])
@pytest.mark.parametrize("shortcut", ["A", "B", "none"])
def test_a_block_adds_its_shortcut(block, shortcut):
    """With a last scale of 0 nothing but the shortcut is left, and without one nothing at all."""
    nb.manual_seed(3)
    unit = block(8, 8, 2, shortcut, Parts(norm="batch")).eval()
    with nb.no_grad():
        unit.last_norm.weight.zero_()
        x = normal(2, 8, 6, 6)
        y = unit(x).numpy()
        expected = np.zeros_like(y) if shortcut == "none" else unit.downsample(x).relu().numpy()
    assert y.shape == (2, 8 * block.expansion, 3, 3)
    np.testing.assert_array_equal(y, expected)


def test_zero_init_residual_begins_with_identities():
    model = models.create_model("resnet20", zero_init_residual=True)
    scales = [name for name, value in model.named_parameters() if name.endswith("weight") and value.ndim == 1]
    zeros = [name for name in scales if not model.get_parameter(name).detach().numpy().any()]
    assert zeros == [f"layer{stage}.{index}.bn2.weight" for stage in (1, 2, 3) for index in range(3)]
    x = normal(2, 16, 8, 8).relu()
    np.testing.assert_array_equal(model.layer1.eval()(x).detach().numpy(), x.numpy())
    with pytest.raises(ValueError, match="zero_init_residual needs a norm"):
        models.create_model("resnet20", zero_init_residual=True, norm="none")


def test_no_shortcuts_makes_the_plain_network():
    x = normal(2, 3, 32, 32)
    outputs = []
    for name, options in (("plain20", {}), ("resnet20", {"shortcut": "none"}), ("resnet20", {})):
        nb.manual_seed(5)
        outputs.append(models.create_model(name, **options).eval()(x).detach().numpy())
    np.testing.assert_array_equal(outputs[0], outputs[1])
    assert not np.array_equal(outputs[0], outputs[2])


def test_wrong_shortcut():
    for name in ("resnet20", "resnet18"):
        with pytest.raises(ValueError, match="unknown shortcut 'C'; use one of: A, B, none"):
            models.create_model(name, shortcut="C")


def test_groups_of_group_normalisation():
    """At most 32, with four channels or more, and a divisor of the channels."""
    assert {channels: group_count(channels) for channels in (6, 16, 32, 64, 128, 512, 2048, 7)} == {
        6: 1, 16: 4, 32: 8, 64: 16, 128: 32, 512: 32, 2048: 32, 7: 1,
    }  # fmt: skip
