"""Matrix products."""

from __future__ import annotations

from numbanet.kernels.contract.declaration import declare


@declare(strided=("out", "a", "b", "residual"))
def matmul(out, a, b, bias=None, residual=None, activation: str | None = None, accumulate: bool = False):
    """out (…, m, n) = activation(a (…, m, k) @ b (…, k, n) + bias (n,) + residual (…, m, n)); leading axes equal
    (stride 0 broadcasts).

    activation: None, "relu", "gelu", "gelu_tanh", "sigmoid" or "tanh". With accumulate the finished product is added to
    out (nothing else is added, no activation)."""
