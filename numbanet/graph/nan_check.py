"""The first operation that makes a NaN or an infinity: every operation's results are looked at as it is run.

So nothing is replayed, and a pass over memory comes behind each operation; the results are the same.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence, Set
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
    from numbanet.kernels.array import Storage
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
        states: list[Tensor] = []
        flatten([optimizer.state for optimizer in watch.optimizers], states)
        self._before: dict[Callable, dict[int, Storage]] = {np.isnan: {}, np.isinf: {}}  # memory that held such numbers
        for tensor in [one for _, one in watch.tensors()] + [*arguments, *states]:
            self._remember(tensor)
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
        changed = {id(one._array.storage) for one in written}
        of = f" of {path}" if path else ""
        for tensor in written:
            values = _values(tensor)
            if values is not None and not np.isfinite(values).all():
                what = f"{where}: {type(op).__name__}{of}{' (backward pass)' if is_backward else ''}"
                self._judge(op, what, values, inputs, changed)
        for tensor in written:
            self._remember(tensor)

    def _judge(self, op: Op, what: str, values: np.ndarray, inputs: Sequence[Tensor], changed: Set[int]) -> None:
        """Raise for values that are not finite, unless they are infinities that the operation was given."""
        is_nan = bool(np.isnan(values).any())
        kind = np.isnan if is_nan else np.isinf
        given = [one for one in inputs if self._was_in(one, kind, changed)]
        if is_nan and given:
            name = self._names.get(id(given[0]._array.storage), f"a tensor of shape {given[0].shape}")
            raise NonFiniteError(f"{what} reads NaN from {name}, where it was before")
        if given or (not is_nan and _is_infinite_by_order(op)):
            return
        at = np.unravel_index(int(np.argmax(kind(values))), values.shape)
        place = f" at {tuple(map(int, at))}" if values.ndim else ""
        of = "inputs without any" if is_nan else "finite inputs"
        raise NonFiniteError(f"{what} makes {values[at]}{place} of its result of shape {values.shape}, from {of}")

    def _was_in(self, tensor: Tensor, kind: Callable, changed: Set[int]) -> bool:
        """Whether the operation found NaN (or infinities) there; what it has changed is known from before alone."""
        number, values = id(tensor._array.storage), _values(tensor)
        if number in changed:
            return number in self._before[kind]
        return values is not None and bool(kind(values).any())

    def _remember(self, tensor: Tensor) -> None:
        """Note what the tensor holds, for operations that change it."""
        array, values = tensor._array, _values(tensor)
        if values is None:
            return
        is_all = array.size * array.dtype.itemsize == array.storage.nbytes
        is_finite = np.isfinite(values).all()
        for kind, found in self._before.items():
            if not is_finite and kind(values).any():
                found[id(array.storage)] = array.storage
            elif is_all:
                found.pop(id(array.storage), None)


def _values(tensor: Tensor) -> np.ndarray | None:
    """The tensor's floating-point numbers."""
    return tensor._array.numpy() if tensor.dtype.kind == "f" else None


def _is_infinite_by_order(op: Op) -> bool:
    """Whether a setting of the operation is an infinity, as that of a fill for a mask."""
    settings = [getattr(op, field.name) for field in fields(op)]
    return any(isinstance(value, float) and math.isinf(value) for value in settings)
