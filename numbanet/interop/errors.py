"""What can be wrong with a file of weights."""

from __future__ import annotations


class WeightsError(ValueError):
    """A file that holds no weights, or weights that cannot be written in a format."""
