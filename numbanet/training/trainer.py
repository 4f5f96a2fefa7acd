"""Trainer: from a config, or from a run folder, to a finished run."""

from __future__ import annotations

import dataclasses
import signal
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

import numbanet
from numbanet import random
from numbanet.datasets import short_name
from numbanet.training import build, curves
from numbanet.training.checkpoint import Checkpoint
from numbanet.training.config import MAY_CHANGE, Config, continued
from numbanet.training.errors import CheckpointError, ConfigError, DivergedError, Interrupted
from numbanet.training.evaluation import evaluate
from numbanet.training.interrupt import InterruptFlag
from numbanet.training.machine import peak_memory_mb
from numbanet.training.pack import pack, unpack
from numbanet.training.report import Reporter
from numbanet.training.run import Run, finite
from numbanet.training.schedule import Schedule, effect_of_epochs
from numbanet.training.step import TrainingStep
from numbanet.training.warmup import batch_sizes, compile_kernels
from numbanet.version import __version__


@dataclasses.dataclass
class Progress:
    """How far a run has come: what a checkpoint holds besides arrays."""

    epoch: int = 0  # epochs that are done
    loss_sum: float = 0.0  # over the samples of the epoch that is not done
    samples: int = 0
    history: list[dict[str, Any]] = dataclasses.field(default_factory=list)
    best: dict[str, Any] | None = None
    seconds_total: float = 0.0
    seconds_compile: float = 0.0
    seconds_training: float = 0.0
    samples_total: int = 0


