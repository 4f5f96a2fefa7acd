"""Config: every setting of a training run, with its meaning and its limits, once.

The command line takes its options from these fields, ``config.toml`` its keys and comments, and every ``Config`` that
exists is valid: the constructor refuses anything else with a message that names the setting.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from numbanet.kernels.backend import BACKENDS
from numbanet.training.errors import ConfigError, unknown_name
from numbanet.training.settings import AUTO, checked, described, setting

TOKENIZERS = ("auto", "characters", "words", "spaces", "byte-pairs")
REVERSED = ("none", "source", "target")
OPTIMIZERS = ("sgd", "rmsprop", "adam", "adamw")
SCHEDULES = (
    *("constant", "step", "multistep", "exponential", "polynomial", "linear", "cosine", "inverse_sqrt"),
    *("one_cycle", "plateau"),
)
LOSSES = ("cross_entropy", "bce", "mse", "l1", "smooth_l1", "huber")
BALANCED = "balanced"

# What may differ when a run is continued: none of them changes what a training step computes.
MAY_CHANGE = ("epochs", "threads", "data_dir", "eager", "check_nan")


@dataclass(frozen=True, kw_only=True)
class Config:
    """All settings of a run. Raises :class:`ConfigError` for a value that a setting cannot have.

    Settings that may be "auto" (None) are replaced by what suits the others, so that a run folder tells their value.

    >>> Config(model="lenet5", epochs=0)
    Traceback (most recent call last):
    numbanet.training.errors.ConfigError: epochs must be a whole number, 1 or more, not 0
    """

    model: str = setting("lenet5", "model to train, one of `numbanet models`, or a function: file.py:make")
    dataset: str = setting(
        "digits",
        "data set to train on: one of `numbanet datasets`, a folder of pictures by class, an .npz file, or a function: "
        "file.py:make",
    )
    data_dir: str = setting("", "folder with the data; empty: NUMBANET_DATA, else the user's cache")
    image_size: int = setting(0, "side to which the pictures of a folder are brought; 0: they are of one size", low=0)
    skip_corrupt: bool = setting(False, "leave out pictures of a folder that cannot be read, and count them")
    text: str = setting("", "text file to train a language model on, in the place of a data set")
    pairs: str = setting("", "file with a source, a tab and a target in each line to train a translator on")
    tokenizer: str = setting("auto", "what tokens of a text are; auto: what suits the data set", choices=TOKENIZERS)
    vocabulary: int = setting(10_000, "most tokens of a vocabulary of words or byte pairs", low=2)
    min_count: int = setting(1, "how often a word must come to be in the vocabulary", low=1)
    lower: bool = setting(False, "upper case becomes lower case")
    reverse: str = setting("none", "whose tokens stand in reverse order (translation)", choices=REVERSED)
    sequence_length: int = setting(
        64, "tokens a window of a text, most tokens of a sentence, or steps of a series", low=1
    )
    epoch_steps: int = setting(
        0, "steps an epoch of a language model that draws windows; 0: as many tokens as the text has", low=0
    )
    limit: int = setting(0, "use this many training and test samples only, picked by the seed; 0: all", low=0)
    validation: float = setting(
        0.0, "share of the training data held out, by the seed, to pick best.npz", low=0, below=1
    )
    augment: str = setting(
        "", "what is done to the training pictures, such as flip,crop(padding=4); default: what suits the data set"
    )
    epochs: int = setting(10, "passes over the training data", low=1)
    batch_size: int = setting(64, "samples a training step", low=1)
    accumulate: int = setting(1, "parts of a batch that are computed one by one, their gradients added", low=1)
    loss: str = setting("cross_entropy", "what is minimised", choices=LOSSES)
    label_smoothing: float = setting(0.0, "share of the target spread over all classes", low=0, below=1)
    class_weights: tuple[float, ...] = setting(
        (), "a weight for each class, or balanced: one over its frequency", above=0, choices=(BALANCED,)
    )
    weights_act: str = setting(
        "loss", "class_weights are factors of the loss, or say how often samples are drawn", choices=("loss", "sampler")
    )
    optimizer: str = setting("sgd", "how weights are updated", choices=OPTIMIZERS)
    lr: float | None = setting(None, "learning rate at its highest; auto: 0.01 for sgd, else 0.001", above=0)
    momentum: float | None = setting(None, "momentum (sgd, rmsprop); auto: 0 for rmsprop, else 0.9", low=0, below=1)
    nesterov: bool = setting(False, "Nesterov's form of momentum (sgd)")
    beta1: float = setting(0.9, "decay of the first moment (adam, adamw)", low=0, below=1)
    beta2: float = setting(0.999, "decay of the second moment (adam, adamw)", low=0, below=1)
    alpha: float = setting(0.99, "decay of the mean of squares (rmsprop)", low=0, below=1)
    centered: bool = setting(False, "divide by the standard deviation of the gradient (rmsprop)")
    eps_inside_sqrt: bool = setting(True, "eps stands under the root, as in the lecture, or is added to it (rmsprop)")
    eps: float | None = setting(
        None, "what is added to the divisor (not sgd); auto: 1e-8, or 1e-16 under the root", above=0
    )
    weight_decay: float = setting(0.0, "L2 penalty (sgd, rmsprop, adam) or decoupled decay (adamw)", low=0)
    decay_all: bool = setting(True, "weight decay acts on biases and normalisations too")
    clip_norm: float = setting(0.0, "longest gradient of all parameters together; 0: any", low=0)
    clip_value: float = setting(0.0, "largest element of a gradient; 0: any", low=0)
    ema_decay: float = setting(0.0, "evaluate and keep the moving average of the weights; 0: no", low=0, below=1)
    exact_batchnorm: bool = setting(
        False, "evaluate with batch norm's statistics of the whole training set, not running ones"
    )
    schedule: str = setting("cosine", "how the learning rate falls, step by step", choices=SCHEDULES)
    warmup_epochs: float = setting(0.0, "epochs in which the learning rate first rises from near 0", low=0)
    final_lr: float = setting(
        0.0, "where polynomial, linear, cosine and one_cycle end, as a share of lr", low=0, high=1
    )
    power: float = setting(2.0, "exponent of the polynomial schedule", above=0)
    decay_epochs: int = setting(10, "epochs between two drops of step; those in which exponential drops so far", low=1)
    milestones: tuple[float, ...] = setting(
        (), "epochs at which multistep drops; none: half and three quarters of the epochs", above=0
    )
    patience: int = setting(5, "epochs without a lower loss before plateau drops", low=0)
    decay_factor: float = setting(
        0.1, "factor of each drop of step, multistep, exponential and plateau", above=0, high=1
    )
    early_stopping: int = setting(0, "stop after so many epochs without a lower loss; 0: never", low=0)
    seed: int = setting(0, "initial weights, order of the samples, dropout", low=0, high=2**63 - 1)
    threads: int | None = setting(None, "threads for the kernels, or auto; the results do not depend on it", low=1)
    eager: bool = setting(
        False, "run each step by Python, operation by operation, and replay none; the results are the same"
    )
    check_nan: bool = setting(
        False,
        "end with the name of the first operation that makes a NaN or an infinity; slow, the results are the same",
    )
    backend: str = setting(AUTO, "who computes; auto: cpu where Numba is installed", choices=(AUTO, *BACKENDS))
    eval_batch_size: int = setting(500, "samples a step when evaluating: pictures, series, windows of a text", low=1)
    checkpoint_seconds: float = setting(30.0, "seconds between two checkpoints within an epoch; 0: none", low=0)
    checkpoint_steps: int = setting(0, "steps between two checkpoints within an epoch; 0: none", low=0)
    callbacks: tuple[str, ...] = setting((), "your own functions that make a training.Callback: file.py:make")
    model_options: dict[str, Any] = dataclasses.field(
        default_factory=dict, metadata=described("arguments of the model, such as activation = 'tanh'")
    )
    dataset_options: dict[str, Any] = dataclasses.field(
        default_factory=dict, metadata=described("arguments of a function of your own that makes the data set")
    )

    def __post_init__(self) -> None:
        for entry in dataclasses.fields(self):
            object.__setattr__(self, entry.name, checked(entry, getattr(self, entry.name)))
        for name, value in _suitable(self).items():
            if getattr(self, name) is None:
                object.__setattr__(self, name, value)
        _check_together(self)

    def replace(self, **changes: Any) -> Config:
        """A copy with some settings changed."""
        check_keys(changes)
        return dataclasses.replace(self, **changes)

    def as_dict(self) -> dict[str, Any]:
        """The settings as plain values; ``threads`` is "auto" when it is None."""
        values = dataclasses.asdict(self)
        values["threads"] = AUTO if self.threads is None else self.threads
        return {name: list(value) if isinstance(value, tuple) else value for name, value in values.items()}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], defaults: Mapping[str, Any] | None = None) -> Config:
        """A Config from plain values over ``defaults`` over the fields' own defaults."""
        wanted = merged(defaults or {}, values)
        check_keys(wanted)
        return cls(**wanted)


