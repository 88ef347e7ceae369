"""Community ID version 1: a flow's name that Zeek, Suricata, Wireshark and others compute alike.

Source: github.com/corelight/community-id-spec, version 1, seed 0. ICMP types pair up as in Zeek: a request and its
reply give the same name.
"""

import hashlib
from base64 import b64encode
from ipaddress import ip_address
from struct import pack

ICMP, TCP, UDP, ICMPV6, SCTP = 1, 6, 17, 58, 132

# ICMP type → type of the answer, both ways (RFC 792, 950, 1256).
_ICMP_COUNTERPART = {8: 0, 0: 8, 13: 14, 14: 13, 15: 16, 16: 15, 17: 18, 18: 17, 10: 9, 9: 10}
# ICMPv6 (RFC 4443, 4861, 2710, 4620, 6275).
_ICMPV6_COUNTERPART = {
    128: 129, 129: 128, 133: 134, 134: 133, 135: 136, 136: 135,
    130: 131, 131: 130, 139: 140, 140: 139, 144: 145, 145: 144,
}  # fmt: skip


def community_id(protocol: int, source: str, source_port: int, destination: str, destination_port: int) -> str:
    """Community ID of a flow, the same for both directions.

    protocol: IP number. Addresses are text. Ports count for TCP, UDP and SCTP; for ICMP and ICMPv6 the two numbers are
    the type and the code of the first packet; elsewhere they are ignored. Raises ValueError for a foreign address.
    """
    first, second = ip_address(source).packed, ip_address(destination).packed
    a, b, one_way = _ports(protocol, source_port, destination_port)
    if not one_way and (second, b) < (first, a):
        first, second, a, b = second, first, b, a
    body = pack("!H", 0) + first + second + pack("!BB", protocol, 0)
    if protocol in (TCP, UDP, SCTP, ICMP, ICMPV6):
        body += pack("!HH", a, b)
    # SHA-1 is what the specification asks for; nothing is secured by it.
    return "1:" + b64encode(hashlib.sha1(body, usedforsecurity=False).digest()).decode("ascii")


def _ports(protocol: int, source_port: int, destination_port: int) -> tuple[int, int, bool]:
    """The two numbers that enter the hash, and whether the flow has one direction only."""
    if protocol in (TCP, UDP, SCTP):
        return source_port, destination_port, False
    if protocol in (ICMP, ICMPV6):
        counterpart = (_ICMP_COUNTERPART if protocol == ICMP else _ICMPV6_COUNTERPART).get(source_port)
        return (source_port, destination_port, True) if counterpart is None else (source_port, counterpart, False)
    return 0, 0, False
