"""DNS messages: queries, and responses with or without records.

RFC 1035, 3596 (AAAA), 2782 (SRV), 6891 (EDNS), 6762 (mDNS).
"""

import struct

A, PTR, TXT, AAAA, SRV = 1, 12, 16, 28, 33
_SOA, _OPT = 6, 41
_EDNS = b"\0" + struct.pack("!HHIH", _OPT, 1232, 0, 0)
_NAME_OF_QUESTION = b"\xc0\x0c"  # compression pointer to offset 12


def query(ident: int, name: str, kind: int) -> bytes:
    """Recursive query with an EDNS record."""
    return struct.pack("!HHHHHH", ident, 0x0100, 1, 0, 0, 1) + _question(name, kind) + _EDNS


def response(ident: int, name: str, kind: int, addresses: list[bytes]) -> bytes:
    """Response with a record for each address; without one, with the zone's SOA: there is no such record."""
    header = struct.pack("!HHHHHH", ident, 0x8180, 1, len(addresses), not addresses, 1)
    records = b"".join(_record(_NAME_OF_QUESTION, kind, 300, rdata) for rdata in addresses)
    return header + _question(name, kind) + (records or _no_such_record(name)) + _EDNS


def service(target: str, port: int) -> bytes:
    """Data of a SRV record: first choice, the port, and the host that offers the service. RFC 2782."""
    return struct.pack("!HHH", 0, 100, port) + _labels(target)


def multicast_query(name: str) -> bytes:
    """mDNS query for the instances of a service."""
    return struct.pack("!HHHHHH", 0, 0, 1, 0, 0, 0) + _question(name, PTR)


def multicast_answer(service: str, instance: str) -> bytes:
    """mDNS response: this host offers an instance of the service."""
    return struct.pack("!HHHHHH", 0, 0x8400, 0, 1, 0, 0) + _record(_labels(service), PTR, 4500, _labels(instance))


def _labels(name: str) -> bytes:
    return b"".join(bytes((len(label),)) + label.encode() for label in name.split(".")) + b"\0"


def _question(name: str, kind: int) -> bytes:
    return _labels(name) + struct.pack("!HH", kind, 1)


def _record(owner: bytes, kind: int, seconds: int, rdata: bytes) -> bytes:
    return owner + struct.pack("!HHIH", kind, 1, seconds, len(rdata)) + rdata


def _no_such_record(name: str) -> bytes:
    zone = ".".join(name.split(".")[-2:])
    numbers = struct.pack("!IIIII", 2026112001, 7200, 900, 1209600, 300)
    return _record(_labels(zone), _SOA, 300, _labels(f"ns1.{zone}") + _labels(f"hostmaster.{zone}") + numbers)
