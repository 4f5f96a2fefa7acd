"""``python -m numbanet.cli``: the same as ``numbanet``."""

from __future__ import annotations

import sys

from numbanet.cli import main

sys.exit(main())
