"""Eager calls that are remembered: the same results, whatever arrays come, and no memory held."""

from __future__ import annotations

import numpy as np
import pytest

import numbanet
from numbanet import optim
from numbanet.autograd import dispatch
from numbanet.autograd.dispatch import IN_PLACE
from numbanet.kernels import memory
from numbanet.kernels.calls import remembered
from numbanet.kernels.cpu.simd.pointers import CHECKED
from numbanet.nn import functional as F
from numbanet.ops.clip import sum_of_squares
from numbanet.ops.conv import Conv2d

pytestmark = pytest.mark.skipif(CHECKED, reason="in the check mode nothing is remembered: rows hold buffers' ends")


@pytest.fixture(autouse=True)
def on_the_cpu():
    before = numbanet.get_backend()
    numbanet.set_backend("cpu")
    remembered.calls.clear()
    yield
    numbanet.set_backend(before)


def normal(*shape):
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def test_other_arrays_of_the_same_shapes():
    """Every repetition reads and writes its own arrays: a product with packing, bias and activation."""
    weight, bias = normal(20, 30), normal(20)
    for seed in range(3):
        x = np.random.default_rng(seed).standard_normal((50, 30)).astype(np.float32)
        y = F.linear(numbanet.tensor(x), numbanet.tensor(weight), numbanet.tensor(bias), activation="relu")
        np.testing.assert_allclose(y.numpy(), np.maximum(x @ weight.T + bias, 0), atol=1e-4)
    assert len(remembered.calls) == 1


def test_views_at_other_places():
    """Inputs at another offset of another storage."""
    whole = numbanet.tensor(normal(6, 40))
    for row in range(6):
        np.testing.assert_array_equal(
            (whole[row] + whole[5 - row]).numpy(), whole.numpy()[row] + whole.numpy()[5 - row]
        )


def test_operands_that_share_memory():
    """x + x is not taken for x + y, nor the other way round."""
    x, y = numbanet.tensor(normal(7)), numbanet.tensor(normal(7) + 1)
    for a, b in ((x, x), (x, y), (y, y), (y, x)):
        np.testing.assert_array_equal((a * b).numpy(), a.numpy() * b.numpy())
        assert len(remembered.calls) == 1


def test_in_place():
    """x += y and x += x repeat one call, which is not that of x + y; a stopped one is run again by its op."""
    x, y = numbanet.tensor(normal(7)), numbanet.tensor(normal(7) + 1)
    expected = x.numpy().copy()
    for other in (x, y, x, y):
        expected = expected + (expected if other is x else other.numpy())
        x += other
        np.testing.assert_array_equal(x.numpy(), expected)
        assert x is not (x + other)
        np.testing.assert_array_equal((x + other).numpy(), expected + other.numpy())
    assert x._version == 4
    assert sum(IN_PLACE in key for key in remembered.calls) == 1
    part = numbanet.tensor(normal(4, 5))[1:3, 1:4]
    for _ in range(3):
        before = part.numpy().copy()
        part.mul_(part)
        np.testing.assert_array_equal(part.numpy(), before * before)


def test_tables_of_addresses():
    """What a row reads through a group's table are the arrays of the call, too."""
    for value in range(1, 4):
        tensors = [numbanet.tensor(np.full(9, value, np.float32)), numbanet.tensor(np.full(5, value, np.float32))]
        assert sum_of_squares(tensors).item() == 14 * value**2
    assert sum_of_squares([tensors[0], tensors[0][:5]]).item() == 14 * value**2
    assert len(remembered.calls) == 1


def test_steps_of_an_optimiser():
    """A step is one repeated call, whichever arrays the gradients are; another number of them is another call."""
    parameters = [numbanet.tensor(normal(size)).requires_grad_() for size in (5, 40)]
    optimizer, expected = optim.SGD(parameters, lr=0.5), [one.detach().numpy().copy() for one in parameters]
    kept = []
    for step in range(4):
        for number, one in enumerate(parameters):
            one.grad = numbanet.tensor(normal(*one.shape) + step) if number or step < 3 else None
            if one.grad is not None:
                expected[number] = expected[number] - np.float32(0.5) * one.grad.numpy()
        kept.append([one.grad for one in parameters])
        optimizer.step()
        for one, values in zip(parameters, expected, strict=True):
            np.testing.assert_array_equal(one.detach().numpy(), values)
    assert sum(type(key[0]).__name__ == "SGDUpdate" for key in remembered.calls) == 2


def test_threads_are_part_of_what_is_remembered():
    x, w = numbanet.tensor(normal(4, 3, 20, 20)), numbanet.tensor(normal(16, 3, 3, 3))
    before, results = numbanet.get_num_threads(), []
    try:
        for count in (1, 2, 3, 1):
            numbanet.set_num_threads(count)
            results.append(F.conv2d(x, w, padding=1).numpy())
    finally:
        numbanet.set_num_threads(before)
    for result in results[1:]:
        np.testing.assert_array_equal(result, results[0])
    assert {key[1] for key in remembered.calls} == {1, 2, 3}


def test_temporaries_are_not_held():
    """What waits to be repeated gives its temporary memory back to the pool."""
    x, w = numbanet.tensor(normal(2, 64, 9, 9)), numbanet.tensor(normal(64, 64, 3, 3))
    for _ in range(3):
        F.conv2d(x, w)
    memory.empty_cache()
    F.conv2d(x, w)
    assert memory.pooled_bytes() >= 64 * 64 * 9 * 4  # the packed weights


@pytest.mark.parametrize("wrong", [3, -1, 10**12])
def test_an_error_of_a_repetition_is_told(wrong):
    """By the op itself, which is run once more for it; what comes after is right again."""
    logits, right = numbanet.randn(4, 3), numbanet.tensor([0, 1, 2, 0])
    losses = [F.cross_entropy(logits, right).item() for _ in range(3)]
    assert any(type(key[0]).__name__ == "CrossEntropy" for key in remembered.calls)
    with pytest.raises(IndexError, match=f"target {wrong} of row 2 is out of range: the logits have 3 classes"):
        F.cross_entropy(logits, numbanet.tensor([0, 1, wrong, 0]))
    assert [F.cross_entropy(logits, right).item()] * 3 == losses


def test_ops_with_the_same_settings_are_one():
    first = Conv2d((1, 1), (0, 0), (1, 1), 1)
    assert Conv2d((1, 1), (0, 0), (1, 1), 1) is first
    assert Conv2d((1, 1), (0, 0), (1, 1), 1, "relu") is not first


def test_repetitions_ask_no_op(monkeypatch):
    """The second time neither calls nor changes in place nor optimiser steps get as far as their ops' kernels."""
    x, parameter = numbanet.tensor(normal(7)), numbanet.tensor(normal(5)).requires_grad_()
    optimizer = optim.Adam([parameter], lr=0.1)

    def everything() -> None:
        x.add_(x * x)
        parameter.grad = numbanet.tensor(normal(5))
        optimizer.step()
        sum_of_squares([x, parameter.detach()])

    everything()
    monkeypatch.setattr(dispatch, "_forward", lambda op, *_: pytest.fail(f"{op} was not repeated"))
    for _ in range(3):
        everything()
