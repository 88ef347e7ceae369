"""What the spread of an episode gives away: the technique whose shape it has.

The known classes were learned from other attacks than tomorrow's, and a flow in which nothing was said (a probe, a
half-open connection) carries little to tell classes apart. So the spread of such flows is judged by the explicit table
below, and where it speaks it overrules the label. It knows counts only, no addresses.
"""

from sensor.alerts.spread import Spread
from sensor.alerts.techniques import Technique, technique_of

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


def technique_of_spread(spread: Spread) -> Technique | None:
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
    if _floods(spread, TORRENT_FLOWS, TORRENT_FLOWS_PER_S):
        return technique_of("T1499.001")
    if spread.ports >= SCAN_PORTS:
        return technique_of("T1046")
    if spread.targets >= SWEEP_TARGETS:
        return technique_of("T1018" if spread.protocol in (1, 58) else "T1046")
    if _floods(spread, FLOOD_FLOWS, FLOOD_FLOWS_PER_S):
        return technique_of("T1499.001")
    if spread.failed >= SCAN_START and spread.ports == spread.flows:
        return technique_of("T1046")
    return None


def _floods(spread: Spread, flows: int, flows_per_s: int) -> bool:
    fast = spread.failed * _SECOND_NS >= flows_per_s * spread.span_ns
    return spread.failed >= flows and spread.targets <= FEW_TARGETS and fast
