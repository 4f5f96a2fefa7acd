"""Hooks around forward and backward."""

from __future__ import annotations

import copy
from typing import NamedTuple

import numpy as np
import pytest

import numbanet as nb
from numbanet import nn


class Two(nn.Module):
    """Two inputs, one of them not a tensor that needs a gradient, two outputs."""

    def forward(self, x, y, scale=1.0):
        return x * y * scale, x + y


def ones(*shape):
    return nb.ones(*shape, requires_grad=True)


def test_forward_hooks_see_and_change():
    module = nn.ReLU()
    log = []
    handles = [
        module.register_forward_pre_hook(lambda m, args: log.append(("pre", len(args)))),
        module.register_forward_pre_hook(lambda m, args: args[0] - 1, prepend=True),
        module.register_forward_hook(lambda m, args, out: out * 10),
        module.register_forward_hook(lambda m, args, out: log.append(("post", out.numpy().tolist()))),
    ]
    assert module(nb.tensor([0.5, 3.0])).numpy().tolist() == [0.0, 20.0]
    assert log == [("pre", 1), ("post", [0.0, 20.0])]
    for handle in handles:
        handle.remove()
        handle.remove()
    assert module(nb.tensor([0.5, 3.0])).numpy().tolist() == [0.5, 3.0]
    with module.register_forward_hook(lambda m, args, out: out + 1):
        assert module(nb.tensor([1.0])).item() == 2.0
    assert module(nb.tensor([1.0])).item() == 1.0
    with pytest.raises(TypeError, match="must be callable, but got int"):
        module.register_forward_hook(3)


def test_hooks_with_keywords():
    module = Two()
    module.register_forward_pre_hook(lambda m, args, kwargs: (args, {"scale": 5.0}), with_kwargs=True)
    seen = []
    module.register_forward_hook(lambda m, args, kwargs, out: seen.append(kwargs), with_kwargs=True)
    product, _ = module(nb.ones(2), nb.ones(2), scale=2.0)
    assert product.numpy().tolist() == [5.0, 5.0]
    assert seen == [{"scale": 5.0}]
    module.register_forward_pre_hook(lambda m, args, kwargs: 3, with_kwargs=True)
    with pytest.raises(RuntimeError, match=r"must return None or a tuple of \(new_args, new_kwargs\), but got 3"):
        module(nb.ones(2), nb.ones(2))


def test_a_hook_that_is_always_called():
    class Broken(nn.Module):
        def forward(self, x):
            raise ZeroDivisionError("first")

    module = Broken()
    seen = []
    module.register_forward_hook(lambda m, args, out: seen.append("never"))
    module.register_forward_hook(lambda m, args, out: seen.append(out), always_call=True)
    with pytest.raises(ZeroDivisionError):
        module(1)
    assert seen == [None]

    def fail(m, args, out):
        raise ValueError("second")

    module.register_forward_hook(fail, always_call=True)
    silenced = pytest.warns(UserWarning, match="silenced as another error was raised in forward: second")
    with silenced, pytest.raises(ZeroDivisionError):
        module(1)


def test_a_hook_that_is_always_called_is_called_once():
    module = nn.ReLU()
    seen = []
    module.register_forward_hook(lambda m, args, out: seen.append("first"), always_call=True)
    module.register_forward_hook(lambda m, args, out: 1 / 0)
    module.register_forward_hook(lambda m, args, out: seen.append("last"), always_call=True)
    with pytest.raises(ZeroDivisionError):
        module(nb.ones(1))
    assert seen == ["first", "last"]


def test_backward_hook_sees_gradients():
    module = nn.Linear(3, 2, bias=False)
    seen = []
    module.register_full_backward_hook(lambda m, gi, go: seen.append((m, gi, go)))
    x = ones(4, 3)
    (module(x) * 2).sum().backward()
    ((owner, grad_input, grad_output),) = seen
    assert owner is module
    np.testing.assert_array_equal(grad_output[0].numpy(), np.full((4, 2), 2.0))
    np.testing.assert_allclose(grad_input[0].numpy(), np.full((4, 2), 2.0) @ module.weight.detach().numpy(), rtol=1e-6)
    np.testing.assert_array_equal(grad_input[0].numpy(), x.grad.numpy())
    np.testing.assert_array_equal(module.weight.grad.numpy(), np.full((2, 3), 8.0))


def test_backward_hooks_change_gradients():
    module = nn.Identity()
    order = []
    module.register_full_backward_hook(lambda m, gi, go: order.append("b") or (gi[0] * 3,))
    module.register_full_backward_hook(lambda m, gi, go: order.append("a") or (gi[0] + 1,), prepend=True)
    handle = module.register_full_backward_pre_hook(lambda m, go: order.append("pre") or (go[0] * 10,))
    x = ones(2)
    module(x).sum().backward()
    assert order == ["pre", "a", "b"]
    assert x.grad.numpy().tolist() == [33.0, 33.0]
    handle.remove()
    x.grad = None
    module(x).sum().backward()
    assert x.grad.numpy().tolist() == [6.0, 6.0]


