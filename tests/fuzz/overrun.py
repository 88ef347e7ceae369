"""The control of the bounds check: a kernel that reads one byte too far must raise."""

import numpy as np

from flows.block import Bytes
from kernels.jit import U, Word, entry


@entry
def byte_behind(buffer: Bytes) -> Word:
    """The byte behind the last one."""
    return buffer[U(len(buffer))]


def check_that_bounds_are_checked() -> None:
    """Raise RuntimeError when kernels of this process may read outside their arrays."""
    try:
        byte_behind(np.zeros(3, dtype=np.uint8))
    except IndexError:
        return
    raise RuntimeError("bounds are not checked: NUMBA_BOUNDSCHECK=1 must be set, and the kernels compiled with it")
