"""Samplers: how often what is drawn, the same for the same seed and epoch."""

from __future__ import annotations

import numpy as np
import pytest

from numbanet.data import (
    Augment,
    DataLoader,
    Normalise,
    PictureDataset,
    RandomSampler,
    SequentialSampler,
    Subset,
    SubsetRandomSampler,
    TensorDataset,
    WeightedRandomSampler,
    balancing_weights,
    targets_of,
)

ROWS = TensorDataset(np.arange(40, dtype=np.float32)[:, None], np.arange(40) % 4)


def test_orders() -> None:
    assert list(SequentialSampler(ROWS)) == list(range(40))
    shuffled = RandomSampler(ROWS, seed=3)
    assert sorted(shuffled.indices(5)) == list(range(40))
    assert not np.array_equal(shuffled.indices(0), shuffled.indices(1))
    np.testing.assert_array_equal(shuffled.indices(1), RandomSampler(ROWS, seed=3).indices(1))
    assert len(RandomSampler(ROWS, num_samples=7).indices(0)) == len(RandomSampler(ROWS, num_samples=7)) == 7
    drawn = RandomSampler(ROWS, replacement=True, num_samples=4000).indices(0)
    assert np.abs(np.bincount(drawn, minlength=40) - 100).max() < 50
    assert sorted(SubsetRandomSampler([3, 9, 4]).indices(2)) == [3, 4, 9]


def test_weights_are_probabilities() -> None:
    weights = np.array([0.0, 1, 2, 0, 5, 2, 0])
    sampler = WeightedRandomSampler(weights, 20_000, seed=1)
    counts = np.bincount(sampler.indices(0), minlength=7)
    expected = 20_000 * weights / weights.sum()
    assert (np.abs(counts - expected) <= 5 * np.sqrt(expected)).all()
    assert not np.array_equal(sampler.indices(0), sampler.indices(1))


def test_without_replacement() -> None:
    weights = [1e-300, 0, 1e-300, 3e-300]
    first = np.zeros(4)
    for epoch in range(3000):
        indices = WeightedRandomSampler(weights, 3, replacement=False).indices(epoch)
        assert sorted(indices) == [0, 2, 3]
        first[indices[0]] += 1
    assert np.abs(first / 3000 - [0.2, 0, 0.2, 0.6]).max() < 0.05


def test_loader_takes_a_sampler_and_goes_on() -> None:
    def make(sampler) -> DataLoader:
        return DataLoader(ROWS, 5, sampler=sampler)

    weighted = WeightedRandomSampler(np.arange(40.0), 23, seed=2)
    loader = make(weighted)
    assert len(loader) == 5
    for epoch in range(2):
        batches = [x.numpy()[:, 0].tolist() for x, _ in loader]
        assert [int(value) for batch in batches for value in batch] == weighted.indices(epoch).tolist()
    iterator = iter(loader)
    next(iterator)
    again = make(WeightedRandomSampler(np.arange(40.0), 23, seed=2))
    again.load_state_dict(loader.state_dict())
    rest, expected = [x.numpy().tolist() for x, _ in again], [x.numpy().tolist() for x, _ in iterator]
    assert rest == expected
    assert len(rest) == 4
    assert [len(x) for x, _ in make([1, 2, 3, 4, 5, 6, 7])] == [5, 2]
    with pytest.raises(ValueError, match="mutually exclusive"):
        DataLoader(ROWS, 5, shuffle=True, sampler=[1])


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: WeightedRandomSampler([1, -1], 2), "0 or more"),
        (lambda: WeightedRandomSampler([1, np.nan], 2), "finite"),
        (lambda: WeightedRandomSampler([[1, 2]], 2), "1d"),
        (lambda: WeightedRandomSampler([0, 0], 2), "all weights are 0"),
        (lambda: WeightedRandomSampler([1, 0, 1], 3, replacement=False), "at most the 2 samples"),
        (lambda: WeightedRandomSampler([1, 1], 0), "at least 1"),
        (lambda: RandomSampler(ROWS, num_samples=41), "from 1 to 40"),
    ],
)
def test_refuses(make, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        make()


def test_targets_and_balance() -> None:
    class Plain:
        def __len__(self):
            return 4

        def __getitem__(self, index):
            return np.zeros(2), index % 2

    pictures = PictureDataset(np.zeros((3, 1, 2, 2), np.uint8), np.array([1, 0, 1]), [0.0], [1.0], "ab")
    assert targets_of(Subset(ROWS, [1, 2])).tolist() == [1, 2]
    assert targets_of(Subset(pictures, [0, 1])).tolist() == [1, 0]
    assert targets_of(Plain()).tolist() == [0, 1, 0, 1]
    np.testing.assert_allclose(balancing_weights(np.array([0, 1, 1, 1]), 2), [2, 2 / 3])
    with pytest.raises(ValueError, match="class 1 has no samples"):
        balancing_weights(np.array([0, 2]), 3)


def test_a_picture_drawn_again_is_augmented_anew() -> None:
    pictures = np.random.default_rng(0).integers(0, 256, (4, 1, 12, 12), dtype=np.uint8)
    part = PictureDataset(pictures, np.arange(4), (0.5,), (0.5,), tuple("abcd"))

    def batches(**order) -> list:
        transform = Augment("crop(padding=4),noise", Normalise((0.5,), (0.5,)), seed=3)
        loader = DataLoader(part.as_bytes(), 3, transform=transform, **order)
        found = [(x.numpy(), labels.numpy()) for x, labels in loader]
        return [np.concatenate(values) for values in zip(*found, strict=True)]

    x, labels = batches(sampler=[2, 1, 2, 3, 2, 1, 0, 0])
    assert len({picture.tobytes() for picture in x}) == len(x), "two draws of a picture are the same"
    once, order = batches()
    first = [labels.tolist().index(label) for label in order]
    np.testing.assert_array_equal(x[first], once)
