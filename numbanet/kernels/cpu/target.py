"""What the machine offers and what the environment asks for: SIMD lanes, tile shapes, the check mode.

Read once, before any kernel is compiled; both settings are part of the cache folder's name.
"""

from __future__ import annotations

import functools
import os
import platform

VIRTUAL_LANES = 16
"""Sums across lanes run in 16 virtual lanes on every machine (1×16, 2×8 or 4×4 registers), so their bits agree."""


def _forced_lanes() -> int | None:
    text = os.environ.get("NUMBANET_LANES", "")
    if not text:
        return None
    if text not in ("4", "8", "16"):
        raise ValueError(f"NUMBANET_LANES is {text!r}; it must be 4, 8 or 16 (or unset for this machine's own)")
    return int(text)


@functools.cache
def host_features() -> dict[str, bool]:
    """LLVM's names of the features that kernels are compiled for: this processor's, or NUMBA_CPU_FEATURES."""
    forced = os.environ.get("NUMBA_CPU_FEATURES")
    if forced:
        return {name[1:]: name[0] == "+" for name in forced.split(",")}
    from llvmlite import binding

    return dict(binding.get_host_cpu_features())


@functools.cache
def lanes() -> int:
    """float32 lanes of a tile's vectors: a register's, unless ``NUMBANET_LANES`` forces another number."""
    return _forced_lanes() or register_lanes()


@functools.cache
def register_lanes() -> int:
    """float32 lanes of one register: 16 (AVX-512), 8 (AVX, AVX2), 4 (SSE, NEON)."""
    features = host_features()
    if features.get("avx512f"):
        return 16
    return 8 if features.get("avx") else 4


def has_fma() -> bool:
    """Whether a fused multiply-add is one instruction here (without it kernels are right but slow)."""
    features = host_features()
    return bool(features.get("fma") or features.get("neon") or features.get("asimd") or features.get("vfp4"))


def has_masked_stores() -> bool:
    """Whether storing some lanes of a vector is one quick instruction: AVX-512 only; AVX2's takes dozens of cycles on
    some processors."""
    return bool(host_features().get("avx512f"))


def has_scaling() -> bool:
    """Whether x·2ⁿ is one instruction for vectors: AVX-512 only."""
    return bool(host_features().get("avx512f"))


def check_mode() -> bool:
    """Whether every load and store of a kernel is compiled with a test of its address (``NUMBANET_CHECK=1``)."""
    return os.environ.get("NUMBANET_CHECK", "") not in ("", "0")


@functools.cache
def registers() -> int:
    """Vector registers: 32 with AVX-512 and on ARM, else 16."""
    features = host_features()
    wide = features.get("avx512f") or features.get("neon") or features.get("asimd")
    return 32 if wide else 16


@functools.cache
def vector_register() -> str:
    """The letter of a vector register in LLVM's inline assembly, "" where it is not known."""
    machine = platform.machine().lower()
    if machine in ("x86_64", "amd64"):
        return "v" if host_features().get("avx512f") else "x"
    return "w" if machine in ("aarch64", "arm64") else ""
