"""The contract between operations and back ends: every kernel function, once, with what it reads and writes.

A back end implements these names. ``numpy/`` implements them as plain functions on ndarrays, ``cpu/`` as functions
that choose Numba kernels, cut the work into tasks and append rows to a program; what ``cpu/`` lacks (or declines,
with a reason) runs there as a host call of the NumPy kernel. A test holds every implementation to these signatures.

Shapes are written behind the argument. Outputs come first and are allocated by the caller. Unless ``strided`` names
an argument, it is row-major contiguous; ``inplace`` lists the inputs that may share memory with the output, element by
element; ``optional`` the outputs that may be None, if they are not wanted. A function writes ``out``, what ends in
``_out``, and what ``writes`` names, and nothing else: the graph goes by it.

The file is long because it is a table, to be searched by name; cut into files, "once" could no longer be seen.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from dataclasses import dataclass

Pair = tuple[int, int]


@dataclass(frozen=True)
class KernelFunction:
    """One line of the contract."""

    name: str
    signature: inspect.Signature
    inplace: tuple[str, ...]
    strided: tuple[str, ...]
    summary: str
    writes: tuple[str, ...] = ()
    optional: tuple[str, ...] = ()

    def is_written(self, argument: str) -> bool:
        """Whether the function writes what it is given under this name."""
        return argument == "out" or argument.endswith("_out") or argument in self.writes


CONTRACT: dict[str, KernelFunction] = {}


def declare(
    *,
    inplace: tuple[str, ...] = (),
    strided: tuple[str, ...] = (),
    writes: tuple[str, ...] = (),
    optional: tuple[str, ...] = (),
) -> Callable:
    """Enter a function of the contract; its body is its docstring."""

    def enter(function: Callable) -> KernelFunction:
        summary = inspect.getdoc(function) or ""
        line = KernelFunction(
            function.__name__, inspect.signature(function), inplace, strided, summary, writes, optional
        )
        CONTRACT[line.name] = line
        return line

    return enter


# --- copy and pointwise ------------------------------------------------------------------------------------------
@declare(strided=("out", "x"))
def copy(out, x):
    """out = x, any strides (0 broadcasts x), cast to out's dtype."""


@declare(strided=("out",))
def fill(out, value: float):
    """out = value."""


@declare(inplace=("x",), strided=("out", "x"))
def unary(out, x, function: str):
    """out = function(x); neg abs exp log sqrt square reciprocal sign tanh sigmoid relu sin cos floor ceil round erf
    gelu gelu_tanh, and into bool: logical_not isnan isinf."""


@declare(inplace=("x", "y"), strided=("out", "x", "y"))
def binary(out, x, y, function: str):
    """out = function(x, y), all of out's shape (stride 0 broadcasts); add sub mul div pow maximum minimum floor_divide
    remainder logical_and logical_or logical_xor, and into bool: eq ne lt le gt ge."""


@declare(inplace=("x", "y"), strided=("out", "condition", "x", "y"))
def where(out, condition, x, y):
    """out = x where condition (bool) else y; all of out's shape (stride 0 broadcasts)."""


@declare(inplace=("grad", "y"), strided=("out", "grad", "y"))
def relu_backward(out, grad, y):
    """out = 0 where y ≤ 0, else grad (where y is NaN too, as PyTorch); y is the output, or the input, of the ReLU."""


@declare(inplace=("grad", "saved"), strided=("out", "grad", "saved"))
def unary_backward(out, grad, saved, function: str):
    """out = grad · function′, from the output of tanh or sigmoid, or from the input of gelu or gelu_tanh."""


@declare(strided=("inputs",), writes=("outs",))
def pointwise_chain(outs: tuple, inputs: tuple, steps: tuple, kept: tuple[int, ...]):
    """Pointwise functions one after the other. Values are numbered: the inputs, then what each step (name, function,
    sources) makes by unary, binary, relu_backward or unary_backward of the values ``sources``; outs[i] = value kept[i].

    All outs and inputs are float32 of one size; an input may be one number instead, repeated by strides of 0. An out
    may lie where an input does that no step behind the one which makes it reads."""


