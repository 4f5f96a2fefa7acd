"""Callback: code of the user's that acts while a run trains."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from numbanet.training.trainer import Trainer


class Callback:
    """Override what you want to act on; every method is given the :class:`~numbanet.training.Trainer`.

    ``trainer.model``, ``trainer.step.optimizer`` and ``trainer.data`` may be looked at and changed. A callback that
    keeps something from one call to the next gives it in :meth:`state_dict`, as numbers, texts, lists, dicts and
    arrays, so that a run that goes on gives the same result as one left alone.
    """

    def begin(self, trainer: Trainer) -> None:
        """Training starts or goes on."""

    def step(self, trainer: Trainer, loss: float) -> None:
        """A training step is done, with this loss."""

    def epoch(self, trainer: Trainer, row: dict[str, Any]) -> None:
        """An epoch is done and nothing of it is saved yet. ``row`` will be its line of ``metrics.jsonl``.

        More may be added to it. ``trainer.stop("why")`` makes it the last one.
        """

    def end(self, trainer: Trainer, summary: dict[str, Any]) -> None:
        """The last epoch is done."""

    def state_dict(self) -> dict[str, Any]:
        """What the callback has to remember."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take up what :meth:`state_dict` gave."""
