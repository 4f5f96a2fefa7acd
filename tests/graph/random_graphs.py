"""Random functions: programs of small ops on tensors, each of which takes earlier values.

A program is a list of steps (kind, three numbers); the numbers choose among the values so far and among the ops of the
kind. What does not fit (shapes that do not broadcast, a view of one element) becomes a cheap op that does, so that
every list of numbers is a program.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import NamedTuple

import numpy as np
from hypothesis import strategies as st

import numbanet as nb
from numbanet.nn import functional as F

SHAPES = ((4, 6), (4, 6), (6, 4), (4, 4), (1, 6), (6,))
"""Of the inputs; the first two are alike."""
KINDS = ("unary", "binary", "reduce", "view", "matmul", "layer", "in place", "write", "random")
MOST_ELEMENTS = 200


class Step(NamedTuple):
    kind: str
    a: int
    b: int
    c: int


class Program(NamedTuple):
    """Steps, and the numbers of the values that are returned."""

    steps: list[Step]
    results: list[int]


def programs(kinds: Sequence[str] = KINDS, most: int = 14) -> st.SearchStrategy[Program]:
    number = st.integers(0, 30)
    step = st.builds(Step, st.sampled_from(list(kinds)), number, number, number)
    return st.builds(
        Program, st.lists(step, min_size=1, max_size=most), st.lists(number, min_size=1, max_size=4, unique=True)
    )


UNARY: tuple[Callable, ...] = (
    nb.Tensor.relu,
    nb.Tensor.tanh,
    nb.Tensor.sigmoid,
    nb.Tensor.exp,
    nb.Tensor.abs,
    nb.Tensor.sin,
    F.gelu,
    lambda x: -x,
    lambda x: x * 0.5,
    lambda x: x.square(),
)
BINARY: tuple[Callable, ...] = (
    lambda x, y: x + y,
    lambda x, y: x - y,
    lambda x, y: x * y,
    nb.Tensor.maximum,
    lambda x, y: nb.where(x > y, x, y),
)
REDUCE: tuple[Callable, ...] = (nb.Tensor.sum, nb.Tensor.mean)
VIEWS: tuple[Callable, ...] = (
    lambda x: x.T,
    lambda x: x[1:],
    lambda x: x[:, ::2],
    lambda x: x.reshape(-1),
    lambda x: x[0],
    lambda x: x.unsqueeze(0)[0],
)


def fits(x: nb.Tensor, y: nb.Tensor) -> bool:
    """Whether they broadcast to something small."""
    try:
        return int(np.prod(np.broadcast_shapes(x.shape, y.shape))) <= MOST_ELEMENTS
    except ValueError:
        return False


def layer(x: nb.Tensor, which: int) -> nb.Tensor:
    """A norm, a softmax or a product with a constant matrix, over rows."""
    if x.ndim != 2 or min(x.shape) < 2:
        return x.relu()
    if which % 3 == 0:
        return F.batch_norm(x, None, None, None, None, training=True)
    if which % 3 == 1:
        return F.softmax(x, -1)
    return F.linear(x, nb.full((3, x.shape[1]), 0.25), nb.full((3,), -0.5))


def product(x: nb.Tensor, y: nb.Tensor) -> nb.Tensor:
    if x.ndim == y.ndim == 2:
        for a, b in ((x, y), (x, y.T), (x.T, y)):
            if a.shape[1] == b.shape[0]:
                return a @ b
    return x * 2


def overlaps_itself(x: nb.Tensor) -> bool:
    return any(extent > 1 and stride == 0 for extent, stride in zip(x.shape, x.stride(), strict=True))


def in_place(x: nb.Tensor, y: nb.Tensor, which: int) -> None:
    if overlaps_itself(x):
        return
    if which % 4 == 0 and fits(x, y) and np.broadcast_shapes(x.shape, y.shape) == x.shape:
        x.add_(y)
    elif which % 4 == 1:
        x.relu_()
    elif which % 4 == 2:
        x.mul_(0.5)
    else:
        x.fill_(0.75)


def write(x: nb.Tensor, y: nb.Tensor) -> None:
    """A part of x becomes a part of y."""
    if x.ndim and x.shape[0] > 1 and not overlaps_itself(x):
        part = x[1:]
        if fits(part, y) and np.broadcast_shapes(part.shape, y.shape) == part.shape:
            x[1:] = y
        else:
            x[0] = 0.25


def run(program: Program, inputs: Sequence[nb.Tensor]) -> list[nb.Tensor]:
    """What the program returns; some of its steps change inputs and each other's results."""
    values = list(inputs)
    for step in program.steps:
        x, y = values[step.a % len(values)], values[step.b % len(values)]
        if step.kind == "unary":
            values.append(UNARY[step.c % len(UNARY)](x))
        elif step.kind == "binary":
            values.append(BINARY[step.c % len(BINARY)](x, y) if fits(x, y) else x.tanh())
        elif step.kind == "reduce":
            values.append(REDUCE[step.b % 2](x, step.c % x.ndim, keepdim=step.a % 2 == 0) if x.ndim else x + 1)
        elif step.kind == "view":
            values.append(VIEWS[step.c % len(VIEWS)](x) if x.ndim == 2 and min(x.shape) > 1 else x)
        elif step.kind == "matmul":
            values.append(product(x, y))
        elif step.kind == "layer":
            values.append(layer(x, step.c))
        elif step.kind == "in place":
            in_place(x, y, step.c)
        elif step.kind == "write":
            write(x, y)
        else:
            values.append(F.dropout(x, 0.5))
    return [values[number % len(values)] for number in program.results]


def arguments(seed: int) -> list[nb.Tensor]:
    rng = np.random.default_rng(seed)
    return [nb.tensor(rng.standard_normal(shape, np.float32)) for shape in SHAPES]
