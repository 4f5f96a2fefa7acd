"""Where compiled kernels are kept: a folder of the user's own, one subfolder a kernel module and all it imports.

Numba's own key is blind to edited helpers, flags and parallel settings; here the subfolder's name is a hash of the
module's source, the sources of the kernel modules it imports, the versions of Python, Numba and llvmlite, the
processor, the lanes and the check mode. An edited helper therefore never leaves a stale kernel.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import os
import re
import shutil
import stat
import sys
import time
from pathlib import Path

import llvmlite
import numba
from llvmlite import binding
from numba.core.caching import CompileResultCacheImpl, FunctionCache, NullCache
from numba.core.runtime import rtsys

from numbanet.kernels.cpu import target

PACKAGE = "numbanet.kernels.cpu"
KEEP_DAYS = 60
KERNEL_FOLDER = re.compile(r"[\w.]+-[0-9a-f]{16}")


def cache_root() -> Path | None:
    """The folder of the kernel cache, made if need be; None where none can be written or trusted.

    ``NUMBANET_CACHE_DIR``, else the user's cache folder. It holds code, so it must belong to the user, mode 0700.
    """
    forced = os.environ.get("NUMBANET_CACHE_DIR")
    try:
        root = Path(forced) if forced else _user_folder() / "numbanet" / "kernels"
    except RuntimeError:  # a user without a home, as containers run programs
        return None
    return root if _make_private(root) else None


def _user_folder() -> Path:
    """Where the system wants caches of this user."""
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA") or Path.home())
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")


def _make_private(folder: Path) -> bool:
    try:
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        status = folder.stat()
        if hasattr(os, "getuid"):
            if status.st_uid != os.getuid():
                return False
            if stat.S_IMODE(status.st_mode) != 0o700:
                folder.chmod(0o700)
        return os.access(folder, os.W_OK | os.X_OK)
    except OSError:
        return False


IMPORTS = re.compile(
    rf"^[ \t]*from ({re.escape(PACKAGE)}[\w.]*) import (\([^)]*\)|[^\n]*)|^[ \t]*import ({re.escape(PACKAGE)}[\w.]*)",
    re.M,
)
"""Imports of kernel modules. Parsing the sources would take most of a second of every start."""


@functools.cache
def _source(module: str) -> tuple[bytes, tuple[str, ...]]:
    """The source of a kernel module and the kernel modules that it imports."""
    path = Path(__file__).parent.joinpath(*module.removeprefix(PACKAGE).split(".")[1:])
    file = path.with_suffix(".py") if path.with_suffix(".py").exists() else path / "__init__.py"
    text = file.read_bytes()
    found = []
    for package, names, plain in IMPORTS.findall(text.decode()):
        found += [plain or package, *(f"{package}.{name}" for name in re.findall(r"\w+", names))]
    # The package itself holds no kernel, but its lazy imports would make every kernel hang on every other.
    return text, tuple(name for name in found if name != PACKAGE and _is_module(name))


def _is_module(name: str) -> bool:
    path = Path(__file__).parent.joinpath(*name.removeprefix(PACKAGE).split(".")[1:])
    return path.with_suffix(".py").exists() or (path / "__init__.py").exists()


@functools.cache
def module_hash(module: str) -> str:
    """Hash of the module, of all kernel modules that it imports, and of what decides the machine code."""
    digest = hashlib.sha256()
    seen: set[str] = set()
    waiting = [module]
    while waiting:
        name = waiting.pop()
        if name not in seen:
            seen.add(name)
            waiting += _source(name)[1]
    for name in sorted(seen):
        digest.update(name.encode() + b"\0" + _source(name)[0] + b"\0")
    digest.update(repr(_environment()).encode())
    return digest.hexdigest()[:16]


def _environment() -> tuple:
    features = ",".join(sorted(name for name, has in target.host_features().items() if has))
    versions = (sys.version, numba.__version__, llvmlite.__version__)
    return (*versions, binding.get_host_cpu_name(), features, target.lanes(), target.check_mode())


def module_folder(module: str) -> Path | None:
    """The cache folder of a kernel module; its time stamp is renewed so that pruning spares it."""
    root = cache_root()
    if root is None:
        return None
    folder = root / f"{module.removeprefix(PACKAGE + '.')}-{module_hash(module)}"
    try:
        folder.mkdir(mode=0o700, exist_ok=True)
        if time.time() - folder.stat().st_mtime > 86400:
            os.utime(folder)
    except OSError:
        return None
    return folder


def _folder_of(module: str) -> Path | None:
    """As module_folder; None for kernels of other packages, whose sources and imports nobody watches here."""
    return module_folder(module) if module.startswith(PACKAGE + ".") else None


def prune(days: float = KEEP_DAYS) -> int:
    """Delete the subfolders of kernels that no process used for ``days`` days; returns how many.

    Nothing else is touched, should the user have pointed ``NUMBANET_CACHE_DIR`` at a folder of other things."""
    root, removed = cache_root(), 0
    if root is None:
        return 0
    for folder in root.iterdir():
        if not KERNEL_FOLDER.fullmatch(folder.name):
            continue
        try:
            if folder.is_dir() and time.time() - folder.stat().st_mtime > days * 86400:
                shutil.rmtree(folder, ignore_errors=True)
                removed += 1
        except OSError:
            continue  # another process pruned it first
    return removed


class _Locator:
    """Numba's locator protocol: where, and for which state of the source, a function is cached."""

    def __init__(self, module: str, folder: Path) -> None:
        self._module, self._folder = module, folder
        self._py_file = module  # Numba names it when it warns that something cannot be cached

    def ensure_cache_path(self) -> None:
        self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)

    def get_cache_path(self) -> str:
        return str(self._folder)

    def get_source_stamp(self) -> str:
        return module_hash(self._module)

    def get_disambiguator(self) -> str:
        return ""


