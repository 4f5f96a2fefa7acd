"""What users of PyTorch expect of a tensor."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import numbanet as nb
from numbanet import random


# --- making ----------------------------------------------------------------------------------------------------------
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


# --- dtypes of results -----------------------------------------------------------------------------------------------
@pytest.mark.parametrize(
    ("make", "dtype"),
    [
        (lambda f, d, i, b: f + 1, "float32"),
        (lambda f, d, i, b: f * 1.5, "float32"),
        (lambda f, d, i, b: 2 - f, "float32"),
        (lambda f, d, i, b: f + np.float64(1), "float32"),
        (lambda f, d, i, b: d * 2, "float64"),
        (lambda f, d, i, b: f + d, "float64"),
        (lambda f, d, i, b: f + d[0], "float32"),
        (lambda f, d, i, b: i + f, "float32"),
        (lambda f, d, i, b: i + 1, "int64"),
        (lambda f, d, i, b: i + 1.5, "float32"),
        (lambda f, d, i, b: i / 2, "float32"),
        (lambda f, d, i, b: i // 2, "int64"),
        (lambda f, d, i, b: i + True, "int64"),
        (lambda f, d, i, b: b + 1, "int64"),
        (lambda f, d, i, b: b + 1.0, "float32"),
        (lambda f, d, i, b: b * f, "float32"),
        (lambda f, d, i, b: b & b, "bool"),
        (lambda f, d, i, b: b.sum(), "int64"),
        (lambda f, d, i, b: i.sum(), "int64"),
        (lambda f, d, i, b: f > 1, "bool"),
        (lambda f, d, i, b: i.exp(), "float32"),
        (lambda f, d, i, b: f**2, "float32"),
        (lambda f, d, i, b: i**2, "int64"),
        (lambda f, d, i, b: 2**f, "float32"),
        (lambda f, d, i, b: b.where(f, 0.0), "float32"),
        (lambda f, d, i, b: b.where(1, i), "int64"),
        (lambda f, d, i, b: f.argmax(), "int64"),
        (lambda f, d, i, b: nb.cat([f, d]), "float64"),
        (lambda f, d, i, b: np.ones(2) * f, "float64"),
        (lambda f, d, i, b: f + i.int(), "float32"),
        (lambda f, d, i, b: i.int() + i, "int64"),
    ],
)
def test_result_dtypes(backend, make, dtype):
    f, d = nb.tensor([1.0, 2.0]), nb.tensor([1.0, 2.0], dtype=nb.float64)
    i, b = nb.tensor([1, 2]), nb.tensor([True, False])
    result = make(f, d, i, b)
    assert isinstance(result, nb.Tensor)
    assert result.dtype == dtype


def test_dtype_conversions(backend):
    x = nb.tensor([1.7, -1.7])
    assert x.long().tolist() == [1, -1]
    assert x.double().dtype == nb.float64
    assert x.float() is x
    assert x.to(nb.int32).dtype == nb.int32
    assert x.to("float64").dtype == nb.float64
    assert x.to(float) is x
    assert x.bool().tolist() == [True, True]
    assert x.to(nb.tensor([1])).dtype == nb.int64
    assert x.to(nb.float32, copy=True).data_ptr() != x.data_ptr()
    y = nb.tensor([1.0], requires_grad=True)
    y.double().sum().backward()
    assert y.grad.dtype == nb.float32


def test_mixed_dtype_gradients_have_the_leafs_dtype(backend):
    x, y = nb.tensor([2.0], requires_grad=True), nb.tensor([3.0], dtype=nb.float64, requires_grad=True)
    (x * y).sum().backward()
    assert (x.grad.dtype, y.grad.dtype) == (nb.float32, nb.float64)


def test_bool_arithmetic(backend):
    b = nb.tensor([True, False])
    assert (~b).tolist() == [False, True]
    assert (b | ~b).tolist() == [True, True]
    assert (b ^ True).tolist() == [False, True]
    with pytest.raises(RuntimeError, match="bool"):
        b.sub(b)
    with pytest.raises(RuntimeError, match="bool"):
        -b
    with pytest.raises(TypeError, match="bool tensors"):
        nb.arange(2) & 1


def test_operators_with_strangers(backend):
    x = nb.ones(2)
    for operation in (lambda: x + "a", lambda: None * x, lambda: x @ 2, lambda: x < "a", lambda: x ** "a"):
        with pytest.raises(TypeError):
            operation()
    for method in (x.maximum, x.eq, x.add_, nb.arange(2).mul_):
        with pytest.raises(TypeError, match="do not go together"):
            method("a")
    assert (x == "a") is False
    assert (x != None) is True  # noqa: E711


# --- to Python and NumPy ---------------------------------------------------------------------------------------------
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


# --- copies ----------------------------------------------------------------------------------------------------------
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


# --- shapes ----------------------------------------------------------------------------------------------------------
def test_views_share_and_reshapes_copy_when_they_must(backend):
    x = nb.arange(6).reshape(2, 3)
    for view in (
        x.T,
        x[1:],
        x.reshape(3, 2),
        x.unsqueeze(0),
        x.view(6),
        x.permute(1, 0),
        x.expand(4, 2, 3),
        x.flatten(),
    ):
        assert np.shares_memory(view.numpy(), x.numpy())
    assert not np.shares_memory(x.T.reshape(6).numpy(), x.numpy())
    assert x.T.reshape(6).tolist() == [0, 3, 1, 4, 2, 5]
    with pytest.raises(RuntimeError, match=r"Use .reshape\(...\) instead"):
        x.T.view(6)
    assert x.T.contiguous().is_contiguous()
    assert x.contiguous() is x


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda x: x.reshape(4), "invalid for input of size 6"),
        (lambda x: x.reshape(-1, -1), "only one dimension can be inferred"),
        (lambda x: x.reshape(-1, 4), "invalid for input of size 6"),
        (lambda x: x.permute(0, 0), "is not an order"),
        (lambda x: x.expand(4, 3), "must match the existing size"),
        (lambda x: x.expand(3), "must not be smaller"),
        (lambda x: x + nb.zeros(4), "cannot be broadcast"),
        (lambda x: x @ nb.zeros(2, 3), "cannot be multiplied"),
        (lambda x: x.float() @ nb.zeros(2), "cannot be multiplied"),
        (lambda x: nb.cat([x, nb.zeros(3, 3, 3).long()]), "Sizes of tensors must match"),
        (lambda x: nb.cat([]), "non-empty list"),
        (lambda x: nb.stack([x, x.T]), "equal size"),
        (lambda x: x.split(0), "positive"),
        (lambda x: x.split([1, 2]), "sum exactly to"),
        (lambda x: x.narrow(0, 1, 2), "exceeds dimension size"),
        (lambda x: x.mean(), "floating point"),
        (lambda x: x.sum((0, 0)), "appears more than once"),
        (lambda x: x.float().mm(nb.zeros(3)), "2 dimensions"),
    ],
)
def test_shape_errors(backend, make, message):
    with pytest.raises(RuntimeError, match=message):
        make(nb.arange(6).reshape(2, 3))


@pytest.mark.parametrize(
    "make",
    [
        lambda x: x[2],
        lambda x: x[-3],
        lambda x: x[0, 0, 0],
        lambda x: x[nb.tensor([0, 2])],
        lambda x: x[nb.tensor([True])],
        lambda x: x[..., ...],
        lambda x: x[1.5],
        lambda x: x[nb.tensor([0.5])],
        lambda x: x.sum(2),
        lambda x: x.transpose(0, 2),
        lambda x: x.unsqueeze(4),
    ],
)
def test_index_errors(backend, make):
    with pytest.raises(IndexError):
        make(nb.arange(6).reshape(2, 3))


def test_slices_go_forward(backend):
    with pytest.raises(ValueError, match="step must be greater than zero"):
        nb.arange(6)[::-1]
    assert nb.arange(6).flip(0).tolist() == [5, 4, 3, 2, 1, 0]


def test_shape_methods(backend):
    x = nb.arange(24).reshape(2, 3, 4)
    a = x.numpy()
    assert x.transpose(0, -1).shape == (4, 3, 2)
    assert x.mT.shape == (2, 4, 3)
    assert x.T.shape == (4, 3, 2)
    assert x.flatten(1).shape == (2, 12)
    assert x.flatten(0, 1).shape == (6, 4)
    assert nb.tensor(1.0).flatten().shape == (1,)
    assert x.unflatten(2, (2, -1)).shape == (2, 3, 2, 2)
    assert x.unsqueeze(-1).shape == (2, 3, 4, 1)
    assert x.unsqueeze(1).squeeze(1).shape == x.unsqueeze(0).squeeze().shape == (2, 3, 4)
    assert x.squeeze(0).shape == (2, 3, 4)
    assert x.movedim(0, 2).shape == (3, 4, 2)
    np.testing.assert_array_equal(x.repeat(2, 1, 1, 3).numpy(), np.tile(a, (2, 1, 1, 3)))
    assert [part.shape[0] for part in nb.arange(7).split(3)] == [3, 3, 1]
    assert [part.shape[1] for part in x.split([1, 2], 1)] == [1, 2]
    assert [part.shape[0] for part in nb.arange(7).chunk(3)] == [3, 3, 1]
    assert nb.stack([x, x], 1).shape == (2, 2, 3, 4)
    assert nb.cat([x, x], -1).shape == (2, 3, 8)
    assert x.expand_as(nb.zeros(5, 2, 3, 4)).shape == (5, 2, 3, 4)
    assert x[0, 0, 0].expand(3).tolist() == [0, 0, 0]
    assert x.size() == x.shape == (2, 3, 4)
    assert (x.size(-1), x.dim(), x.ndim, x.numel(), x.nbytes) == (4, 3, 3, 24, 192)
    assert x.stride() == (12, 4, 1)
    assert x[1].storage_offset() == 12
    np.testing.assert_array_equal(x.index_select(2, nb.tensor([3, 0])).numpy(), a[:, :, [3, 0]])
    np.testing.assert_array_equal(x.masked_select(x > 20).numpy(), a[a > 20])
    np.testing.assert_array_equal(x.masked_fill(x > 20, -1).numpy(), np.where(a > 20, -1, a))


def test_comparing(backend):
    x = nb.tensor([1.0, 2.0])
    assert x.equal(nb.tensor([1.0, 2.0]))
    assert not x.equal(nb.tensor([1.0]))
    assert x.allclose(x + 1e-7)
    assert x.isfinite().all()
    assert len({x, nb.tensor([1.0, 2.0])}) == 2


def test_reductions_over_nothing(backend):
    empty = nb.zeros(0, 3)
    assert empty.sum().item() == 0
    assert empty.prod().item() == 1
    assert np.isnan(empty.mean().item())
    assert empty.any().item() is False
    assert empty.all().item() is True
    for reduce in (lambda: empty.max(), lambda: empty.amin(0), lambda: empty.argmax(), lambda: empty.max(0)):
        with pytest.raises(IndexError):
            reduce()
    assert empty.amax(1).shape == (0,)


def test_clamp(backend):
    x = nb.tensor([-2.0, 0.0, 1.0, 5.0, float("nan")], requires_grad=True)
    y = x.clamp(0, 1)
    np.testing.assert_array_equal(y.detach().numpy(), [0, 0, 1, 1, np.nan])
    y[:4].sum().backward()
    assert x.grad.tolist() == [0, 1, 1, 0, 0]
    with pytest.raises(RuntimeError, match="At least one"):
        x.clamp()


def test_norm_at_zero(backend):
    x = nb.zeros(3, requires_grad=True)
    x.norm().backward()
    assert x.grad.tolist() == [0, 0, 0]
    assert nb.tensor([3.0, -4.0]).norm().item() == 5
    assert nb.tensor([3.0, -4.0]).norm(1).item() == 7
    assert nb.tensor([3.0, -4.0]).norm(float("inf")).item() == 4
    np.testing.assert_allclose(nb.tensor([3.0, -4.0]).norm(3).item(), 91 ** (1 / 3), rtol=1e-6)


# --- back ends -------------------------------------------------------------------------------------------------------
def test_unknown_back_end(backend):
    with pytest.raises(ValueError, match="unknown back end 'cuda'"):
        nb.set_backend("cuda")
    assert nb.get_backend() == backend


def test_back_end_from_the_environment(monkeypatch):
    from numbanet import backends

    monkeypatch.setattr(backends, "_current", None)
    monkeypatch.setenv("NUMBANET_BACKEND", "numpy")
    assert nb.get_backend() == "numpy"
    monkeypatch.setattr(backends, "_current", None)
    monkeypatch.setenv("NUMBANET_BACKEND", "cuda")
    with pytest.raises(ValueError, match="NUMBANET_BACKEND=cuda"):
        nb.get_backend()


def test_moving_between_back_ends(backend):
    x = nb.tensor([1.0, 2.0], requires_grad=True)
    y = x.to(backend="numpy")
    assert y.backend == "numpy"
    assert (y is x) == (backend == "numpy")
    (y * 3).sum().backward()
    assert x.grad.tolist() == [3, 3]
    assert x.grad.backend == backend
    with pytest.raises(ValueError, match="unknown back end"):
        x.to(backend="cuda")


def test_mixing_back_ends_is_an_error():
    pytest.importorskip("numba")
    before = nb.get_backend()
    try:
        nb.set_backend("cpu")
        x = nb.ones(2)
        nb.set_backend("numpy")
        y = nb.ones(2)
        with pytest.raises(RuntimeError, match="Add got tensors of different back ends"):
            x + y
        with pytest.raises(RuntimeError, match="different back ends"):
            x.add_(y)
        assert x.copy_(y * 4).tolist() == [4, 4]
        assert (x + y.to("cpu")).tolist() == [5, 5]
    finally:
        nb.set_backend(before)


# --- random numbers --------------------------------------------------------------------------------------------------
def test_seed(backend):
    nb.manual_seed(5)
    a, b = nb.rand(3, 3), nb.randn(5)
    nb.manual_seed(5)
    assert nb.rand(3, 3).equal(a)
    assert nb.randn(5).equal(b)
    assert not nb.randn(5).equal(b)
    assert nb.initial_seed() == 5
    nb.manual_seed(6)
    assert not nb.rand(3, 3).equal(a)
    with pytest.raises(ValueError, match="64 bits"):
        nb.manual_seed(2**64)


def test_streams_are_apart(backend):
    from numbanet.nn import functional as F

    nb.manual_seed(1)
    a = nb.randn(4)
    nb.manual_seed(1)
    F.dropout(nb.ones(100), 0.5)
    assert nb.randn(4).equal(a)


def test_random_state_can_be_saved(backend):
    import json

    nb.manual_seed(3)
    nb.rand(7)
    nb.zeros(5).bernoulli_()
    state = json.loads(json.dumps(random.get_state()))
    a, b = nb.rand(3), nb.zeros(5).bernoulli_()
    nb.manual_seed(0)
    random.set_state(state)
    assert nb.rand(3).equal(a)
    assert nb.zeros(5).bernoulli_().equal(b)


def test_random_distributions(backend):
    x = nb.empty(20_000).uniform_(-1, 3)
    assert -1 <= x.min().item() < -0.99
    assert abs(x.mean().item() - 1) < 0.05
    z = nb.empty(20_000).normal_(2, 3)
    assert abs(z.mean().item() - 2) < 0.1
    assert abs(z.std().item() - 3) < 0.1
    assert abs(nb.empty(20_000).bernoulli_(0.25).mean().item() - 0.25) < 0.02
    i = nb.randint(-2, 3, (1000,))
    assert i.dtype == nb.int64
    assert sorted(set(i.tolist())) == [-2, -1, 0, 1, 2]
    with pytest.raises(RuntimeError):
        nb.zeros(2).normal_(0, -1)


def test_both_back_ends_draw_the_same(backend):
    nb.manual_seed(11)
    found = nb.rand(5).to("numpy"), nb.randn(5).to("numpy")
    nb.set_backend("numpy")
    nb.manual_seed(11)
    assert nb.rand(5).equal(found[0])
    assert nb.randn(5).allclose(found[1])


# --- files -----------------------------------------------------------------------------------------------------------
def test_save_and_load(backend, tmp_path):
    state = {"conv.weight": nb.randn(2, 3), "n": nb.tensor(5), "file": nb.ones(1), "array": np.arange(3)}
    nb.save(state, tmp_path / "x.npz")
    loaded = nb.load(tmp_path / "x.npz")
    assert list(loaded) == list(state)
    for name, value in state.items():
        np.testing.assert_array_equal(loaded[name].numpy(), np.asarray(value))
    assert list(tmp_path.iterdir()) == [tmp_path / "x.npz"]


def test_files_that_are_none(backend, tmp_path):
    with pytest.raises(TypeError, match="takes names with tensors"):
        nb.save({"a": [1]}, tmp_path / "x.npz")
    with pytest.raises(FileNotFoundError):
        nb.load(tmp_path / "none.npz")
    (tmp_path / "x.npz").write_bytes(b"PK\x03\x04 not really")
    with pytest.raises(ValueError, match="is not a file of tensors"):
        nb.load(tmp_path / "x.npz")
    (tmp_path / "y.npz").write_bytes(b"")
    with pytest.raises(ValueError, match="is not a file of tensors"):
        nb.load(tmp_path / "y.npz")
    np.save(tmp_path / "z.npy", np.arange(3))
    with pytest.raises(ValueError, match="is not a file of tensors"):
        nb.load(tmp_path / "z.npy")
    np.savez(tmp_path / "o.npz", a=np.array([{}], dtype=object))
    with pytest.raises(ValueError, match="is not a file of tensors|allow_pickle"):
        nb.load(tmp_path / "o.npz")


def test_a_failed_save_leaves_the_old_file(backend, tmp_path, monkeypatch):
    nb.save({"a": nb.ones(1)}, tmp_path / "x.npz")
    monkeypatch.setattr(np, "savez", lambda *a, **k: (_ for _ in ()).throw(OSError("disk full")))
    with pytest.raises(OSError, match="disk full"):
        nb.save({"a": nb.zeros(1)}, tmp_path / "x.npz")
    assert nb.load(tmp_path / "x.npz")["a"].item() == 1
    assert len(list(tmp_path.iterdir())) == 1
