"""Kernels of a command: their cache before numba is there, one line for whoever waits, and the compiling."""

import gc
import hashlib
import os
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sensor import log
from sensor.cli.build import DEFAULT_BUNDLE
from sensor.cli.signals import ended_by_interrupt
from sensor.process.kernel_cache import COMPLETE, kernels_are_compiled, use_kernel_cache

if TYPE_CHECKING:
    from sensor.settings.config import Config

MACHINE: Final = "one core of an AMD EPYC 9005"  # on which the times below were measured


@dataclass(frozen=True, slots=True)
class Kernels:
    """Kernels that are compiled together."""

    name: str  # of the mark that they leave in the cache
    cpu_s: int  # processor time of compiling all of them, measured on MACHINE
    compiled: bool = False  # whether they are in the cache, as far as was looked


METERING: Final = Kernels("meter", 8)
METERING_AS: Final = {"cicflowmeter-v4": Kernels("meter-cicflowmeter-v4", 8)}
JUDGING: Final = Kernels(COMPLETE, 18)
SERVING: Final = Kernels("serve", 22)
EVERYTHING: Final = Kernels("everything", 24)


def cached(kernels: Kernels, config: "Config | None" = None) -> Kernels:
    """Choose numba's cache, before anything imports numba, and look whether these kernels are there.

    config: of kernels that judge: they differ with the bundle, each of which has detectors of its own.
    """
    wanted = kernels if config is None else of_bundle(kernels, config.detection.bundle)
    return replace(wanted, compiled=use_kernel_cache(wanted.name))


def of_bundle(kernels: Kernels, bundle: Path | None) -> Kernels:
    """Those for a bundle, as it is named; None is the default one."""
    if bundle is None or str(bundle) == DEFAULT_BUNDLE:
        return kernels
    return replace(kernels, name=f"{kernels.name}-{hashlib.sha256(os.fsencode(bundle)).hexdigest()[:16]}")


@contextmanager
def compiling(kernels: Kernels, *, quiet: bool) -> Iterator[None]:
    """Have kernels compiled by what is done inside, and note in the cache that they were.

    One line says how long it takes, unless they were compiled before. An interrupt ends the process on the spot.
    """
    if not quiet and not kernels.compiled:
        tell_of_compiling(kernels)
    gc.disable()  # the compiler makes millions of objects and drops them by itself: a tenth of its time
    try:
        with ended_by_interrupt():
            yield
    finally:
        gc.enable()
    kernels_are_compiled(kernels.name)


def tell_of_compiling(kernels: Kernels) -> None:
    """Say what the user waits for."""
    log.info(f"first run: compiling kernels, which takes {kernels.cpu_s} s of {MACHINE}")
