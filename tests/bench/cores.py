"""`read` of one large capture on one core and on all, in turn, by kind of traffic: wall clock, CPU time, peak memory.

    python -m tests.bench.cores [--packets N] [--pairs N] [--kinds mix,lookups,streams,flood]

mix: TCP and UDP flows of heavy-tailed sizes (beside the repository, as `tests.bench.captures`). lookups: an office asks
its resolver, a flow for each question. streams: sixty-four connections without end. flood: SYNs from forged addresses.
The lines of both are compared byte for byte. A machine whose cores are busy otherwise tells nothing.
"""

import argparse
import hashlib
import statistics
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from sensor.process.cores import usable_cores
from sensor.synth.packets import IPV4, TCP, UDP, Flag, ethernet, internet, tcp, udp
from sensor.synth.protocols import dns
from tests.bench.captures import large
from tests.bench.process import Usage, run

COMMAND: Final = "from sensor.__main__ import main; main()"
START_S: Final = 1_700_000_000
STEP_US: Final = 40  # between two packets: 25,000 a second
CHUNK: Final = 250_000  # packets made at once
HEADER: Final = bytes.fromhex("d4c3b2a102000400000000000000000000000400" + "01000000")  # of a pcap of Ethernet
SOURCE, TARGET, SOURCE_PORT, TARGET_PORT = 26, 30, 34, 36  # bytes of a frame where these stand
RECORD: Final = np.dtype([("seconds", "<u4"), ("micros", "<u4"), ("captured", "<u4"), ("wire", "<u4")])

Numbers = NDArray[np.int64]  # (n,) of packets
Frames = NDArray[np.uint8]  # (n, bytes of a frame)


def frame_of(protocol: int, payload: bytes) -> bytes:
    """A frame from 10.0.0.1 to 10.0.0.2."""
    body = internet(bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2)), protocol, payload, ttl=64, ident=1)
    return ethernet(b"\x02" * 6, b"\x04" * 6, IPV4, body)


ENDS: Final = bytes((10, 0, 0, 1)), bytes((10, 0, 0, 2))


def lookups(number: Numbers) -> Frames:
    """Question and answer in turn, of two thousand hosts, each question from a port of its own."""
    question = frame_of(UDP, udp(ENDS, (40000, 53), dns.query(1, "www.example.org", dns.A)))
    answer = frame_of(UDP, udp(ENDS, (53, 40000), dns.response(1, "www.example.org", dns.A, [bytes((192, 0, 2, 7))])))
    size = max(len(question), len(answer))
    pair = np.array([list(frame.ljust(size, b"\0")) for frame in (question, answer)], dtype=np.uint8)
    frames, asked = pair[number % 2], number // 2
    back = (number % 2).astype(bool)
    host, port = (10 << 24) + (1 << 16) + asked % 2000, 1024 + asked // 2000 % 60000
    resolver = np.full(len(number), (10 << 24) + 53)
    _put(frames, SOURCE, np.where(back, resolver, host), 4)
    _put(frames, TARGET, np.where(back, host, resolver), 4)
    _put(frames, SOURCE_PORT, np.where(back, 53, port), 2)
    _put(frames, TARGET_PORT, np.where(back, port, 53), 2)
    return frames


def streams(number: Numbers) -> Frames:
    """Segments of 1,400 bytes, cut to their first ones, of sixty-four connections in turn."""
    frames = np.tile(_first_bytes(tcp(ENDS, (443, 50000), 1, 1, Flag.ACK, window=1024) + bytes(1400)), (len(number), 1))
    _put(frames, TARGET, (10 << 24) + (2 << 16) + number % 64, 4)
    return frames


def flood(number: Numbers) -> Frames:
    """A SYN of each address in turn, to one service."""
    frames = np.tile(_first_bytes(tcp(ENDS, (40000, 80), 1, 0, Flag.SYN, window=1024)), (len(number), 1))
    _put(frames, SOURCE, number * 2_654_435_761 % 2**32, 4)
    _put(frames, SOURCE_PORT, 1024 + number % 60000, 2)
    return frames


