"""``nn.functional`` against PyTorch's, forward and backward."""

from __future__ import annotations

import numpy as np
import pytest

from tests.parity.compare import Case, check_parity

pytestmark = pytest.mark.torch
pytest.importorskip("torch")

LABELS = np.array([0, 4, 2, 1, 4, 3], dtype=np.int64)
NUMBERS = np.array([[3, 0, 6], [3, 3, 1]], dtype=np.int64)
IGNORED = np.array([0, -100, 2, 1, -100, 3], dtype=np.int64)


def functional(name: str, **options):
    """A call of the library's ``nn.functional`` function called ``name``."""
    return lambda library, *inputs: getattr(library.nn.functional, name)(*inputs, **options)


def weighted_cross_entropy(**options):
    """Cross-entropy of five classes with weights of their own."""

    def call(library, logits, target):
        weight = library.tensor(np.array([1.0, 2.0, 0.5, 3.0, 0.25])).to(logits.dtype)
        return library.nn.functional.cross_entropy(logits, target, weight=weight, **options)

    return call


CASES = [
    Case("relu", functional("relu"), ((4, 7),)),
    Case("sigmoid", functional("sigmoid"), ((4, 7),)),
    Case("tanh", functional("tanh"), ((4, 7),)),
    Case("gelu", functional("gelu"), ((4, 7),)),
    Case("gelu_tanh", functional("gelu", approximate="tanh"), ((4, 7),)),
    Case("silu", functional("silu"), ((4, 7),)),
    Case("leaky_relu", functional("leaky_relu", negative_slope=0.2), ((4, 7),)),
    Case("softmax", functional("softmax", dim=-1), ((5, 9),)),
    Case("softmax_dim0", functional("softmax", dim=0), ((5, 3, 4),)),
    Case("log_softmax", functional("log_softmax", dim=1), ((5, 9),)),
    Case("log_softmax_middle", functional("log_softmax", dim=1), ((2, 5, 3),)),
    Case("linear", functional("linear"), ((6, 11), (7, 11), (7,))),
    Case("linear_without_bias", functional("linear"), ((6, 11), (7, 11))),
    Case("linear_3d", functional("linear"), ((2, 3, 11), (7, 11), (7,))),
    Case("conv2d", functional("conv2d"), ((2, 3, 9, 8), (4, 3, 3, 3), (4,))),
    Case("conv2d_without_bias", functional("conv2d"), ((2, 3, 9, 8), (4, 3, 3, 3))),
    Case("conv2d_lenet1", functional("conv2d", padding=2), ((3, 1, 28, 28), (6, 1, 5, 5), (6,))),
    Case("conv2d_lenet2", functional("conv2d"), ((3, 6, 14, 14), (16, 6, 5, 5), (16,))),
    Case("conv2d_stride", functional("conv2d", stride=2, padding=1), ((2, 3, 9, 8), (5, 3, 3, 3), (5,))),
    Case("conv2d_stride_pair", functional("conv2d", stride=(1, 3), padding=(2, 0)), ((2, 3, 9, 8), (5, 3, 2, 4), (5,))),
    Case("conv2d_dilation", functional("conv2d", dilation=2, padding=2), ((2, 3, 9, 8), (5, 3, 3, 3), (5,))),
    Case("conv2d_groups", functional("conv2d", groups=2, padding=1), ((2, 4, 7, 6), (6, 2, 3, 3), (6,))),
    Case("conv2d_depthwise", functional("conv2d", groups=4), ((2, 4, 7, 6), (4, 1, 3, 3), (4,))),
    Case("conv2d_same_even", functional("conv2d", padding="same"), ((2, 3, 7, 6), (4, 3, 2, 4), (4,))),
    Case("conv2d_same_mixed", functional("conv2d", padding="same", dilation=(3, 1)), ((2, 3, 9, 6), (4, 3, 2, 3))),
    Case("conv1d_same_even", functional("conv1d", padding="same"), ((2, 3, 7), (4, 3, 4), (4,))),
    Case("conv2d_1x1", functional("conv2d"), ((2, 8, 5, 5), (3, 8, 1, 1), (3,))),
    Case("conv2d_whole_picture", functional("conv2d"), ((2, 3, 5, 5), (4, 3, 5, 5), (4,))),
    Case("max_pool2d", functional("max_pool2d", kernel_size=2), ((2, 3, 8, 6),)),
    Case("max_pool2d_overlap", functional("max_pool2d", kernel_size=3, stride=2, padding=1), ((2, 3, 9, 7),)),
    Case("max_pool2d_dilation", functional("max_pool2d", kernel_size=2, stride=1, dilation=2), ((2, 3, 9, 7),)),
    Case("avg_pool2d", functional("avg_pool2d", kernel_size=2), ((2, 3, 8, 6),)),
    Case("avg_pool2d_padding", functional("avg_pool2d", kernel_size=3, stride=2, padding=1), ((2, 3, 9, 7),)),
    Case(
        "avg_pool2d_exclude_padding",
        functional("avg_pool2d", kernel_size=3, stride=2, padding=1, count_include_pad=False),
        ((2, 3, 9, 7),),
    ),
    Case(
        "avg_pool2d_divisor",
        functional("avg_pool2d", kernel_size=3, stride=2, padding=1, divisor_override=5),
        ((2, 3, 9, 7),),
    ),
    Case(
        "avg_pool2d_divisor_ceil",
        functional(
            "avg_pool2d", kernel_size=(4, 3), padding=1, ceil_mode=True, count_include_pad=False, divisor_override=2
        ),
        ((2, 3, 9, 6),),
    ),
    Case("max_pool1d", functional("max_pool1d", kernel_size=3, stride=2, padding=1), ((2, 3, 14),)),
    Case("max_pool1d_ceil", functional("max_pool1d", kernel_size=3, dilation=2, ceil_mode=True), ((2, 3, 15),)),
    Case("avg_pool1d", functional("avg_pool1d", kernel_size=4, stride=3, padding=2), ((2, 3, 15),)),
    Case("avg_pool1d_ceil", functional("avg_pool1d", kernel_size=4, ceil_mode=True), ((2, 3, 15),)),
    Case("adaptive_avg_pool1d", functional("adaptive_avg_pool1d", output_size=4), ((2, 3, 15),)),
    Case("adaptive_max_pool1d", functional("adaptive_max_pool1d", output_size=4), ((2, 3, 15),)),
    Case("adaptive_max_pool2d", functional("adaptive_max_pool2d", output_size=(3, 4)), ((2, 3, 8, 6),)),
    Case("max_pool2d_ceil", functional("max_pool2d", kernel_size=3, stride=2, ceil_mode=True), ((2, 17, 10, 10),)),
    Case("conv1d", functional("conv1d", stride=2, padding=1), ((2, 4, 11), (6, 4, 3), (6,))),
    Case("conv1d_same", functional("conv1d", padding="same", dilation=2, groups=2), ((2, 4, 11), (6, 2, 3), (6,))),
    Case("conv1d_single", functional("conv1d", padding="valid"), ((4, 11), (6, 4, 5), (6,))),
    Case("adaptive_avg_pool2d", functional("adaptive_avg_pool2d", output_size=1), ((2, 3, 8, 6),)),
    Case("adaptive_avg_pool2d_uneven", functional("adaptive_avg_pool2d", output_size=(3, 4)), ((2, 3, 8, 6),)),
    Case("cross_entropy", lambda lib, x, y: lib.nn.functional.cross_entropy(x, y), ((6, 5), LABELS)),
    Case("cross_entropy_sum", functional("cross_entropy", reduction="sum"), ((6, 5), LABELS)),
    Case("cross_entropy_none", functional("cross_entropy", reduction="none"), ((6, 5), LABELS)),
    Case("cross_entropy_ignored", functional("cross_entropy"), ((6, 5), IGNORED)),
    Case("cross_entropy_weighted", weighted_cross_entropy(), ((6, 5), IGNORED)),
    Case("cross_entropy_weighted_sum", weighted_cross_entropy(reduction="sum", label_smoothing=0.2), ((6, 5), LABELS)),
    Case("cross_entropy_weighted_smoothing", weighted_cross_entropy(label_smoothing=0.3), ((6, 5), IGNORED)),
    Case("cross_entropy_smoothing", functional("cross_entropy", label_smoothing=0.1), ((6, 5), LABELS)),
    Case("cross_entropy_smoothing_ignored", functional("cross_entropy", label_smoothing=0.2), ((6, 5), IGNORED)),
    Case("embedding", lambda lib, w: lib.nn.functional.embedding(lib.from_numpy(NUMBERS), w), ((7, 5),)),
    Case("embedding_padding", lambda lib, w: lib.nn.functional.embedding(lib.from_numpy(NUMBERS), w, -4), ((7, 5),)),
    Case("nll_loss", functional("nll_loss"), ((6, 5), LABELS)),
    Case("nll_loss_sum", functional("nll_loss", reduction="sum"), ((6, 5), LABELS)),
    Case("mse_loss", functional("mse_loss"), ((6, 5), (6, 5))),
    Case("l1_loss", functional("l1_loss"), ((6, 5), (6, 5))),
    Case("smooth_l1_loss", functional("smooth_l1_loss", beta=0.5), ((6, 5), (6, 5))),
    Case("smooth_l1_loss_0", functional("smooth_l1_loss", beta=0.0, reduction="sum"), ((6, 5), (6, 5))),
    Case("huber_loss", functional("huber_loss", delta=0.5), ((6, 5), (6, 5))),
    Case("bce_with_logits", functional("binary_cross_entropy_with_logits"), ((6, 5), (6, 5))),
    Case("mse_loss_none", functional("mse_loss", reduction="none"), ((6, 5), (6, 5))),
    Case("mse_loss_sum", functional("mse_loss", reduction="sum"), ((6, 5), (6, 5))),
    Case("pad", functional("pad", pad=(1, 2, 0, 3)), ((2, 3, 4),)),
    Case("pad_value", functional("pad", pad=(1, 2), value=1.5), ((2, 3, 4),)),
    *[
        Case(f"pad_{mode}", functional("pad", pad=(2, 1, 0, 2), mode=mode), ((2, 3, 4, 5),))
        for mode in ("reflect", "replicate", "circular")
    ],
    Case("one_hot", functional("one_hot", num_classes=6), (LABELS,), grad=False),
]