class _KernelCacheImpl(CompileResultCacheImpl):
    """Numba's cache of compilation results with a locator of ours and the kernel's name as the file's name."""

    def __init__(self, py_func) -> None:
        name, folder = py_func.__kernel_name__, py_func.__kernel_folder__
        self._lineno = py_func.__code__.co_firstlineno
        self._locator = _Locator(py_func.__module__, folder)
        self._filename_base = name

    @property
    def filename_base(self) -> str:
        return self._filename_base

    @property
    def locator(self) -> _Locator:
        return self._locator


class KernelCache(FunctionCache):
    """A cache in which what cannot be read counts as missing: another process may be writing it."""

    _impl_class = _KernelCacheImpl

    def _index_key(self, sig, codegen):
        # The folder's name holds the module's hash, the file's that of the kernel. What a kernel closes over is left
        # out: device functions are pickled with a number of the process, by which none would be found again.
        return sig, codegen.magic_tuple()

    def load_overload(self, sig, target_context):
        # Without Numba's refresh of the context, which imports the implementation of everything that can be compiled:
        # two thirds of a second of every start. The compiler refreshes it by itself; what is compiled already needs
        # the symbols of Numba's runtime.
        try:
            rtsys.initialize(target_context)
            return self._load_overload(sig, target_context)
        except Exception:
            return None

    def save_overload(self, sig, data) -> None:
        try:
            super().save_overload(sig, data)
        except OSError:
            return  # a full or vanished disk costs the next process a compilation, not this one its run
        except Exception:  # the index there cannot be read: begin a new one
            with contextlib.suppress(OSError):
                self.flush()
                super().save_overload(sig, data)


def kernel_cache(py_func, name: str):
    """The cache object for a kernel function, or Numba's null cache where there is no folder."""
    folder = _folder_of(py_func.__module__)
    if folder is None:
        return NullCache()
    py_func.__kernel_name__, py_func.__kernel_folder__ = name, folder
    return KernelCache(py_func)


def is_cached(module: str, name: str) -> bool:
    """Whether a compiled form of the kernel lies in the cache."""
    folder = _folder_of(module)
    return folder is not None and (folder / f"{name}.nbi").exists() and (folder / f"{name}.1.nbc").exists()
