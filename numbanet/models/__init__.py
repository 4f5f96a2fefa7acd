"""Registered models: ``create_model("resnet20", num_classes=10)``, ``list_models("resnet*")``,
``model_info("lenet5")``; and ``summarise(model, (3, 32, 32))``, a network's layers in numbers."""

from __future__ import annotations

from numbanet.models._parts import ACTIVATIONS
from numbanet.models._recurrent import RecurrentState
from numbanet.models.alexnet import AlexNet, alexnet, alexnet_small
from numbanet.models.gpt import GPT, GenerationState, gpt
from numbanet.models.lenet import LeNet5, lenet5
from numbanet.models.local_net import LocalNet, local_net
from numbanet.models.perceptron import MLP, mlp
from numbanet.models.recurrent import (
    RecurrentClassifier,
    RecurrentLanguageModel,
    char_gru,
    char_lstm,
    char_rnn,
    lstm_classifier,
    word_lstm,
)
from numbanet.models.registry import KINDS, ModelInfo, create_model, list_models, model_info, register_model
from numbanet.models.residual import ResNet
from numbanet.models.resnet import resnet18, resnet34, resnet50
from numbanet.models.resnet_cifar import (
    plain20,
    plain32,
    plain44,
    plain56,
    plain110,
    resnet20,
    resnet32,
    resnet44,
    resnet56,
    resnet110,
    resnet1202,
)
from numbanet.models.seq2seq import Seq2Seq, Seq2SeqAttention, seq2seq, seq2seq_attention
from numbanet.models.series import RecurrentSeries, series_lstm
from numbanet.models.summary import LayerSummary, example, summarise
from numbanet.models.text_cnn import TextCNN, text_cnn
from numbanet.models.transformer import TransformerModel, transformer
from numbanet.models.transformer_classifier import TransformerClassifier, transformer_classifier

__all__ = [
    "ACTIVATIONS",
    "GPT",
    "KINDS",
    "MLP",
    "AlexNet",
    "GenerationState",
    "LayerSummary",
    "LeNet5",
    "LocalNet",
    "ModelInfo",
    "RecurrentClassifier",
    "RecurrentLanguageModel",
    "RecurrentSeries",
    "RecurrentState",
    "ResNet",
    "Seq2Seq",
    "Seq2SeqAttention",
    "TextCNN",
    "TransformerClassifier",
    "TransformerModel",
    "alexnet",
    "alexnet_small",
    "char_gru",
    "char_lstm",
    "char_rnn",
    "create_model",
    "example",
    "gpt",
    "lenet5",
    "list_models",
    "local_net",
    "lstm_classifier",
    "mlp",
    "model_info",
    "plain20",
    "plain32",
    "plain44",
    "plain56",
    "plain110",
    "register_model",
    "resnet18",
    "resnet20",
    "resnet32",
    "resnet34",
    "resnet44",
    "resnet50",
    "resnet56",
    "resnet110",
    "resnet1202",
    "seq2seq",
    "seq2seq_attention",
    "series_lstm",
    "summarise",
    "text_cnn",
    "transformer",
    "transformer_classifier",
    "word_lstm",
]
