"""What tests of compiled functions call: small tensors, and functions that say how often Python ran."""

from __future__ import annotations

import numpy as np

import numbanet as nb


class Counted:
    """A function that counts how often Python runs it."""

    def __init__(self, function):
        self.function = function
        self.runs = []

    def __call__(self, *args, **kwargs):
        self.runs.append(1)
        return self.function(*args, **kwargs)


def values(*numbers: float) -> nb.Tensor:
    return nb.tensor(np.array(numbers, np.float32))