# --- reductions and indexing -------------------------------------------------------------------------------------
@declare(strided=("x",))
def reduce(out, x, axes: tuple[int, ...], function: str):
    """out = function over axes of x, out with these axes kept as 1; sum mean prod max min any all.

    NaN passes through max and min."""


@declare(strided=("x",), writes=("mean",))
def variance(out, mean, x, axes: tuple[int, ...], correction: float):
    """mean = Σ x / n and out = Σ (x − mean)² / max(0, n − correction) over axes of n elements, kept as 1."""


@declare(strided=("x",))
def argreduce(out, x, axis: int, function: str):
    """out (int64, axis kept as 1) = first index of the argmax or argmin along axis; a NaN counts as the extreme."""


@declare(strided=("x",))
def take(out, x, indices: tuple):
    """out = x[indices] with NumPy's advanced indexing; indices holds Arrays (int64 or bool), slices, ints and None."""


@declare(strided=("out", "values"))
def put(out, values, indices: tuple, accumulate: bool):
    """out[indices] = values, or += in index order (duplicates add up) when accumulate."""


@declare()
def embedding(out, weight, indices):
    """out (…, d) = weight[indices], weight (v, d), indices (…) int64. A number outside 0 … v−1 raises IndexError naming
    it and its position."""


@declare()
def embedding_backward(out, grad, indices, padding_idx: int | None):
    """out (v, d) = zeros, and the rows of grad (…, d) added at indices in their order; the row padding_idx stays 0."""


@declare(strided=("inputs",))
def concatenate(out, inputs: tuple, axis: int):
    """out = inputs joined along axis."""


# --- products ----------------------------------------------------------------------------------------------------
@declare(strided=("out", "a", "b", "residual"))
def matmul(out, a, b, bias=None, residual=None, activation: str | None = None, accumulate: bool = False):
    """out (…, m, n) = activation(a (…, m, k) @ b (…, k, n) + bias (n,) + residual (…, m, n)); leading axes equal
    (stride 0 broadcasts).

    activation: None, "relu", "gelu", "gelu_tanh", "sigmoid" or "tanh". With accumulate the finished product is added to
    out (nothing else is added, no activation)."""


@declare()
def conv2d(
    out, x, weight, bias, stride: Pair, padding: Pair, dilation: Pair, groups: int, activation: str | None = None
):
    """out (n, o, oh, ow) = activation(x (n, c, h, w) ⋆ weight (o, c/groups, kh, kw) + bias (o,) or None)."""


@declare()
def conv2d_input_grad(out, grad, weight, stride: Pair, padding: Pair, dilation: Pair, groups: int):
    """out (n, c, h, w) = gradient of conv2d with respect to x, from grad (n, o, oh, ow)."""


@declare(optional=("bias_out",))
def conv2d_weight_grad(out, bias_out, grad, x, stride: Pair, padding: Pair, dilation: Pair, groups: int, output=None):
    """out (o, c/groups, kh, kw) and bias_out (o,) or None: gradients of conv2d with respect to weight and bias.

    With the ``output`` of a conv2d with ReLU, grad counts only where that is not at or below 0."""


@declare(writes=("positions",))
def conv2d_max_pool(
    out,
    positions,
    x,
    weight,
    bias,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    pool_kernel: Pair,
    pool_stride: Pair,
    activation: str | None = None,
):
    """out and positions = max_pool2d of conv2d without padding; then out = activation(out), None or "relu"."""


@declare(optional=("x_out", "weight_out", "bias_out"))
def conv2d_max_pool_backward(
    x_out,
    weight_out,
    bias_out,
    grad,
    output,
    positions,
    x,
    weight,
    stride: Pair,
    padding: Pair,
    dilation: Pair,
    groups: int,
    pool_kernel: Pair,
    pool_stride: Pair,
):
    """Gradients of conv2d_max_pool with respect to x, weight and bias, those that are not None, from grad (of out).

    With the ``output`` of one with ReLU, grad counts only where that is not at or below 0. x is None without
    weight_out, weight without x_out."""


@declare()
def locally_connected2d(out, x, weight, kernel: Pair, stride: Pair, padding: Pair):
    """out (n, o, oh, ow) = for each position the patches of x (n, c, h, w), times weight (oh · ow, c · kh · kw, o)."""


