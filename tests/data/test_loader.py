"""The loader: which samples come in which order, and from where an interrupted epoch goes on."""

from __future__ import annotations

import threading

import numpy as np
import pytest

from numbanet.data import DataLoader, Dataset, PictureDataset, Subset, TensorDataset
from numbanet.tensor import Tensor

SIZES = [(1, 1), (10, 3), (12, 4), (7, 7), (5, 8)]


class Squares(Dataset):
    """A data set as users write them: one sample at a time; counts what was read."""

    def __init__(self, size):
        self.size = size
        self.read = []

    def __getitem__(self, index):
        self.read.append(index)
        return np.float32(index**2), index

    def __len__(self):
        return self.size


def rows(size):
    return TensorDataset(np.arange(size, dtype=np.float32).reshape(size, 1), np.arange(size))


def labels(batch):
    return batch[1].numpy().tolist()


def epoch(loader):
    return [labels(batch) for batch in loader]


@pytest.mark.parametrize("dataset", [rows, Squares], ids=["in memory", "sample by sample"])
@pytest.mark.parametrize("drop_last", [False, True])
@pytest.mark.parametrize("shuffle", [False, True])
@pytest.mark.parametrize(("size", "batch_size"), SIZES)
def test_an_epoch_holds_every_sample_once(dataset, size, batch_size, shuffle, drop_last):
    if drop_last and batch_size > size:
        with pytest.raises(ValueError, match=f"batch size of {batch_size} is larger than the data set"):
            DataLoader(dataset(size), batch_size, shuffle, drop_last)
        return
    loader = DataLoader(dataset(size), batch_size, shuffle, drop_last)
    batches = epoch(loader)
    assert len(batches) == len(loader) == (size // batch_size if drop_last else -(-size // batch_size))
    assert all(len(batch) == batch_size for batch in batches[:-1])
    flat = [label for batch in batches for label in batch]
    assert len(set(flat)) == len(flat)
    assert len(flat) == (size // batch_size * batch_size if drop_last else size)
    if not shuffle:
        assert flat == list(range(len(flat)))


def test_batches_are_tensors():
    x, y = next(iter(DataLoader(rows(10), 4)))
    assert isinstance(x, Tensor)
    assert isinstance(y, Tensor)
    assert (x.shape, x.dtype, y.shape, y.dtype) == ((4, 1), np.float32, (4,), np.int64)


def test_a_batch_is_never_overwritten_by_later_ones():
    batches = list(DataLoader(pictures(12), 4))
    kept = [x.numpy().copy() for x, _ in batches]
    assert len({x.numpy().ctypes.data for x, _ in batches}) == 3
    assert all(np.array_equal(x.numpy(), copy) for (x, _), copy in zip(batches, kept, strict=True))


def test_order_depends_on_seed_and_epoch_alone():
    first, second = DataLoader(rows(50), 8, shuffle=True, seed=3), DataLoader(Squares(50), 8, shuffle=True, seed=3)
    epochs = [epoch(first) for _ in range(3)]
    assert epochs == [epoch(second) for _ in range(3)]
    assert epochs[0] != epochs[1] != epochs[2]
    assert epoch(DataLoader(rows(50), 8, shuffle=True, seed=4)) != epochs[0]
    second.set_epoch(1)
    assert epoch(second) == epochs[1]


def test_order_is_this_one_on_every_machine():
    assert epoch(DataLoader(rows(10), 10, shuffle=True, seed=0)) == [[5, 8, 6, 0, 9, 3, 4, 1, 2, 7]]
    loader = DataLoader(rows(10), 10, shuffle=True, seed=2**40 + 7)
    loader.set_epoch(5)
    assert epoch(loader) == [[3, 4, 5, 6, 2, 7, 1, 9, 0, 8]]


def test_an_iteration_left_early_is_followed_by_the_next_epoch():
    loader, reference = (DataLoader(rows(20), 5, shuffle=True) for _ in range(2))
    epochs = [epoch(reference) for _ in range(2)]
    for batch in loader:
        assert labels(batch) == epochs[0][0]
        break
    assert (loader.epoch, loader.position) == (0, 1)
    assert epoch(loader) == epochs[1]
    assert (loader.epoch, loader.position) == (2, 0)


@pytest.mark.parametrize("dataset", [rows, Squares], ids=["in memory", "sample by sample"])
@pytest.mark.parametrize("prefetch", [0, 3])
@pytest.mark.parametrize("handed_out", range(6))
def test_resumed_loader_hands_out_what_remained(dataset, prefetch, handed_out):
    settings = {"batch_size": 5, "shuffle": True, "seed": 11}
    expected = DataLoader(rows(23), **settings)
    expected.set_epoch(2)
    all_batches = epoch(expected) + epoch(expected)

    first = DataLoader(dataset(23), prefetch=prefetch, **settings)
    first.set_epoch(2)
    state, iterator = first.state_dict(), iter(first)
    for _ in range(handed_out):
        next(iterator)
        state = first.state_dict()
    iterator.close()
    assert (state["epoch"], state["position"]) == (2, handed_out)

    second = DataLoader(dataset(23), prefetch=prefetch, **settings)
    second.load_state_dict(state)
    assert epoch(second) + epoch(second) == all_batches[handed_out:]


def test_state_is_plain_and_says_what_the_order_depends_on():
    state = DataLoader(rows(9), 2, shuffle=True, seed=5).state_dict()
    assert state == {
        "epoch": 0,
        "position": 0,
        "seed": 5,
        "shuffle": True,
        "batch_size": 2,
        "drop_last": False,
        "samples": 9,
    }
    assert {type(value) for value in state.values()} == {int, bool}


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"seed": 6}, "seed=6, this one has seed=5"),
        ({"batch_size": 3}, "batch_size=3"),
        ({"shuffle": False}, "shuffle=False"),
        ({"samples": 10}, "samples=10"),
        ({"position": 6}, "batch 6, but an epoch has 5"),
        ({"position": -1}, "position must be at least 0"),
        ({"epoch": -1}, "epoch must be at least 0"),
    ],
)
def test_a_foreign_state_is_refused(change, words):
    loader = DataLoader(rows(9), 2, shuffle=True, seed=5)
    with pytest.raises(ValueError, match=words):
        loader.load_state_dict({**loader.state_dict(), **change})


