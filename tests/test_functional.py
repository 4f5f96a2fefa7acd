"""nn.functional: what the table of operations does not say."""

from __future__ import annotations

import importlib.util
import itertools

import numpy as np
import pytest
import scipy.special

import numbanet as nb
from numbanet.nn import functional as F


# --- dropout ---------------------------------------------------------------------------------------------------------
def test_dropout(backend):
    x = nb.ones(100, 100, requires_grad=True)
    y = F.dropout(x, 0.25)
    values, counts = np.unique(y.detach().numpy(), return_counts=True)
    np.testing.assert_allclose(values, [0, 1 / 0.75], rtol=1e-6)
    assert abs(counts[0] / 10_000 - 0.25) < 0.02
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), y.detach().numpy())


def test_dropout_at_its_ends(backend):
    x = nb.ones(5)
    assert F.dropout(x, 0.5, training=False) is x
    assert F.dropout(x, 0) is x
    assert F.dropout(x, 1).tolist() == [0] * 5
    assert F.dropout(x, 0.5, inplace=True) is x
    for p in (-0.1, 1.1, float("nan")):
        with pytest.raises(ValueError, match="between 0 and 1"):
            F.dropout(x, p)


def test_classic_dropout_scales_in_evaluation(backend):
    x = nb.ones(100, 100, requires_grad=True)
    y = F.dropout(x, 0.25, classic=True)
    assert set(np.unique(y.detach().numpy())) == {0, 1}
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), y.detach().numpy())
    np.testing.assert_allclose(F.dropout(x, 0.25, training=False, classic=True).detach().numpy(), 0.75)
    z = nb.ones(3)
    assert F.dropout(z, 0.25, False, True, classic=True) is z
    assert z.tolist() == [0.75] * 3
    assert F.dropout(z, 1, training=False, classic=True).tolist() == [0] * 3


def test_dropout_keeps_no_mask_and_draws_the_same_everywhere(backend):
    """The same seed drops the same on both back ends, in both dtypes, and in the backward pass of the backward pass."""
    kept, names = [], {"numpy", nb.get_backend()} | ({"cpu"} if importlib.util.find_spec("numba") else set())
    for name, dtype in itertools.product(sorted(names), (nb.float32, nb.float64)):
        nb.manual_seed(7)
        x = nb.ones(7, 11, dtype=dtype).to(backend=name).requires_grad_()
        y = F.dropout(x, 0.4)
        assert not y.grad_fn.saved
        (grad,) = nb.autograd.grad((y * y).sum(), [x], create_graph=True)
        grad.sum().backward()
        kept.append(y.detach().numpy() != 0)
        np.testing.assert_allclose(x.grad.numpy(), 2 / 0.36 * kept[-1], rtol=1e-6)
    assert all(np.array_equal(kept[0], mask) for mask in kept)
    nb.manual_seed(7)
    first, second = F.dropout(nb.ones(50), 0.5), F.dropout(nb.ones(50), 0.5)
    assert not first.equal(second)


@pytest.mark.parametrize(
    ("name", "shape", "spatial"),
    [
        ("dropout1d", (5, 6, 7), 1), ("dropout1d", (30, 7), 1), ("dropout2d", (5, 6, 3, 2), 2),
        ("dropout2d", (5, 6, 7), 1), ("dropout3d", (5, 6, 3, 1, 2), 3), ("dropout3d", (30, 3, 1, 2), 3),
    ],
)  # fmt: skip
def test_dropout_of_channels(backend, name, shape, spatial):
    x = nb.ones(*shape, requires_grad=True)
    y = getattr(F, name)(x, 0.5)
    channels = y.detach().numpy().reshape(30, -1)
    assert (channels == channels[:, :1]).all()
    assert set(np.unique(channels)) == {0, 2}
    y.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), y.detach().numpy())
    assert getattr(F, name)(x, 0.5, training=False) is x
    with pytest.raises(RuntimeError, match=f"{name} needs . or . dimensions, got a tensor of shape .5,."):
        getattr(F, name)(nb.ones(5))


# --- losses ----------------------------------------------------------------------------------------------------------
def logs_and_targets(shape=(7, 5, 3), seed=0):
    rng = np.random.default_rng(seed)
    logits = rng.normal(size=shape).astype(np.float32)
    target = rng.integers(0, shape[1], (shape[0], *shape[2:]))
    return logits, target


