"""Optimisers and learning-rate schedules under PyTorch's names."""

from __future__ import annotations

from numbanet.optim import lr_scheduler
from numbanet.optim.adam import Adam, AdamW
from numbanet.optim.averaging import AveragedModel
from numbanet.optim.groups import decay_groups
from numbanet.optim.optimizer import Optimizer
from numbanet.optim.rmsprop import RMSprop
from numbanet.optim.sgd import SGD

__all__ = ["SGD", "Adam", "AdamW", "AveragedModel", "Optimizer", "RMSprop", "decay_groups", "lr_scheduler"]
