"""Optimiser updates, in place, for all parameters of a group."""

from __future__ import annotations

import numpy as np

from numbanet.kernels.numpy.pointwise import quiet


@quiet
def sgd_update(parameters, gradients, momentum_buffers, hyper):
    for i, (parameter, gradient) in enumerate(zip(parameters, gradients, strict=True)):
        lr, momentum, dampening, weight_decay = (parameter.dtype.type(value) for value in hyper[:4])
        nesterov, first = hyper[4] != 0, hyper[5] != 0
        step = gradient
        if weight_decay != 0:
            step = step + weight_decay * parameter
        if momentum_buffers:
            buffer = momentum_buffers[i]
            if first:
                buffer[...] = step
            else:
                buffer *= momentum
                buffer += (1 - dampening) * step
            step = step + momentum * buffer if nesterov else buffer
        parameter -= lr * step


@quiet
def adam_update(parameters, gradients, exp_avgs, exp_avg_sqs, hyper):
    for parameter, gradient, mean, square in zip(parameters, gradients, exp_avgs, exp_avg_sqs, strict=True):
        values = (parameter.dtype.type(value) for value in hyper)
        lr, beta1, beta2, eps, weight_decay, decoupled, correction1, root_correction2 = values
        if decoupled:
            parameter *= 1 - lr * weight_decay
        elif weight_decay != 0:
            gradient = gradient + weight_decay * parameter
        mean *= beta1
        mean += (1 - beta1) * gradient
        square *= beta2
        square += (1 - beta2) * np.square(gradient)
        parameter -= (lr / correction1) * mean / (np.sqrt(square) / root_correction2 + eps)


@quiet
def rmsprop_update(parameters, gradients, square_avgs, momentum_buffers, grad_avgs, hyper):
    for i, (parameter, gradient, square) in enumerate(zip(parameters, gradients, square_avgs, strict=True)):
        lr, alpha, eps, weight_decay, momentum, inside = (parameter.dtype.type(value) for value in hyper)
        if weight_decay != 0:
            gradient = gradient + weight_decay * parameter
        square *= alpha
        square += (1 - alpha) * np.square(gradient)
        variance = square
        if grad_avgs:
            mean = grad_avgs[i]
            mean *= alpha
            mean += (1 - alpha) * gradient
            variance = square - np.square(mean)
            variance = np.where(variance < 0, 0, variance)  # a NaN stays
        step = gradient / (np.sqrt(variance + eps) if inside else np.sqrt(variance) + eps)
        if momentum_buffers:
            buffer = momentum_buffers[i]
            buffer *= momentum
            buffer += step
            step = buffer
        parameter -= lr * step


@quiet
def average_update(averages, values, hyper):
    for average, value in zip(averages, values, strict=True):
        decay = average.dtype.type(hyper[0])
        average *= decay
        average += (1 - decay) * value
