"""PacketBlock: what every source hands to the meter, whether a ring block, a read of a file or a test made it."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Bytes = NDArray[np.uint8]  # (b,) one contiguous buffer
Int64s = NDArray[np.int64]  # (n,) one entry a packet


@dataclass(frozen=True, slots=True)
class PacketBlock:
    """Packets in one buffer, in the order they were captured.

    buffer: (b,) uint8, contiguous. offset, caplen, wirelen: (n,) int64, bytes; a packet is
    buffer[offset : offset + caplen] and lies inside the buffer. ts_ns: (n,) int64, nanoseconds since 1970 UTC.
    linktype: (n,) int64, LINKTYPE_ numbers of tcpdump.org. clock_ns: None, or (n,) int64, when the packets came by a
    clock that wrong stamps do not move (flows.arrival), so that its steps are believed.
    The buffer may be reused by the source once the meter has returned.
    """

    buffer: Bytes
    offset: Int64s
    caplen: Int64s
    wirelen: Int64s
    ts_ns: Int64s
    linktype: Int64s
    clock_ns: Int64s | None = None

    def __len__(self) -> int:
        return len(self.offset)

    @property
    def arrival_ns(self) -> Int64s:
        """(n,) int64, when the packets came, by which flows begin and end: clock_ns, or ts_ns where there is none."""
        return self.ts_ns if self.clock_ns is None else self.clock_ns

    def select(self, which: slice | Int64s) -> "PacketBlock":
        """Some of the packets, by a slice or by their numbers, in the same buffer."""
        return PacketBlock(
            self.buffer,
            self.offset[which],
            self.caplen[which],
            self.wirelen[which],
            self.ts_ns[which],
            self.linktype[which],
            None if self.clock_ns is None else self.clock_ns[which],
        )


def block_of(frames: list[bytes], ts_ns: list[int], linktype: int = 1) -> PacketBlock:
    """Block of whole frames of one link type, for callers that hold packets one by one.

    frames and ts_ns are of one length; ts_ns in nanoseconds since 1970.
    """
    caplen = np.array([len(frame) for frame in frames], dtype=np.int64)
    offset = np.zeros(len(frames), dtype=np.int64)
    np.cumsum(caplen[:-1], out=offset[1:])
    return PacketBlock(
        # writable as the buffers of captures are: kernels would be compiled a second time for one that is not
        buffer=np.frombuffer(bytearray().join(frames), dtype=np.uint8),
        offset=offset,
        caplen=caplen,
        wirelen=caplen.copy(),
        ts_ns=np.array(ts_ns, dtype=np.int64),
        linktype=np.full(len(frames), linktype, dtype=np.int64),
    )
