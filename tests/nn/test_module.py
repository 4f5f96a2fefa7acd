"""Module: registration, attributes, traversal, conversion, printing."""

from __future__ import annotations

import copy
import pickle

import numpy as np
import pytest

import numbanet as nb
from numbanet import nn


class Block(nn.Module):
    def __init__(self, width: int = 3) -> None:
        super().__init__()
        self.linear = nn.Linear(width, width)
        self.scale = nn.Parameter(nb.ones(width))
        self.register_buffer("mean", nb.zeros(width))
        self.register_buffer("count", nb.tensor(0), persistent=False)

    def forward(self, x):
        return self.linear(x) * self.scale + self.mean


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first = Block()
        self.second = Block()
        self.head = nn.Linear(3, 2, bias=False)

    def forward(self, x):
        return self.head(self.second(self.first(x)))


def test_names_come_in_order_of_registration():
    net = Net()
    assert [name for name, _ in net.named_parameters()] == [
        "first.scale",
        "first.linear.weight",
        "first.linear.bias",
        "second.scale",
        "second.linear.weight",
        "second.linear.bias",
        "head.weight",
    ]
    assert [name for name, _ in net.named_buffers()] == ["first.mean", "first.count", "second.mean", "second.count"]
    assert [name for name, _ in net.named_modules()] == [
        "",
        "first",
        "first.linear",
        "second",
        "second.linear",
        "head",
    ]
    assert [name for name, _ in net.named_children()] == ["first", "second", "head"]
    assert list(net.children()) == [net.first, net.second, net.head]
    assert [name for name, _ in net.named_parameters(prefix="net", recurse=False)] == []
    assert [name for name, _ in net.head.named_parameters(prefix="net")] == ["net.weight"]
    assert len(list(net.parameters())) == 7
    assert len(list(net.buffers())) == 4


def test_shared_members_appear_once_unless_asked():
    net = Net()
    net.second = net.first
    assert [name for name, _ in net.named_parameters()][-1] == "head.weight"
    assert len(list(net.parameters())) == 4
    assert len(list(net.named_parameters(remove_duplicate=False))) == 7
    assert len(list(net.modules())) == 4
    assert len(list(net.modules(remove_duplicate=False))) == 6
    net.head.weight = net.first.linear.weight
    assert "head.weight" not in dict(net.named_parameters())
    assert "head.weight" in net.state_dict()


def test_assignment_before_init_is_refused():
    class Early(nn.Module):
        def __init__(self, value) -> None:
            self.value = value
            super().__init__()

    for value, kind in ((nn.Parameter(nb.ones(1)), "parameters"), (nn.Linear(1, 1), "module")):
        with pytest.raises(AttributeError, match=rf"cannot assign {kind} before Module.__init__\(\) call"):
            Early(value)
    assert Early(3).value == 3


@pytest.mark.parametrize(
    ("method", "value", "kind"),
    [("register_parameter", None, "parameter"), ("register_buffer", None, "buffer"), ("add_module", None, "module")],
)
def test_bad_names(method, value, kind):
    module = Block()
    register = getattr(module, method)
    with pytest.raises(TypeError, match=f"{kind} name should be a string. Got int"):
        register(3, value)
    with pytest.raises(KeyError, match=f'{kind} name can.+t contain "."'):
        register("a.b", value)
    with pytest.raises(KeyError, match=f"{kind} name can.+t be empty string"):
        register("", value)
    with pytest.raises(KeyError, match="attribute 'forward' already exists"):
        register("forward", value)


def test_wrong_kinds_are_refused():
    module = Block()
    with pytest.raises(TypeError, match=r"cannot assign '.*Tensor' object to parameter 'p'"):
        module.register_parameter("p", nb.ones(2))
    with pytest.raises(TypeError, match=r"cannot assign 'int' object to buffer 'b'"):
        module.register_buffer("b", 3)
    with pytest.raises(TypeError, match="int is not a Module subclass"):
        module.add_module("m", 3)
    with pytest.raises(TypeError, match=r"cannot assign '.*Tensor' as parameter 'scale' .*Parameter or None expected"):
        module.scale = nb.ones(3)
    with pytest.raises(TypeError, match=r"cannot assign 'int' as child module 'linear'"):
        module.linear = 3
    with pytest.raises(TypeError, match=r"cannot assign 'str' as buffer 'mean'"):
        module.mean = "x"