def test_an_incomplete_state_is_refused():
    with pytest.raises(ValueError, match="lacks epoch and position"):
        DataLoader(rows(4)).load_state_dict({"seed": 0})
    with pytest.raises(TypeError, match="position must be an integer, got '1'"):
        DataLoader(rows(4)).load_state_dict({"epoch": 0, "position": "1"})


def test_only_the_iteration_that_began_last_moves_the_position():
    loader = DataLoader(rows(12), 3)
    older = iter(loader)
    next(older)
    newer = iter(loader)
    next(newer)
    assert (loader.epoch, loader.position) == (1, 1)
    assert len(list(older)) == 3
    assert (loader.epoch, loader.position) == (1, 1)


@pytest.mark.parametrize(
    ("arguments", "error", "words"),
    [
        ({"batch_size": 0}, ValueError, "batch_size must be at least 1, got 0"),
        ({"batch_size": -2}, ValueError, "batch_size must be at least 1, got -2"),
        ({"batch_size": 2.0}, TypeError, "batch_size must be an integer, got 2.0"),
        ({"batch_size": True}, TypeError, "batch_size must be an integer"),
        ({"seed": -1}, ValueError, "seed must be at least 0"),
        ({"prefetch": -1}, ValueError, "prefetch must be at least 0"),
    ],
)
def test_bad_arguments(arguments, error, words):
    with pytest.raises(error, match=words):
        DataLoader(rows(4), **arguments)


def test_an_empty_data_set_is_refused():
    with pytest.raises(ValueError, match="the data set is empty"):
        DataLoader([])


def test_any_sequence_is_a_data_set():
    assert [batch.numpy().tolist() for batch in DataLoader([3, 1, 4, 1, 5], 2)] == [[3, 1], [4, 1], [5]]


def test_collate_fn_decides_what_a_batch_is():
    loader = DataLoader(rows(5), 2, collate_fn=lambda samples: [int(sample[1]) for sample in samples])
    assert list(loader) == [[0, 1], [2, 3], [4]]


def test_subsets_take_the_fast_path():
    class Watched(TensorDataset):
        def __getitem__(self, index):
            raise AssertionError("asked for single samples")

    dataset = Subset(Subset(Watched(np.arange(10.0), np.arange(10)), [8, 6, 4, 2, 0]), [0, 2, 4])
    assert epoch(DataLoader(dataset, 2)) == [[8, 4], [0]]


def pictures(size):
    images = np.arange(size * 6, dtype=np.uint8).reshape(size, 1, 2, 3)
    return PictureDataset(images, np.arange(size) % 4, mean=[0.5], std=[0.25], classes="abcd")


def test_pictures_come_normalised():
    x, y = next(iter(DataLoader(pictures(9), 9)))
    assert x.dtype == np.float32
    np.testing.assert_allclose(x.numpy(), (pictures(9).images / 255 - 0.5) / 0.25, rtol=1e-6)
    assert y.numpy().tolist() == [0, 1, 2, 3, 0, 1, 2, 3, 0]


# --- reading ahead --------------------------------------------------------------------------------------------------
def prefetchers():
    return [thread for thread in threading.enumerate() if thread.name == "numbanet-prefetch"]


def test_prefetching_changes_nothing_but_when_samples_are_read():
    settings = {"batch_size": 4, "shuffle": True, "seed": 1}
    plain, ahead = DataLoader(Squares(30), **settings), DataLoader(Squares(30), prefetch=2, **settings)
    assert [epoch(plain) for _ in range(2)] == [epoch(ahead) for _ in range(2)]
    assert plain.dataset.read == ahead.dataset.read
    assert not prefetchers()


def test_prefetching_is_bounded_and_ends_with_the_loop():
    dataset = Squares(100)
    for _ in DataLoader(dataset, 5, prefetch=2):
        assert len(prefetchers()) == 1
        break
    assert not prefetchers()
    # One handed out, two waiting, one in the thread's hand, and one more that it may begin while it is told to stop.
    assert len(dataset.read) <= 25


def test_data_in_memory_uses_no_thread():
    for _ in DataLoader(Subset(pictures(20), range(10)), 5, prefetch=2):
        assert not prefetchers()


@pytest.mark.parametrize("prefetch", [0, 2])
def test_errors_reach_the_consumer_in_their_place_and_name_the_sample(prefetch):
    class Broken(Squares):
        def __getitem__(self, index):
            if index == 7:
                raise OSError("unreadable")
            return super().__getitem__(index)

    loader = DataLoader(Broken(12), 3, prefetch=prefetch)
    seen = []
    with pytest.raises(OSError, match="unreadable") as caught:
        seen.extend(labels(batch) for batch in loader)
    assert seen == [[0, 1, 2], [3, 4, 5]]
    assert caught.value.__notes__ == ["while reading sample 7 of Broken"]
    assert loader.position == 2
    assert not prefetchers()
