"""Recurrent layers: RNN, LSTM and GRU, of several layers and both directions."""

from __future__ import annotations

import numpy as np

from numbanet.nn._recurrent import RNNBase, add_forget_bias, refuse_other_form


class RNN(RNNBase):
    """h_t = tanh(W x_t + b + U h_{t−1} + b′), or max(·, 0) with ``nonlinearity="relu"`` (Elman 1990, LECTURE row L29).

    ``num_layers`` layers, each over the outputs of the one below; ``dropout`` between them; ``bidirectional``: a second
    walk from the end, the outputs side by side. Sequences are (t, b, i), or (b, t, i) if ``batch_first``; see
    :meth:`forward`. As ``torch.nn.RNN``.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        nonlinearity: str = "tanh",
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        dtype: np.dtype | type | None = None,
    ) -> None:
        if nonlinearity not in ("tanh", "relu"):
            raise ValueError(f"Unknown nonlinearity '{nonlinearity}'. Select from 'tanh' or 'relu'.")
        self.nonlinearity = nonlinearity
        super().__init__(
            f"rnn_{nonlinearity}", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, dtype
        )


class LSTM(RNNBase):
    """i, f, o = σ(·), g = tanh(·) of W x_t + b + U h_{t−1} + b′, c_t = f·c_{t−1} + i·g, h_t = o·tanh(c_t).

    Hochreiter & Schmidhuber 1997, LECTURE row L31; layers and directions as in :class:`RNN`. Its state is a pair
    (h, c). ``forget_bias`` is added to b of the forget gate when the parameters are drawn: with 1 the cell remembers at
    first (Jozefowicz et al. 2015). As ``torch.nn.LSTM`` without projections (``proj_size``).
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        proj_size: int = 0,
        dtype: np.dtype | type | None = None,
        *,
        forget_bias: float = 0.0,
    ) -> None:
        if proj_size:
            raise NotImplementedError("LSTM with projections (proj_size) is not available; use proj_size=0")
        if forget_bias and not bias:
            raise ValueError("forget_bias needs bias=True")
        self.forget_bias = forget_bias
        super().__init__("lstm", input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, dtype)

    def reset_parameters(self) -> None:
        """Draw all parameters anew, and add ``forget_bias``."""
        super().reset_parameters()
        add_forget_bias(self, self.forget_bias, self.hidden_size)


class GRU(RNNBase):
    """r, z = σ(W x_t + b + U h_{t−1} + b′), n = tanh(W x_t + b + r·(U h_{t−1} + b′)), h_t = (1 − z)·n + z·h_{t−1}.

    Cho et al. 2014, as ``torch.nn.GRU``; layers and directions as in :class:`RNN`. ``reset_after=False`` is the form of
    the paper and of LECTURE row L32, in which the reset gate acts before the product and there is one bias:
    n = tanh(W x_t + b + U (r·h_{t−1})), where the lecture's i is 1 − z. Its parameters are called weight_x, weight_h
    and bias_x, so that weights of the one form are never taken for the other.
    """

    def __init__(
        self,
        input_size: int,
        hidden_size: int,
        num_layers: int = 1,
        bias: bool = True,
        batch_first: bool = False,
        dropout: float = 0.0,
        bidirectional: bool = False,
        dtype: np.dtype | type | None = None,
        *,
        reset_after: bool = True,
    ) -> None:
        self.reset_after = reset_after
        mode = "gru" if reset_after else "gru_reset_before"
        super().__init__(mode, input_size, hidden_size, num_layers, bias, batch_first, dropout, bidirectional, dtype)

    def _load_from_state_dict(self, state_dict: dict, prefix: str, *rest: object) -> None:
        refuse_other_form(self.reset_after, state_dict, prefix, rest[-1])
        super()._load_from_state_dict(state_dict, prefix, *rest)

    def extra_repr(self) -> str:
        return super().extra_repr() + ("" if self.reset_after else ", reset_after=False")
