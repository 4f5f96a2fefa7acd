"""Optimiser updates and the moving average of weights: one op for all parameters of a group, in place."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar

from numbanet.autograd import apply_mutating
from numbanet.ops.base import Op

if TYPE_CHECKING:
    from numbanet.tensor import Tensor


@dataclass(slots=True, eq=False)
class _Update(Op):
    """Inputs: count parameters, their gradients, then kind after kind of buffers, then the hyperparameters."""

    strided: ClassVar[bool] = True
    differentiable: ClassVar[bool] = False
    hyper_size: ClassVar[int]
    count: int
    buffers: int  # kinds of buffers

    @property
    def mutates(self):
        return (*range(self.count), *range(2 * self.count, (2 + self.buffers) * self.count))

    def split(self, arrays: Sequence) -> list[tuple]:
        return [tuple(arrays[i * self.count : (i + 1) * self.count]) for i in range(2 + self.buffers)]

    def infer(self, *arrays):
        count = self.count
        if len(arrays) != (2 + self.buffers) * count + 1:
            raise RuntimeError(f"{type(self).__name__}: {len(arrays)} tensors for {count} parameters")
        if arrays[-1].shape != (self.hyper_size,):
            raise RuntimeError(
                f"{type(self).__name__} needs {self.hyper_size} hyperparameters, got a tensor of shape "
                f"{arrays[-1].shape}"
            )
        # Lists compare quickly; only what differs is looked at one by one.
        shapes, dtypes = [array.shape for array in arrays[:-1]], [array.dtype for array in arrays[:-1]]
        kinds = 2 + self.buffers
        if shapes != shapes[:count] * kinds or dtypes != dtypes[:count] * kinds:
            self._complain(arrays)
        return ()

    def _complain(self, arrays):
        parameters, *others = self.split(arrays)
        for other in others:
            for parameter, array in zip(parameters, other, strict=True):
                if array.shape != parameter.shape or array.dtype != parameter.dtype:
                    raise RuntimeError(
                        f"{type(self).__name__}: a parameter of shape {parameter.shape} and dtype "
                        f"{parameter.dtype} with a "
                        f"gradient or buffer of shape {array.shape} and dtype {array.dtype}"
                    )


@dataclass(slots=True, eq=False)
class SGDUpdate(_Update):
    """PyTorch's SGD, with hyper (6,): lr, momentum, dampening, weight_decay, nesterov (0/1), first step (0/1).

    g += weight_decay·p; v = g on the first step, else momentum·v + (1 − dampening)·g; g = g + momentum·v if
    nesterov, else v;
    p −= lr·g. buffers is 0 without momentum, else 1."""

    hyper_size: ClassVar[int] = 6

    def forward(self, program, out, *arrays):
        parameters, gradients, *buffers = self.split(arrays)
        program.sgd_update(parameters, gradients, buffers[0] if buffers else (), arrays[-1])


@dataclass(slots=True, eq=False)
class AdamUpdate(_Update):
    """Adam (Kingma, Ba 2015) and AdamW, with hyper (8,): lr, β1, β2, eps, weight_decay, decoupled (0/1), 1 − β1^t,
    √(1 − β2^t).

    decoupled: p −= lr·weight_decay·p, else g += weight_decay·p; m = β1·m + (1 − β1)·g; v = β2·v + (1 − β2)·g²;
    p −= lr / (1 − β1^t) · m / (√v / √(1 − β2^t) + eps)."""

    hyper_size: ClassVar[int] = 8

    def forward(self, program, out, *arrays):
        program.adam_update(*self.split(arrays), arrays[-1])


@dataclass(slots=True, eq=False)
class RMSpropUpdate(_Update):
    """RMSprop (Hinton's lecture 6e), with hyper (6,): lr, alpha, eps, weight_decay, momentum, eps under the root (0/1).

    g += weight_decay·p; s = α·s + (1 − α)·g²; if centered c = α·c + (1 − α)·g and v = max(s − c², 0), else v = s;
    d = √v + eps, or √(v + eps); with momentum b = momentum·b + g/d, else b = g/d; p −= lr·b. The buffers are s, then b
    with momentum, then c if centered."""

    hyper_size: ClassVar[int] = 6
    centered: bool = False

    def forward(self, program, out, *arrays):
        parameters, gradients, squares, *others = self.split(arrays)
        means = others.pop() if self.centered else ()
        program.rmsprop_update(parameters, gradients, squares, others[0] if others else (), means, arrays[-1])


@dataclass(slots=True, eq=False)
class AverageUpdate(_Update):
    """The exponential moving average of weights, a = decay·a + (1 − decay)·v, with hyper (1,): decay.

    The averages stand where other updates have their parameters, the values where those have gradients."""

    hyper_size: ClassVar[int] = 1

    def forward(self, program, out, *arrays):
        program.average_update(*self.split(arrays), arrays[-1])


def sgd_update(
    parameters: Sequence[Tensor], gradients: Sequence[Tensor], momentum_buffers: Sequence[Tensor], hyper: Tensor
) -> None:
    """One step of SGD for all parameters; ``momentum_buffers`` is empty when momentum is 0. See :class:`SGDUpdate`."""
    op = SGDUpdate(len(parameters), 1 if momentum_buffers else 0)
    apply_mutating(op, *parameters, *gradients, *momentum_buffers, hyper)


def adam_update(
    parameters: Sequence[Tensor],
    gradients: Sequence[Tensor],
    exp_avgs: Sequence[Tensor],
    exp_avg_sqs: Sequence[Tensor],
    hyper: Tensor,
) -> None:
    """One step of Adam or AdamW for all parameters. See :class:`AdamUpdate`."""
    apply_mutating(AdamUpdate(len(parameters), 2), *parameters, *gradients, *exp_avgs, *exp_avg_sqs, hyper)


def rmsprop_update(
    parameters: Sequence[Tensor],
    gradients: Sequence[Tensor],
    square_avgs: Sequence[Tensor],
    momentum_buffers: Sequence[Tensor],
    grad_avgs: Sequence[Tensor],
    hyper: Tensor,
) -> None:
    """One step of RMSprop for all parameters; ``momentum_buffers`` and ``grad_avgs`` may be empty. See
    :class:`RMSpropUpdate`."""
    buffers = 1 + bool(momentum_buffers) + bool(grad_avgs)
    op = RMSpropUpdate(len(parameters), buffers, bool(grad_avgs))
    apply_mutating(op, *parameters, *gradients, *square_avgs, *momentum_buffers, *grad_avgs, hyper)


def average_update(averages: Sequence[Tensor], values: Sequence[Tensor], hyper: Tensor) -> None:
    """Move all averages towards the values. See :class:`AverageUpdate`."""
    apply_mutating(AverageUpdate(len(averages), 0), *averages, *values, hyper)
