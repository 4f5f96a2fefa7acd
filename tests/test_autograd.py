"""PyTorch's rules of differentiation."""

from __future__ import annotations

import gc
import weakref

import numpy as np
import pytest

import numbanet as nb
from numbanet import autograd


def leaf(*values, dtype=np.float32):
    return nb.tensor(list(values), dtype=dtype, requires_grad=True)


def test_gradients_add_up(backend):
    x = leaf(1.0, 2.0)
    (x * x).sum().backward()
    (x * 3).sum().backward()
    assert x.grad.tolist() == [5, 7]
    assert not x.grad.requires_grad


def test_an_input_used_twice_gets_both_gradients(backend):
    x = leaf(2.0)
    y = x * x
    (y * y + y).sum().backward()
    assert x.grad.tolist() == [4 * 8 + 4]


def test_a_gradient_must_be_given_for_more_than_one_number(backend):
    x = leaf(1.0, 2.0)
    with pytest.raises(RuntimeError, match="grad can be implicitly created only for scalar outputs"):
        (x * 2).backward()
    (x * 2).backward(nb.tensor([1.0, 10.0]))
    assert x.grad.tolist() == [2, 20]
    with pytest.raises(RuntimeError, match="Mismatch in shape"):
        (x * 2).backward(nb.tensor([1.0]))


def test_what_requires_no_grad_has_no_backward(backend):
    with pytest.raises(RuntimeError, match="element 0 of tensors does not require grad and does not have a grad_fn"):
        nb.tensor(1.0).backward()
    with nb.no_grad():
        y = leaf(1.0).sum()
    with pytest.raises(RuntimeError, match="does not require grad"):
        y.backward()


def test_second_backward(backend):
    x = leaf(1.0, 2.0)
    y = (x * x).sum()
    y.backward(retain_graph=True)
    y.backward()
    assert x.grad.tolist() == [4, 8]
    with pytest.raises(RuntimeError, match="Trying to backward through the graph a second time"):
        y.backward()


def test_second_backward_of_what_saves_nothing(backend):
    x = leaf(1.0, 2.0)
    y = (x + 1).sum()
    y.backward()
    y.backward()
    assert x.grad.tolist() == [2, 2]


def test_backward_frees_what_was_saved(backend):
    x = leaf(1.0)
    y = x * 2
    z = y * y
    saved = weakref.ref(y)
    del y
    z.sum().backward()
    gc.collect()
    assert saved() is None


def test_graph_needs_no_garbage_collector(backend):
    """No reference cycles: a graph goes when its last tensor does."""
    gc.collect()
    gc.disable()
    try:
        x = leaf(1.0, 2.0)
        y = x.exp().relu()
        node = y.grad_fn
        probe = weakref.ref(y)
        kept = len([o for o in gc.get_objects() if isinstance(o, autograd.Node)])
        del y, node
        assert probe() is None
        assert len([o for o in gc.get_objects() if isinstance(o, autograd.Node)]) < kept
    finally:
        gc.enable()


def test_very_deep_graphs(backend):
    x = leaf(1.0)
    y = x
    for _ in range(20_000):
        y = y + x
    y.backward()
    assert x.grad.tolist() == [20_001]
    del y  # and its 20,000 nodes, one held by the next


def test_grad_shares_memory_with_nothing(backend):
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    given = nb.tensor([1.0, 1.0])
    (x + y).backward(given)
    pointers = {x.grad.data_ptr(), y.grad.data_ptr(), given.data_ptr()}
    assert len(pointers) == 3
    x.grad.zero_()
    assert y.grad.tolist() == [1, 1]
    assert given.tolist() == [1, 1]


def test_grad_of_views_owns_its_memory(backend):
    x, y = leaf(1.0, 2.0), leaf(3.0, 4.0)
    ((x * 1).reshape(2, 1) + (y * 1).reshape(2, 1)).sum().backward()
    assert x.grad.data_ptr() != y.grad.data_ptr()
    x.grad.add_(5)
    assert y.grad.tolist() == [1, 1]


def test_grad_of_a_leaf_that_was_the_root(backend):
    x = leaf(1.0, 2.0)
    given = nb.tensor([3.0, 4.0])
    x.backward(given)
    x.grad.zero_()
    assert given.tolist() == [3, 4]


