"""Roles: who asked, who answered, whether anything was said, in packets and what each comes to."""

import pytest

from flows.batch import FlowBatch
from flows.roles import ANSWER, FAILED, OPENED, TALK, UNJUDGED, role_of
from tests.support.packets import Packet, ip, metered, segments, tcp, udp

NAMES = {UNJUDGED: "not judged", ANSWER: "an answer", FAILED: "failed", OPENED: "opened", TALK: "talk"}
A, B = "10.0.0.1", "10.0.0.2"
CLIENT, SERVER = f"{A}:40000", f"{B}:443"
A6, B6 = "[2001:db8::1]", "[2001:db8::2]"
IGMP, GRE, SCTP, ICMP, ICMP6 = 2, 47, 132, 1, 58
DATA, INIT, INIT_ACK, ABORT = 0, 1, 2, 6


def icmp(source: str, target: str, *types: int, protocol: int = ICMP) -> list[Packet]:
    """An ICMP message of each type; one with a minus is sent back."""
    return [
        ip(
            *((source, target) if kind >= 0 else (target, source)),
            protocol,
            bytes([abs(kind)]) + bytes(15),
            at=n * 0.01,
        )
        for n, kind in enumerate(types)
    ]


def chunk(source: str, target: str, kind: int, *, at: float = 0.0, ports: tuple[int, int] = (40000, 2905)) -> Packet:
    """An SCTP packet of one chunk (RFC 9260, 3)."""
    head = ports[0].to_bytes(2, "big") + ports[1].to_bytes(2, "big") + bytes(8)
    return ip(source, target, SCTP, head + bytes([kind, 3, 0, 20]) + bytes(16), at=at)


