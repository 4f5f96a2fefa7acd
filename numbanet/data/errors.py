"""Errors about data, written for the person who has to put the file right."""

from __future__ import annotations


class DataError(Exception):
    """Something is wrong with data that came from outside; the message names the file and says what was expected."""


class PictureError(DataError):
    """A picture that cannot be read, or that does not fit the model."""


class SampleError(DataError, ValueError):
    """Samples that cannot be stacked to a batch."""


class AugmentationError(DataError, ValueError):
    """A specification of augmentations that cannot be understood, or that does not fit the pictures."""
