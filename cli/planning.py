"""Training steps and inferences of models, for the commands that look at their plans."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

from numbanet.training.errors import ConfigError, unknown_name


class Functions(NamedTuple):
    """What is done with a model: functions "training" and "inference" with their arguments, and the parameters."""

    calls: dict[str, tuple[Callable, tuple]]
    parameters: int


def make_functions(
    name: str,
    batch_size: int,
    dataset: str | None,
    backend: str | None,
    options: dict[str, Any],
    threads: int | str | None = None,
) -> Functions:
    """A training step (SGD with momentum on the mean cross-entropy) and an inference of a model.

    Raises ConfigError for a model or data set that there is not, or that do not go together."""
    import numbanet
    from numbanet import optim
    from numbanet.graph.inspect import plan_of
    from numbanet.nn import functional as F
    from numbanet.training import build
    from numbanet.training.config import AUTO, Config

    build.use_machine(Config(model=name, backend=backend or AUTO, threads=threads))
    model, example = make_model(name, dataset, options)
    samples = [
        numbanet.cat([one] * batch_size) if isinstance(one, numbanet.Tensor) else numbanet.rand(batch_size, *one)
        for one in example
    ]
    optimizer = optim.SGD(model.parameters(), 0.01, momentum=0.9)

    def training(targets: Any, *inputs: Any) -> Any:
        optimizer.zero_grad()
        logits = model.train()(*inputs)
        logits = logits[0] if isinstance(logits, tuple) else logits
        loss = F.cross_entropy(logits.reshape(-1, logits.shape[-1]), targets)
        loss.backward()
        optimizer.step()
        return loss

    def inference(*inputs: Any) -> Any:
        with numbanet.no_grad():
            logits = model.eval()(*inputs)
            return logits[0] if isinstance(logits, tuple) else logits

    logits = plan_of(inference, *samples).trace.returned[0].shape
    targets = numbanet.zeros(math.prod(logits[:-1])).long()
    calls = {"training": (training, (targets, *samples)), "inference": (inference, tuple(samples))}
    return Functions(calls, sum(parameter.numel() for parameter in model.parameters()))


def make_model(name: str, dataset: str | None, options: dict[str, Any]) -> tuple[Any, tuple[Any, ...]]:
    """A registered model or one of the user's own (file.py:make), and a sample's inputs: shapes, or Tensors of one.

    It is made for the pictures of ``dataset``; None: for its own usual ones, or of one's own for the default data set.
    """
    from numbanet import models
    from numbanet.training import build
    from numbanet.training.config import SETTINGS, Config
    from numbanet.training.own import is_function
    from numbanet.training.tasks import TextTask, task_class

    if is_function(name):
        config = Config(model=name, model_options=options, dataset=dataset or SETTINGS["dataset"].default)
        build.check_names(config)
        if issubclass(task_class(config), TextTask):
            raise ConfigError(f"model {name}: models of your own are for pictures and numbers, not for texts")
        about = build.data_info(config)
        return build.build_model(config, about), (tuple(about.shape),)
    if name not in models.list_models():
        raise ConfigError(unknown_name("model", name, models.list_models()))
    info = models.model_info(name)
    if dataset is not None:
        options = {**_fitting(dataset, info), **options}
    try:
        model = models.create_model(name, **options)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"the model {name} cannot be made so: {error}") from None
    return model, models.example(info, {**info.options, **options})


def _fitting(dataset: str, info: Any) -> dict[str, Any]:
    """The options that fit a model for pictures to a data set."""
    from numbanet import datasets

    if dataset not in datasets.list_datasets():
        raise ConfigError(unknown_name("data set", dataset, datasets.list_datasets()))
    found = datasets.dataset_info(dataset)
    if info.kind != "pictures" or not hasattr(found, "shape"):
        raise ConfigError(f"{info.name} and {dataset} do not go together here; leave --dataset out")
    channels, *size = found.shape
    return {"num_classes": len(found.classes), "in_channels": channels, "image_size": size[0]}
