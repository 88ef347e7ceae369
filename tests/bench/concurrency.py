"""What a packet costs the meter when many flows are open at once: bytes in memory, every column, one core."""

import time

import numpy as np

from flows.block import PacketBlock
from flows.meter import Meter

FLOWS = (1_000, 100_000, 1_000_000)
PACKETS = 4_000_000
FRAME = 60
STEP_NS = 1_000  # a million packets a second of packet time


def blocks(flows: int, packets: int, size: int = 10_000) -> list[PacketBlock]:
    """UDP packets over so many flows in random order, in both directions."""
    random = np.random.default_rng(1)
    template = np.zeros(FRAME, dtype=np.uint8)
    template[12:14] = 0x08, 0x00
    template[14:24] = 0x45, 0, 0, 46, 0, 0, 0, 0, 64, 17
    template[38:40] = 0, 26
    made = []
    for first in range(0, packets, size):
        flow = random.integers(0, flows, size).astype(">u4")
        frames = np.tile(template, (size, 1))
        client, server = frames[:, 26:30], frames[:, 30:34]
        client[:] = (flow + 0x0A000000).astype(">u4").view(np.uint8).reshape(-1, 4)
        server[:] = 0xC0, 0x00, 0x02, 0x01
        frames[:, 34:38] = 0x30, 0x39, 0x00, 0x35
        back = random.random(size) < 0.5
        frames[back, 26:34] = np.concatenate([server[back], client[back]], axis=1)
        frames[back, 34:38] = 0x00, 0x35, 0x30, 0x39
        made.append(
            PacketBlock(
                buffer=frames.reshape(-1),
                offset=np.arange(size, dtype=np.int64) * FRAME,
                caplen=np.full(size, FRAME, dtype=np.int64),
                wirelen=np.full(size, FRAME, dtype=np.int64),
                ts_ns=10**18 + np.arange(first, first + size, dtype=np.int64) * STEP_NS,
                linktype=np.ones(size, dtype=np.int64),
            )
        )
    return made


def main() -> None:
    """A line for each number of flows; every flow is in the table before the clock starts."""
    for flows in FLOWS:
        meter = Meter(1 << 21)
        warm, timed = np.split(np.array(blocks(flows, 2 * PACKETS), dtype=object), 2)
        for block in warm:
            meter.feed(block)
        begin = time.process_time()
        for block in timed:
            meter.feed(block)
        cost = (time.process_time() - begin) / PACKETS
        open_flows = meter.stats.flows
        name = f"meter, {open_flows:,} flows open, 60-byte packets in memory"
        print(f"{name:<62} {1 / cost / 1e6:.1f} M packets per CPU-second ({cost * 1e9:.0f} ns)", flush=True)


if __name__ == "__main__":
    main()
