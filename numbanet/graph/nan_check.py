"""The first operation that makes a NaN or an infinity: every operation's results are looked at as it is run.

So nothing is replayed, and a pass over memory comes behind each operation; the results are the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import fields
from typing import TYPE_CHECKING, Any

import numpy as np

from numbanet.autograd import set_recorder
from numbanet.graph.errors import NonFiniteError
from numbanet.graph.places import here
from numbanet.graph.structure import flatten
from numbanet.ops.base import ViewOp
from numbanet.tensor import Tensor

if TYPE_CHECKING:
    from numbanet.graph.watch import Watch
    from numbanet.ops.base import Op


def call_checked(function: Callable, args: tuple, kwargs: dict, watch: Watch) -> Any:
    """``function(*args, **kwargs)``. Raises NonFiniteError as soon as an operation makes a NaN, makes an infinity of
    finite numbers, or passes on a NaN that was there before."""
    arguments: list[Tensor] = []
    flatten((args, kwargs), arguments)
    before = set_recorder(_Check(arguments, watch))
    try:
        return function(*args, **kwargs)
    finally:
        set_recorder(before)


class _Check:
    """What the dispatcher shows every operation to."""

    def __init__(self, arguments: Sequence[Tensor], watch: Watch) -> None:
        self._modules = watch.module_names()
        self._names = {id(one._array.storage): name for name, one in watch.tensors() if name}
        self._names |= {id(one._array.storage): f"input {number}" for number, one in enumerate(arguments)}
        self._forwards: dict[int, tuple[str, str]] = {}
        self._tape: list[object] = []  # keeps the tape's nodes alive, so that their ids stay their own

    def __call__(self, op: Op, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
        if isinstance(op, ViewOp):
            return
        where, path, is_backward = here(self._modules, self._forwards)
        for tensor in outputs:
            if tensor._node is not None and id(tensor._node) not in self._forwards:
                self._forwards[id(tensor._node)] = (where, path)
                self._tape.append(tensor._node)
        written = [*outputs, *[inputs[number] for number in op.mutates]]
        for tensor in written:
            values = _values(tensor)
            if values is None or np.isfinite(values).all():
                continue
            of = f" of {path}" if path else ""
            what = f"{where}: {type(op).__name__}{of}{' (backward pass)' if is_backward else ''}"
            changed = {id(one._array.storage) for one in written}
            self._judge(op, what, values, [one for one in inputs if id(one._array.storage) not in changed])

    def _judge(self, op: Op, what: str, values: np.ndarray, inputs: Iterable[Tensor]) -> None:
        """Raise for values that are not finite, unless they are infinities that the operation was given."""
        has_nan = bool(np.isnan(values).any())
        given = [(one, found) for one in inputs if (found := _values(one)) is not None]
        for tensor, found in given:
            if has_nan and np.isnan(found).any():
                name = self._names.get(id(tensor._array.storage), f"a tensor of shape {tensor.shape}")
                raise NonFiniteError(f"{what} reads NaN from {name}, where it was before")
        if not has_nan and (_is_infinite_by_order(op) or any(np.isinf(found).any() for _, found in given)):
            return
        at = np.unravel_index(int(np.argmin(np.isfinite(values))), values.shape)
        place = f" at {tuple(map(int, at))}" if values.ndim else ""
        of = "inputs without any" if has_nan else "finite inputs"
        raise NonFiniteError(f"{what} makes {values[at]}{place} of its result of shape {values.shape}, from {of}")


def _values(tensor: Tensor) -> np.ndarray | None:
    """The tensor's floating-point numbers."""
    return tensor._array.numpy() if tensor.dtype.kind == "f" else None


def _is_infinite_by_order(op: Op) -> bool:
    """Whether a setting of the operation is an infinity, as that of a fill for a mask."""
    settings = [getattr(op, field.name) for field in fields(op)]
    return any(isinstance(value, float) and math.isinf(value) for value in settings)
