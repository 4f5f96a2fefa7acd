"""A network's layers in numbers: output shapes, parameters, operations, receptive fields (LECTURE row L7)."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, NamedTuple

import numpy as np

from numbanet import autograd
from numbanet.creation import ones, zeros
from numbanet.kernels.backend import load_backend
from numbanet.models.registry import ModelInfo
from numbanet.nn import Module
from numbanet.ops.attention import Attention
from numbanet.ops.base import INT64
from numbanet.ops.conv import Conv2d
from numbanet.ops.conv_pool import Conv2dMaxPool
from numbanet.ops.local import LocallyConnected2d
from numbanet.ops.matmul import Linear, MatMul
from numbanet.ops.pool import AdaptiveAvgPool2d, AdaptiveMaxPool2d, AvgPool2d, MaxPool2d
from numbanet.ops.recurrent import Recurrent
from numbanet.ops.shape import Slice
from numbanet.tensor import Tensor


class Field(NamedTuple):
    """What a position of a picture (n, c, h, w) sees: a window of ``size`` pixels, ``step`` from the next one's."""

    size: tuple[float, float] = (1, 1)
    step: tuple[float, float] = (1, 1)

    def through(self, kernel: Sequence[float], stride: Sequence[float], dilation: Sequence[float] = (1, 1)) -> Field:
        """What a position sees behind a window: size + dilation · (kernel − 1) · step; step · stride."""
        sizes = (s + d * (k - 1) * j for s, j, k, d in zip(self.size, self.step, kernel, dilation, strict=True))
        return Field(tuple(sizes), tuple(j * s for j, s in zip(self.step, stride, strict=True)))

    def beside(self, other: Field) -> Field:
        """Where two branches meet: the larger of each."""
        return Field(tuple(map(max, self.size, other.size)), tuple(map(max, self.step, other.step)))


WHOLE = Field((math.inf, math.inf), (math.inf, math.inf))
"""Of what has no positions any more, such as the output of a fully connected layer."""


@dataclass
class LayerSummary:
    """One layer: its dotted name, class, the shape of a sample's output, its parameters, its floating-point operations
    for one sample (2 a multiply-add, of convolutions and products only), and its receptive field (height, width) in
    pixels: None for what sees the whole picture."""

    name: str
    kind: str
    output_shape: tuple[int, ...] = ()
    parameters: int = 0
    flops: int = 0
    receptive_field: tuple[int, int] | None = None


