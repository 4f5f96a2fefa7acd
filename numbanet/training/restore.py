"""A trained model out of a run folder."""

from __future__ import annotations

from numbanet.nn import Module
from numbanet.training import build
from numbanet.training.checkpoint import Checkpoint
from numbanet.training.errors import CheckpointError
from numbanet.training.pack import unpack
from numbanet.training.run import Run


def load_model(run: Run, name: str = "last") -> tuple[Module, Checkpoint]:
    """The model of a run with the weights of its checkpoint "last" or "best", in evaluation mode.

    They are the average of the weights where the run keeps one.

    Raises:
        CheckpointError: the checkpoint is missing or damaged, or holds another model's weights.
        ConfigError: the run names a model or data set that does not exist here.
    """
    checkpoint = run.load_checkpoint(name)
    build.check_names(run.config)
    model = build.build_model(run.config, build.data_info(run.config, run.folder), run.folder)
    kept = checkpoint.state["average"]["module"] if run.config.ema_decay else checkpoint.state["weights"]
    try:
        model.load_state_dict(unpack(kept, checkpoint.arrays))
    except (KeyError, TypeError, RuntimeError) as error:
        raise CheckpointError(f"{run.checkpoint_path(name)} does not fit {run.config.model}: {error}") from None
    return model.eval(), checkpoint
