"""The four ways in which a reduction of float32 puts two numbers together, for vectors and for scalars."""

from __future__ import annotations

import numpy as np

from numbanet.kernels.cpu.kernel import device_function
from numbanet.kernels.cpu.simd.vector import lane_max, lane_product, lane_sum, select, splat

IDENTITIES = {"sum": 0.0, "prod": 1.0, "max": float("-inf"), "min": float("inf")}


@device_function
def add(a, b):
    """a + b."""
    return a + b


@device_function
def multiply(a, b):
    """a · b."""
    return a * b


@device_function
def larger(a, b):
    """The larger of two vectors; NaN where there is one."""
    return select((a > b) | (a != a), a, b)


@device_function
def smaller(a, b):
    """The smaller of two vectors; NaN where there is one."""
    return select((a < b) | (a != a), a, b)


@device_function
def larger_scalar(a, b):
    """The larger of two numbers; NaN if there is one."""
    return a if a > b or a != a else b


@device_function
def smaller_scalar(a, b):
    """The smaller of two numbers; NaN if there is one."""
    return a if a < b or a != a else b


@device_function
def sum_across(x):
    """The sum of the lanes."""
    return lane_sum(x)


@device_function
def product_across(x):
    """The product of the lanes."""
    return lane_product(x)


@device_function
def max_across(x):
    """The largest lane; NaN if there is one."""
    return lane_max(x)


@device_function
def min_across(x):
    """The smallest lane; NaN if there is one."""
    return -lane_max(splat(np.float32(0)) - x)