@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("shape", [(17, 3), (4, 3, 5), (2, 3, 7, 6), (2, 3, 40, 41)], ids=str)
@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_batch_norm(shape: tuple, training: bool, dtype: str) -> None:
    """Values, gradients and running statistics."""
    channels = shape[1]

    def call(library, x, weight, bias):
        mean, var = weight.detach() * 0 + 0.25, bias.detach() * 0 + 1.5
        return library.nn.functional.batch_norm(x, mean, var, weight, bias, training, 0.3, 1e-3), mean, var

    def without(library, x):
        return library.nn.functional.batch_norm(x, None, None, training=True)

    check_parity(Case("batch_norm", call, (shape, (channels,), (channels,))), dtype)
    if training:
        check_parity(Case("batch_norm", without, (shape,)), dtype)


@pytest.mark.parametrize("dtype", ["float32", "float64"])
@pytest.mark.parametrize("case", CASES, ids=str)
def test_functional(case: Case, dtype: str) -> None:
    check_parity(case, dtype)


@pytest.mark.parametrize("function", ["relu", "max_pool2d"])
def test_nan_passes_through(function: str) -> None:
    x = np.linspace(-1, 1, 32, dtype="float32").reshape(1, 2, 4, 4)
    x[0, 0, 1, 1] = np.nan
    options = {"kernel_size": 2} if function == "max_pool2d" else {}
    check_parity(Case(function, functional(function, **options), (x,)), "float32")


def test_infinite_logits() -> None:
    logits = np.zeros((6, 5), dtype="float32")
    logits[0, 0] = 1e4
    logits[1, 2] = -np.inf
    check_parity(Case("cross_entropy", functional("cross_entropy"), (logits, LABELS)), "float32")
