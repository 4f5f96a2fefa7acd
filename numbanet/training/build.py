"""From a Config to the things it names: data, model, optimiser, loss, callbacks."""

from __future__ import annotations

import dataclasses
import importlib.util
import math
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

import numbanet
from numbanet import datasets, models, optim
from numbanet.data import (
    Augment,
    DataLoader,
    Normalise,
    Subset,
    WeightedRandomSampler,
    balancing_weights,
    parse_augmentations,
    random_split,
    targets_of,
)
from numbanet.nn import Module
from numbanet.training import data_record
from numbanet.training.callback import Callback
from numbanet.training.config import BALANCED, Config
from numbanet.training.errors import ConfigError, unknown_name
from numbanet.training.objective import Objective
from numbanet.training.own import call_own, is_function, own_function
from numbanet.training.own_data import OwnInfo, own_splits
from numbanet.training.settings import AUTO


@dataclass(frozen=True)
class Data:
    """The parts of a data set that a run uses; ``validation`` is None unless there is one or some data are held out."""

    train: Any
    validation: Any | None
    test: Any
    info: Any
    skipped: tuple[Any, ...] = ()


def check_names(config: Config, folder: Path | None = None) -> None:
    """Raise :class:`ConfigError` when there is no such model or data set, nor a record of the data in a run folder."""
    for kind, name in (("model", config.model), ("dataset", config.dataset)):
        if name.endswith(".py") and not Path(name).is_dir():
            raise ConfigError(f"{kind} {name}: say which function of the file makes it, such as {name}:make")
    if config.model not in models.list_models() and not is_function(config.model):
        raise ConfigError(unknown_name("model", config.model, models.list_models()))
    if not is_function(config.dataset) and not datasets.is_dataset(config.dataset) and not data_record.exists(folder):
        raise ConfigError(unknown_name("data set", config.dataset, datasets.list_datasets()))


def use_machine(config: Config) -> Config:
    """Choose the back end and the threads that the config names; returns the config with the back end's name in it."""
    try:  # both look at the environment
        name = numbanet.get_backend() if config.backend == AUTO else config.backend
        numbanet.get_num_threads()
    except ValueError as error:
        raise ConfigError(str(error)) from None
    if name == "cpu" and importlib.util.find_spec("numba") is None:
        raise ConfigError("the cpu back end needs Numba, which is not installed; use the numpy back end")
    numbanet.set_backend(name)
    if config.threads is not None:
        numbanet.set_num_threads(config.threads)
    return config.replace(backend=name)


# --- data ------------------------------------------------------------------------------------------------------------
def load_data(config: Config, folder: Path | None = None) -> Data:
    """Read the data set and take the parts of it that the config asks for, by the seed.

    ``folder`` is a run folder, whose copies of the user's files come first.
    """
    data = _splits(config, folder)
    recorded = data_record.read(folder)
    if recorded is not None:
        data_record.check_unchanged(recorded, data.info, config.dataset)
    train, validation, test = limited(data.train, config), data.validation, limited(data.test, config)
    if config.validation > 0:
        if validation is not None:
            raise ConfigError(f"validation {config.validation}: {config.dataset} has a validation part of its own")
        held_out = round(len(train) * config.validation)
        if not 0 < held_out < len(train):
            raise ConfigError(
                f"validation {config.validation} of {len(train)} training samples leaves an empty part; "
                "choose another share"
            )
        train, validation = random_split(train, [len(train) - held_out, held_out], seed=config.seed)
    return dataclasses.replace(data, train=train, validation=validation, test=test)


def data_info(config: Config, folder: Path | None = None) -> Any:
    """What is known of the data set: what a run folder says of it, else one of the user's own is made for it."""
    recorded = data_record.read(folder)
    if recorded is not None:
        return recorded
    if is_function(config.dataset):
        return _splits(config, folder).info
    info = datasets.dataset_info(config.dataset, config.image_size)
    return info if isinstance(info, datasets.DatasetInfo) else _splits(config, folder).info


