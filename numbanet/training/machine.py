"""What a run costs the machine."""

from __future__ import annotations

import sys


def peak_memory_mb() -> float | None:
    """The largest resident size of this process so far in MB (10⁶ bytes); None where the system does not tell."""
    try:
        import resource
    except ImportError:  # Windows
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return round(peak * (1 if sys.platform == "darwin" else 1024) / 1e6, 1)
