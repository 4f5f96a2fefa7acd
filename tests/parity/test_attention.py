"""Attention and the Transformer's layers against PyTorch's: the same state, outputs, weights and gradients."""

from __future__ import annotations

import numpy as np
import pytest

import numbanet
from numbanet import nn
from numbanet.nn import functional as F

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch
RANDOM = np.random.default_rng


def assert_close(ours, theirs, tolerance=2e-5) -> None:
    np.testing.assert_allclose(
        ours.detach().numpy(), theirs.detach().numpy(), rtol=tolerance, atol=tolerance, equal_nan=False
    )


def both(array, gradient=True):
    """The same array as a tensor of either library."""
    if array is None:
        return None, None
    mine, other = numbanet.tensor(array), torch.tensor(array)
    if gradient and array.dtype.kind == "f":
        mine.requires_grad_()
        other.requires_grad_()
    return mine, other


def numbers(seed, *shape):
    return RANDOM(seed).normal(0, 1, shape).astype(np.float32)


SHAPES = [((2, 3, 7, 8), (2, 3, 9, 8), (2, 3, 9, 5)), ((5, 4), (6, 4), (6, 4)), ((3, 5, 4), (3, 6, 4), (3, 6, 2))]


@pytest.mark.parametrize("shapes", SHAPES, ids=str)
@pytest.mark.parametrize("kind", ["none", "causal", "bool", "float", "scale"])
def test_function(shapes, kind):
    inputs = [both(numbers(i, *shape)) for i, shape in enumerate(shapes)]
    options = ({}, {})
    if kind in ("bool", "float"):
        mask = numbers(7, shapes[0][-2], shapes[1][-2])
        options = tuple({"attn_mask": m} for m in both(mask > -0.5 if kind == "bool" else mask, False))
    elif kind != "none":
        options = ({"is_causal": True},) * 2 if kind == "causal" else ({"scale": 0.3},) * 2
    out = F.scaled_dot_product_attention(*(one for one, _ in inputs), **options[0])
    expected = torch.nn.functional.scaled_dot_product_attention(*(one for _, one in inputs), **options[1])
    assert_close(out, expected)
    weights = numbers(9, *out.shape)
    (out * numbanet.tensor(weights)).sum().backward()
    (expected * torch.tensor(weights)).sum().backward()
    for mine, other in inputs:
        assert_close(mine.grad, other.grad)


def test_grouped_heads():
    shapes = (2, 6, 5, 4), (2, 3, 7, 4), (2, 3, 7, 4)
    inputs = [both(numbers(i, *shape)) for i, shape in enumerate(shapes)]
    out = F.scaled_dot_product_attention(*(one for one, _ in inputs), enable_gqa=True)
    expected = torch.nn.functional.scaled_dot_product_attention(*(one for _, one in inputs), enable_gqa=True)
    assert_close(out, expected)
    out.sum().backward()
    expected.sum().backward()
    for mine, other in inputs:
        assert_close(mine.grad, other.grad)


def twins(name, *arguments, **options):
    """A module of ours and PyTorch's with the same state."""
    layer, twin = getattr(nn, name)(*arguments, **options), getattr(torch.nn, name)(*arguments, **options)
    ours, theirs = layer.state_dict(), twin.state_dict()
    assert list(ours) == list(theirs)
    for number, (key, value) in enumerate(theirs.items()):
        assert ours[key].shape == tuple(value.shape), key
        value.copy_(torch.from_numpy(0.5 * numbers(number, *value.shape)))
    layer.load_state_dict({key: value.numpy() for key, value in theirs.items()})
    return layer, twin


def assert_same(layer, twin, call, inputs, tolerance=5e-5):
    """Outputs, and gradients of inputs and parameters, of ``call(module, *inputs)``."""
    pairs = [both(array) for array in inputs]
    out, expected = call(layer, *(one for one, _ in pairs)), call(twin, *(one for _, one in pairs))
    out, expected = (one if isinstance(one, tuple) else (one,) for one in (out, expected))
    loss = other_loss = 0
    for number, (mine, other) in enumerate(zip(out, expected, strict=True)):
        if other is None:
            assert mine is None
            continue
        assert_close(mine, other, tolerance)
        weights = numbers(50 + number, *mine.shape)
        loss = loss + (mine * numbanet.tensor(weights)).sum()
        other_loss = other_loss + (other * torch.tensor(weights)).sum()
    loss.backward()
    other_loss.backward()
    for mine, other in pairs:
        if other is not None and other.requires_grad:
            assert_close(mine.grad, other.grad, 4 * tolerance)
    for parameter, its in zip(layer.parameters(), twin.parameters(), strict=True):
        if its.grad is not None:
            scale = max(1.0, float(its.grad.abs().max()))
            assert_close(parameter.grad / scale, its.grad / scale, 4 * tolerance)


PADDING = np.array([[False] * 6, [False] * 3 + [True] * 3])
CAUSAL = np.triu(np.ones((6, 6), bool), 1)
LAYERS = [
    ({}, "self"), ({"batch_first": True}, "self"), ({"bias": False}, "self"), ({"batch_first": True}, "cross"),
    ({"kdim": 5, "vdim": 7}, "other"), ({"add_bias_kv": True}, "cross"), ({"add_zero_attn": True}, "self"),
]  # fmt: skip


