"""All cases: together they run every kernel, which a test checks."""

from __future__ import annotations

from tests.kernels_cpu.cases.case import Case
from tests.kernels_cpu.cases.convolutions import CONVOLUTIONS
from tests.kernels_cpu.cases.gradients import WEIGHT_GRADIENTS
from tests.kernels_cpu.cases.others import OPTIMISERS, POINTWISE, SOFTMAX, SUMS
from tests.kernels_cpu.cases.pools import POOLS
from tests.kernels_cpu.cases.products import PRODUCTS

CASES: dict[str, Case] = {}
for _case in (*POINTWISE, *SUMS, *PRODUCTS, *CONVOLUTIONS, *WEIGHT_GRADIENTS, *POOLS, *SOFTMAX, *OPTIMISERS):
    if _case.name in CASES:
        raise ValueError(f"two cases are called {_case.name!r}")
    CASES[_case.name] = _case
