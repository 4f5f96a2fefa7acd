"""How the batch of a recurrent walk is cut into tasks."""

from __future__ import annotations

from numbanet.kernels import threads
from numbanet.kernels.cpu.recurrent_product import LARGE, SMALL, tiles

SCRATCH = 1 << 16
"""float32 of scratch memory that a task may have, so that it stays in the second-level cache."""


class Cut:
    """Tasks of ``rows`` rows of the batch, and their tiles; ``row``: float32 of scratch memory that a row needs.

    A task has room for ``fewest`` rows, however large they are."""

    def __init__(self, batch: int, row: int, fewest: int = LARGE) -> None:
        most = max(fewest, SCRATCH // row)
        wanted = min(threads.get_num_threads(), -(-batch // SMALL))
        tasks = -(-max(wanted, -(-batch // most)) // wanted) * wanted
        self.rows = -(-batch // tasks)
        self.tasks = -(-batch // self.rows)
        self.large, self.small = tiles(self.rows)

    @property
    def tile_rows(self) -> int:
        """Rows of scratch memory: those of a task, and what the tiles write beyond them."""
        return self.large * LARGE + self.small * SMALL
