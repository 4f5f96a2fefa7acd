"""A network for pictures in both libraries: the same first weights, the same batches, step by step.

``python benchmarks/pictures.py resnet20 --dataset cifar10 [--epochs 10] [--steps 20] [--seed 0] [--set NAME=VALUE …]``

Ours is what ``numbanet train MODEL --dataset DATASET`` does: the recipe's batches, augmentation, schedule and optimiser
(SGD; ``--set`` changes settings, ``--set model_options.norm=none`` one of the model's). PyTorch's twin gets our weights
and our batches; with ``--double`` a further twin computes in float64, which shows what rounding alone does to the
losses: deep networks at a high rate are chaotic. Or, with ``--alone``, it has a loader of its own, which augments as
users write it, and its faster memory format; then epochs are timed, evaluation included, and numbanet's are those that
``numbanet train`` prints. Without ``--steps`` whole epochs are trained, with the accuracy on the test data behind each.
Needs PyTorch in this interpreter.
"""

from __future__ import annotations

import argparse
import copy
import json
import re
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import torch
from torch import nn
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).resolve().parent))

from workloads.twins import alexnet_small, lenet5, residual_network

from numbanet.data import DataLoader, parse_augmentations
from numbanet.data.augmentation import describe
from numbanet.data.augmentations import Crop, Flip
from numbanet.models import model_info
from numbanet.training import build
from numbanet.training.config import Config
from numbanet.training.recipes import recipe
from numbanet.training.trainer import Trainer

# what the twins do not do: a setting with another value than this is refused
NOT_OF_TWINS = {
    "optimizer": "sgd",
    "decay_all": True,
    "loss": "cross_entropy",
    "class_weights": (),
    "accumulate": 1,
    "clip_value": 0.0,
    "ema_decay": 0.0,
    "exact_batchnorm": False,
    "early_stopping": 0,
    "callbacks": (),
}


