"""Rows of embeddings."""

from __future__ import annotations

from numbanet.nn import functional as F
from numbanet.ops import embedding
from tests.ops.row import Row
from tests.ops.samples import integers, normal

ROWS = [
    Row(
        "embedding",
        [embedding.Embedding, embedding.EmbeddingBackward],
        lambda weight, numbers: F.embedding(numbers, weight),
        lambda weight, numbers: weight[numbers],
        [
            [normal(5, 3), integers(0, 5, 7)],
            [normal(3, 17), integers(0, 3, 4, 130)],
            [normal(1, 1), integers(0, 1, 1)],
            [normal(517, 2), integers(0, 517, 3, 0)],
            [normal(4, 5), integers(0, 4)],
        ],
        tolerance=64,
        twice=True,
    )
]
