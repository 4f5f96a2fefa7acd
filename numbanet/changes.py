"""A count of the changes that recorded graphs have to hear of.

Modules, optimisers and tensors count up when a parameter, a buffer, a submodule, a mode or the memory behind a tensor
changes. A replay compares one number; only if it differs does it look at what it depends on.
"""

from __future__ import annotations

count = 0


def note() -> None:
    """Something changed that graphs may depend on."""
    global count
    count += 1
