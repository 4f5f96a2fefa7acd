"""The tests that the table of operations stands for."""

from __future__ import annotations

import functools

import numpy as np
import pytest

import numbanet
from numbanet import autograd
from numbanet.ops import OPS
from tests.conftest import backends
from tests.ops.row import Row, as_list, assert_close, expect, in_dtype
from tests.ops.table import TABLE

CASES = [pytest.param(row, case, id=f"{row.name}-{case}") for row in TABLE for case in range(len(row.cases))]


def _differentiable(row: Row, case: int) -> bool:
    """At infinite inputs there is nothing to compare gradients with."""
    return row.differentiable and all(np.isfinite(array).all() for array in row.inputs(case))


def _small(row: Row, case: int) -> bool:
    """Second derivatives run the same kernels: no need to look at all sizes."""
    return max(array.size for array in row.inputs(case)) <= 3000


DIFFERENTIABLE = [param for param in CASES if _differentiable(*param.values)]
TWICE = [param for param in DIFFERENTIABLE if param.values[0].twice and _small(*param.values)]
BACKENDS = backends()
FLOAT32, FLOAT64 = np.dtype(np.float32), np.dtype(np.float64)


def in_float64(cases: list) -> list:
    """Cases by back end. float64 runs on the NumPy kernels everywhere: on other back ends one case a row shows that."""
    return [
        pytest.param(backend.values[0], *param.values, marks=backend.marks, id=f"{backend.values[0]}-{param.id}")
        for backend in BACKENDS
        for param in cases
        if backend.values[0] == "numpy" or param.values[1] == 0
    ]


FULL = 60  # elements up to which the gradient is checked one by one, above in random directions


def tensors(arrays, dtype, requires_grad=False):
    made = [numbanet.tensor(in_dtype(array, dtype)) for array in arrays]
    return [x.requires_grad_() if requires_grad and x.is_floating_point() else x for x in made]


def strided(array):
    """The same elements with gaps between them, in reversed order of the dimensions."""
    if array.ndim == 0:
        return np.array([77, array.item()], array.dtype)[1:].reshape(())
    space = np.full([2 * extent for extent in array.shape[::-1]], 77, array.dtype)
    view = space[tuple(slice(None, None, 2) for _ in array.shape)].T
    view[...] = array
    return view


def outputs(row, inputs):
    return [out.detach().numpy() for out in as_list(row.function(*inputs))]


def weights(results, seed=1):
    """Random weights, with which the outputs are summed to one number."""
    rng = np.random.default_rng(seed)
    return [rng.normal(0, 1, out.shape) if out.dtype.kind == "f" else None for out in results]


def loss_of(row, inputs, cotangents, curved=False):
    """The outputs as one number: their weighted sum, or one whose gradient for the outputs depends on them."""
    results = as_list(row.function(*inputs))
    total = None
    for out, weight in zip(results, cotangents, strict=True):
        if weight is not None and (out.requires_grad or total is None):
            if curved:
                out = out + out * out
            term = (out * out.new_tensor(weight, out.dtype)).sum()
            total = term if total is None else total + term
    return total


def gradients(row, inputs, cotangents, curved=False):
    """The gradients of the float inputs, zeros where there is none."""
    leaves = [x for x in inputs if x.is_floating_point()]
    grads = autograd.grad(loss_of(row, inputs, cotangents, curved), leaves, allow_unused=True)
    return [np.zeros(leaf.shape, leaf.dtype) if g is None else g.numpy() for g, leaf in zip(grads, leaves, strict=True)]


# --- forward ---------------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("dtype", [FLOAT32, FLOAT64], ids=str)
@pytest.mark.parametrize(("row", "case"), CASES)
def test_forward(backend, row: Row, case, dtype):
    """Every result is within c·ε·Σ|a||b| of the oracle's."""
    arrays = [in_dtype(array, dtype) for array in row.inputs(case)]
    expected = expect(row, arrays, dtype)
    for out, value, size in zip(outputs(row, tensors(arrays, dtype)), expected.values, expected.sizes, strict=False):
        assert_close(out, value, size, row.tolerance, dtype)


@pytest.mark.parametrize(("row", "case"), CASES)
def test_strided_inputs(backend, row: Row, case):
    """Inputs with gaps, in another order, give what contiguous ones do."""
    arrays = [in_dtype(array, FLOAT32) for array in row.inputs(case)]
    expected = expect(row, arrays, FLOAT32)
    inputs = [numbanet.from_numpy(strided(array)) for array in arrays]
    for out, value, size in zip(outputs(row, inputs), expected.values, expected.sizes, strict=False):
        assert_close(out, value, size, row.tolerance, FLOAT32)


