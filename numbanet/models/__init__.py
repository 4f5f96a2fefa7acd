"""Registered models: ``create_model("lenet5", num_classes=10)``, ``list_models("le*")``, ``model_info("lenet5")``."""

from __future__ import annotations

from numbanet.models.lenet import LeNet5, lenet5
from numbanet.models.perceptron import MLP, mlp
from numbanet.models.registry import ModelInfo, create_model, list_models, model_info, register_model

__all__ = ["MLP", "LeNet5", "ModelInfo", "create_model", "lenet5", "list_models", "mlp", "model_info", "register_model"]