def test_an_attribute_lives_in_one_place():
    module = Block()
    module.mean = nn.Parameter(nb.ones(3))
    assert "mean" in dict(module.named_parameters())
    assert "mean" not in dict(module.named_buffers())
    module.thing = 3
    module.thing = nn.ReLU()
    assert module.thing is module._modules["thing"]
    module.thing = None
    assert "thing" in module._modules
    del module.thing
    assert not hasattr(module, "thing")
    module.scale = None
    assert module.scale is None
    assert "scale" not in dict(module.named_parameters())
    module.mean = None
    del module.mean
    assert not hasattr(module, "mean")
    module.count = nb.tensor(5)
    assert "count" not in module.state_dict()
    del module.count
    with pytest.raises(AttributeError, match="'Block' object has no attribute 'count'"):
        module.count  # noqa: B018
    with pytest.raises(AttributeError):
        del module.count
    assert "linear" in dir(module)


def test_a_parameter_must_be_a_leaf():
    class Bad(nn.Parameter):
        grad_fn = object()

    module = nn.Module()
    with pytest.raises(ValueError, match="Cannot assign non-leaf Tensor to parameter 'p'"):
        module.register_parameter("p", Bad(nb.ones(1)))


def test_getting_by_dotted_name():
    net = Net()
    assert net.get_submodule("") is net
    assert net.get_submodule("first.linear") is net.first.linear
    assert net.get_parameter("first.linear.weight") is net.first.linear.weight
    assert net.get_buffer("second.mean") is net.second.mean
    with pytest.raises(AttributeError, match="Net has no attribute `third`"):
        net.get_submodule("third.linear")
    with pytest.raises(AttributeError, match=r"`scale` is not an nn.Module"):
        net.get_submodule("first.scale")
    with pytest.raises(AttributeError, match=r"`mean` is not an nn.Parameter"):
        net.get_parameter("first.mean")
    with pytest.raises(AttributeError, match="Block has no attribute `nothing`"):
        net.get_buffer("first.nothing")


def test_train_eval_apply_requires_grad_zero_grad():
    net = Net()
    assert net.eval() is net
    assert not any(module.training for module in net.modules())
    net.train()
    assert all(module.training for module in net.modules())
    with pytest.raises(ValueError, match="training mode is expected to be boolean"):
        net.train(1)
    seen = []
    assert net.apply(lambda module: seen.append(type(module).__name__)) is net
    assert seen == ["Linear", "Block", "Linear", "Block", "Linear", "Net"]
    net(nb.ones(2, 3)).sum().backward()
    kept = net.head.weight.grad
    net.zero_grad(set_to_none=False)
    assert net.head.weight.grad is not None
    assert not net.head.weight.grad.numpy().any()
    assert kept.shape == net.head.weight.grad.shape
    net.zero_grad()
    assert all(parameter.grad is None for parameter in net.parameters())
    net.first.requires_grad_(False)
    net(nb.ones(2, 3)).sum().backward()
    assert net.first.scale.grad is None
    assert net.second.scale.grad is not None


def test_to_casts_floats_and_keeps_the_objects():
    net = Net()
    parameters = list(net.parameters())
    values = [parameter.detach().numpy().copy() for parameter in parameters]
    net(nb.ones(2, 3)).sum().backward()
    assert net.double() is net
    for before, now, value in zip(parameters, net.parameters(), values, strict=True):
        assert before is now
        assert now.dtype == nb.float64
        assert now.requires_grad
        assert now.is_leaf
        assert now.grad.dtype == nb.float64
        np.testing.assert_array_equal(now.detach().numpy(), value)
    assert net.first.mean.dtype == nb.float64
    assert net.first.count.dtype == nb.int64
    assert net(nb.ones(2, 3, dtype=nb.float64)).dtype == nb.float64
    assert net.float().head.weight.dtype == nb.float32
    assert net.to(nb.float64).to(nb.ones(1)).head.weight.dtype == nb.float32
    with pytest.raises(TypeError, match="only accepts floating point dtypes"):
        net.to(nb.int64)


def test_attributes_follow_the_tables():
    """The members that a module has as attributes are those of its tables, however these are changed."""
    layer = nn.Linear(2, 3)
    weight, other = layer.weight, nn.Parameter(nb.ones(3, 2))
    layer._parameters["weight"] = other
    assert layer.weight is other
    layer._parameters.update(weight=weight)
    assert layer.weight is weight
    assert layer._parameters.pop("weight") is weight
    assert layer._parameters.pop("weight", 1) == 1
    assert not hasattr(layer, "weight")
    assert layer._parameters.setdefault("weight", other) is layer._parameters.setdefault("weight", weight) is other
    assert layer.weight is other
    assert layer._parameters.popitem()[0] == "weight"
    assert list(layer._parameters) == ["bias"]
    layer._parameters.clear()
    assert not {"weight", "bias"} & {*dir(layer)}