def naive_cross_entropy(logits, target, weight, ignore, smoothing):
    """PyTorch's definition, a position at a time: (losses, weights of the targets)."""
    logs = scipy.special.log_softmax(logits.astype(np.float64), 1)
    losses, shares = np.zeros(target.shape), np.zeros(target.shape)
    for at in np.ndindex(target.shape):
        label = target[at]
        if label == ignore:
            continue
        row = logs[(at[0], slice(None), *at[1:])]
        losses[at] = -(1 - smoothing) * weight[label] * row[label] - smoothing / len(row) * (weight * row).sum()
        shares[at] = weight[label]
    return losses, shares


@pytest.mark.parametrize("smoothing", [0.0, 0.2])
@pytest.mark.parametrize("weighted", [False, True])
@pytest.mark.parametrize("reduction", ["mean", "sum", "none"])
def test_cross_entropy_of_many_dimensions(backend, reduction, weighted, smoothing):
    logits, target = logs_and_targets()
    target[0, 1] = 2
    weight = np.linspace(0.5, 2, 5).astype(np.float32) if weighted else np.ones(5, np.float32)
    losses, shares = naive_cross_entropy(logits, target, weight, 2, smoothing)
    wanted = {"mean": losses.sum() / shares.sum(), "sum": losses.sum(), "none": losses}[reduction]
    found = F.cross_entropy(
        nb.tensor(logits), nb.tensor(target), nb.tensor(weight) if weighted else None, 2, reduction, smoothing
    )
    np.testing.assert_allclose(found.numpy(), wanted, rtol=2e-5)


def test_cross_entropy_of_probabilities(backend):
    logits, _ = logs_and_targets((4, 3))
    target = scipy.special.softmax(np.random.default_rng(1).normal(size=(4, 3)), 1).astype(np.float32)
    wanted = -(scipy.special.log_softmax(logits, 1) * target).sum(1)
    np.testing.assert_allclose(F.cross_entropy(nb.tensor(logits), nb.tensor(target)).item(), wanted.mean(), rtol=1e-5)
    found = F.cross_entropy(nb.tensor(logits), nb.tensor(target), reduction="none")
    np.testing.assert_allclose(found.numpy(), wanted, rtol=1e-5)


def test_cross_entropy_of_one_sample(backend):
    logits = nb.tensor([1.0, 2.0, 3.0])
    np.testing.assert_allclose(
        F.cross_entropy(logits, nb.tensor(0)).item(), -scipy.special.log_softmax([1, 2, 3])[0], rtol=1e-6
    )
    assert F.cross_entropy(logits, nb.tensor(0), reduction="none").shape == ()


def test_targets_out_of_range(backend):
    logits = nb.zeros(3, 4, requires_grad=True)
    with pytest.raises(IndexError, match=r"12.*1.*4 classes|12.*row 1"):
        F.cross_entropy(logits, nb.tensor([0, 12, 1]))
    with pytest.raises(IndexError, match="-1"):
        F.cross_entropy(logits, nb.tensor([0, 1, -1]))
    with pytest.raises(IndexError, match="12"):
        F.nll_loss(logits, nb.tensor([0, 12, 1]))
    # and the program is usable afterwards
    assert F.cross_entropy(logits, nb.tensor([0, 1, 2])).item() == pytest.approx(np.log(4))


def test_all_targets_ignored(backend):
    logits = nb.zeros(3, 4, requires_grad=True)
    target = nb.tensor([-100, -100, -100])
    assert np.isnan(F.cross_entropy(logits, target).item())
    loss = F.cross_entropy(logits, target, reduction="sum")
    loss.backward()
    assert loss.item() == 0
    assert not logits.grad.numpy().any()


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: F.cross_entropy(x, nb.tensor([0])), ValueError, r"\(3, 4\) and \(1,\)"),
        (lambda x: F.cross_entropy(x, nb.tensor([0, 1, 2]).int()), RuntimeError, "int64"),
        (lambda x: F.cross_entropy(x, nb.zeros(3)), ValueError, "do not fit"),
        (
            lambda x: F.cross_entropy(x, nb.tensor([0, 1, 2]), reduction="average"),
            ValueError,
            "'average' is not a valid",
        ),
        (lambda x: F.cross_entropy(x, nb.tensor([0, 1, 2]), label_smoothing=2), ValueError, "label_smoothing"),
        (lambda x: F.cross_entropy(x.long(), nb.tensor([0, 1, 2])), RuntimeError, "floating-point"),
        (lambda x: F.nll_loss(x, nb.tensor([0])), ValueError, "does not fit"),
        (lambda x: F.mse_loss(x, x, "max"), ValueError, "'max' is not a valid"),
    ],
)
def test_loss_errors(backend, call, error, message):
    with pytest.raises(error, match=message):
        call(nb.zeros(3, 4))


