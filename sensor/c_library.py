"""Functions of the C library that Python has no words for."""

import ctypes
import errno
import os
from functools import cache


def call(name: str, *arguments: object) -> int:
    """Call a function that returns a negative number for an error, and sets errno; what it returned.

    Raises OSError: with ENOSYS where the library has none of that name. Integers are int of C; others need ctypes.
    """
    function = getattr(_library(), name, None)
    if function is None:
        raise OSError(errno.ENOSYS, os.strerror(errno.ENOSYS), name)
    result = int(function(*arguments))
    if result < 0:
        code = ctypes.get_errno()
        raise OSError(code, os.strerror(code), name)
    return result


@cache  # each one made holds itself by a circle, which waits for the collector of such
def _library() -> ctypes.CDLL | None:
    return ctypes.CDLL(None, use_errno=True) if os.name == "posix" else None
