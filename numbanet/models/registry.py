"""Models by name."""

from __future__ import annotations

import difflib
import fnmatch
import inspect
import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from numbanet.nn import Module

KINDS = ("pictures", "language", "translation", "text classes", "series")
"""What networks work on: pictures; token numbers, whose next one they give; pairs of texts; texts that have classes;
series of numbers."""


@dataclass(frozen=True)
class ModelInfo:
    """What is known of a registered model without building it.

    ``input_shape`` is that of one sample, ``parameters`` the number of learned values, ``flops`` the floating-point
    operations of a forward pass of one sample in convolutions and products, 2 a multiply-add (papers on pictures count
    it as 1), all for the default ``options``; ``source`` is where the network was published. ``kind`` says what it
    works on: one of KINDS.
    """

    name: str
    source: str
    input_shape: tuple[int, ...]
    parameters: int
    flops: int
    options: dict[str, Any]
    doc: str
    build: Callable[..., Module]
    kind: str = "pictures"

    @property
    def summary(self) -> str:
        """The first line of the docstring."""
        return self.doc.partition("\n")[0]


_MODELS: dict[str, ModelInfo] = {}


def register_model(
    *, source: str, input_shape: tuple[int, ...], parameters: int, flops: int, kind: str = "pictures"
) -> Callable[[Callable], Callable]:
    """Decorator that enters a function which builds a model under the function's name.

    A network for pictures takes ``num_classes``, ``in_channels`` and ``image_size``, so that it can be fitted to any
    data set of pictures; one for text takes ``vocab_size`` (translation: ``source_vocab_size`` and
    ``target_vocab_size``), and classes also ``num_classes``; one for series ``input_size`` and ``num_outputs``. The
    figures are written behind the function's docstring; the tests hold them to what is built.
    """
    if kind not in KINDS:
        raise ValueError(f"unknown kind {kind!r} of model; there are: {', '.join(KINDS)}")

    def enter(build: Callable[..., Module]) -> Callable[..., Module]:
        name = build.__name__
        if name in _MODELS:
            raise ValueError(f"a model named {name!r} is already registered")
        doc = inspect.getdoc(build)
        if not doc:
            raise ValueError(f"model {name!r} needs a docstring")
        options = {option.name: option.default for option in inspect.signature(build).parameters.values()}
        shape = "×".join(map(str, input_shape))
        figures = f"Input {shape}, {parameters:,} parameters, {flops:,} FLOPs (2 a multiply-add)."
        build.__doc__ = f"{doc}\n\n{figures}\nSource: {source}."
        _MODELS[name] = ModelInfo(name, source, tuple(input_shape), parameters, flops, options, doc, build, kind)
        return build

    return enter


def list_models(pattern: str = "*") -> list[str]:
    """The names of the registered models that match a shell pattern ("resnet*"), sorted, numbers by their value."""
    return sorted((name for name in _MODELS if fnmatch.fnmatchcase(name, pattern)), key=_natural)


def model_info(name: str) -> ModelInfo:
    """What is known of a model. Raises ValueError for an unknown name, with the nearest known one."""
    if name not in _MODELS:
        raise ValueError(f"unknown model {name!r}{_hint(name, _MODELS)}; there are: {', '.join(list_models())}")
    return _MODELS[name]


def create_model(name: str, **options: Any) -> Module:
    """Build a registered model, its weights drawn from the initialisation stream (``numbanet.manual_seed``).

    Raises ValueError for an unknown name and TypeError for an option that the model does not have.
    """
    info = model_info(name)
    for option in options:
        if option not in info.options:
            raise TypeError(
                f"model {name!r} has no option {option!r}{_hint(option, info.options)}; "
                f"it takes: {', '.join(info.options)}"
            )
    return info.build(**options)


def _natural(name: str) -> list[tuple[str, int]]:
    return [(letters, int(digits or 0)) for letters, digits in re.findall(r"(\D*)(\d*)", name)]


def _hint(word: str, known: dict[str, Any]) -> str:
    near = difflib.get_close_matches(str(word).lower(), known, n=1)
    return f", did you mean {near[0]!r}?" if near else ""
