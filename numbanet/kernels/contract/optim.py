"""Optimiser updates: all parameters of a group in one call."""

from __future__ import annotations

from numbanet.kernels.contract.declaration import declare


@declare(writes=("parameters", "momentum_buffers"))
def sgd_update(parameters: tuple, gradients: tuple, momentum_buffers: tuple, hyper):
    """PyTorch's SGD. hyper (6,): lr, momentum, dampening, weight_decay, nesterov (0/1), first step (0/1).

    g += weight_decay·p; v = g on the first step else momentum·v + (1−dampening)·g; g = g + momentum·v if nesterov
    else v; p −= lr·g. hyper is float32 or float64; momentum_buffers is empty when momentum is 0."""


@declare(writes=("parameters", "exp_avgs", "exp_avg_sqs"))
def adam_update(parameters: tuple, gradients: tuple, exp_avgs: tuple, exp_avg_sqs: tuple, hyper):
    """Adam and AdamW. hyper (8,): lr, beta1, beta2, eps, weight_decay, decoupled (0/1), 1 − beta1^t, sqrt(1 − beta2^t).

    decoupled: p −= lr·weight_decay·p, else g += weight_decay·p; m = β1·m + (1−β1)·g; v = β2·v + (1−β2)·g²;
    p −= (lr / (1−β1^t)) · m / (sqrt(v) / sqrt(1−β2^t) + eps)."""


@declare(writes=("parameters", "square_avgs", "momentum_buffers", "grad_avgs"))
def rmsprop_update(
    parameters: tuple, gradients: tuple, square_avgs: tuple, momentum_buffers: tuple, grad_avgs: tuple, hyper
):
    """RMSprop. hyper (6,): lr, alpha, eps, weight_decay, momentum, eps under the root (0/1).

    g += weight_decay·p; s = α·s + (1−α)·g²; with grad_avgs c = α·c + (1−α)·g and v = max(s − c², 0), else v = s;
    d = sqrt(v) + eps, or sqrt(v + eps); with momentum_buffers b = momentum·b + g/d, else b = g/d; p −= lr·b.
    momentum_buffers and grad_avgs may be empty."""


@declare(writes=("averages",))
def average_update(averages: tuple, values: tuple, hyper):
    """The exponential moving average: a = decay·a + (1 − decay)·v. hyper (1,): decay."""
