"""Checks of the model: whether the bundle fits, its compiled kernels, and the packet rate of one core."""

import sys
import time
from typing import Final

import numpy as np

from flows.meter import Meter
from sensor.checks.result import CheckContext, CheckStatus, Observation
from sensor.episodes.learned_site import site_in_words
from sensor.errors import SensorError
from sensor.judging.judge import Judge

SEED: Final = 1
MINUTES: Final = 0.5
BLOCK_PACKETS: Final = 4096
MEASURED_S: Final = 1.0  # of the core's time
LONGEST_S: Final = 5.0  # of the clock, where other programs use the core


def bundle(context: CheckContext) -> Observation:
    """Load the bundle, which must fit the features of this version's meter. Raises ModelError."""
    context.hybrid = context.load(context.config)
    try:
        context.new_judge(context.config, context.hybrid)  # it may have no threshold for the rate that is set
    except SensorError:
        context.hybrid = None
        raise
    site = context.hybrid.site
    return Observation(
        f"{context.hybrid.model_id} fits this version's features", detail=() if site is None else (site_in_words(site),)
    )


def cache(context: CheckContext) -> Observation:
    """Report the directory of compiled kernels, which was chosen before the checks."""
    return context.cache


def speed(context: CheckContext) -> Observation:
    """Measure metering and judging of generated traffic for a second of processor time."""
    if context.hybrid is None:
        return Observation("not measured without a model", CheckStatus.SKIPPED)
    from sensor.packets.pcapng import warm_packet_builder
    from sensor.process.kernel_cache import kernels_are_compiled
    from sensor.run.warmup import warm_up

    warm_up(context.new_meter(context.config), context.new_judge(context.config, context.hybrid))
    warm_packet_builder()
    if sys.platform == "linux":
        from sensor.sources.live.ring import warm_ring_walker

        warm_ring_walker()
    kernels_are_compiled(context.kernels)
    per_s = _packets_per_second(context.new_meter(context.config), context.new_judge(context.config, context.hybrid))
    return Observation(
        f"{_rounded(per_s):,} packets/s with one core, measured on generated traffic in memory, without capture"
    )


def _packets_per_second(meter: Meter, judge: Judge) -> float:
    """Packets per second of processor time."""
    from flows.block import block_of
    from sensor.synth.generate import SCENARIOS, generate

    packets = generate(SCENARIOS, SEED, MINUTES).packets
    parts = [packets[at : at + BLOCK_PACKETS] for at in range(0, len(packets), BLOCK_PACKETS)]
    blocks = [block_of([packet.frame for packet in part], [packet.ts_ns for packet in part]) for part in parts]
    span = np.int64(packets[-1].ts_ns - packets[0].ts_ns + 1)
    fed, began, deadline = 0, time.process_time(), time.monotonic() + LONGEST_S
    while time.process_time() - began < MEASURED_S and time.monotonic() < deadline:
        for block in blocks:
            judge.judge(meter.feed(block))
            block.ts_ns[:] += span  # the next time round is later
            fed += len(block)
    return fed / (time.process_time() - began)


def _rounded(per_s: float) -> int:
    """Round to two significant digits: the measurement is no more precise."""
    return int(float(f"{per_s:.1e}"))
