"""Errors about data sets, written for the person at the keyboard."""

from __future__ import annotations

from numbanet.data import DataError


class DatasetError(DataError):
    """A data set is missing, cannot be downloaded or is damaged; the message says what to do."""


class UnknownDatasetError(DatasetError, ValueError):
    """There is no data set of this name."""
