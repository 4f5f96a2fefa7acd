"""Normalisation layers: what they compute, keep, load and say; and what is done along in their kernels."""

from __future__ import annotations

import numpy as np
import pytest

import numbanet as nb
from numbanet import autograd, nn
from numbanet.nn import functional as F
from numbanet.nn.fusion import activated, normalised

RANDOM = np.random.default_rng(5)


def data(*shape):
    return nb.tensor(RANDOM.normal(1, 2, size=shape).astype(np.float32))


def buffers(module):
    return {name: buffer.numpy().copy() for name, buffer in module.named_buffers()}


BATCH_NORMS = {nn.BatchNorm1d: [(9, 4), (3, 4, 5)], nn.BatchNorm2d: [(3, 4, 5, 6)]}
CASES = [(kind, shape) for kind, shapes in BATCH_NORMS.items() for shape in shapes]


@pytest.mark.parametrize(("kind", "shape"), CASES)
def test_batch_norm(backend, kind, shape):
    """Training normalises by the batch and remembers; evaluation normalises by what is remembered."""
    layer, x = kind(4, momentum=0.2), data(*shape)
    values = x.numpy().astype(np.float64)
    axes = tuple(axis for axis in range(x.ndim) if axis != 1)
    along = (1, -1, *[1] * (x.ndim - 2))
    mean, var = values.mean(axes), values.var(axes)
    expected = (values - mean.reshape(along)) / np.sqrt(var.reshape(along) + 1e-5)
    np.testing.assert_allclose(layer(x).detach().numpy(), expected, rtol=1e-5, atol=1e-5)
    unbiased = values.var(axes, ddof=1)
    np.testing.assert_allclose(layer.running_mean.numpy(), 0.2 * mean, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(layer.running_var.numpy(), 0.8 + 0.2 * unbiased, rtol=1e-5)
    assert layer.num_batches_tracked.item() == 1
    before = buffers(layer)
    out = layer.eval()(x).detach().numpy()
    expected = (values - 0.2 * mean.reshape(along)) / np.sqrt(0.8 + 0.2 * unbiased.reshape(along) + 1e-5)
    np.testing.assert_allclose(out, expected, rtol=1e-5, atol=1e-5)
    assert all(np.array_equal(value, before[name]) for name, value in buffers(layer).items())


def test_cumulative_average(backend):
    layer = nn.BatchNorm1d(3, momentum=None)
    batches = [data(7, 3) for _ in range(4)]
    for batch in batches:
        layer(batch)
    means = [batch.numpy().mean(0) for batch in batches]
    variances = [batch.numpy().var(0, ddof=1) for batch in batches]
    np.testing.assert_allclose(layer.running_mean.numpy(), np.mean(means, 0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(layer.running_var.numpy(), np.mean(variances, 0), rtol=1e-5)
    assert layer.num_batches_tracked.item() == 4
    layer.reset_running_stats()
    assert [value.tolist() for value in buffers(layer).values()] == [[0, 0, 0], [1, 1, 1], 0]


def test_without_running_statistics(backend):
    layer, x = nn.BatchNorm2d(2, track_running_stats=False), data(3, 2, 4, 4)
    training = layer(x).detach().numpy()
    np.testing.assert_array_equal(layer.eval()(x).detach().numpy(), training)
    assert list(layer.state_dict()) == ["weight", "bias"]
    assert list(nn.BatchNorm2d(2, affine=False).state_dict()) == ["running_mean", "running_var", "num_batches_tracked"]
    assert nn.BatchNorm2d(2, affine=False)(x).shape == x.shape


def test_statistics_stopped_in_training(backend):
    """``track_running_stats = False`` afterwards: the batch's statistics, the running ones left alone."""
    layer, x = nn.BatchNorm1d(3), data(8, 3)
    layer.track_running_stats = False
    before = buffers(layer)
    np.testing.assert_allclose(layer(x).detach().numpy().mean(0), 0, atol=1e-6)
    assert all(np.array_equal(value, before[name]) for name, value in buffers(layer).items())


def test_strided_running_statistics(backend):
    """They change where they are."""
    space, x = nb.zeros(4, 2), data(8, 4)
    mean, var = space[:, 0], space[:, 1]
    var.fill_(1)
    F.batch_norm(x, mean, var, training=True)
    np.testing.assert_allclose(mean.numpy(), 0.1 * x.numpy().mean(0), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(space.numpy()[:, 1], 0.9 + 0.1 * x.numpy().var(0, ddof=1), rtol=1e-5)


def test_a_change_of_running_statistics_is_seen(backend):
    """A gradient that needs them as they were says so (when it is to be differentiated again)."""
    mean, var, x = nb.zeros(3), nb.ones(3), data(8, 3).requires_grad_()
    out = F.batch_norm(x, mean, var)
    version = mean._array.storage.version
    F.batch_norm(x, mean, var, training=True)
    assert mean._array.storage.version == version + 1
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        autograd.grad(out.sum(), [x], create_graph=True)


def test_state_travels(backend):
    one, other = nn.BatchNorm1d(3), nn.BatchNorm1d(3)
    one(data(8, 3))
    state = {name: value.numpy().copy() for name, value in one.state_dict().items()}
    assert list(state) == ["weight", "bias", "running_mean", "running_var", "num_batches_tracked"]
    other.load_state_dict(state)
    assert all(np.array_equal(value.numpy(), state[name]) for name, value in other.state_dict().items())
    del state["num_batches_tracked"]  # a state from before PyTorch counted them
    other.load_state_dict(state)
    assert other.num_batches_tracked.item() == 1
    with pytest.raises(RuntimeError, match=r'Missing key\(s\) in state_dict: "running_mean"'):
        other.load_state_dict({name: value for name, value in state.items() if name != "running_mean"})


def test_double_precision():
    layer = nn.BatchNorm1d(3, dtype=nb.float64)
    assert layer(nb.tensor(RANDOM.normal(size=(5, 3)))).dtype == nb.float64
    assert layer.running_var.dtype == nb.float64
    assert nn.BatchNorm1d(3).double().num_batches_tracked.dtype == nb.int64


def test_empty_batches(backend):
    layer = nn.BatchNorm1d(3)
    assert layer(nb.zeros(0, 3)).shape == (0, 3)
    assert np.isfinite(layer.running_mean.numpy()).all()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda: nn.BatchNorm1d(3)(nb.ones(1, 3)), ValueError,
         r"Expected more than 1 value per channel when training, got input size \(1, 3\)"),
        (lambda: nn.BatchNorm1d(3)(nb.ones(2, 3, 4, 5)), ValueError, r"expected 2D or 3D input \(got 4D input\)"),
        (lambda: nn.BatchNorm2d(3)(nb.ones(2, 3)), ValueError, r"expected 4D input \(got 2D input\)"),
        (lambda: nn.BatchNorm2d(3)(nb.ones(2, 4, 5, 5)), RuntimeError, "should contain 4 elements not 3"),
        (lambda: F.batch_norm(nb.ones(2, 3), None, None), RuntimeError,
         "running_mean must be defined in evaluation mode"),
        (lambda: F.batch_norm(nb.ones(2, 3), None, None, training=True, residual=nb.ones(3, 3)), RuntimeError,
         r"residual of shape \(3, 3\)"),
        (lambda: F.batch_norm(nb.ones(2, 3), None, None, training=True, activation="tanh"), ValueError,
         "unknown activation 'tanh'"),
        (lambda: F.batch_norm(nb.ones(3), None, None, training=True), RuntimeError, r"expects an input \(n, c, …\)"),
        (lambda: nn.InstanceNorm1d(3)(nb.ones(2, 3, 1)), ValueError,
         r"Expected more than 1 spatial element when training, got input size \(2, 3, 1\)"),
        (lambda: nn.InstanceNorm2d(3)(nb.ones(2, 3)), ValueError, r"expected 3D or 4D input \(got 2D input\)"),
        (lambda: nn.InstanceNorm2d(3, affine=True)(nb.ones(2, 4, 5, 5)), ValueError,
         r"input's size at dim=1 to match num_features \(3\), but got: 4"),
        (lambda: nn.GroupNorm(2, 3), ValueError, r"num_channels \(3\) must be divisible by num_groups \(2\)"),
        (lambda: F.group_norm(nb.ones(2, 3, 4), 2), RuntimeError, "divisible by num_groups"),
        (lambda: nn.LayerNorm(4)(nb.ones(2, 3)), RuntimeError,
         r"normalized_shape=\[4\], expected input with shape \[\*, 4\]"),
        (lambda: F.layer_norm(nb.ones(2, 3), (3,), nb.ones(2)), RuntimeError,
         "Expected weight to be of same shape as normalized_shape"),
        (lambda: F.batch_norm(nb.ones(2, 3).long(), None, None, training=True), RuntimeError, "floating-point"),
    ],
)  # fmt: skip
def test_wrong_input(call, error, message):
    with pytest.raises(error, match=message):
        call()


PRINTED = {
    "BatchNorm2d(4, eps=1e-05, momentum=0.1, affine=True, bias=True, track_running_stats=True)": lambda: nn.BatchNorm2d(
        4
    ),
    "BatchNorm1d(4, eps=0.001, momentum=None, affine=False, bias=False, track_running_stats=False)": lambda: (
        nn.BatchNorm1d(4, 1e-3, None, False, False)
    ),
}


@pytest.mark.parametrize("text", PRINTED)
def test_printing_as_pytorch(text):
    assert repr(PRINTED[text]()) == text


# --- what follows, in the same kernel --------------------------------------------------------------------------------
def run(function, layer, *inputs):
    """The output, the gradients of inputs and parameters, and the number of ops of the forward pass."""
    names = []
    leaves = [nb.tensor(x.numpy()).requires_grad_() for x in inputs]
    before = autograd.set_recorder(lambda op, inputs, outputs: names.append(type(op).__name__))
    try:
        out = function(layer, *leaves)
    finally:
        autograd.set_recorder(before)
    layer.zero_grad()
    (out * out).sum().backward()
    found = [out, *(leaf.grad for leaf in (*leaves, *layer.parameters()))]
    return [one.detach().numpy().copy() for one in found], names


FUSED = {
    "ReLU": (lambda n, x: activated(n, nn.ReLU(), x), lambda n, x: nn.ReLU()(n(x))),
    "residual": (lambda n, x, r: normalised(n, x, r), lambda n, x, r: n(x) + r),
    "residual and ReLU": (
        lambda n, x, r: normalised(n, x, r, nn.ReLU()), lambda n, x, r: nn.ReLU()(n(x) + r)
    ),
}  # fmt: skip


@pytest.mark.parametrize("make", [lambda: nn.GroupNorm(2, 4), lambda: nn.InstanceNorm2d(4, affine=True)])
@pytest.mark.parametrize("name", FUSED)
def test_the_same_bits_of_samples(backend, name, make):
    layer = make()
    layer.weight.data.copy_(data(4))
    layer.bias.data.copy_(data(4))
    inputs = [data(3, 4, 6, 7) for _ in range(2 if "residual" in name else 1)]
    fused, apart = FUSED[name]
    for mine, other in zip(run(fused, layer, *inputs)[0], run(apart, layer, *inputs)[0], strict=True):
        np.testing.assert_array_equal(mine, other)


def test_a_wrong_number_of_features_is_warned_of():
    with pytest.warns(UserWarning, match="does not match num_features"):
        nn.InstanceNorm2d(3)(data(2, 4, 5, 5))


def test_empty_inputs_of_samples(backend):
    assert nn.LayerNorm(3)(nb.zeros(0, 3)).shape == (0, 3)
    assert nn.GroupNorm(1, 3)(nb.zeros(0, 3, 4)).shape == (0, 3, 4)


@pytest.mark.parametrize("shape", [(4, 3, 6, 7), (2, 3, 41, 40), (33, 3)], ids=str)
@pytest.mark.parametrize("training", [True, False], ids=["training", "evaluation"])
@pytest.mark.parametrize("name", FUSED)
def test_the_same_bits(backend, name, training, shape):
    layer = (nn.BatchNorm2d if len(shape) == 4 else nn.BatchNorm1d)(3).train(training)
    layer.weight.data.copy_(data(3))
    layer.bias.data.copy_(data(3))
    inputs = [data(*shape) for _ in range(2 if "residual" in name else 1)]
    fused, apart = FUSED[name]
    ours, one = run(fused, layer, *inputs)
    theirs, several = run(apart, layer, *inputs)
    assert one == ["BatchNorm"]
    assert len(several) == 1 + name.count("residual") + name.count("ReLU")
    for mine, other in zip(ours, theirs, strict=True):
        np.testing.assert_array_equal(mine, other)


def test_hooks_are_seen():
    layer, relu, x, residual = nn.BatchNorm2d(3), nn.ReLU(), data(2, 3, 4, 4), data(2, 3, 4, 4)
    for module in (layer, relu):
        seen = []
        with module.register_forward_hook(lambda *args, seen=seen: seen.append(args[-1])):
            out = normalised(layer, x, residual, relu)
        assert len(seen) == 1
        assert out.detach().numpy().min() == 0
    other = nn.Sequential(nn.BatchNorm2d(3))
    np.testing.assert_array_equal(
        normalised(other, x, residual, relu).detach().numpy(), normalised(other[0], x, residual, relu).detach().numpy()
    )


def test_sequential_fuses():
    net, x = nn.Sequential(nn.Conv2d(2, 3, 3), nn.BatchNorm2d(3), nn.ReLU()), data(2, 2, 6, 6)
    names = []
    before = autograd.set_recorder(lambda op, inputs, outputs: names.append(type(op).__name__))
    try:
        net(x)
    finally:
        autograd.set_recorder(before)
    assert names == ["Conv2d", "BatchNorm"]
