"""What users of PyTorch expect of a tensor: making, converting, copying."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import numbanet as nb


@pytest.mark.parametrize(
    ("data", "dtype"),
    [
        (1.5, "float32"),
        (2, "int64"),
        (True, "bool"),
        ([1.0, 2.0], "float32"),
        ([1, 2], "int64"),
        ([[True], [False]], "bool"),
        ([], "float32"),
        (np.array([1.0]), "float64"),
        (np.array([1.0], np.float32), "float32"),
        (np.float64(1.0), "float64"),
        ([np.float64(1.0)], "float64"),
        ([np.array([1.0]), np.array([2.0])], "float64"),
        (np.array([1, 2], np.int32), "int32"),
        (np.array([1, 2], np.uint8), "uint8"),
        (np.array([1, 2], ">i8"), "int64"),
        (np.arange(3)[::-1], "int64"),
    ],
)
def test_dtypes_of_data(backend, data, dtype):
    x = nb.tensor(data)
    assert x.dtype == dtype
    assert x.backend == backend
    np.testing.assert_array_equal(x.numpy(), np.array(data))


def test_tensors_from_tensors(backend):
    x = nb.tensor([1.0, 2.0], dtype=nb.float64)
    assert nb.tensor(x).dtype == nb.float64
    assert nb.tensor(x).data_ptr() != x.data_ptr()
    assert nb.tensor([x, x]).tolist() == [[1, 2], [1, 2]]
    assert nb.as_tensor(x) is x


def test_data_that_is_no_tensor(backend):
    with pytest.raises(TypeError, match="cannot make a tensor of"):
        nb.tensor(["a"])
    with pytest.raises(TypeError, match="tensors cannot be complex128"):
        nb.zeros(2, dtype="complex128")
    with pytest.raises(RuntimeError, match="floating point"):
        nb.tensor([1, 2], requires_grad=True)


def test_from_numpy_shares_memory(backend):
    array = np.arange(6, dtype=np.float64).reshape(2, 3).T
    x = nb.from_numpy(array)
    assert x.dtype == nb.float64
    array[0, 0] = 7
    assert x[0, 0].item() == 7
    x[2, 1] = -1
    assert array[2, 1] == -1
    assert np.shares_memory(x.numpy(), array)
    with pytest.raises(ValueError, match="negative"):
        nb.from_numpy(array[::-1])
    with pytest.raises(TypeError, match="expected np.ndarray"):
        nb.from_numpy([1, 2])
    with pytest.raises(TypeError, match="can't convert np.ndarray of type float16"):
        nb.from_numpy(array.astype(np.float16))


def test_factories(backend):
    assert nb.zeros(2, 3).tolist() == [[0] * 3] * 2
    assert nb.zeros((2, 3)).shape == nb.ones([2, 3]).shape == nb.empty(2, 3).shape == (2, 3)
    assert nb.zeros(0, 3).shape == (0, 3)
    assert nb.zeros(()).shape == ()
    assert nb.full((2,), 3).dtype == nb.int64
    assert nb.full((2,), 3.0).dtype == nb.float32
    assert nb.ones(2, dtype=nb.int64).dtype == nb.int64
    assert nb.arange(5).tolist() == [0, 1, 2, 3, 4]
    assert nb.arange(1, 2, 0.25).tolist() == [1, 1.25, 1.5, 1.75]
    assert nb.arange(5, 0, -2).tolist() == [5, 3, 1]
    assert nb.linspace(0, 1, 3).tolist() == [0, 0.5, 1]
    assert nb.eye(2).tolist() == [[1, 0], [0, 1]]
    x = nb.zeros(2, dtype=nb.float64)
    assert nb.ones_like(x).dtype == nb.float64
    assert nb.zeros_like(x, dtype=nb.int64).dtype == nb.int64
    assert nb.ones(2, requires_grad=True).requires_grad
    with pytest.raises(RuntimeError, match="negative size"):
        nb.zeros(-1)


def test_item(backend):
    assert nb.tensor([[2.5]]).item() == 2.5
    assert isinstance(nb.tensor(3).item(), int)
    assert nb.tensor(True).item() is True
    with pytest.raises(RuntimeError, match="a Tensor with 2 elements cannot be converted to Scalar"):
        nb.zeros(2).item()
    assert float(nb.tensor([1.5], requires_grad=True)) == 1.5
    assert int(nb.tensor(1.5)) == 1
    assert [10, 20][nb.tensor(1)] == 20
    with pytest.raises(TypeError, match="only integer tensors"):
        [1][nb.tensor(0.0)]


def test_truth(backend):
    assert nb.tensor(1.0)
    assert not nb.tensor([0])
    with pytest.raises(RuntimeError, match="Boolean value of Tensor with more than one value is ambiguous"):
        bool(nb.zeros(2))
    with pytest.raises(RuntimeError, match="no values"):
        bool(nb.zeros(0))
    assert 2 in nb.arange(3)
    assert 5 not in nb.arange(3)


def test_numpy_of_what_requires_grad(backend):
    x = nb.ones(2, requires_grad=True)
    with pytest.raises(RuntimeError, match=r"Can't call numpy\(\) on Tensor that requires grad. Use tensor.detach\(\)"):
        x.numpy()
    with pytest.raises(RuntimeError, match="requires grad"):
        np.asarray(x)
    assert np.shares_memory(x.detach().numpy(), x.data.numpy())


def test_numpy_functions_take_tensors(backend):
    x = nb.tensor([1.0, 4.0])
    assert np.asarray(x).dtype == np.float32
    assert np.array(x, dtype=np.float64).dtype == np.float64
    assert np.mean(x.numpy()) == 2.5
    assert (np.array([1.0, 2.0], np.float32) + x).tolist() == [2, 6]


def test_length_and_iteration(backend):
    x = nb.arange(6).reshape(3, 2)
    assert len(x) == 3
    assert [row.tolist() for row in x] == [[0, 1], [2, 3], [4, 5]]
    first, second, third = x
    assert (first[0].item(), second.tolist(), third[0].item()) == (0, [2, 3], 4)
    with pytest.raises(TypeError, match="len\\(\\) of a 0-d tensor"):
        len(x[0, 0])
    with pytest.raises(TypeError, match="iteration over a 0-d tensor"):
        iter(x[0, 0])


def test_printing(backend):
    assert repr(nb.tensor([1.0, 2.5])) == "tensor([1. , 2.5])"
    assert repr(nb.tensor([1, 2])) == "tensor([1, 2])"
    assert repr(nb.tensor([1.0], dtype=nb.float64)) == "tensor([1.], dtype=float64)"
    assert repr(nb.tensor(1.0, requires_grad=True)) == "tensor(1., requires_grad=True)"
    assert repr(nb.ones(1, requires_grad=True) * 2) == "tensor([2.], grad_fn=<MulBackward>)"
    assert f"{nb.tensor(1.23456):.2f}" == "1.23"
    assert f"{nb.tensor([1, 2])}" == "tensor([1, 2])"


def test_clone_and_detach(backend):
    x = nb.ones(2, requires_grad=True)
    assert x.clone().data_ptr() != x.data_ptr()
    assert x.clone().requires_grad
    assert x.detach().data_ptr() == x.data_ptr()
    assert not x.detach().requires_grad


def test_deepcopy(backend):
    x = nb.ones(2, requires_grad=True)
    (x * 2).sum().backward()
    y = copy.deepcopy({"a": x, "b": x})
    assert y["a"] is y["b"]
    assert y["a"].requires_grad
    assert y["a"].grad.tolist() == [2, 2]
    assert y["a"].data_ptr() != x.data_ptr()
    with pytest.raises(RuntimeError, match="graph leaves"):
        copy.deepcopy(x * 2)


def test_pickle(backend):
    x = nb.tensor([[1.0, 2.0], [3.0, 4.0]], requires_grad=True)
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        y = pickle.loads(pickle.dumps(x, protocol))
        assert y.tolist() == x.tolist()
        assert y.requires_grad
        assert y.backend == backend
    assert pickle.loads(pickle.dumps(x.detach().T)).tolist() == x.T.tolist()
    assert pickle.loads(pickle.dumps(nb.tensor(5))).shape == ()


def test_data(backend):
    x = nb.ones(2, requires_grad=True)
    x.data.mul_(3)
    assert x.tolist() == [3, 3]
    x.data = nb.zeros(3)
    assert x.shape == (3,)
    assert x.requires_grad
