"""Config: what it refuses, what it becomes as TOML, and what may change when a run goes on."""

from __future__ import annotations

import dataclasses
import math
import tomllib

import pytest
from hypothesis import given
from hypothesis import strategies as st

from numbanet import models
from numbanet.training import toml
from numbanet.training.config import MAY_CHANGE, SETTINGS, Config, continued
from numbanet.training.errors import ConfigError
from numbanet.training.recipes import list_recipes, recipe

WRONG = [
    ("epochs", 0),
    ("epochs", -1),
    ("epochs", 1.5),
    ("epochs", True),
    ("epochs", "3"),
    ("batch_size", 0),
    ("lr", -0.1),
    ("lr", 0),
    ("lr", math.nan),
    ("lr", math.inf),
    ("momentum", 1.0),
    ("momentum", math.nan),
    ("weight_decay", -1e-9),
    ("beta2", 1),
    ("eps", 0.0),
    ("final_lr", 1.1),
    ("validation", 1.0),
    ("limit", -1),
    ("seed", -1),
    ("seed", 2**63),
    ("threads", 0),
    ("threads", "many"),
    ("optimizer", "sgdd"),
    ("schedule", ""),
    ("backend", "cuda"),
    ("nesterov", 1),
    ("model", 5),
    ("alpha", 1.0),
    ("clip_norm", -1),
    ("clip_value", math.inf),
    ("ema_decay", 1.0),
    ("accumulate", 0),
    ("accumulate", 65),
    ("loss", "hinge"),
    ("weights_act", "everywhere"),
    ("decay_all", "no"),
    ("early_stopping", -1),
    ("patience", 1.5),
    ("power", 0),
    ("milestones", [3, -1]),
    ("milestones", [True]),
    ("milestones", 3),
    ("milestones", "3"),
    ("class_weights", [1, 0]),
    ("class_weights", [1, "2"]),
    ("class_weights", "balance"),
    ("callbacks", [1]),
    ("callbacks", "file.py:make"),
    ("dataset_options", 3),
    ("model_options", [1]),
    ("model_options", {"width": math.nan}),
    ("model_options", {"nested": {"a": 1}}),
]


@pytest.mark.parametrize(("name", "value"), WRONG)
def test_refuses(name: str, value: object) -> None:
    with pytest.raises(ConfigError, match=f"^{name}") as caught:
        Config(**{name: value})
    assert "\n" not in str(caught.value)


def test_message_says_what_is_allowed() -> None:
    with pytest.raises(ConfigError, match=r"^lr must be a finite number, above 0 or auto, not nan$"):
        Config(lr=math.nan)
    with pytest.raises(ConfigError, match=r"^optimizer must be one of sgd, rmsprop, adam, adamw, not 'sgdd'$"):
        Config(optimizer="sgdd")
    with pytest.raises(ConfigError, match=r"^threads must be a whole number, 1 or more or auto, not 0$"):
        Config(threads=0)


def test_unknown_setting_is_guessed() -> None:
    with pytest.raises(ConfigError, match="did you mean 'epochs'"):
        Config.from_dict({"epoch": 3})
    with pytest.raises(ConfigError, match="unknown setting 'zzz'; there are: "):
        Config().replace(zzz=3)


def test_every_setting_is_documented() -> None:
    for name, entry in SETTINGS.items():
        assert entry.metadata["help"].strip(), name
        assert not entry.metadata["help"].endswith("."), name


TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
PLAIN = st.one_of(
    st.booleans(), st.integers(-(2**63), 2**63 - 1), st.floats(allow_nan=False, allow_infinity=False), TEXTS
)


@given(
    lr=st.floats(min_value=0, exclude_min=True, allow_infinity=False),
    momentum=st.floats(0, 1, exclude_max=True),
    data_dir=TEXTS,
    threads=st.none() | st.integers(1, 1000),
    seed=st.integers(0, 2**63 - 1),
    nesterov=st.booleans(),
    model_options=st.dictionaries(TEXTS, PLAIN | st.lists(PLAIN, max_size=3), max_size=3),
)
def test_toml_round_trip(**values: object) -> None:
    values["nesterov"] = values["nesterov"] and values["momentum"] > 0
    config = Config(**values)
    assert Config(**toml.loads(toml.dumps(config), "text")) == config


