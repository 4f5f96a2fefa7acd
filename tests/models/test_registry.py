"""Models by name."""

from __future__ import annotations

import pytest

from numbanet import models, nn
from numbanet.models import registry
from tests.models.test_recurrent_models import SMALL as recurrent_models
from tests.models.test_text_models import SMALL as text_models


@pytest.fixture
def empty_registry(monkeypatch):
    monkeypatch.setattr(registry, "_MODELS", {})


def test_list_and_info():
    assert models.list_models("resnet*") == [
        *("resnet18", "resnet20", "resnet32", "resnet34", "resnet44", "resnet50", "resnet56", "resnet110"),
        "resnet1202",
    ]
    assert {"alexnet", "alexnet_small", "lenet5", "local_net", "mlp", "plain110"} <= set(models.list_models())
    assert models.list_models("le*") == ["lenet5"]
    assert models.list_models("nothing*") == []
    info = models.model_info("lenet5")
    assert info.name == "lenet5"
    assert info.input_shape == (1, 28, 28)
    assert (info.parameters, info.flops) == (61_706, 833_040)
    assert "LeCun" in info.source
    assert info.summary.startswith("LeNet-5")
    assert info.options == {
        "num_classes": 10,
        "in_channels": 1,
        "image_size": 28,
        "activation": "relu",
        "pool": "max",
        "norm": "none",
        "dropout": 0.0,
        "classic_dropout": True,
        "init": "lecture",
        "init_scale": 1.0,
    }


def test_the_tests_of_models_know_them_all():
    """Pictures are found by their kind; every other model has its small form in one of two files."""
    others = {name for name in models.list_models() if models.model_info(name).kind != "pictures"}
    assert others == {*recurrent_models, *text_models}


def test_unknown_names_and_options():
    with pytest.raises(ValueError) as caught:
        models.create_model("lenet-5")
    assert str(caught.value).startswith("unknown model 'lenet-5', did you mean 'lenet5'?; there are: ")
    with pytest.raises(ValueError, match=r"unknown model 'zzz'; there are: .*lenet5"):
        models.model_info("zzz")
    with pytest.raises(ValueError, match="did you mean 'mlp'"):
        models.create_model("MLP")
    with pytest.raises(TypeError, match=r"no option 'hiden', did you mean 'hidden'\?; it takes: num_classes"):
        models.create_model("mlp", hiden=3)


def test_registering(empty_registry):
    @models.register_model(source="me", input_shape=(3,), parameters=8, flops=12)
    def tiny(num_classes=2):
        """A tiny model.

        With more to say.
        """
        return nn.Linear(3, num_classes)

    assert models.list_models() == ["tiny"]
    assert models.create_model("tiny", num_classes=5).out_features == 5
    assert models.model_info("tiny").summary == "A tiny model."
    assert tiny.__doc__.endswith("Input 3, 8 parameters, 12 FLOPs (2 a multiply-add).\nSource: me.")
    assert tiny().out_features == 2, "the decorator leaves the function as it is"
    with pytest.raises(ValueError, match="a model named 'tiny' is already registered"):
        models.register_model(source="me", input_shape=(3,), parameters=8, flops=12)(tiny)

    def silent():
        return nn.Linear(1, 1)

    with pytest.raises(ValueError, match="model 'silent' needs a docstring"):
        models.register_model(source="me", input_shape=(1,), parameters=2, flops=2)(silent)
