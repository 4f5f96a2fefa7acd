"""Benchmarks for asv. `cd benchmarks && asv run --environment existing:python --quick` times what is installed."""
