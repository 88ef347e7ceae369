"""How kernels are compiled: one decorator for the functions Python calls, one for those that only kernels call.

The same two as in flows.jit, which this room must not import; here kernels may allocate, so numba's runtime stays on.
"""

from collections.abc import Callable
from typing import Any, TypeVar, cast

import numba

F = TypeVar("F", bound=Callable[..., Any])

# A scalar of the compiler's choosing, such as float32 or uint64; to the interpreter Python's or numpy's, which mypy
# cannot mix.
Word = Any

configuration: Any = numba.config  # its settings are made when numba is imported
CACHED = bool(configuration.CACHE_DIR)  # else numba would look for a place of its own, and end the import without one


def entry(function: F) -> F:
    """Compile a kernel that Python calls: kept on disk where NUMBA_CACHE_DIR says so, without the interpreter lock."""
    return cast("F", numba.njit(cache=CACHED, nogil=True, error_model="numpy")(function))


def inner(function: F) -> F:
    """Compile a kernel that only other kernels call; it lives in their cache entry, which it does not renew."""
    return cast("F", numba.njit(nogil=True, error_model="numpy")(function))
