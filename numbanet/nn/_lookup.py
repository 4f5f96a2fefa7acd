"""Where an embedding found what it gave, for layers that can do more with the table than with its copies."""

from __future__ import annotations

import weakref
from typing import NamedTuple

from numbanet.autograd import current_capture
from numbanet.kernels.array import Array, Storage
from numbanet.tensor import Tensor


class Lookup(NamedTuple):
    """x = weight[tokens], as it was then; what x belongs to and what it was made in are not kept alive."""

    weight: Tensor
    tokens: Tensor
    arrays: tuple[Array, Array]
    versions: tuple[int, int]
    x: weakref.ref[Storage]
    capture: weakref.ref | None  # the recording of a graph that it is part of


def note_lookup(x: Tensor, weight: Tensor, tokens: Tensor) -> None:
    """Keep in mind, with the node that made x, that it is weight[tokens]."""
    if x._node is not None and weight._node is None:
        arrays = (weight._array, tokens._array)
        versions = tuple([array.storage.version for array in arrays])
        capture = current_capture()
        part_of = None if capture is None else weakref.ref(capture)
        x._node.lookup = Lookup(weight, tokens, arrays, versions, weakref.ref(x._array.storage), part_of)


def lookup_of(x: Tensor) -> tuple[Tensor, Tensor] | None:
    """(weight, tokens) if x was looked up in a leaf that learns, in the same recording of a graph if there is one, none
    of the three has been changed since, and no gradient has gone back; else None."""
    found = None if x._node is None or x._node.released else x._node.lookup
    if found is None or found.x() is not x._array.storage or x._version:
        return None
    if (None if found.capture is None else found.capture()) is not current_capture():
        return None
    now = (found.weight, found.tokens)
    for tensor, array, version in zip(now, found.arrays, found.versions, strict=True):
        if tensor._array is not array or array.storage.version != version:
            return None
    return now if found.weight._requires_grad else None
