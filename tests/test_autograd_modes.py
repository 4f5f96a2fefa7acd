"""Hooks, grad modes, threads, and what the dispatcher shows."""

from __future__ import annotations

import threading

import numpy as np
import pytest

import numbanet as nb
from numbanet import autograd


def leaf(*values, dtype=np.float32):
    return nb.tensor(list(values), dtype=dtype, requires_grad=True)


def test_hooks_see_and_change_gradients(backend):
    x = leaf(1.0, 2.0)
    y = x * 2
    seen = []
    handle = y.register_hook(lambda grad: seen.append(grad.tolist()))
    y.register_hook(lambda grad: grad * 10)
    x.register_hook(lambda grad: grad + 1)
    y.sum().backward(retain_graph=True)
    assert seen == [[1, 1]]
    assert x.grad.tolist() == [21, 21]
    handle.remove()
    y.sum().backward()
    assert seen == [[1, 1]]
    with pytest.raises(RuntimeError, match="doesn't require gradient"):
        nb.zeros(1).register_hook(print)


def test_a_hook_may_change_the_first_gradient(backend):
    """It is a constant only where no hook and no ``.grad`` could show it."""
    x = nb.tensor([3.0], requires_grad=True)
    for retains in (False, True):
        x.grad = None
        y = (x * 2).sum()
        if retains:
            y.retain_grad()
        else:
            y.register_hook(lambda grad: grad.mul_(10))
        y.backward()
        assert x.grad.tolist() == [2.0 if retains else 20.0]
        if retains:
            y.grad.fill_(7)
        x.grad = None
        (x * 2).sum().backward()
        assert x.grad.tolist() == [2.0]


def test_a_hook_runs_once_on_the_whole_gradient(backend):
    x = leaf(1.0)
    calls = []
    x.register_hook(lambda grad: calls.append(grad.item()))
    (x * 2 + x * 3).backward()
    assert calls == [5]


def test_retain_grad(backend):
    x = leaf(1.0, 2.0)
    y = x * 2
    y.retain_grad()
    z = y * y
    z.sum().backward()
    assert y.grad.tolist() == [4, 8]
    with pytest.raises(RuntimeError, match="can't retain_grad"):
        nb.zeros(1).retain_grad()


def test_retain_grad_moves_with_in_place_changes(backend):
    x = leaf(1.0, 2.0)
    y = x * 2
    y.retain_grad()
    y.mul_(3)
    (y * 2).sum().backward()
    assert y.grad.tolist() == [2, 2]
    assert x.grad.tolist() == [12, 12]


def test_grad_modes(backend):
    x = leaf(1.0)
    assert nb.is_grad_enabled()
    with nb.no_grad():
        assert not (x * 2).requires_grad
        with nb.enable_grad():
            assert (x * 2).requires_grad
        assert not nb.is_grad_enabled()
    assert nb.is_grad_enabled()
    with nb.set_grad_enabled(False):
        assert not nb.is_grad_enabled()
    assert nb.is_grad_enabled()
    nb.set_grad_enabled(False)
    assert not nb.is_grad_enabled()
    nb.set_grad_enabled(True)

    @nb.no_grad()
    def with_brackets():
        return x * 2

    @nb.no_grad
    def without():
        return x * 2

    assert not with_brackets().requires_grad
    assert not without().requires_grad
    assert with_brackets.__name__ == "with_brackets"


def test_modes_come_back_after_errors(backend):
    with pytest.raises(ZeroDivisionError), nb.no_grad():
        raise ZeroDivisionError
    assert nb.is_grad_enabled()
    x = leaf(1.0)
    x.register_hook(lambda grad: 1 / 0)
    with pytest.raises(ZeroDivisionError):
        (x * 2).backward()
    assert nb.is_grad_enabled()


def test_modes_are_per_thread(backend):
    seen = []
    with nb.no_grad():
        thread = threading.Thread(target=lambda: seen.append(nb.is_grad_enabled()))
        thread.start()
        thread.join()
    assert seen == [True]