@pytest.mark.parametrize("again", [copy.deepcopy, lambda one: pickle.loads(pickle.dumps(one)), copy.copy])
def test_attributes_of_copies_follow_their_tables(again):
    net = nn.Sequential(nn.Linear(2, 3), nn.BatchNorm1d(3))
    twin = again(net)
    assert {"0", "1"} <= {*vars(net)}
    assert twin[0] is twin._modules["0"] is getattr(twin, "0")
    twin[0].weight = other = nn.Parameter(nb.ones(3, 2))
    assert twin[0].weight is twin[0]._parameters["weight"] is other
    twin[1].running_mean = mean = nb.ones(3)
    assert twin[1].running_mean is dict(twin.named_buffers())["1.running_mean"] is mean
    twin[0] = last = nn.ReLU()
    assert twin[0] is getattr(twin, "0") is last
    assert net[0] is getattr(net, "0") is net._modules["0"]


def test_deepcopy_is_independent_and_keeps_sharing():
    net = Net()
    net.head.weight = nn.Parameter(net.first.linear.weight.detach()[:2].clone())
    net.second.linear.weight = net.first.linear.weight
    net.first.scale.requires_grad_(False)
    net.first.scale.grad = None
    clone = copy.deepcopy(net)
    assert clone.second.linear.weight is clone.first.linear.weight
    assert clone.first.linear.weight is not net.first.linear.weight
    assert not clone.first.scale.requires_grad
    assert isinstance(clone.head.weight, nn.Parameter)
    with nb.no_grad():
        clone.head.weight.fill_(7.0)
        clone.first.mean.fill_(7.0)
    assert not (net.head.weight.detach().numpy() == 7).any()
    assert not net.first.mean.numpy().any()


def test_pickle_round_trip():
    net = Net()
    net.second.linear.weight = net.first.linear.weight
    net.first.scale.requires_grad_(False)
    net.eval()
    again = pickle.loads(pickle.dumps(net))
    assert again.second.linear.weight is again.first.linear.weight
    assert not again.first.scale.requires_grad
    assert not again.training
    for (name, old), (other, new) in zip(net.state_dict().items(), again.state_dict().items(), strict=True):
        assert name == other
        np.testing.assert_array_equal(old.numpy(), new.numpy())
    x = nb.ones(2, 3)
    np.testing.assert_array_equal(net(x).detach().numpy(), again(x).detach().numpy())


def test_printing_as_pytorch():
    assert repr(nn.Linear(3, 2)) == "Linear(in_features=3, out_features=2, bias=True)"
    assert repr(nn.ReLU()) == "ReLU()"
    assert repr(nn.Sequential()) == "Sequential()"
    net = nn.Sequential(nn.Conv2d(1, 6, 5, padding=2), nn.Sequential(nn.ReLU(inplace=True), nn.MaxPool2d(2)))
    assert repr(net) == (
        "Sequential(\n"
        "  (0): Conv2d(1, 6, kernel_size=(5, 5), stride=(1, 1), padding=(2, 2))\n"
        "  (1): Sequential(\n"
        "    (0): ReLU(inplace=True)\n"
        "    (1): MaxPool2d(kernel_size=2, stride=2, padding=0, dilation=1, ceil_mode=False)\n"
        "  )\n"
        ")"
    )

    class TwoLines(nn.Module):
        def extra_repr(self) -> str:
            return "a\nb"

    assert repr(TwoLines()) == "TwoLines(\n  a\n  b\n)"
    assert repr(nn.Parameter(nb.ones(1))).startswith("Parameter containing:\n")


def test_a_module_without_forward_says_so():
    class Empty(nn.Module):
        pass

    with pytest.raises(NotImplementedError, match=r'Module \[Empty\] is missing the required "forward" function'):
        Empty()(1)


def test_parameters():
    data = nb.ones(3)
    parameter = nn.Parameter(data)
    assert parameter.requires_grad
    assert parameter.is_leaf
    assert not isinstance(parameter * 2, nn.Parameter)
    with nb.no_grad():
        parameter.fill_(2.0)
    assert data.numpy().tolist() == [2.0, 2.0, 2.0], "a parameter shares the memory of the tensor it is made of"
    assert nn.Parameter().shape == (0,)
    assert nn.Parameter(np.ones((2, 2), np.float32)).shape == (2, 2)
    assert not nn.Parameter(nb.ones(1), requires_grad=False).requires_grad
    graph = nb.ones(2, requires_grad=True) * 3
    assert nn.Parameter(graph).is_leaf
    with pytest.raises(RuntimeError, match="floating"):
        nn.Parameter(nb.tensor([1, 2]))
    assert nn.Parameter(nb.tensor([1, 2]), requires_grad=False).dtype == nb.int64
