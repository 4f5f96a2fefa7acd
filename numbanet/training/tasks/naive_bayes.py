"""Naive Bayes on bags of words: the figure that a network for texts must beat."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def naive_bayes_accuracy(
    train: Sequence[np.ndarray], labels: np.ndarray, test: Sequence[np.ndarray], wanted: np.ndarray, size: int
) -> float:
    """The accuracy on ``test`` of multinomial naive Bayes, Laplace's smoothing, each token counted once a text.

    The class of a text with the tokens w is argmax_c log P(c) + Σ_w log P(w | c), with P(w | c) = (n_cw + 1) / Σ
    (Wang and Manning 2012, "Baselines and bigrams"). ``size`` is that of the vocabulary.
    """
    classes = int(labels.max()) + 1
    counts = np.ones((classes, size))
    for ids, label in zip(train, labels, strict=True):
        counts[label, np.unique(ids)] += 1
    scores = np.log(counts / counts.sum(axis=1, keepdims=True))
    prior = np.log(np.bincount(labels, minlength=classes) / len(labels))
    found = [int((prior + scores[:, np.unique(ids)].sum(axis=1)).argmax()) for ids in test]
    return float((np.array(found) == wanted).mean())
