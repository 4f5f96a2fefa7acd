"""From a Config to the things it names: data, model, optimiser."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

import numbanet
from numbanet import datasets, models, optim
from numbanet.data import Augment, DataLoader, Normalise, Subset, parse_augmentations, random_split
from numbanet.nn import Module
from numbanet.training.config import AUTO, Config
from numbanet.training.errors import ConfigError, unknown_name


@dataclass(frozen=True)
class Data:
    """The parts of a data set that a run uses; ``validation`` is None unless some training data are held out."""

    train: Any
    validation: Any | None
    test: Any
    info: Any
    skipped: tuple[Any, ...] = ()


def check_names(config: Config) -> None:
    """Raise :class:`ConfigError` when there is no such model or data set."""
    if config.model not in models.list_models():
        raise ConfigError(unknown_name("model", config.model, models.list_models()))
    if not datasets.is_dataset(config.dataset):
        raise ConfigError(unknown_name("data set", config.dataset, datasets.list_datasets()))
    if models.model_info(config.model).kind != "pictures":
        raise ConfigError(f"model {config.model!r} works on text, but data set {config.dataset!r} holds pictures")


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


def load_data(config: Config) -> Data:
    """Read the data set and take the parts of it that the config asks for, by the seed."""
    splits = _load(config)
    train, test = (_limited(part, config) for part in (splits.train, splits.test))
    validation = None
    if config.validation > 0:
        held_out = round(len(train) * config.validation)
        if not 0 < held_out < len(train):
            raise ConfigError(
                f"validation {config.validation} of {len(train)} training samples leaves an empty part; "
                "choose another share"
            )
        train, validation = random_split(train, [len(train) - held_out, held_out], seed=config.seed)
    if config.batch_size > len(train):
        raise ConfigError(f"batch_size {config.batch_size} is larger than the training data ({len(train)} samples)")
    return Data(train, validation, test, splits.info, splits.skipped)


def data_info(config: Config) -> Any:
    """What is known about the data set of the config."""
    return datasets.dataset_info(config.dataset, config.image_size)


def _load(config: Config) -> Any:
    options = {}
    if datasets.is_own(config.dataset):
        options = {"image_size": config.image_size, "skip_corrupt": config.skip_corrupt}
    elif config.image_size:
        raise ConfigError(f"image_size is for folders of pictures; those of {config.dataset} keep their size")
    return datasets.load(config.dataset, data_dir=config.data_dir or None, **options)


def training_loader(config: Config, data: Data) -> DataLoader:
    """The training data in batches, shuffled, augmented and normalised."""
    shuffled = {"batch_size": config.batch_size, "shuffle": True, "seed": config.seed}
    if not hasattr(data.train, "as_bytes"):
        if config.augment:
            raise ConfigError(f"augment {config.augment}: {config.dataset} holds no pictures of bytes")
        return DataLoader(data.train, **shuffled)
    steps = parse_augmentations(config.augment, data.info.augment)
    transform = Augment(steps, Normalise(data.info.mean, data.info.std), config.seed)
    transform.check(data.info.shape)
    return DataLoader(data.train.as_bytes(), **shuffled, prefetch=2, transform=transform)


def load_test_data(config: Config) -> Any:
    """The test part alone, as :func:`load_data` takes it."""
    return _limited(_load(config).test, config)


def _limited(part: Any, config: Config) -> Subset:
    if not 0 < config.limit < len(part):
        return part
    return random_split(part, [config.limit, len(part) - config.limit], seed=config.seed)[0]


def build_model(config: Config, info: Any) -> Module:
    """The model of the config, made for the pictures and classes of a data set, with the seed's initial weights."""
    channels, height, width = info.shape
    size = height if height == width else (height, width)
    arguments = {"num_classes": len(info.classes), "in_channels": channels, "image_size": size}
    for name, value in arguments.items():
        if config.model_options.get(name, value) not in (value, list(info.shape[1:])):
            raise ConfigError(
                f"model option {name}={config.model_options[name]} contradicts {config.dataset}, whose pictures are "
                f"{channels}x{height}x{width} in {len(info.classes)} classes; leave it out"
            )
    numbanet.manual_seed(config.seed)
    try:
        return models.create_model(config.model, **{**arguments, **config.model_options})
    except (TypeError, ValueError) as error:
        raise ConfigError(f"the model {config.model} cannot be made for {config.dataset}: {error}") from None


def build_optimizer(config: Config, parameters: Iterable[Any]) -> Any:
    """The optimiser of the config over ``parameters``."""
    if config.optimizer == "sgd":
        return optim.SGD(
            parameters,
            lr=config.lr,
            momentum=config.momentum,
            weight_decay=config.weight_decay,
            nesterov=config.nesterov,
        )
    kind = optim.Adam if config.optimizer == "adam" else optim.AdamW
    betas = (config.beta1, config.beta2)
    return kind(parameters, lr=config.lr, betas=betas, eps=config.eps, weight_decay=config.weight_decay)
