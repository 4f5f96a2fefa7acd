"""``numbanet info``."""

from __future__ import annotations

import contextlib
import importlib.metadata
import importlib.util
import platform
from collections.abc import Iterable
from typing import Any

import click

from numbanet.version import __version__


@click.command(short_help="Versions, processor, threads, and which kernels each back end has.")
@click.option("--kernels", "every", is_flag=True, help="list every kernel of the contract and who has it")
def command(every: bool) -> None:
    """Versions, processor, SIMD width, threading layer, threads, cache folder, and what each back end has."""
    import numbanet
    from numbanet.training import Config
    from numbanet.training.build import use_machine

    use_machine(Config())
    rows: dict[str, Any] = {"numbanet": __version__, "python": platform.python_version()}
    rows |= {name: _version(name) for name in ("numpy", "numba", "llvmlite")}
    rows |= {"system": platform.platform(), "processor": _processor()}
    rows |= {"back end": numbanet.get_backend(), "threads": numbanet.get_num_threads()}
    if importlib.util.find_spec("numba") is not None:
        from numbanet.kernels.cpu import BACKEND as CPU

        rows |= {name.replace("_", " "): value for name, value in CPU.info().items() if name not in _TOLD}
    width = max(map(len, rows))
    for name, value in rows.items():
        click.echo(f"{name:<{width}}  {_text(value)}")
    _kernels(every)


# entries of cpu.info() that are told in another way
_TOLD = ("versions", "kernels", "functions", "threads")


def _kernels(every: bool) -> None:
    """How many functions of the contract each back end has itself, or which."""
    from numbanet.cli.console import table
    from numbanet.kernels.backend import BACKENDS
    from numbanet.kernels.contract import CONTRACT

    own = {name: _own_functions(name) for name in BACKENDS}
    click.echo()
    if every:
        marks = [(name, *("yes" if name in own[backend] else "-" for backend in BACKENDS)) for name in CONTRACT]
        click.echo(table(marks, ("kernel", *BACKENDS)))
        return
    for backend, names in own.items():
        lacking = [name for name in CONTRACT if name not in names]
        rest = f"; by way of numpy: {', '.join(lacking)}" if lacking and names else ""
        click.echo(f"{backend}: {len(CONTRACT) - len(lacking)} of {len(CONTRACT)} kernel functions{rest}")


def _own_functions(backend: str) -> Iterable[str]:
    if backend == "numpy":
        from numbanet.kernels.numpy import KERNELS

        return KERNELS
    if importlib.util.find_spec("numba") is None:
        return ()
    from numbanet.kernels.cpu import FUNCTIONS

    return FUNCTIONS


def _version(package: str) -> str:
    try:
        return importlib.metadata.version(package)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def _processor() -> str:
    """The processor's name, where the system tells it."""
    with contextlib.suppress(OSError), open("/proc/cpuinfo", encoding="utf-8") as stream:  # Linux alone has the file
        for line in stream:
            if line.startswith("model name"):
                return line.partition(":")[2].strip()
    return platform.processor() or platform.machine()


def _text(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key} {item}" for key, item in value.items())
    if isinstance(value, list | tuple | set | frozenset):
        return ", ".join(map(str, value)) or "none"
    return str(value)
