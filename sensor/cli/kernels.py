"""The cache of compiled kernels, and a line for whoever waits until there are some."""

from sensor import log
from sensor.process.kernel_cache import COMPLETE, use_kernel_cache


def cached_kernels(kernels: str = COMPLETE, *, quiet: bool, wait: str = "about half a minute") -> bool:
    """Point numba at its cache before anything imports it; False, which is said, when these must be compiled first."""
    compiled = use_kernel_cache(kernels)
    if not compiled and not quiet:
        tell_of_compiling(wait)
    return compiled


def tell_of_compiling(wait: str = "about half a minute") -> None:
    """Say what the user waits for."""
    log.info(f"first run: compiling kernels, which takes {wait}")
