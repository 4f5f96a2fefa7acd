"""Views, shapes, errors and edges."""

from __future__ import annotations

import numpy as np
import pytest

import numbanet as nb


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
