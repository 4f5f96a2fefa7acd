"""Every registered model for pictures: builds, is as large as it says, learns, travels, and says what is wrong with its
input."""

from __future__ import annotations

import copy
import math
import pickle

import numpy as np
import pytest

import numbanet as nb
from numbanet import interop, models, nn, optim
from tests.conftest import backends

BATCH = 4
LARGE = ("alexnet", "resnet18", "resnet34", "resnet50", "resnet1202")
LONG = ("alexnet_small", "plain32", "plain44", "plain56", "plain110", "resnet32", "resnet44", "resnet56", "resnet110")
SMALLEST = {
    "alexnet": 63,
    "alexnet_small": 31,
    "lenet5": 12,
    "local_net": 12,
    "resnet18": 64,
    "resnet34": 64,
    "resnet50": 64,
}
"""The side of the pictures where it is not 8: the smallest that there can be, or of which a norm has enough values."""


def every(*slow: str) -> list:
    """A parameter for each model, those named marked slow."""
    names = [name for name in models.list_models() if models.model_info(name).kind == "pictures"]
    return [pytest.param(name, marks=[pytest.mark.slow] if name in slow else []) for name in names]


ALL, QUICK = every(*LARGE), every(*LARGE, *LONG)


def make(name, seed=11, **options):
    nb.manual_seed(seed)
    return models.create_model(name, **options)


def small(name, **options):
    """The model for its smallest pictures, without dropout, so that the loss falls."""
    return make(name, num_classes=5, image_size=SMALLEST.get(name, 8), dropout=0.0, **options)


def batch(name, channels=None, size=None, classes=5):
    random = np.random.default_rng(4)
    channels = models.model_info(name).input_shape[0] if channels is None else channels
    height, width = size or [SMALLEST.get(name, 8)] * 2
    x = random.normal(size=(BATCH, channels, height, width)).astype(np.float32)
    return nb.tensor(x), nb.tensor(random.integers(0, classes, BATCH))


def arrays(model):
    return {name: value.numpy().copy() for name, value in model.state_dict().items()}


def train(model, x, y, steps=2):
    """The losses before each of some steps, and after them.

    The steps have a bounded length, because the gradients of a deep plain network are huge at the start."""
    optimizer = optim.SGD(model.parameters(), lr=1e-3, momentum=0.9)
    losses = []
    for step in range(steps + 1):
        optimizer.zero_grad()
        loss = nn.CrossEntropyLoss()(model(x), y)
        losses.append(loss.item())
        if step < steps:
            loss.backward()
            assert all(np.isfinite(parameter.grad.numpy()).all() for parameter in model.parameters())
            nn.utils.clip_grad_norm_(model.parameters(), 1.0)
            optimizer.step()
    return losses


@pytest.mark.parametrize("name", ALL)
def test_is_documented_and_counted(name):
    info = models.model_info(name)
    model = make(name)
    assert sum(parameter.numel() for parameter in model.parameters()) == info.parameters
    layers = models.summarise(model, info.input_shape)
    assert sum(layer.flops for layer in layers) == info.flops
    assert sum(layer.parameters for layer in layers) == info.parameters
    assert len(info.source) > 20
    assert len(info.doc) > 40
    for part in ("×".join(map(str, info.input_shape)), f"{info.parameters:,}", f"{info.flops:,}", info.source):
        assert part in info.build.__doc__
    common = {"num_classes", "in_channels", "image_size", "activation", "norm", "dropout", "classic_dropout", "init"}
    assert common <= set(info.options)


@pytest.mark.parametrize("name", QUICK)
def test_the_seed_decides(name):
    one, same, other = arrays(small(name)), arrays(small(name)), arrays(small(name, seed=12))
    for key, value in one.items():
        np.testing.assert_array_equal(value, same[key])
        if not key.endswith("bias") and value.ndim > 1:
            assert not np.array_equal(value, other[key]), key


DEEP_AND_PLAIN = ("plain44", "plain56", "plain110")


