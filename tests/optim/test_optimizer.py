"""What the optimisers share: groups, checks, state, hooks."""

from __future__ import annotations

import copy
import json
import pickle

import numpy as np
import pytest

import numbanet as nb
from numbanet import nn, optim


def parameters(*shapes):
    random = np.random.default_rng(1)
    return [nn.Parameter(nb.tensor(random.normal(size=shape).astype(np.float32))) for shape in shapes]


def run(optimizer, steps, seed=0):
    random = np.random.default_rng(seed)
    for _ in range(steps):
        for group in optimizer.param_groups:
            for parameter in group["params"]:
                parameter.grad = nb.tensor(random.normal(size=tuple(parameter.shape)).astype(np.float32))
        optimizer.step()


def values(params):
    return [parameter.detach().numpy().copy() for parameter in params]


NAN = float("nan")


@pytest.mark.parametrize(
    ("cls", "options", "message"),
    [
        (optim.SGD, {"lr": -1}, "Invalid learning rate: -1"),
        (optim.SGD, {"lr": NAN}, "Invalid learning rate: nan"),
        (optim.SGD, {"momentum": -0.1}, "Invalid momentum value: -0.1"),
        (optim.SGD, {"weight_decay": -0.1}, "Invalid weight_decay value: -0.1"),
        (optim.SGD, {"nesterov": True}, "Nesterov momentum requires a momentum and zero dampening"),
        (
            optim.SGD,
            {"nesterov": True, "momentum": 0.9, "dampening": 0.1},
            "Nesterov momentum requires a momentum and zero dampening",
        ),
        (optim.Adam, {"lr": -1e-3}, "Invalid learning rate: -0.001"),
        (optim.Adam, {"lr": NAN}, "Invalid learning rate: nan"),
        (optim.Adam, {"eps": -1.0}, "Invalid epsilon value: -1.0"),
        (optim.Adam, {"betas": (1.0, 0.9)}, "Invalid beta parameter at index 0: 1.0"),
        (optim.Adam, {"betas": (0.9, -0.1)}, "Invalid beta parameter at index 1: -0.1"),
        (optim.Adam, {"betas": (0.9, NAN)}, "Invalid beta parameter at index 1: nan"),
        (optim.Adam, {"betas": (0.9,)}, "betas must be two numbers, but got (0.9,)"),
        (optim.AdamW, {"weight_decay": -1.0}, "Invalid weight_decay value: -1.0"),
        (optim.RMSprop, {"lr": NAN}, "Invalid learning rate: nan"),
        (optim.RMSprop, {"eps": -1.0}, "Invalid epsilon value: -1.0"),
        (optim.RMSprop, {"alpha": -0.5}, "Invalid alpha value: -0.5"),
        (optim.RMSprop, {"momentum": NAN}, "Invalid momentum value: nan"),
        (optim.RMSprop, {"weight_decay": -1.0}, "Invalid weight_decay value: -1.0"),
    ],
)
def test_bad_options(cls, options, message):
    with pytest.raises(ValueError) as caught:
        cls(parameters((2,)), **options)
    assert str(caught.value) == message
    with pytest.raises(ValueError) as caught:
        cls([{"params": parameters((2,)), **options}])
    assert str(caught.value) == message


def test_bad_parameters():
    first, second = parameters((2,), (3,))
    with pytest.raises(ValueError, match="optimizer got an empty parameter list"):
        optim.SGD([])
    with pytest.raises(TypeError, match="should be an iterable of Tensors or dicts, but got Parameter"):
        optim.SGD(first)
    with pytest.raises(TypeError, match="optimizer can only optimize Tensors, but one of the params is int"):
        optim.SGD([3])
    with pytest.raises(ValueError, match="can't optimize a non-leaf Tensor"):
        optim.SGD([first * 2])
    with pytest.raises(TypeError, match="organized in ordered collections"):
        optim.SGD([{"params": {first, second}}])
    with pytest.raises(ValueError, match="duplicate parameters"):
        optim.SGD([first, first])
    with pytest.raises(ValueError, match="some parameters appear in more than one parameter group"):
        optim.SGD([{"params": [first]}, {"params": [second, first]}])
    optimizer = optim.SGD([first])
    with pytest.raises(TypeError, match="param_group must be a dict"):
        optimizer.add_param_group([second])
    with pytest.raises(ValueError, match="more than one parameter group"):
        optimizer.add_param_group({"params": first})
    optimizer.add_param_group({"params": second, "lr": 0.5})
    assert [group["lr"] for group in optimizer.param_groups] == [1e-3, 0.5]


def test_a_group_is_not_the_callers_dictionary():
    (parameter,) = parameters((2,))
    group = {"params": [parameter]}
    optim.SGD([group])
    assert list(group) == ["params"]


