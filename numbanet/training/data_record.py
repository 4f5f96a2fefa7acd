"""``data.json``: what a run folder keeps of a data set of the user's own.

The outputs of a model stand for the classes that there were when it was trained, whatever has become of the user's
files since: predictions and exports need the run folder alone.
"""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

from numbanet.datasets import DatasetInfo
from numbanet.training.errors import ConfigError, RunError
from numbanet.training.own_data import OwnInfo

FILE = "data.json"


def to_text(info: OwnInfo | DatasetInfo) -> str:
    """The content of ``data.json``."""
    return json.dumps(dataclasses.asdict(info), indent=2, default=float) + "\n"


def exists(folder: Path | None) -> bool:
    """Whether a run folder has a record of its data set: one of the user's own, wherever that is now."""
    return folder is not None and (folder / FILE).is_file()


def read(folder: Path | None) -> OwnInfo | DatasetInfo | None:
    """What the run folder says of its data set; None without a run folder, or if that has no record of it.

    Raises :class:`RunError` when the file is damaged.
    """
    if not exists(folder):
        return None
    path = folder / FILE
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
        values = {key: tuple(value) if isinstance(value, list) else value for key, value in found.items()}
        return (OwnInfo if "outputs" in values else DatasetInfo)(**values)
    except (OSError, ValueError, TypeError, AttributeError) as error:
        raise RunError(f"cannot read {path}: {error}") from None


def check_unchanged(recorded: Any, found: Any, name: str) -> None:
    """Raise :class:`ConfigError` if a data set has other classes or shapes now than a run's record of it says."""
    for field, what, was, now_is in (("classes", "classes", "were", "are"), ("shape", "inputs' shape", "was", "is")):
        before, now = (list(map(str, getattr(info, field))) for info in (recorded, found))
        if before != now:
            raise ConfigError(
                f"{name} has changed since the run began: its {what} {was} {_some(before)} and {now_is} {_some(now)} "
                "now; bring back what it was, or train anew"
            )


def _some(words: list[str], most: int = 12) -> str:
    more = f" and {len(words) - most} more" if len(words) > most else ""
    return f"({', '.join(words[:most])}{more})"
