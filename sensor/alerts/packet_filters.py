"""What shows an episode's packets: a display filter for tshark and Wireshark, a capture filter for tcpdump.

Wireshark's User's Guide, 6.4, and pcap-filter(7). Addresses have passed ipaddress and the rest are numbers, so nothing
of a packet can end the quotes around a filter.
"""

from sensor.alerts.alert import Alert

_PORTS = {6: "tcp", 17: "udp", 132: "sctp"}
_NAMED = {1: "icmp", 58: "icmpv6"}
_CAPTURED = {1: "icmp", 58: "icmp6"}


def display_filter(alert: Alert) -> str:
    """Packets between the hosts of an episode in its time; of one target and one port where it had no more.

    Where many sources hit one target, the target's with any of them; of a storm, of any host. Times are seconds since
    1970, which every version of Wireshark compares alike.
    """
    parts = [f"{_field(alert)} == {alert.source.ip}"] if _one_source(alert) else []
    if _one_target(alert):
        parts.append(f"{_field(alert)} == {alert.destination.ip}")
    parts.append(_protocol(alert))
    # The alert's times are cut to microseconds; the last packet may be a little later.
    parts.append(f"frame.time_epoch >= {_seconds(alert.start_ns)}")
    parts.append(f"frame.time_epoch <= {_seconds(alert.end_ns + 1000)}")
    return " && ".join(parts)


def flow_filter(alert: Alert) -> str:
    """The one flow that an alert shows, by its addresses and ports."""
    name = _PORTS.get(alert.protocol)
    parts = [f"{_field(alert)} == {alert.source.ip}", f"{_field(alert)} == {alert.destination.ip}"]
    if name and alert.source.port is not None and alert.destination.port is not None:
        parts += [f"{name}.port == {alert.source.port}", f"{name}.port == {alert.destination.port}"]
    else:
        parts.append(_protocol(alert))
    return " && ".join(parts)


def capture_filter(alert: Alert) -> str:
    """The same hosts, protocol and port for a capture that is still to come."""
    number, name = alert.protocol, _PORTS.get(alert.protocol)
    parts = [f"host {alert.source.ip}"] if _one_source(alert) else []
    if _one_target(alert):
        parts.append(f"host {alert.destination.ip}")
    if name and _one_port(alert):
        parts.append(f"{name} port {alert.destination.port}")
    elif name:
        parts.append(name)
    else:
        family = "ip6" if _sixth(alert) else "ip"
        parts.append(_CAPTURED.get(number) or f"{family} proto {number}")
    return " and ".join(parts)


def _field(alert: Alert) -> str:
    return "ipv6.addr" if _sixth(alert) else "ip.addr"


def _sixth(alert: Alert) -> bool:
    return alert.ip_version == 6


def _protocol(alert: Alert) -> str:
    number = alert.protocol
    name = _PORTS.get(number)
    if name:
        return f"{name}.port == {alert.destination.port}" if _one_port(alert) else name
    return _NAMED.get(number) or (f"ipv6.nxt == {number}" if _sixth(alert) else f"ip.proto == {number}")


def _one_source(alert: Alert) -> bool:
    return not alert.many_sources


def _one_target(alert: Alert) -> bool:
    return alert.spread.targets <= 1 and not alert.spread.targets_more


def _one_port(alert: Alert) -> bool:
    return alert.spread.ports <= 1 and not alert.spread.ports_more and alert.destination.port is not None


def _seconds(time_ns: int) -> str:
    microseconds = time_ns // 1000
    return f"{microseconds // 1_000_000}.{microseconds % 1_000_000:06d}"
