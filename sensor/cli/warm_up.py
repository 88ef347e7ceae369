"""`flowvigil warm-up`: every kernel into the cache, so that nobody waits for the compiler later."""

import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from sensor import log
from sensor.cli.build import build_judge, build_meter, build_table_meter, load_model, shipped_bundles
from sensor.cli.kernels import EVERYTHING, JUDGING, METERING, METERING_AS, SERVING, cached, compiling, of_bundle
from sensor.errors import OK, OUTPUT
from sensor.process.kernel_cache import VARIABLE, are_compiled, kernels_are_compiled

if TYPE_CHECKING:
    from models.fusion import Hybrid
    from sensor.settings.config import Config

SilentOption = Annotated[bool, typer.Option("-q", "--quiet", help="Nothing but errors.")]


def warm_up(quiet: SilentOption = False) -> int:
    """Compile all kernels into the cache, once after installing. No command waits for that any more.

    \b
    flowvigil warm-up
    sudo flowvigil warm-up     # for sudo flowvigil watch: root has its own cache
    flowvigil warm-up -q && flowvigil read capture.pcap

    Each user has a cache, ~/.cache/flowvigil or below XDG_CACHE_HOME, and a service the one that it was given
    (CacheDirectory=): the service file calls this as ExecStartPre=, as its own user. Only what a new version, or
    another version of Python or of the compiler, has changed is compiled again. Where all is there it ends at once.

    Kernels are those of all shipped bundles, and of every command but train and evaluate. The exit code is 0 when they
    are in the cache, 7 when there is no place for one.
    """
    everything = cached(EVERYTHING)
    if VARIABLE not in os.environ:
        return OUTPUT  # which was said
    directory = Path(os.environ[VARIABLE])
    if are_compiled(EVERYTHING.name):
        if not quiet:
            log.info(f"all kernels are in {directory} already")
        return OK
    started = time.monotonic()
    with compiling(everything, quiet=quiet):
        _compile_everything()
    if not quiet:
        log.info(f"kernels compiled in {time.monotonic() - started:.0f} s, kept in {directory}")
    return OK


def _compile_everything() -> None:
    from flows.meter import NO_PACKETS
    from sensor.run.warmup import warm_up_reading
    from sensor.settings.config import Config

    warm_up_reading()
    for program, kernels in [(None, METERING), *METERING_AS.items()]:
        build_table_meter(Config(), program).feed(NO_PACKETS)
        kernels_are_compiled(kernels.name)
    _warm_capture()
    for name, directory in shipped_bundles().items():
        _compile_for(name, directory)


def _compile_for(name: str, directory: Path) -> None:
    """What judges and what serves with a shipped bundle, whatever the working directory has by its name."""
    from sensor.settings.config import Config

    config, bundle = Config(), Path(name)
    config = config.model_copy(update={"detection": config.detection.model_copy(update={"bundle": directory})})
    hybrid = load_model(config)
    _compile_serving(config, hybrid)
    kernels_are_compiled(of_bundle(SERVING, bundle).name)
    if not _needs_payloads(hybrid):
        from sensor.run.warmup import warm_up as warm_up_judging

        warm_up_judging(build_meter(config), build_judge(config, hybrid))
        kernels_are_compiled(of_bundle(JUDGING, bundle).name)


def _compile_serving(config: "Config", hybrid: "Hybrid") -> None:
    from sensor.api.scoring import ModelPool
    from sensor.api.warmup import warm_up as warm_up_serving
    from sensor.cli.serve import capture_reader_for
    from sensor.episodes.reasons import Explainer

    models = ModelPool(hybrid, Explainer(hybrid.normal), config.detection.false_positive_rate, copies=1)
    warm_up_serving(models, capture_reader_for(config, hybrid))


def _needs_payloads(hybrid: "Hybrid") -> bool:
    """Whether only `serve` can take the bundle."""
    from flows.kdd.columns import kdd_contract

    return hybrid.contract == kdd_contract(content=True)


def _warm_capture() -> None:
    from sensor.packets.recorder import warm_packet_recorder

    warm_packet_recorder()
    if sys.platform == "linux":
        from sensor.sources.live.ring import warm_ring_walker

        warm_ring_walker()