def test_threads_differentiate_side_by_side(backend):
    shared = nb.tensor(np.arange(300.0).reshape(3, 100), dtype=nb.float32)
    results = [None] * 4

    def work(i):
        x = (shared + i).requires_grad_()
        for _ in range(20):
            x.grad = None
            (x * x).sum().backward()
        results[i] = x.grad.numpy().copy()

    threads = [threading.Thread(target=work, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for i, result in enumerate(results):
        np.testing.assert_array_equal(result, 2 * (shared.numpy() + i))


def test_detach(backend):
    x = leaf(1.0, 2.0)
    y = (x * 2).detach()
    assert not y.requires_grad
    assert y.is_leaf
    z = x * 2
    z.detach_()
    assert z.is_leaf
    with pytest.raises(RuntimeError, match="views"):
        (x * 2)[0].detach_()


def test_requires_grad_rules(backend):
    with pytest.raises(RuntimeError, match="only Tensors of floating point dtype"):
        nb.arange(3).requires_grad_()
    with pytest.raises(RuntimeError, match="you can only change requires_grad flags of leaf variables"):
        (leaf(1.0) * 2).requires_grad = False
    x = leaf(1.0)
    x.requires_grad = False
    assert not (x * 2).requires_grad


def test_integer_results_carry_no_gradient(backend):
    x = leaf(1.0, 3.0, 2.0)
    values, indices = x.max(0)
    assert values.requires_grad
    assert not indices.requires_grad
    assert not x.argmax().requires_grad
    assert not (x > 1).requires_grad
    assert not x.long().requires_grad


def test_gradients_where_functions_have_kinks(backend):
    """PyTorch's choices: equal extremes share, except where one index is reported; 0 has no slope."""
    from numbanet.nn import functional as F

    def gradient(function, *values):
        x = leaf(*values)
        function(x).sum().backward()
        return x.grad.tolist()

    assert gradient(lambda x: x.amax(), 2.0, 2.0, 1.0) == [0.5, 0.5, 0]
    assert gradient(lambda x: x.max(), 2.0, 2.0, 1.0) == [0.5, 0.5, 0]
    assert gradient(lambda x: x.max(0).values, 2.0, 2.0, 1.0) == [1, 0, 0]
    assert gradient(lambda x: x.maximum(nb.tensor([1.0, 3.0])), 1.0, 2.0) == [0.5, 0]
    assert gradient(lambda x: x.relu(), 0.0, -0.0, 1.0) == [0, 0, 1]
    assert gradient(lambda x: x.abs(), 0.0, -2.0) == [0, -1]
    assert gradient(lambda x: F.max_pool2d(x.reshape(1, 1, 2, 2), 2), 3.0, 3.0, 1.0, 3.0) == [1, 0, 0, 0]
    assert gradient(lambda x: x**0, 0.0, 2.0) == [0, 0]
    assert gradient(lambda x: nb.tensor(0.0) ** x, 1.0, 2.0) == [0, 0]


def test_only_the_needed_gradients_are_computed(backend):
    """Convolutions and products skip the gradient of what requires none."""
    from numbanet.nn import functional as F

    ran, shapes = [], {}

    def record(op, inputs, outputs):
        ran.append(type(op).__name__)
        shapes[ran[-1]] = [output.shape for output in outputs]

    before = autograd.set_recorder(record)
    try:
        x, w = nb.randn(2, 3, 6, 6), nb.randn(4, 3, 3, 3, requires_grad=True)
        F.conv2d(x, w).sum().backward()
        assert shapes["Conv2dBackward"] == [w.shape]
        F.linear(nb.randn(5, 7), nb.randn(2, 7, requires_grad=True)).sum().backward()
        assert shapes["LinearBackward"] == [(2, 7)]
        (F.conv2d(x, w).sum() * 2).backward(create_graph=True)
        assert "Conv2dWeightGrad" in ran
        assert "Conv2dInputGrad" not in ran
        ran.clear()
        a, b = nb.randn(3, 4), nb.randn(4, 5, requires_grad=True)
        (a @ b).sum().backward()
        assert ran.count("MatMul") == 2
    finally:
        autograd.set_recorder(before)


def test_recorder_sees_every_op(backend):
    seen = []
    before = autograd.set_recorder(
        lambda op, inputs, outputs: seen.append((type(op).__name__, len(inputs), len(outputs)))
    )
    try:
        x = nb.zeros(2, 2)
        seen.clear()
        x.T.contiguous().add_(1)
    finally:
        assert autograd.set_recorder(before) is not None
    assert seen == [("Permute", 1, 1), ("Contiguous", 1, 1), ("Add", 2, 1)]


def test_a_wrong_gradient_shape_is_an_error(backend):
    from dataclasses import dataclass

    from numbanet.ops.pointwise import Clone

    @dataclass(slots=True)
    class Wrong(Clone):
        """Its gradient has another shape."""

        def backward(self, node, grad):
            return grad.sum()

    x = leaf(1.0, 2.0)
    with pytest.raises(RuntimeError, match="WrongBackward returned a gradient of shape"):
        autograd.apply(Wrong(), x).sum().backward()