def _splits(config: Config, folder: Path | None) -> Data:
    if is_function(config.dataset):
        function = own_function("dataset", config.dataset, folder)
        offered = {"data_dir": config.data_dir, "seed": config.seed}
        made = call_own("dataset", config.dataset, function, offered, config.dataset_options)
        return Data(*own_splits(config.dataset, made, config.loss))
    if config.dataset_options:
        raise ConfigError(f"dataset_options are for a data set of your own (file.py:make), not for {config.dataset}")
    options = {}
    if datasets.is_own(config.dataset):
        options = {"image_size": config.image_size, "skip_corrupt": config.skip_corrupt}
    elif config.image_size:
        raise ConfigError(f"image_size is for folders of pictures; those of {config.dataset} keep their size")
    elif isinstance(datasets.dataset_info(config.dataset), datasets.TextInfo):  # series of numbers
        series = datasets.load(config.dataset, length=config.sequence_length)
        return Data(*own_splits(config.dataset, (series.train, series.validation, series.test)))
    splits = datasets.load(config.dataset, data_dir=config.data_dir or None, **options)
    return Data(splits.train, None, splits.test, splits.info, splits.skipped)


def limited(part: Any, config: Config) -> Any:
    """As many samples of a part as ``limit`` says, picked by the seed."""
    if not 0 < config.limit < len(part):
        return part
    return random_split(part, [config.limit, len(part) - config.limit], seed=config.seed)[0]


def _class_weights(config: Config, data: Data) -> np.ndarray | None:
    """The weight of each class, or None."""
    if not len(config.class_weights):
        return None
    classes = len(data.info.classes)
    if not classes:
        raise ConfigError(f"class_weights need classes, but the targets of {config.dataset} are numbers")
    if config.class_weights == BALANCED:
        try:
            return balancing_weights(targets_of(data.train), classes)
        except ValueError as error:
            raise ConfigError(f"class_weights balanced: {error}") from None
    if len(config.class_weights) != classes:
        raise ConfigError(
            f"class_weights needs a weight for each of {classes} classes, not {len(config.class_weights)}"
        )
    return np.array(config.class_weights)


def training_loader(config: Config, data: Data) -> DataLoader:
    """The batches of training, augmented and normalised: each sample once an epoch, or drawn by weights of classes."""
    if config.batch_size > len(data.train):
        have = f"({len(data.train)} samples)"
        raise ConfigError(f"batch_size {config.batch_size} is larger than the training data {have}")
    order: dict[str, Any] = {"batch_size": config.batch_size, "seed": config.seed}
    weights = _class_weights(config, data)
    if weights is None or config.weights_act == "loss":
        order["shuffle"] = True
    else:
        order["sampler"] = WeightedRandomSampler(weights[targets_of(data.train)], len(data.train), seed=config.seed)
    if not _holds_bytes(data.train):
        if config.augment:
            raise ConfigError(f"augment {config.augment}: {config.dataset} holds no pictures of bytes")
        return DataLoader(data.train, **order)
    steps = parse_augmentations(config.augment, data.info.augment)
    transform = Augment(steps, Normalise(data.info.mean, data.info.std), config.seed)
    transform.check(data.info.shape)
    return DataLoader(data.train.as_bytes(), **order, prefetch=2, transform=transform)


def _holds_bytes(dataset: Any) -> bool:
    """Whether samples can be had as bytes, to be augmented."""
    return _holds_bytes(dataset.dataset) if isinstance(dataset, Subset) else hasattr(dataset, "as_bytes")


def build_objective(config: Config, data: Data) -> Objective:
    """The loss of the config."""
    if config.loss == "cross_entropy" and not data.info.classes:
        raise ConfigError(
            f"the loss cross_entropy needs classes, but the targets of {config.dataset} are numbers; "
            "use mse, l1, smooth_l1 or huber, or bce for targets from 0 to 1"
        )
    weights = _class_weights(config, data) if config.weights_act == "loss" else None
    return Objective(config.loss, config.label_smoothing, () if weights is None else weights)


# --- model, optimiser, callbacks -------------------------------------------------------------------------------------
def outputs_of(info: Any) -> int:
    """How many numbers a model gives for a sample of a data set."""
    return info.outputs if isinstance(info, OwnInfo) else len(info.classes)


