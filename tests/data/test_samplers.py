"""Batch samplers and the data sets of tokens behind them."""

from __future__ import annotations

import numpy as np
import pytest

from numbanet.data import (
    BucketSampler,
    DataLoader,
    PairDataset,
    SequenceDataset,
    StreamSampler,
    TensorDataset,
    WindowDataset,
    WindowSampler,
)
from numbanet.data.sequences import IGNORED, pad


def flat(batches) -> list[int]:
    return np.concatenate(list(batches)).tolist()


# --- buckets -------------------------------------------------------------------------------------------------------
LENGTHS = np.random.default_rng(0).integers(1, 60, 1003)


@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize(("count", "batch_size"), [(1, 1), (7, 3), (1003, 10), (1003, 2000)])
def test_buckets_hold_every_sample_once(count, batch_size, shuffle):
    sampler = BucketSampler(LENGTHS[:count], batch_size, shuffle)
    batches = sampler.batches(0)
    assert len(batches) == len(sampler) == -(-count // batch_size)
    assert sorted(flat(batches)) == list(range(count))


def test_buckets_save_padding():
    def padding(batches) -> int:
        return sum(int(LENGTHS[batch].max() * len(batch) - LENGTHS[batch].sum()) for batch in batches)

    plain = [np.arange(1003)[start : start + 10] for start in range(0, 1003, 10)]
    assert padding(BucketSampler(LENGTHS, 10).batches(0)) < padding(plain) / 10
    assert padding(BucketSampler(LENGTHS, 10, shuffle=False).batches(0)) < padding(plain) / 10


def test_buckets_depend_on_seed_and_epoch_alone():
    first, again = (flat(BucketSampler(LENGTHS, 10, seed=3).batches(2)) for _ in range(2))
    assert first == again
    assert first != flat(BucketSampler(LENGTHS, 10, seed=4).batches(2))
    assert first != flat(BucketSampler(LENGTHS, 10, seed=3).batches(3))
    longest = [LENGTHS[batch].max() for batch in BucketSampler(LENGTHS, 10).batches(0)]
    assert longest != sorted(longest, reverse=True), "the batches of an epoch are not in a random order"


# --- streams and windows -------------------------------------------------------------------------------------------
@pytest.mark.parametrize(("tokens", "length", "batch_size"), [(1001, 7, 4), (29, 7, 4), (2, 1, 1), (50, 16, 3)])
def test_streams_go_on_where_they_ended(tokens, length, batch_size):
    text = np.arange(tokens)
    sampler = StreamSampler(tokens, length, batch_size)
    loader = DataLoader(WindowDataset(text, length), batch_sampler=sampler)
    batches = [(inputs.numpy(), targets.numpy()) for inputs, targets in loader]
    assert len(batches) == len(sampler) == (tokens - 1) // batch_size // length
    rows = np.concatenate([inputs for inputs, _ in batches], axis=1)
    assert rows.shape == (batch_size, len(sampler) * length)
    assert (np.diff(rows, axis=1) == 1).all()
    assert len(np.unique(rows)) == rows.size
    for inputs, targets in batches:
        np.testing.assert_array_equal(targets, inputs + 1)
    assert rows.size > tokens - 1 - batch_size * length, "more than a window a stream is left out"


@pytest.mark.parametrize(("tokens", "length"), [(100, 8), (9, 8)])
def test_windows_begin_anywhere(tokens, length):
    sampler = WindowSampler(tokens, length, 4, seed=1, steps=50)
    starts = np.asarray(sampler.batches(0))
    assert starts.shape == (50, 4)
    assert set(starts.reshape(-1).tolist()) == set(range(tokens - length)) or tokens > 50
    assert (starts >= 0).all()
    assert (starts < tokens - length).all()
    np.testing.assert_array_equal(starts, sampler.batches(0))
    assert tokens == 9 or (starts != np.asarray(sampler.batches(1))).any()


def test_windows_are_equally_likely():
    starts = np.asarray(WindowSampler(18, 8, 100, steps=200).batches(0)).reshape(-1)
    counts = np.bincount(starts, minlength=10)
    assert len(counts) == 10
    assert (abs(counts - 2000) < 6 * 2000**0.5).all()


def test_an_epoch_of_windows_is_as_long_as_the_text():
    assert len(WindowSampler(1001, 10, 5)) == 20
    assert len(WindowSampler(1002, 10, 5)) == 21


@pytest.mark.parametrize(
    "make",
    [
        lambda: WindowDataset(np.arange(8), 8),
        lambda: WindowSampler(8, 8, 1),
        lambda: StreamSampler(8, 8, 1),
        lambda: StreamSampler(16, 8, 2),
        lambda: BucketSampler([], 3),
        lambda: BucketSampler([1, 2], 0),
        lambda: DataLoader(TensorDataset(np.arange(3)), 2, batch_sampler=BucketSampler([1, 2, 3], 2)),
        lambda: SequenceDataset([np.arange(3)], [], 0),
        lambda: PairDataset([np.arange(3)], [], 0, 1, 2),
    ],
)
def test_mistakes(make):
    with pytest.raises(ValueError, match="tokens|samples and a batch size|give none of them|there are"):
        make()


# --- in a loader ---------------------------------------------------------------------------------------------------
SAMPLERS = {
    "buckets": lambda: BucketSampler(LENGTHS[:40], 6),
    "streams": lambda: StreamSampler(41, 3, 2),
    "windows": lambda: WindowSampler(41, 1, 4, steps=7),
}


@pytest.mark.parametrize("name", SAMPLERS)
def test_loader_goes_on_where_it_was_left(name):
    def loader() -> DataLoader:
        return DataLoader(TensorDataset(np.arange(40)), batch_sampler=SAMPLERS[name]())

    def rest(loader) -> list[list[int]]:
        return [batch[0].numpy().tolist() for batch in loader]

    whole = loader()
    epochs = [rest(whole), rest(whole)]
    cut = loader()
    batches = iter(cut)
    for _ in range(3):
        next(batches)
    state = cut.state_dict()
    again = loader()
    again.load_state_dict(state)
    assert rest(again) == epochs[0][3:]
    assert rest(again) == epochs[1]
    other = DataLoader(TensorDataset(np.arange(40)), batch_sampler=BucketSampler(LENGTHS[:39], 6))
    if name == "buckets":
        with pytest.raises(ValueError, match="belongs to a loader with samples=40, this one has samples=39"):
            other.load_state_dict(state)


# --- sequences and pairs -------------------------------------------------------------------------------------------
def test_sequences():
    dataset = SequenceDataset([np.array([5, 6, 7]), np.array([8])], [1, 0], padding=9)
    tokens, labels = dataset.get_batch(np.array([1, 0]))
    assert tokens.tolist() == [[8, 9, 9], [5, 6, 7]]
    assert (dataset.lengths.tolist(), labels.tolist()) == ([3, 1], [0, 1])
    assert (dataset[0][0].tolist(), dataset[0][1], len(dataset)) == ([5, 6, 7], 1, 2)


def test_pairs():
    dataset = PairDataset([np.array([5, 6, 7]), np.array([8])], [np.array([4]), np.array([3, 4])], 0, 1, 2)
    (source, inputs), targets = dataset.get_batch(np.array([0, 1]))
    assert source.tolist() == [[5, 6, 7], [8, 0, 0]]
    assert dataset.lengths.tolist() == [3, 1]
    assert inputs.tolist() == [[1, 4, 0], [1, 3, 4]]
    assert targets.tolist() == [[4, 2, IGNORED], [3, 4, 2]]
    assert dataset.target_lengths.tolist() == [2, 3]
    assert len(dataset) == 2


def test_pad():
    assert pad([np.array([1]), np.array([], np.int64), np.array([2, 3])], 7).tolist() == [[1, 7], [7, 7], [2, 3]]
