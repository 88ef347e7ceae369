"""How kernels are compiled: one decorator for the functions Python calls, one for those that only kernels call.

And where the arrays that they pass over often begin.
"""

import math
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar, cast

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic, register_jitable
from numpy.typing import NDArray

from kernels.cache import KernelCache

F = TypeVar("F", bound=Callable[..., Any])

# A scalar of the compiler's choosing, int64 in most kernels and uint64 in hashes; to the interpreter Python's or
# numpy's, which mypy cannot mix.
Word = Any

# A signed index makes numba test for negative values; mixing int64 with uint64 gives float64. So offsets are int64
# until the moment of indexing, where U casts them.
U = np.uint64


BLAS = "scipy.linalg.cython_blas"


def _load_without_blas() -> None:
    """Load the part of numba that wants to know whether there is a BLAS, with the answer that there is none.

    It asks by loading all of scipy.linalg, 0.15 s and 16 MB of every command, and no kernel calls it.
    """
    if BLAS in sys.modules:
        return
    sys.modules[BLAS] = cast("Any", None)  # which makes an import of it an ImportError
    try:
        import numba.np.arraymath  # noqa: F401
    finally:
        del sys.modules[BLAS]


_load_without_blas()
compiler: Any = numba.njit  # its signature leaves out _nrt
configuration: Any = numba.config  # its settings are made when numba is imported
CACHE_DIRECTORY: str = configuration.CACHE_DIR  # "": nothing is kept
insert_function: Any = cgutils.get_or_insert_function  # untyped


# Kernels allocate nothing, so numba's runtime is off (_nrt): its reference counts on every array argument of every call
# cost more than the metering itself.
OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "_nrt": False}


def entry(function: F) -> F:
    """Compile a kernel that Python calls: kept on disk where NUMBA_CACHE_DIR says so, without the interpreter lock."""
    compiled = compiler(no_cfunc_wrapper=True, **OPTIONS)(function)
    if CACHE_DIRECTORY and not configuration.DISABLE_JIT:
        compiled._cache = KernelCache(function, Path(CACHE_DIRECTORY))  # not numba's, which stops at a full disk
    return cast("F", compiled)


def inner(function: F) -> F:
    """Compile a kernel as a part of those that call it, into their cache entries; to Python it stays as it is.

    numba.njit would give each of them a way in from Python, one from C, and a copy for every constant argument: a third
    of all compiling.
    """
    return register_jitable(no_cfunc_wrapper=True, **OPTIONS)(function)


def inlined(function: F) -> F:
    """Compile a small kernel into its callers: an array argument is seven words, dear in a call for each packet."""
    return cast("F", compiler(inline="always", **OPTIONS)(function))


Scalar = TypeVar("Scalar", bound=np.generic)


def as_taken(array: NDArray[Any], kind: type[Scalar]) -> NDArray[Scalar]:
    """The array as kernels take it, of this type of number, contiguous and writable; a copy where it is not so already.

    Kernels are compiled for such arrays alone: another layout would compile again at run time. numpy.require says the
    same and takes ten times as long, which counts where a batch has few rows.
    """
    flags = array.flags
    if array.dtype == kind and flags.c_contiguous and flags.writeable and flags.aligned:
        return array
    return np.require(array, kind, ["C", "W", "A"])


LINE = 64  # bytes of a cache line


def aligned(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Array that is not set yet and begins where a cache line does: vectors across two lines take twice as long."""
    count = 4 * math.prod(shape)
    room = np.empty(count + LINE, dtype=np.uint8)
    begin = -room.ctypes.data % LINE
    return room[begin : begin + count].view(np.float32).reshape(shape)


if configuration.DISABLE_JIT:

    def prefetch(array: Any, index: Any) -> None:
        """Do nothing: interpreted kernels have no use for a cache hint."""

else:

    @intrinsic
    def prefetch(_context: Any, array: Any, index: Any) -> Any:
        """Ask the processor to fetch array[index] of a one-dimensional array for writing; never faults."""
        signature = types.void(array, index)

        def codegen(context: Any, builder: Any, signature: Any, arguments: Any) -> Any:
            struct = context.make_array(signature.args[0])(context, builder, arguments[0])
            pointer = builder.gep(struct.data, [arguments[1]])
            byte, word = ir.IntType(8).as_pointer(), ir.IntType(32)
            hint = insert_function(
                builder.module, ir.FunctionType(ir.VoidType(), [byte, word, word, word]), "llvm.prefetch.p0"
            )
            # write access, keep in all cache levels, data cache
            builder.call(hint, [builder.bitcast(pointer, byte), word(1), word(3), word(1)])
            return context.get_dummy_value()

        return signature, codegen
