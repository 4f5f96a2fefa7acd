"""Tests of numbanet.datasets."""
