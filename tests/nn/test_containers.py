"""Sequential, ModuleList, ModuleDict."""

from __future__ import annotations

import pytest

import numbanet as nb
from numbanet import nn


class Add(nn.Module):
    def __init__(self, amount: float) -> None:
        super().__init__()
        self.amount = amount

    def forward(self, x):
        return x * 2 + self.amount


def amounts(container):
    return [module.amount for module in container]


def test_sequential_applies_in_order():
    net = nn.Sequential(Add(1), Add(2))
    assert net(nb.tensor([1.0])).item() == 8.0
    assert nn.Sequential()(3) == 3
    named = nn.Sequential({"first": Add(1), "second": Add(2)})
    assert named.first.amount == 1
    assert [name for name, _ in named.named_children()] == ["first", "second"]
    assert named(nb.tensor([1.0])).item() == 8.0
    with pytest.raises(TypeError, match="function is not a Module subclass"):
        nn.Sequential(Add(1), lambda x: x)


@pytest.mark.parametrize("cls", [nn.Sequential, lambda *modules: nn.ModuleList(modules)], ids=["Sequential", "List"])
def test_as_a_list(cls):
    net = cls(Add(0), Add(1), Add(2), Add(3))
    assert len(net) == 4
    assert net[1].amount == 1
    assert net[-1].amount == 3
    for index in (4, -5):
        with pytest.raises(IndexError, match=f"index {index} is out of range"):
            net[index]
    net[1] = Add(10)
    assert amounts(net) == [0, 10, 2, 3]
    del net[0]
    assert amounts(net) == [10, 2, 3]
    assert list(net._modules) == ["0", "1", "2"]
    assert net.append(Add(4)) is net
    assert net.insert(1, Add(5)) is net
    assert amounts(net) == [10, 5, 2, 3, 4]
    assert net.extend([Add(6), Add(7)]) is net
    assert net.pop().amount == 7
    assert net.pop(0).amount == 10
    assert amounts(net) == [5, 2, 3, 4, 6]
    assert list(net._modules) == ["0", "1", "2", "3", "4"]
    del net[1:3]
    assert amounts(net) == [5, 4, 6]
    with pytest.raises(TypeError, match="int is not a Module subclass"):
        net.insert(0, 3)
    with pytest.raises(IndexError, match="Index out of range: 9"):
        net.insert(9, Add(0))
    assert amounts(net[1:]) == [4, 6]
    assert type(net[1:]) is type(net)


def test_a_part_of_a_sequential_keeps_its_names():
    net = nn.Sequential(nn.Linear(1, 1), nn.ReLU(), nn.Linear(1, 1))
    assert list(net[1:]._modules) == ["1", "2"]
    assert net[1:][1] is net[2]
    assert amounts(nn.Sequential(Add(1)) + nn.Sequential(Add(2))) == [1, 2]
    with pytest.raises(ValueError, match="supports only objects of Sequential class"):
        nn.Sequential(Add(1)).__add__([Add(2)])
    named = nn.Sequential({"a": Add(1), "b": Add(2)})
    del named[0]
    assert list(named._modules) == ["b"]


def test_module_list():
    modules = nn.ModuleList(Add(i) for i in range(3))
    modules += [Add(3)]
    assert amounts(modules) == [0, 1, 2, 3]
    assert amounts(modules + nn.ModuleList([Add(4)])) == [0, 1, 2, 3, 4]
    assert list(modules[2:]._modules) == ["0", "1"]
    assert len(nn.ModuleList()) == 0
    assert [name for name, _ in nn.ModuleList([nn.Linear(1, 1)]).named_parameters()] == ["0.weight", "0.bias"]
    with pytest.raises(NotImplementedError, match="ModuleList"):
        modules(1)


def test_module_dict():
    modules = nn.ModuleDict({"a": Add(1), "b": Add(2)})
    modules["c"] = Add(3)
    modules.update([("a", Add(10))])
    assert list(modules) == list(modules.keys()) == ["a", "b", "c"]
    assert [module.amount for module in modules.values()] == [10, 2, 3]
    assert next((key, module.amount) for key, module in modules.items()) == ("a", 10)
    assert "b" in modules
    assert modules.pop("b").amount == 2
    del modules["c"]
    assert len(modules) == 1
    assert modules["a"].amount == 10
    modules.clear()
    assert len(modules) == 0
    with pytest.raises(KeyError):
        modules["a"]
    with pytest.raises(KeyError, match="attribute 'pop' already exists"):
        modules["pop"] = Add(1)
    assert len(nn.ModuleDict()) == 0
