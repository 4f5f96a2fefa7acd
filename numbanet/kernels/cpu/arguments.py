"""Rows of arguments: a NamedTuple of annotated fields, written by Python and read by the kernel of the same class.

A row begins with a header (kernel address, tasks, chunk, scratch size, violation area), then comes a word a field:
an address for a pointer (in the check mode also its buffer's begin and end), an integer, or the bits of a float64.
"""

from __future__ import annotations

import struct
from itertools import accumulate
from typing import get_type_hints

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from numbanet.kernels.array import Array
from numbanet.kernels.cpu.simd.pointers import CHECKED, F32, I64, Pointer, from_words

HEADER = 5
KERNEL, TASKS, CHUNK, SCRATCH, VIOLATION = range(HEADER)
ROW = types.CPointer(types.int64)
I64_FIELD = types.int64
F64_FIELD = types.float64


def field_types(cls: type) -> list[types.Type]:
    """The Numba types of the fields of an argument class, in order."""
    hints = get_type_hints(cls)
    return [hints[name] for name in cls._fields]


class RowWriter:
    """Packs a header and an instance of an argument class into a buffer of int64 words.

    ``columns`` lists the pointers among the fields as (field, its first word), ``width`` is how many words a pointer
    has; ``random_columns`` are the words of the fields ``seed`` and ``block`` (or ``random_block``) if it has
    these."""

    __slots__ = ("columns", "pack_into", "pointers", "random_columns", "size", "width")

    def __init__(self, cls: type) -> None:
        kinds = field_types(cls)
        widths = [kind.words if isinstance(kind, Pointer) else 1 for kind in kinds]
        at = dict(zip(cls._fields, accumulate(widths, initial=0), strict=False))
        self.width = F32.words
        self.columns = [(i, at[cls._fields[i]]) for i, kind in enumerate(kinds) if isinstance(kind, Pointer)]
        block = at.get("block", at.get("random_block"))
        self.random_columns = None if block is None or "seed" not in at else (at["seed"], block)
        self.pointers = tuple(i for i, kind in enumerate(kinds) if isinstance(kind, Pointer))
        words = "".join(
            "q" * kind.words if isinstance(kind, Pointer) else "d" if isinstance(kind, types.Float) else "q"
            for kind in kinds
        )
        packer = struct.Struct(f"{HEADER}q{words}")
        self.pack_into = packer.pack_into
        self.size = packer.size

    def values(self, args: tuple) -> list:
        """The words of the fields; an Array gives its address, None the null pointer."""
        row = list(args)
        for i in self.pointers:
            array = row[i]
            row[i] = 0 if array is None else array if type(array) is int else array.address
        return row


class CheckedRowWriter(RowWriter):
    """As RowWriter, with the begin and end of every buffer."""

    __slots__ = ()

    def values(self, args: tuple) -> list:
        row: list = []
        for i, value in enumerate(args):
            if i not in self.pointers:
                row.append(value)
            elif isinstance(value, Array):
                begin = value.storage.address
                row += [value.address, begin, begin + value.storage.nbytes]
            else:
                row += [0, 0, 0]
        return row


def row_writer(cls: type) -> RowWriter:
    return (CheckedRowWriter if CHECKED else RowWriter)(cls)


def _word(builder, row, index):
    return builder.load(builder.gep(row, [ir.Constant(I64, index)]))


@intrinsic
def unpack(typingctx, row, cls):
    """The arguments of a row as an instance of the NamedTuple ``cls``."""
    kinds = field_types(cls.instance_class)
    result = types.NamedTuple(kinds, cls.instance_class)

    def codegen(context, builder, sig, args):
        at, values = 0, []
        violation = _word(builder, args[0], VIOLATION - HEADER)
        for kind in kinds:
            if isinstance(kind, Pointer):
                words = [_word(builder, args[0], at + i) for i in range(kind.words)]
                values.append(from_words(context, builder, kind, words, violation))
                at += kind.words
            else:
                word = _word(builder, args[0], at)
                values.append(builder.bitcast(word, ir.DoubleType()) if isinstance(kind, types.Float) else word)
                at += 1
        return context.make_tuple(builder, result, values)

    return result(row, cls), codegen


@intrinsic
def workspace(typingctx, row, scratch):
    """The thread's scratch memory as a float32 pointer; its size was declared with the row."""

    def codegen(context, builder, sig, args):
        row, address = args
        size = builder.mul(_word(builder, row, SCRATCH - HEADER), ir.Constant(I64, 4))
        words = [address, address, builder.add(address, size)] if CHECKED else [address]
        return from_words(context, builder, F32, words, _word(builder, row, VIOLATION - HEADER))

    return F32(row, scratch), codegen


@intrinsic
def is_null(typingctx, pointer):
    """Whether the pointer was None in the row."""

    def codegen(context, builder, sig, args):
        address = builder.extract_value(args[0], 0) if CHECKED else builder.ptrtoint(args[0], I64)
        return builder.icmp_unsigned("==", address, ir.Constant(I64, 0))

    return types.boolean(pointer), codegen
