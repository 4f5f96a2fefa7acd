"""Locally connected layers: one output channel and many, strides, padding, several blocks of rows."""

from __future__ import annotations

from tests.kernels_cpu.cases.case import Case, of_terms, random, unset

# name: (n, c, h, w), output channels, kernel, stride, padding
LAYERS = {
    "one of all": ((1, 1, 1, 1), 1, (1, 1), (1, 1), (0, 0)),
    "grey": ((5, 1, 9, 8), 3, (3, 3), (1, 1), (1, 1)),
    "one picture": ((1, 3, 11, 7), 19, (5, 3), (2, 1), (2, 1)),
    "wide": ((17, 3, 6, 9), 37, (3, 2), (1, 2), (0, 1)),
    "beside the picture": ((2, 2, 3, 3), 8, (2, 2), (3, 3), (3, 3)),
}


def _cases():
    for name, (shape, o, kernel, stride, padding) in LAYERS.items():
        size = [(shape[2 + a] + 2 * padding[a] - kernel[a]) // stride[a] + 1 for a in (0, 1)]
        out, weight = (shape[0], o, *size), (size[0] * size[1], shape[1] * kernel[0] * kernel[1], o)
        x, w, grad = random(name, *shape), random(f"{name} weight", *weight), random(f"{name} grad", *out)
        for kind, patches in (("", ()), (", row by row", (("local", "PATCH_ELEMENTS", 1),))):
            for function, arrays in (
                ("locally_connected2d", (unset(*out), x, w)),
                ("locally_connected2d_input_grad", (unset(*shape), grad, w)),
                ("locally_connected2d_weight_grad", (unset(*weight), grad, x)),
            ):
                args = (*arrays, kernel, stride, padding)
                yield Case(f"{function} {name}{kind}", function, args, tolerance=of_terms(8), patches=patches)


LOCALS = list(_cases())
