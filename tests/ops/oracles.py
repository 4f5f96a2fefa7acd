"""What the table holds the operations against: float64 NumPy and SciPy, written from the formulas, no kernel of
ours."""

from __future__ import annotations

import itertools

import numpy as np
import scipy.special


# --- pointwise -----------------------------------------------------------------------------------------------------
def gelu(x):
    """x·Φ(x) without loss where Φ(x) is small; 0 at −∞."""
    size = np.minimum(np.abs(x), 100)
    return np.where(x < 0, 0, x) - size * scipy.special.ndtr(-size)


def gelu_tanh(x):
    """½·x·(1 + tanh u) = x/(1 + exp(−2u)); 0 at −∞."""
    x = np.maximum(x, -100)
    return x * scipy.special.expit(np.sqrt(8 / np.pi) * (x + 0.044715 * x**3))


# --- convolution -----------------------------------------------------------------------------------------------------
def conv2d(x, weight, bias=None, stride=(1, 1), padding=(0, 0), dilation=(1, 1), groups=1):
    """The sum over the taps of the kernel of shifted pictures times a weight."""
    n, size = x.shape[0], x.shape[2:]
    o, channels, *kernel = weight.shape
    padded = np.pad(x, ((0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2))
    spans = [s + 2 * p - d * (k - 1) for s, p, d, k in zip(size, padding, dilation, kernel, strict=True)]
    out = np.zeros((n, o, *(-(-span // t) for span, t in zip(spans, stride, strict=True))))
    for u, v in itertools.product(*map(range, kernel)):
        i, j = u * dilation[0], v * dilation[1]
        shifted = padded[:, :, i : i + spans[0] : stride[0], j : j + spans[1] : stride[1]]
        for g in range(groups):
            mine = slice(g * (o // groups), (g + 1) * (o // groups))
            pictures = shifted[:, g * channels : (g + 1) * channels]
            out[:, mine] += np.einsum("ncij,oc->noij", pictures, weight[mine, :, u, v])
    return out + (0 if bias is None else bias[:, None, None])


def locally_connected2d(x, weight, bias, kernel, stride, padding):
    """Position by position, from the formula."""
    padded = np.pad(x, ((0, 0), (0, 0), (padding[0],) * 2, (padding[1],) * 2))
    out = np.zeros((x.shape[0], *bias.shape))
    for i, j in itertools.product(*map(range, bias.shape[1:])):
        top, left = i * stride[0], j * stride[1]
        patch = padded[:, :, top : top + kernel[0], left : left + kernel[1]].reshape(len(x), -1)
        out[:, :, i, j] = patch @ weight[i * bias.shape[2] + j]
    return out + bias


# --- pooling ---------------------------------------------------------------------------------------------------------
def _windows(size, kernel, stride, padding, dilation, ceil_mode):
    """For every window along an axis: (first cell, cell after the last, cells in the picture)."""
    span = size + 2 * padding - dilation * (kernel - 1) - 1
    count = (-(-span // stride) if ceil_mode else span // stride) + 1
    if ceil_mode and (count - 1) * stride >= size + padding:
        count -= 1
    for i in range(count):
        start = i * stride - padding
        cells = [start + j * dilation for j in range(kernel)]
        yield start, min(start + kernel, size + padding), [cell for cell in cells if 0 <= cell < size]


def _pool(x, kernel, stride, padding, dilation, ceil_mode, function):
    rows = list(_windows(x.shape[2], kernel[0], stride[0], padding[0], dilation[0], ceil_mode))
    columns = list(_windows(x.shape[3], kernel[1], stride[1], padding[1], dilation[1], ceil_mode))
    out = np.zeros((*x.shape[:2], len(rows), len(columns)))
    for n, c, i, j in itertools.product(*map(range, out.shape)):
        out[n, c, i, j] = function(x[n, c], rows[i], columns[j])
    return out


def max_pool2d(x, kernel, stride, padding=(0, 0), dilation=(1, 1), ceil_mode=False):
    return _pool(
        x,
        kernel,
        stride,
        padding,
        dilation,
        ceil_mode,
        lambda plane, row, column: plane[np.ix_(row[2], column[2])].max(),
    )


def max_pool2d_indices(x, kernel, stride, padding=(0, 0), dilation=(1, 1), ceil_mode=False):
    """The first maximum, or the last NaN of the window."""

    def find(plane, row, column):
        best = None
        for i, j in itertools.product(row[2], column[2]):
            if best is None or plane[i, j] > plane[best] or np.isnan(plane[i, j]):
                best = (i, j)
        return best[0] * plane.shape[1] + best[1]

    return _pool(x, kernel, stride, padding, dilation, ceil_mode, find).astype(np.int64)


def avg_pool2d(x, kernel, stride, padding=(0, 0), ceil_mode=False, count_include_pad=True):
    def mean(plane, row, column):
        cells = plane[np.ix_(row[2], column[2])]
        whole = (row[1] - row[0]) * (column[1] - column[0])
        return cells.sum() / (whole if count_include_pad else cells.size)

    return _pool(x, kernel, stride, padding, (1, 1), ceil_mode, mean)


def _shares(size, parts):
    """The cells of each window of an adaptive pool along an axis."""
    return [range(int(np.floor(i * size / parts)), int(np.ceil((i + 1) * size / parts))) for i in range(parts)]


def adaptive_pool2d(x, size, function):
    rows, columns = _shares(x.shape[2], size[0]), _shares(x.shape[3], size[1])
    out = np.zeros((*x.shape[:2], *size))
    for n, c, i, j in itertools.product(*map(range, out.shape)):
        out[n, c, i, j] = function(x[n, c][np.ix_(rows[i], columns[j])])
    return out


def adaptive_max_pool2d(x, size):
    """Maxima and where they are: the first, or the last NaN."""
    rows, columns = _shares(x.shape[2], size[0]), _shares(x.shape[3], size[1])
    places = np.zeros((*x.shape[:2], *size), np.int64)
    for n, c, i, j in itertools.product(*map(range, places.shape)):
        best = None
        for cell in itertools.product(rows[i], columns[j]):
            if best is None or x[n, c][cell] > x[n, c][best] or np.isnan(x[n, c][cell]):
                best = cell
        places[n, c, i, j] = best[0] * x.shape[3] + best[1]
    return adaptive_pool2d(x, size, np.max), places


# --- normalisation ---------------------------------------------------------------------------------------------------
def channel_axes(x):
    """The axes that a channel of x (n, c, …) goes over, and the shape in which (c,) goes with x."""
    return tuple(axis for axis in range(x.ndim) if axis != 1), (1, -1, *[1] * (x.ndim - 2))


def batch_norm(x, weight=None, bias=None, residual=None, mean=None, var=None, activation=None, eps=1e-5):
    axes, shape = channel_axes(x)
    if mean is None:
        mean, var = x.mean(axes), x.var(axes)
    out = (x - mean.reshape(shape)) / np.sqrt(var.reshape(shape) + eps)
    out = out if weight is None else out * weight.reshape(shape)
    out = out if bias is None else out + bias.reshape(shape)
    out = out if residual is None else out + residual
    return np.maximum(out, 0) if activation == "relu" else out


def layer_norm(x, axes, eps=1e-5):
    return (x - x.mean(axes, keepdims=True)) / np.sqrt(x.var(axes, keepdims=True) + eps)


def group_norm(x, groups, weight, bias, residual=None, activation=None):
    _, shape = channel_axes(x)
    out = layer_norm(x.reshape(x.shape[0], groups, -1), 2).reshape(x.shape)
    out = out * weight.reshape(shape) + bias.reshape(shape) + (0 if residual is None else residual)
    return np.maximum(out, 0) if activation == "relu" else out


# --- losses ----------------------------------------------------------------------------------------------------------
def cross_entropy(logits, target, reduction="mean", ignore_index=-100, label_smoothing=0.0, weight=None):
    weight = np.ones(logits.shape[1]) if weight is None else weight
    losses, counted = [], 0.0
    for row, label in zip(logits, target, strict=True):
        if label == ignore_index:
            losses.append(0.0)
            continue
        counted += weight[label]
        lse = scipy.special.logsumexp(row)
        smooth = label_smoothing * (weight * (lse - row)).mean() if label_smoothing else 0.0
        losses.append((1 - label_smoothing) * weight[label] * (lse - row[label]) + smooth)
    losses = np.array(losses).reshape(len(logits))
    if reduction == "none":
        return losses
    return losses.sum() if reduction == "sum" else losses.sum() / np.float64(counted)


# --- optimisers ------------------------------------------------------------------------------------------------------
def sgd(parameter, gradient, velocity, lr, momentum, dampening, weight_decay, nesterov, first):
    if weight_decay:
        gradient = gradient + weight_decay * parameter
    if momentum:
        velocity = gradient if first else momentum * velocity + (1 - dampening) * gradient
        gradient = gradient + momentum * velocity if nesterov else velocity
    return parameter - lr * gradient, velocity


def adam(parameter, gradient, m, v, lr, beta1, beta2, eps, weight_decay, decoupled, step):
    if decoupled:
        parameter = parameter - lr * weight_decay * parameter
    elif weight_decay:
        gradient = gradient + weight_decay * parameter
    m = beta1 * m + (1 - beta1) * gradient
    v = beta2 * v + (1 - beta2) * gradient**2
    return parameter - lr * (m / (1 - beta1**step)) / (np.sqrt(v / (1 - beta2**step)) + eps), m, v


def rmsprop(parameter, gradient, s, b, c, lr, alpha, eps, weight_decay, momentum, inside):
    """b or c is None without momentum, or if not centered."""
    gradient = gradient + weight_decay * parameter if weight_decay else gradient
    s = variance = alpha * s + (1 - alpha) * gradient**2
    if c is not None:
        c = alpha * c + (1 - alpha) * gradient
        variance = variance - c**2
    step = gradient / (np.sqrt(variance + eps) if inside else np.sqrt(variance) + eps)
    if b is not None:
        b = step = momentum * b + step
    return parameter - lr * step, s, b, c


# --- random numbers --------------------------------------------------------------------------------------------------
def philox_words(seed, stream, offset, count):
    """Philox4x32-10, a number at a time, in Python's own integers."""
    words = []
    for word in range(offset, offset + count):
        block = word // 4
        c = [block & 0xFFFFFFFF, block >> 32, stream, 0]
        k = [seed & 0xFFFFFFFF, seed >> 32]
        for _ in range(10):
            p0, p1 = 0xD2511F53 * c[0], 0xCD9E8D57 * c[2]
            c = [(p1 >> 32) ^ c[1] ^ k[0], p1 & 0xFFFFFFFF, (p0 >> 32) ^ c[3] ^ k[1], p0 & 0xFFFFFFFF]
            k = [(k[0] + 0x9E3779B9) & 0xFFFFFFFF, (k[1] + 0xBB67AE85) & 0xFFFFFFFF]
        words.append(c[word % 4])
    return words


def uniform(shape, dtype, seed, stream, offset):
    size = int(np.prod(shape))
    if dtype == np.float32:
        values = [(word >> 8) * 2.0**-24 for word in philox_words(seed, stream, offset, size)]
    else:
        words = philox_words(seed, stream, offset, 2 * size)
        values = [((a >> 5) * 2**26 + (b >> 6)) * 2.0**-53 for a, b in zip(words[::2], words[1::2], strict=True)]
    return np.array(values).reshape(shape)


def dropout(x, p, scale, seed, stream, offset, group=1):
    count = x.size // group
    words = philox_words(seed, stream, offset, (count + 1) // 2)
    halves = [half for word in words for half in (word & 0xFFFF, word >> 16)][:count]
    factors = [scale if half >= round(p * 65536) else 0.0 for half in halves]
    return x * np.repeat(factors, group).reshape(x.shape)


def normal(shape, dtype, seed, stream, offset):
    size = int(np.prod(shape))
    u = uniform(((size + 1) // 2, 2), dtype, seed, stream, offset)
    radius, angle = np.sqrt(-2 * np.log1p(-u[:, 0])), 2 * np.pi * u[:, 1]
    return np.stack([radius * np.cos(angle), radius * np.sin(angle)], 1).reshape(-1)[:size].reshape(shape)


# --- attention -------------------------------------------------------------------------------------------------------
def attention(q, k, v, mask=None, is_causal=False, scale=None, dropped=None):
    """softmax(scale · q kᵀ + mask) v with the weights in full; 0 where a query sees no key."""
    scores = q @ k.swapaxes(-1, -2) * (1 / np.sqrt(q.shape[-1]) if scale is None else scale)
    if mask is not None:
        scores = np.where(mask, scores, -np.inf) if mask.dtype == bool else scores + mask
    if is_causal:
        scores = np.where(np.tril(np.ones(scores.shape[-2:], bool)), scores, -np.inf)
    highest = scores.max(-1, keepdims=True, initial=-np.inf)
    weights = np.exp(scores - np.where(np.isfinite(highest), highest, 0))
    total = weights.sum(-1, keepdims=True)
    weights = weights / np.where(total == 0, 1, total)
    if dropped is not None:
        p, *place = dropped
        keys = weights.shape[-1]
        padded = np.zeros((*weights.shape[:-1], -(-keys // 32) * 32))
        padded[..., :keys] = weights
        weights = dropout(padded, p, 1 / (1 - p), *place)[..., :keys]
    return weights @ v
