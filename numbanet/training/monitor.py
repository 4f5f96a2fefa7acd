"""What a run is judged by from epoch to epoch: the loss of the validation part, else that of training.

All of it is worked out from the epochs' lines, so that a run that goes on needs nothing else to decide the same.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

Row = Mapping[str, Any]


def monitored(row: Row) -> tuple[str, float]:
    """The name and the value of the loss that counts; a loss that was not finite is infinite."""
    name = "validation_loss" if "validation_loss" in row else "train_loss"
    return name, math.inf if row[name] is None else row[name]


def best_epoch(rows: Sequence[Row]) -> int:
    """The first epoch with the lowest loss, from 1; 0 when no epoch is done."""
    losses = [monitored(row)[1] for row in rows]
    return 1 + losses.index(min(losses)) if losses else 0


def epochs_since_best(rows: Sequence[Row]) -> int:
    """Epochs since the loss was at its lowest."""
    return len(rows) - best_epoch(rows)


def drops_on_plateau(rows: Sequence[Row], patience: int) -> int:
    """How often the loss was not lower than before for more than ``patience`` epochs; each drop begins a new count."""
    best, waited, drops = math.inf, 0, 0
    for row in rows:
        loss = monitored(row)[1]
        waited = 0 if loss < best else waited + 1
        best = min(best, loss)
        if waited > patience:
            drops, waited = drops + 1, 0
    return drops
