"""TCP stacks of operating systems: option layouts, initial windows, TTLs, delayed acknowledgements, ephemeral ports.

The values are those seen in captures of these systems. It knows no hosts and no packets' contents.
"""

import struct
from dataclasses import dataclass

MS = 1_000_000  # nanoseconds


@dataclass(frozen=True, slots=True)
class Stack:
    """TCP parameters of one operating system."""

    name: str
    ttl: int
    syn_window: tuple[int, int]  # (IPv4, IPv6), unscaled as RFC 7323 requires on SYN segments
    synack_window: tuple[int, int]  # likewise
    open_window: int  # bytes, offered once connected
    window_limit: int  # bytes, to which receiving widens it
    window_scale: int
    timestamps: bool
    offer: tuple[str, ...]  # options of a SYN, in order
    plain_answer: tuple[str, ...]  # options of a SYN-ACK to a peer without timestamps
    delayed_ack_ns: int
    ephemeral_ports: tuple[int, int]  # lowest and highest
    random_ports: bool  # chosen at random, else ascending


_PLAIN = ("mss", "nop", "scale", "nop", "nop", "sack")

LINUX = Stack(
    name="linux",
    ttl=64,
    syn_window=(64240, 64800),
    synack_window=(65160, 64260),
    open_window=64256,
    window_limit=3 << 20,
    window_scale=7,
    timestamps=True,
    offer=("mss", "sack", "timestamps", "nop", "scale"),
    plain_answer=_PLAIN,
    delayed_ack_ns=40 * MS,
    ephemeral_ports=(32768, 60999),
    random_ports=True,
)
WINDOWS = Stack(
    name="windows",
    ttl=128,
    syn_window=(64240, 64800),
    synack_window=(65535, 65535),
    open_window=262656,
    window_limit=262656,
    window_scale=8,
    timestamps=False,
    offer=_PLAIN,
    plain_answer=_PLAIN,
    delayed_ack_ns=40 * MS,
    ephemeral_ports=(49152, 65535),
    random_ports=False,
)
MACOS = Stack(
    name="macos",
    ttl=64,
    syn_window=(65535, 65535),
    synack_window=(65535, 65535),
    open_window=131712,
    window_limit=4 << 20,
    window_scale=6,
    timestamps=True,
    offer=("mss", "nop", "scale", "nop", "nop", "timestamps", "sack", "end", "end"),
    plain_answer=("mss", "nop", "scale", "sack", "end", "end"),
    delayed_ack_ns=100 * MS,
    ephemeral_ports=(49152, 65535),
    random_ports=False,
)
FREEBSD = Stack(
    name="freebsd",
    ttl=64,
    syn_window=(65535, 65535),
    synack_window=(65535, 65535),
    open_window=66048,
    window_limit=2 << 20,
    window_scale=6,
    timestamps=True,
    offer=("mss", "nop", "scale", "sack", "timestamps"),
    plain_answer=("mss", "nop", "scale", "sack", "end", "end"),
    delayed_ack_ns=100 * MS,
    ephemeral_ports=(49152, 65535),
    random_ports=True,
)


def segment_size(ipv6: bool) -> int:
    """Maximum segment size for an Ethernet MTU of 1500, in bytes of payload without options."""
    return 1440 if ipv6 else 1460


def options(layout: tuple[str, ...], mss: int, scale: int, ts_value: int, ts_echo: int) -> bytes:
    """Encode TCP options in the order of a layout. RFC 9293 section 3.2, 2018, 7323."""
    encoded = {
        "mss": struct.pack("!BBH", 2, 4, mss),
        "sack": b"\x04\x02",
        "timestamps": struct.pack("!BBII", 8, 10, ts_value & 0xFFFFFFFF, ts_echo & 0xFFFFFFFF),
        "scale": bytes((3, 3, scale)),
        "nop": b"\x01",
        "end": b"\x00",
    }
    return b"".join(encoded[name] for name in layout)