@pytest.mark.parametrize("weights", [True, False])
@pytest.mark.parametrize(("options", "kind"), LAYERS, ids=str)
def test_multihead_attention(options, kind, weights):
    layer, twin = twins("MultiheadAttention", 8, 2, **options)
    shapes = {"self": [(6, 2, 8)], "cross": [(5, 2, 8), (6, 2, 8)], "other": [(5, 2, 8), (6, 2, 5), (6, 2, 7)]}[kind]
    if options.get("batch_first"):
        shapes = [(b, t, e) for t, b, e in shapes]

    def call(module, *inputs):
        query, key, value = (inputs * 3)[:3] if len(inputs) != 2 else (*inputs, inputs[1])
        library = numbanet if module is layer else torch
        padding = library.tensor(PADDING)
        mask = library.tensor(CAUSAL[: query.shape[1 if options.get("batch_first") else 0]])
        out, found = module(query, key, value, key_padding_mask=padding, need_weights=weights, attn_mask=mask)
        return out, found

    assert_same(layer, twin, call, [numbers(20 + i, *shape) for i, shape in enumerate(shapes)])


@pytest.mark.parametrize("average", [True, False])
def test_weights_of_each_head_and_no_batch(average):
    layer, twin = twins("MultiheadAttention", 8, 2)
    float_mask = numbers(3, 2, 6, 6)

    def call(module, x):
        library = numbanet if module is layer else torch
        return module(x, x, x, attn_mask=library.tensor(float_mask), average_attn_weights=average)

    assert_same(layer, twin, call, [numbers(20, 6, 8)])


FORMS = [
    {"norm_first": first, "activation": activation, "batch_first": batch_first}
    for first, activation, batch_first in [(False, "relu", False), (True, "gelu", True), (True, "relu", True)]
] + [{"bias": False, "batch_first": True}]


@pytest.mark.parametrize("options", FORMS, ids=str)
def test_encoder(options):
    layer = nn.TransformerEncoderLayer(8, 2, 12, 0.0, **options)
    layer, twin = twins_of_stack("Encoder", layer, torch.nn.TransformerEncoderLayer(8, 2, 12, 0.0, **options))
    assert [name for name, _ in layer.named_modules()] == [name for name, _ in twin.named_modules()]

    def call(module, x):
        library = numbanet if module is layer else torch
        mask = {"mask": library.tensor(CAUSAL), "src_key_padding_mask": library.tensor(PADDING)}
        return module(x, **mask)

    assert_same(layer, twin, call, [numbers(20, *((2, 6, 8) if options["batch_first"] else (6, 2, 8)))])


def twins_of_stack(kind, layer, twin):
    """Two copies of either layer and a norm, with the same state."""
    stack = getattr(nn, f"Transformer{kind}")(layer, 2, nn.LayerNorm(8))
    options = {"enable_nested_tensor": False} if kind == "Encoder" else {}
    other = getattr(torch.nn, f"Transformer{kind}")(twin, 2, torch.nn.LayerNorm(8), **options)
    theirs = other.state_dict()
    assert list(stack.state_dict()) == list(theirs)
    for number, value in enumerate(theirs.values()):
        value.copy_(torch.from_numpy(0.5 * numbers(number, *value.shape)))
    stack.load_state_dict({key: value.numpy() for key, value in theirs.items()})
    return stack, other


@pytest.mark.parametrize("options", FORMS, ids=str)
def test_decoder(options):
    layer = nn.TransformerDecoderLayer(8, 2, 12, 0.0, **options)
    layer, twin = twins_of_stack("Decoder", layer, torch.nn.TransformerDecoderLayer(8, 2, 12, 0.0, **options))

    def call(module, x, memory):
        library = numbanet if module is layer else torch
        mask = {"tgt_mask": library.tensor(CAUSAL[:5, :5]), "memory_key_padding_mask": library.tensor(PADDING)}
        return module(x, memory, **mask)

    shapes = [(2, 5, 8), (2, 6, 8)] if options["batch_first"] else [(5, 2, 8), (6, 2, 8)]
    assert_same(layer, twin, call, [numbers(20 + i, *shape) for i, shape in enumerate(shapes)])


def test_transformer():
    layer, twin = twins("Transformer", 8, 2, 2, 1, 12, 0.0, batch_first=True)
    size = 5
    np.testing.assert_array_equal(
        nn.Transformer.generate_square_subsequent_mask(size).numpy(),
        torch.nn.Transformer.generate_square_subsequent_mask(size).numpy(),
    )

    def call(module, source, target):
        return module(source, target, tgt_mask=module.generate_square_subsequent_mask(size))

    assert_same(layer, twin, call, [numbers(20, 2, 6, 8), numbers(21, 2, size, 8)])


def test_initial_weights():
    """The same distributions: the bounds of the uniform ones, and what is 0."""
    layer = nn.MultiheadAttention(32, 4)
    bound = np.sqrt(6 / (4 * 32))
    weight = layer.in_proj_weight.detach().numpy()
    assert 0.95 * bound < np.abs(weight).max() <= bound
    assert not layer.in_proj_bias.detach().numpy().any()
    assert not layer.out_proj.bias.detach().numpy().any()
