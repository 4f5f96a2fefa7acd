"""What the benchmarks compute on their way: shapes, ratios, bars, judgements of rounds, reports. Nothing is timed."""
