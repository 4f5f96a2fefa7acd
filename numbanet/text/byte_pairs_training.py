"""Learning byte pairs: the most frequent pair of neighbours becomes a token, again and again."""

from __future__ import annotations

import heapq
import itertools
from collections import Counter, defaultdict
from collections.abc import Iterator

Pair = tuple[int, int]


def learn_merges(counts: dict[tuple[int, ...], int], limit: int) -> Iterator[Pair]:
    """Up to ``limit`` merges of words of bytes that come so often, as pairs of token numbers.

    Bytes are the tokens 0 … 255 and the n-th merge makes token 256 + n. The most frequent pair is taken, of equally
    frequent ones the one with the smallest numbers, until no pair comes twice. A pair that spells a token that is
    there already is passed over, so that every token is spelled differently.

    A merge visits only the words that hold its pair, and counts are corrected by what changes in them. The heap holds
    counts that may be too old; what comes out of it is compared with the true one.
    """
    words = [list(word) for word in counts]
    often = list(counts.values())
    pairs, places = _count_pairs(words, often)
    spelling = [bytes([byte]) for byte in range(256)]
    spelled = set(spelling)
    heap = [(-count, pair) for pair, count in pairs.items()]
    heapq.heapify(heap)
    made = 0
    while heap and made < limit:
        count, pair = heapq.heappop(heap)
        if -count != pairs.get(pair, 0):
            if pairs.get(pair, 0) > 1:
                heapq.heappush(heap, (-pairs[pair], pair))
            continue
        if -count < 2:
            return
        bytes_ = spelling[pair[0]] + spelling[pair[1]]
        if bytes_ in spelled:
            continue
        spelled.add(bytes_)
        spelling.append(bytes_)
        yield pair
        for changed in _merge(pair, 256 + made, words, often, pairs, places):
            heapq.heappush(heap, (-pairs[changed], changed))
        made += 1


def _count_pairs(words: list[list[int]], often: list[int]) -> tuple[Counter[Pair], dict[Pair, set[int]]]:
    """How often each pair comes, and in which words."""
    pairs: Counter[Pair] = Counter()
    places: dict[Pair, set[int]] = defaultdict(set)
    for number, word in enumerate(words):
        for pair in itertools.pairwise(word):
            pairs[pair] += often[number]
            places[pair].add(number)
    return pairs, places


def _merge(
    pair: Pair, token: int, words: list[list[int]], often: list[int], pairs: Counter[Pair], places: dict
) -> set[Pair]:
    """Replace ``pair`` by ``token`` in all words; which pairs are new or more frequent than before."""
    more: set[Pair] = set()
    for number in places.pop(pair):
        word, count = words[number], often[number]
        merged = _replaced(word, pair, token)
        if len(merged) == len(word):  # the pair was here once, and other merges have taken it
            continue
        for old in itertools.pairwise(word):
            pairs[old] -= count
        for new in itertools.pairwise(merged):
            pairs[new] += count
            places[new].add(number)
            if token in new:
                more.add(new)
        words[number] = merged
    pairs.pop(pair, None)
    return more


def _replaced(word: list[int], pair: Pair, token: int) -> list[int]:
    """``word`` with every ``pair`` in it, from the left, replaced by ``token``."""
    left, right = pair
    merged, at, end = [], 0, len(word)
    while at < end:
        if word[at] == left and at + 1 < end and word[at + 1] == right:
            merged.append(token)
            at += 2
        else:
            merged.append(word[at])
            at += 1
    return merged
