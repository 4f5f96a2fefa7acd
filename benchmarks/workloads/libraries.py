"""The two libraries behind one face. Their names are the same, so a workload is written once for both.

What differs is here: how a tensor is made of an array, PyTorch's memory formats, and what its users do to make it fast
(``inference_mode``, fused optimisers, activations in place).
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager

import numpy as np

FUSED = ("SGD", "Adam", "AdamW")
"""PyTorch's optimisers with a fused kernel on the CPU."""


class Numbanet:
    """numbanet as its users write it."""

    def __init__(self) -> None:
        import numbanet
        from numbanet import nn, optim

        self.module, self.nn, self.functional, self._optim = numbanet, nn, nn.functional, optim

    def tensor(self, array: np.ndarray, requires_grad: bool = False) -> object:
        tensor = self.module.tensor(array)
        return tensor.requires_grad_() if requires_grad else tensor

    def inference(self) -> AbstractContextManager:
        return self.module.no_grad()

    def gradients(self, output: object, inputs: list, incoming: object) -> object:
        return self.module.autograd.grad(output, inputs, incoming, retain_graph=True)

    def normal_like(self, output: object) -> object:
        return self.tensor(normal(output.shape, seed=1))

    def optimizer(self, name: str, parameters: list, **options: float) -> object:
        return getattr(self._optim, name)(parameters, **options)

    def prepare(self, model: object) -> object:
        return model

    def network(self, name: str, options: dict[str, object], twin: Callable[[], object]) -> object:
        """A registered model, or else its twin."""
        return self.module.models.create_model(name, **options)

    def self_attention(self, width: int, heads: int) -> object:
        """Causal self-attention as a layer."""
        nn = self.nn

        class SelfAttention(nn.MultiheadAttention):
            def forward(self, x: object) -> object:
                return super().forward(x, x, x, need_weights=False, is_causal=True)[0]

        return SelfAttention(width, heads, batch_first=True)

    def causal_transformer(self, transformer: object, source: object, target: object) -> object:
        """The output of an ``nn.Transformer`` whose decoder does not see later tokens."""
        return transformer(source, target, tgt_is_causal=True)


class Torch:
    """PyTorch as its users write it when they want it fast."""

    def __init__(self, channels_last: bool = False) -> None:
        import torch
        from torch import nn

        self.module, self.nn, self.functional = torch, nn, nn.functional
        self._format = torch.channels_last if channels_last else torch.contiguous_format

    def tensor(self, array: np.ndarray, requires_grad: bool = False) -> object:
        tensor = self.module.from_numpy(array.copy())
        if tensor.ndim == 4:
            tensor = tensor.contiguous(memory_format=self._format)
        return tensor.requires_grad_(requires_grad)

    def inference(self) -> AbstractContextManager:
        return self.module.inference_mode()

    def gradients(self, output: object, inputs: list, incoming: object) -> object:
        return self.module.autograd.grad(output, inputs, incoming, retain_graph=True)

    def normal_like(self, output: object) -> object:
        """Normal numbers in the output's memory format, as the gradient of a training step comes."""
        return self.module.empty_like(output).copy_(self.module.from_numpy(normal(tuple(output.shape), seed=1)))

    def optimizer(self, name: str, parameters: list, **options: float) -> object:
        fused = {"fused": True} if name in FUSED else {}
        return getattr(self.module.optim, name)(parameters, **options, **fused)

    def prepare(self, model: object) -> object:
        return model.to(memory_format=self._format)

    def network(self, name: str, options: dict[str, object], twin: Callable[[], object]) -> object:
        return twin()

    def self_attention(self, width: int, heads: int) -> object:
        nn, functional = self.nn, self.functional

        class SelfAttention(nn.Module):
            def __init__(self) -> None:
                super().__init__()
                self.in_proj, self.out_proj = nn.Linear(width, 3 * width), nn.Linear(width, width)

            def forward(self, x: object) -> object:
                batch, tokens, _ = x.shape
                parts = [
                    part.view(batch, tokens, heads, width // heads).transpose(1, 2)
                    for part in self.in_proj(x).split(width, dim=2)
                ]
                y = functional.scaled_dot_product_attention(*parts, is_causal=True)
                return self.out_proj(y.transpose(1, 2).contiguous().view(batch, tokens, width))

        return SelfAttention()

    def causal_transformer(self, transformer: object, source: object, target: object) -> object:
        mask = transformer.generate_square_subsequent_mask(target.shape[1])
        return transformer(source, target, tgt_mask=mask, tgt_is_causal=True)


def normal(shape: tuple[int, ...], seed: int = 0) -> np.ndarray:
    """Standard normal numbers, the same for the same shape and seed."""
    return np.random.default_rng([seed, *shape]).standard_normal(shape, np.float32)


def labels(count: int, classes: int) -> np.ndarray:
    """Class numbers, int64."""
    return np.random.default_rng([count, classes]).integers(0, classes, count)
