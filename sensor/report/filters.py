"""What shows an episode's packets: a display filter for tshark and Wireshark, a capture filter for tcpdump.

Wireshark's User's Guide, 6.4, and pcap-filter(7). Addresses have passed ipaddress and the rest are numbers, so nothing
of a packet can end the quotes around a filter.
"""

from ipaddress import ip_address

from sensor.report.records import AlertRecord

_PORTS = {6: "tcp", 17: "udp", 132: "sctp"}
_NAMED = {1: "icmp", 58: "icmpv6"}
_CAPTURED = {1: "icmp", 58: "icmp6"}


def display_filter(record: AlertRecord) -> str:
    """Packets between the hosts of an episode in its time; of one target and one port where it had no more.

    Times are seconds since 1970, which every version of Wireshark compares alike.
    """
    event = record.event
    parts = [f"{_field(record)} == {record.source.ip}"]
    if _one_target(record):
        parts.append(f"{_field(record)} == {record.destination.ip}")
    parts.append(_protocol(record))
    # The alert's times are cut to microseconds; the last packet may be a little later.
    parts.append(f"frame.time_epoch >= {_seconds(event.start)}")
    parts.append(f"frame.time_epoch <= {_seconds(event.end + 1000)}")
    return " && ".join(parts)


def flow_filter(record: AlertRecord) -> str:
    """The one flow that an alert shows, by its addresses and ports."""
    name = _PORTS.get(record.network.iana_number)
    parts = [f"{_field(record)} == {record.source.ip}", f"{_field(record)} == {record.destination.ip}"]
    if name and record.source.port is not None and record.destination.port is not None:
        parts += [f"{name}.port == {record.source.port}", f"{name}.port == {record.destination.port}"]
    else:
        parts.append(_protocol(record))
    return " && ".join(parts)


def capture_filter(record: AlertRecord) -> str:
    """The same hosts, protocol and port for a capture that is still to come."""
    number, name = record.network.iana_number, _PORTS.get(record.network.iana_number)
    parts = [f"host {record.source.ip}"]
    if _one_target(record):
        parts.append(f"host {record.destination.ip}")
    if name and _one_port(record):
        parts.append(f"{name} port {record.destination.port}")
    elif name:
        parts.append(name)
    else:
        family = "ip6" if _sixth(record) else "ip"
        parts.append(_CAPTURED.get(number) or f"{family} proto {number}")
    return " and ".join(parts)


def _field(record: AlertRecord) -> str:
    return "ipv6.addr" if _sixth(record) else "ip.addr"


def _sixth(record: AlertRecord) -> bool:
    return ip_address(record.source.ip).version == 6


def _protocol(record: AlertRecord) -> str:
    number = record.network.iana_number
    name = _PORTS.get(number)
    if name:
        return f"{name}.port == {record.destination.port}" if _one_port(record) else name
    return _NAMED.get(number) or (f"ipv6.nxt == {number}" if _sixth(record) else f"ip.proto == {number}")


def _one_target(record: AlertRecord) -> bool:
    return record.flowvigil.targets <= 1 and not record.flowvigil.targets_more


def _one_port(record: AlertRecord) -> bool:
    own = record.flowvigil
    return own.ports <= 1 and not own.ports_more and record.destination.port is not None


def _seconds(time_ns: int) -> str:
    microseconds = time_ns // 1000
    return f"{microseconds // 1_000_000}.{microseconds % 1_000_000:06d}"
