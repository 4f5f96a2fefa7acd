"""The state of a trainer as a checkpoint, and back."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any

import numpy as np

from numbanet import random
from numbanet.training.checkpoint import Checkpoint
from numbanet.training.config import MAY_CHANGE
from numbanet.training.errors import CheckpointError, ConfigError
from numbanet.training.pack import pack, unpack
from numbanet.training.run import Run
from numbanet.version import __version__

if TYPE_CHECKING:
    from numbanet.training.trainer import Trainer


@dataclasses.dataclass
class Progress:
    """How far a run has come: what a checkpoint holds besides arrays."""

    epoch: int = 0  # epochs that are done
    loss_sum: float = 0.0  # over the samples of the epoch that is not done
    samples: int = 0
    history: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    best: dict[str, Any] | None = None
    stopped: str | None = None  # why the run ended before its last epoch
    seconds_total: float = 0.0
    seconds_compile: float = 0.0
    seconds_training: float = 0.0
    seconds_loading: float = 0.0  # those of seconds_training in which a batch was waited for, and changed
    samples_total: int = 0

    def loaded(self, batches: Iterable[Any]) -> Iterator[Any]:
        """``batches``, and what it takes to get them in ``seconds_loading``."""
        ahead, clock = iter(batches), time.perf_counter
        while True:
            began = clock()
            batch = next(ahead, None)
            self.seconds_loading += clock() - began
            if batch is None:
                return
            yield batch


def take(trainer: Trainer) -> Checkpoint:
    """All of a trainer's state, copied."""
    arrays: dict[str, np.ndarray] = {}
    step = trainer.step
    state = {
        "numbanet": __version__,
        "config": trainer.config.as_dict(),
        "weights": pack(dict(trainer.model.state_dict()), "model", arrays),
        "optimizer": pack(step.optimizer.state_dict(), "optimizer", arrays),
        "schedule": {"step": step.number},
        "loader": trainer.loader.state_dict(),
        "random": random.get_state(),
        "progress": dataclasses.asdict(trainer.progress),
        "data": trainer.task.fingerprint(),
        "carried": pack(step.forward.carried, "carried", arrays),
    }
    if step.rules.average is not None:
        state["average"] = pack(step.rules.average.state_dict(), "average", arrays)
    if trainer.callbacks:
        state["callbacks"] = [
            pack(callback.state_dict(), f"callback.{number}", arrays)
            for number, callback in enumerate(trainer.callbacks)
        ]
    return Checkpoint(arrays, state)


def put_back(trainer: Trainer, checkpoint: Checkpoint) -> None:
    """Bring a trainer into the state of a checkpoint of its run; raises :class:`CheckpointError` if it does not fit."""
    state, arrays = checkpoint.state, checkpoint.arrays
    step, run = trainer.step, trainer.run
    if state.get("data", "") != trainer.task.fingerprint():
        raise ConfigError(f"the data of {run.config.dataset} are not those that the run in {run.folder} began with")
    try:
        trainer.model.load_state_dict(unpack(state["weights"], arrays))
        step.optimizer.load_state_dict(unpack(state["optimizer"], arrays))
        step.number = state["schedule"]["step"]
        if step.rules.average is not None:
            step.rules.average.load_state_dict(unpack(state["average"], arrays))
        for callback, kept in zip(trainer.callbacks, state.get("callbacks", []), strict=True):
            callback.load_state_dict(unpack(kept, arrays))
        trainer.loader.load_state_dict(state["loader"])
        random.set_state(state["random"])
        step.forward.load_state_dict(unpack(state["carried"], arrays))
        trainer.progress = Progress(**state["progress"])
    except (KeyError, TypeError, ValueError, RuntimeError) as error:
        path = trainer.run.checkpoint_path("last")
        raise CheckpointError(f"the checkpoint {path} does not fit: {error}") from None


def check_same(run: Run, checkpoint: Checkpoint) -> None:
    """Raise :class:`CheckpointError` when ``config.toml`` and the checkpoint are not of the same run."""
    stored, mine = checkpoint.state.get("config", {}), run.config.as_dict()
    different = [key for key, value in mine.items() if key not in MAY_CHANGE and stored.get(key) != value]
    if different:
        listed = ", ".join(f"{key} is {stored.get(key)!r} there and {mine[key]!r} in config.toml" for key in different)
        raise CheckpointError(f"{run.checkpoint_path('last')} belongs to another run: {listed}")
