"""Hashes of outputs, for processes that differ in threads, lanes or registers to be compared by.

Names of cases are chosen by how they begin, with | between the beginnings; none takes all cases and a short training.
"""

from __future__ import annotations

import hashlib
import json

import numpy as np


def digest(arrays: list[np.ndarray]) -> str:
    """Hash of the values; NaNs count as one, for IEEE 754 leaves their bits open."""
    total = hashlib.sha256()
    for array in arrays:
        total.update((np.where(np.isnan(array), np.nan, array).astype(array.dtype)).tobytes())
    return total.hexdigest()[:16]


def of_cases(names: str) -> dict[str, str]:
    """Hashes of the cases whose names begin with one of the words of ``names`` (all, if there is none)."""
    from tests.kernels_cpu.cases import CASES
    from tests.kernels_cpu.cases.case import run

    chosen = [case for name, case in CASES.items() if name.startswith(tuple(names.split("|")))]
    return {case.name: digest([output.values for output in run(case)[1]]) for case in chosen}


def of_training() -> dict[str, str]:
    """Hash of LeNet-5's weights after 5 steps of 23 pictures."""
    import numbanet
    from numbanet import models, optim
    from numbanet.nn import functional as F

    numbanet.set_backend("cpu")
    numbanet.manual_seed(1)
    model = models.create_model("lenet5")
    optimiser = optim.SGD(model.parameters(), lr=0.05, momentum=0.9, weight_decay=1e-3)
    random = np.random.default_rng(0)
    for _ in range(5):
        pictures = numbanet.from_numpy(random.standard_normal((23, 1, 28, 28)).astype(np.float32))
        loss = F.cross_entropy(model(pictures), numbanet.from_numpy(random.integers(0, 10, 23)))
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
    return {"LeNet-5": digest([value.detach().numpy() for value in model.state_dict().values()])}


def main(thread_count: int, names: str) -> None:
    from numbanet.kernels import threads

    threads.set_num_threads(thread_count)
    print(json.dumps(of_cases(names) if names else of_cases("") | of_training()))