def _first_bytes(payload: bytes) -> Frames:
    return np.frombuffer(frame_of(TCP, payload)[:96], dtype=np.uint8)


def _put(frames: Frames, at: int, numbers: Numbers, size: int) -> None:
    for byte in range(size):
        frames[:, at + byte] = numbers >> 8 * (size - 1 - byte) & 255


MADE: Final[dict[str, Callable[[Numbers], Frames]]] = {"lookups": lookups, "streams": streams, "flood": flood}


def capture_of(kind: str, scratch: Path, packets: int) -> Path:
    """A capture of this kind of traffic."""
    if kind == "mix":
        whole, cut = large(scratch, packets)
        whole.unlink()
        return cut
    path = scratch / f"{kind}.pcap"
    with path.open("wb") as stream:
        stream.write(HEADER)
        for first in range(0, packets, CHUNK):
            number = np.arange(first, min(first + CHUNK, packets), dtype=np.int64)
            frames = MADE[kind](number)
            records = np.empty(len(number), dtype=RECORD)
            records["seconds"], records["micros"] = np.divmod(number * STEP_US, 1_000_000)
            records["seconds"] += START_S
            records["captured"] = frames.shape[1]
            records["wire"] = 1454 if kind == "streams" else frames.shape[1]
            heads = records.view(np.uint8).reshape(len(number), RECORD.itemsize)
            stream.write(np.concatenate([heads, frames], axis=1).tobytes())
    return path


def pair(capture: Path) -> tuple[Usage, Usage]:
    """A read on one core, and one on all; raises RuntimeError where their lines differ."""
    command = [
        sys.executable,
        "-c",
        "from sensor.__main__ import main; main()",
        "read",
        str(capture),
        "-q",
        "--workers",
    ]
    alone, beside = run([*command, "1"]), run([*command, str(usable_cores())])
    if alone.stdout != beside.stdout:
        raise RuntimeError(f"{capture.name}: other lines on all cores than on one")
    return alone, beside


def measured(kind: str, packets: int, pairs: int) -> Iterator[tuple[str, str]]:
    """Two lines."""
    with tempfile.TemporaryDirectory() as name:
        capture = capture_of(kind, Path(name), packets)
        pair(capture)  # so that all is in memory and compiled
        usages = [pair(capture) for _ in range(pairs)]
    faster = [alone.wall_s / beside.wall_s for alone, beside in usages]
    dearer = [beside.cpu_s / alone.cpu_s for alone, beside in usages]
    for words, of_one in zip(("one core", "all cores"), zip(*usages, strict=True), strict=True):
        wall, cpu, peak = (statistics.median(figures) for figures in zip(*map(_figures, of_one), strict=True))
        yield f"{kind}, {packets:,} packets, {words}", f"{wall:.2f} s, CPU {cpu:.2f} s, peak {peak:.0f} MB"
    lines = usages[0][0].stdout
    yield (
        f"{kind}, all cores beside one",
        f"{statistics.median(faster):.2f} times as fast ({min(faster):.2f} to {max(faster):.2f}), "
        f"{statistics.median(dearer):.2f} times the CPU time; {lines.count(chr(10).encode())} lines, "
        f"SHA-256 {hashlib.sha256(lines).hexdigest()[:8]}",
    )


def _figures(usage: Usage) -> tuple[float, float, float]:
    return usage.wall_s, usage.cpu_s, usage.peak_mb


def main() -> None:
    """Measure each kind and print a line for each figure."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--packets", type=int, default=1_000_000)
    options.add_argument("--pairs", type=int, default=3)
    options.add_argument("--kinds", default=",".join(("mix", *MADE)))
    chosen = options.parse_args()
    for kind in chosen.kinds.split(","):
        for what, figure in measured(kind, chosen.packets, chosen.pairs):
            print(f"{what:<44} {figure}", flush=True)


if __name__ == "__main__":
    main()
