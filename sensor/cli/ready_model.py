"""The model of a run, with every kernel of it compiled."""

import gc
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING

from sensor.cli.build import build_judge, build_meter, load_model, warm_packet_keeping
from sensor.cli.kernels import Kernels, compiling

if TYPE_CHECKING:
    from models.fusion import Hybrid
    from sensor.settings.config import Config


def ready_model(
    config: "Config", kernels: Kernels, beforehand: Callable[[], None], *, quiet: bool, live: bool = False
) -> "Hybrid":
    """The model, with all kernels of a run compiled.

    kernels: those of judging. beforehand: raises what the run would stop at, before anything is compiled. live: also
    run every kernel once, as a ring that waits for a compiler loses packets.
    """
    hybrid = load_model(config)
    judge = build_judge(config, hybrid)  # refuses settings that the model does not support
    if not kernels.compiled:
        beforehand()
    if live or not kernels.compiled:  # so that the run's own times are the sensor's, not the compiler's
        from sensor.run.warmup import warm_up

        with compiling(kernels, quiet=quiet):
            warm_up(build_meter(config), judge)
            if live:
                _warm_capture()
    warm_packet_keeping(config)
    gc.freeze()  # what is loaded by now stays: the collector need not walk it again and again
    return hybrid


def _warm_capture() -> None:
    from sensor.packets.pcapng import warm_packet_builder

    warm_packet_builder()
    if sys.platform == "linux":
        from sensor.sources.live.ring import warm_ring_walker

        warm_ring_walker()
