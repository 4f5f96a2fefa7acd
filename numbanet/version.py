"""The version, in the one place where it is written; light enough for every import."""

__version__ = "0.1.0"
