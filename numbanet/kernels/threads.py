"""How many threads kernels use: by default what this process may use, by affinity and by the cgroup's quota."""

from __future__ import annotations

import contextlib
import functools
import math
import os
from pathlib import Path


def _affinity() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def _cgroup_quota() -> float:
    """CPUs that the cgroup grants (version 2, then version 1); infinite where there is no limit."""
    with contextlib.suppress(OSError, ValueError):  # no version 2 here
        quota, period = Path("/sys/fs/cgroup/cpu.max").read_text().split()[:2]
        return math.inf if quota == "max" else int(quota) / int(period)
    with contextlib.suppress(OSError, ValueError, ZeroDivisionError):  # nor version 1
        folder = Path("/sys/fs/cgroup/cpu")
        quota = int((folder / "cpu.cfs_quota_us").read_text())
        return quota / int((folder / "cpu.cfs_period_us").read_text()) if quota > 0 else math.inf
    return math.inf


@functools.cache
def available_threads() -> int:
    """Threads that this process can run at once: min(affinity, cgroup quota rounded up), at least 1."""
    return max(1, int(min(_affinity(), math.ceil(min(_cgroup_quota(), 1 << 16)))))


count: int | None = None
"""What was set, or found out at the first question."""


def get_num_threads() -> int:
    """Threads that kernels use; ``NUMBANET_NUM_THREADS`` or all that are available unless set."""
    global count
    if count is None:
        text = os.environ.get("NUMBANET_NUM_THREADS", "")
        if text and not (text.isdecimal() and int(text) > 0):
            raise ValueError(f"NUMBANET_NUM_THREADS is {text!r}; it must be a whole number from 1 on")
        count = int(text) if text else available_threads()
    return count


def set_num_threads(number: int) -> None:
    """Use so many threads from now on; results keep their bits. Raises ValueError for a number below 1."""
    global count
    if isinstance(number, bool) or not isinstance(number, int) or number < 1:
        raise ValueError(f"the number of threads must be a whole number from 1 on, not {number!r}")
    count = number
