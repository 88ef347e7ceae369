"""Writer of classic pcap: Ethernet frames with micro- or nanosecond timestamps, whole or cut to a snap length.

Source: the pcap file format, draft-ietf-opsawg-pcap.
"""

import gzip
import io
import struct
from collections.abc import Iterable
from pathlib import Path

from sensor.synth.truth import Packet

_MICROSECONDS, _NANOSECONDS = 0xA1B2C3D4, 0xA1B23C4D
_ETHERNET = 1
WHOLE = 262_144  # bytes: libpcap's own limit, so that nothing is cut


def pcap_bytes(packets: Iterable[Packet], snaplen: int = WHOLE, nanoseconds: bool = False) -> bytes:
    """Encode packets in the order given; one longer than snaplen bytes is cut, with its original length stated."""
    magic, tick = (_NANOSECONDS, 1) if nanoseconds else (_MICROSECONDS, 1000)
    parts = [struct.pack("<IHHiIII", magic, 2, 4, 0, 0, snaplen, _ETHERNET)]
    for ts_ns, frame in packets:
        seconds, rest = divmod(ts_ns, 1_000_000_000)
        captured = frame[:snaplen]
        parts += (struct.pack("<IIII", seconds, rest // tick, len(captured), len(frame)), captured)
    return b"".join(parts)


def write_pcap(path: Path, capture: bytes) -> None:
    """Write a capture, compressed reproducibly when the name ends in .gz. Raises OSError."""
    path.write_bytes(gzipped(capture) if path.suffix == ".gz" else capture)


def gzipped(capture: bytes) -> bytes:
    """Compress a capture with neither name nor time in the header, so that all runs give the same file."""
    out = io.BytesIO()
    with gzip.GzipFile(filename="", mode="wb", compresslevel=9, fileobj=out, mtime=0) as stream:
        stream.write(capture)
    return out.getvalue()
