"""Scaled dot-product attention, forward and backward in one step, against PyTorch's own (its flash path on the CPU).

``attention/T64-d32`` has 8 heads of 32 features and 64 tokens, one sample; ``causal`` ones hide the later tokens. The
products are 2 of T · T · d multiply-adds forward and 5 backward, where the weights are computed again, half of them if
causal.
"""

from __future__ import annotations

from collections.abc import Iterator

from workloads.libraries import normal
from workloads.workload import Step, Workload, sides_of

HEADS = 8
LENGTHS = (64, 128, 256, 512, 1024, 2048)
SIZES = (32, 64)


def attention(length: int, size: int, is_causal: bool) -> Workload:
    """Output, and the gradients of query, key and value."""
    shape = (1, HEADS, length, size)

    def make(library: object) -> Step:
        inputs = [library.tensor(normal(shape, seed), requires_grad=True) for seed in range(3)]
        incoming = library.tensor(normal(shape, 3))

        def call() -> object:
            output = library.functional.scaled_dot_product_attention(*inputs, is_causal=is_causal)
            return library.gradients(output, inputs, incoming)

        return Step(call)

    flops = 7 * 2.0 * HEADS * length * length * size / (2 if is_causal else 1)
    name = f"attention/T{length}-d{size}{'-causal' if is_causal else ''}"
    return Workload(name, sides_of(make, pictures=False), flops=flops)


def workloads() -> Iterator[Workload]:
    """All lengths and sizes, causal and not."""
    for length in LENGTHS:
        for size in SIZES:
            for is_causal in (False, True):
                yield attention(length, size, is_causal)
