"""How kernels are compiled: one decorator for the functions Python calls, one for those that only kernels call.

The same two as in flows.jit, which this room must not import; and where the arrays that they pass over often begin.
"""

import math
from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba
import numpy as np
from numba.extending import register_jitable
from numpy.typing import NDArray

F = TypeVar("F", bound=Callable[..., Any])

# A scalar of the compiler's choosing, such as float32 or uint64; to the interpreter Python's or numpy's, which mypy
# cannot mix.
Word = Any

compiler: Any = numba.njit  # its signature leaves out _nrt
configuration: Any = numba.config  # its settings are made when numba is imported
CACHED = bool(configuration.CACHE_DIR)  # else numba would look for a place of its own, and end the import without one


# As in flows.jit: kernels allocate nothing.
OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "_nrt": False}


def entry(function: F) -> F:
    """Compile a kernel that Python calls: kept on disk where NUMBA_CACHE_DIR says so, without the interpreter lock."""
    return cast("F", compiler(cache=CACHED, no_cfunc_wrapper=True, **OPTIONS)(function))


def inner(function: F) -> F:
    """Compile a kernel as a part of those that call it, into their cache entries; to Python it stays as it is.

    numba.njit would give each of them a way in from Python, one from C, and a copy for every constant argument: a third
    of all compiling.
    """
    return register_jitable(no_cfunc_wrapper=True, **OPTIONS)(function)


LINE = 64  # bytes of a cache line


def aligned(shape: tuple[int, ...]) -> NDArray[np.float32]:
    """Array that is not set yet and begins where a cache line does: vectors across two lines take twice as long."""
    count = 4 * math.prod(shape)
    room = np.empty(count + LINE, dtype=np.uint8)
    begin = -room.ctypes.data % LINE
    return room[begin : begin + count].view(np.float32).reshape(shape)