@declare()
def locally_connected2d_input_grad(out, grad, weight, kernel: Pair, stride: Pair, padding: Pair):
    """out (n, c, h, w) = gradient of locally_connected2d with respect to x, from grad (n, o, oh, ow)."""


@declare()
def locally_connected2d_weight_grad(out, grad, x, kernel: Pair, stride: Pair, padding: Pair):
    """out (oh · ow, c · kh · kw, o) = gradient of locally_connected2d with respect to weight."""


# --- recurrent layers: one direction of one layer, a whole sequence ------------------------------------------------
@declare(writes=("h_n", "c_n", "gates", "cells"))
def recurrent(
    out,
    h_n,
    c_n,
    gates,
    cells,
    x,
    h0,
    c0,
    weight_ih,
    weight_hh,
    bias_ih,
    bias_hh,
    lengths,
    mode: str,
    reverse: bool,
):
    """out (t, b, h) = the states of a recurrent network over x (t, b, i) from h0 (b, h) on; h_n (b, h) = the last.

    weight_ih (g·h, i) and weight_hh (g·h, h), both biases (g·h,) or None; g is 1 for mode rnn_tanh and rnn_relu, 4 for
    lstm (gates i, f, g, o), 3 for gru and gru_reset_before (r, z, n). lstm has c0 and c_n (b, h) and keeps cells
    (t, b, h) and gates (t, b, 4h); gru keeps r, z, n and U h + b (or r·h, reset before) as gates (t, b, 4h); else None.
    lengths (b,) int64, or None: row b has the times t < lengths[b]; at others its state stays and all else is 0.
    reverse: the walk goes from the last time to the first."""


@declare(optional=("x_out", "h0_out", "c0_out", "weight_ih_out", "weight_hh_out", "bias_ih_out", "bias_hh_out"))
def recurrent_backward(
    x_out,
    h0_out,
    c0_out,
    weight_ih_out,
    weight_hh_out,
    bias_ih_out,
    bias_hh_out,
    grad,
    grad_h,
    grad_c,
    out,
    gates,
    cells,
    x,
    h0,
    c0,
    weight_ih,
    weight_hh,
    lengths,
    mode: str,
    reverse: bool,
):
    """Gradients of recurrent for its inputs, each of them None if not wanted, from those for out, h_n and c_n (each
    may be None). out, gates and cells are as recurrent left them."""


@declare(writes=("contexts", "weights", "queries", "gates"))
def additive_decoder(
    out,
    contexts,
    weights,
    queries,
    gates,
    words,
    memory,
    keys,
    hidden,
    h0,
    weight_query,
    weight_score,
    weight_ih,
    weight_hh,
    bias_ih,
    bias_hh,
    mode: str,
):
    """out (t, b, h) = the states of a GRU over words (t, b, e) from h0 (b, h) on that looks at memory (b, n, m) before
    each step; contexts (t, b, m) and weights (t, b, n) = what it saw, and how much of each.

    From the state h before a step: queries (t, b, a) = weight_query (a, h) · h, the weights are the softmax over n of
    weight_score (1, a) · tanh(queries + keys (b, n, a)), the context is Σ weights · memory, and the input of the step
    is the word with the context behind it. hidden (b, n) bool or None: True is not looked at and has a weight of 0, a
    row of nothing else a context of 0. mode is gru or gru_reset_before, weight_ih (3h, e + m), and weight_hh, both
    biases and gates as for recurrent."""


@declare(
    optional=(
        "words_out", "memory_out", "keys_out", "h0_out", "weight_query_out", "weight_score_out", "weight_ih_out",
        "weight_hh_out", "bias_ih_out", "bias_hh_out",
    )
)  # fmt: skip
def additive_decoder_backward(
    words_out,
    memory_out,
    keys_out,
    h0_out,
    weight_query_out,
    weight_score_out,
    weight_ih_out,
    weight_hh_out,
    bias_ih_out,
    bias_hh_out,
    grad,
    grad_contexts,
    grad_weights,
    out,
    contexts,
    weights,
    queries,
    gates,
    words,
    memory,
    keys,
    hidden,
    h0,
    weight_query,
    weight_score,
    weight_ih,
    weight_hh,
    mode: str,
):
    """Gradients of additive_decoder for its inputs, each of them None if not wanted, from those for out, contexts and
    weights (each may be None). What it wrote is as it left it; the energies tanh(queries + keys) are computed again."""


