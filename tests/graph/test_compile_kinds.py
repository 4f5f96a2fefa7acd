"""compile and kinds of calls: what is recorded anew, and how often."""

from __future__ import annotations

import warnings

import numpy as np
import pytest

import numbanet as nb
from numbanet import nn
from tests.conftest import needs_numba
from tests.graph.calls import values


def test_at_most_so_many_kinds_are_recorded(backend):
    function = nb.compile(lambda x: x + 1, max_captures=2)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for size in (1, 2, 1, 2, 1, 2):
            function(nb.zeros(size))
    with pytest.warns(RuntimeWarning, match=r"input 0 has shape \(3,\), and had \("):
        assert function(nb.zeros(3)).tolist() == [1, 1, 1]
    assert len(function.plans) == 2
    assert function(nb.ones(2)).tolist() == [2, 2]


def test_declared_dimensions_do_not_count(backend):
    function = nb.compile(lambda x: x + 1, max_captures=1, dynamic=[0])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for size in (1, 2, 3, 4, 5) * 3:
            assert function(nb.zeros(size)).tolist() == [1] * size
    assert len(function.plans) == 5


def test_a_value_that_the_code_names_is_looked_at(backend):
    rate = 0.5

    def scaled(x):
        return x * rate

    function = nb.compile(scaled)
    for rate in (0.5, 0.5, 0.5, 0.25, 0.25, 0.25, 0.5):
        assert function(values(1)).item() == rate


def test_another_tensor_or_model_by_the_same_name(backend):
    masks, models = [values(1, 1), values(5, 5)], [nn.Linear(2, 2), nn.Linear(2, 2)]
    mask, model = masks[0], models[0]
    x = values(1, 2)
    function = nb.compile(lambda x: model(x * mask))
    for number in (0, 0, 0, 1, 1, 1, 0):
        mask, model = masks[number], models[number]
        np.testing.assert_array_equal(function(x).numpy(), model(x * mask).detach().numpy())
    assert len(function.plans) == 2


def test_a_hook_that_comes_later(backend):
    model, x = nn.Linear(3, 2), nb.randn(4, 3)
    function = nb.compile(lambda x: model(x))
    for _ in range(3):
        function(x)
    handle = model.register_forward_hook(lambda module, inputs, output: output * 0)
    for _ in range(3):
        assert function(x).tolist() == [[0, 0]] * 4
    handle.remove()
    assert len(function.plans) == 2
    np.testing.assert_array_equal(function(x).numpy(), model(x).detach().numpy())


@needs_numba
def test_a_module_with_arrays_of_its_own(backend):
    model = nn.Linear(3, 2)
    model.means, model.none, model.weights_hooks = np.ones(3), np.ones(0), np.ones(2)
    for fallback in (None, pytest.fail):
        compiled = nb.compile(model, fallback=fallback)
        for number in range(4):
            x = values(number, 1.0, 2.0)
            assert compiled(x).tolist() == model(x).tolist()
        assert compiled.plans


def test_arguments_of_another_back_end():
    before, function = nb.get_backend(), nb.compile(lambda x: x + 1)
    for name in ("numpy", "cpu", "numpy"):
        nb.set_backend(name)
        for _ in range(3):
            assert function(values(1))._array.storage.backend.name == name
    nb.set_backend(before)


def test_a_setting_in_a_dictionary(backend):
    settings = {"factor": 2.0, "calls": 0}

    def scaled(x):
        settings["calls"] += 1
        return x * settings["factor"]

    function = nb.compile(scaled)
    for factor in (2.0, 2.0, 2.0, 3.0, 3.0, 3.0, 2.0):
        settings["factor"] = factor
        assert function(values(1)).item() == factor
    assert settings["calls"] == 4


def test_a_number_that_is_an_argument(backend):
    function = nb.compile(lambda x, factor: x * factor)
    for factor in (2, 2, 2, 3, 3, 3.5, 2):
        assert function(values(1), factor).item() == factor


def test_a_deleted_parameter_is_noticed(backend):
    model = nn.Sequential(nn.Linear(3, 3), nn.ReLU(), nn.Linear(3, 2))
    function, x = nb.compile(lambda x: model(x)), nb.randn(2, 3)
    for _ in range(3):
        function(x)
    bias = model[0].bias
    del model[0].bias
    with pytest.raises(AttributeError, match="'Linear' object has no attribute 'bias'"):
        function(x)
    model[0].bias = bias
    np.testing.assert_array_equal(function(x).numpy(), model(x).detach().numpy())
