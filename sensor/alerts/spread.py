"""The spread of an episode: how many flows, targets and ports in how long, and that in words."""

from dataclasses import dataclass

_SECOND_NS = 1_000_000_000
_FEW_FLOWS = 10  # below which packets say more than flows
_ICMP = frozenset({1, 58})


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
    # Packets a second of the target in the ten minutes before, of floods; None where that is not known.
    load_before: float | None = None


def spread_in_words(spread: Spread) -> str:
    """Such as `port 22 on one host: 588 flows from 60 hosts in 39 min, 15 a minute, 9,210 packets`.

    What was not answered or said nothing comes last.
    """
    if spread.ports > 1:
        where = f"{amount(spread.ports, spread.ports_more)} ports on "
    elif spread.protocol in (6, 17, 132):
        where = f"port {spread.port} on "
    else:
        where = f"IP protocol {spread.protocol} to " if spread.protocol not in _ICMP else "ICMP to "
    one_target = spread.targets <= 1 and not spread.targets_more
    hosts = "one host" if one_target else counted(spread.targets, "host", more=spread.targets_more)
    many = spread.origins > 1 or spread.origins_more
    sources = f" from {counted(spread.origins, 'host', more=spread.origins_more)}" if many else ""
    packets = "one packet" if spread.packets == 1 else counted(spread.packets, "packet")
    flows = "one flow" if spread.flows == 1 else counted(spread.flows, "flow")
    span = f" in {span_in_words(spread.span_ns)}" if spread.span_ns else ""
    if spread.flows < _FEW_FLOWS:
        words = f"{flows} of {packets}{sources}{span}{_rate(spread.packets, 'packets ', spread.span_ns)}"
    else:
        words = f"{flows}{sources}{span}{_rate(spread.flows, '', spread.span_ns)}, {packets}"
    return f"{where}{hosts}: {words}{nothing_in_words(spread)}{_load_in_words(spread)}"


def nothing_in_words(spread: Spread) -> str:
    """How many flows said nothing, to go on with: `, no data exchanged in 410 of the flows`; nothing for none."""
    if not spread.failed:
        return ""
    nothing = "no answer" if spread.protocol in _ICMP else "no data exchanged"
    return f", {nothing}" + (f" in {spread.failed:,} of the flows" if spread.failed < spread.flows else "")


def _load_in_words(spread: Spread) -> str:
    """How much more comes to the target of a flood than before; nothing where that is not known."""
    if spread.load_before is None:
        return ""
    now = spread.packets * _SECOND_NS / max(spread.span_ns, _SECOND_NS)
    return f"; {now:,.0f} packets a second, before it {spread.load_before:,.3g} to the same host"


def _rate(number: int, noun: str, span_ns: int) -> str:
    """Such as `, 15 a minute`, by the shortest time in which there are two; nothing for what is over within 1 s."""
    if number < 2 or span_ns < _SECOND_NS:
        return ""
    per_second = number * _SECOND_NS / span_ns
    for unit, seconds in (("a second", 1), ("a minute", 60), ("an hour", 3600)):
        if per_second * seconds >= 2:
            return f", {per_second * seconds:,.0f} {noun}{unit}"
    return f", {per_second * 86400:,.0f} {noun}a day"


def span_in_words(span_ns: int) -> str:
    """A stretch of time for people: `0.7 ms`, `9.0 s`, `12 min`, `3.5 h`, from two days on `7.0 days`."""
    seconds = span_ns / _SECOND_NS
    if seconds < 0.9995:
        return f"{seconds * 1000:.3g} ms"
    if seconds < 120:
        return f"{seconds:.1f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.1f} h" if seconds < 172_800 else f"{seconds / 86_400:.1f} days"


def amount(number: int, more: bool) -> str:
    """A count for people, with a plus where there are more than were counted."""
    return f"{number:,}{'+' if more else ''}"


def counted(number: int, one: str, many: str | None = None, *, more: bool = False) -> str:
    """A number with its noun: `1 host`, `2 hosts`, `no hosts`, `4,096+ hosts`."""
    noun = one if number == 1 and not more else many or one + "s"
    return f"{amount(number, more) if number or more else 'no'} {noun}"
