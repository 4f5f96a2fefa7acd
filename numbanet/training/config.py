"""Config: every setting of a training run, with its meaning and its limits, once.

The command line takes its options from these fields, ``config.toml`` its keys and comments, and every ``Config`` that
exists is valid: the constructor refuses anything else with a message that names the setting.
"""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from numbanet.kernels.backend import BACKENDS
from numbanet.training.errors import ConfigError, unknown_name

AUTO = "auto"
OPTIMIZERS = ("sgd", "adam", "adamw")
SCHEDULES = ("constant", "cosine", "linear", "step")

# What may differ when a run is continued: none of them changes what a training step computes.
MAY_CHANGE = ("epochs", "threads", "data_dir")


def setting(
    default: Any,
    help: str,
    *,
    low: float | None = None,
    above: float | None = None,
    high: float | None = None,
    below: float | None = None,
    choices: tuple[str, ...] = (),
) -> Any:
    """A field of :class:`Config`: default, one line of help, and limits (low ≤ value ≤ high, above < value < below)."""
    limits = {"low": low, "above": above, "high": high, "below": below}
    return field(default=default, metadata=_metadata(help, choices, limits))


def _metadata(help: str, choices: tuple[str, ...] = (), limits: Mapping[str, float | None] | None = None) -> dict:
    given = {name: limit for name, limit in (limits or {}).items() if limit is not None}
    return {"help": help, "choices": choices, "limits": given}


@dataclass(frozen=True, kw_only=True)
class Config:
    """All settings of a run. Raises :class:`ConfigError` for a value that a setting cannot have.

    >>> Config(model="lenet5", epochs=0)
    Traceback (most recent call last):
    numbanet.training.errors.ConfigError: epochs must be a whole number, 1 or more, not 0
    """

    model: str = setting("lenet5", "model to train, one of `numbanet models`")
    dataset: str = setting(
        "digits", "data set to train on: one of `numbanet datasets`, a folder of pictures by class, or an .npz file"
    )
    data_dir: str = setting("", "folder with the data; empty: NUMBANET_DATA, else the user's cache")
    image_size: int = setting(0, "side to which the pictures of a folder are brought; 0: they are of one size", low=0)
    skip_corrupt: bool = setting(False, "leave out pictures of a folder that cannot be read, and count them")
    limit: int = setting(0, "use this many training and test samples only, picked by the seed; 0: all", low=0)
    validation: float = setting(
        0.0, "share of the training data held out, by the seed, to pick best.npz", low=0, below=1
    )
    augment: str = setting(
        "", "what is done to the training pictures, such as flip,crop(padding=4); default: what suits the data set"
    )
    epochs: int = setting(10, "passes over the training data", low=1)
    batch_size: int = setting(64, "samples a training step", low=1)
    optimizer: str = setting("sgd", "how weights are updated", choices=OPTIMIZERS)
    lr: float = setting(0.01, "learning rate at its highest", above=0)
    momentum: float = setting(0.9, "momentum of sgd", low=0, below=1)
    nesterov: bool = setting(False, "Nesterov's form of momentum (sgd)")
    beta1: float = setting(0.9, "decay of the first moment (adam, adamw)", low=0, below=1)
    beta2: float = setting(0.999, "decay of the second moment (adam, adamw)", low=0, below=1)
    eps: float = setting(1e-8, "what is added to the divisor (adam, adamw)", above=0)
    weight_decay: float = setting(0.0, "L2 penalty (sgd, adam) or decoupled decay (adamw)", low=0)
    label_smoothing: float = setting(0.0, "share of the target spread over all classes", low=0, below=1)
    schedule: str = setting("cosine", "how the learning rate falls, step by step", choices=SCHEDULES)
    warmup_epochs: float = setting(0.0, "epochs in which the learning rate first rises from near 0", low=0)
    final_lr: float = setting(0.0, "where cosine and linear end, as a share of lr", low=0, high=1)
    decay_epochs: int = setting(10, "epochs between two drops of the step schedule", low=1)
    decay_factor: float = setting(0.1, "factor of each drop of the step schedule", above=0, high=1)
    seed: int = setting(0, "initial weights, order of the samples, dropout", low=0, high=2**63 - 1)
    threads: int | None = setting(None, "threads for the kernels, or auto; the results do not depend on it", low=1)
    backend: str = setting(AUTO, "who computes; auto: cpu where Numba is installed", choices=(AUTO, *BACKENDS))
    eval_batch_size: int = setting(500, "samples a step when evaluating", low=1)
    checkpoint_seconds: float = setting(30.0, "seconds between two checkpoints within an epoch; 0: none", low=0)
    checkpoint_steps: int = setting(0, "steps between two checkpoints within an epoch; 0: none", low=0)
    model_options: dict[str, Any] = field(
        default_factory=dict, metadata=_metadata("arguments of the model, such as activation = 'tanh'")
    )

    def __post_init__(self) -> None:
        for entry in dataclasses.fields(self):
            object.__setattr__(self, entry.name, _checked(entry, getattr(self, entry.name)))
        if self.nesterov and self.optimizer == "sgd" and self.momentum == 0:
            raise ConfigError("nesterov needs a momentum above 0")

    def replace(self, **changes: Any) -> Config:
        """A copy with some settings changed."""
        check_keys(changes)
        return dataclasses.replace(self, **changes)

    def as_dict(self) -> dict[str, Any]:
        """The settings as plain values; ``threads`` is "auto" when it is None."""
        values = dataclasses.asdict(self)
        values["threads"] = AUTO if self.threads is None else self.threads
        return values

    @classmethod
    def from_dict(cls, values: Mapping[str, Any], defaults: Mapping[str, Any] | None = None) -> Config:
        """A Config from plain values over ``defaults`` over the fields' own defaults."""
        merged = {**(defaults or {}), **values}
        check_keys(merged)
        return cls(**merged)


