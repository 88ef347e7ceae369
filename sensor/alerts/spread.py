"""The spread of an episode: how many flows, targets and ports in how long, and that in words."""

from dataclasses import dataclass

_SECOND_NS = 1_000_000_000


@dataclass(frozen=True, slots=True)
class Spread:
    """What the flagged flows of an episode look like together."""

    flows: int  # flows flagged
    packets: int  # of both directions
    failed: int  # flows in which no data was exchanged: never answered, or without any payload
    targets: int  # distinct destination addresses, exact up to a bound
    targets_more: bool  # whether there were more
    ports: int  # distinct destination ports, exact up to a bound
    ports_more: bool  # whether there were more
    span_ns: int  # first packet to last packet
    protocol: int  # IP number, of the flow that speaks strongest
    port: int  # destination port of that flow
    origins: int = 1  # distinct source addresses, exact up to a bound
    origins_more: bool = False  # whether there were more


def spread_in_words(spread: Spread) -> str:
    """Such as `412 ports on one host in 9.0 s: 418 flows, 424 packets, 410 flows without any data`."""
    if spread.ports > 1:
        where = f"{amount(spread.ports, spread.ports_more)} ports on "
    elif spread.protocol in (6, 17, 132):
        where = f"port {spread.port} on "
    else:
        where = f"IP protocol {spread.protocol} to " if spread.protocol not in (1, 58) else "ICMP to "
    hosts = "one host" if spread.targets == 1 else f"{amount(spread.targets, spread.targets_more)} hosts"
    flows = "one flow" if spread.flows == 1 else f"{spread.flows:,} flows"
    packets = "one packet" if spread.packets == 1 else f"{spread.packets:,} packets"
    if spread.origins > 1:
        hosts += f" from {amount(spread.origins, spread.origins_more)} hosts"
    words = f"{where}{hosts} in {span_in_words(spread.span_ns)}: {flows}, {packets}"
    if spread.failed == spread.flows:
        return words + ", no data exchanged"
    return words + (f", {spread.failed:,} flows without any data" if spread.failed else "")


def span_in_words(span_ns: int) -> str:
    """A stretch of time for people: `0.7 ms`, `9.0 s`, `12 min`, `3.5 h`."""
    seconds = span_ns / _SECOND_NS
    if seconds < 0.9995:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 120:
        return f"{seconds:.1f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"


def amount(number: int, more: bool) -> str:
    """A count for people, with a plus where there are more than were counted."""
    return f"{number:,}{'+' if more else ''}"
