"""``numbanet cache``."""

from __future__ import annotations

from pathlib import Path

import click


@click.group(invoke_without_command=True, short_help="Compiled kernels that are kept between runs.")
@click.pass_context
def command(ctx: click.Context) -> None:
    """Show or empty the folder in which compiled kernels are kept."""
    if ctx.invoked_subcommand is None:
        ctx.invoke(info)


@command.command(short_help="Where the folder is, and how large.")
def info() -> None:
    """Where compiled kernels are kept, how many files there are and how large they are."""
    root = _root()
    if root is None:
        click.echo("no folder can be used; kernels are compiled anew by every process (NUMBANET_CACHE_DIR names one)")
        return
    sizes = [path.stat().st_size for path in root.rglob("*") if path.is_file()]
    click.echo(f"{root}: {len(sizes):,} files, {sum(sizes) / 1e6:.1f} MB")


@command.command(short_help="Delete all compiled kernels.")
def clear() -> None:
    """Delete all compiled kernels; the next run compiles what it needs."""
    root = _root()
    if root is None:
        click.echo("there is no folder to empty")
        return
    from numbanet.kernels.cpu.cache import prune

    click.echo(f"{root}: {prune(-1)} folders deleted")


def _root() -> Path | None:
    try:
        from numbanet.kernels.cpu.cache import cache_root
    except ImportError:
        raise click.UsageError("there are no compiled kernels: Numba is not installed") from None
    return cache_root()
