"""The part that a flow record plays between its two sides: who asked, who answered, and whether anything was said.

Only who asks can be accused. An answer to a question that is not in view (its flow had ended, the question bore a
forged address, or it never was) is evidence against nobody, though many of them tell of a flood on whom they hit.
Protocols of membership, discovery and routing, and whatever goes to a group of hosts, have no answers to wait for:
they are not judged. Sources: RFC 792, 4443 (ICMP errors), RFC 9293, 3.5.1 (who gets an RST or a SYN-ACK that he did
not ask for), RFC 6335 (system ports), RFC 1112, 919, 4291 (groups and broadcast).
"""

from flows.batch import (
    DST_HIGH,
    DST_LOW,
    DST_PORT,
    IP_VERSION,
    PROTOCOL,
    SEEN,
    SEEN_RST,
    SEEN_SYN,
    SEEN_SYN_BACK,
    SRC_HIGH,
    SRC_LOW,
    SRC_PORT,
    Identity,
    Values,
)
from flows.columns import INDEX
from kernels.jit import inner

# Not judged; an answer without its question; an attempt that nobody answered or that was refused; one that was answered
# and no more (a handshake and an end); data in both directions, or in one over an open connection.
UNJUDGED, ANSWER, FAILED, OPENED, TALK = range(5)

ICMP, TCP, UDP, ICMP6, SCTP = 1, 6, 17, 58, 132
SYSTEM_PORTS = 1024
_ECHO, _ECHO6 = 8, 128
_TRACEROUTE_FIRST, _TRACEROUTE_LAST = 33434, 33534  # IANA: traceroute; its probes are meant to fail on their way

_FWD_BYTES, _BWD_BYTES = INDEX["fwd_bytes"], INDEX["bwd_bytes"]
_FWD_PACKETS, _BWD_PACKETS = INDEX["fwd_packets"], INDEX["bwd_packets"]
_ICMP_TYPE = INDEX["icmp_type"]


@inner
def role_of(identity: Identity, values: Values, i: int) -> int:
    """The role of record i, one of the constants above."""
    protocol = identity[i, PROTOCOL]
    if identity[i, SRC_LOW] == identity[i, DST_LOW] and identity[i, SRC_HIGH] == identity[i, DST_HIGH]:
        return UNJUDGED  # a host with itself
    if _to_a_group(identity, i) or (protocol == UDP and _is_discovery(identity[i, DST_PORT])):
        return UNJUDGED
    there, back = values[i, _FWD_PACKETS], values[i, _BWD_PACKETS]
    if protocol == UDP and _is_discovery(identity[i, SRC_PORT]):
        # Nobody searches beyond his network: what answers from outside was asked by another, in this host's name.
        return ANSWER if back == 0 and not is_private(identity, i, SRC_HIGH, SRC_LOW) else UNJUDGED
    data = values[i, _FWD_BYTES] + values[i, _BWD_BYTES] > 0
    if protocol in (TCP, SCTP):
        return _role_of_connection(identity, i, there, back, data)
    if protocol == UDP:
        if back > 0:
            return TALK if data else OPENED
        if identity[i, SRC_PORT] < SYSTEM_PORTS <= identity[i, DST_PORT]:
            return ANSWER
        return UNJUDGED if _TRACEROUTE_FIRST <= identity[i, DST_PORT] <= _TRACEROUTE_LAST else FAILED
    if protocol in (ICMP, ICMP6):
        if values[i, _ICMP_TYPE] != (_ECHO if protocol == ICMP else _ECHO6):
            return ANSWER if protocol == ICMP or values[i, _ICMP_TYPE] < _ECHO6 else UNJUDGED  # ND, MLD are from 130 on
        return TALK if back > 0 else FAILED
    return OPENED if back > 0 else FAILED


@inner
def _role_of_connection(identity: Identity, i: int, there: float, back: float, data: bool) -> int:
    seen = identity[i, SEEN]
    if there == 0:
        return ANSWER  # a SYN-ACK whose SYN was never seen
    if not data:
        if back == 0 and identity[i, PROTOCOL] == TCP and seen & SEEN_SYN == 0:
            service_answers = identity[i, SRC_PORT] < SYSTEM_PORTS <= identity[i, DST_PORT]
            if seen & SEEN_RST or service_answers:
                return ANSWER  # an RST to what is not in view, the last packets of what has ended
        if identity[i, PROTOCOL] == SCTP:  # of which no data is counted; four packets open it (RFC 9260, 5.1)
            return OPENED if there >= 2 and back >= 2 else FAILED
        return FAILED if back == 0 or seen & SEEN_SYN_BACK == 0 else OPENED
    return TALK


@inner
def to_one_host(identity: Identity, i: int) -> bool:
    """Whether a record goes to one host, and not to the one that it comes from."""
    same = identity[i, SRC_LOW] == identity[i, DST_LOW] and identity[i, SRC_HIGH] == identity[i, DST_HIGH]
    return not (same or _to_a_group(identity, i))


@inner
def _to_a_group(identity: Identity, i: int) -> bool:
    """Whether the destination is a multicast group or a broadcast address, or the source has no address yet."""
    if identity[i, IP_VERSION] == 6:
        unspecified = identity[i, SRC_HIGH] == 0 and identity[i, SRC_LOW] == 0
        return bool(unspecified or (identity[i, DST_HIGH] >> 56) & 0xFF == 0xFF)
    low = identity[i, DST_LOW] & 0xFFFFFFFF
    # The last address of a /24 is broadcast in most networks that have one, and hardly ever a host in the others;
    # nobody connects to a broadcast address (RFC 9293, 3.9.2.3).
    broadcast = low & 0xFF == 0xFF and identity[i, PROTOCOL] != TCP
    return bool(low >= 0xE0000000 or broadcast or identity[i, SRC_LOW] == 0)


@inner
def _is_discovery(port: int) -> bool:
    """Names, services and leases of a local network: DHCP, NetBIOS, SSDP, WS-Discovery, mDNS, LLMNR (IANA)."""
    if port in (67, 68, 137, 138, 546, 547, 1900):
        return True
    return port in (3702, 5353, 5355)


@inner
def is_private(identity: Identity, i: int, high: int, low: int) -> bool:
    """Whether an address, by its two columns, is of a private network (RFC 1918, 4193), link-local or loopback."""
    if identity[i, IP_VERSION] == 6:
        top = (identity[i, high] >> 48) & 0xFFFF
        return bool(top & 0xFE00 == 0xFC00 or top & 0xFFC0 == 0xFE80 or top == 0)
    a = identity[i, low] & 0xFFFFFFFF
    return bool(a >> 24 == 10 or a >> 20 == 0xAC1 or a >> 16 == 0xC0A8 or a >> 16 == 0xA9FE or a >> 24 == 127)
