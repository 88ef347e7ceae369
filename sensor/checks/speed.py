"""Whether the model fits, and how much one core of this machine does with it."""

import sys
import time
from typing import Final

import numpy as np

from flows.meter import Meter
from sensor.checks.finding import Remark, Status, Subject
from sensor.errors import SensorError
from sensor.judging.judge import Judge

SEED: Final = 1
MINUTES: Final = 0.5
BLOCK_PACKETS: Final = 4096
MEASURED_S: Final = 1.0  # of the core's time
LONGEST_S: Final = 5.0  # where other programs have the core


def bundle(subject: Subject) -> Remark:
    """Load the bundle and have it take the features that the meter gives. Raises ModelError."""
    subject.hybrid = subject.load(subject.config)
    try:
        subject.new_judge(subject.config, subject.hybrid)  # it may hold no threshold for the rate that is set
    except SensorError:
        subject.hybrid = None
        raise
    return Remark(f"{subject.hybrid.model_id} fits this version's features")


def cache(subject: Subject) -> Remark:
    """Tell of the directory of compiled kernels."""
    return subject.cache


def speed(subject: Subject) -> Remark:
    """Meter and judge generated traffic over and over for a second."""
    if subject.hybrid is None:
        return Remark("not measured without a model", Status.SKIPPED)
    from sensor.packets.pcapng import warm_packet_builder
    from sensor.process.kernel_cache import kernels_are_compiled
    from sensor.run.warmup import warm_up

    warm_up(subject.new_meter(subject.config), subject.new_judge(subject.config, subject.hybrid))
    warm_packet_builder()
    if sys.platform == "linux":
        from sensor.sources.live.ring import warm_ring_walker

        warm_ring_walker()
    kernels_are_compiled()
    per_s = _packets_per_second(subject.new_meter(subject.config), subject.new_judge(subject.config, subject.hybrid))
    return Remark(
        f"{_rounded(per_s):,} packets/s with one core, measured on generated traffic in memory, without capture"
    )


def _packets_per_second(meter: Meter, judge: Judge) -> float:
    """Of the processor's time, not of the clock's."""
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
    """Two digits: the figure is no more certain than that."""
    return int(float(f"{per_s:.1e}"))
