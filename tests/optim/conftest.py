"""What the tests of this folder share."""

from tests.each_backend import backend

__all__ = ["backend"]