def test_defaults_are_pytorchs():
    (parameter,) = parameters((2,))
    kinds = (optim.SGD, optim.Adam, optim.AdamW, optim.RMSprop)
    groups = [cls([parameter]).param_groups[0] for cls in kinds]
    for group in groups:
        del group["params"]
    assert groups[0] == {"lr": 1e-3, "momentum": 0, "dampening": 0, "weight_decay": 0, "nesterov": False}
    adam = {"lr": 1e-3, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0, "decoupled_weight_decay": False}
    assert groups[1] == adam
    assert groups[2] == {**adam, "weight_decay": 1e-2, "decoupled_weight_decay": True}
    rmsprop = {"lr": 1e-2, "alpha": 0.99, "eps": 1e-8, "weight_decay": 0, "momentum": 0, "centered": False}
    assert groups[3] == {**rmsprop, "eps_inside_sqrt": False}


def test_where_eps_belongs_decides_its_default():
    """1e-8 under the root would be a floor of 1e-4 on the divisor."""
    first, second, third, fourth = parameters((2,), (2,), (2,), (2,))
    groups = [
        {"params": [first]},
        {"params": [second], "eps_inside_sqrt": True},
        {"params": [third], "eps_inside_sqrt": True, "eps": 1e-3},
    ]
    optimizer = optim.RMSprop(groups)
    assert [group["eps"] for group in optimizer.param_groups] == [1e-8, 1e-16, 1e-3]
    optimizer = optim.RMSprop([fourth], eps_inside_sqrt=True)
    optimizer.add_param_group({"params": [first], "eps_inside_sqrt": False})
    assert [group["eps"] for group in optimizer.param_groups] == [1e-16, 1e-8]
    with pytest.raises(TypeError, match="param_group must be a dict"):
        optimizer.add_param_group([second])


def test_closure_runs_with_gradients_on_and_hooks_run_around():
    (parameter,) = parameters((2,))
    optimizer = optim.SGD([parameter], lr=0.1)
    log = []
    before = optimizer.register_step_pre_hook(lambda o, args, kwargs: log.append("before"))
    optimizer.register_step_post_hook(lambda o, args, kwargs: log.append("after"))

    def closure():
        log.append("closure")
        optimizer.zero_grad()
        loss = (parameter * parameter).sum()
        loss.backward()
        return loss

    start = parameter.detach().numpy().copy()
    with nb.no_grad():
        loss = optimizer.step(closure)
    assert loss.item() == pytest.approx(float((start**2).sum()), rel=1e-6)
    np.testing.assert_allclose(parameter.detach().numpy(), 0.8 * start, rtol=1e-6)
    before.remove()
    assert optimizer.step() is None
    assert log == ["before", "closure", "after", "after"]


def test_zero_grad():
    (parameter,) = parameters((2,))
    optimizer = optim.SGD([parameter])
    (parameter * 2).sum().backward()
    optimizer.zero_grad(set_to_none=False)
    assert parameter.grad.numpy().tolist() == [0, 0]
    optimizer.zero_grad()
    assert parameter.grad is None


def test_a_step_is_seen_by_what_backward_saved():
    (parameter,) = parameters((2,))
    loss = (parameter * parameter).sum()
    loss.backward(retain_graph=True)
    optim.SGD([parameter], lr=0.1).step()
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_a_gradient_of_another_shape_is_refused():
    (parameter,) = parameters((2,))
    optimizer = optim.SGD([parameter])
    parameter.grad = nb.ones(2)
    parameter.data = nb.ones(3)
    with pytest.raises(RuntimeError, match=r"SGDUpdate: a parameter of shape .3,. .* gradient or buffer of shape .2,."):
        optimizer.step()


def test_state_dict_has_pytorchs_form():
    first, second, third = parameters((2,), (3,), (4,))
    optimizer = optim.SGD([{"params": [first, second]}, {"params": [third], "lr": 0.5}], momentum=0.9)
    assert optimizer.state_dict()["state"] == {}
    run(optimizer, 1)
    second.grad = None
    state = optimizer.state_dict()
    assert [group["params"] for group in state["param_groups"]] == [[0, 1], [2]]
    assert state["param_groups"][1]["lr"] == 0.5
    assert {n: {name: tuple(t.shape) for name, t in entry.items()} for n, entry in state["state"].items()} == {
        0: {"momentum_buffer": (2,)},
        1: {"momentum_buffer": (3,)},
        2: {"momentum_buffer": (4,)},
    }
    adam = optim.Adam([first, second])
    run(adam, 3)
    entry = adam.state_dict()["state"][1]
    assert sorted(entry) == ["exp_avg", "exp_avg_sq", "step"]
    assert entry["step"] == 3
    assert optim.SGD([third]).state_dict()["state"] == {}
    json.dumps(adam.state_dict()["param_groups"])


