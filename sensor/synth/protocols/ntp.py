"""NTP version 4 client and server packets, 48 bytes each, and the long answers of old servers. RFC 5905."""

import struct
from random import Random

_NTP_EPOCH = 2_208_988_800  # seconds from 1900 to 1970


def request(now_ns: int) -> bytes:
    """Client packet, with its transmit time only."""
    return struct.pack("!BBbb", 0x23, 0, 6, -20) + bytes(36) + _timestamp(now_ns)


def response(origin_ns: int, now_ns: int) -> bytes:
    """Server packet of stratum 2, with reference, origin, receive and transmit times."""
    head = struct.pack("!BBbbIII", 0x24, 2, 6, -23, 1 << 11, 1 << 10, 0xC0000201)
    return head + b"".join(map(_timestamp, (now_ns - 37_000_000_000, origin_ns, now_ns, now_ns + 20_000)))


def monitor_list(rng: Random, sequence: int) -> bytes:
    """One of the packets that answer a question for the last clients, six of them, 440 bytes. Mode 7 of ntpd."""
    items = b"".join(rng.randbytes(16) + bytes(56) for _ in range(6))
    return struct.pack("!BBBBHH", 0xD7, sequence & 0x7F, 3, 42, 6, 72) + items


def _timestamp(at_ns: int) -> bytes:
    seconds, rest = divmod(at_ns, 1_000_000_000)
    return struct.pack("!II", seconds + _NTP_EPOCH & 0xFFFFFFFF, (rest << 32) // 1_000_000_000)