def twin_of(config: Config, shape: tuple[int, ...], classes: int) -> nn.Module:
    """The model of the config in PyTorch; SystemExit if there is none that does the same."""
    chosen = config.model_options
    found = re.fullmatch(r"(resnet|plain)(20|32|44|56|110|1202)", config.model)
    if not found and config.model not in ("lenet5", "alexnet_small"):
        raise SystemExit(f"there is no twin of {config.model}")
    options = {**model_info(config.model).options, **chosen}
    norm, dropout = options["norm"], (options["dropout"], options["classic_dropout"])
    ours = {"activation": "relu", "pool": "max", "shortcut": "A", "norm": norm if found and norm == "batch" else "none"}
    strange = [name for name, value in ours.items() if options.get(name, value) != value]
    if strange or classes != 10 or shape[1] != shape[2] or (config.model != "lenet5" and shape[0] != 3):
        where = f"pictures {shape} in {classes} classes"
        raise SystemExit(f"there is no twin of {config.model} with {chosen} for {where}")
    if found:
        return residual_network(found[1] == "resnet", int(found[2]) // 6, norm == "batch", *dropout)
    return lenet5(shape[0], shape[1], *dropout) if config.model == "lenet5" else alexnet_small(shape[1], *dropout)


def check_settings(config: Config) -> None:
    """SystemExit for a setting that the twin would not follow."""
    for name, value in NOT_OF_TWINS.items():
        if getattr(config, name) != value:
            raise SystemExit(f"the twin knows {name}={value} only, not {getattr(config, name)}")


def copy_weights(twin: nn.Module, model: object) -> None:
    """Give the twin the model's state, whose entries come in the same order."""
    ours, theirs = list(model.state_dict().items()), list(twin.state_dict())
    if len(ours) != len(theirs):
        raise SystemExit(f"{len(ours)} entries of the state, the twin has {len(theirs)}")
    values = [torch.from_numpy(value.numpy().copy()) for _, value in ours]
    twin.load_state_dict(dict(zip(theirs, values, strict=True)))


def sgd(twin: nn.Module, config: Config) -> torch.optim.Optimizer:
    options = {"momentum": config.momentum, "nesterov": config.nesterov, "weight_decay": config.weight_decay}
    return torch.optim.SGD(twin.parameters(), config.lr, **options, fused=True)


def train_step(
    twin: nn.Module, optimizer: torch.optim.Optimizer, x: torch.Tensor, y: torch.Tensor, config: Config
) -> float:
    """The loss of a step of the twin."""
    optimizer.zero_grad()
    loss = functional.cross_entropy(twin(x), y, label_smoothing=config.label_smoothing)
    loss.backward()
    if config.clip_norm:
        nn.utils.clip_grad_norm_(twin.parameters(), config.clip_norm)
    optimizer.step()
    return loss.item()


def side_by_side(trainer: Trainer, twins: list[nn.Module], optimizers: list) -> Iterator[list[float]]:
    """The losses of the steps of an epoch, ours and the twins', on our batches."""
    for inputs, targets in trainer.loader:
        losses = [trainer.step(inputs, targets)]
        x, y = torch.from_numpy(inputs.numpy()), torch.from_numpy(targets.numpy())
        for twin, optimizer in zip(twins, optimizers, strict=True):
            for group in optimizer.param_groups:
                group["lr"] = trainer.step.last_rate
            x = x.to(next(twin.parameters()).dtype)
            losses.append(train_step(twin, optimizer, x, y, trainer.config))
        yield losses


def accuracy_of(twin: nn.Module, batches: list[tuple[torch.Tensor, torch.Tensor]]) -> float:
    twin.eval()
    with torch.inference_mode():
        right = sum(int((twin(x).argmax(1) == y).sum()) for x, y in batches)
    twin.train()
    return right / sum(len(y) for _, y in batches)


class OwnLoader:
    """Batches as PyTorch's users make them of pictures that fit into memory: flipped and cropped a batch at a time, as
    the config says."""

    def __init__(self, trainer: Trainer) -> None:
        data, self.config = trainer.data, trainer.config
        self.steps = parse_augmentations(self.config.augment, data.info.augment)
        for step in self.steps:
            if not isinstance(step, Flip) and step != Crop(step.padding if isinstance(step, Crop) else 0):
                raise SystemExit(f"the twin's own loader can flip and crop(padding=N), but not {describe(step)}")
        pictures, labels = next(iter(DataLoader(data.train.as_bytes(), batch_size=len(data.train))))
        self.pictures, self.labels = (torch.from_numpy(np.asarray(one)) for one in (pictures, labels))
        self.mean = torch.tensor(data.info.mean).view(1, -1, 1, 1)
        self.std = torch.tensor(data.info.std).view(1, -1, 1, 1)

    def __iter__(self) -> Iterator[tuple[torch.Tensor, torch.Tensor]]:
        size = self.config.batch_size
        for chosen in torch.randperm(len(self.labels)).split(size):
            yield self.batch(chosen), self.labels[chosen]

    def batch(self, chosen: torch.Tensor) -> torch.Tensor:
        x = self.pictures[chosen]
        for step in self.steps:
            x = flipped(x, step.p) if isinstance(step, Flip) else cropped(x, step.padding)
        x = (x.float() / 255 - self.mean) / self.std
        return x.contiguous(memory_format=torch.channels_last)


def flipped(x: torch.Tensor, p: float) -> torch.Tensor:
    return torch.where((torch.rand(len(x)) < p).view(-1, 1, 1, 1), x.flip(3), x)


def cropped(x: torch.Tensor, padding: int) -> torch.Tensor:
    n, channels, height, width = x.shape
    x = functional.pad(x, (padding,) * 4)
    down, right = torch.randint(0, 2 * padding + 1, (2, n, 1))
    rows = (down + torch.arange(height)).view(n, 1, height, 1)
    columns = (right + torch.arange(width)).view(n, 1, 1, width)
    return x[torch.arange(n).view(-1, 1, 1, 1), torch.arange(channels).view(1, -1, 1, 1), rows, columns]


def timed_epochs(trainer: Trainer, twin: nn.Module, test: list[tuple[torch.Tensor, torch.Tensor]]) -> None:
    """Train the twin by itself and print the seconds of each epoch, evaluation included."""
    loader, optimizer = OwnLoader(trainer), sgd(twin, trainer.config)
    twin.to(memory_format=torch.channels_last)
    test = [(x.contiguous(memory_format=torch.channels_last), y) for x, y in test]
    number, seconds = 0, []
    for epoch in range(trainer.config.epochs):
        began = time.perf_counter()
        for x, y in loader:
            for group in optimizer.param_groups:
                group["lr"] = trainer.step.lr * trainer.step.schedule(number)
            train_step(twin, optimizer, x, y, trainer.config)
            number += 1
        accuracy = accuracy_of(twin, test)
        seconds.append(time.perf_counter() - began)
        print(f"epoch {epoch + 1:3}  torch {accuracy:.4f}  {seconds[-1]:.1f} s", flush=True)
    print(json.dumps({"seconds": seconds, "accuracy": accuracy}))


def compared_epochs(trainer: Trainer, twins: list[nn.Module], test: list, steps: int) -> None:
    """Train all, print losses or, by epoch, the accuracies of ours and the first twin."""
    optimizers = [sgd(twin, trainer.config) for twin in twins]
    worst, rounding, done, found = 0.0, 0.0, 0, {}
    for epoch in range(trainer.config.epochs):
        trainer.model.train()
        trainer.step.forward.begin_epoch()
        for ours, theirs, *double in side_by_side(trainer, twins, optimizers):
            done += 1
            worst = max(worst, abs(ours - theirs))
            rounding = max(rounding, *[abs(one - theirs) for one in double], 0.0)
            if done <= 20 and steps:
                print(f"step {done:4}  numbanet {ours:.6f}  torch {theirs:.6f}  difference {ours - theirs:+.1e}")
            if done == steps:
                print(f"largest difference of {steps} steps: {worst:.1e}")
                if double:
                    print(f"largest difference of PyTorch in float64 from PyTorch in float32: {rounding:.1e}")
                return
        ours = trainer.task.evaluate(trainer.model, trainer.data.test).accuracy
        found = {"numbanet": ours, "torch": accuracy_of(twins[0], test)}
        print(f"epoch {epoch + 1:3}  numbanet {ours:.4f}  torch {found['torch']:.4f}", flush=True)
    print(json.dumps({"model": trainer.config.model, "seed": trainer.config.seed, **found}))


def settings_of(options: argparse.Namespace) -> dict[str, object]:
    """The settings of the run, those of ``--set`` read as TOML's values where they are."""
    settings: dict[str, object] = {"model": options.model, "dataset": options.dataset, "seed": options.seed}
    settings |= {"data_dir": options.data_dir, "threads": options.threads, "epochs": options.epochs}
    chosen: dict[str, object] = {}
    for text in options.set:
        name, _, value = text.partition("=")
        value = json.loads(value) if re.fullmatch(r"-?[\d.]+(e-?\d+)?|true|false", value) else value
        if name.startswith("model_options."):
            chosen[name.removeprefix("model_options.")] = value
        else:
            settings[name] = value
    return {**settings, "model_options": chosen} if chosen else settings


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0])
    parser.add_argument("model")
    parser.add_argument("--dataset", default="cifar10")
    parser.add_argument("--data-dir", default="", help="folder with the data")
    parser.add_argument("--epochs", type=int, default=10)
    parser.add_argument("--steps", type=int, default=0, help="stop after so many steps (default: all)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--threads", type=int, default=2, help="threads on both sides (default 2)")
    parser.add_argument("--alone", action="store_true", help="time the twin by itself, with a loader of its own")
    parser.add_argument("--double", action="store_true", help="a twin in float64 as well")
    parser.add_argument("--set", action="append", default=[], metavar="NAME=VALUE", help="a setting of the run")
    options = parser.parse_args()
    torch.set_num_threads(options.threads)
    torch.manual_seed(options.seed)
    config = Config.from_dict(settings_of(options), recipe(options.model, options.dataset))
    check_settings(config)
    trainer = Trainer(build.use_machine(config))
    twin = twin_of(trainer.config, trainer.data.info.shape, len(trainer.data.info.classes))
    copy_weights(twin, trainer.model)
    batches = DataLoader(trainer.data.test, batch_size=trainer.config.eval_batch_size)
    test = [(torch.from_numpy(x.numpy().copy()), torch.from_numpy(y.numpy().copy())) for x, y in batches]
    if options.alone:
        timed_epochs(trainer, twin, test)
    else:
        twins = [twin, copy.deepcopy(twin).double()] if options.double else [twin]
        compared_epochs(trainer, twins, test, options.steps)


if __name__ == "__main__":
    main()