@pytest.mark.parametrize("name", QUICK)
def test_learns_and_travels(backend, name, tmp_path):
    model = small(name)
    x, y = batch(name)
    losses = train(model, x, y)
    # Batch norm makes the gradient grow with depth where there are no shortcuts (row L22): at the start of plain110 a
    # step of length 1e-5 along it already leads elsewhere, so there the loss is only asked to be a number.
    assert losses[-1] < losses[0] or (name in DEEP_AND_PLAIN and np.isfinite(losses).all())
    model.eval()
    expected = model(x).detach().numpy()
    assert expected.shape == (BATCH, 5)
    assert not np.array_equal(small(name, seed=12).eval()(x).detach().numpy(), expected)
    twins = [copy.deepcopy(model), pickle.loads(pickle.dumps(model))]
    for format in interop.FORMATS:
        interop.save_weights(model.state_dict(), tmp_path / "weights", format)
        twins.append(small(name, seed=12).eval())
        twins[-1].load_state_dict(interop.load_weights(tmp_path / "weights"))
    for twin in twins:
        np.testing.assert_array_equal(twin(x).detach().numpy(), expected)


@pytest.mark.parametrize("backend", [one for one in backends() if one.values[0] == "cpu"], indirect=True)
@pytest.mark.parametrize("name", QUICK)
def test_the_same_bits_on_one_and_two_threads(backend, name):
    before = nb.get_num_threads()
    found = []
    try:
        for threads in (1, 2):
            nb.set_num_threads(threads)
            model = small(name)
            losses = train(model, *batch(name))
            found.append((losses, arrays(model)))
    finally:
        nb.set_num_threads(before)
    assert found[0][0] == found[1][0]
    for key, value in found[0][1].items():
        np.testing.assert_array_equal(value, found[1][1][key], err_msg=key)


@pytest.mark.parametrize("name", QUICK)
def test_fits_other_pictures(name):
    """Also pictures that are not square."""
    height = SMALLEST.get(name, 8)
    size = (height + 3, height + 1)
    model = make(name, num_classes=3, in_channels=2, image_size=size)
    logits = model(batch(name, 2, size)[0])
    assert logits.shape == (BATCH, 3)
    logits.square().sum().backward()
    assert all(parameter.grad is not None for parameter in model.parameters())


WIDER = {
    **{f"resnet{depth}": 1.5 * math.sqrt((depth - 2) / 2) for depth in (56, 110, 1202)},
    "alexnet": 4.0 * 1.5**3,
}
"""Each block of a residual network adds its own variance to what comes in; a maximum over a window is larger than what
it is of, and alexnet takes three."""


@pytest.mark.parametrize("name", QUICK)
def test_the_variance_of_activations_is_kept(name):
    """LECTURE row L10: with Kaiming's initialisation it neither dies nor explodes, layer after layer."""
    model = make(name, image_size=2 * SMALLEST.get(name, 8))
    spreads = []
    for module in model.modules():
        if isinstance(module, (nn.Linear, nn.Conv2d, nn.LocallyConnected2d)):
            module.register_forward_hook(lambda m, args, out: spreads.append(float(out.detach().numpy().std())))
    size = [2 * SMALLEST.get(name, 8)] * 2
    model(batch(name, size=size)[0])
    assert len(spreads) >= 3
    assert min(spreads) > 0.3
    assert max(spreads) < WIDER.get(name, 4.0)


@pytest.mark.parametrize("name", QUICK)
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_classes": 0}, "num_classes must be a positive whole number, but got 0"),
        ({"in_channels": 1.5}, "in_channels must be a positive whole number, but got 1.5"),
        ({"image_size": True}, "image_size must be a positive whole number, but got True"),
        ({"image_size": (32, 0)}, "image_size must be a positive whole number, but got 0"),
        ({"activation": "swish"}, "unknown activation 'swish'; use one of: relu, gelu, tanh, sigmoid"),
        ({"norm": "batchnorm"}, "unknown norm 'batchnorm'; use one of: batch, layer, group, instance, none"),
        ({"init": "he"}, "unknown init 'he'; use one of: lecture, pytorch, kaiming_normal"),
        ({"dropout": 1.0}, "dropout must be at least 0 and below 1, but got 1.0"),
        ({"classic_dropout": "yes"}, "classic_dropout must be true or false, but got 'yes'"),
        ({"init_scale": 0}, "init_scale must be a positive number, but got 0"),
    ],
)
def test_bad_options(name, options, message):
    with pytest.raises(ValueError, match=message):
        make(name, **options)