# --- pooling -----------------------------------------------------------------------------------------------------
@declare(writes=("positions",))
def max_pool2d(out, positions, x, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair):
    """out (n, c, oh, ow) = maximum of each window of x (n, c, h, w); positions = where in the window, ky · kw + kx.

    That is the first maximum of the window, or its last NaN (as PyTorch). positions are uint8, or int32 for windows of
    more than 256 cells."""


@declare()
def max_pool2d_backward(out, grad, positions, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair):
    """out (n, c, h, w) = grad (n, c, oh, ow) added up at positions, 0 elsewhere."""


@declare()
def max_pool2d_indices(out, positions, width: int, kernel: Pair, stride: Pair, padding: Pair, dilation: Pair):
    """out (int64) = the places y · width + x in the plane that positions stand for."""


@declare()
def avg_pool2d(out, x, kernel: Pair, stride: Pair, padding: Pair, count_include_pad: bool):
    """out (n, c, oh, ow) = mean of each window of x (n, c, h, w) zero-padded."""


@declare()
def avg_pool2d_backward(out, grad, kernel: Pair, stride: Pair, padding: Pair, count_include_pad: bool):
    """out (n, c, h, w) = gradient of avg_pool2d."""


@declare()
def adaptive_avg_pool2d(out, x):
    """out (n, c, oh, ow) = mean of each window of x (n, c, h, w).

    Window i of n along an axis covers ⌊i·size/n⌋ … ⌈(i+1)·size/n⌉ − 1."""


@declare()
def adaptive_avg_pool2d_backward(out, grad):
    """out (n, c, h, w) = gradient of adaptive_avg_pool2d."""


@declare(writes=("indices",))
def adaptive_max_pool2d(out, indices, x):
    """out = maximum of each window of adaptive_avg_pool2d; indices (int32) = where in the plane: the first, or the
    last NaN."""


@declare()
def adaptive_max_pool2d_backward(out, grad, indices):
    """out (n, c, h, w) = grad (n, c, oh, ow) added up at indices, 0 elsewhere."""


# --- normalisation ------------------------------------------------------------------------------------------------
@declare(writes=("statistics", "running_mean", "running_var", "batches"))
def batch_norm(
    out,
    statistics,
    x,
    weight,
    bias,
    residual,
    running_mean,
    running_var,
    batches,
    training: bool,
    momentum: float | None,
    eps: float,
    activation: str | None = None,
):
    """out (n, c, s) = activation((x − μ)·ρ·weight + bias + residual), ρ = 1/√(σ² + eps); statistics (2, c) = μ and ρ.

    μ (c,) and σ² (c,) are mean and variance of x over n and s when training, else running_mean and running_var.
    weight (c,), bias (c,) and residual (n, c, s) may be None; activation: None or "relu". When training, what is given
    of these changes: batches (int64, ()) += 1; running ← (1 − m)·running + m·(μ, σ²·k/(k − 1)) with k = n·s and
    m = momentum, or 1/batches where that is None."""


@declare(optional=("out", "residual_out", "weight_out", "bias_out"))
def batch_norm_backward(
    out,
    residual_out,
    weight_out,
    bias_out,
    grad,
    x,
    y,
    statistics,
    weight,
    bias,
    training: bool,
    activation: str | None = None,
):
    """Gradients of batch_norm for x, residual (n, c, s), weight and bias (c,), each of them None if not wanted.

    With "relu" the gradient g is grad where the output is not at or below 0: y (n, c, s) is the output, or None if
    there was no residual (then it is computed again from x and bias). residual_out = g; bias_out = Σ g;
    weight_out = Σ g·x̂ with x̂ = (x − μ)·ρ; out = weight·ρ·(g − bias_out/k − x̂·weight_out/k) when training, else
    weight·ρ·g."""


@declare(writes=("weight_out", "bias_out"))
def batch_norm_fold(weight_out, bias_out, weight, bias, norm_weight, norm_bias, mean, var, eps: float):
    """weight_out (o, k) = weight·s and bias_out (o,) = norm_bias + (bias − mean)·s, s = norm_weight/√(var + eps).

    So W·x + b with these is the batch norm, not training, of what it is with weight and bias. bias, norm_weight and
    norm_bias (o,) may be None."""


