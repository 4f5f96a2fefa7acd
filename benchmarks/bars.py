"""What the engine is asked for, as data, and whether measured records meet it.

A bar holds only if medians and minima both hold it, and only if every workload that it speaks of was measured on both
sides: leaving out what is slow or missing does not help.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

from ratios import Ratio, Record, geometric_mean, ratio, scaling

LARGE = 48 << 20
"""Bytes moved beyond which a kernel is asked for the bandwidth of a copy: more than a large last-level cache holds."""
MEMORY_BOUND = ("pooling", "normalisation", "pointwise", "softmax", "cross_entropy", "dropout")
SEQUENCES = (
    "char_rnn",
    "char_lstm",
    "char_gru",
    "word_lstm",
    "gpt-d128",
    "gpt-d256",
    "transformer-d256",
    "seq2seq_attention",
)
"""Training steps of networks for sequences, which share a bar."""
Value = tuple[float, float]


@dataclass(frozen=True)
class Bar:
    """``values(record)`` is what is asked of a record, by medians and by minima (None: not measured).

    ``mean`` bounds the geometric mean, ``each`` every record; ``aim`` is what would be better still."""

    text: str
    applies: Callable[[Record], bool]
    values: Callable[[Record], Value | None]
    mean: float | None = None
    each: float | None = None
    aim: float | None = None


@dataclass(frozen=True)
class Verdict:
    """A bar and what was found."""

    bar: Bar
    count: int
    mean: Value
    worst: tuple[str, float]
    holds: bool
    missing: list[str] = field(default_factory=list)


def _against(rival: str) -> Callable[[Record], Value | None]:
    return lambda record: _pair(ratio(record, rival))


def _pair(found: Ratio | None) -> Value | None:
    return None if found is None else (found.median, found.minima)


def _share(record: Record) -> Value | None:
    row = record["sides"].get(record["ours"])
    return (row["share"], row["share_of_minimum"]) if row else None


def _family(*families: str) -> Callable[[Record], bool]:
    return lambda record: record["family"] in families


def _training(name: str, least: float, aim: float) -> Bar:
    return Bar(
        f"training step, {name}, against the faster format of PyTorch",
        lambda record: record["workload"] == f"training/{name}", _against("torch"), each=least, aim=aim,
    )  # fmt: skip


def _compiled(name: str, least: float, aim: float | None = None) -> Bar:
    return Bar(
        f"compiled, {name}, against the faster format of PyTorch",
        lambda record: record["workload"] == f"compiled/{name}", _against("torch"), each=least, aim=aim,
    )  # fmt: skip


BARS = (
    _compiled("lenet5", 4.0, 6.0),
    _compiled("mlp", 1.6, 2.0),
    _compiled("alexnet64", 1.15, 1.5),
    _compiled("resnet20", 1.3, 1.8),
    _compiled("resnet56", 1.3, 1.8),
    _compiled("lenet5-b1", 5.0),
    _compiled("resnet20-b1", 2.0),
    _compiled("resnet20-b128", 1.4),
    Bar("compiled against our eager", _family("compiled"), _against("numbanet"), each=1.0),
    _training("lenet5", 3.0, 4.0),
    _training("mlp", 1.3, 1.6),
    _training("alexnet64", 1.0, 1.3),
    _training("resnet20", 1.2, 1.6),
    Bar(
        "ResNet-20 on 2 threads against 1",
        lambda record: record["workload"] == "training/resnet20" and bool(record["single"]),
        lambda record: _pair(scaling(record)), each=1.8,
    ),
    Bar(
        "compiled training steps of sequence networks",
        lambda record: record["workload"].removeprefix("compiled/") in SEQUENCES, _against("torch"), mean=1.6,
        each=1.1, aim=2.0,
    ),
    Bar("text by a GPT, one stream, against PyTorch with a cache", _family("generation"), _against("torch"), each=3.0),
    Bar("attention forward and backward against PyTorch", _family("attention"), _against("torch"), mean=1.3, each=1.0),
    Bar("products against NumPy", _family("gemm"), _against("numpy"), mean=1.0, each=0.8),
    Bar("convolutions against PyTorch NCHW", _family("convolution"), _against("torch NCHW"), mean=1.5),
    Bar("convolutions against the faster format", _family("convolution"), _against("torch"), mean=1.1, each=0.8),
    Bar("large convolutions, share of the peak", lambda record: "peak" in record["bars"], _share, each=0.6),
    Bar("memory-bound kernels against PyTorch", _family(*MEMORY_BOUND), _against("torch"), mean=1.5, each=1.0),
    Bar(
        "large memory-bound kernels, share of a copy's bandwidth",
        lambda record: record["family"] in MEMORY_BOUND and record["nbytes"] >= LARGE, _share, each=0.85,
    ),
    Bar("reductions against PyTorch", _family("reduction"), _against("torch"), mean=1.5, each=1.0),
    Bar("optimisers against PyTorch's fused", _family("optimiser"), _against("torch"), each=0.95),
)  # fmt: skip


def judge(bar: Bar, records: Iterable[Record]) -> Verdict | None:
    """Hold records against a bar; None if it speaks of none of them."""
    asked = [record for record in records if bar.applies(record)]
    if not asked:
        return None
    found = {record["workload"]: bar.values(record) for record in asked}
    missing = [name for name, value in found.items() if value is None]
    values = {name: value for name, value in found.items() if value is not None}
    if not values:
        return Verdict(bar, 0, (0.0, 0.0), ("", 0.0), False, missing)
    means = tuple(geometric_mean(max(value[i], 1e-9) for value in values.values()) for i in (0, 1))
    worst = min(((name, min(value)) for name, value in values.items()), key=lambda one: one[1])
    holds = not missing and (bar.mean is None or min(means) >= bar.mean) and (bar.each is None or worst[1] >= bar.each)
    return Verdict(bar, len(values), means, worst, holds, missing)


def judge_all(records: Iterable[Record]) -> list[Verdict]:
    """The verdicts of all bars that speak of these records."""
    records = list(records)
    return [verdict for verdict in (judge(bar, records) for bar in BARS) if verdict is not None]
