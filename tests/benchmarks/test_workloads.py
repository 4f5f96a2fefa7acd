"""The lists of workloads, the shapes that are drawn, and that both sides compute the same."""

from __future__ import annotations

import math
import random
import subprocess
import sys

import numpy as np
import pytest
import workloads
from bars import BARS
from measure import library_of
from workloads import compiled, convolution, drawing, gemm, networks, pooling
from workloads.libraries import Numbanet, Torch

from numbanet.nn import functional as F
from tests.benchmarks.conftest import BENCHMARKS

SEEDS = range(5)


def test_names_and_counts() -> None:
    known = workloads.standard()
    families = {workload.family for workload in known.values()}
    assert {"training", "inference", "gemm", "convolution", "pooling", "normalisation", "pointwise"} <= families
    assert {"softmax", "cross_entropy", "dropout", "reduction", "optimiser", "attention", "generation"} <= families
    assert len(convolution.SHAPES) == 24
    assert len(gemm.LAYERS) == 20
    assert (min(gemm.SIZES), max(gemm.SIZES)) == (32, 2048)
    assert all(name == workload.name for name, workload in known.items())


def test_what_the_convolutions_cover() -> None:
    shapes = convolution.SHAPES.values()
    kernels = {(shape.kernel, shape.stride) for shape in shapes}
    assert {(1, 1), (5, 1), (7, 2), (11, 4), (3, 1), (3, 2)} <= kernels
    assert {1, 128} <= {shape.batch for shape in shapes}
    assert any(shape.groups == shape.channels for shape in shapes)
    assert any(shape.has_peak_bar for shape in shapes)


def test_two_workloads_of_one_name_are_an_error() -> None:
    one = gemm.workload("a", gemm.Product(2, 2, 2))
    with pytest.raises(ValueError, match="'gemm/a'"):
        workloads.by_name([one, one])


def test_select() -> None:
    names = ["gemm/square/32", "gemm/square/64", "training/mlp", "inference/mlp"]
    assert workloads.select(names, []) == names
    assert workloads.select(names, ["mlp"]) == names[2:]
    assert workloads.select(names, ["training", "gemm/*/32"]) == [names[0], names[2]]
    with pytest.raises(ValueError, match="'conv'"):
        workloads.select(names, ["mlp", "conv"])


@pytest.mark.parametrize("seed", SEEDS)
def test_drawn_shapes_are_the_same_for_the_same_seed(seed: int) -> None:
    names = list(workloads.drawn(seed))
    assert len(names) == 50
    assert names == list(workloads.drawn(seed))
    assert names != list(workloads.drawn(seed + 100))
    assert list(workloads.drawn(seed, 10)) == names[:10]


def test_every_kind_is_drawn_within_its_range() -> None:
    drawn = [workload for seed in SEEDS for workload in workloads.drawn(seed).values()]
    assert {workload.family for workload in drawn} >= {"gemm", "convolution", "pooling", "normalisation", "pointwise"}
    assert {workload.family for workload in drawn} >= {"softmax", "cross_entropy", "dropout"}
    assert all(0 <= workload.flops <= drawing.MOST_FLOPS for workload in drawn)
    assert all(workload.nbytes > 0 for workload in drawn)
    assert all(workload.nbytes <= 5 * 4 * drawing.MOST_ELEMENTS for workload in drawn)


def test_between_is_even_in_the_logarithm() -> None:
    rng = random.Random(0)
    numbers = [drawing.between(rng, 1, 1023) for _ in range(4000)]
    assert (min(numbers), max(numbers)) == (1, 1023)
    assert sum(number < 32 for number in numbers) == pytest.approx(2000, abs=150)


@pytest.mark.parametrize("seed", SEEDS)
def test_shapes_of_drawn_convolutions(seed: int) -> None:
    rng, tensor = random.Random(seed), Numbanet().tensor
    for _ in range(8):
        shape = drawing.convolution_shape(rng)
        x, weight = np.zeros((1, *shape.x_shape[1:]), np.float32), np.zeros(shape.weight_shape, np.float32)
        options = (shape.stride, shape.padding, shape.dilation, shape.groups)
        assert F.conv2d(tensor(x), tensor(weight), None, *options).shape == (1, *shape.out_shape[1:])


def test_flops_and_bytes() -> None:
    product = gemm.Product(3, 5, 7, batch=2)
    assert product.flops == 2 * 2 * 3 * 5 * 7
    shape = convolution.Convolution(2, 4, 8, 6, 3, padding=1, groups=2)
    assert shape.out_shape == (2, 6, 8, 8)
    assert shape.flops == 2 * math.prod(shape.out_shape) * 2 * 9
    assert shape.nbytes == 4 * (2 * 4 * 64 + 6 * 2 * 9 + 2 * 6 * 64)
    forward, backward = pooling.window_pool("max", "a", (2, 3, 8, 8), 3, 2, 1)
    assert forward.nbytes == backward.nbytes == 4 * (2 * 3 * 64 + 2 * 3 * 16)


