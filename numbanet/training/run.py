"""Run: the folder of one training run, which is all that is needed to continue, evaluate or repeat it.

``config.toml`` every setting, beside it copies of the user's own files that it names, what is known of their data
(``data.json``) and the tokenizers of a text; ``metrics.jsonl`` one line an epoch; ``summary.json`` the result;
``last.npz`` where training stands; ``best.npz`` the weights with the lowest loss (of the validation part if there is
one, else of training: the test data choose nothing); ``curves.png`` the metrics as a picture. A run folder always holds
a checkpoint: it is made under another name and renamed when complete.
"""

from __future__ import annotations

import contextlib
import json
import math
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from numbanet.training import checkpoint as checkpoints
from numbanet.training import toml
from numbanet.training.checkpoint import Checkpoint
from numbanet.training.config import Config
from numbanet.training.errors import CheckpointError, ConfigError, RunError
from numbanet.training.files import TEMPORARY_SUFFIX, remove_leftovers, sync_folder, write_text
from numbanet.training.own import own_files

FORMAT_VERSION = 1
CHECKPOINTS = ("last", "best")


class Run:
    """A run folder that exists. Open one with :meth:`open`, make one with :meth:`create`."""

    def __init__(self, folder: Path, config: Config) -> None:
        self.folder = folder
        self.config = config

    @classmethod
    def create(
        cls, folder: str | Path, config: Config, start: Checkpoint, files: Mapping[str, str] | None = None
    ) -> Run:
        """Make the folder with its config, the checkpoint to start from and further ``files``, whole or not at all.

        Raises :class:`RunError` when the folder cannot be made, or exists and has something in it.
        """
        folder = Path(folder)
        check_free(folder)
        try:
            if folder.is_dir():
                cls(folder, config)._fill(start, files or {})
            else:
                folder.parent.mkdir(parents=True, exist_ok=True)
                temporary = folder.with_name(f".{folder.name}.{os.getpid()}{TEMPORARY_SUFFIX}")
                try:
                    temporary.mkdir()
                    cls(temporary, config)._fill(start, files or {})
                    temporary.rename(folder)
                    sync_folder(folder.parent)
                finally:
                    shutil.rmtree(temporary, ignore_errors=True)
        except OSError as error:
            raise RunError(f"cannot make the run folder {folder}: {_why(error)}") from None
        return cls(folder, config)

    @classmethod
    def create_numbered(
        cls, folder: str | Path, config: Config, start: Checkpoint, files: Mapping[str, str] | None = None
    ) -> Run:
        """As :meth:`create`, in the first of ``folder``, ``folder``-2, ``folder``-3, … that is free."""
        while True:
            candidate = free_name(Path(folder))
            try:
                return cls.create(candidate, config, start, files)
            except RunError:
                if not candidate.exists():  # else another process took the name in the meantime
                    raise

    def _fill(self, start: Checkpoint, files: Mapping[str, str]) -> None:
        try:
            for name, text in files.items():
                write_text(self.folder / name, text)
            for name, path in own_files(self.config).items():
                shutil.copyfile(path, self.folder / name)
            self.save_checkpoint("last", start)
            self.write_metrics([])
            self.save_config(self.config)  # comes last: config.toml is what makes a folder a run
        except BaseException:
            for name in ("last.npz", "metrics.jsonl", "config.toml", *own_files(self.config), *files):
                (self.folder / name).unlink(missing_ok=True)
            raise

    @classmethod
    def open(cls, folder: str | Path) -> Run:
        """Open an existing run folder; raises :class:`RunError` when it is none."""
        folder = Path(folder)
        if not folder.is_dir():
            raise RunError(f"there is no run folder {folder}")
        if not (folder / "config.toml").is_file():
            raise RunError(f"{folder} is not a run folder (it has no config.toml)")
        path = folder / "config.toml"
        try:
            settings = toml.read(path)
        except ConfigError as error:
            raise RunError(str(error)) from None
        try:
            return cls(folder, Config(**settings))
        except ConfigError as error:
            raise RunError(f"{path}: {error}") from None

    @contextlib.contextmanager
    def lock(self) -> Iterator[None]:
        """Keep other processes from training in this folder; the system drops the lock when a process dies."""
        try:
            import fcntl
        except ImportError:  # Windows: no lock
            yield
            return
        descriptor = os.open(self.folder, os.O_RDONLY)
        try:
            with contextlib.suppress(OSError):  # a file system without locks
                try:
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                except BlockingIOError:
                    raise RunError(f"another process is training in {self.folder}") from None
            yield
        finally:
            os.close(descriptor)

    # --- config ----------------------------------------------------------------------------------------------
    def save_config(self, config: Config) -> None:
        """Write ``config.toml``."""
        write_text(self.folder / "config.toml", toml.dumps(config))
        self.config = config

    # --- checkpoints -----------------------------------------------------------------------------------------
    def checkpoint_path(self, name: str) -> Path:
        """Where the checkpoint "last" or "best" lies."""
        return self.folder / f"{name}.npz"

    def save_checkpoint(self, name: str, checkpoint: Checkpoint) -> None:
        """Write ``last.npz`` or ``best.npz`` whole or not at all."""
        owner = {"model": self.config.model, "dataset": self.config.dataset}
        checkpoints.save(self.checkpoint_path(name), Checkpoint(checkpoint.arrays, {**owner, **checkpoint.state}))

    def load_checkpoint(self, name: str) -> Checkpoint:
        """Read a checkpoint of this run; raises :class:`CheckpointError` when it is missing, damaged or another's."""
        path = self.checkpoint_path(name)
        if not path.exists():
            raise CheckpointError(f"the run folder {self.folder} has no checkpoint {path.name}")
        checkpoint = checkpoints.load(path)
        model = checkpoint.state.get("model")
        if model != self.config.model:
            raise CheckpointError(f"{path} holds a {model}, but this is a run of {self.config.model}")
        return checkpoint

    # --- metrics and summary -----------------------------------------------------------------------------------
    def metrics(self) -> list[dict[str, Any]]:
        """The lines of ``metrics.jsonl``, one dict an epoch."""
        try:
            text = (self.folder / "metrics.jsonl").read_text(encoding="utf-8")
            return [json.loads(line) for line in text.splitlines()]
        except (OSError, ValueError) as error:
            raise RunError(f"cannot read {self.folder / 'metrics.jsonl'}: {error}") from None

    def write_metrics(self, rows: list[dict[str, Any]]) -> None:
        """Write ``metrics.jsonl`` anew, whole or not at all."""
        write_text(self.folder / "metrics.jsonl", "".join(_json_line(row) for row in rows))

    def append_metrics(self, row: dict[str, Any]) -> None:
        """Add one epoch's line."""
        with (self.folder / "metrics.jsonl").open("a", encoding="utf-8") as stream:
            stream.write(_json_line(row))

    def summary(self) -> dict[str, Any] | None:
        """``summary.json``, or None while the run is not finished."""
        path = self.folder / "summary.json"
        try:
            return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None
        except (OSError, ValueError) as error:
            raise RunError(f"cannot read {path}: {error}") from None

    def write_summary(self, summary: dict[str, Any]) -> None:
        """Write ``summary.json``: strict JSON, numbers that are not finite become null."""
        content = {"format_version": FORMAT_VERSION, **finite(summary)}
        write_text(self.folder / "summary.json", json.dumps(content, indent=2, allow_nan=False) + "\n")

    def reopen(self, history: list[dict[str, Any]]) -> None:
        """Make the folder agree with a checkpoint from which training goes on: metrics, no summary, no leftovers."""
        remove_leftovers(self.folder)
        self.write_metrics(history)
        (self.folder / "summary.json").unlink(missing_ok=True)