@dataclass
class _Trace:
    """What is known on the way: the layers so far, those being called, and the receptive field of each tensor."""

    layers: list[LayerSummary] = field(default_factory=list)
    calls: list[LayerSummary] = field(default_factory=list)
    fields: dict[int, tuple[Tensor, Field]] = field(default_factory=dict)  # the tensor, so that no other gets its id

    def enter(self, name: str, module: Module) -> None:
        parameters = sum(parameter.numel() for parameter in module.parameters(recurse=False))
        self.calls.append(LayerSummary(name, type(module).__name__, parameters=parameters))

    def leave(self, output: Any, is_leaf: bool) -> None:
        layer = self.calls.pop()
        output = output[0] if isinstance(output, tuple) else output
        if isinstance(output, Tensor):
            layer.output_shape = tuple(output.shape[1:])
            size = self.fields.get(id(output), (output, WHOLE))[1].size
            layer.receptive_field = None if size[0] == math.inf else (math.ceil(size[0]), math.ceil(size[1]))
        if (is_leaf and layer.kind != "Identity") or layer.parameters or layer.flops:
            self.layers.append(layer)

    def record(self, op: Any, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> None:
        """One op: its operations are those of the innermost layer; its outputs see what its inputs see, and around."""
        if self.calls:
            self.calls[-1].flops += flops_of(op, inputs, outputs)
        known = [self.fields[id(tensor)][1] for tensor in inputs if id(tensor) in self.fields]
        if not known:
            return
        seen = known[0]
        for other in known[1:]:
            seen = seen.beside(other)
        for output in outputs:
            self.fields[id(output)] = (output, _behind(op, seen, inputs, output))


def summarise(model: Module, *samples: Tensor | Sequence[int]) -> list[LayerSummary]:
    """The layers of ``model`` in the order in which they are called on one sample.

    ``samples`` are what ``model`` is called with: the shapes of floats without the batch axis, or batches of one.

    Layers are modules without modules in them but ``Identity``, and those with parameters or products of their own. One
    that is called twice is there twice, its parameters counted once. The kernels of the cpu back end do not run.
    Statistics of a norm are not counted as seeing the picture. Raises what ``model`` raises for such a sample.
    """
    trace = _Trace()
    training = model.training
    inputs = [sample if isinstance(sample, Tensor) else zeros(1, *sample) for sample in samples]
    for sample in inputs:
        if sample.ndim == 4:
            trace.fields[id(sample)] = (sample, Field())
    with _watched(model, trace), _idle(inputs[0]), autograd.no_grad():
        model.eval()
        try:
            model(*inputs)
        finally:
            model.train(training)
    seen: set[str] = set()
    for layer in trace.layers:
        layer.parameters = 0 if layer.name in seen else layer.parameters
        seen.add(layer.name)
    return trace.layers


def example(info: ModelInfo, options: Mapping[str, Any]) -> tuple[Tensor | tuple[int, ...], ...]:
    """What a registered model that was built with ``options`` is called with, for :func:`summarise`.

    Pictures have the size and channels of the options, texts and series the length of ``info.input_shape``.
    """
    if info.kind == "series":
        return ((info.input_shape[0], options["input_size"]),)
    if info.kind != "pictures":
        texts = 2 if info.kind == "translation" else 1
        return (ones(1, *info.input_shape, dtype=INT64),) * texts
    size = options["image_size"]
    return ((options["in_channels"], *(size if isinstance(size, (list, tuple)) else (size, size))),)


@contextlib.contextmanager
def _watched(model: Module, trace: _Trace) -> Iterator[None]:
    """Hooks on all modules, and the recorder of ops."""
    handles = []
    for name, module in model.named_modules():
        is_leaf = not any(True for _ in module.children())
        handles.append(module.register_forward_pre_hook(lambda m, args, name=name: trace.enter(name, m)))
        handles.append(module.register_forward_hook(lambda m, args, out, leaf=is_leaf: trace.leave(out, leaf)))
    before = autograd.set_recorder(trace.record)
    try:
        yield
    finally:
        autograd.set_recorder(before)
        for handle in handles:
            handle.remove()


def _idle(sample: Tensor) -> contextlib.AbstractContextManager:
    """Where the back end can, nothing is computed: shapes are all that is asked for."""
    backend = load_backend(sample.backend)
    return backend.recording() if hasattr(backend, "recording") else contextlib.nullcontext()


def flops_of(op: Any, inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> int:
    """2 a multiply-add of convolutions, locally connected and recurrent layers, products and attention (masked or not),
    else 0."""
    if isinstance(op, Conv2dMaxPool):
        conv = op.conv.output_shape(inputs[0].shape, inputs[1].shape)
        return 2 * math.prod(conv) * math.prod(inputs[1].shape[1:])
    if isinstance(op, Conv2d):
        terms = math.prod(inputs[1].shape[1:])
    elif isinstance(op, LocallyConnected2d):
        terms = inputs[1].shape[1]
    elif isinstance(op, (Linear, MatMul)):
        terms = inputs[0].shape[-1]
    elif isinstance(op, Recurrent):
        hidden = outputs[0].shape[-1]
        terms = inputs[1].shape[0] // hidden * (inputs[0].shape[-1] + hidden)
    elif isinstance(op, Attention):
        keys = inputs[0 if op.packing == 1 else 1].shape[1]
        return 2 * keys * (outputs[0].numel() // outputs[0].shape[-1]) * (inputs[0].shape[-1] + outputs[0].shape[-1])
    else:
        return 0
    return 2 * outputs[0].numel() * terms


def _behind(op: Any, seen: Field, inputs: Sequence[Tensor], output: Tensor) -> Field:
    """The field of an output of ``op``, whose inputs see ``seen``."""
    before = inputs[0].shape
    if output.ndim != 4 or len(before) != 4:
        return WHOLE
    if isinstance(op, Conv2dMaxPool):
        conv = seen.through(inputs[1].shape[2:], op.conv.stride, op.conv.dilation)
        return conv.through(op.pool.kernel, op.pool.stride, op.pool.dilation)
    if isinstance(op, Conv2d):
        return seen.through(inputs[1].shape[2:], op.stride, op.dilation)
    if isinstance(op, (AdaptiveAvgPool2d, AdaptiveMaxPool2d)):
        ratios = np.divide(before[2:], output.shape[2:])
        return seen.through(np.ceil(ratios).tolist(), ratios.tolist())
    if isinstance(op, (MaxPool2d, AvgPool2d, LocallyConnected2d)):
        return seen.through(op.kernel, op.stride, getattr(op, "dilation", (1, 1)))
    if isinstance(op, Slice):
        steps = [part.step if isinstance(part, slice) else 1 for part in op.index[-2:]]
        return seen.through((1, 1), steps)
    return seen