def test_binary_cross_entropy_of_certain_probabilities(backend):
    """A sigmoid that has gone all the way: logarithms stop at −100, and gradients are finite, those of PyTorch."""
    logits = nb.tensor(np.array([200.0, -200.0, 200.0, -200.0, -100.0, 0.0], np.float32), requires_grad=True)
    target = nb.tensor(np.array([1.0, 0.0, 0.25, 0.25, 1.0, 1.0], np.float32))
    loss = F.binary_cross_entropy(logits.sigmoid(), target, reduction="none")
    np.testing.assert_allclose(loss.detach().numpy(), [0, 0, 75, 25, 100, np.log(2)], rtol=2e-4)
    loss.sum().backward()
    np.testing.assert_allclose(logits.grad.numpy(), [0, 0, 0, 0, 0, -0.5], atol=1e-30)
    certain = nb.tensor(np.array([0.0, 1.0, 1e-20, 0.0, 1.0, 1e-13], np.float32), requires_grad=True)
    target = nb.tensor(np.array([1.0, 0.5, 1.0, 0.0, 1.0, 0.0], np.float32))
    F.binary_cross_entropy(certain, target, reduction="sum").backward()
    np.testing.assert_allclose(certain.grad.numpy(), [-1e12, 5e11, -1e12, 0, 0, 0.1], rtol=1e-6)


def test_simple_losses(backend):
    x, y = nb.tensor([1.0, 2.0]), nb.tensor([3.0, 5.0])
    assert F.mse_loss(x, y).item() == 6.5
    assert F.mse_loss(x, y, "sum").item() == 13
    assert F.mse_loss(x, y, "none").tolist() == [4, 9]
    assert F.l1_loss(x, y).item() == 2.5


# --- layers ----------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda x: F.conv2d(x, nb.zeros(5, 2, 3, 3)), RuntimeError, "expected input.* to have 2 channels, but got 3"),
        (lambda x: F.conv2d(x, nb.zeros(5, 3, 7, 3)), RuntimeError, "does not fit into the picture"),
        (lambda x: F.conv2d(x, nb.zeros(5, 3, 3, 3), nb.zeros(4)), RuntimeError, r"expected bias of shape \(5,\)"),
        (lambda x: F.conv2d(x, nb.zeros(5, 3, 3, 3), stride=0), RuntimeError, "must be positive"),
        (lambda x: F.conv2d(x, nb.zeros(5, 3, 3, 3).double()), RuntimeError, "one dtype"),
        (lambda x: F.conv2d(x, nb.zeros(5, 3, 3, 3), stride=(1, 2, 3)), ValueError, "pair of ints"),
        (lambda x: F.conv2d(x, nb.zeros(5, 3, 3, 3), padding="full"), ValueError, "'valid' or 'same'"),
        (lambda x: F.conv2d(x, nb.zeros(5, 3, 3, 3), padding="same", stride=2), ValueError, "strided"),
        (lambda x: F.conv2d(x, nb.zeros(5, 3, 3, 3), activation="tanh"), ValueError, "unknown activation"),
        (lambda x: F.conv2d(x[0, 0], nb.zeros(5, 3, 3, 3)), RuntimeError, r"expects \(n, c, h, w\)"),
        (lambda x: F.conv2d(x.long(), nb.zeros(5, 3, 3, 3).long()), RuntimeError, "floating-point"),
        (lambda x: F.max_pool2d(x, 3, padding=2), RuntimeError, "at most half"),
        (lambda x: F.max_pool2d(x, 7), RuntimeError, "too small"),
        (lambda x: F.avg_pool2d(x, 0), RuntimeError, "must be positive"),
        (lambda x: F.adaptive_avg_pool2d(x, 0), RuntimeError, "must be positive"),
        (lambda x: F.linear(x, nb.zeros(5, 4)), RuntimeError, "does not fit a weight"),
        (lambda x: F.linear(x, nb.zeros(5, 6), nb.zeros(4)), RuntimeError, "bias of shape"),
        (lambda x: F.linear(x, nb.zeros(5, 6), activation="softplus"), ValueError, "unknown activation"),
        (lambda x: F.pad(x, (1, 2, 3)), RuntimeError, "pair a dimension"),
        (lambda x: F.pad(x, (-4, -4)), RuntimeError, "cuts off more"),
        (lambda x: F.pad(x, (1, 1), mode="mirror"), NotImplementedError, "'reflect'"),
        (lambda x: F.pad(x, (x.shape[-1], 1), mode="reflect"), RuntimeError, "takes at most"),
        (lambda x: F.pad(x, (0, x.shape[-1] + 1), mode="circular"), RuntimeError, "takes at most"),
        (lambda x: F.pad(x[:0], (0, 0) * (x.ndim - 1) + (1, 1), mode="replicate"), RuntimeError, "takes at most 0"),
    ],
)
def test_layer_errors(backend, call, error, message):
    with pytest.raises(error, match=message):
        call(nb.zeros(2, 3, 6, 6))