def check_free(folder: Path) -> None:
    """Raise :class:`RunError` unless ``folder`` does not exist yet or is an empty folder."""
    try:
        if not folder.exists() and not folder.is_symlink():
            return
        if not folder.is_dir():
            raise RunError(f"{folder} exists and is not a folder; choose another --out")
        if (folder / "config.toml").exists():
            raise RunError(f"{folder} already holds a run; go on with it by --resume, or choose another --out")
        if any(folder.iterdir()):
            raise RunError(f"{folder} exists and is not empty; choose another --out")
    except OSError as error:
        raise RunError(f"cannot make the run folder {folder}: {_why(error)}") from None


def free_name(folder: Path) -> Path:
    """``folder``, or the first of ``folder``-2, ``folder``-3, … that does not exist."""
    number, candidate = 1, folder
    while candidate.exists():
        number += 1
        candidate = folder.with_name(f"{folder.name}-{number}")
    return candidate


def latest_name(folder: Path) -> Path | None:
    """The last of ``folder``, ``folder``-2, ``folder``-3, … that exists, or None."""
    latest = None
    for candidate in [folder, *folder.parent.glob(f"{folder.name}-*")]:
        number = candidate.name[len(folder.name) + 1 :] or "1"
        if candidate.is_dir() and number.isdigit() and (latest is None or int(number) > latest[0]):
            latest = (int(number), candidate)
    return latest[1] if latest else None


def finite(value: Any) -> Any:
    """``value`` with every float that is not finite replaced by None, so that it is strict JSON."""
    if isinstance(value, dict):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def _json_line(row: dict[str, Any]) -> str:
    return json.dumps(finite(row), allow_nan=False) + "\n"


def _why(error: OSError) -> str:
    if isinstance(error, FileExistsError | NotADirectoryError) and error.filename:
        return f"{error.filename} is not a folder"
    return (error.strerror or str(error)).lower()
