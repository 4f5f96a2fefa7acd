"""Where an embedding found what it gave, for layers that can do more with the table than with its copies."""

from __future__ import annotations

import weakref
from typing import NamedTuple

from numbanet.autograd import Node, current_capture
from numbanet.kernels.array import Array, Storage
from numbanet.tensor import Tensor


class Lookup(NamedTuple):
    """x = weight[tokens], as it was then."""

    node: Node
    weight: Tensor
    tokens: Tensor
    arrays: tuple[Array, Array]
    versions: tuple[int, int]
    capture: object  # the recording of a graph that it is part of


_lookups: weakref.WeakKeyDictionary[Storage, Lookup] = weakref.WeakKeyDictionary()


def note_lookup(x: Tensor, weight: Tensor, tokens: Tensor) -> None:
    """Keep in mind, as long as there is x, that it is weight[tokens]."""
    if x._node is not None and weight._node is None:
        arrays = (weight._array, tokens._array)
        versions = tuple([array.storage.version for array in arrays])
        _lookups[x._array.storage] = Lookup(x._node, weight, tokens, arrays, versions, current_capture())


def lookup_of(x: Tensor) -> tuple[Tensor, Tensor] | None:
    """(weight, tokens) if x was looked up in a leaf that learns, in the same recording of a graph if there is one, none
    of the three has been changed since, and no gradient has gone back; else None."""
    found = _lookups.get(x._array.storage)
    if found is None or found.node is not x._node or found.capture is not current_capture():
        return None
    if x._version or found.node.released:
        return None
    now = (found.weight, found.tokens)
    for tensor, array, version in zip(now, found.arrays, found.versions, strict=True):
        if tensor._array is not array or array.storage.version != version:
            return None
    return now if found.weight._requires_grad else None
