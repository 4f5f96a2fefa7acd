"""The command line: ``numbanet COMMAND``. One file a command, imported only when that command is called."""

from __future__ import annotations

import difflib
import importlib
import sys
import time
from collections.abc import Sequence
from typing import Any

import click

from numbanet.version import __version__

STARTED = time.perf_counter()  # as near to the start of the process as we get

# The short help stands here so that `numbanet --help` need not import the commands; a test compares it with theirs.
COMMANDS = {
    "train": "Train a model, or go on with a run.",
    "evaluate": "Loss and accuracy of a trained model on test data.",
    "predict": "What a trained model sees in pictures, or which classes texts have.",
    "generate": "Text by a trained language model.",
    "translate": "Lines of text, translated by a trained model.",
    "export": "Write the weights of a trained model for PyTorch or NumPy.",
    "inspect": "Draw what a trained model looks like inside.",
    "models": "Models that can be trained.",
    "plan": "What a model's training step and inference do, level by level, and the memory they need.",
    "profile": "Where the time of a model's training step or inference goes, call by call.",
    "datasets": "Data sets to train on.",
    "info": "Versions, processor, threads, and which kernels each back end has.",
    "cache": "Compiled kernels that are kept between runs.",
}


class LazyGroup(click.Group):
    """A group whose commands are imported when they are called, and which knows what a wrong name was meant to be."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        return importlib.import_module(f"numbanet.cli.{cmd_name}").command

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        name = args[0]
        if name not in COMMANDS and not name.startswith("-"):
            close = difflib.get_close_matches(name, COMMANDS, n=1)
            hint = f"did you mean {close[0]!r}?" if close else f"there are: {', '.join(COMMANDS)}"
            raise click.UsageError(f"no such command {name!r}; {hint}")
        return super().resolve_command(ctx, args)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=LazyGroup, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110})
@click.version_option(__version__, prog_name="numbanet")
def group() -> None:
    """Deep learning that is Python all the way down.

    `numbanet train lenet5` trains LeNet-5 on handwritten digits that come with the package.
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return the exit code.

    0 done, 2 a mistake in what was asked for or given, or training diverged; 130 and 143 stopped by Ctrl-C and
    SIGTERM with everything saved. Mistakes are told in one line; anything unexpected keeps its traceback.
    """
    try:
        result = group.main(None if arguments is None else list(arguments), "numbanet", standalone_mode=False)
        return result if isinstance(result, int) else 0
    except click.ClickException as error:
        if type(error).__name__ == "NoArgsIsHelpError":  # newer versions of Click
            click.echo(error.ctx.get_help())
            return 2
        return _complain(error.format_message(), 2)
    except (click.Abort, KeyboardInterrupt):
        return _complain("stopped", 130)
    except BrokenPipeError:  # the reader of our output has gone, as `head` does
        sys.stderr.close()
        return 1
    except Exception as error:
        code = _code_of(error)
        if code is None:
            raise
        return _complain(str(error), code)


def _code_of(error: Exception) -> int | None:
    """The exit code of an exception whose message is meant for the user, or None. The one place that knows them."""
    from numbanet.training.errors import Interrupted, TrainingError

    if isinstance(error, Interrupted):
        return 128 + error.signal_number
    if isinstance(error, TrainingError):
        return 2
    from numbanet.data import DataError
    from numbanet.interop import WeightsError
    from numbanet.text import TextError

    if isinstance(error, DataError | TextError | WeightsError):
        return 2
    if isinstance(error, OSError) and error.errno in _outside_causes():
        return 1
    return None


def _outside_causes() -> set[int]:
    """Errors of the system that are nobody's mistake in the code: disk full, no permission, read-only, broken disk."""
    import errno

    names = ("ENOSPC", "EDQUOT", "EACCES", "EPERM", "EROFS", "EIO", "EFBIG")
    return {getattr(errno, name) for name in names if hasattr(errno, name)}


def _complain(message: Any, code: int) -> int:
    click.echo(f"numbanet: {' '.join(str(message).split())}", err=True)
    return code
