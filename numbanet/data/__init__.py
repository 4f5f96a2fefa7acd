"""Samples on their way to the model: data sets, batches in a reproducible order, pictures from files."""

from __future__ import annotations

from numbanet.data.augment import Augment, parse_augmentations
from numbanet.data.augmentation import Augmentation
from numbanet.data.augmentations import AUGMENTATIONS
from numbanet.data.collate import default_collate
from numbanet.data.dataset import Dataset, Subset, TensorDataset, random_split
from numbanet.data.errors import AugmentationError, DataError, PictureError
from numbanet.data.loader import DataLoader
from numbanet.data.normalise import Normalise
from numbanet.data.picture_dataset import PictureDataset
from numbanet.data.picture_files import PictureFiles
from numbanet.data.pictures import STYLES, read_pictures
from numbanet.data.sample_samplers import (
    RandomSampler,
    Sampler,
    SequentialSampler,
    SubsetRandomSampler,
    WeightedRandomSampler,
)
from numbanet.data.samplers import BatchSampler, BucketSampler, StreamSampler, WindowSampler
from numbanet.data.sequences import PairDataset, SequenceDataset, WindowDataset
from numbanet.data.targets import balancing_weights, targets_of

__all__ = [
    "AUGMENTATIONS",
    "STYLES",
    "Augment",
    "Augmentation",
    "AugmentationError",
    "BatchSampler",
    "BucketSampler",
    "DataError",
    "DataLoader",
    "Dataset",
    "Normalise",
    "PairDataset",
    "PictureDataset",
    "PictureError",
    "PictureFiles",
    "RandomSampler",
    "Sampler",
    "SequenceDataset",
    "SequentialSampler",
    "StreamSampler",
    "Subset",
    "SubsetRandomSampler",
    "TensorDataset",
    "WeightedRandomSampler",
    "WindowDataset",
    "WindowSampler",
    "balancing_weights",
    "default_collate",
    "parse_augmentations",
    "random_split",
    "read_pictures",
    "targets_of",
]
