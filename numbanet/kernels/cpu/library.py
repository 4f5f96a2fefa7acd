"""How Numba's code libraries are used here: machine code for kernels only, and one optimisation each.

Numba optimises every function by itself, makes machine code for it, and does both again for whatever it is linked into.
A device function is only ever linked into kernels, so here it stays the code that Numba's lowering wrote; a kernel is
optimised once, with all of its device functions inside. That halves the compile time.
"""

from __future__ import annotations

from llvmlite.binding import create_pass_builder, create_pipeline_tuning_options
from numba.core.codegen import JITCodeLibrary
from numba.core.compiler import Compiler
from numba.core.typed_passes import NativeLowering

from numbanet.kernels.cpu.lowering import LowerKernel


class PlainLibrary(JITCodeLibrary):
    """Code as Numba's lowering wrote it."""

    def _optimize_functions(self, ll_module: object) -> None:
        """Nothing: the passes over the whole kernel begin with those over each function."""
        ll_module.data_layout = self._codegen._data_layout


class LinkedLibrary(PlainLibrary):
    """The code of a device function: to be linked into a kernel, never run."""

    def finalize(self) -> None:
        """Link what this function calls; nothing is optimised and nothing becomes machine code."""
        self._raise_if_finalized()
        for library in dict.fromkeys(self._linking_libraries):
            self._final_module.link_in(library._get_module_for_linking(), preserve=True)
        self._finalized = True

    def get_pointer_to_function(self, name: str) -> int:
        """No function of this library has an address."""
        self._ensure_finalized()
        return 0

    @property
    def codegen(self) -> LinkedLibrary:
        """Who sets the environment of a function once it has an address: nobody."""
        return self

    def set_env(self, env_name: str, env: object) -> None:
        """Kernels are free of Python objects and so of environments."""


class KernelLibrary(PlainLibrary):
    """The code of a kernel with all of its device functions."""

    def _optimize_final_module(self) -> None:
        # Numba's first pass collects references to count, and LLVM's vectorisers find nothing to do: there are no
        # Python objects, and the kernels are written in vectors.
        options = create_pipeline_tuning_options(speed_level=2)
        options.loop_vectorization = options.slp_vectorization = False
        builder = create_pass_builder(self._codegen._tm, options)
        builder.getModulePassManager().run(self._final_module, builder)


class RememberingContext:
    """Numba's typing context, which resolves a call of given types once: its inference asks again and again."""

    def __init__(self, context: object) -> None:
        self._context = context
        self._found: dict = {}

    def __getattr__(self, name: str) -> object:
        return getattr(self._context, name)

    def resolve_function_type(self, func: object, args: tuple, kws: dict) -> object:
        """The signature of a call."""
        key = (func, args, *kws.items())
        signature = self._found.get(key)
        if signature is None:
            signature = self._context.resolve_function_type(func, args, kws)
            if signature is not None:
                self._found[key] = signature
        return signature


_remembering: dict[int, RememberingContext] = {}
NEEDLESS = {
    "WithLift", "InlineClosureLikes", "MakeFunctionToJitFunction", "InlineOverloads", "NopythonRewrites",
    "IRLegalization",
}  # fmt: skip
"""Passes for what kernels do not hold: ``with`` blocks, closures, NumPy expressions, objects that must be deleted."""


def _compiler(library_class: type[JITCodeLibrary]) -> type[Compiler]:
    class LibraryCompiler(Compiler):
        def __init__(self, typingctx, targetctx, library, args, return_type, flags, locals):
            if library is None:
                library = library_class(targetctx.codegen(), library_class.__name__)
                library.enable_object_caching()
            remembering = _remembering.setdefault(id(typingctx), RememberingContext(typingctx))
            super().__init__(remembering, targetctx, library, args, return_type, flags, locals)

        def define_pipelines(self) -> list:
            pipelines = super().define_pipelines()
            for pipeline in pipelines:
                pipeline.passes = [
                    (LowerKernel, text) if one is NativeLowering else (one, text)
                    for one, text in pipeline.passes
                    if one.__name__ not in NEEDLESS
                ]
            return pipelines

    return LibraryCompiler


DeviceCompiler = _compiler(LinkedLibrary)
"""Numba's pipeline with a ``LinkedLibrary``."""
KernelCompiler = _compiler(KernelLibrary)
"""Numba's pipeline with a ``KernelLibrary``."""