def test_backward_hooks_of_several_inputs_and_outputs():
    module = Two()
    seen = []
    module.register_full_backward_hook(lambda m, gi, go: seen.append((gi, go)))
    x = ones(2)
    product, _ = module(x, nb.full((2,), 3.0), scale=2.0)
    product.sum().backward()
    ((grad_input, grad_output),) = seen
    assert grad_input[1] is None
    assert grad_input[0].numpy().tolist() == [6.0, 6.0]
    assert grad_output[0].numpy().tolist() == [1.0, 1.0]
    assert grad_output[1] is None, "the sum was not used"


def test_backward_hooks_fire_once_a_call():
    module = nn.Tanh()
    calls = []
    module.register_full_backward_hook(lambda m, gi, go: calls.append(gi[0].numpy().copy()))
    x = ones(1)
    module(module(x)).sum().backward()
    assert len(calls) == 2
    outer = 1 - np.tanh(np.tanh(1.0)) ** 2
    np.testing.assert_allclose(calls[0], outer, rtol=1e-6)
    np.testing.assert_allclose(calls[1], outer * (1 - np.tanh(1.0) ** 2), rtol=1e-6)


def test_without_gradients_at_the_inputs_the_hook_runs_at_the_outputs():
    module = nn.Linear(3, 2)
    seen = []
    handle = module.register_full_backward_hook(lambda m, gi, go: seen.append((gi, go[0].shape)))
    module(nb.ones(4, 3)).sum().backward()
    assert seen == [((None,), (4, 2))]
    handle.remove()
    module.register_full_backward_hook(lambda m, gi, go: (nb.ones(1),))
    with pytest.raises(RuntimeError, match="where no input requires gradient should always return None"):
        module(nb.ones(4, 3)).sum().backward()


def test_wrong_answers_of_backward_hooks():
    module = nn.Identity()
    handle = module.register_full_backward_hook(lambda m, gi, go: (gi[0], gi[0]))
    with pytest.raises(RuntimeError, match="invalid number of grad_input, got 2, but expected 1"):
        module(ones(1)).sum().backward()
    handle.remove()
    module.register_full_backward_pre_hook(lambda m, go: ())
    with pytest.raises(RuntimeError, match="invalid number of grad_output, got 0, but expected 1"):
        module(ones(1)).sum().backward()


def test_outputs_that_are_no_tensors():
    class Boxed(nn.Module):
        def forward(self, x):
            return {"x": x}

    module = Boxed()
    module.register_full_backward_hook(lambda m, gi, go: None)
    with pytest.warns(UserWarning, match="module output should be a Tensor or a tuple of Tensors but received"):
        module(ones(1))

    class Pair(NamedTuple):
        a: nb.Tensor
        b: int

    class Named(nn.Module):
        def forward(self, x):
            return Pair(x * 2, 7)

    module = Named()
    seen = []
    module.register_full_backward_hook(lambda m, gi, go: seen.append(go))
    out = module(ones(1))
    assert isinstance(out, Pair)
    out.a.sum().backward()
    assert seen[0][0].item() == 1.0
    assert seen[0][1] is None


def test_no_boundary_without_gradients():
    module = nn.ReLU()
    module.register_full_backward_hook(lambda m, gi, go: None)
    x = ones(2)
    with nb.no_grad():
        assert not module(x).requires_grad
    ints = nn.Identity()
    ints.register_full_backward_hook(lambda m, gi, go: None)
    assert ints(nb.tensor([1, 2])).numpy().tolist() == [1, 2]


def test_second_derivatives_pass_through_the_boundary():
    module = nn.Tanh()
    calls = []
    module.register_full_backward_hook(lambda m, gi, go: calls.append(go))
    x = nb.tensor([0.3], requires_grad=True)
    (first,) = nb.autograd.grad(module(x).sum(), x, create_graph=True)
    (second,) = nb.autograd.grad(first.sum(), x)
    t = np.tanh(0.3)
    np.testing.assert_allclose(second.numpy(), -2 * t * (1 - t * t), rtol=1e-5)
    assert len(calls) == 1, "the second derivative comes around the outputs: nothing to tell the hook"


def test_a_copied_module_has_its_own_hooks():
    module = nn.ReLU()
    handle = module.register_forward_hook(lambda m, args, out: out + 1)
    clone = copy.deepcopy(module)
    handle.remove()
    assert module(nb.tensor([1.0])).item() == 1.0
    assert clone(nb.tensor([1.0])).item() == 2.0
