"""Weights to and from other libraries: files of named arrays, under the keys that PyTorch gives them.

    >>> interop.save_weights(model.state_dict(), "model.pt", "torch")  # torch.load("model.pt") there
    >>> model.load_state_dict(interop.load_weights("resnet18.pth"))

Neither needs PyTorch.
"""

from __future__ import annotations

from numbanet.interop.weights import FORMATS, SUFFIXES, WeightsError, load_weights, save_weights

__all__ = ["FORMATS", "SUFFIXES", "WeightsError", "load_weights", "save_weights"]