def build_model(config: Config, info: Any, folder: Path | None = None) -> Module:
    """The model of the config, made for the inputs and classes of a data set, with the seed's initial weights."""
    outputs = outputs_of(info)
    is_own = is_function(config.model)
    if not is_own and models.model_info(config.model).kind == "series":
        arguments = _series_arguments(config, info, outputs)
    else:
        arguments = _picture_arguments(info, outputs)
    numbanet.manual_seed(config.seed)
    if is_own:
        offered = {**arguments, "input_shape": tuple(info.shape)}
        function = own_function("model", config.model, folder)
        model = call_own("model", config.model, function, offered, config.model_options)
        if not isinstance(model, Module):
            raise ConfigError(f"model {config.model}: it must return an nn.Module, not {type(model).__name__}")
        if "_modules" not in vars(model):
            raise ConfigError(f"model {config.model}: {type(model).__name__}.__init__ must call super().__init__()")
        return model
    for name, value in arguments.items():
        if config.model_options.get(name, value) not in (value, list(info.shape[1:])):
            raise ConfigError(
                f"model option {name}={config.model_options[name]} contradicts {config.dataset}, whose "
                f"{'pictures' if len(info.shape) == 3 else 'inputs'} are {'x'.join(map(str, info.shape))} in "
                f"{f'{len(info.classes)} classes' if info.classes else f'{outputs} numbers'}; leave it out"
            )
    try:
        return models.create_model(config.model, **{**arguments, **config.model_options})
    except (TypeError, ValueError) as error:
        raise ConfigError(f"the model {config.model} cannot be made for {config.dataset}: {error}") from None


def _picture_arguments(info: Any, outputs: int) -> dict[str, Any]:
    """What fits a network for pictures to them; other inputs are pictures of one pixel with many channels."""
    if len(info.shape) != 3:
        return {"num_classes": outputs, "in_channels": math.prod(info.shape), "image_size": 1}
    channels, height, width = info.shape
    return {
        "num_classes": outputs,
        "in_channels": channels,
        "image_size": height if height == width else (height, width),
    }


def _series_arguments(config: Config, info: Any, outputs: int) -> dict[str, Any]:
    """What fits a network for series to them; ConfigError for inputs that are none."""
    if len(info.shape) != 2:
        raise ConfigError(
            f"model {config.model} takes series (length, numbers a step), but an input of {config.dataset} is "
            f"{'x'.join(map(str, info.shape))}"
        )
    length, size = info.shape
    return {"input_size": size, "num_outputs": outputs, "length": length}


def build_optimizer(config: Config, model: Module) -> optim.Optimizer:
    """The optimiser of the config over the parameters of a model."""
    parameters: Any = list(model.parameters())
    if not parameters:
        raise ConfigError(f"the model {config.model} has no parameters, so there is nothing to train")
    if not config.decay_all and config.weight_decay:
        parameters = optim.decay_groups(model.named_parameters(), config.weight_decay)
    options: dict[str, Any] = {"lr": config.lr, "weight_decay": config.weight_decay}
    if config.optimizer == "sgd":
        return optim.SGD(parameters, momentum=config.momentum, nesterov=config.nesterov, **options)
    options["eps"] = config.eps
    if config.optimizer == "rmsprop":
        return optim.RMSprop(
            parameters,
            alpha=config.alpha,
            momentum=config.momentum,
            centered=config.centered,
            eps_inside_sqrt=config.eps_inside_sqrt,
            **options,
        )
    kind = optim.Adam if config.optimizer == "adam" else optim.AdamW
    return kind(parameters, betas=(config.beta1, config.beta2), **options)


def build_callbacks(config: Config, folder: Path | None = None) -> list[Callback]:
    """The user's callbacks that the config names."""
    found = []
    for number, name in enumerate(config.callbacks):
        if not is_function(name):
            raise ConfigError(f"callbacks are functions in a file, file.py:make, not {name!r}")
        kind = f"callback-{number}"
        callback = call_own(kind, name, own_function(kind, name, folder), {}, {})
        if not isinstance(callback, Callback):
            raise ConfigError(f"callback {name}: it must return a training.Callback, not {type(callback).__name__}")
        found.append(callback)
    return found
