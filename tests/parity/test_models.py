"""The registered networks against PyTorch twins that are written down from torchvision's and He's descriptions."""

from __future__ import annotations

import numpy as np
import pytest

import numbanet
from numbanet import interop, models, optim
from numbanet.nn import functional as F

torch = pytest.importorskip("torch")
pytestmark = pytest.mark.torch
tnn = torch.nn


# --- the twins -------------------------------------------------------------------------------------------------------
class Shrink(tnn.Module):
    """Option A."""

    def __init__(self, more: int) -> None:
        super().__init__()
        self.more = more // 2

    def forward(self, x):
        return tnn.functional.pad(x[:, :, ::2, ::2], (0, 0, 0, 0, self.more, self.more))


class Basic(tnn.Module):
    expansion = 1

    def __init__(self, inputs: int, width: int, stride: int, shortcut: str) -> None:
        super().__init__()
        self.conv1 = tnn.Conv2d(inputs, width, 3, stride, 1, bias=False)
        self.bn1 = tnn.BatchNorm2d(width)
        self.conv2 = tnn.Conv2d(width, width, 3, 1, 1, bias=False)
        self.bn2 = tnn.BatchNorm2d(width)
        self.add(inputs, width, stride, shortcut)

    def add(self, inputs: int, outputs: int, stride: int, shortcut: str) -> None:
        self.shortcut, self.downsample = shortcut, None
        if shortcut != "none" and (stride > 1 or inputs != outputs):
            conv = [tnn.Conv2d(inputs, outputs, 1, stride, bias=False), tnn.BatchNorm2d(outputs)]
            self.downsample = tnn.Sequential(*conv) if shortcut == "B" else Shrink(outputs - inputs)

    def main(self, x):
        return self.bn2(self.conv2(self.bn1(self.conv1(x)).relu()))

    def forward(self, x):
        y = self.main(x)
        if self.shortcut != "none":
            y = y + (x if self.downsample is None else self.downsample(x))
        return y.relu()


class Bottle(Basic):
    expansion = 4

    def __init__(self, inputs: int, width: int, stride: int, shortcut: str) -> None:
        tnn.Module.__init__(self)
        self.conv1 = tnn.Conv2d(inputs, width, 1, bias=False)
        self.bn1 = tnn.BatchNorm2d(width)
        self.conv2 = tnn.Conv2d(width, width, 3, stride, 1, bias=False)
        self.bn2 = tnn.BatchNorm2d(width)
        self.conv3 = tnn.Conv2d(width, 4 * width, 1, bias=False)
        self.bn3 = tnn.BatchNorm2d(4 * width)
        self.add(inputs, 4 * width, stride, shortcut)

    def main(self, x):
        return self.bn3(self.conv3(self.bn2(self.conv2(self.bn1(self.conv1(x)).relu())).relu()))


class Residual(tnn.Module):
    """The stem of torchvision's networks for 64 channels, a 3×3 convolution for 16."""

    def __init__(self, block, width: int, counts: tuple[int, ...], shortcut: str, classes: int = 5) -> None:
        super().__init__()
        large = width == 64
        self.conv1 = tnn.Conv2d(3, width, 7 if large else 3, 2 if large else 1, 3 if large else 1, bias=False)
        self.bn1 = tnn.BatchNorm2d(width)
        self.pool = tnn.MaxPool2d(3, 2, 1) if large else tnn.Identity()
        inputs = width
        for stage, count in enumerate(counts):
            blocks = []
            for index in range(count):
                blocks.append(block(inputs, width << stage, 2 if stage and not index else 1, shortcut))
                inputs = (width << stage) * block.expansion
            self.add_module(f"layer{stage + 1}", tnn.Sequential(*blocks))
        self.stages = len(counts)
        self.fc = tnn.Linear(inputs, classes)

    def forward(self, x):
        x = self.pool(self.bn1(self.conv1(x)).relu())
        for stage in range(self.stages):
            x = getattr(self, f"layer{stage + 1}")(x)
        return self.fc(x.mean((2, 3)))