@declare(writes=("statistics",))
def group_norm(out, statistics, x, weight, bias, residual, groups: int, eps: float, activation: str | None = None):
    """As batch_norm when training, with μ and ρ of each group of c/groups channels of each sample: statistics
    (2, n·groups)."""


@declare(optional=("out", "residual_out", "weight_out", "bias_out"))
def group_norm_backward(
    out,
    residual_out,
    weight_out,
    bias_out,
    grad,
    x,
    y,
    statistics,
    weight,
    bias,
    groups: int,
    activation: str | None = None,
):
    """Gradients of group_norm, as batch_norm_backward: means are taken over a group."""


@declare(writes=("statistics",))
def layer_norm(out, statistics, x, weight, bias, eps: float):
    """out (rows, c) = (x − μ)·ρ·weight + bias with μ and ρ = 1/√(σ² + eps) of each row: statistics (2, rows).

    weight (c,) and bias (c,) may be None."""


@declare(optional=("out", "weight_out", "bias_out"))
def layer_norm_backward(out, weight_out, bias_out, grad, x, statistics, weight):
    """Gradients of layer_norm for x (rows, c), weight and bias (c,), each of them None if not wanted.

    weight_out = Σ grad·x̂, bias_out = Σ grad over rows; out = ρ·(g − mean(g) − x̂·mean(g·x̂)) with g = grad·weight."""


# --- softmax and losses ------------------------------------------------------------------------------------------
@declare(inplace=("x",))
def softmax(out, x, log: bool):
    """out (outer, c, inner) = softmax, or log-softmax, of x (outer, c, inner) along c, safe for large x."""


@declare(inplace=("grad",))
def softmax_backward(out, grad, y, log: bool):
    """Gradient of softmax from its output y: y·(grad − Σ grad·y), or grad − exp(y)·Σ grad for log-softmax."""


@declare(writes=("logsumexp",))
def cross_entropy(out, logsumexp, logits, target, weight, reduction: str, ignore_index: int, label_smoothing: float):
    """out () for reduction "mean" or "sum", (n,) for "none"; logsumexp (n,); logits (n, c); target (n,) int64; weight
    (c,) or None, which is a weight of 1 for each class.

    A row's loss is (1−ε)·w[target]·(lse − logits[target]) + ε/c·Σ w·(lse − logits), ε = label_smoothing, 0 where target
    is ignore_index; the mean divides by the sum of w[target] over the rows that count (none: NaN). A target outside
    0 … c−1 raises IndexError naming value and row."""


@declare()
def cross_entropy_backward(
    out, grad, logits, logsumexp, target, weight, reduction: str, ignore_index: int, label_smoothing: float
):
    """out (n, c) = gradient for logits, from grad () or (n,)."""


# --- attention ---------------------------------------------------------------------------------------------------
@declare(strided=("out", "query", "key", "value", "mask"), writes=("logsumexp",))
def attention(
    out,
    logsumexp,
    query,
    key,
    value,
    mask,
    lengths,
    scale: float,
    causal: str | None,
    p: float = 0.0,
    seed: int = 0,
    stream: int = 0,
    offset: int = 0,
):
    """out (b, h, m, e) = weights · value with weights = softmax(scale · query keyᵀ + mask) over the keys.

    query (b, h, m, d), key (b, h, n, d), value (b, h, n, e); logsumexp (b, h, m). mask (b, h, m, n) or None: float,
    added, or bool, True where a query sees a key. lengths (b,) int64 or None: keys from there on are hidden (numbers
    beyond 0 … n count as these). causal "start": query i sees the keys up to i; "end": up to i + length − m. With p the
    weights are dropped after the softmax, as ``dropout`` drops (b, h, m, n rounded up to 32). A query that sees no key
    gives 0, and logsumexp +∞."""


