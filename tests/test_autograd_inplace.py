"""Changes in place and the graph: PyTorch's rules."""

from __future__ import annotations

import numpy as np
import pytest

import numbanet as nb


def leaf(*values, dtype=np.float32):
    return nb.tensor(list(values), dtype=dtype, requires_grad=True)


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
