"""Records with made-up timings."""

from __future__ import annotations

from typing import Any


def row(*medians: float, least: float | None = None, share: float = 0.5, peak: float = 90.0) -> dict[str, Any]:
    """One side: the medians of its rounds in ms, and the minimum (default: the least of them)."""
    least = min(medians) if least is None else least
    return {
        "median_ms": sorted(medians)[len(medians) // 2], "min_ms": least, "round_medians_ms": list(medians),
        "round_peaks": [peak] * len(medians), "rate": 10.0, "unit": "GFLOP/s", "share": share, "of": "peak",
        "share_of_minimum": share, "calls": 100, "first_step_s": 1.0, "compile_s": 0.5,
    }  # fmt: skip


def record(name: str, sides: dict[str, dict], single: dict[str, dict] | None = None, **more: Any) -> dict[str, Any]:
    """A workload; the first side is ours."""
    return {
        "workload": name, "family": name.split("/")[0], "bars": [], "flops": 1e9, "nbytes": 0.0, "threads": 2,
        "rounds": 3, "disturbed_rounds": 1, "tries": 4, "ours": "numbanet", "unavailable": {}, "sides": sides,
        "single": single or {}, "differences": {}, **more,
    }  # fmt: skip
