"""Encoders of packets: Ethernet, ARP, IPv4, IPv6, TCP, UDP and ICMP with correct lengths and checksums.

Pure functions from fields to bytes. It knows no hosts, no times and no conversations.
RFC 791 (IPv4), 8200 (IPv6), 9293 (TCP), 768 (UDP), 792 and 4443 (ICMP), 826 (ARP), 1071 (checksum).
"""

import struct
from ipaddress import ip_address

IPV4, ARP, IPV6 = 0x0800, 0x0806, 0x86DD
ICMP, TCP, UDP, ICMPV6 = 1, 6, 17, 58

_MINIMUM_FRAME = 60  # without the frame check sequence, which captures do not hold
_DONT_FRAGMENT = 0x4000


class Flag:
    """TCP control bits, RFC 9293 section 3.1: plain numbers, as enumerated ones cost a sixth of all generating."""

    FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16


def address(text: str) -> bytes:
    """Network-order bytes of an IPv4 (4) or IPv6 (16) address. Raises ValueError for other text."""
    return ip_address(text).packed


def checksum(octets: bytes) -> int:
    """Internet checksum of octets, padded with a zero when their count is odd.

    2**16 is 1 modulo 65535, so the one's complement sum of the words is the whole number modulo 65535. RFC 1071.
    """
    if len(octets) % 2:
        octets += b"\0"
    return (65535 - int.from_bytes(octets, "big") % 65535) % 65535


def ethernet(source: bytes, destination: bytes, ethertype: int, payload: bytes) -> bytes:
    """Ethernet II frame, zero-padded to the 60 bytes that a shorter frame has on the wire."""
    return (destination + source + ethertype.to_bytes(2, "big") + payload).ljust(_MINIMUM_FRAME, b"\0")


def arp(operation: int, sender_mac: bytes, sender_ip: bytes, target_mac: bytes, target_ip: bytes) -> bytes:
    """ARP for IPv4 over Ethernet; operation 1 is a request, 2 a reply."""
    return struct.pack("!HHBBH", 1, IPV4, 6, 4, operation) + sender_mac + sender_ip + target_mac + target_ip


def internet(
    source: bytes, destination: bytes, protocol: int, payload: bytes, *, ttl: int, ident: int, options: bytes = b""
) -> bytes:
    """IPv4 or IPv6 packet, by the length of the addresses; ident is the IPv4 identification or the IPv6 flow label.

    options: of IPv4, a multiple of four bytes.
    """
    if len(source) == 16:
        return (
            struct.pack("!IHBB", 6 << 28 | ident & 0xFFFFF, len(payload), protocol, ttl)
            + source
            + destination
            + payload
        )
    header = 20 + len(options)
    fields = (0x40 | header // 4, 0, header + len(payload), ident & 0xFFFF, _DONT_FRAGMENT, ttl, protocol)
    rest = source + destination + options
    total = checksum(struct.pack("!BBHHHBBH", *fields, 0) + rest)
    return struct.pack("!BBHHHBBH", *fields, total) + rest + payload


def tcp(
    addresses: tuple[bytes, bytes],
    ports: tuple[int, int],
    seq: int,
    ack: int,
    flags: int,
    *,
    window: int,
    options: bytes = b"",
    payload: bytes = b"",
) -> bytes:
    """TCP segment; addresses and ports are (source, destination), options a multiple of four bytes."""
    data_offset = (20 + len(options)) << 10  # words in the top four bits of sixteen
    fields = (*ports, seq & 0xFFFFFFFF, ack & 0xFFFFFFFF, data_offset | flags, window)
    rest = struct.pack("!HHIIHHHH", *fields, 0, 0) + options + payload
    total = checksum(_pseudo_header(addresses, TCP, len(rest)) + rest)
    return struct.pack("!HHIIHHHH", *fields, total, 0) + options + payload


def udp(addresses: tuple[bytes, bytes], ports: tuple[int, int], payload: bytes) -> bytes:
    """UDP datagram; a computed checksum of zero is sent as all ones, for zero means none."""
    length = 8 + len(payload)
    bare = struct.pack("!HHHH", *ports, length, 0) + payload
    total = checksum(_pseudo_header(addresses, UDP, length) + bare) or 0xFFFF
    return struct.pack("!HHHH", *ports, length, total) + payload


def icmp_echo(reply: bool, ident: int, sequence: int, payload: bytes) -> bytes:
    """ICMP echo request or reply."""
    body = struct.pack("!HH", ident, sequence) + payload
    kind = 0 if reply else 8
    return struct.pack("!BBH", kind, 0, checksum(struct.pack("!BBH", kind, 0, 0) + body)) + body


def icmp_unreachable(code: int, packet: bytes) -> bytes:
    """ICMP destination unreachable about an IPv4 packet, with as much of it as RFC 1812 section 4.3.2.3 wants.

    code: 1 host, 3 port, 13 administratively prohibited. packet: without its frame.
    """
    body = bytes(4) + packet[:548]
    return struct.pack("!BBH", 3, code, checksum(struct.pack("!BBH", 3, code, 0) + body)) + body


def icmpv6(addresses: tuple[bytes, bytes], kind: int, body: bytes) -> bytes:
    """ICMPv6 message of code 0; its checksum covers the pseudo header, unlike ICMP's."""
    bare = struct.pack("!BBH", kind, 0, 0) + body
    total = checksum(_pseudo_header(addresses, ICMPV6, len(bare)) + bare)
    return struct.pack("!BBH", kind, 0, total) + body


def _pseudo_header(addresses: tuple[bytes, bytes], protocol: int, length: int) -> bytes:
    if len(addresses[0]) == 16:
        return addresses[0] + addresses[1] + struct.pack("!II", length, protocol)
    return addresses[0] + addresses[1] + struct.pack("!HH", protocol, length)
