"""Sizes of the processor's caches, by which M and N of products, bands of pictures and rows of norms are cut.

What the cuts decide is only who does what when: the bits are the same on every machine.
"""

from __future__ import annotations

import functools
import subprocess
import sys
from pathlib import Path

USUAL = {1: 32 << 10, 2: 512 << 10}
"""Bytes by level, where the system does not say."""
UNITS = {"K": 1 << 10, "M": 1 << 20, "G": 1 << 30}
CPU = Path("/sys/devices/system/cpu/cpu0")


@functools.cache
def cache_bytes(level: int) -> int:
    """Bytes of data that a core has in its cache of this level (1 or 2): a core's share of what several cores share."""
    found = _on_linux(level, CPU) if sys.platform == "linux" else _on_macos(level) if sys.platform == "darwin" else 0
    return found or USUAL[level]


def _on_linux(level: int, cpu: Path) -> int:
    """As the kernel tells of a processor; 0 if it does not."""
    try:
        threads = _count((cpu / "topology" / "thread_siblings_list").read_text())
        for folder in sorted(cpu.glob("cache/index*")):
            if int((folder / "level").read_text()) == level and (folder / "type").read_text().strip() != "Instruction":
                size = (folder / "size").read_text().strip()
                cores = max(1, _count((folder / "shared_cpu_list").read_text()) // threads)
                return int(size.rstrip("KMG")) * UNITS.get(size[-1], 1) // cores
    except (OSError, ValueError):
        return 0  # a container may hide it: the usual size will do, for nothing but speed depends on it
    return 0


def _count(ranges: str) -> int:
    """How many numbers a list such as 0-1,4 holds."""
    ends = [[int(end) for end in part.split("-")] for part in ranges.split(",")]
    return sum(last - first + 1 for first, *_, last in [(*pair, pair[-1]) for pair in ends])


def _on_macos(level: int) -> int:
    """As sysctl tells of the fast cores; 0 if it does not."""

    def value(name: str) -> int:
        done = subprocess.run(["sysctl", "-n", name], capture_output=True, text=True, timeout=5, check=True)
        return int(done.stdout)

    try:
        if level == 1:
            return value("hw.perflevel0.l1dcachesize")
        return value("hw.perflevel0.l2cachesize") // max(1, value("hw.perflevel0.cpusperl2"))
    except (OSError, ValueError, subprocess.SubprocessError):
        return 0
