"""What ``numbanet info`` says of the CPU back end."""

from __future__ import annotations

import llvmlite
import numba
from llvmlite import binding

from numbanet.kernels import threads
from numbanet.kernels.cpu import layer, target
from numbanet.kernels.cpu.cache import cache_root
from numbanet.kernels.cpu.caches import cache_bytes
from numbanet.kernels.cpu.functions import FUNCTIONS
from numbanet.kernels.cpu.gemm_pack import COLUMNS, ROWS
from numbanet.kernels.cpu.kernel import KERNELS


def describe() -> dict[str, object]:
    """Versions, processor, lanes, caches, tile, threading layer, threads, cache folder, functions and kernels."""
    root = cache_root()
    return {
        "numba": numba.__version__,
        "llvmlite": llvmlite.__version__,
        "cpu": binding.get_host_cpu_name(),
        "lanes": target.lanes(),
        "fma": target.has_fma(),
        "caches": f"{cache_bytes(1) >> 10} and {cache_bytes(2) >> 10} KB a core",
        "tile": f"{ROWS} × {COLUMNS * target.lanes()}",
        "check_mode": target.check_mode(),
        "threading_layer": layer.choose_layer(),
        "threads": threads.get_num_threads(),
        "cache_folder": str(root) if root is not None else None,
        "functions": sorted(FUNCTIONS),
        "kernels": sorted(KERNELS),
    }
