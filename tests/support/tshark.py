"""What tshark makes of a capture, in the meter's terms. Nothing of ours decodes here: it is the second opinion.

The definition: a packet counts when tshark dissects its outermost IP header and, for TCP, UDP, SCTP and ICMP, the whole
fixed part of the layer-4 header behind it. Its five-tuple is that of the outermost IP header, the protocol being what
follows IPv6 extension headers and AH. Its bytes are what TCP or UDP carries by the IP length (and 0 for others). A
later fragment belongs to the five-tuple of the first fragment before it with the same addresses, identification and
(IPv4) protocol, and all its bytes count; without a first one it does not count.
"""

import shutil
import subprocess
from collections import Counter
from dataclasses import dataclass, field
from ipaddress import ip_address
from pathlib import Path

TSHARK = shutil.which("tshark")

# An endpoint is (address, port); a five-tuple has them sorted: direction does not count.
FiveTuple = tuple[tuple[str, int], tuple[str, int], int]

# Reassembly would show the ports in the last fragment; heuristics would find IP in user data.
PREFERENCES = (
    "ip.defragment:FALSE",
    "ipv6.defragment:FALSE",
    "tcp.desegment_tcp_streams:FALSE",
    "wlan.defragment:FALSE",
)
IPV4 = ("ip.hdr_len", "ip.len", "ip.id", "ip.flags.mf", "ip.frag_offset", "ip.proto", "ip.src", "ip.dst")
IPV6 = ("ipv6.plen", "ipv6.nxt", "ipv6.src", "ipv6.dst", "ipv6.fraghdr.offset", "ipv6.fraghdr.ident")
# Extension header -> (field of what follows, field of its length, unit, what the length leaves out)
EXTENSIONS = {
    0: ("ipv6.hopopts.nxt", "ipv6.hopopts.len", 8, 8),
    43: ("ipv6.routing.nxt", "ipv6.routing.len", 8, 8),
    44: ("ipv6.fraghdr.nxt", "", 8, 8),
    51: ("ah.next_header", "ah.length", 4, 8),
    60: ("ipv6.dstopts.nxt", "ipv6.dstopts.len", 8, 8),
    135: ("mip6.proto", "mip6.hlen", 8, 8),
    139: ("hip.proto", "hip.hdr_len", 8, 8),
    140: ("shim6.nxt", "shim6.len", 8, 8),
}
SCTP = 132
# Protocol -> (source port, destination port, header length or its absence, last field of the fixed header)
LAYER4 = {
    6: ("tcp.srcport", "tcp.dstport", "tcp.hdr_len", "tcp.urgent_pointer"),
    17: ("udp.srcport", "udp.dstport", "", "udp.checksum"),
    SCTP: ("sctp.srcport", "sctp.dstport", "", "sctp.checksum"),
    1: ("", "", "", "icmp.code"),
    58: ("", "", "", "icmpv6.code"),
}
FIELDS = tuple(
    dict.fromkeys(
        name
        for names in (
            ("frame.len", "frame.protocols"),
            IPV4,
            IPV6,
            *(names[:2] for names in EXTENSIONS.values()),
            *LAYER4.values(),
        )
        for name in names
        if name
    )
)


@dataclass
class Counts:
    """Frames and wire bytes of all frames; packets and bytes of each five-tuple."""

    frames: int = 0
    wire_bytes: int = 0
    packets: Counter[FiveTuple] = field(default_factory=Counter)
    payload: Counter[FiveTuple] = field(default_factory=Counter)

    def totals(self) -> tuple[int, int, int]:
        """Packets, bytes and five-tuples."""
        return self.packets.total(), self.payload.total(), len(self.packets)


Frame = dict[str, list[str]]


