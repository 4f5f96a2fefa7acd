"""Training steps and inferences of registered models, for the commands that look at their plans."""

from __future__ import annotations

import math
from typing import Any

from numbanet.training.errors import ConfigError, unknown_name


def make_plans(
    name: str, batch_size: int, dataset: str | None, backend: str | None, options: dict[str, Any]
) -> tuple[dict[str, Any], int]:
    """The plans "training" and "inference" of a model, and how many parameters it has.

    Raises ConfigError for a model or data set that there is not, or that do not go together."""
    import numbanet
    from numbanet import models, optim
    from numbanet.graph.inspect import plan_of
    from numbanet.nn import functional as F
    from numbanet.training import build
    from numbanet.training.config import AUTO, Config

    if name not in models.list_models():
        raise ConfigError(unknown_name("model", name, models.list_models()))
    build.use_machine(Config(model=name, backend=backend or AUTO))
    info = models.model_info(name)
    if dataset is not None:
        options = {**_fitting(dataset, info), **options}
    try:
        model = models.create_model(name, **options)
    except (TypeError, ValueError) as error:
        raise ConfigError(f"the model {name} cannot be made so: {error}") from None
    samples = [
        numbanet.cat([one] * batch_size) if isinstance(one, numbanet.Tensor) else numbanet.zeros(batch_size, *one)
        for one in models.example(info, {**info.options, **options})
    ]
    optimizer = optim.SGD(model.parameters(), 0.01, momentum=0.9)

    def training(targets: Any, *inputs: Any) -> Any:
        optimizer.zero_grad()
        outputs = model(*inputs)
        if info.kind == "series":
            loss = F.mse_loss(outputs, targets)
        else:
            loss = F.cross_entropy(outputs.reshape(-1, outputs.shape[-1]), targets)
        loss.backward()
        optimizer.step()
        return loss

    def inference(*inputs: Any) -> Any:
        with numbanet.no_grad():
            return model(*inputs)

    model.eval()
    plan = plan_of(inference, *samples)
    shape = plan.trace.returned[0].shape
    targets = numbanet.zeros(*shape) if info.kind == "series" else numbanet.zeros(math.prod(shape[:-1])).long()
    model.train()
    plans = {"training": plan_of(training, targets, *samples), "inference": plan}
    return plans, sum(parameter.numel() for parameter in model.parameters())


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
