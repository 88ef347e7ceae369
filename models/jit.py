"""How kernels are compiled: kept on disk where NUMBA_CACHE_DIR says so, without the interpreter lock."""

from typing import Any

import numba

configuration: Any = numba.config  # its settings are made when numba is imported

# Without a directory numba would look for a place of its own, and end the import where there is none.
kernel: Any = numba.njit(cache=bool(configuration.CACHE_DIR), nogil=True, error_model="numpy")
