"""state_dict and load_state_dict."""

from __future__ import annotations

import numpy as np
import pytest

import numbanet as nb
from numbanet import nn


class Net(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.fc = nn.Linear(2, 3)
        self.body = nn.Sequential(nn.ReLU(), nn.Linear(3, 1, bias=False))
        self.register_buffer("mean", nb.zeros(2))
        self.register_buffer("scratch", nb.zeros(2), persistent=False)

    def forward(self, x):
        return self.body(self.fc(x - self.mean))


KEYS = ["mean", "fc.weight", "fc.bias", "body.1.weight"]


def arrays(module):
    return {name: value.numpy().copy() for name, value in module.state_dict().items()}


def test_keys_and_sharing():
    net = Net()
    state = net.state_dict()
    assert list(state) == KEYS
    assert all(type(value) is nb.Tensor and not value.requires_grad for value in state.values())
    with nb.no_grad():
        net.fc.bias.fill_(4.0)
    assert state["fc.bias"].numpy().tolist() == [4.0] * 3
    assert net.state_dict(keep_vars=True)["fc.bias"] is net.fc.bias
    target = {"other": 1}
    assert net.state_dict(destination=target, prefix="net.") is target
    assert "net.fc.weight" in target


@pytest.mark.parametrize("as_arrays", [True, False], ids=["ndarrays", "tensors"])
def test_round_trip_writes_in_place(as_arrays):
    source, target = Net(), Net()
    with nb.no_grad():
        source.mean.fill_(0.5)
    weight = target.fc.weight
    shared = weight.detach()
    state = arrays(source) if as_arrays else source.state_dict()
    result = target.load_state_dict(state)
    assert (result.missing_keys, result.unexpected_keys) == ([], [])
    assert str(result) == "<All keys matched successfully>"
    assert target.fc.weight is weight
    np.testing.assert_array_equal(shared.numpy(), source.fc.weight.detach().numpy())
    for name, value in arrays(source).items():
        np.testing.assert_array_equal(arrays(target)[name], value)
    x = nb.ones(4, 2)
    np.testing.assert_array_equal(source(x).detach().numpy(), target(x).detach().numpy())


def test_load_casts_to_the_modules_dtype():
    net = Net()
    net.load_state_dict({name: value.astype(np.float64) for name, value in arrays(net).items()})
    assert net.fc.weight.dtype == nb.float32


def test_everything_that_does_not_fit_is_listed():
    net = Net()
    state = arrays(net)
    del state["fc.bias"], state["mean"]
    state["extra"] = np.zeros(1)
    state["body.0.weight"] = np.zeros(1)
    state["head.fc.weight"] = np.zeros(1)
    state["scratch"] = np.zeros(2)
    state["fc.weight"] = np.zeros((2, 3), np.float32)
    state["body.1.weight"] = [1.0, 2.0]
    with pytest.raises(RuntimeError) as caught:
        net.load_state_dict(state)
    assert str(caught.value).split("\n\t") == [
        "Error(s) in loading state_dict for Net:",
        'Missing key(s) in state_dict: "mean", "fc.bias". ',
        'Unexpected key(s) in state_dict: "extra", "head.fc.weight", "scratch", "body.0.weight". ',
        (
            "size mismatch for fc.weight: copying a param with shape (2, 3) from checkpoint, "
            "the shape in current model is (3, 2)."
        ),
        (
            'While copying the parameter named "body.1.weight", expected Tensor or ndarray from checkpoint '
            "but received <class 'list'>"
        ),
    ]


def test_not_strict_reports_and_loads_the_rest():
    net = Net()
    result = net.load_state_dict({"fc.bias": np.full(3, 9.0, np.float32), "other": np.zeros(1)}, strict=False)
    assert result.missing_keys == ["mean", "fc.weight", "body.1.weight"]
    assert result.unexpected_keys == ["other"]
    assert "missing_keys=['mean'" in str(result)
    assert net.fc.bias.detach().numpy().tolist() == [9.0] * 3
    with pytest.raises(RuntimeError, match=r"size mismatch for fc\.bias"):
        net.load_state_dict({"fc.bias": np.zeros(4)}, strict=False)
    with pytest.raises(TypeError, match="Expected state_dict to be dict-like, got <class 'list'>"):
        net.load_state_dict([1])


def test_assign_puts_in_the_given_tensors():
    net = Net()
    net.fc.weight.requires_grad_(False)
    state = {name: nb.tensor(value.astype(np.float64)) for name, value in arrays(net).items()}
    net.load_state_dict(state, assign=True)
    assert net.fc.weight.dtype == nb.float64
    assert isinstance(net.fc.weight, nn.Parameter)
    assert not net.fc.weight.requires_grad
    assert net.fc.bias.requires_grad
    assert net.mean is state["mean"]


def test_loading_invalidates_what_backward_saved():
    net = Net()
    x = nb.ones(4, 2, requires_grad=True)
    loss = net(x).sum()
    net.load_state_dict(arrays(Net()))
    with pytest.raises(RuntimeError, match="modified by an inplace operation"):
        loss.backward()


def test_extra_state():
    class Counter(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.calls = 0

        def get_extra_state(self):
            return {"calls": self.calls}

        def set_extra_state(self, state) -> None:
            self.calls = state["calls"]

    source, target = nn.Sequential(Counter()), nn.Sequential(Counter())
    source[0].calls = 5
    state = source.state_dict()
    assert state == {"0._extra_state": {"calls": 5}}
    target.load_state_dict(state)
    assert target[0].calls == 5
    with pytest.raises(RuntimeError, match=r'Missing key\(s\) in state_dict: "0._extra_state"'):
        target.load_state_dict({})
    with pytest.raises(RuntimeError, match=r'Unexpected key\(s\) in state_dict: "_extra_state"'):
        nn.ReLU().load_state_dict({"_extra_state": 1})
    with pytest.raises(RuntimeError, match="has no extra state"):
        nn.ReLU().get_extra_state()


def test_hooks_of_saving_and_loading():
    net = Net()
    log = []
    handles = [
        net.fc.register_state_dict_pre_hook(lambda module, prefix, keep_vars: log.append(("before", prefix))),
        net.fc.register_state_dict_post_hook(lambda module, state, prefix, meta: state.update({prefix + "note": 1})),
    ]
    state = net.state_dict()
    assert log == [("before", "fc.")]
    assert state["fc.note"] == 1

    def rename(module, state, prefix, metadata, strict, missing, unexpected, errors):
        state.pop(prefix + "note", None)

    def forgive(module, keys):
        keys.missing_keys.clear()

    handles.append(net.fc.register_load_state_dict_pre_hook(rename))
    handles.append(net.register_load_state_dict_post_hook(forgive))
    del state["mean"]
    net.load_state_dict(state)
    for handle in handles:
        handle.remove()
    assert "fc.note" not in net.state_dict()
    with pytest.raises(RuntimeError, match="Missing"):
        net.load_state_dict(state)


def test_weights_that_are_stored_in_half_the_bits():
    layer = nn.Linear(2, 2)
    layer.load_state_dict({"weight": np.array([[1, 2], [3, 4.5]], np.float16), "bias": np.zeros(2, np.float16)})
    assert layer.weight.tolist() == [[1, 2], [3, 4.5]]
    assert layer.weight.dtype == np.float32