@declare(strided=("query_out", "key_out", "value_out", "grad", "out", "query", "key", "value", "mask"))
def attention_backward(
    query_out,
    key_out,
    value_out,
    grad,
    out,
    logsumexp,
    query,
    key,
    value,
    mask,
    lengths,
    scale: float,
    causal: str | None,
    p: float = 0.0,
    seed: int = 0,
    stream: int = 0,
    offset: int = 0,
):
    """Gradients of attention for query, key and value, from grad and out (b, h, m, e); weights are computed again."""


@declare(writes=("before", "lengths"))
def advance(out, before, lengths):
    """before = lengths, lengths += m, and out (b, m) = before + 0 … m − 1: the places of m new tokens; all int64."""


@declare()
def append_rows(out, x, lengths):
    """out[i, :, lengths[i] : lengths[i] + m] = x[i] for out (b, r, n, d), x (b, m, r, d) and lengths (b,) int64.

    Rows that out has no place for are left out."""


@declare()
def pointwise_loss(out, x, y, kind: str, beta: float, reduction: str):
    """out () = mean or sum of a loss of x and y (one shape) over all elements, or for reduction "none" out (x's shape).

    With d = x − y, kind is "squared": d²; "absolute": |d|; "smooth": d²/(2β) where |d| < β, else |d| − β/2;
    "huber": β times that; "logistic": max(x, 0) − x·y + ln(1 + exp(−|x|)), the cross-entropy of the logit x."""


@declare(inplace=("x", "y"))
def pointwise_loss_backward(out, grad, x, y, kind: str, beta: float, reduction: str):
    """out = gradient of pointwise_loss with respect to x, from grad () or, for "none", of x's shape.

    The slopes are 2d; sign(d); d/β where |d| < β, else sign(d); β times that; 1/(1 + exp(−x)) − y."""


# --- optimiser updates: all parameters of a group in one call -------------------------------------------------------
@declare(writes=("parameters", "momentum_buffers"))
def sgd_update(parameters: tuple, gradients: tuple, momentum_buffers: tuple, hyper):
    """PyTorch's SGD. hyper (6,): lr, momentum, dampening, weight_decay, nesterov (0/1), first step (0/1).

    g += weight_decay·p; v = g on the first step else momentum·v + (1−dampening)·g; g = g + momentum·v if nesterov
    else v; p −= lr·g. hyper is float32 or float64; momentum_buffers is empty when momentum is 0."""


@declare(writes=("parameters", "exp_avgs", "exp_avg_sqs"))
def adam_update(parameters: tuple, gradients: tuple, exp_avgs: tuple, exp_avg_sqs: tuple, hyper):
    """Adam and AdamW. hyper (8,): lr, beta1, beta2, eps, weight_decay, decoupled (0/1), 1 − beta1^t, sqrt(1 − beta2^t).

    decoupled: p −= lr·weight_decay·p, else g += weight_decay·p; m = β1·m + (1−β1)·g; v = β2·v + (1−β2)·g²;
    p −= (lr / (1−β1^t)) · m / (sqrt(v) / sqrt(1−β2^t) + eps)."""


@declare(writes=("parameters", "square_avgs", "momentum_buffers", "grad_avgs"))
def rmsprop_update(
    parameters: tuple, gradients: tuple, square_avgs: tuple, momentum_buffers: tuple, grad_avgs: tuple, hyper
):
    """RMSprop. hyper (6,): lr, alpha, eps, weight_decay, momentum, eps under the root (0/1).

    g += weight_decay·p; s = α·s + (1−α)·g²; with grad_avgs c = α·c + (1−α)·g and v = max(s − c², 0), else v = s;
    d = sqrt(v) + eps, or sqrt(v + eps); with momentum_buffers b = momentum·b + g/d, else b = g/d; p −= lr·b.
    momentum_buffers and grad_avgs may be empty."""


@declare(writes=("averages",))
def average_update(averages: tuple, values: tuple, hyper):
    """The exponential moving average: a = decay·a + (1 − decay)·v. hyper (1,): decay."""


# --- clipping of gradients: all arrays in one call ------------------------------------------------------------------
@declare()
def sum_of_squares(out, arrays: tuple):
    """out () = Σ x² over all elements of all arrays."""


@declare(writes=("arrays",))
def scale_all(arrays: tuple, factor):
    """x ← x · factor () for all elements of all arrays, in place; nothing is touched if factor is 1."""


