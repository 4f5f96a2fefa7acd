"""Trainer: from a config, or from a run folder, to a finished run."""

from __future__ import annotations

import math
import signal
import threading
import time
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

import numbanet
from numbanet.graph import NonFiniteError
from numbanet.kernels.backend import load_backend
from numbanet.nn import Module
from numbanet.optim import AveragedModel
from numbanet.training import build, curves, snapshot
from numbanet.training.batchnorm import set_exact_batchnorm
from numbanet.training.callback import Callback
from numbanet.training.checkpoint import Checkpoint
from numbanet.training.config import Config, continued
from numbanet.training.errors import ConfigError, DivergedError, Interrupted
from numbanet.training.interrupt import InterruptFlag
from numbanet.training.machine import peak_memory_mb
from numbanet.training.monitor import epochs_since_best, monitored
from numbanet.training.own import short_name, user_errors_told
from numbanet.training.report import Reporter
from numbanet.training.run import Run, finite
from numbanet.training.schedule import Schedule, effect_of_epochs
from numbanet.training.snapshot import Progress
from numbanet.training.step import Rules, TrainingStep
from numbanet.training.tasks import make_task
from numbanet.training.warmup import compile_first, compile_kernels
from numbanet.version import __version__


class Trainer:
    """Train a model. ``Trainer(config)`` starts anew, :meth:`resume` goes on with a run.

    Making a trainer checks everything (names, data, batch size) and writes nothing; :meth:`fit` makes the run folder.

    Args:
        config: the settings.
        out: the run folder to make; None for the first free name of runs/MODEL-DATASET, runs/MODEL-DATASET-2, …
        reporter: who hears of the progress.
        started: when the work began, by ``time.perf_counter()``; ``seconds_total`` counts from there.
        callbacks: who acts while it trains, beside the callbacks that the config names.
        folder: a run folder whose copies of the user's own files are to be used.

    Raises:
        ConfigError, numbanet.data.DataError: a setting or the data cannot be used.
    """

    def __init__(
        self,
        config: Config,
        out: str | Path | None = None,
        reporter: Reporter | None = None,
        started: float | None = None,
        callbacks: Iterable[Callback] = (),
        folder: Path | None = None,
    ) -> None:
        self._started = time.perf_counter() if started is None else started
        build.check_names(config)
        self.config = config = build.use_machine(config)
        self._compile_began = load_backend(config.backend).compile_seconds
        self.reporter = reporter or Reporter()
        self.out = out
        self.run: Run | None = None
        self.task = make_task(config, folder)
        self.data = self.task.data
        self._compile_first()
        self.model = self.task.build_model()
        self.loader = self.task.loader(self.model)
        self.objective = self.task.objective()
        self.schedule = Schedule(config, len(self.loader))
        self.step = self._make_step(self.model)
        self.task.check_model(self.model)
        self.callbacks = [*build.build_callbacks(config, folder), *callbacks]
        self.progress = Progress()
        self._flag = InterruptFlag()
        self._session = 0.0  # seconds_total of earlier sessions
        self._compiled = 0.0  # seconds_compile of earlier sessions

    @classmethod
    def resume(
        cls,
        folder: str | Path,
        changes: Mapping[str, Any] | None = None,
        reporter: Reporter | None = None,
        started: float | None = None,
        callbacks: Iterable[Callback] = (),
    ) -> Trainer:
        """A trainer that goes on where the run in ``folder`` stands, to the very same bits.

        ``changes`` are settings the user asks for: those of ``MAY_CHANGE`` (epochs, threads, …) are taken over, any
        other value than the run's raises :class:`ConfigError`.
        """
        run = Run.open(folder)
        config = continued(run.config, changes or {})
        checkpoint = run.load_checkpoint("last")
        snapshot.check_same(run, checkpoint)
        done = checkpoint.state["progress"]["epoch"]
        if config.epochs < done:
            raise ConfigError(f"epochs {config.epochs}: the run in {folder} has already done {done}")
        trainer = cls(config, folder, reporter, started, callbacks, run.folder)
        trainer.run = run
        snapshot.put_back(trainer, checkpoint)
        trainer._session = trainer.progress.seconds_total
        trainer._compiled = trainer.progress.seconds_compile
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
        with user_errors_told(self.config), self._flag:
            if self.run is None:
                self._create()
            try:
                with self.run.lock():
                    return self._fit()
            except BaseException:
                self.reporter.end(None, self.run.folder)
                raise

    def _create(self) -> None:
        default = Path("runs") / f"{short_name(self.config.model)}-{short_name(self.config.dataset)}"
        start = self._checkpoint()
        if self.out is None:
            self.run = Run.create_numbered(default, self.config, start, self.task.files())
        else:
            self.run = Run.create(self.out, self.config, start, self.task.files())

    def _fit(self) -> dict[str, Any]:
        run, config, progress = self.run, self.config, self.progress
        finished = run.summary()
        if finished is not None and not self._goes_on():
            done = f"has done all its {config.epochs} epochs; --epochs N with a larger N goes on"
            self.reporter.note(f"the run {f'was stopped: {progress.stopped}' if progress.stopped else done}")
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
        size = self.task.training_size()
        self.reporter.begin(config, run.folder, parameters, size, len(self.loader))
        for note in self.task.notes:
            self.reporter.note(note)
        if self._goes_on():
            self._compile()
            if config.check_nan:
                self.step.check()
            elif not config.eager:
                self.step.replay(self.reporter.note)
        for callback in self.callbacks:
            callback.begin(self)
        while self._goes_on():
            self._train_epoch()
            self._end_epoch()
        return self._finish(parameters)

    def _goes_on(self) -> bool:
        progress = self.progress
        # the epoch in which the stop came is done to its end, in a run that was interrupted in it as well
        is_stopped = progress.stopped is not None and progress.history and self.loader.position == 0
        return progress.epoch < self.config.epochs and not is_stopped

    def stop(self, why: str) -> None:
        """Make the epoch that runs the last one."""
        self.progress.stopped = f"{why} (epoch {self.progress.epoch + 1})"

    @property
    def judged(self) -> Module:
        """The model that is evaluated and kept: the average of the weights if there is one."""
        average = self.step.rules.average
        return self.model if average is None else average.module

    def _compile_first(self) -> None:
        try:
            compile_first(self.reporter.compiling)
        except BaseException:  # Ctrl-C above all: a bar is taken off the terminal
            self.reporter.end(None, Path(self.out or "."))
            raise

    def _compile(self) -> None:
        train_batches, eval_batches = self.task.examples(self.model)

        def report(done: int, total: int) -> None:
            self.reporter.compiling(done, total)
            if self._flag.signal is not None and threading.current_thread() is threading.main_thread():
                self._interrupt()  # what is saved already is where the run stands

        compile_kernels(
            self.model,
            self._make_step,
            train_batches,
            eval_batches,
            report,
            self.loader.transform,
            self.config.exact_batchnorm,
            replays=not self.config.eager,
        )

    def _train_epoch(self) -> None:
        """One pass over what is left of the epoch."""
        step, progress, flag, clock = self.step, self.progress, self._flag, time.perf_counter
        began = clock()
        self._next_save, self._next_report = began + (self.config.checkpoint_seconds or float("inf")), began
        self._wake = min(self._next_save, self._next_report)
        every = self.config.checkpoint_steps or self.config.epochs * len(self.loader) + 1
        self.schedule.see(progress.history)
        self.model.train()
        if self.loader.position == 0:
            step.forward.begin_epoch()
        for inputs, targets in progress.loaded(self.loader):
            try:
                loss = step(inputs, targets)
            except NonFiniteError as error:
                raise self._diverged(str(error), step.number + 1) from None
            if loss - loss != 0.0:  # true for NaN and infinity alone
                raise self._diverged(f"the loss became {loss}", step.number + 1)
            count = self.objective.count(targets)
            progress.loss_sum += loss * count
            progress.samples += count
            for callback in self.callbacks:
                callback.step(self, loss)
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
            self._interrupt()
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
        row = self._row()
        for callback in self.callbacks:
            callback.epoch(self, row)
        progress.samples_total += progress.samples
        progress.history.append(finite(row))
        if config.early_stopping and epochs_since_best(progress.history) >= config.early_stopping:
            self.stop(f"no lower {monitored(row)[0].replace('_', ' ')} for {config.early_stopping} epochs")
        progress.epoch, progress.loss_sum, progress.samples = progress.epoch + 1, 0.0, 0
        by, loss = monitored(progress.history[-1])
        better = loss < (math.inf if progress.best is None else progress.best["loss"])
        if better:
            progress.best = {"epoch": progress.epoch, "by": by, "loss": loss}
        # in this order: what a kill in between leaves undone is made up for by reopen() and _repair_best()
        checkpoint = self._save()
        if better:
            self.run.save_checkpoint("best", checkpoint)
        self.run.append_metrics(row)
        self.reporter.epoch(row)
        if self._flag.signal is not None and self._goes_on():
            self._interrupt()

    def _row(self) -> dict[str, Any]:
        """The line of the epoch that ends: what it came to on every part of the data."""
        progress = self.progress
        if self.config.exact_batchnorm:
            set_exact_batchnorm(self.judged, self.data.train, self.config.batch_size)
        row = {
            "epoch": progress.epoch + 1,
            "step": self.step.number,
            "lr": self.step.last_rate,
            "train_loss": progress.loss_sum / progress.samples,
        }
        for name in ("validation", "test"):
            part = getattr(self.data, name)
            if part is not None:
                measures = self.task.evaluate(self.judged, part).measures
                row |= {f"{name}_{measure}": value for measure, value in measures.items()}
        return {**row, "seconds": round(self._seconds(), 3)}

    def _finish(self, parameters: int) -> dict[str, Any]:
        config, progress = self.config, self.progress
        last = progress.history[-1]
        loss, accuracy = last["test_loss"], last.get("test_accuracy")
        result = f"test accuracy {100 * accuracy:.2f} %" if accuracy is not None else f"test loss {loss or 0:.4g}"
        title = f"{short_name(config.model)} on {short_name(config.dataset)}: {result}"
        try:
            curves.draw(progress.history, title, self.run.folder / "curves.png")
        except ImportError as error:
            self.reporter.note(f"no curves.png: {error}")
        summary = {
            "model": config.model,
            "dataset": config.dataset,
            "epochs": progress.epoch,
            **({"stopped": progress.stopped} if progress.stopped else {}),
            "parameters": parameters,
            **{key: value for key, value in last.items() if key.startswith(("train_", "validation_", "test_"))},
            "best": progress.best,
            "seconds_total": round(self._seconds(), 3),
            "seconds_compile": round(self._seconds_compile(), 3),
            "seconds_training": round(progress.seconds_training, 3),
            "seconds_loading": round(progress.seconds_loading, 3),
            f"{self.task.unit}_per_second": round(progress.samples_total / progress.seconds_training, 1),
            "peak_rss_mb": peak_memory_mb(),
            "version": __version__,
            "backend": config.backend,
            "threads": numbanet.get_num_threads(),
            "seed": config.seed,
            "steps": self.step.number,
            "train_samples": len(self.data.train),
            "test_samples": len(self.data.test),
            **({"skipped": len(self.data.skipped)} if self.data.skipped else {}),
        }
        for callback in self.callbacks:
            callback.end(self, summary)
        self.run.write_summary(summary)
        self.reporter.end(summary, self.run.folder)
        return summary

    # --- parts --------------------------------------------------------------------------------------------------
    def _make_step(self, model: Module) -> TrainingStep:
        config = self.config
        average = AveragedModel(model, config.ema_decay) if config.ema_decay else None
        rules = Rules(config.accumulate, config.clip_value, config.clip_norm, average)
        optimizer = build.build_optimizer(config, model)
        return TrainingStep(model, optimizer, self.schedule, config.lr, self.objective, rules, self.task.forward(model))

    def _diverged(self, what: str, step: int) -> DivergedError:
        path = self.run.checkpoint_path("last")
        return DivergedError(
            f"training diverged: {what} at step {step} (epoch {self.progress.epoch + 1}); "
            f"{path} keeps the last good state. Start a new run with a learning rate below {self.config.lr}"
        )

    def _interrupt(self) -> None:
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
        self.progress.seconds_total, self.progress.seconds_compile = self._seconds(), self._seconds_compile()
        return snapshot.take(self)

    def _seconds(self) -> float:
        """The seconds of the run, with those of earlier sessions."""
        return self._session + time.perf_counter() - self._started

    def _seconds_compile(self) -> float:
        """Those in which it waited for the compiler."""
        return self._compiled + load_backend(self.config.backend).compile_seconds - self._compile_began

    def _repair_best(self) -> None:
        """Write best.npz if the process was killed between the two checkpoints of an epoch."""
        best, run = self.progress.best, self.run
        if best is None or best["epoch"] != self.progress.epoch or self.loader.position != 0:
            return
        run.save_checkpoint("best", self._checkpoint())