SETTINGS: dict[str, dataclasses.Field] = {entry.name: entry for entry in dataclasses.fields(Config)}


def check_keys(values: Mapping[str, Any]) -> None:
    """Raise :class:`ConfigError` for a name that is no setting."""
    for key in values:
        if key not in SETTINGS:
            raise ConfigError(unknown_name("setting", key, SETTINGS))


def check_values(values: Mapping[str, Any]) -> None:
    """Raise :class:`ConfigError` for a name that is no setting, or a value that its setting can never have.

    Whether settings go together is checked of all of them, when they are a :class:`Config`."""
    check_keys(values)
    for name, value in values.items():
        checked(SETTINGS[name], value)


USED_BY = {
    "optimizer": {
        "momentum": ("sgd", "rmsprop"),
        "nesterov": ("sgd",),
        "beta1": ("adam", "adamw"),
        "beta2": ("adam", "adamw"),
        "alpha": ("rmsprop",),
        "centered": ("rmsprop",),
        "eps_inside_sqrt": ("rmsprop",),
        "eps": ("rmsprop", "adam", "adamw"),
    },
    "schedule": {
        "final_lr": ("polynomial", "linear", "cosine", "one_cycle"),
        "power": ("polynomial",),
        "decay_epochs": ("step", "exponential"),
        "milestones": ("multistep",),
        "patience": ("plateau",),
        "decay_factor": ("step", "multistep", "exponential", "plateau"),
    },
}
"""Settings that only some optimisers or schedules use, and which."""