@declare(writes=("arrays",))
def clamp_all(arrays: tuple, limit):
    """x ← min(max(x, −limit), limit) for all elements of all arrays, in place; limit (); a NaN stays."""


# --- random numbers: Philox4x32-10 by (seed, stream, offset) --------------------------------------------------------
@declare()
def uniform(out, low: float, high: float, seed: int, stream: int, offset: int):
    """out = low + (high − low)·u, u in [0, 1) with 24 bits (float32) or 53 bits (float64)."""


@declare()
def normal(out, mean: float, std: float, seed: int, stream: int, offset: int):
    """out = mean + std·z, z standard normal by Box–Muller."""


@declare(inplace=("x",))
def dropout(out, x, p: float, scale: float, seed: int, stream: int, offset: int, group: int = 1):
    """out = x · 0 with probability p, else x · scale; each ``group`` elements in a row share their fate.

    p is taken to the nearest 1/65536. Element i hangs on half i // group of the words from offset on alone, in any
    dtype: the same call on a gradient drops the same."""


# --- augmentation: pictures uint8 (n, channels, height, width), each with its own numbers ---------------------------
@declare()
def sample_numbers(out, samples, seed: int, stream: int, epoch: int):
    """out (n, count) float32 uniform in [0, 1) with 24 bits; row i is the beginning of the stream of samples[i]
    (int64): the word of counter (number // 4, sample, stream, epoch) under the seed."""


@declare()
def move_pictures(out, x, maps, fill: int, border: str):
    """out[i, j] = x[a·i + b·j + c, d·i + e·j + f], maps (n, 6) int64 in this order, factors −1, 0 or 1; beyond x fill
    if border is constant, else what edge, reflect or symmetric padding has there. out may have another size than x."""


@declare(writes=("pictures",))
def erase_pictures(pictures, boxes, fill: int):
    """fill in all channels inside boxes (n, 4) int64: top, left, bottom, right (not included), clipped; in place."""


@declare()
def warp_pictures(out, x, matrices, fill: int, bilinear: bool):
    """The pixel (u, v), counted from the middle to the right and down, comes from (a·u + b·v + c, d·u + e·v + f),
    matrices (n, 6) float32 in this order: the nearest pixel (ties to even) or fill; bilinear: the sum s of the four
    pixels around, which are 0 outside, as round((s − fill)·w + fill), w being their share inside."""


@declare()
def resize_pictures(out, x, boxes):
    """Each box (n, 4) int64: top, left, height, width, inside x, enlarged to x's size, bilinear, rounded once."""


@declare(writes=("pictures",))
def grey_pictures(pictures, chosen):
    """All three channels = floor(0.2989·r + 0.587·g + 0.114·b) where chosen (n,) int64 is not 0; in place.

    Pictures of another number of channels stay."""


@declare(writes=("pictures",))
def jitter_pictures(pictures, factors, orders):
    """The changes that orders (n, 4) int64 names, one after the other, in place, of pictures of 1 or 3 channels;
    factors (n, 4) float64 by change.

    0 brightness: x·f. 1 contrast: x·f + m·(1 − f), m the mean of the brightnesses. 2 saturation: x·f + g·(1 − f), g the
    brightness of the pixel. 3 hue: turned by f turns in HSV. −1 nothing. Each is clipped and cut off to a byte."""


@declare()
def blur_pictures(out, x, weights):
    """Columns, then rows, weighted with weights (n, taps) float32, taps odd, reflected at the edges, rounded once.

    A picture whose middle weight is 1 stays."""


@declare()
def sobel_pictures(out, x, chosen):
    """out = √((h² + v²)/32) rounded, h and v being Sobel's horizontal and vertical sums with repeated edges, where
    chosen (n,) int64 is not 0, else x."""


@declare(writes=("pictures",))
def noise_pictures(pictures, samples, amounts, seed: int, stream: int, epoch: int):
    """x + trunc(shift + scale·z) clipped to 0 … 255, amounts (n, 2) float32: shift, scale; in place. The standard
    normal z, by Box–Muller, come from the sample's stream as in sample_numbers."""


@declare()
def normalise_pictures(out, x, scale, shift):
    """out (n, channels, height, width) float32 = x·scale + shift, (channels,) float32 each, rounded twice."""
