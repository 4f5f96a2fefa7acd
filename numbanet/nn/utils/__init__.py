"""Helpers beside layers: clipping of gradients, and sequences of different lengths (``utils.rnn``)."""

from numbanet.nn.utils import rnn
from numbanet.nn.utils.clip_grad import clip_grad_norm_, clip_grad_value_

__all__ = ["clip_grad_norm_", "clip_grad_value_", "rnn"]