def alexnet(pooled: int = 6, width: int = 4096, stride: int = 4, padding: int = 2, dropout: float = 0.5):
    """torchvision's, by its table."""
    relu = tnn.ReLU

    class AlexNet(tnn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.features = tnn.Sequential(
                tnn.Conv2d(3, 64, 11, stride, padding), relu(), tnn.MaxPool2d(3, 2),
                tnn.Conv2d(64, 192, 5, padding=2), relu(), tnn.MaxPool2d(3, 2),
                tnn.Conv2d(192, 384, 3, padding=1), relu(),
                tnn.Conv2d(384, 256, 3, padding=1), relu(),
                tnn.Conv2d(256, 256, 3, padding=1), relu(), tnn.MaxPool2d(3, 2),
            )  # fmt: skip
            self.avgpool = tnn.AdaptiveAvgPool2d(pooled)
            self.classifier = tnn.Sequential(
                tnn.Dropout(dropout), tnn.Linear(256 * pooled * pooled, width), relu(),
                tnn.Dropout(dropout), tnn.Linear(width, width), relu(), tnn.Linear(width, 5),
            )  # fmt: skip

        def forward(self, x):
            return self.classifier(self.avgpool(self.features(x)).flatten(1))

    return AlexNet()


TWINS = {
    "resnet20": (lambda: Residual(Basic, 16, (3, 3, 3), "A"), {"image_size": 16}),
    "resnet20 B": (lambda: Residual(Basic, 16, (3, 3, 3), "B"), {"image_size": 16, "shortcut": "B"}),
    "plain20": (lambda: Residual(Basic, 16, (3, 3, 3), "none"), {"image_size": 16}),
    "alexnet_small": (lambda: alexnet(1, 1024, 2, 4, 0.0), {"image_size": 32, "dropout": 0.0}),
    "resnet18": (lambda: Residual(Basic, 64, (2, 2, 2, 2), "B"), {"image_size": 64}),
    "resnet34": (lambda: Residual(Basic, 64, (3, 4, 6, 3), "B"), {"image_size": 64}),
    "resnet50": (lambda: Residual(Bottle, 64, (3, 4, 6, 3), "B"), {"image_size": 64}),
    "alexnet": (lambda: alexnet(), {"image_size": 127}),
}
LARGE = ("resnet18", "resnet34", "resnet50", "alexnet")


def twins(*slow: str) -> list:
    """A parameter for each twin, those named marked slow."""
    return [pytest.param(name, marks=[pytest.mark.slow] if name in slow else []) for name in TWINS]


def pair(name: str) -> tuple:
    """Our network and the twin with our weights, all running statistics and scales at random."""
    make, options = TWINS[name]
    numbanet.manual_seed(5)
    model, twin = models.create_model(name.split()[0], num_classes=5, **options), make()
    random = np.random.default_rng(0)
    for key, value in model.state_dict().items():
        if "running" in key or (value.ndim == 1 and value.dtype.kind == "f"):
            value.copy_(numbanet.tensor(random.uniform(0.5, 1.5, value.shape).astype(np.float32)))
    twin.load_state_dict({key: torch.from_numpy(value.numpy().copy()) for key, value in model.state_dict().items()})
    return model, twin, options["image_size"]


def make_batch(size: int) -> tuple:
    random = np.random.default_rng(1)
    return random.normal(size=(4, 3, size, size)).astype(np.float32), np.array([0, 1, 2, 4])


@pytest.mark.parametrize("name", twins(*LARGE))
def test_same_keys_outputs_and_files(name: str, tmp_path) -> None:
    """The weights go over as arrays and come back as a file, in the twin's order."""
    model, twin, size = pair(name)
    assert list(model.state_dict()) == list(twin.state_dict())
    x = make_batch(size)[0]
    model.eval()
    twin.eval()
    ours, theirs = model(numbanet.from_numpy(x)).detach().numpy(), twin(torch.from_numpy(x)).detach().numpy()
    np.testing.assert_allclose(ours, theirs, rtol=1e-3, atol=1e-3 * np.abs(theirs).max())
    torch.save(twin.state_dict(), tmp_path / "twin.pth")
    back = models.create_model(name.split()[0], num_classes=5, **TWINS[name][1]).eval()
    back.load_state_dict(interop.load_weights(tmp_path / "twin.pth"))
    np.testing.assert_array_equal(back(numbanet.from_numpy(x)).detach().numpy(), ours)


@pytest.mark.parametrize("name", twins(*LARGE, "resnet20 B", "plain20"))
def test_same_losses(name: str) -> None:
    """Two steps of SGD: the gradients of all weights are the same, and so are the running statistics."""
    model, twin, size = pair(name)
    if name == "alexnet":
        model.eval()
        twin.eval()  # each library drops others
    ours = optim.SGD(model.parameters(), lr=1e-4, momentum=0.9)
    theirs = torch.optim.SGD(twin.parameters(), lr=1e-4, momentum=0.9)
    x, y = make_batch(size)
    for _ in range(2):
        loss = F.cross_entropy(model(numbanet.from_numpy(x)), numbanet.from_numpy(y))
        twin_loss = tnn.functional.cross_entropy(twin(torch.from_numpy(x)), torch.from_numpy(y))
        assert loss.item() == pytest.approx(twin_loss.item(), rel=1e-3)
        for optimiser, value in ((ours, loss), (theirs, twin_loss)):
            optimiser.zero_grad()
            value.backward()
            optimiser.step()
    for (key, mine), (_, other) in zip(model.state_dict().items(), twin.state_dict().items(), strict=True):
        np.testing.assert_allclose(mine.numpy(), other.numpy(), rtol=2e-3, atol=2e-3, err_msg=key)


def test_files_for_torch(tmp_path) -> None:
    """What we write without PyTorch it reads, mapped into memory or not, and the other way round."""
    state = {
        "a.weight": np.arange(6, dtype=np.float32).reshape(2, 3), "n": np.array(7), "none": np.zeros((0, 2)),
        **{str(kind): np.array([0, 1], kind) for kind in (np.float16, bool, np.uint8, np.int8, np.int16, np.int32)},
    }  # fmt: skip
    path = tmp_path / "weights.pt"
    interop.save_weights(state, path, "torch")
    for options in ({"weights_only": True}, {"weights_only": True, "mmap": True}, {"weights_only": False}):
        loaded = torch.load(path, **options)
        assert list(loaded) == list(state)
        for name, value in state.items():
            np.testing.assert_array_equal(loaded[name].numpy(), value)
            assert loaded[name].numpy().dtype == value.dtype
            assert loaded[name].is_contiguous()
    layer = tnn.Linear(4, 3)
    shared = {"t": layer.weight.detach().T[1:], "h": layer.weight.half(), "p": layer.weight, "s": torch.tensor(2.0)}
    for saved in (shared, {"state_dict": shared, "epoch": 3}, {"model": shared}):
        torch.save(saved, path)
        for name, value in interop.load_weights(path).items():
            np.testing.assert_array_equal(value, shared[name].detach().numpy())
    for saved, message in ((layer, "asks for torch.nn"), ({"a": 1}, "does not hold a state dict")):
        torch.save(saved, path)
        with pytest.raises(interop.WeightsError, match=message):
            interop.load_weights(path)
    torch.save(shared, path, _use_new_zipfile_serialization=False)
    with pytest.raises(interop.WeightsError, match="before version 1.6 must be loaded and saved again there"):
        interop.load_weights(path)