CASES: dict[str, tuple[list[Packet], int]] = {
    # TCP
    "a SYN that nobody answers": (segments("> S"), FAILED),
    "a SYN that is sent again": (segments("> S", "> S", "> S"), FAILED),
    "a SYN that is refused": (segments("> S", "< RA"), FAILED),
    "a SYN that is answered, and no more": (segments("> S", "< SA"), OPENED),
    "a SYN that is answered, and taken back": (segments("> S", "< SA", "> R"), OPENED),
    "a connection that is opened and closed without data": (
        segments("> S", "< SA", "> A", "> FA", "< FA", "> A"),
        OPENED,
    ),
    "a connection with data": (segments("> S", "< SA", "> A", "> PA 10", "< PA 10"), TALK),
    "a connection in which the server alone speaks": (segments("> S", "< SA", "> A", "< PA 10", "> A"), TALK),
    "a connection met in its middle": (segments("> PA 10", "< PA 10"), TALK),
    "a connection met in its middle, without data": (segments("> A", "< A"), FAILED),
    "a SYN-ACK alone": ([tcp(SERVER, CLIENT, "SA")], ANSWER),
    "a SYN-ACK again and again": ([tcp(SERVER, CLIENT, "SA", at=t) for t in (0.0, 1.0, 3.0)], ANSWER),
    "an RST alone": ([tcp(SERVER, CLIENT, "RA")], ANSWER),
    "an RST alone, from no service": ([tcp(f"{B}:50000", CLIENT, "R")], ANSWER),
    "an ACK alone, to a service": (segments("> A"), FAILED),
    "late ACKs of a service": ([tcp(SERVER, CLIENT, "A"), tcp(SERVER, CLIENT, "A", at=1.0)], ANSWER),
    "a late FIN of a service": ([tcp(SERVER, CLIENT, "FA")], ANSWER),
    "a FIN alone, to a service": (segments("> F"), FAILED),
    "nothing but flags of a Christmas tree, to a service": (segments("> FPU"), FAILED),
    "TCP over IPv6 that nobody answers": ([tcp(f"{A6}:40000", f"{B6}:22", "S")], FAILED),
    # UDP
    "a question that is answered": ([udp(CLIENT, f"{B}:53", payload=30), udp(f"{B}:53", CLIENT, payload=90)], TALK),
    "a question that nobody answers": ([udp(CLIENT, f"{B}:161", payload=30)], FAILED),
    "empty datagrams both ways": ([udp(CLIENT, f"{B}:9"), udp(f"{B}:9", CLIENT)], OPENED),
    "a late answer from a service port": ([udp(f"{B}:53", CLIENT, payload=90)], ANSWER),
    "a datagram from a service port to another": ([udp(f"{B}:53", f"{A}:500", payload=90)], FAILED),
    "a late answer from a high port": ([udp(f"{B}:3478", CLIENT, payload=90)], FAILED),
    "a probe of traceroute": ([udp(CLIENT, f"{B}:33440", payload=32)], UNJUDGED),
    "the port after those of traceroute": ([udp(CLIENT, f"{B}:33535", payload=32)], FAILED),
    # what has no answers to wait for
    "DHCP, before there is an address": ([udp("0.0.0.0:68", "255.255.255.255:67", payload=300)], UNJUDGED),
    "DHCP, renewed at its server": ([udp(f"{A}:68", f"{B}:67", payload=300)], UNJUDGED),
    "an answer of a DHCPv6 server": ([udp(f"{A6}:547", f"{B6}:546", payload=90)], UNJUDGED),
    "mDNS to its group": ([udp(f"{A}:5353", "224.0.0.251:5353", payload=60)], UNJUDGED),
    "SSDP answer of a neighbour": ([udp("10.0.0.9:1900", "10.0.0.8:40000", payload=300)], UNJUDGED),
    "SSDP answer from outside": ([udp("198.18.0.9:1900", "10.0.0.8:40000", payload=300)], ANSWER),
    "mDNS to one host": ([udp(f"{A}:5353", f"{B}:5353", payload=60)], UNJUDGED),
    "a search for devices": ([udp(CLIENT, "239.255.255.250:1900", payload=120)], UNJUDGED),
    "what a device says to a search": ([udp(f"{B}:1900", CLIENT, payload=300)], UNJUDGED),
    "NetBIOS names to all": ([udp(f"{A}:137", "10.0.0.255:137", payload=50)], UNJUDGED),
    "a datagram to all": ([udp(CLIENT, "10.0.0.255:9999", payload=50)], UNJUDGED),
    "a SYN to what may be the address of all": ([tcp(CLIENT, "10.0.0.255:80", "S")], FAILED),
    "IGMP": ([ip(A, "224.0.0.22", IGMP, bytes(8))], UNJUDGED),
    "a datagram to a group of IPv6": ([udp(f"{A6}:40000", "[ff02::fb]:9999", payload=60)], UNJUDGED),
    "IPv6 from no address yet": (icmp("[::]", B6, 135, protocol=ICMP6), UNJUDGED),
    "a host with itself": ([tcp(f"{A}:40000", f"{A}:80", "S")], UNJUDGED),
    "a host with itself, on the loop": ([udp("127.0.0.1:40000", "127.0.0.1:161", payload=9)], UNJUDGED),
    # ICMP
    "an echo request that nobody answers": (icmp(A, B, 8), FAILED),
    "an echo request that is answered": ([*icmp(A, B, 8), ip(B, A, ICMP, bytes(16), at=0.1)], TALK),
    "an echo reply alone": ([ip(B, A, ICMP, bytes(16))], ANSWER),
    "a destination that is unreachable": (icmp(B, A, 3), ANSWER),
    "a time that is exceeded": (icmp(B, A, 11), ANSWER),
    "an echo request of IPv6 that nobody answers": (icmp(A6, B6, 128, protocol=ICMP6), FAILED),
    "an echo request of IPv6 that is answered": (icmp(A6, B6, 128, -129, protocol=ICMP6), TALK),
    "a destination that is unreachable, of IPv6": (icmp(A6, B6, 1, protocol=ICMP6), ANSWER),
    "neighbour discovery": (icmp(A6, B6, 135, -136, protocol=ICMP6), UNJUDGED),
    "a report of membership, of IPv6": (icmp(A6, "[ff02::16]", 143, protocol=ICMP6), UNJUDGED),
    # others
    "an INIT of SCTP that nobody answers": ([chunk(A, B, INIT)], FAILED),
    "an INIT of SCTP that is aborted": (
        [chunk(A, B, INIT), chunk(B, A, ABORT, at=0.01, ports=(2905, 40000))],
        FAILED,
    ),
    "an association of SCTP in which data is sent": (
        [
            chunk(A, B, INIT),
            chunk(B, A, INIT_ACK, at=0.01, ports=(2905, 40000)),
            chunk(A, B, DATA, at=0.02),
            chunk(B, A, DATA, at=0.03, ports=(2905, 40000)),
        ],
        OPENED,
    ),
    "a tunnel of GRE one way": ([ip(A, B, GRE, bytes(20))], FAILED),
    "a tunnel of GRE both ways": ([ip(A, B, GRE, bytes(20)), ip(B, A, GRE, bytes(20), at=0.01)], OPENED),
}


def role(batch: FlowBatch) -> str:
    assert len(batch) == 1
    return NAMES[role_of(batch.identity, batch.values, 0)]


@pytest.mark.parametrize("case", CASES)
def test_the_role_of_a_flow(case: str) -> None:
    packets, expected = CASES[case]
    assert role(metered(packets, news_only=True)) == NAMES[expected]
