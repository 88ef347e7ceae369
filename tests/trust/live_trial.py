"""One live capture of a stored one, for tests.trust.determinism: `python -m tests.trust.live_trial PCAP WORKERS SEED`.

Packets go to workers by their flow, as the kernel deals them out, in blocks of any size, with delays and silence in
between; no worker is further ahead of another than a second of traffic. Prints the SHA-256 of the alerts.
"""

import multiprocessing
import random
import sys
import time
import zlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from flows.batch import WITH_PORTS
from sensor.process.kernel_cache import use_kernel_cache

if TYPE_CHECKING:
    from multiprocessing.synchronize import Barrier

    from flows.block import PacketBlock

SECOND_NS: Final = 10**9
LAG_NS: Final = SECOND_NS  # sensor.metering.live.LIVE_LAG_NS
CLAIMS: Final = ()  # this module is a part of a claim's try


@dataclass
class Dealt:
    """A worker's packets: for each second of traffic, those that the kernel dealt to it."""

    seconds: list[tuple[int, list[tuple[bytes, int]]]]
    barrier: "Barrier | None"
    seed: int


@dataclass
class Trial:
    """What was read of the command line."""

    path: Path
    workers: int
    seed: int
    lines: list[bytes] = field(default_factory=list)


def main() -> int:
    """Capture, meter, judge; print the result."""
    trial = Trial(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]))
    use_kernel_cache()
    from sensor.cli.build import build_judge, build_meter, build_names, load_model
    from sensor.metering.live import LiveTurns
    from sensor.metering.workers import WorkerTurns
    from sensor.run.detection import Detection
    from sensor.run.outlet import Outlet
    from sensor.run.warmup import warm_up
    from sensor.settings.config import Config
    from tests.trust.determinism import digest_of

    config = Config()
    judge = build_judge(config, load_model(config))
    # as a watch does: who compiles tells nothing meanwhile, and is not waited for
    warm_up(build_meter(config), build_judge(config, load_model(config)))
    sources = [
        LiveTurns(capture_of(dealt), build_meter(config))  # type: ignore[arg-type]
        for dealt in dealt_out(trial)
    ]
    outlet = Outlet(takers=(Kept(trial.lines),))  # type: ignore[arg-type]
    detection = Detection(judge, outlet, names=build_names(config))
    for turn in sources[0] if trial.workers == 1 else WorkerTurns(sources):
        detection.consume(turn)
    detection.finish()
    print(digest_of(b"".join(trial.lines)))
    return 0


@dataclass
class Kept:
    """Keeps the lines."""

    lines: list[bytes]

    def write(self, lines: list[bytes]) -> None:
        """Add them."""
        self.lines += lines


def dealt_out(trial: Trial) -> list[Dealt]:
    """The packets by worker and second."""
    from tests.support.capture_bytes import read

    packets, _ = read(trial.path.read_bytes())
    barrier = multiprocessing.get_context("fork").Barrier(trial.workers) if trial.workers > 1 else None
    last = max(packet.ts_ns for packet in packets) // SECOND_NS
    first = min(packet.ts_ns for packet in packets) // SECOND_NS
    shares = [
        Dealt([(second, []) for second in range(first, last + 1)], barrier, trial.seed + n)
        for n in range(trial.workers)
    ]
    for packet in packets:
        worker = zlib.crc32(flow_of(packet.frame)) % trial.workers
        shares[worker].seconds[packet.ts_ns // SECOND_NS - first][1].append((packet.frame, packet.ts_ns))
    return shares


def flow_of(frame: bytes) -> bytes:
    """The same for both directions of a conversation: its ends in order, with ports where there are any."""
    if frame[12:14] == b"\x08\x00":
        ports = (frame[34:36], frame[36:38]) if frame[23] in WITH_PORTS else (b"", b"")
        ends = sorted((frame[26:30] + ports[0], frame[30:34] + ports[1]))
        return ends[0] + ends[1] + frame[23:24]
    return frame[12:14]


def capture_of(dealt: Dealt) -> object:
    """A scripted capture of these packets."""
    from flows.block import block_of
    from tests.support.scripted import SILENCE, ScriptedCapture

    chance = random.Random(dealt.seed)

    class Live(ScriptedCapture):
        """Blocks of chance's sizes; silence and delays between them."""

        def __iter__(self) -> "Iterator[PacketBlock]":
            for second, packets in dealt.seconds:
                at = 0
                while at < len(packets):
                    size = chance.choice((1, 3, 20, 300, 5000))
                    part = packets[at : at + size]
                    at += size
                    self.busy = chance.random() < 0.5
                    self._walked += len(part)
                    self.now_ns = part[-1][1]
                    yield block_of([frame for frame, _ in part], [ts_ns for _, ts_ns in part])
                    if chance.random() < 0.02:
                        time.sleep(chance.random() * 0.005)
                self.now_ns = (second + 1) * SECOND_NS + LAG_NS
                yield SILENCE
                if dealt.barrier is not None:
                    dealt.barrier.wait(60)

    return Live([])


if __name__ == "__main__":
    sys.exit(main())