def test_single_pictures(backend):
    x, w = nb.randn(3, 6, 6), nb.randn(4, 3, 3, 3)
    assert F.conv2d(x, w).allclose(F.conv2d(x.unsqueeze(0), w)[0])
    assert F.max_pool2d(x, 2).shape == F.avg_pool2d(x, 2).shape == (3, 3, 3)
    values, indices = F.max_pool2d(x, 2, return_indices=True)
    assert indices.dtype == nb.int64
    assert x.flatten(1).gather(1, indices.flatten(1)).equal(values.flatten(1))


def test_named_padding(backend):
    x, w = nb.randn(1, 1, 7, 8), nb.randn(1, 1, 3, 5)
    assert F.conv2d(x, w, padding="same").shape == (1, 1, 7, 8)
    assert F.conv2d(x, w, padding="same", dilation=2).shape == (1, 1, 7, 8)
    assert F.conv2d(x, w, padding="valid").equal(F.conv2d(x, w))


@pytest.mark.parametrize("size", [1, 2, 3, (2, 5), (None, 4), 7])
def test_adaptive_pooling(backend, size):
    array = np.random.default_rng(0).normal(size=(2, 3, 7, 5)).astype(np.float32)
    x = nb.tensor(array, requires_grad=True)
    found = F.adaptive_avg_pool2d(x, size)
    sizes = size if isinstance(size, tuple) else (size, size)
    oh, ow = (extent if s is None else s for s, extent in zip(sizes, (7, 5), strict=True))
    assert found.shape == (2, 3, oh, ow)
    for i, j in itertools.product(range(oh), range(ow)):
        rows, columns = slice(i * 7 // oh, -(-(i + 1) * 7 // oh)), slice(j * 5 // ow, -(-(j + 1) * 5 // ow))
        np.testing.assert_allclose(
            found.detach().numpy()[:, :, i, j], array[:, :, rows, columns].mean((2, 3)), rtol=1e-5, atol=1e-6
        )
    found.sum().backward()
    assert x.grad.sum().item() == pytest.approx(2 * 3 * oh * ow, rel=1e-5)


def test_one_hot(backend):
    assert F.one_hot(nb.tensor([0, 2])).tolist() == [[1, 0, 0], [0, 0, 1]]
    assert F.one_hot(nb.tensor([[1]]), 3).shape == (1, 1, 3)
    assert F.one_hot(nb.tensor([1])).dtype == nb.int64
    for call, message in [
        (lambda: F.one_hot(nb.tensor([3]), 3), "smaller than num_classes"),
        (lambda: F.one_hot(nb.tensor([-1])), "non-negative"),
        (lambda: F.one_hot(nb.zeros(0).long()), "Can not infer"),
        (lambda: F.one_hot(nb.tensor([1.0])), "int64"),
    ]:
        with pytest.raises(RuntimeError, match=message):
            call()


@pytest.mark.parametrize("pad", [(1, 2), (0, 0, 3, 1), (1, -1), (-1, 2, 2, -2)])
def test_pad(backend, pad):
    array = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    x = nb.tensor(array, requires_grad=True)
    found = F.pad(x, pad, value=-1)
    borders = [(0, 0)] * (3 - len(pad) // 2) + [(pad[i], pad[i + 1]) for i in range(len(pad) - 2, -1, -2)]
    wanted = np.pad(array, [(max(0, a), max(0, b)) for a, b in borders], constant_values=-1)
    cut = tuple(slice(max(0, -a), n - max(0, -b)) for (a, b), n in zip(borders, wanted.shape, strict=True))
    np.testing.assert_array_equal(found.detach().numpy(), wanted[cut])
    found.sum().backward()
    assert x.grad.sum().item() == (wanted[cut] != -1).sum()
    assert F.pad(x, (1, 0), "constant", None).tolist() == F.pad(x, (1, 0)).tolist()


@pytest.mark.parametrize(("mode", "name"), [("reflect", "reflect"), ("replicate", "edge"), ("circular", "wrap")])
@pytest.mark.parametrize("pad", [(1, 2), (0, 3, 2, 0), (1, -1), (-1, 2, 1, -1), (3, 3, 2, 2, 1, 1), (0, 0)], ids=str)
def test_pad_with_its_own(backend, mode, name, pad):
    """NumPy's values, each of which sends its gradient where it came from."""
    array = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    x = nb.tensor(array, requires_grad=True)
    borders = [(0, 0)] * (3 - len(pad) // 2) + [(pad[i], pad[i + 1]) for i in range(len(pad) - 2, -1, -2)]
    kept = array[tuple(slice(max(0, -a), n - max(0, -b)) for (a, b), n in zip(borders, array.shape, strict=True))]
    wanted = np.pad(kept, [(max(0, a), max(0, b)) for a, b in borders], mode=name)
    found = F.pad(x, pad, mode)
    np.testing.assert_array_equal(found.detach().numpy(), wanted)
    found.sum().backward()
    np.testing.assert_array_equal(x.grad.numpy().ravel(), np.bincount(wanted.astype(int).ravel(), minlength=24))


@pytest.mark.parametrize(("mode", "name"), [("reflect", "reflect"), ("replicate", "edge")])
@pytest.mark.parametrize("pad", [(-2, 3), (3, -1), (-3, 2), (2, -2, -2, 1)], ids=str)
def test_pad_shows_what_it_cuts_off(backend, mode, name, pad):
    """As PyTorch: a mirror stands at the edge of the input, not where it is cut."""
    array = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    borders = [(0, 0)] * (3 - len(pad) // 2) + [(pad[i], pad[i + 1]) for i in range(len(pad) - 2, -1, -2)]
    wanted = np.pad(array, [(max(0, a), max(0, b)) for a, b in borders], mode=name)
    cut = tuple(slice(max(0, -a), n - max(0, -b)) for (a, b), n in zip(borders, wanted.shape, strict=True))
    np.testing.assert_array_equal(F.pad(nb.tensor(array), pad, mode).numpy(), wanted[cut])


@pytest.mark.parametrize("mode", ["constant", "reflect", "replicate", "circular"])
@pytest.mark.parametrize("pad", [(0, 0), (-1, 0)])
def test_pad_gives_memory_of_its_own(backend, mode, pad):
    x = nb.ones(2, 3, 4)
    F.pad(x, pad, mode).zero_()
    assert x.sum().item() == 24


def test_activations(backend):
    x = nb.tensor([-1.0, 0.0, 2.0])
    assert F.relu(x).tolist() == [0, 0, 2]
    np.testing.assert_allclose(F.sigmoid(x).numpy(), scipy.special.expit(x.numpy()), rtol=1e-6)
    np.testing.assert_allclose(F.tanh(x).numpy(), np.tanh(x.numpy()), rtol=1e-6)
    assert F.relu(x, inplace=True) is x
    assert x.tolist() == [0, 0, 2]
    assert F.softmax(nb.tensor(3.0), 0).item() == 1
    assert x.softmax(0).sum().item() == pytest.approx(1)
    assert x.log_softmax(0).exp().sum().item() == pytest.approx(1)
    assert F.flatten(nb.zeros(2, 3, 4), 1).shape == (2, 12)
