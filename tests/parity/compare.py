"""One case, both libraries: build the same inputs, make the same call, hold values and gradients against each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

TOLERANCE = {"float32": 1e-5, "float64": 1e-12}


@dataclass(frozen=True)
class Case:
    """``call(library, *inputs)``, where library is ``numbanet`` or ``torch``: both know the same names.

    ``inputs`` are shapes, filled with normal numbers, or arrays, taken as they are. Gradients are compared for every
    floating-point input, unless ``grad`` is false.
    """

    name: str
    call: Callable
    inputs: tuple
    grad: bool = True
    positive: bool = False
    dtypes: tuple[str, ...] = field(default=("float32", "float64"))

    def __str__(self) -> str:
        return self.name


def make_inputs(case: Case, dtype: str) -> list[np.ndarray]:
    """The case's inputs as arrays: the same ones on each call."""
    random = np.random.default_rng(7)
    arrays = []
    for entry in case.inputs:
        if isinstance(entry, np.ndarray):
            arrays.append(entry)
            continue
        array = random.normal(size=entry)
        arrays.append((np.abs(array) + 0.5 if case.positive else array).astype(dtype))
    return arrays


def as_array(value) -> np.ndarray:
    """A Tensor of either library, or a number, as an array."""
    return value.detach().numpy() if hasattr(value, "detach") else np.asarray(value)


def run(library, from_numpy: Callable, case: Case, arrays: list[np.ndarray]) -> tuple[list, list]:
    """Outputs and input gradients of one library; the gradient that comes in is a fixed pattern, not ones."""
    tensors = [from_numpy(array.copy()) for array in arrays]
    leaves = [tensor for tensor, array in zip(tensors, arrays, strict=True) if case.grad and array.dtype.kind == "f"]
    for leaf in leaves:
        leaf.requires_grad_(True)
    result = case.call(library, *tensors)
    outputs = list(result) if isinstance(result, (tuple, list)) else [result]
    if leaves:
        total = None
        for output in outputs:
            if not getattr(output, "requires_grad", False):
                continue
            pattern = np.cos(np.arange(np.asarray(as_array(output)).size, dtype="float64")).reshape(output.shape)
            weighted = (output * from_numpy(pattern.astype(as_array(output).dtype))).sum()
            total = weighted if total is None else total + weighted
        total.backward()
    return [as_array(output) for output in outputs], [as_array(leaf.grad) for leaf in leaves]


def assert_same(ours: list[np.ndarray], theirs: list[np.ndarray], what: str, dtype: str) -> None:
    """Same number, shapes and dtypes, and values within the tolerance for the dtype, relative and of the largest."""
    assert len(ours) == len(theirs), f"{len(ours)} {what}s, PyTorch gives {len(theirs)}"
    for ours_one, theirs_one in zip(ours, theirs, strict=True):
        assert ours_one.shape == theirs_one.shape, f"{what} has shape {ours_one.shape}, PyTorch's {theirs_one.shape}"
        assert ours_one.dtype == theirs_one.dtype, f"{what} is {ours_one.dtype}, PyTorch's {theirs_one.dtype}"
        # A sum's error goes by its largest terms, so small entries of an array with large ones are held to those.
        scale = max(
            1.0, np.abs(theirs_one, where=np.isfinite(theirs_one), out=np.zeros(theirs_one.shape)).max(initial=0)
        )
        tolerance = TOLERANCE[dtype]
        np.testing.assert_allclose(ours_one, theirs_one, err_msg=what, rtol=tolerance, atol=tolerance * scale)


def check_parity(case: Case, dtype: str) -> None:
    """Hold one case of numbanet against PyTorch."""
    import torch

    import numbanet

    arrays = make_inputs(case, dtype)
    ours = run(numbanet, numbanet.from_numpy, case, arrays)
    theirs = run(torch, torch.from_numpy, case, arrays)
    assert_same(ours[0], theirs[0], "output", dtype)
    assert_same(ours[1], theirs[1], "gradient", dtype)