@pytest.mark.parametrize(
    "make",
    [
        lambda p: optim.SGD(p, lr=0.1, momentum=0.9, dampening=0.2),
        lambda p: optim.Adam(p, lr=0.1, weight_decay=0.1),
        lambda p: optim.AdamW(p, lr=0.1),
        lambda p: optim.RMSprop(p, lr=0.1, momentum=0.5, centered=True),
    ],
    ids=["SGD", "Adam", "AdamW", "RMSprop"],
)
@pytest.mark.parametrize("way", ["state", "arrays", "pickle", "deepcopy"])
def test_going_on_from_saved_state_is_exact(make, way):
    params = parameters((4, 3), (3,))
    optimizer = make(params)
    run(optimizer, 5)
    others = [nn.Parameter(parameter.detach().clone()) for parameter in params]
    if way == "pickle":
        others, again = pickle.loads(pickle.dumps((params, optimizer)))
    elif way == "deepcopy":
        others, again = copy.deepcopy((params, optimizer))
    else:
        state = optimizer.state_dict()
        if way == "arrays":
            for entry in state["state"].values():
                for name, value in entry.items():
                    entry[name] = np.asarray(value.numpy() if isinstance(value, nb.Tensor) else value)
        again = make(others)
        again.param_groups[0]["lr"] = 77.0
        again.load_state_dict(state)
    assert again.param_groups[0]["lr"] == 0.1
    run(optimizer, 5, seed=9)
    middle = values(others)
    run(again, 5, seed=9)
    for mine, other, before in zip(values(params), values(others), middle, strict=True):
        np.testing.assert_array_equal(mine, other)
        assert not np.array_equal(before, other), "the two optimisers must not share parameters"


def test_loading_checks_before_it_changes():
    params = parameters((4, 3), (3,))
    optimizer = optim.Adam(params, lr=0.1)
    run(optimizer, 2)
    good = optimizer.state_dict()

    def changed(**groups):
        return {"state": good["state"], "param_groups": [{**good["param_groups"][0], **groups}]}

    wrong = [
        ({**good, "param_groups": []}, "different number of parameter groups"),
        (changed(params=[0]), "doesn't match the size of optimizer's group"),
        (changed(lr=-1.0), "Invalid learning rate: -1.0"),
        (changed(amsgrad=True), "loaded state dict has amsgrad=True, which Adam cannot do"),
        ({**good, "state": {5: {}}}, "state for parameter 5, which is in none of its groups"),
        (
            {**good, "state": {0: {"exp_avg": np.zeros(2)}}},
            r"'exp_avg' of shape \(2,\) for parameter 0, whose shape is \(4, 3\)",
        ),
    ]
    for state, message in wrong:
        with pytest.raises(ValueError, match=message):
            optimizer.load_state_dict(state)
        assert optimizer.param_groups[0]["lr"] == 0.1
        assert optimizer.state[params[0]]["step"] == 2
    optimizer.load_state_dict(changed(amsgrad=False, foreach=None, fused=None, maximize=False, lr=0.2))
    assert optimizer.param_groups[0]["lr"] == 0.2
    assert "foreach" not in optimizer.param_groups[0]
    # What PyTorch saves as "step" is a tensor.
    good["state"][0]["step"] = np.float32(7)
    optimizer.load_state_dict(good)
    assert optimizer.state[params[0]]["step"] == 7
    assert type(optimizer.state[params[0]]["step"]) is int


def test_loaded_state_is_copied():
    params = parameters((3,))
    optimizer = optim.SGD(params, momentum=0.9)
    run(optimizer, 1)
    state = optimizer.state_dict()
    kept = state["state"][0]["momentum_buffer"].numpy().copy()
    other = optim.SGD(parameters((3,)), momentum=0.9)
    other.load_state_dict(state)
    run(other, 1)
    np.testing.assert_array_equal(state["state"][0]["momentum_buffer"].numpy(), kept)


def test_printing_as_pytorch():
    (parameter,) = parameters((2,))
    assert repr(optim.SGD([parameter], lr=0.1)) == (
        "SGD (\nParameter Group 0\n    dampening: 0\n    lr: 0.1\n    momentum: 0\n    nesterov: False\n"
        "    weight_decay: 0\n)"
    )


def test_an_optimiser_of_ones_own():
    class Signs(optim.Optimizer):
        def __init__(self, params, lr=0.1) -> None:
            super().__init__(params, {"lr": lr})

        def step(self, closure=None):
            with nb.no_grad():
                for group in self.param_groups:
                    for parameter in group["params"]:
                        parameter.sub_(parameter.grad.sign() * group["lr"])

    (parameter,) = parameters((2,))
    start = parameter.detach().numpy().copy()
    optimizer = Signs([parameter])
    parameter.grad = nb.tensor([3.0, -2.0])
    optimizer.step()
    np.testing.assert_allclose(parameter.detach().numpy(), start - [0.1, -0.1], rtol=1e-6)
    with pytest.raises(NotImplementedError):
        optim.Optimizer([parameter], {}).step()
