"""numbanet against PyTorch: the same calls with the same numbers, forward and backward, where PyTorch is installed."""
