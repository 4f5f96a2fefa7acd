"""Batches in a reproducible order, from a position that can be saved and taken up again."""

from __future__ import annotations

import operator
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing
from functools import partial
from typing import Any

import numpy as np

from numbanet.data.collate import as_tensors, collate_arrays
from numbanet.data.dataset import read_samples
from numbanet.data.order import epoch_order, numbered
from numbanet.data.prefetch import Prefetcher
from numbanet.data.samplers import BatchSampler


class DataLoader:
    """Iterate over a data set in batches of Tensors.

    Which samples a batch holds depends on (seed, epoch) alone: the same on every machine and for any number of
    threads. The first iteration is epoch 0, each further one the next epoch, whether or not the one before went to
    its end; :meth:`set_epoch` chooses. The loader knows how far the iteration that began last has come:
    :meth:`state_dict` inside a loop, given to :meth:`load_state_dict` of a loader made alike, makes its next iteration
    hand out exactly the batches that remain.

    Args:
        dataset: anything with ``len`` and ``[i]``; with ``get_batch(indices)`` whole batches are asked for.
        batch_size: samples in a batch; the last one may be smaller.
        shuffle: a new random order each epoch, else the order of the data set.
        drop_last: leave out a last batch that is smaller than the rest.
        seed: which random orders.
        collate_fn: makes a batch of a list of samples (``dataset[i]``); its result is handed out as it is.
        batch_sampler: which samples make each batch (:class:`~numbanet.data.samplers.BatchSampler`), in the place of
            ``batch_size``, ``shuffle``, ``drop_last`` and ``seed``.
        sampler: which samples an epoch takes, in the place of ``shuffle``: a :class:`~numbanet.data.Sampler`, or
            anything with ``len`` that gives numbers when it is iterated over.
        prefetch: how many batches a thread may read ahead. The thread only calls ``dataset[i]``; use it for data sets
            that read files. Data sets that lie in memory never use it: it would take a core from the kernels.
        transform: ``transform(batch, indices, epoch)`` takes a collated batch of ndarrays and the numbers of its
            samples to what is handed out, in the thread that iterates; ndarrays in it become Tensors. A
            :class:`numbanet.data.Augment` is one. A sample that a ``sampler`` draws again within an epoch has a number
            higher by the length of the data set, and by as much for each further time.

    Raises:
        TypeError, ValueError: an argument is of the wrong kind or out of range, or no batch would be left.
    """

    def __init__(
        self,
        dataset: Any,
        batch_size: int = 1,
        shuffle: bool = False,
        drop_last: bool = False,
        seed: int = 0,
        collate_fn: Callable[[list[Any]], Any] | None = None,
        prefetch: int = 0,
        batch_sampler: BatchSampler | None = None,
        transform: Callable[[Any, np.ndarray, int], Any] | None = None,
        sampler: Any = None,
    ) -> None:
        if batch_sampler is not None and (batch_size != 1 or shuffle or drop_last or seed or sampler is not None):
            raise ValueError(
                "a batch_sampler decides about batch_size, shuffle, drop_last, seed and sampler: give none of them"
            )
        self.dataset = dataset
        self.batch_sampler = batch_sampler
        self.batch_size = _integer("batch_size", batch_size, 1)
        self.shuffle = bool(shuffle)
        self.drop_last = bool(drop_last)
        self.seed = _integer("seed", seed, 0)
        self.collate_fn = collate_fn
        self.transform = transform
        self.prefetch = _integer("prefetch", prefetch, 0)
        self.sampler = sampler
        if sampler is not None and self.shuffle:
            raise ValueError("sampler option is mutually exclusive with shuffle")
        size = self._samples()
        if size == 0:
            raise ValueError("the data set is empty: there is nothing to load")
        if self.drop_last and self.batch_size > size:
            raise ValueError(
                f"a batch size of {self.batch_size} is larger than the data set ({size} samples), "
                f"so that with drop_last=True no batch is left"
            )
        self._restart(0, 0)

    def __len__(self) -> int:
        """How many batches an epoch has."""
        if self.batch_sampler is not None:
            return len(self.batch_sampler)
        size = self._samples()
        return size // self.batch_size if self.drop_last else -(-size // self.batch_size)

    @property
    def epoch(self) -> int:
        """The epoch of the iteration that runs, else of the next one."""
        return self._epoch

    @property
    def position(self) -> int:
        """How many batches of :attr:`epoch` have been handed out."""
        return self._position

    def set_epoch(self, epoch: int) -> None:
        """Let the next iteration be this epoch, from its first batch."""
        self._restart(_integer("epoch", epoch, 0), 0)

    def state_dict(self) -> dict[str, int | bool]:
        """Where the loader stands (``epoch``, ``position``) and what decides about its order, all plain numbers."""
        return {"epoch": self._epoch, "position": self._position, **self._settings()}

    def load_state_dict(self, state: dict[str, int | bool]) -> None:
        """Go on where ``state`` was taken: the next iteration hands out the batches that remained.

        Raises:
            TypeError, ValueError: the state belongs to a loader with another order or other data, or it lacks a part,
                or its position is impossible.
        """
        for name, mine in self._settings().items():
            if name in state and state[name] != mine:
                raise ValueError(
                    f"the saved position belongs to a loader with {name}={state[name]}, this one has {name}={mine}"
                )
        missing = {"epoch", "position"} - set(state)
        if missing:
            raise ValueError(f"the saved position of the loader lacks {' and '.join(sorted(missing))}")
        epoch = _integer("epoch", state["epoch"], 0)
        position = _integer("position", state["position"], 0)
        if position > len(self):
            raise ValueError(f"the saved position is batch {position}, but an epoch has {len(self)} batches")
        self._restart(epoch, position)

    def __iter__(self) -> Iterator[Any]:
        epoch, start = (self._epoch, self._position) if self._pending else (self._epoch + 1, 0)
        self._restart(epoch, start)
        return self._iterate(epoch, start, self._ticket)

    def _restart(self, epoch: int, position: int) -> None:
        self._epoch, self._position = epoch, position
        self._pending = True  # the next iteration begins here, not at the next epoch
        self._ticket = object()  # only the iteration that began last moves the position

    def _settings(self) -> dict[str, int | bool]:
        if self.batch_sampler is not None:
            return self.batch_sampler.settings()
        return {
            "seed": self.seed,
            "shuffle": self.shuffle,
            "batch_size": self.batch_size,
            "drop_last": self.drop_last,
            "samples": self._samples(),
        }

    def _samples(self) -> int:
        """How many samples an epoch takes."""
        return len(self.dataset if self.sampler is None else self.sampler)

    def _order(self, epoch: int) -> np.ndarray:
        if self.sampler is None:
            return epoch_order(self.seed, epoch, len(self.dataset), self.shuffle)
        if hasattr(self.sampler, "indices"):
            return self.sampler.indices(epoch)
        return np.fromiter(self.sampler, np.int64, count=len(self.sampler))

    def _iterate(self, epoch: int, start: int, ticket: object) -> Iterator[Any]:
        with closing(self._batches(epoch, start)) as batches:
            for position, batch in enumerate(batches, start + 1):
                if ticket is self._ticket:
                    self._position, self._pending = position, False
                yield batch
        if ticket is self._ticket:
            self._restart(epoch + 1, 0)

    def _batches(self, epoch: int, start: int) -> Iterator[Any]:
        """The batches of an epoch from number ``start`` on."""
        chunks = self._chunks(epoch)
        numbers = chunks if self.sampler is None else self._numbers(chunks)
        with closing(self._read(chunks[start:])) as batches:
            for batch, its_numbers in zip(batches, numbers[start:], strict=True):
                if self.transform is not None:
                    batch = self.transform(batch, its_numbers, epoch)
                yield as_tensors(batch) if self.collate_fn is None else batch

    def _chunks(self, epoch: int) -> Sequence[np.ndarray]:
        """The numbers of the samples of each batch of an epoch."""
        if self.batch_sampler is not None:
            return self.batch_sampler.batches(epoch)
        order, size = self._order(epoch), self.batch_size
        return [order[i * size : (i + 1) * size] for i in range(len(self))]

    def _numbers(self, chunks: Sequence[np.ndarray]) -> list[np.ndarray]:
        """The numbers of batches for ``transform``; a sampler may draw a sample several times."""
        ends = np.cumsum([len(chunk) for chunk in chunks])[:-1]
        return np.split(numbered(np.concatenate(chunks), len(self.dataset)), ends)

    def _read(self, chunks: Sequence[np.ndarray]) -> Iterator[Any]:
        """The collated samples of each chunk, as ndarrays unless ``collate_fn`` makes something else."""
        collate = self.collate_fn or collate_arrays
        if self.prefetch and not getattr(self.dataset, "in_memory", False):
            with closing(Prefetcher(map(partial(read_samples, self.dataset), iter(chunks)), self.prefetch)) as ahead:
                yield from map(collate, ahead)
        elif self.collate_fn is None and hasattr(self.dataset, "get_batch"):
            yield from map(self.dataset.get_batch, chunks)
        else:
            for chunk in chunks:
                yield collate(read_samples(self.dataset, chunk))


def _integer(name: str, value: Any, least: int) -> int:
    if isinstance(value, bool):
        raise TypeError(f"{name} must be an integer, got {value}")
    try:
        value = operator.index(value)
    except TypeError:
        raise TypeError(f"{name} must be an integer, got {value!r}") from None
    if value < least:
        raise ValueError(f"{name} must be at least {least}, got {value}")
    return value