SETTINGS: dict[str, dataclasses.Field] = {entry.name: entry for entry in dataclasses.fields(Config)}


def check_keys(values: Mapping[str, Any]) -> None:
    """Raise :class:`ConfigError` for a name that is no setting."""
    for key in values:
        if key not in SETTINGS:
            raise ConfigError(unknown_name("setting", key, SETTINGS))


def continued(stored: Config, wanted: Mapping[str, Any]) -> Config:
    """The config of a run that goes on: ``stored`` with those of the ``wanted`` settings that may change.

    Raises :class:`ConfigError` that names every other wanted setting whose value differs from the stored one.
    """
    fresh = stored.replace(**wanted)
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


def _checked(entry: dataclasses.Field, value: Any) -> Any:
    """``value`` as the setting's type, or ConfigError."""
    kind, limits, choices = str(entry.type), entry.metadata["limits"], entry.metadata["choices"]
    if kind.startswith("dict"):
        return _checked_options(entry.name, value)
    if kind == "bool":
        if not isinstance(value, bool):
            raise ConfigError(f"{entry.name} must be true or false, not {value!r}")
        return value
    if kind == "str":
        if not isinstance(value, str):
            raise ConfigError(f"{entry.name} must be a text, not {value!r}")
        if choices and value not in choices:
            raise ConfigError(f"{entry.name} must be one of {', '.join(choices)}, not {value!r}")
        return value
    if kind == "int | None" and (value is None or value == AUTO):
        return None
    whole = kind.startswith("int")
    number = isinstance(value, int) if whole else isinstance(value, int | float)
    if isinstance(value, bool) or not number or not _within(value, limits):
        auto = f" or {AUTO}" if kind.endswith("None") else ""
        raise ConfigError(f"{entry.name} must be {_describe(whole, limits)}{auto}, not {value!r}")
    return value if whole else float(value)


def _within(value: float, limits: Mapping[str, float]) -> bool:
    # every comparison with NaN is false, so `not (…)` would let it pass; these forms do not
    tests = {
        "low": lambda limit: value >= limit,
        "above": lambda limit: value > limit,
        "high": lambda limit: value <= limit,
        "below": lambda limit: value < limit,
    }
    return math.isfinite(value) and all(tests[name](limit) for name, limit in limits.items())


def _describe(whole: bool, limits: Mapping[str, float]) -> str:
    words = {"low": "{} or more", "above": "above {}", "high": "{} or less", "below": "below {}"}
    parts = [words[name].format(limit) for name, limit in limits.items()]
    return f"a {'whole' if whole else 'finite'} number, " + " and ".join(parts)


def _checked_options(name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        raise ConfigError(f"{name} must be a table of names and values, not {value!r}")
    options = {}
    for key, item in value.items():
        plain = list(item) if isinstance(item, list | tuple) else item
        for part in plain if isinstance(plain, list) else [plain]:
            if not isinstance(part, bool | int | float | str) or (isinstance(part, float) and not math.isfinite(part)):
                raise ConfigError(f"{name}.{key} must be a text, a finite number, true, false or a list, not {item!r}")
        options[str(key)] = plain
    return options
