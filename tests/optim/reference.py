"""The optimisers once more, as their papers' formulas in float64 NumPy, one parameter at a time."""

from __future__ import annotations

import numpy as np


class SGD:
    def __init__(self, lr=1e-3, momentum=0.0, dampening=0.0, weight_decay=0.0, nesterov=False) -> None:
        self.lr, self.momentum, self.dampening = lr, momentum, dampening
        self.weight_decay, self.nesterov = weight_decay, nesterov
        self.velocity = None

    def step(self, theta: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        g = gradient + self.weight_decay * theta
        if self.momentum:
            if self.velocity is None:
                self.velocity = g
            else:
                self.velocity = self.momentum * self.velocity + (1 - self.dampening) * g
            g = g + self.momentum * self.velocity if self.nesterov else self.velocity
        return theta - self.lr * g


class RMSprop:
    def __init__(
        self, lr=1e-2, alpha=0.99, eps=None, weight_decay=0.0, momentum=0.0, centered=False, eps_inside_sqrt=False
    ) -> None:
        self.lr, self.alpha, self.weight_decay, self.momentum = lr, alpha, weight_decay, momentum
        self.centered, self.inside = centered, eps_inside_sqrt
        self.eps = (1e-16 if eps_inside_sqrt else 1e-8) if eps is None else eps
        self.s, self.c, self.b = 0.0, 0.0, 0.0

    def step(self, theta: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        g = gradient + self.weight_decay * theta
        self.s = self.alpha * self.s + (1 - self.alpha) * g**2
        self.c = self.alpha * self.c + (1 - self.alpha) * g
        variance = self.s - self.c**2 if self.centered else self.s
        self.b = self.momentum * self.b + g / (
            np.sqrt(variance + self.eps) if self.inside else np.sqrt(variance) + self.eps
        )
        return theta - self.lr * self.b


class Adam:
    decoupled = False

    def __init__(self, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=0.0) -> None:
        self.lr, self.betas, self.eps, self.weight_decay = lr, betas, eps, weight_decay
        self.t, self.m, self.v = 0, 0.0, 0.0

    def step(self, theta: np.ndarray, gradient: np.ndarray) -> np.ndarray:
        b1, b2 = self.betas
        g = gradient if self.decoupled else gradient + self.weight_decay * theta
        self.t += 1
        self.m = b1 * self.m + (1 - b1) * g
        self.v = b2 * self.v + (1 - b2) * g**2
        step = (self.m / (1 - b1**self.t)) / (np.sqrt(self.v / (1 - b2**self.t)) + self.eps)
        if self.decoupled:
            step = step + self.weight_decay * theta
        return theta - self.lr * step


class AdamW(Adam):
    decoupled = True

    def __init__(self, lr=1e-3, betas=(0.9, 0.999), eps=1e-8, weight_decay=1e-2) -> None:
        super().__init__(lr, betas, eps, weight_decay)
