"""Augmentations against torchvision's transforms.v2 on the same batches of bytes, on one thread each.

``python benchmarks/augmentation.py --peer PYTHON [--side 32] [--batch 128]``, PYTHON being an interpreter that has
torchvision (made with torch 2.14.1, torchvision 0.29.1); numbanet is measured in this one. Both run in processes of
their own, in turn; a figure is the least processor time of all repetitions.

Every picture gets numbers of its own: torchvision's transforms are called a picture at a time and stacked. The last
column is torchvision with one draw for the whole batch, which is less work than was asked for.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import time
from collections.abc import Callable

import numpy as np

# name: specification here, and the transform there; rotate90 and sobel have no counterpart
PAIRS = {
    "flip": ("flip", "RandomHorizontalFlip(0.5)"),
    "crop": ("crop", "RandomCrop(side, padding=4)"),
    "resized_crop": ("resized_crop", "RandomResizedCrop(side)"),
    "grayscale": ("grayscale(p=1)", "RandomGrayscale(1.0)"),
    "jitter": ("jitter", "ColorJitter(0.4, 0.4, 0.4, 0.1)"),
    "rotate, nearest": ("rotate", "RandomRotation(15)"),
    "rotate, bilinear": ("rotate(interpolation=bilinear)", "RandomRotation(15, InterpolationMode.BILINEAR)"),
    "affine, bilinear": (
        "affine(shear=10,interpolation=bilinear)",
        "RandomAffine(15, (0.1, 0.1), (0.9, 1.1), 10, InterpolationMode.BILINEAR)",
    ),
    "cutout": ("cutout", "RandomErasing(1.0)"),
    "noise": ("noise", "GaussianNoise()"),
    "blur 3": ("blur(kernel_size=3)", "GaussianBlur(3, (0.1, 2.0))"),
    "blur 5": ("blur(kernel_size=5)", "GaussianBlur(5, (0.1, 2.0))"),
    "flip, crop, to floats": (
        "flip,crop",
        "Compose([RandomHorizontalFlip(0.5), RandomCrop(side, padding=4), *TO_FLOATS])",
    ),
}


def batch_of(count: int, side: int) -> np.ndarray:
    """The batch that both sides get."""
    return np.random.default_rng(0).integers(0, 256, (count, 3, side, side), dtype=np.uint8)


def least_time(function: Callable[[], object], repetitions: int) -> float:
    """Seconds of this thread's processor time."""
    times = []
    for _ in range(repetitions):
        begin = time.thread_time()
        function()
        times.append(time.thread_time() - begin)
    return min(times)


def measure_numbanet(pictures: np.ndarray, repetitions: int) -> dict[str, list[float]]:
    import numbanet
    from numbanet.data import Augment, Normalise

    numbanet.set_num_threads(1)
    indices, results = np.arange(len(pictures)), {}
    for name, (spec, _) in PAIRS.items():
        augment = Augment(spec, Normalise([0.49, 0.48, 0.45], [0.25, 0.24, 0.26]))
        work = augment.convert if name.endswith("floats") else augment.augment
        work(pictures, indices, 0)
        results[name] = [least_time(lambda work=work: work(pictures, indices, 1), repetitions)]
    return results


def measure_torchvision(pictures: np.ndarray, repetitions: int) -> dict[str, list[float]]:
    import torch
    from torchvision.transforms import InterpolationMode, v2

    torch.set_num_threads(1)
    x, results = torch.from_numpy(pictures), {}
    to_floats = v2.ToDtype(torch.float32, scale=True), v2.Normalize([0.49, 0.48, 0.45], [0.25, 0.24, 0.26])
    names = {
        **vars(v2),
        "TO_FLOATS": to_floats,
        "torch": torch,
        "InterpolationMode": InterpolationMode,
        "side": pictures.shape[-1],
    }
    for name, (_, code) in PAIRS.items():
        transform = eval(code, names)  # the table above, nothing from outside

        def each(transform=transform):
            return torch.stack([transform(picture) for picture in x])

        results[name] = [
            least_time(each, max(3, repetitions // 10)),
            least_time(lambda transform=transform: transform(x), repetitions),
        ]
    return results


def run_worker(interpreter: str, side: str, arguments: argparse.Namespace) -> dict[str, list[float]]:
    options = ["--worker", side, "--side", str(arguments.side), "--batch", str(arguments.batch)]
    command = [interpreter, __file__, *options, "--repetitions", str(arguments.repetitions)]
    return json.loads(subprocess.run(command, check=True, capture_output=True, text=True).stdout)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--peer", help="an interpreter that has torchvision")
    parser.add_argument("--side", type=int, default=32, help="pixels of a picture (default 32)")
    parser.add_argument("--batch", type=int, default=128, help="pictures in a batch (default 128)")
    parser.add_argument("--repetitions", type=int, default=30)
    parser.add_argument("--rounds", type=int, default=3, help="processes of each side, in turn (default 3)")
    parser.add_argument("--worker", choices=("numbanet", "torchvision"), help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.worker:
        measure = measure_numbanet if arguments.worker == "numbanet" else measure_torchvision
        print(json.dumps(measure(batch_of(arguments.batch, arguments.side), arguments.repetitions)))
        return
    if not arguments.peer:
        parser.error("which interpreter has torchvision? Name it by --peer")
    ours: dict[str, list[float]] = {}
    theirs: dict[str, list[float]] = {}
    for _ in range(arguments.rounds):
        for results, interpreter, side in ((ours, sys.executable, "numbanet"), (theirs, arguments.peer, "torchvision")):
            for name, times in run_worker(interpreter, side, arguments).items():
                results[name] = list(map(min, zip(times, results.get(name, times), strict=True)))
    report(ours, theirs, arguments)


def report(ours: dict[str, list[float]], theirs: dict[str, list[float]], arguments: argparse.Namespace) -> None:
    print(f"{arguments.batch} pictures of 3x{arguments.side}x{arguments.side}, 1 thread, us a picture")
    print(f"{'':22} {'numbanet':>9} {'torchvision':>12} {'ratio':>6} {'one draw for all':>17} {'ratio':>6}")
    for name, (own,) in ours.items():
        each, whole = theirs[name]
        figures = [1e6 * value / arguments.batch for value in (own, each, whole)]
        print(f"{name:22} {figures[0]:9.2f} {figures[1]:12.1f} {each / own:6.1f} {figures[2]:17.1f} {whole / own:6.1f}")


if __name__ == "__main__":
    main()