def check_used(config: Config, names: Iterable[str]) -> None:
    """Raise :class:`ConfigError` for one of the settings ``names`` that does nothing with the others of ``config``.

    For what a user asks for; a file of settings, above all a run's, tells settings that do nothing as well."""
    plain = Config(optimizer=config.optimizer, schedule=config.schedule)
    for choice, users in USED_BY.items():
        chosen = getattr(config, choice)
        for name in names:
            value = getattr(config, name)
            if chosen not in users.get(name, (chosen,)) and value != getattr(plain, name):
                shown = ",".join(f"{one:g}" for one in value) if isinstance(value, tuple) else value
                raise ConfigError(
                    f"{name} {shown} does nothing with {choice} {chosen}, only with {', '.join(users[name])}"
                )


def merged(*layers: Mapping[str, Any]) -> dict[str, Any]:
    """Settings of which those of later ``layers`` count; of tables (``model_options``) key by key."""
    found: dict[str, Any] = {}
    for layer in layers:
        for name, value in layer.items():
            below = found.get(name)
            are_tables = isinstance(value, Mapping) and isinstance(below, Mapping)
            found[name] = {**below, **value} if are_tables else value
    return found


def continued(stored: Config, wanted: Mapping[str, Any]) -> Config:
    """The config of a run that goes on: ``stored`` with those of the ``wanted`` settings that may change.

    Raises :class:`ConfigError` that names every other wanted setting whose value differs from the stored one.
    """
    check_keys(wanted)
    fresh = Config.from_dict(wanted, stored.as_dict())
    contradictions = []
    for key in wanted:
        asked, kept = getattr(fresh, key), getattr(stored, key)
        if asked != kept and key not in MAY_CHANGE and not (key == "backend" and asked == AUTO):
            contradictions.append(f"{key} is {kept!r} there, not {asked!r}")
    if contradictions:
        raise ConfigError(
            f"this contradicts the run: {'; '.join(contradictions)}. "
            "Leave it out to go on with the run, or start a new one with another --out and without --resume"
        )
    return stored.replace(**{key: wanted[key] for key in MAY_CHANGE if key in wanted})


def _suitable(config: Config) -> dict[str, float]:
    """What settings are that were left to "auto"."""
    is_rmsprop = config.optimizer == "rmsprop"
    return {
        "lr": 0.01 if config.optimizer == "sgd" else 0.001,
        "momentum": 0.0 if is_rmsprop else 0.9,
        "eps": 1e-16 if is_rmsprop and config.eps_inside_sqrt else 1e-8,
    }


def _check_together(config: Config) -> None:
    """Raise :class:`ConfigError` for settings that contradict each other."""
    if config.nesterov and config.optimizer == "sgd" and config.momentum == 0:
        raise ConfigError("nesterov needs a momentum above 0")
    if config.accumulate > config.batch_size:
        raise ConfigError(f"accumulate {config.accumulate} parts need a batch_size of as many, not {config.batch_size}")
    for name, value in (("label_smoothing", config.label_smoothing), ("class_weights", config.class_weights)):
        acts_on_loss = name == "label_smoothing" or config.weights_act == "loss"
        if value and acts_on_loss and config.loss != "cross_entropy":
            raise ConfigError(f"{name} is for the loss cross_entropy, not {config.loss}")
