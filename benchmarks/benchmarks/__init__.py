"""Benchmarks for asv. `cd benchmarks && asv run --environment existing:python --quick` times what is installed."""

import sys
from pathlib import Path

# The workloads of compare.py lie beside this package, and asv looks inside it only.
sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
