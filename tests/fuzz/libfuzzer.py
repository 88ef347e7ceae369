"""A target for libFuzzer through atheris: `python -m tests.fuzz.libfuzzer [CORPUS] -max_total_time=300`.

Needs `pip install atheris`, and runs kernels interpreted, so that libFuzzer sees their branches. The first byte says
what the others are: a frame of some link type, a capture, or a block of a capture ring.
"""

import os
import sys

os.environ["NUMBA_DISABLE_JIT"] = "1"  # before numba is imported

import atheris

with atheris.instrument_imports(include=["flows", "sensor.sources", "sensor.files"]):
    import flows.compression
    import flows.decode
    import flows.meter
    import flows.pcap
    import flows.pcapng  # noqa: F401
    import sensor.sources.captures.files
    import sensor.sources.live.tpacket  # noqa: F401

import numpy as np

from flows.block import PacketBlock
from flows.meter import Meter
from flows.pcap import packet_arrays
from tests.fuzz import readers, ring
from tests.fuzz.frames import LINKTYPES
from tests.fuzz.promises import check_drained, check_records

CAPTURE, RING = len(LINKTYPES), len(LINKTYPES) + 1  # kinds beside the link types
ROOM, INTERFACE = packet_arrays(8), np.zeros(8, dtype=np.int64)


def take(data: bytes) -> None:
    """Take one input. Raises BrokenPromiseError, or what the code raises."""
    if len(data) < 2:
        return
    kind = data[0] % (len(LINKTYPES) + 2)
    content = np.frombuffer(bytearray(data[1:]), dtype=np.uint8)
    if kind == CAPTURE:
        readers.read(data[1:], (), 1 << 12, None)
        readers.walk_alone(content)
    elif kind == RING:
        if len(content) >= ring.SHORTEST:
            ring.walk(content, ROOM, INTERFACE)
    else:
        take_frame(content, LINKTYPES[kind])


def take_frame(content: "np.ndarray[tuple[int], np.dtype[np.uint8]]", linktype: int) -> None:
    """Through a meter that looks into tunnels; every packet is in a record or counted."""
    size = np.array([len(content)])
    meter = Meter(4, decap=True)
    with np.errstate(over="ignore"):
        meter.feed(PacketBlock(content, np.zeros_like(size), size, size, np.array([10**18]), np.array([linktype])))
        records = meter.drain()
    check_drained(meter, records, 1, news_only=False)
    check_records(records)


if __name__ == "__main__":
    atheris.Setup(sys.argv, take)
    atheris.Fuzz()