class Trainer:
    """Train a classifier. ``Trainer(config)`` starts anew, :meth:`resume` goes on with a run.

    Making a trainer checks everything (names, data, batch size) and writes nothing; :meth:`fit` makes the run folder.

    Args:
        config: the settings.
        out: the run folder to make; None for the first free name of runs/MODEL-DATASET, runs/MODEL-DATASET-2, …
        reporter: who hears of the progress.
        started: when the work began, by ``time.perf_counter()``; ``seconds_total`` counts from there.

    Raises:
        ConfigError, numbanet.data.DataError: a setting or the data cannot be used.
    """

    def __init__(
        self,
        config: Config,
        out: str | Path | None = None,
        reporter: Reporter | None = None,
        started: float | None = None,
    ) -> None:
        self._started = time.perf_counter() if started is None else started
        build.check_names(config)
        self.config = config = build.use_machine(config)
        self.reporter = reporter or Reporter()
        self.out = out
        self.run: Run | None = None
        self.data = build.load_data(config)
        self.model = build.build_model(config, self.data.info)
        self.loader = build.training_loader(config, self.data)
        self.step = self._make_step(self.model)
        self.progress = Progress()
        self._flag = InterruptFlag()
        self._session = 0.0  # seconds_total of earlier sessions

    @classmethod
    def resume(
        cls,
        folder: str | Path,
        changes: Mapping[str, Any] | None = None,
        reporter: Reporter | None = None,
        started: float | None = None,
    ) -> Trainer:
        """A trainer that goes on where the run in ``folder`` stands, to the very same bits.

        ``changes`` are settings the user asks for: other epochs, threads and data_dir are taken over, any other value
        than the run's raises :class:`ConfigError`.
        """
        run = Run.open(folder)
        config = continued(run.config, changes or {})
        checkpoint = run.load_checkpoint("last")
        check_same(run, checkpoint)
        done = checkpoint.state["progress"]["epoch"]
        if config.epochs < done:
            raise ConfigError(f"epochs {config.epochs}: the run in {folder} has already done {done}")
        trainer = cls(config, folder, reporter, started)
        trainer.run = run
        trainer._restore(checkpoint)
        note = effect_of_epochs(run.config, config)
        if note:
            trainer.reporter.note(note)
        return trainer

    # --- the run ----------------------------------------------------------------------------------------------
    def fit(self) -> dict[str, Any]:
        """Train to the last epoch and return the summary.

        Raises:
            RunError: the run folder cannot be made or written.
            DivergedError: the loss or a weight is no finite number any more; the last good checkpoint stays.
            Interrupted: SIGINT or SIGTERM came; the state is saved.
        """
        with self._flag:
            if self.run is None:
                self._create()
            try:
                with self.run.lock():
                    return self._fit()
            except BaseException:
                self.reporter.end(None, self.run.folder)
                raise

    def _create(self) -> None:
        default = Path("runs") / f"{self.config.model}-{short_name(self.config.dataset)}"
        start = self._checkpoint()
        if self.out is None:
            self.run = Run.create_numbered(default, self.config, start)
        else:
            self.run = Run.create(self.out, self.config, start)

    def _fit(self) -> dict[str, Any]:
        run, config, progress = self.run, self.config, self.progress
        finished = run.summary()
        if finished is not None and progress.epoch == config.epochs:
            self.reporter.note(f"the run has done all its {config.epochs} epochs; --epochs N with a larger N goes on")
            return finished
        run.reopen(progress.history)
        if run.config != config:
            run.save_config(config)
        self._repair_best()
        parameters = sum(parameter.numel() for parameter in self.model.parameters())
        if self.data.skipped:
            count = len(self.data.skipped)
            what = "picture that cannot be read is" if count == 1 else "pictures that cannot be read are"
            self.reporter.note(f"{count} {what} left out, such as {self.data.skipped[0]}")
        self.reporter.begin(config, run.folder, parameters, len(self.data.train), len(self.loader))
        if progress.epoch < config.epochs:
            self._compile()
        while progress.epoch < config.epochs:
            self._train_epoch()
            self._end_epoch()
        return self._finish(parameters)

    def _compile(self) -> None:
        sizes = batch_sizes(len(self.data.train), self.config.batch_size)
        parts = [part for part in (self.data.validation, self.data.test) if part is not None]
        eval_sizes = set().union(*(batch_sizes(len(part), self.config.eval_batch_size) for part in parts))
        inputs, _ = self.data.test[0]
        shape = tuple(inputs.shape)

        def report(done: int, total: int) -> None:
            self.reporter.compiling(done, total)
            if self._flag.signal is not None and threading.current_thread() is threading.main_thread():
                self._stop()  # what is saved already is where the run stands

        transform = self.loader.transform
        seconds = compile_kernels(self.model, self._make_step, shape, sizes, eval_sizes, report, transform)
        self.progress.seconds_compile += seconds

    def _train_epoch(self) -> None:
        """One pass over what is left of the epoch."""
        step, progress, flag, clock = self.step, self.progress, self._flag, time.perf_counter
        began = clock()
        self._next_save, self._next_report = began + (self.config.checkpoint_seconds or float("inf")), began
        self._wake = min(self._next_save, self._next_report)
        every = self.config.checkpoint_steps or self.config.epochs * len(self.loader) + 1
        self.model.train()
        for inputs, targets in self.loader:
            loss = step(inputs, targets)
            if loss - loss != 0.0:  # true for NaN and infinity alone
                raise self._diverged(f"the loss became {loss}", step.number + 1)
            count = len(targets)
            progress.loss_sum += loss * count
            progress.samples += count
            now = clock()
            if now >= self._wake or step.number % every == 0 or flag.signal is not None:
                progress.seconds_training += now - began
                self._pause(now, step.number % every == 0)
                began = clock()
        progress.seconds_training += clock() - began

    def _pause(self, now: float, save: bool) -> None:
        """Between two steps: report, save, or stop because of a signal."""
        config, progress, position = self.config, self.progress, self.loader.position
        if self._flag.signal is not None:
            self._save()
            self._stop()
        if save or now >= self._next_save:
            if position < len(self.loader):  # the end of the epoch saves anyhow
                self._save()
            self._next_save = now + (config.checkpoint_seconds or float("inf"))
        if now >= self._next_report:
            seconds = self.reporter.progress_seconds
            if seconds:
                self.reporter.progress(progress.epoch + 1, position, progress.loss_sum / progress.samples)
            self._next_report = now + (seconds or float("inf"))
        self._wake = min(self._next_save, self._next_report)

    def _end_epoch(self) -> None:
        """Evaluate, write the epoch's line and the checkpoints."""
        progress, config = self.progress, self.config
        train_loss = progress.loss_sum / progress.samples
        validation = self._evaluate(self.data.validation) if self.data.validation is not None else None
        test = self._evaluate(self.data.test)
        row = {
            "epoch": progress.epoch + 1,
            "step": self.step.number,
            "lr": self.step.last_rate,
            "train_loss": train_loss,
            **({"validation_loss": validation.loss, "validation_accuracy": validation.accuracy} if validation else {}),
            "test_loss": test.loss,
            "test_accuracy": test.accuracy,
            "seconds": round(self._session + time.perf_counter() - self._started, 3),
        }
        progress.samples_total += progress.samples
        progress.epoch, progress.loss_sum, progress.samples = progress.epoch + 1, 0.0, 0
        progress.history.append(finite(row))
        by, loss = ("validation_loss", validation.loss) if validation else ("train_loss", train_loss)
        better = progress.best is None or loss < progress.best["loss"]
        if better:
            progress.best = {"epoch": progress.epoch, "by": by, "loss": loss}
        # in this order: what a kill in between leaves undone is made up for by reopen() and _repair_best()
        checkpoint = self._save()
        if better:
            self.run.save_checkpoint("best", checkpoint)
        self.run.append_metrics(row)
        self.reporter.epoch(row)
        if self._flag.signal is not None and progress.epoch < config.epochs:
            self._stop()

    def _finish(self, parameters: int) -> dict[str, Any]:
        config, progress = self.config, self.progress
        last = progress.history[-1]
        title = f"{config.model} on {config.dataset}: test accuracy {100 * (last['test_accuracy'] or 0):.2f} %"
        try:
            curves.draw(progress.history, title, self.run.folder / "curves.png")
        except ImportError as error:
            self.reporter.note(f"no curves.png: {error}")
        summary = {
            "model": config.model,
            "dataset": config.dataset,
            "epochs": config.epochs,
            "parameters": parameters,
            **{key: value for key, value in last.items() if key.endswith(("_loss", "_accuracy"))},
            "best": progress.best,
            "seconds_total": round(self._session + time.perf_counter() - self._started, 3),
            "seconds_compile": round(progress.seconds_compile, 3),
            "seconds_training": round(progress.seconds_training, 3),
            "samples_per_second": round(progress.samples_total / progress.seconds_training, 1),
            "peak_rss_mb": peak_memory_mb(),
            "version": __version__,
            "backend": config.backend,
            "threads": numbanet.get_num_threads(),
            "seed": config.seed,
            "steps": self.step.number,
            "train_samples": len(self.data.train),
            "test_samples": len(self.data.test),
        }
        self.run.write_summary(summary)
        self.reporter.end(summary, self.run.folder)
        return summary

    # --- parts --------------------------------------------------------------------------------------------------
    def _make_step(self, model: Any) -> TrainingStep:
        config = self.config
        optimizer = build.build_optimizer(config, model.parameters())
        return TrainingStep(model, optimizer, Schedule(config, len(self.loader)), config.lr, config.label_smoothing)

    def _evaluate(self, part: Any) -> Any:
        return evaluate(self.model, part, self.config.eval_batch_size)

    def _diverged(self, what: str, step: int) -> DivergedError:
        path = self.run.checkpoint_path("last")
        return DivergedError(
            f"training diverged: {what} at step {step} (epoch {self.progress.epoch + 1}); "
            f"{path} keeps the last good state. Start a new run with a learning rate below {self.config.lr}"
        )

    def _stop(self) -> None:
        number = self._flag.signal
        progress, config = self.progress, self.config
        where = f"epoch {min(progress.epoch + 1, config.epochs)} of {config.epochs}, step {self.step.number}"
        raise Interrupted(f"stopped by {signal.Signals(number).name} in {where}; everything is saved", number)

    # --- checkpoints ----------------------------------------------------------------------------------------------
    def _save(self) -> Checkpoint:
        checkpoint = self._checkpoint()
        for name, array in checkpoint.arrays.items():
            if not np.isfinite(array).all():
                raise self._diverged(f"{name} holds numbers that are not finite", self.step.number)
        self.run.save_checkpoint("last", checkpoint)
        return checkpoint

    def _checkpoint(self) -> Checkpoint:
        """The state of the run now, copied."""
        arrays: dict[str, np.ndarray] = {}
        self.progress.seconds_total = self._session + time.perf_counter() - self._started
        state = {
            "numbanet": __version__,
            "config": self.config.as_dict(),
            "weights": pack(dict(self.model.state_dict()), "model", arrays),
            "optimizer": pack(self.step.optimizer.state_dict(), "optimizer", arrays),
            "schedule": {"step": self.step.number},
            "loader": self.loader.state_dict(),
            "random": random.get_state(),
            "progress": dataclasses.asdict(self.progress),
        }
        return Checkpoint(arrays, state)

    def _restore(self, checkpoint: Checkpoint) -> None:
        state, arrays = checkpoint.state, checkpoint.arrays
        try:
            self.model.load_state_dict(unpack(state["weights"], arrays))
            self.step.optimizer.load_state_dict(unpack(state["optimizer"], arrays))
            self.step.number = state["schedule"]["step"]
            self.loader.load_state_dict(state["loader"])
            random.set_state(state["random"])
            self.progress = Progress(**state["progress"])
        except (KeyError, TypeError, ValueError, RuntimeError) as error:
            raise CheckpointError(f"the checkpoint {self.run.checkpoint_path('last')} does not fit: {error}") from None
        self._session = self.progress.seconds_total

    def _repair_best(self) -> None:
        """Write best.npz if the process was killed between the two checkpoints of an epoch."""
        best, run = self.progress.best, self.run
        if best is None or best["epoch"] != self.progress.epoch or self.loader.position != 0:
            return
        run.save_checkpoint("best", self._checkpoint())


def check_same(run: Run, checkpoint: Checkpoint) -> None:
    """Raise :class:`CheckpointError` when ``config.toml`` and the checkpoint are not of the same run."""
    stored, mine = checkpoint.state.get("config", {}), run.config.as_dict()
    different = [key for key, value in mine.items() if key not in MAY_CHANGE and stored.get(key) != value]
    if different:
        listed = ", ".join(f"{key} is {stored.get(key)!r} there and {mine[key]!r} in config.toml" for key in different)
        raise CheckpointError(f"{run.checkpoint_path('last')} belongs to another run: {listed}")
