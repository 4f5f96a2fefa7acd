"""Optimisers and learning-rate schedules under PyTorch's names."""

from __future__ import annotations

from numbanet.optim import lr_scheduler
from numbanet.optim.adam import Adam, AdamW
from numbanet.optim.optimizer import Optimizer
from numbanet.optim.rmsprop import RMSprop
from numbanet.optim.sgd import SGD

__all__ = ["SGD", "Adam", "AdamW", "Optimizer", "RMSprop", "lr_scheduler"]
