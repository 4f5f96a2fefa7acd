"""PyTorch's rules of differentiation."""

from __future__ import annotations

import gc
import threading
import weakref

import numpy as np
import pytest

import numbanet as nb
from numbanet import autograd


def leaf(*values, dtype=np.float32):
    return nb.tensor(list(values), dtype=dtype, requires_grad=True)


# --- backward --------------------------------------------------------------------------------------------------------
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


# --- .grad belongs to the leaf ---------------------------------------------------------------------------------------
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


def test_grad_must_fit(backend):
    x = leaf(1.0, 2.0)
    with pytest.raises(RuntimeError, match="different size or type"):
        x.grad = nb.zeros(3)
    with pytest.raises(TypeError, match="Tensor or None"):
        x.grad = 1.0
    x.grad = nb.ones(2)
    x.grad = None
    assert x.grad is None


# --- in-place changes ------------------------------------------------------------------------------------------------
def test_a_leaf_that_requires_grad_is_not_changed_in_place(backend):
    x = leaf(1.0, 2.0)
    for change in (lambda: x.add_(1), lambda: x.zero_(), lambda: x.__setitem__(0, 5.0), lambda: x.copy_(nb.zeros(2))):
        with pytest.raises(
            RuntimeError, match="a leaf Variable that requires grad is being used in an in-place operation"
        ):
            change()
    with nb.no_grad():
        x.add_(1)
    assert x.tolist() == [2, 3]
    assert x.requires_grad
    assert x.is_leaf


def test_a_saved_tensor_that_was_changed_is_noticed(backend):
    x = leaf(1.0, 2.0)
    y = x * 1
    z = y * y
    y.add_(1)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        z.sum().backward()


def test_a_saved_output_that_was_changed_is_noticed(backend):
    x = leaf(1.0, 2.0)
    y = x.exp()
    y.mul_(2)
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_a_change_through_numpy_sharing_views_is_noticed(backend):
    w = nb.tensor([1.0, 2.0])
    x = leaf(3.0, 4.0)
    y = x * w
    w.detach()[0] = 7.0
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        y.sum().backward()


def test_parameters_may_change_between_forward_passes(backend):
    x = leaf(1.0, 2.0)
    (x * x).sum().backward()
    with nb.no_grad():
        x.sub_(x.grad, alpha=0.5)
    assert x.tolist() == [0, 0]
    (x * x + x).sum().backward()
    assert x.grad.tolist() == [3, 5]


@pytest.mark.parametrize(
    ("change", "wanted"),
    [
        (lambda y, w: y.add_(w), ([1, 1], [1, 1])),
        (lambda y, w: y.sub_(w), ([1, 1], [-1, -1])),
        (lambda y, w: y.mul_(w), ([5, 7], [1, 2])),
        (lambda y, w: y.div_(w), ([1 / 5, 1 / 7], [-1 / 25, -2 / 49])),
        (lambda y, w: y.copy_(w), ([0, 0], [1, 1])),
        (lambda y, w: y.__setitem__(0, w[0]), ([0, 1], [1, 0])),
        (lambda y, w: y.__setitem__(nb.tensor([1]), w[1:]), ([1, 0], [0, 1])),
        (lambda y, w: y.zero_(), ([0, 0], None)),
        (lambda y, w: y.exp_(), ([np.e, np.e**2], None)),
        (lambda y, w: y.clamp_(max=1.5), ([1, 0], None)),
        (lambda y, w: y.masked_fill_(nb.tensor([True, False]), 9.0), ([0, 1], None)),
    ],
)
def test_in_place_operations_have_gradients(backend, change, wanted):
    x, w = leaf(1.0, 2.0), leaf(5.0, 7.0)
    y = x * 1
    version = y._version
    change(y, w)
    assert y._version > version
    y.sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), wanted[0], rtol=1e-6)
    if wanted[1] is None:
        assert w.grad is None
    else:
        np.testing.assert_allclose(w.grad.numpy(), wanted[1], rtol=1e-6)


def test_augmented_assignment_is_in_place(backend):
    x = leaf(1.0, 2.0)
    y = x * 1
    pointer = y.data_ptr()
    y += 1
    y *= 2
    y -= 3
    y /= 4
    assert y.data_ptr() == pointer
    y.sum().backward()
    assert x.grad.tolist() == [0.5, 0.5]


def test_values_in_a_buffer_have_gradients(backend):
    w = leaf(2.0, 3.0)
    buffer = nb.zeros(3, 2)
    buffer[0] = w * 2
    buffer[2] = w
    assert buffer.requires_grad
    (buffer * nb.tensor([[1.0], [10.0], [100.0]])).sum().backward()
    assert w.grad.tolist() == [102, 102]


def test_in_place_on_a_view_is_refused(backend):
    x = leaf(1.0, 2.0)
    y = x * 1
    with pytest.raises(RuntimeError, match="a view .* is being changed in place"):
        y[0].add_(1)
    with pytest.raises(RuntimeError, match="a view .* is being changed in place"):
        y.reshape(2, 1).mul_(2)
    with pytest.raises(RuntimeError, match="a view .* is being changed in place"):
        nb.zeros(2, 2)[0].copy_(x)


def test_views_of_what_needs_no_grad_can_change(backend):
    x = nb.zeros(2, 3)
    x[0].add_(1)
    x.T[2].fill_(5)
    assert x.tolist() == [[1, 1, 5], [0, 0, 5]]


def test_an_old_view_of_a_changed_tensor_is_refused(backend):
    x = leaf(1.0, 2.0)
    y = x * 1
    view = y[0]
    y.mul_(3)
    with pytest.raises(RuntimeError, match="Make the view again"):
        (view * 2).backward()
    assert (y[0] * 2).item() == 6


def test_a_view_of_a_parameter_outlives_a_step(backend):
    x = leaf(1.0, 2.0)
    view = x.reshape(2, 1)
    with nb.no_grad():
        x.add_(1)
    view.sum().backward()
    assert x.grad.tolist() == [1, 1]


def test_overlapping_memory_in_place(backend):
    x = nb.arange(5).float()
    x[1:].add_(x[:-1])
    assert x.tolist() == [0, 1, 3, 5, 7]
    y = nb.arange(4).float().reshape(2, 2)
    y.add_(y.T)
    assert y.tolist() == [[0, 3], [3, 6]]


def test_shapes_and_dtypes_in_place(backend):
    with pytest.raises(RuntimeError, match="doesn't match the broadcast shape"):
        nb.zeros(2).add_(nb.zeros(3, 2))
    with pytest.raises(RuntimeError, match="can't be cast to the desired output type int64"):
        nb.arange(3).add_(1.5)
    with pytest.raises(RuntimeError, match="can't be cast"):
        nb.arange(3).div_(2)
    assert nb.zeros(2).add_(nb.tensor([1, 2])).tolist() == [1, 2]


# --- grad() ----------------------------------------------------------------------------------------------------------
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


# --- hooks -----------------------------------------------------------------------------------------------------------
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


# --- modes -----------------------------------------------------------------------------------------------------------
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


def test_only_the_needed_gradients_are_computed(backend):
    """Convolutions and products skip the gradient of what requires none."""
    from numbanet.nn import functional as F

    ran = []
    before = autograd.set_recorder(lambda op, inputs, outputs: ran.append(type(op).__name__))
    try:
        x, w = nb.randn(2, 3, 6, 6), nb.randn(4, 3, 3, 3, requires_grad=True)
        F.conv2d(x, w).sum().backward()
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