def test_toml_holds_every_setting_and_its_meaning() -> None:
    text = toml.dumps(Config(model_options={"activation": "tanh"}))
    content = tomllib.loads(text)
    assert content.pop("format_version") == 1
    assert set(content) == set(SETTINGS)
    assert content["lr"] == 0.01, "what was auto has its value"
    for entry in SETTINGS.values():
        assert entry.metadata["help"] in text


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epochs = ", "f.toml is not valid TOML"),
        ("epoch = 3", "f.toml: unknown setting 'epoch'; did you mean 'epochs'"),
        ("epochs = 0", "f.toml: epochs must be"),
        ("format_version = 99", "f.toml has format version 99; this numbanet reads version 1"),
    ],
)
def test_toml_errors_name_the_file(text: str, message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        toml.loads(text, "f.toml")
    assert str(caught.value).startswith(message)


def test_toml_file_that_cannot_be_read(tmp_path) -> None:
    with pytest.raises(ConfigError, match="there is no file"):
        toml.read(tmp_path / "none.toml")
    (tmp_path / "binary.toml").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(ConfigError, match="not a text file"):
        toml.read(tmp_path / "binary.toml")
    with pytest.raises(ConfigError, match="cannot read"):
        toml.read(tmp_path)


def test_what_may_change() -> None:
    stored = Config(backend="numpy")
    wanted = {"epochs": 99, "threads": 3, "data_dir": "/data", "lr": stored.lr, "backend": "auto"}
    assert continued(stored, wanted) == stored.replace(epochs=99, threads=3, data_dir="/data")


@pytest.mark.parametrize("name", [name for name in SETTINGS if name not in MAY_CHANGE])
def test_every_other_setting_contradicts(name: str) -> None:
    stored = Config(momentum=0.5, backend="numpy")
    kind = str(SETTINGS[name].type)
    others = {"bool": True, "str": "other", "int": 7, "float": 0.77, "float | None": 0.77}
    other = others.get(
        kind, [3.0] if kind.startswith("tuple[float") else ["a"] if kind.startswith("tuple") else {"a": 1}
    )
    if kind == "bool":
        other = not SETTINGS[name].default
    if SETTINGS[name].metadata["choices"] and kind == "str":
        other = SETTINGS[name].metadata["choices"][1] if name != "schedule" else "step"
    with pytest.raises(ConfigError, match=f"this contradicts the run: {name} is "):
        continued(stored, {name: other})


def test_auto_is_what_suits_the_optimizer() -> None:
    assert (Config(optimizer="sgd").lr, Config(optimizer="adam").lr, Config(lr="auto").lr) == (0.01, 0.001, 0.01)
    assert (Config().momentum, Config(optimizer="rmsprop").momentum) == (0.9, 0.0)
    assert Config(optimizer="rmsprop", momentum=0.5).momentum == 0.5
    epsilons = [Config(optimizer="rmsprop", eps_inside_sqrt=inside).eps for inside in (True, False)]
    assert (epsilons, Config(optimizer="adam").eps) == ([1e-16, 1e-8], 1e-8)


def test_settings_that_contradict_each_other() -> None:
    for changes, message in (
        ({"accumulate": 3, "batch_size": 2}, "accumulate 3 parts need a batch_size of as many, not 2"),
        ({"label_smoothing": 0.1, "loss": "mse"}, "label_smoothing is for the loss cross_entropy, not mse"),
        ({"class_weights": [1, 2], "loss": "l1"}, "class_weights is for the loss cross_entropy, not l1"),
    ):
        with pytest.raises(ConfigError, match=message):
            Config(**changes)
    assert Config(class_weights=[1, 2], loss="l1", weights_act="sampler").class_weights == (1.0, 2.0)


def test_a_recipe_for_another_optimizer() -> None:
    mine = recipe("lenet5", "digits")
    assert mine == recipe("lenet5", "digits", mine["optimizer"])
    other = recipe("lenet5", "digits", "adam")
    assert {"lr", "momentum", "weight_decay", "optimizer"} & set(other) == set()
    assert other["epochs"] == mine["epochs"]


def test_all_contradictions_are_named() -> None:
    with pytest.raises(ConfigError, match=r"lr is 0\.01 there, not 0\.5; seed is 0 there, not 3"):
        continued(Config(), {"lr": 0.5, "epochs": 3, "seed": 3})


def test_recipes_are_valid_and_override_defaults() -> None:
    assert ("lenet5", "digits") in list_recipes()
    assert ("lenet5", "mnist") in list_recipes()
    for model, dataset in list_recipes():
        settings = recipe(model, dataset)
        config = Config.from_dict({"model": model, "dataset": dataset}, settings)
        assert {key: getattr(config, key) for key in settings} == settings
    assert recipe("lenet5", "cifar10") == recipe("lenet5", "any") != {}
    assert recipe("nothing", "digits") == {}
    assert recipe("resnet56", "cifar100") == recipe("resnet*", "cifar*") != recipe("resnet56", "digits")
    assert recipe("resnet50", "cifar10") == {**recipe("resnet50", "any"), "augment": "default"}
    assert recipe("resnet50", "any") != recipe("resnet*", "any")
    assert recipe("resnet110", "cifar10")["warmup_epochs"] == 1.0
    for model in models.list_models():
        if models.model_info(model).kind == "pictures":
            assert recipe(model, "cifar10"), f"{model} has no recipe"
            is_augmented = model.startswith(("resnet", "plain", "alexnet"))
            assert recipe(model, "cifar10").get("augment") == ("default" if is_augmented else None), model
    assert Config.from_dict({"lr": 0.5}, {"lr": 0.1, "epochs": 3}) == Config(lr=0.5, epochs=3)


def test_config_cannot_change() -> None:
    with pytest.raises(dataclasses.FrozenInstanceError):
        Config().lr = 1.0
