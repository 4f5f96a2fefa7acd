"""Reporter: what a trainer tells the world while it works. This one says nothing; the command line prints."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numbanet.training.config import Config


class Reporter:
    """Override what you want to hear of. Calls come from the training thread and must be quick."""

    #: seconds between two calls of :meth:`progress`; 0 for none
    progress_seconds = 0.0

    def begin(self, config: Config, folder: Path, parameters: int, size: str, steps_per_epoch: int) -> None:
        """Training starts or goes on in ``folder``, with training data of this size, such as "1,000 samples"."""

    def note(self, text: str) -> None:
        """Something the user should know."""

    def compiling(self, done: int, total: int) -> None:
        """``done`` of ``total`` kernels that this machine has not seen yet are compiled."""

    def progress(self, epoch: int, batch: int, loss: float) -> None:
        """``batch`` batches of an epoch (from 1) are done, with this mean loss so far."""

    def epoch(self, row: dict[str, Any]) -> None:
        """An epoch is done; ``row`` is its line of ``metrics.jsonl``."""

    def end(self, summary: dict[str, Any] | None, folder: Path) -> None:
        """Training has stopped; ``summary`` is None when it did not get to the last epoch."""
