"""Registered models: ``create_model("lenet5", num_classes=10)``, ``list_models("le*")``, ``model_info("lenet5")``."""

from __future__ import annotations

from numbanet.models.gpt import GPT, GenerationState, gpt
from numbanet.models.lenet import LeNet5, lenet5
from numbanet.models.perceptron import MLP, mlp
from numbanet.models.registry import KINDS, ModelInfo, create_model, list_models, model_info, register_model
from numbanet.models.text_cnn import TextCNN, text_cnn
from numbanet.models.transformer import TransformerModel, transformer
from numbanet.models.transformer_classifier import TransformerClassifier, transformer_classifier

__all__ = [
    "GPT",
    "KINDS",
    "MLP",
    "GenerationState",
    "LeNet5",
    "ModelInfo",
    "TextCNN",
    "TransformerClassifier",
    "TransformerModel",
    "create_model",
    "gpt",
    "lenet5",
    "list_models",
    "mlp",
    "model_info",
    "register_model",
    "text_cnn",
    "transformer",
    "transformer_classifier",
]
