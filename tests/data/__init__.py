"""Tests of numbanet.data."""
