"""Where an embedding found what it gave, for layers that can do more with the table than with its copies.

Changes by tensors are noticed; those through ``tensor.numpy()``, which shares memory, are not.
"""

from __future__ import annotations

import weakref
from typing import NamedTuple

from numbanet.autograd import current_capture
from numbanet.kernels.array import Array, Layout, Storage
from numbanet.tensor import Tensor


class Lookup(NamedTuple):
    """x = weight[tokens], as it was then: what the node that made x does not know of it."""

    weight: Tensor
    array: Array
    version: int
    x: weakref.ref[Storage]
    layout: Layout
    capture: weakref.ref | None  # the recording of a graph that it is part of


def note_lookup(x: Tensor, weight: Tensor) -> None:
    """Keep in mind, with the node that made x, that it was looked up in weight."""
    if x._node is not None and weight._node is None:
        array, capture = weight._array, current_capture()
        part_of = None if capture is None else weakref.ref(capture)
        storage = weakref.ref(x._array.storage)
        x._node.lookup = Lookup(weight, array, array.storage.version, storage, x._array.layout, part_of)


def lookup_of(x: Tensor) -> tuple[Tensor, Tensor] | None:
    """(weight, tokens) if x was looked up in a leaf that learns, in the same recording of a graph if there is one, none
    of the three has been changed since, and no gradient has gone back; else None."""
    node = x._node
    found = None if node is None or node.released else node.lookup
    if found is None or x._version or node.is_changed(1):
        return None
    if found.x() is not x._array.storage or found.layout is not x._array.layout or x._array.offset:
        return None
    if (None if found.capture is None else found.capture()) is not current_capture():
        return None
    weight = found.weight
    if weight._array is not found.array or found.array.storage.version != found.version or not weight._requires_grad:
        return None
    return weight, node.input(1)
