"""Training as a whole: settings, the run folder, checkpoints, and the loop. Submodules are imported at first use."""

from __future__ import annotations

import importlib

_WHERE = {
    "Callback": "callback",
    "Checkpoint": "checkpoint",
    "CheckpointError": "errors",
    "Config": "config",
    "ConfigError": "errors",
    "DivergedError": "errors",
    "Evaluation": "evaluation",
    "Interrupted": "errors",
    "Objective": "objective",
    "Reporter": "report",
    "Run": "run",
    "RunError": "errors",
    "Trainer": "trainer",
    "TrainingError": "errors",
    "evaluate": "evaluation",
    "load_model": "restore",
    "recipe": "recipes",
    "set_exact_batchnorm": "batchnorm",
}
__all__ = [*sorted(_WHERE), "checkpoint"]


def __getattr__(name: str) -> object:
    if name in _WHERE:
        value = getattr(importlib.import_module(f"{__name__}.{_WHERE[name]}"), name)
        globals()[name] = value
        return value
    if name == "checkpoint":
        return importlib.import_module(f"{__name__}.checkpoint")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