@pytest.mark.parametrize("a_t", [False, True])
@pytest.mark.parametrize("b_t", [False, True])
def test_products_on_each_side(a_t: bool, b_t: bool, backend: str) -> None:
    product = gemm.Product(3, 5, 7, 2, a_t, b_t)
    a, b = product.factors()
    sides = gemm.workload("a", product).sides
    for side in ("numbanet", "numbanet eager", "numpy"):
        step = sides[side]()
        with step.context():
            result = step.call()
        result = step.result() if step.result else result.numpy()
        np.testing.assert_allclose(result, a @ b, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "name", ["pooling/max-lenet-2", "softmax/softmax-128x10", "cross_entropy/128x10", "dropout/16k"]
)
def test_a_kernel_both_ways(name: str, backend: str) -> None:
    for direction in ("forward", "backward"):
        step = workloads.standard()[f"{name}/{direction}"].sides["numbanet"]()
        with step.context():
            result = step.call()
        result = result[0] if isinstance(result, tuple) else result
        assert np.isfinite(result.numpy()).all()
        assert not result.requires_grad


def test_resnet20_is_that_of_the_paper() -> None:
    """0.27 million parameters, 41 million multiply-adds a picture (He et al. 2015, table 6; counted for option A)."""
    model = networks.build(Numbanet(), "resnet20")
    assert sum(parameter.numel() for parameter in model.parameters()) == 269_722
    x = Numbanet().tensor(np.zeros((2, 3, 32, 32), np.float32))
    assert networks.count_flops(Numbanet(), model.eval(), x)[0] / 2 / 2 == pytest.approx(40.8e6, rel=0.01)


def test_flops_of_a_network() -> None:
    """2 · 128 · (784·512 + 512·256 + 256·10), and three times that without the first layer's input gradient."""
    step = networks.training_step(Numbanet(), "mlp")
    layers = [784 * 512, 512 * 256, 256 * 10]
    assert step.flops == 2 * 128 * (3 * sum(layers) - layers[0])
    assert networks.inference(Numbanet(), "mlp").flops == 2 * 128 * sum(layers)


@pytest.mark.torch
@pytest.mark.parametrize("name", ["mlp", "lenet5", "alexnet64", "resnet20", "plain20"])
def test_both_libraries_begin_with_the_same_loss(name: str) -> None:
    pytest.importorskip("torch")
    ours, theirs = (networks.training_step(library(), name, batch=4).call().item() for library in (Numbanet, Torch))
    assert ours == pytest.approx(theirs, rel=1e-5)


@pytest.mark.torch
@pytest.mark.parametrize("name", ["training/seq2seq_attention", "generation/gpt-d256"])
def test_both_libraries_come_to_the_same(name: str) -> None:
    pytest.importorskip("torch")
    results = []
    for side in ("numbanet", "torch"):
        step = workloads.standard()[name].sides[side]()
        with step.context():
            results.append(step.call().detach().numpy())
    np.testing.assert_allclose(*results, rtol=1e-4, atol=1e-4 * np.abs(results[1]).max())


def test_asv_has_the_same_workloads() -> None:
    names = "import sys; sys.path.insert(0, '.'); from benchmarks import kernels as k; print(*sorted("
    names += "name for one in vars(k).values() if hasattr(one, 'params') for name in one.params))"
    run = subprocess.run([sys.executable, "-c", names], cwd=BENCHMARKS, capture_output=True, text=True, check=True)
    assert run.stdout.split() == sorted(workloads.standard())


def test_compiled_workloads_have_their_sides(monkeypatch) -> None:
    plain = ["numbanet", "numbanet eager", "torch NCHW", "torch channels_last"]
    assert list(workloads.standard()["compiled/resnet20-b1"].sides) == plain
    monkeypatch.setenv(compiled.TORCH_COMPILE, "1")
    sides = list(workloads.standard()["compiled/resnet20-b1"].sides)
    assert sides == [*plain, "compiled torch"]
    assert [library_of(side) for side in sides] == ["numbanet"] * 2 + ["torch"] * 3


def test_compiled_steps_are_replays(backend: str) -> None:
    known = workloads.standard()
    for name in ("compiled/mlp", "compiled/lenet5-b1"):
        step, eager = known[name].sides["numbanet"](), known[name].sides["numbanet eager"]()
        with step.context():
            results = [[one.call().detach().numpy().tolist() for _ in range(4)] for one in (step, eager)]
        assert results[0] == results[1]
        assert step.call.plans


def test_every_compiled_workload_has_a_bar() -> None:
    names = {name for name in workloads.standard() if name.startswith("compiled/")}
    assert len(names) == 16
    against_torch = [bar for bar in BARS if bar.text != "compiled against our eager"]
    for name in names:
        record = {"workload": name, "family": "compiled", "single": None, "bars": (), "nbytes": 0, "sides": {}}
        assert sum(bar.applies(record) for bar in against_torch) == 1, name
