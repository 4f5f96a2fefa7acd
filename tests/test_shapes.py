"""Shapes and indices of any kind against NumPy's."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import numbanet as nb

SETTINGS = settings(max_examples=60, deadline=None, derandomize=True)
SHAPES = hnp.array_shapes(min_dims=0, max_dims=4, min_side=0, max_side=5)


def filled(shape, dtype=np.float32):
    size = int(np.prod(shape))
    return ((np.arange(size) * 7919) % 23 - 11).astype(dtype).reshape(shape)


def strided(data, array):
    """The array through a tensor with any strides: a permutation of a slice of something larger."""
    order = data.draw(st.permutations(range(array.ndim)))
    steps = [data.draw(st.integers(1, 2)) for _ in order]
    space = np.zeros([array.shape[axis] * step for axis, step in zip(order, steps, strict=True)], array.dtype)
    view = space[tuple(slice(None, None, step) for step in steps)].transpose(np.argsort(order)) if order else space
    view[...] = array
    return nb.from_numpy(view)


@SETTINGS
@given(data=st.data())
def test_broadcasting(data):
    shapes = data.draw(hnp.mutually_broadcastable_shapes(num_shapes=2, max_dims=4, max_side=4, min_side=0)).input_shapes
    a, b = (filled(shape) for shape in shapes)
    x, y = strided(data, a), strided(data, b)
    np.testing.assert_array_equal((x + y).numpy(), a + b)
    np.testing.assert_array_equal((x < y).numpy(), a < b)
    np.testing.assert_array_equal((x > 0).where(x, y).numpy(), np.where(a > 0, a, b))
    x.requires_grad_()
    y.requires_grad_()
    (x * y).sum().backward()
    np.testing.assert_allclose(x.grad.numpy(), _summed(np.broadcast_to(b, np.broadcast_shapes(*shapes)), a.shape))
    np.testing.assert_allclose(y.grad.numpy(), _summed(np.broadcast_to(a, np.broadcast_shapes(*shapes)), b.shape))


def _summed(array, shape):
    lead = array.ndim - len(shape)
    axes = [*range(lead), *(axis for axis, extent in enumerate(shape, lead) if extent == 1)]
    return array.sum(tuple(axes), keepdims=True).reshape(shape)


@SETTINGS
@given(a=SHAPES, b=SHAPES)
def test_what_numpy_cannot_broadcast_neither_can_we(a, b):
    try:
        wanted = np.broadcast_shapes(a, b)
    except ValueError:
        with pytest.raises(RuntimeError, match="cannot be broadcast"):
            nb.zeros(a) + nb.zeros(b)
    else:
        assert (nb.zeros(a) + nb.zeros(b)).shape == wanted


@SETTINGS
@given(data=st.data(), shape=SHAPES, keepdim=st.booleans())
def test_reductions(data, shape, keepdim):
    array = filled(shape)
    x = strided(data, array)
    axes = data.draw(st.none() | st.sets(st.integers(-len(shape), len(shape) - 1)).map(tuple) if shape else st.none())
    if axes is not None and len({axis % len(shape) for axis in axes}) != len(axes):
        axes = tuple({axis % len(shape) for axis in axes})
    np.testing.assert_allclose(x.sum(axes, keepdim).numpy(), array.sum(axes, keepdims=keepdim))
    np.testing.assert_array_equal((x > 0).any(axes, keepdim).numpy(), (array > 0).any(axes, keepdims=keepdim))
    if array.size:
        np.testing.assert_array_equal(x.amax(axes, keepdim).numpy(), array.max(axes, keepdims=keepdim))
    x.requires_grad_()
    x.sum(axes, keepdim).sum().backward()
    np.testing.assert_array_equal(x.grad.numpy(), np.ones(shape))


@SETTINGS
@given(data=st.data(), shape=hnp.array_shapes(max_dims=4, max_side=4))
def test_basic_indexing(data, shape):
    array = filled(shape)
    index = data.draw(hnp.basic_indices(shape, allow_newaxis=True))
    index = tuple(_forward(part) for part in index) if isinstance(index, tuple) else _forward(index)
    x = strided(data, array)
    np.testing.assert_array_equal(x[index].numpy(), array[index])
    if array[index].size:
        assert np.shares_memory(x[index].numpy(), x.numpy())
    _check_assignment(x, array, index)


def _forward(part):
    """A slice that goes forward: the others are an error."""
    if isinstance(part, slice) and part.step is not None and part.step < 0:
        return slice(part.start, part.stop, -part.step)
    return part


def _check_assignment(x, array, index):
    """Assignment at the index and the gradients of both."""
    values = filled(array[index].shape) + 100
    wanted = array.copy()
    wanted[index] = values
    base, new = nb.tensor(array, requires_grad=True), nb.tensor(values, requires_grad=True)
    y = base * 1
    y[index] = new
    np.testing.assert_array_equal(y.detach().numpy(), wanted)
    y.sum().backward()
    kept = np.ones(array.shape, np.float32)
    kept[index] = 0
    np.testing.assert_array_equal(base.grad.numpy(), kept)
    x = x.detach().requires_grad_()
    x[index].sum().backward()
    counts = np.zeros(array.shape, np.float32)
    np.add.at(counts, index, 1)
    np.testing.assert_array_equal(x.grad.numpy(), counts)


@SETTINGS
@given(data=st.data(), shape=hnp.array_shapes(max_dims=4, max_side=4))
def test_advanced_indexing(data, shape):
    """Index arrays among ints, slices and None, side by side and apart."""
    array = filled(shape)
    common = data.draw(hnp.array_shapes(min_dims=0, max_dims=2, min_side=0, max_side=3))
    parts, axis, used = [], 0, False
    while axis < len(shape):
        kind = data.draw(st.sampled_from(["slice", "int", "array", "none", "stop"]))
        if kind == "stop":
            break
        if kind == "none":
            parts.append(None)
            continue
        extent = shape[axis]
        if kind == "slice":
            parts.append(_forward(data.draw(st.slices(extent))))
        elif kind == "int":
            parts.append(data.draw(st.integers(-extent, extent - 1)))
        else:
            parts.append(data.draw(hnp.arrays(np.int64, common, elements=st.integers(-extent, extent - 1))))
            used = True
        axis += 1
    if not used or common == ():
        return
    index = tuple(parts)
    x = strided(data, array)
    ours = tuple(nb.tensor(part) if isinstance(part, np.ndarray) else part for part in index)
    np.testing.assert_array_equal(x[ours].numpy(), array[index])
    x.requires_grad_()
    x[ours].sum().backward()
    counts = np.zeros(array.shape, np.float32)
    np.add.at(counts, index, 1)
    np.testing.assert_array_equal(x.grad.numpy(), counts)


@SETTINGS
@given(data=st.data(), shape=hnp.array_shapes(max_dims=3, max_side=4))
def test_masks(data, shape):
    array = filled(shape)
    mask = data.draw(hnp.arrays(np.bool_, shape[: data.draw(st.integers(1, len(shape)))]))
    x = strided(data, array)
    np.testing.assert_array_equal(x[nb.tensor(mask)].numpy(), array[mask])
    _check_assignment(x, array, mask)


@SETTINGS
@given(data=st.data(), shape=SHAPES)
def test_reshape(data, shape):
    array = filled(shape)
    x = strided(data, array)
    factors = data.draw(st.permutations([*shape, 1]))
    if array.size:
        position = data.draw(st.integers(0, len(factors) - 1))
        factors[position] = -1
    np.testing.assert_array_equal(x.reshape(factors).numpy(), array.reshape(factors))
    flat = x.reshape(-1) if array.size else x.reshape(0)
    np.testing.assert_array_equal(flat.numpy(), array.reshape(-1))
    if array.size > 1:
        half = (2, array.size // 2) if array.size % 2 == 0 else (array.size, 1)
        np.testing.assert_array_equal(x.reshape(half).numpy(), array.reshape(half))
        try:
            view = x.view(half)
        except RuntimeError:
            assert not x.is_contiguous()
        else:
            assert np.shares_memory(view.numpy(), x.numpy())
            np.testing.assert_array_equal(view.numpy(), array.reshape(half))


@SETTINGS
@given(data=st.data(), shape=hnp.array_shapes(max_dims=4, max_side=4, min_side=0))
def test_joining_and_splitting(data, shape):
    axis = data.draw(st.integers(-len(shape), len(shape) - 1))
    array = filled(shape)
    x = strided(data, array)
    np.testing.assert_array_equal(nb.cat([x, x * 2], axis).numpy(), np.concatenate([array, array * 2], axis))
    np.testing.assert_array_equal(nb.stack([x, x * 2], axis).numpy(), np.stack([array, array * 2], axis))
    size = data.draw(st.integers(1, 5))
    np.testing.assert_array_equal(nb.cat(x.split(size, axis), axis).numpy(), array)
    np.testing.assert_array_equal(nb.cat(x.chunk(size, axis), axis).numpy(), array)


@SETTINGS
@given(data=st.data())
def test_matmul_shapes(data):
    signature = hnp.mutually_broadcastable_shapes(signature="(m?,k),(k,n?)->(m?,n?)", max_dims=2, max_side=3)
    shapes = data.draw(signature).input_shapes
    a, b = (filled(shape) for shape in shapes)
    np.testing.assert_allclose((strided(data, a) @ strided(data, b)).numpy(), a @ b)
