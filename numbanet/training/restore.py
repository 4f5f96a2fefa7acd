"""A trained model out of a run folder."""

from __future__ import annotations

from typing import Any

from numbanet.nn import Module
from numbanet.training import build
from numbanet.training.checkpoint import Checkpoint
from numbanet.training.errors import CheckpointError, RunError
from numbanet.training.pack import unpack
from numbanet.training.run import Run
from numbanet.training.tasks import make_task


def load_model(run: Run, name: str = "last") -> tuple[Module, Checkpoint]:
    """The model of a run with the weights of its checkpoint "last" or "best", in evaluation mode.

    They are the average of the weights where the run keeps one.

    Raises:
        CheckpointError: the checkpoint is missing or damaged, or holds another model's weights.
        ConfigError: the run names a model or data set that does not exist here.
    """
    _, model, checkpoint = load_task(run, name)
    return model, checkpoint


def load_task(run: Run, name: str = "last", kind: type | None = None) -> tuple[Any, Module, Checkpoint]:
    """The task of a run, and its model as :func:`load_model` gives it.

    Raises as :func:`load_model`, and RunError when the run learned another ``kind`` of task.
    """
    checkpoint = run.load_checkpoint(name)
    build.check_names(run.config, run.folder)
    task = make_task(run.config, run.folder)
    if kind is not None and not isinstance(task, kind):
        raise RunError(f"{run.folder} is a run of {run.config.model} on {run.config.dataset}: {kind.wanted}")
    model = task.build_model()
    kept = checkpoint.state["average"]["module"] if run.config.ema_decay else checkpoint.state["weights"]
    try:
        model.load_state_dict(unpack(kept, checkpoint.arrays))
    except (KeyError, TypeError, RuntimeError) as error:
        raise CheckpointError(f"{run.checkpoint_path(name)} does not fit {run.config.model}: {error}") from None
    return task, model.eval(), checkpoint