def read_with_tshark(path: Path) -> Counts:
    """Counts of one capture."""
    command = [str(TSHARK), "-r", str(path), "-n", "-T", "fields", "-E", "occurrence=a", "-E", "aggregator=;"]
    for preference in PREFERENCES:
        command += ["-o", preference]
    for name in FIELDS:
        command += ["-e", name]
    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    if "aren't valid" in done.stderr:
        raise ValueError(done.stderr)
    counts = Counts()
    firsts: dict[tuple[str, ...], FiveTuple] = {}
    for line in done.stdout.splitlines():
        frame = {name: text.split(";") if text else [] for name, text in zip(FIELDS, line.split("\t"), strict=True)}
        counts.frames += 1
        counts.wire_bytes += int(frame["frame.len"][0])
        if counted := five_tuple(frame, firsts):
            counts.packets[counted[0]] += 1
            counts.payload[counted[0]] += counted[1]
    return counts


def five_tuple(frame: Frame, firsts: dict[tuple[str, ...], FiveTuple]) -> tuple[FiveTuple, int] | None:
    """Five-tuple and bytes of a frame; None when it does not count."""
    layers = "".join(frame["frame.protocols"]).split(":")
    if "ip" in layers and (frame["ip.src"] and ("ipv6" not in layers or layers.index("ip") < layers.index("ipv6"))):
        return ipv4(frame, firsts)
    if "ipv6" in layers and frame["ipv6.src"]:
        return ipv6(frame, firsts)
    return None


def ipv4(frame: Frame, firsts: dict[tuple[str, ...], FiveTuple]) -> tuple[FiveTuple, int] | None:
    header, length, identification, more, offset, protocol, source, target = (
        frame[name][0] if frame[name] else "" for name in IPV4
    )
    if not target:
        return None
    key = (source, target, identification, protocol)
    payload = int(length) - int(header)
    if payload < 0:
        return None
    if int(offset):
        return later(firsts, key, payload)
    counted = layer4(frame, source, target, int(protocol), payload)
    if counted and more in ("1", "True"):
        firsts[key] = counted[0]
    return counted


def ipv6(frame: Frame, firsts: dict[tuple[str, ...], FiveTuple]) -> tuple[FiveTuple, int] | None:
    length, protocol, source, target, offset, identification = (frame[name][0] if frame[name] else "" for name in IPV6)
    if not target:
        return None
    key = (source, target, identification)
    payload, seen = int(length), Counter[int]()
    while int(protocol) in EXTENSIONS:
        kind = int(protocol)
        following, size, unit, more = EXTENSIONS[kind]
        if len(frame[following]) <= seen[kind] or (size and len(frame[size]) <= seen[kind]):
            return None
        protocol = frame[following][seen[kind]]
        payload -= (int(frame[size][seen[kind]], 0) * unit if size else 0) + more
        seen[kind] += 1
        if kind == 44 and int(offset):
            return later(firsts, key, payload)
    counted = layer4(frame, source, target, int(protocol), payload)
    if counted and identification:
        firsts[key] = counted[0]
    return counted


def later(firsts: dict[tuple[str, ...], FiveTuple], key: tuple[str, ...], payload: int) -> tuple[FiveTuple, int] | None:
    first = firsts.get(key)
    if first is None:
        return None
    return first, payload if first[2] in (6, 17) else 0


def layer4(frame: Frame, source: str, target: str, protocol: int, payload: int) -> tuple[FiveTuple, int] | None:
    for following, size, unit, more in (EXTENSIONS[51],):
        if protocol == 51 and frame[following]:
            protocol = int(frame[following][0])
            payload -= int(frame[size][0]) * unit + more
    source_port, target_port, header, last = LAYER4.get(protocol, ("", "", "", ""))
    if payload < 0 or (last and not frame[last]):
        return None
    if not source_port:
        return tuple_of(source, 0, target, 0, protocol), 0
    ports = int(frame[source_port][0]), int(frame[target_port][0])
    if protocol == SCTP:
        return (tuple_of(source, ports[0], target, ports[1], protocol), 0) if payload >= 12 else None
    payload -= int(frame[header][0]) if header else 8
    return (tuple_of(source, ports[0], target, ports[1], protocol), payload) if payload >= 0 else None


def tuple_of(source: str, source_port: int, target: str, target_port: int, protocol: int) -> FiveTuple:
    """Five-tuple without direction, addresses in one spelling."""
    first, second = sorted([(str(ip_address(source)), source_port), (str(ip_address(target)), target_port)])
    return first, second, protocol
