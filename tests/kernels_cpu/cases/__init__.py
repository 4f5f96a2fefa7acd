"""All cases: together they run every kernel, which a test checks."""

from __future__ import annotations

from tests.kernels_cpu.cases.additive_decoder import ADDITIVE_DECODER
from tests.kernels_cpu.cases.attention import ATTENTION
from tests.kernels_cpu.cases.augmentations import AUGMENTATIONS
from tests.kernels_cpu.cases.case import Case
from tests.kernels_cpu.cases.convolutions import CONVOLUTIONS
from tests.kernels_cpu.cases.gradients import WEIGHT_GRADIENTS
from tests.kernels_cpu.cases.locals import LOCALS
from tests.kernels_cpu.cases.lookups import LOOKUPS
from tests.kernels_cpu.cases.losses import POINTWISE_LOSSES
from tests.kernels_cpu.cases.norms import NORMS
from tests.kernels_cpu.cases.others import OPTIMISERS
from tests.kernels_cpu.cases.pointwise import POINTWISE
from tests.kernels_cpu.cases.pooled import POOLED
from tests.kernels_cpu.cases.pools import POOLS
from tests.kernels_cpu.cases.products import PRODUCTS
from tests.kernels_cpu.cases.random_numbers import RANDOM_NUMBERS
from tests.kernels_cpu.cases.recurrent import RECURRENT
from tests.kernels_cpu.cases.reductions import REDUCTIONS
from tests.kernels_cpu.cases.softmax import SOFTMAX

CASES: dict[str, Case] = {}
for _case in (
    *POINTWISE,
    *REDUCTIONS,
    *LOOKUPS,
    *PRODUCTS,
    *CONVOLUTIONS,
    *WEIGHT_GRADIENTS,
    *POOLED,
    *POOLS,
    *LOCALS,
    *NORMS,
    *RECURRENT,
    *ADDITIVE_DECODER,
    *SOFTMAX,
    *ATTENTION,
    *POINTWISE_LOSSES,
    *OPTIMISERS,
    *RANDOM_NUMBERS,
    *AUGMENTATIONS,
):
    if _case.name in CASES:
        raise ValueError(f"two cases are called {_case.name!r}")
    CASES[_case.name] = _case
