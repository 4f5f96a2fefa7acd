"""Locally connected layers as products of patches with the weights of each position.

out[:, :, position] = patches (n, k) · weight[position] (k, o): the weights, far more than all else, are read where they
lie, in vectors over output channels, and serve the whole batch. Positions are done some rows at a time, so that the
patches stay bounded; these live in memory of the program.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from numbanet.kernels.cpu import gemm
from numbanet.kernels.cpu.arguments import I64_FIELD, unpack
from numbanet.kernels.cpu.kernel import kernel
from numbanet.kernels.cpu.pointwise import float32_contiguous
from numbanet.kernels.cpu.pool_rows import fill
from numbanet.kernels.cpu.simd.lanes import transpose_eight
from numbanet.kernels.cpu.simd.pointers import F32

PATCH_ELEMENTS = 1 << 20
"""Elements of the patches of the rows of positions that are done together, if one row does not have more."""
ELEMENTS_A_CHUNK = 1 << 14


class Patches(NamedTuple):
    """Arguments: x (n, c, h, w) and patches (rows · out_width, n, c · kernel_y · kernel_x), from row ``first`` on."""

    patches: F32
    x: F32
    pictures: I64_FIELD
    channels: I64_FIELD
    height: I64_FIELD
    width: I64_FIELD
    first: I64_FIELD
    rows: I64_FIELD
    out_width: I64_FIELD
    kernel_y: I64_FIELD
    kernel_x: I64_FIELD
    stride_y: I64_FIELD
    stride_x: I64_FIELD
    pad_y: I64_FIELD
    pad_x: I64_FIELD


class Turn(NamedTuple):
    """Arguments: out[j · out_row + i] = x[i · x_row + j] for i < rows, j < columns."""

    out: F32
    x: F32
    rows: I64_FIELD
    columns: I64_FIELD
    out_row: I64_FIELD
    x_row: I64_FIELD


@kernel(Patches)
def local_patches(start, stop, row, scratch):
    """patches[position, picture] = its cells of the padded picture; a task is one position."""
    p = unpack(row, Patches)
    cells = p.kernel_y * p.kernel_x
    depth = p.channels * cells
    for position in range(start, stop):
        y = position // p.out_width
        top, left = (p.first + y) * p.stride_y - p.pad_y, (position - y * p.out_width) * p.stride_x - p.pad_x
        begin, end = max(-left, 0), min(p.kernel_x, p.width - left)
        for plane in range(p.pictures * p.channels):
            x = p.x + plane * p.height * p.width
            out = p.patches + (position * p.pictures * depth + plane * cells)
            for ky in range(p.kernel_y):
                line = top + ky
                inside = line >= 0 and line < p.height
                for kx in range(p.kernel_x):
                    value = np.float32(0)
                    if inside and kx >= begin and kx < end:
                        value = x[line * p.width + left + kx]
                    out[ky * p.kernel_x + kx] = value
    return 0


@kernel(Patches)
def local_fold(start, stop, row, scratch):
    """x += the patches at their places, in the order of positions; a task is one plane. x = 0 before the first row."""
    p = unpack(row, Patches)
    cells = p.kernel_y * p.kernel_x
    depth = p.channels * cells
    for plane in range(start, stop):
        x = p.x + plane * p.height * p.width
        if p.first == 0:
            fill(x, 0, p.height * p.width, np.float32(0))
        for y in range(p.rows):
            top = (p.first + y) * p.stride_y - p.pad_y
            for j in range(p.out_width):
                left = j * p.stride_x - p.pad_x
                patch = p.patches + ((y * p.out_width + j) * p.pictures * depth + plane * cells)
                for ky in range(max(-top, 0), min(p.kernel_y, p.height - top)):
                    for kx in range(max(-left, 0), min(p.kernel_x, p.width - left)):
                        x[(top + ky) * p.width + left + kx] += patch[ky * p.kernel_x + kx]
    return 0


@kernel(Turn)
def turn(start, stop, row, scratch):
    """out = x transposed; a task is eight rows of out, each a column of x."""
    p = unpack(row, Turn)
    whole = p.rows // 8 * 8
    for j in range(start * 8, min(stop * 8, p.columns), 8):
        if j + 8 <= p.columns:
            for i in range(0, whole, 8):
                transpose_eight(p.out + (j * p.out_row + i), p.out_row, p.x + (i * p.x_row + j), p.x_row, 8)
        for k in range(j, min(j + 8, p.columns)):
            for i in range(whole if j + 8 <= p.columns else 0, p.rows):
                p.out[k * p.out_row + i] = p.x[i * p.x_row + k]
    return 0


def _append_turn(program, out, x, rows, columns, out_row, x_row) -> None:
    tasks, each = -(-columns // 8), 8 * rows
    chunk = max(1, min(ELEMENTS_A_CHUNK // each, tasks))
    program.append(turn, tasks, Turn(out, x, rows, columns, out_row, x_row), chunk=chunk)


class _Rows(NamedTuple):
    """Some rows of positions: what a block of the loop below needs."""

    patches: object
    weight: object
    args: Patches
    positions: int
    begin: int


def _blocks(program, picture, weight, pooled, kernel, stride, padding):
    """Cut the positions into blocks of rows, whose patches share one workspace."""
    n, c, h, w = picture.shape
    _, o, oh, ow = pooled.shape
    depth = c * kernel[0] * kernel[1]
    rows = max(1, min(oh, PATCH_ELEMENTS // (ow * n * depth)))
    space = program.workspace((rows * ow, n, depth))
    for first in range(0, oh, rows):
        count = min(rows, oh - first)
        patches = space.view((count * ow, n, depth))
        part = weight.view((count * ow, depth, o), None, weight.offset + first * ow * depth * o)
        args = Patches(patches, picture, n, c, h, w, first, count, ow, *kernel, *stride, *padding)
        yield _Rows(patches, part, args, count * ow, first * ow)


def _append_patches(program, block: _Rows) -> None:
    each = block.patches.size // block.positions
    chunk = max(1, min(ELEMENTS_A_CHUNK // each, block.positions))
    program.append(local_patches, block.positions, block.args, chunk=chunk)


def _part(array, begin: int):
    """array (n, o, oh, ow) from the position ``begin`` on, for a kernel that knows its strides."""
    return array.view((array.size - begin,), None, array.offset + begin)


def locally_connected2d(program, out, x, weight, kernel, stride, padding):
    reason = float32_contiguous(out, x, weight) or ("an empty array" if x.size == 0 or weight.size == 0 else None)
    if reason is not None:
        return reason
    n, o, oh, ow = out.shape
    for block in _blocks(program, x, weight, out, kernel, stride, padding):
        results = program.workspace((block.positions, n, o))
        _append_patches(program, block)
        gemm.matmul(program, results, block.patches, block.weight)
        _append_turn(program, _part(out, block.begin), results, block.positions, n * o, oh * ow, n * o)
    return None


def _gradient_of(program, block: _Rows, grad):
    """The gradients (positions, n, o) of a block."""
    n, o, oh, ow = grad.shape
    results = program.workspace((block.positions, n, o))
    _append_turn(program, results, _part(grad, block.begin), n * o, block.positions, n * o, oh * ow)
    return results


def locally_connected2d_input_grad(program, out, grad, weight, kernel, stride, padding):
    reason = float32_contiguous(out, grad, weight) or ("an empty array" if 0 in (out.size, weight.size) else None)
    if reason is not None:
        return reason
    n, c = out.shape[:2]
    for block in _blocks(program, out, weight, grad, kernel, stride, padding):
        positions, depth, o = block.weight.shape
        transposed = block.weight.view((positions, o, depth), (depth * o, 1, o))
        gemm.matmul(program, block.patches, _gradient_of(program, block, grad), transposed)
        chunk = max(1, min(ELEMENTS_A_CHUNK // (positions * kernel[0] * kernel[1]), n * c))
        program.append(local_fold, n * c, block.args, chunk=chunk)
    return None


def locally_connected2d_weight_grad(program, out, grad, x, kernel, stride, padding):
    reason = float32_contiguous(out, grad, x) or ("an empty array" if 0 in (x.size, out.size) else None)
    if reason is not None:
        return reason
    for block in _blocks(program, x, out, grad, kernel, stride, padding):
        _append_patches(program, block)
        positions, n, depth = block.patches.shape
        transposed = block.patches.view((positions, depth, n), (n * depth, 1, depth))
        gemm.matmul(program, block.weight, transposed, _gradient_of(program, block, grad))
    return None


FUNCTIONS = (locally_connected2d, locally_connected2d_input_grad, locally_connected2d_weight_grad)