@pytest.mark.parametrize("name", [name for name in QUICK if name.values[0] != "mlp"])
def test_wrong_pictures(name):
    size, info = SMALLEST.get(name, 8), models.model_info(name)
    model, channels = small(name), info.input_shape[0]
    wanted = rf"\(batch, {channels}, {size}, {size}\)"
    for shape, message in (
        ((2, channels + 1, size, size), rf"{wanted}, but got .*; build it with in_channels={channels + 1}"),
        ((2, channels, size + 1, size + 1), rf"{wanted}, but got .*image_size={size + 1}, or resize the pictures"),
        ((2, channels, size, size + 1), rf"{wanted}, but got .*image_size=\({size}, {size + 1}\)"),
        ((channels, size, size), r"a batch of pictures.*add the batch axis with x\[None\]"),
        ((size, size), "a batch of pictures"),
    ):
        with pytest.raises(ValueError, match=f"^{name} takes .*?{message}"):
            model(nb.zeros(*shape))


@pytest.mark.parametrize("norm", ["batch", "layer", "group", "instance", "none"])
@pytest.mark.parametrize("name", QUICK)
def test_norms(name, norm):
    options = {"num_classes": 5, "image_size": 2 * SMALLEST.get(name, 8), "norm": norm}
    if (name, norm) == ("mlp", "instance"):
        with pytest.raises(ValueError, match="unknown norm 'instance'; use one of: batch, layer, group, none"):
            make(name, **options)
        return
    model = make(name, **options)
    logits = model(batch(name, size=[options["image_size"]] * 2)[0])
    logits.square().sum().backward()
    if (name, norm) != ("resnet1202", "none"):  # without a norm each of its 600 blocks doubles the variance
        assert np.isfinite(logits.detach().numpy()).all()
    kinds = {"batch": (nn.BatchNorm1d, nn.BatchNorm2d), "instance": nn.InstanceNorm2d, "none": ()}
    kind = kinds.get(norm, (nn.GroupNorm, nn.LayerNorm))
    norms = [one for one in model.modules() if isinstance(one, kind)]
    assert bool(norms) == (norm != "none")
    assert all(one.weight is not None for one in norms)
    before_norms = [one for one in model.modules() if isinstance(one, (nn.Conv2d, nn.LocallyConnected2d))]
    assert all((one.bias is None) == (norm != "none") for one in before_norms)


@pytest.mark.parametrize("activation", ["gelu", "tanh", "sigmoid"])
@pytest.mark.parametrize("name", QUICK)
def test_other_activations(name, activation):
    model = make(name, activation=activation)
    assert sum(parameter.numel() for parameter in model.parameters()) == models.model_info(name).parameters
    changed = small(name, activation=activation)(batch(name)[0]).detach().numpy()
    assert np.isfinite(changed).all()
    assert not np.array_equal(small(name)(batch(name)[0]).detach().numpy(), changed)


@pytest.mark.parametrize("name", QUICK)
def test_dropout(name):
    """It drops in training; in evaluation the classic form multiplies by 1 − p a layer, and PyTorch's does nothing.

    Without norms and biases all layers are homogeneous, and a half is exact."""
    options = {"num_classes": 5, "image_size": SMALLEST.get(name, 8), "norm": "none"}
    x = batch(name)[0]
    plain = make(name, **options, dropout=0.0)
    inverted = make(name, **options, dropout=0.5, classic_dropout=False)
    classic = make(name, **options, dropout=0.5, classic_dropout=True)
    assert not np.array_equal(plain(x).detach().numpy(), inverted(x).detach().numpy())
    expected = plain.eval()(x).detach().numpy()
    np.testing.assert_array_equal(inverted.eval()(x).detach().numpy(), expected)
    times = 1 if name.startswith(("resnet", "plain")) else 2
    np.testing.assert_array_equal(classic.eval()(x).detach().numpy(), expected * np.float32(0.5**times))


PAPERS = {
    "resnet20": "0.27",
    "resnet32": "0.46",
    "resnet44": "0.66",
    "resnet56": "0.85",
    "resnet110": "1.7",
    "resnet1202": "19.4",
    "plain20": "0.27",
    "plain32": "0.46",
    "plain44": "0.66",
    "plain56": "0.85",
    "plain110": "1.7",
    "alexnet": "61.10",
    "resnet18": "11.69",
    "resnet34": "21.80",
    "resnet50": "25.56",
}
"""Millions of parameters as they are published: He 2015, table 6, and torchvision's pages."""


@pytest.mark.parametrize("name", PAPERS)
def test_parameters_are_those_of_the_papers(name):
    places = len(PAPERS[name].partition(".")[2])
    assert f"{models.model_info(name).parameters / 1e6:.{places}f}" == PAPERS[name]
