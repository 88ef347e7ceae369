"""The shape of an episode: how many flows, targets and ports, and what that alone gives away.

The known classes were learned from other attacks than tomorrow's, and a flow in which nothing was said (a probe, a
half-open connection) carries little to tell classes apart. So the shape of such flows is judged by the explicit table
below, and where it speaks it overrules the label. It knows counts only, no addresses.
"""

from dataclasses import dataclass

from sensor.techniques import Technique, technique_of

SCAN_PORTS = 20  # no client asks so many ports that do not answer
SCAN_START = 3  # guessing and overload stay on one service; a scan that begins does not
SWEEP_TARGETS = 20
FEW_TARGETS = 4
FLOOD_FLOWS = 100
FLOOD_FLOWS_PER_S = 10
# A scan of a host asks each port once or twice and takes a while; above this rate and number on so few targets the load
# is the point, whatever ports it hits. A whole scan of one host at such a rate is called a flood too.
TORRENT_FLOWS = 5000
TORRENT_FLOWS_PER_S = 1000

_SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Shape:
    """What the flagged flows of an episode look like together.

    flows: flows flagged. packets: of both directions. failed: flows in which no data was exchanged (never answered, or
    without any payload). targets, ports: distinct destination addresses and ports, exact up to a bound;
    targets_more, ports_more say that it was passed. span_ns: first packet to last packet. protocol: IP number, and
    port: of the flow that speaks strongest.
    """

    flows: int
    packets: int
    failed: int
    targets: int
    targets_more: bool
    ports: int
    ports_more: bool
    span_ns: int
    protocol: int
    port: int


def technique_of_shape(shape: Shape) -> Technique | None:
    """What flows without any exchange of data give away by their number and spread, or None. In this order:

    | shape                                      | technique                       |
    |--------------------------------------------|---------------------------------|
    | ≥ 5000 flows, ≥ 1000 a second, ≤ 4 targets | T1499.001 OS Exhaustion Flood   |
    | ≥ 20 ports                                 | T1046 Network Service Discovery |
    | ≥ 20 targets, ICMP                         | T1018 Remote System Discovery   |
    | ≥ 20 targets, otherwise                    | T1046 Network Service Discovery |
    | ≥ 100 flows, ≥ 10 a second, ≤ 4 targets    | T1499.001 OS Exhaustion Flood   |
    | ≥ 3 flows, each to another port            | T1046 Network Service Discovery |
    """
    if _floods(shape, TORRENT_FLOWS, TORRENT_FLOWS_PER_S):
        return technique_of("T1499.001")
    if shape.ports >= SCAN_PORTS:
        return technique_of("T1046")
    if shape.targets >= SWEEP_TARGETS:
        return technique_of("T1018" if shape.protocol in (1, 58) else "T1046")
    if _floods(shape, FLOOD_FLOWS, FLOOD_FLOWS_PER_S):
        return technique_of("T1499.001")
    if shape.failed >= SCAN_START and shape.ports == shape.flows:
        return technique_of("T1046")
    return None


def _floods(shape: Shape, flows: int, flows_per_s: int) -> bool:
    fast = shape.failed * _SECOND_NS >= flows_per_s * shape.span_ns
    return shape.failed >= flows and shape.targets <= FEW_TARGETS and fast


def shape_in_words(shape: Shape) -> str:
    """Such as `412 ports on one host in 9.0 s: 418 flows, 424 packets, 410 flows without any data`."""
    if shape.ports > 1:
        where = f"{_count(shape.ports, shape.ports_more)} ports on "
    elif shape.protocol in (6, 17, 132):
        where = f"port {shape.port} on "
    else:
        where = f"IP protocol {shape.protocol} to " if shape.protocol not in (1, 58) else "ICMP to "
    hosts = "one host" if shape.targets == 1 else f"{_count(shape.targets, shape.targets_more)} hosts"
    flows = "one flow" if shape.flows == 1 else f"{shape.flows:,} flows"
    packets = "one packet" if shape.packets == 1 else f"{shape.packets:,} packets"
    words = f"{where}{hosts} in {span_in_words(shape.span_ns)}: {flows}, {packets}"
    if shape.failed == shape.flows:
        return words + ", no data exchanged"
    return words + (f", {shape.failed:,} flows without any data" if shape.failed else "")


def span_in_words(span_ns: int) -> str:
    """A stretch of time for people: `0.7 ms`, `9.0 s`, `12 min`, `3.5 h`."""
    seconds = span_ns / _SECOND_NS
    if seconds < 0.9995:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def _count(number: int, more: bool) -> str:
    return f"{number:,}{'+' if more else ''}"