def test_hooked_gradients_are_not_taken_over(backend):
    x = leaf(1.0, 2.0)
    seen = []
    x.register_hook(lambda grad: seen.append(grad))
    (x * 2).sum().backward()
    x.grad.zero_()
    assert seen[0].tolist() == [2, 2]


def test_what_hooks_on_the_way_have_seen_is_not_taken_over(backend):
    x = leaf(1.0, 2.0)
    seen = []

    def hook(grad):
        seen.append(grad)
        seen.append(grad * 3)
        return seen[-1]

    y = x + 0
    y.register_hook(hook)
    (y * 2).sum().backward()
    x.grad.zero_()
    assert [grad.tolist() for grad in seen] == [[2, 2], [6, 6]]


def test_what_module_hooks_have_seen_is_not_taken_over(backend):
    from numbanet import nn

    layer = nn.Identity()
    seen = []
    layer.register_full_backward_hook(lambda module, grad_input, grad_output: seen.extend([*grad_input, *grad_output]))
    x = leaf(1.0, 2.0)
    (layer(x) * 2).sum().backward()
    x.grad.zero_()
    assert [grad.tolist() for grad in seen] == [[2, 2], [2, 2]]


def test_grad_must_fit(backend):
    x = leaf(1.0, 2.0)
    with pytest.raises(RuntimeError, match="different size or type"):
        x.grad = nb.zeros(3)
    with pytest.raises(TypeError, match="Tensor or None"):
        x.grad = 1.0
    x.grad = nb.ones(2)
    x.grad = None
    assert x.grad is None


def test_grad_leaves_the_leaves_alone(backend):
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    y = x * w
    gx, gy = autograd.grad((y * y).sum(), [x, y])
    assert gx.tolist() == [18, 64]
    assert gy.tolist() == [6, 16]
    assert x.grad is None
    assert w.grad is None


def test_grad_of_unused_inputs(backend):
    x, w = leaf(1.0), leaf(2.0)
    with pytest.raises(RuntimeError, match="appears to not have been used in the graph. Set allow_unused=True"):
        autograd.grad((x * x).sum(), [x, w], retain_graph=True)
    gx, gw = autograd.grad((x * x).sum(), [x, w], allow_unused=True)
    assert gx.tolist() == [2]
    assert gw is None
    with pytest.raises(RuntimeError, match="does not require grad"):
        autograd.grad((x * x).sum(), [nb.tensor([1.0])])


def test_grad_goes_only_where_it_must(backend):
    """The part of the graph that leads to no input is not walked, and so not freed."""
    x, w = leaf(1.0, 2.0), leaf(3.0, 4.0)
    other = (w * w).exp()
    total = (x * x + other).sum()
    (gx,) = autograd.grad(total, [x])
    assert gx.tolist() == [2, 4]
    other.sum().backward()
    assert w.grad is not None


def test_higher_derivatives(backend):
    x = leaf(2.0, dtype=np.float64)
    y = x**3
    for wanted in (12, 12, 6):
        (y,) = autograd.grad(y.sum(), [x], create_graph=True)
        assert y.tolist() == [wanted]
    (y,) = autograd.grad(y.sum(), [x], create_graph=True, allow_unused=True)
    assert y is None or y.tolist() == [0]


def test_gradient_penalty(backend):
    """create_graph through a small network, against central differences."""
    rng = np.random.default_rng(0)
    w = nb.tensor(rng.normal(size=(3, 4)), requires_grad=True)
    x = nb.tensor(rng.normal(size=(5, 4)), requires_grad=True)

    def penalty(w):
        (gx,) = autograd.grad((x @ w.T).tanh().sum(), [x], create_graph=True)
        return gx.square().sum()

    penalty(w).backward()
    step = np.zeros((3, 4))
    step[1, 2] = 1e-6
    with nb.enable_grad():
        moved = [penalty(nb.tensor(w.detach().numpy() + sign * step)).item() for sign in (1, -1)]
    assert abs(w.grad[1, 2].item() - (moved[0] - moved[1]) / 2e-6) < 1e-6


def test_backward_with_create_graph_gives_differentiable_grads(backend):
    x = leaf(3.0)
    (x**3).sum().backward(create_graph=True)
    first = x.grad
    assert first.requires_grad
    x.grad = None
    first.sum().backward()
    assert x.grad.tolist() == [18]