@pytest.mark.parametrize(("row", "case"), [param for param in CASES if param.values[0].nan])
def test_nan_passes_through(backend, row: Row, case):
    """A NaN in an input comes out where the oracle has it."""
    for position in range(len(row.cases[case])):
        arrays = [in_dtype(array, FLOAT32) for array in row.inputs(case)]
        if arrays[position].dtype.kind != "f" or arrays[position].size == 0:
            continue
        arrays[position].flat[arrays[position].size // 2] = np.nan
        values = expect(row, arrays, FLOAT32).values
        for out, value in zip(outputs(row, tensors(arrays, FLOAT32)), values, strict=False):
            if out.dtype.kind == "f":
                np.testing.assert_array_equal(np.isnan(out), np.isnan(value), f"NaN in input {position}")


# --- gradients -------------------------------------------------------------------------------------------------------
def numeric_directions(arrays, rng):
    """Directions in which to differentiate: every element of small inputs, a few random ones of large."""
    floats = [i for i, array in enumerate(arrays) if array.dtype.kind == "f"]
    for i in floats:
        array = arrays[i]
        count = array.size if array.size <= FULL else 6
        for k in range(count):
            direction = np.zeros(array.shape)
            if array.size <= FULL:
                direction.flat[k] = 1
            else:
                direction = rng.normal(0, 1, array.shape) / np.sqrt(array.size)
            yield floats.index(i), i, direction


def central_difference(function, arrays, position, direction, step=1e-6):
    values = []
    for sign in (1, -1):
        moved = list(arrays)
        moved[position] = arrays[position] + sign * step * direction
        values.append(function(moved))
    return (values[0] - values[1]) / (2 * step)


def check_numerically(function, arrays, grads, tolerance=1e-5):
    scale = max([1.0] + [np.abs(g).max() for g in grads if g.size])
    for number, position, direction in numeric_directions(arrays, np.random.default_rng(2)):
        wanted = central_difference(function, arrays, position, direction)
        found = float((grads[number] * direction).sum())
        assert abs(found - wanted) <= tolerance * scale, f"input {position}: {found} for {wanted}"


@pytest.mark.parametrize(("backend", "row", "case"), in_float64(DIFFERENTIABLE), indirect=["backend"])
def test_gradient(backend, row: Row, case):
    """float64 gradients against central differences of the oracle."""
    arrays = row.inputs(case)
    inputs = tensors(arrays, FLOAT64, requires_grad=True)
    results = expect(row, arrays, FLOAT64).values
    cotangents = weights(results)

    def value(moved):
        out = expect(row, moved, FLOAT64).values
        return sum(float((o * w).sum()) for o, w in zip(out, cotangents, strict=True) if w is not None)

    check_numerically(value, arrays, gradients(row, inputs, cotangents))


@functools.cache
def reference_gradients(name, case):
    """float64 gradients on the NumPy back end for inputs rounded to float32, and the sizes of their sums."""
    row = next(row for row in TABLE if row.name == name)
    before = numbanet.get_backend()
    numbanet.set_backend("numpy")
    try:
        arrays = [in_dtype(array, FLOAT32) for array in row.inputs(case)]
        cotangents = [w if w is None else w.astype(np.float32) for w in weights(expect(row, arrays, FLOAT32).values)]
        wanted = gradients(row, tensors(arrays, FLOAT64, requires_grad=True), cotangents)
        if row.multilinear:
            positive = [np.abs(array) if array.dtype.kind == "f" else array for array in arrays]
            sizes = gradients(
                row, tensors(positive, FLOAT64, requires_grad=True), [w if w is None else np.abs(w) for w in cotangents]
            )
        else:
            sizes = [np.abs(g) + (np.abs(g).max() if g.size else 0) for g in wanted]
        return arrays, cotangents, wanted, sizes
    finally:
        numbanet.set_backend(before)


@pytest.mark.parametrize("layout", ["contiguous", "strided"])
@pytest.mark.parametrize(("row", "case"), DIFFERENTIABLE)
def test_float32_gradient(backend, row: Row, case, layout):
    """float32 gradients of the back end within c·ε·Σ|a||b| of the float64 ones."""
    arrays, cotangents, wanted, sizes = reference_gradients(row.name, case)
    if layout == "contiguous":
        inputs = tensors(arrays, FLOAT32, requires_grad=True)
    else:
        inputs = [numbanet.from_numpy(strided(array)) for array in arrays]
        inputs = [x.requires_grad_() if x.is_floating_point() else x for x in inputs]
    for found, value, size in zip(gradients(row, inputs, cotangents), wanted, sizes, strict=True):
        assert_close(found, value, size, 4 * row.tolerance, FLOAT32)


@pytest.mark.parametrize(("backend", "row", "case"), in_float64(TWICE), indirect=["backend"])
def test_second_derivative(backend, row: Row, case):
    """create_graph: the gradient of a weighted sum of gradients, against central differences of the gradients."""
    arrays = row.inputs(case)
    cotangents = weights(expect(row, arrays, FLOAT64).values)
    first = gradients(row, tensors(arrays, FLOAT64, requires_grad=True), cotangents, curved=True)
    seconds = [np.random.default_rng(3).normal(0, 1, g.shape) for g in first]

    def value(moved):
        grads = gradients(row, tensors(moved, FLOAT64, requires_grad=True), cotangents, curved=True)
        return sum(float((g * w).sum()) for g, w in zip(grads, seconds, strict=True))

    inputs = tensors(arrays, FLOAT64, requires_grad=True)
    leaves = [x for x in inputs if x.is_floating_point()]
    grads = autograd.grad(loss_of(row, inputs, cotangents, True), leaves, create_graph=True, allow_unused=True)
    total = sum(((g * g.new_tensor(w)).sum() for g, w in zip(grads, seconds, strict=True) if g is not None), start=0.0)
    if isinstance(total, float) or not total.requires_grad:
        found = [np.zeros(x.shape) for x in leaves]
    else:
        found = autograd.grad(total, leaves, allow_unused=True)
        found = [np.zeros(x.shape) if g is None else g.numpy() for g, x in zip(found, leaves, strict=True)]
    check_numerically(value, arrays, found, tolerance=2e-5)


@pytest.mark.parametrize("row", [pytest.param(row, id=row.name) for row in TABLE if row.refuses_twice])
def test_refused_second_derivative(backend, row: Row):
    """Where a gradient cannot be differentiated, that is said."""
    inputs = tensors(row.inputs(0), FLOAT64, requires_grad=True)
    cotangents = weights(expect(row, row.inputs(0), FLOAT64).values)
    grads = autograd.grad(loss_of(row, inputs, cotangents), [inputs[0]], create_graph=True)
    with pytest.raises(RuntimeError, match=row.refuses_twice):
        grads[0].sum().backward()


# --- the same bits ---------------------------------------------------------------------------------------------------
@pytest.mark.parametrize("backend", [param for param in BACKENDS if param.values[0] == "cpu"], indirect=True)
@pytest.mark.parametrize(("row", "case"), CASES)
def test_same_bits_on_any_number_of_threads(backend, row: Row, case):
    arrays = [in_dtype(array, FLOAT32) for array in row.inputs(case)]
    cotangents = weights(expect(row, arrays, FLOAT32).values)
    before = numbanet.get_num_threads()
    found = []
    try:
        for threads in (1, 2):
            numbanet.set_num_threads(threads)
            results = outputs(row, tensors(arrays, FLOAT32))
            if row.differentiable:
                results += gradients(row, tensors(arrays, FLOAT32, requires_grad=True), cotangents)
            found.append([np.ascontiguousarray(result).tobytes() for result in results])
    finally:
        numbanet.set_num_threads(before)
    assert found[0] == found[1]


# --- the table itself ------------------------------------------------------------------------------------------------
def test_every_op_has_a_row():
    """An op class without a row is an op without a test."""
    missing = sorted(kind.__name__ for kind in set(OPS) - {kind for row in TABLE for kind in row.ops})
    assert not missing, f"add rows to tests/ops/table.py for: {', '.join(missing)}"


def test_every_op_can_be_remembered():
    """A dataclass that compares its fields has no hash, and what an eager call works out is kept by the op."""
    assert [kind.__name__ for kind in OPS if kind.__hash__ is None] == []


def test_row_names_are_unique():
    names = [row.name for row in TABLE]
    assert len(names) == len(set(names))


@pytest.mark.parametrize("row", [pytest.param(row, id=row.name) for row in TABLE])
def test_row_runs_the_ops_that_it_names(row: Row):
    """A row that no longer reaches its op would prove nothing."""
    ran = set()
    before = autograd.set_recorder(lambda op, inputs, outs: ran.add(type(op)))
    try:
        arrays = row.inputs(0)
        inputs = tensors(arrays, FLOAT64, requires_grad=row.differentiable)
        if row.differentiable:
            cotangents = weights(expect(row, arrays, FLOAT64).values)
            gradients(row, inputs, cotangents)
            if row.twice:  # gradients that are to be differentiated run as other ops
                leaves = [x for x in inputs if x.is_floating_point()]
                autograd.grad(loss_of(row, inputs, cotangents), leaves, create_graph=True, allow_unused=True)
        else:
            row.function(*inputs)
    finally:
        autograd.set_recorder(before)
    assert set(row.ops) <= ran
