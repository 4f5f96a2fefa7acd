"""Nested state (dicts, lists, numbers, texts, tensors) as named arrays and one JSON-ready tree, and back."""

from __future__ import annotations

from typing import Any

import numpy as np

from numbanet.tensor import Tensor

_ARRAY = "$array"
_NUMBERED = "$numbered"
_TUPLE = "$tuple"


def pack(tree: Any, name: str, arrays: dict[str, np.ndarray]) -> Any:
    """``tree`` with every tensor moved into ``arrays`` under a dotted name and replaced by a reference to it.

    JSON knows neither tuples nor dicts with numbers as keys (an optimiser's state has both); they are marked.
    """
    if isinstance(tree, Tensor | np.ndarray):
        arrays[name] = np.array(tree.detach().numpy() if isinstance(tree, Tensor) else tree)  # a copy: training goes on
        return {_ARRAY: name}
    if isinstance(tree, dict):
        packed = {str(key): pack(value, f"{name}.{key}", arrays) for key, value in tree.items()}
        numbered = bool(tree) and all(isinstance(key, int) for key in tree)
        return {_NUMBERED: packed} if numbered else packed
    if isinstance(tree, list | tuple):
        packed = [pack(value, f"{name}.{index}", arrays) for index, value in enumerate(tree)]
        return {_TUPLE: packed} if isinstance(tree, tuple) else packed
    if isinstance(tree, np.generic):
        return tree.item()
    return tree


def unpack(packed: Any, arrays: dict[str, np.ndarray]) -> Any:
    """What :func:`pack` was given, with ndarrays in place of tensors. Raises KeyError when an array is missing."""
    if isinstance(packed, list):
        return [unpack(value, arrays) for value in packed]
    if not isinstance(packed, dict):
        return packed
    if _ARRAY in packed:
        return arrays[packed[_ARRAY]]
    if _TUPLE in packed:
        return tuple(unpack(value, arrays) for value in packed[_TUPLE])
    if _NUMBERED in packed:
        return {int(key): unpack(value, arrays) for key, value in packed[_NUMBERED].items()}
    return {key: unpack(value, arrays) for key, value in packed.items()}
