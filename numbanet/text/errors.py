"""Errors about text, written for the person who has to put the file or the prompt right."""

from __future__ import annotations


class TextError(Exception):
    """Text from outside cannot be used; the message says where, what was expected and what to do."""
