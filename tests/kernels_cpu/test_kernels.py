"""Every contract function on the CPU against float64, in every branch of every chooser, between guard zones."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from numbanet.kernels import threads
from numbanet.kernels.cpu import conv, conv_choice, gemm_transposed
from numbanet.kernels.cpu.kernel import KERNELS
from tests.kernels_cpu.cases import CASES, norms
from tests.kernels_cpu.cases.case import Case, in_float64, kernels_of, run
from tests.kernels_cpu.cases.convolutions import CONVOLUTIONS, same_bits
from tests.kernels_cpu.cases.gradients import WEIGHT_GRADIENTS
from tests.kernels_cpu.cases.products import PRODUCTS
from tests.kernels_cpu.helpers import Guarded, leaves


def check(case: Case, actual: list[np.ndarray]) -> float:
    """Hold the outputs to float64 within the case's bounds; NaN and infinities must be where they are there.

    Returns the worst error in bounds."""
    expected, worst = in_float64(case), 0.0
    bounds = case.tolerance(case, expected) if case.tolerance else [np.zeros_like(value) for value in expected]
    for value, wanted, bound in zip(actual, expected, bounds, strict=True):
        if value.dtype.kind != "f":
            np.testing.assert_array_equal(value, wanted)
            continue
        with np.errstate(invalid="ignore", over="ignore", divide="ignore"):
            rounded = wanted.astype(np.float32)
            error = np.abs(value.astype(np.float64) - (wanted if case.tolerance else rounded))
            finite = np.isfinite(rounded)
            np.testing.assert_array_equal(value[~finite], rounded[~finite])
            bad = ~(error <= bound) & finite
            share = np.max(
                error[finite & (error > 0)] / np.broadcast_to(bound, error.shape)[finite & (error > 0)], initial=0
            )
        assert not bad.any(), f"{bad.sum()} of {bad.size} wrong, worst by {share} bounds"
        worst = max(worst, float(share))
    return worst


@pytest.fixture
def on_threads():
    """Sets the number of threads, for one test."""
    before = threads.get_num_threads()
    yield threads.set_num_threads
    threads.set_num_threads(before)


@pytest.mark.parametrize("name", CASES)
def test_against_float64(name, on_threads):
    check_case(CASES[name], on_threads)


def check_case(case: Case, on_threads: Callable[[int], None]) -> None:
    """Values are right; nothing around an array is written or used; no input changes; 2 threads give the same bits."""
    on_threads(1)
    args, outputs = run(case)
    check(case, [output.values for output in outputs])
    for array in leaves(args, Guarded):
        assert array.is_outside_untouched
        assert any(array is output for output in outputs) or array.is_unchanged
    on_threads(2)
    for output, again in zip(outputs, run(case, filler=1e30)[1], strict=True):
        assert again.is_outside_untouched
        assert output.values.tobytes() == again.values.tobytes()


def test_every_kernel_is_taken():
    """A kernel that no case runs would be a kernel that no test sees."""
    taken = set().union(*(kernels_of(case) for case in CASES.values()))
    mine = {kernel for kernel in KERNELS.values() if kernel.function.__module__.startswith("numbanet.")}
    assert mine - taken == set()


def test_products_by_way_of_the_transpose_have_the_same_bits(monkeypatch):
    """Who packs what is a matter of speed."""
    cases = [case for case in PRODUCTS if any(kernel.name.startswith("transposed") for kernel in kernels_of(case))]
    assert cases
    transposed = [run(case)[1][0].values.tobytes() for case in cases]
    monkeypatch.setattr(gemm_transposed, "suits", lambda *shape: False)
    for case, values in zip(cases, transposed, strict=True):
        assert not any(kernel.name.startswith("transposed") for kernel in kernels_of(case))
        assert run(case)[1][0].values.tobytes() == values, case.name


def test_all_forms_of_a_choice_are_taken(monkeypatch):
    """A form that no case takes would be one that no test sees; forms made of other kernels count too."""
    taken = set()
    for name in ("choose", "choose_for_weights"):
        chooser = getattr(conv_choice, name)

        def watched(*args, chooser=chooser, name=name):
            found = chooser(*args)
            taken.add((name, found if name == "choose_for_weights" else found[0]))
            return found

        monkeypatch.setattr(conv, name, watched)
    for case in [*CONVOLUTIONS, *WEIGHT_GRADIENTS]:
        if not case.patches:
            kernels_of(case)
    forms = {("choose", form) for form in ("depthwise", "product", "gathered", "winograd", *conv_choice.DIRECT)}
    forms |= {("choose_for_weights", form) for form in ("depthwise", "gathered", "winograd", "rows", "channels")}
    assert taken == forms


@pytest.mark.slow
def test_forms_tiles_and_bands_of_convolutions_give_the_same_bits():
    """Both forms, all their tiles and any bands: one chain for each output."""
    groups: dict[str, dict[str, bytes]] = {}
    for case in CONVOLUTIONS:
        groups.setdefault(same_bits(case), {})[case.name] = run(case)[1][0].values.tobytes()
    assert max(map(len, groups.values())) >= 9
    for results in groups.values():
        assert len(set(results.values())) == 1, sorted(results)


def test_normalisation_in_one_go_and_by_levels_gives_the_same_bits():
    """The number of threads decides between them, so it must not matter."""
    groups: dict[str, set[bytes]] = {}
    for case in norms.SPLIT:
        results = b"".join(output.values.tobytes() for output in run(case)[1])
        groups.setdefault(norms.same_bits(case), set()).add(results)
    assert len(groups) < len(norms.SPLIT) / 2
    assert [name for name, results in groups.items() if len(results) > 1] == []
