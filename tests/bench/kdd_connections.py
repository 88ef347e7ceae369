"""KDD connection records from packets, on one core: `python -m tests.bench.kdd_connections`.

The meter's part and that of the connection columns, CPU time of each, for traffic that costs the windows most: a flood
of one service of one host, a sweep of one host's ports, a sweep of hosts, and many clients of many servers.
"""

import time
from collections.abc import Callable, Iterator

import numpy as np

from flows.block import PacketBlock
from flows.kdd.meter import Connections
from flows.meter import Meter

CONNECTIONS = 200_000
RATE = 100_000  # a second
BLOCK = 4096  # packets
FRAME = 54
SYN, SYN_ACK, ACK, FIN_ACK, RST_ACK = 0x02, 0x12, 0x10, 0x11, 0x14
REPEATS = 3


def frames(source: np.ndarray, target: np.ndarray, ports: np.ndarray, flags: np.ndarray) -> np.ndarray:
    """Ethernet frames of TCP segments over IPv4: (n, FRAME) uint8. ports: (n, 2)."""
    made = np.zeros((len(source), FRAME), dtype=np.uint8)
    made[:, 12:14] = (0x08, 0x00)
    made[:, 14], made[:, 17], made[:, 22], made[:, 23], made[:, 46] = 0x45, 40, 64, 6, 0x50
    made[:, 26:30] = source.astype(">u4").view(np.uint8).reshape(-1, 4)
    made[:, 30:34] = target.astype(">u4").view(np.uint8).reshape(-1, 4)
    made[:, 34:38] = ports.astype(">u2").view(np.uint8).reshape(-1, 4)
    made[:, 47] = flags
    return made


def blocks(source: np.ndarray, target: np.ndarray, port: np.ndarray, talk: tuple[int, ...]) -> list[PacketBlock]:
    """Connections one after the other, each of the packets in `talk`: flags, negative when the target sends them."""
    n, packets = len(source), len(talk)
    of, step = np.repeat(np.arange(n), packets), np.tile(np.arange(packets), n)
    flags, back = np.abs(talk)[step], np.sign(talk)[step] < 0
    own = 1024 + of % 60_000
    ports = np.stack([np.where(back, port[of], own), np.where(back, own, port[of])], axis=1)
    wire = frames(np.where(back, target[of], source[of]), np.where(back, source[of], target[of]), ports, flags)
    ts_ns = 10**18 + of * (10**9 // RATE) + step * 1000
    made = []
    for begin in range(0, len(wire), BLOCK):
        part = wire[begin : begin + BLOCK]
        length = np.full(len(part), FRAME, dtype=np.int64)
        buffer, offset = part.reshape(-1).copy(), np.arange(len(part), dtype=np.int64) * FRAME
        made.append(PacketBlock(buffer, offset, length, length, ts_ns[begin : begin + BLOCK], np.ones_like(length)))
    return made


def traffics() -> Iterator[tuple[str, list[PacketBlock]]]:
    """What is measured, by name."""
    random = np.random.default_rng(1)
    each = np.arange(CONNECTIONS)
    whole = (SYN, -SYN_ACK, ACK, FIN_ACK, -FIN_ACK, ACK)
    one = np.full(CONNECTIONS, 0x0A000001)
    yield "SYN flood of one port", blocks(0x0B000000 + each // 50_000, one, np.full_like(each, 80), (SYN,))
    yield "sweep of one host's ports, each rejected", blocks(one + 1, one, each % 65_536, (SYN, -RST_ACK))
    yield "sweep of hosts", blocks(one, random.permutation(each) + 0x0C000000, np.full_like(each, 22), (SYN,))
    servers, ports = random.integers(0, 5000, CONNECTIONS), random.integers(1, 2000, CONNECTIONS)
    yield "5,000 servers, whole connections", blocks(0x0B000000 + each % 9000, 0x0A000000 + servers, ports, whole)


def seconds(work: Callable[[], object]) -> float:
    """CPU seconds of the fastest of a few runs."""

    def timed() -> float:
        before = time.process_time()
        work()
        return time.process_time() - before

    return min(timed() for _ in range(REPEATS))


def main() -> None:
    """Measure and print a line each."""
    for name, packets in traffics():
        batches = []

        def meter(packets: list[PacketBlock] = packets, batches: list = batches) -> None:
            batches.clear()
            made = Meter(4 * CONNECTIONS, news_only=True)
            batches.extend(batch for block in packets if len(batch := made.feed(block)))
            batches.append(made.drain())

        def connect(batches: list = batches) -> None:
            made = Connections()
            for batch in batches:
                made.columns(batch)

        meter()
        connect()
        metering, connecting = (1e6 * seconds(work) / CONNECTIONS for work in (meter, connect))
        both = f"{metering:.2f} + {connecting:.2f} µs a connection"
        print(f"{name:<48} {both}, {1e3 / (metering + connecting):.0f} k connections/s", flush=True)


if __name__ == "__main__":
    main()
