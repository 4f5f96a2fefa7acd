"""BLEU by the sacrebleu library, with the signature that says how it was counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from numbanet.text.errors import TextError


class Bleu(NamedTuple):
    """BLEU in 0 … 100 and sacrebleu's signature."""

    score: float
    signature: str


def corpus_bleu(
    translations: Sequence[str], references: Sequence[str], tokenize: str = "13a", lowercase: bool = False
) -> Bleu:
    """BLEU of translations against one reference each (Post 2018, "A call for clarity in reporting BLEU scores").

    ``tokenize`` is sacrebleu's: "13a" for plain text, "none" for text that is cut into tokens by spaces already.

    Raises:
        TextError: sacrebleu is not installed, or there are not as many translations as references.
    """
    try:
        from sacrebleu.metrics import BLEU
    except ImportError:
        raise TextError("BLEU needs the sacrebleu library: pip install 'numbanet[text]'") from None
    if len(translations) != len(references):
        raise TextError(f"BLEU compares {len(translations)} translations with {len(references)} references")
    metric = BLEU(tokenize=tokenize, lowercase=lowercase, force=tokenize == "none")  # no warning of tokens in tokens
    score = metric.corpus_score(list(translations), [list(references)]).score
    return Bleu(score, str(metric.get_signature()))
