"""An alert in words: one table for the terminal, the page, `flowvigil alerts` and what other tools are sent.

Who shows an alert chooses colours, columns and how much is told; what a thing is called stands here.
"""

from collections.abc import Sequence
from typing import Final

from sensor.alerts.alert import Alert, Endpoint, service_in_words
from sensor.alerts.deviation import Deviation
from sensor.alerts.kinds import timestamp
from sensor.alerts.seen_names import SeenName
from sensor.alerts.services import service_name
from sensor.alerts.spread import amount, counted, nothing_in_words

# Smallest severity of each word, the worst first.
SEVERITIES: Final = ((70, "high"), (40, "medium"), (0, "low"))


_DIRECTIONS: Final = {
    "inbound": "from outside to inside",
    "outbound": "from inside to outside",
    "internal": "within the home networks",
    "external": "outside of the home networks",
}


def severity_word(severity: int) -> str:
    """High, medium or low."""
    return next(word for least, word in SEVERITIES if severity >= least)


def lane_in_words(alert: Alert) -> str:
    """Such as `known lane`, `both lanes`, or `its shape alone`."""
    words = {"both": "both lanes", "shape": "its shape alone"}
    return words.get(alert.lane, f"{alert.lane} lane")


def label_in_words(alert: Alert) -> str:
    """What the known lane took it for, where that speaks for the alert or nothing else names it; else nothing.

    What a model says beside another name would only confuse: it stays in the record.
    """
    return (alert.label or "") if alert.technique is None or alert.lane in ("known", "both") else ""


def who(alert: Alert, arrow: str = "->") -> str:
    """Source and target, such as `192.0.2.10 -> 10.0.0.1:22`; where there were more than one, their number."""
    spread, destination = alert.spread, alert.destination
    target = whom(alert)
    if target == destination.ip and spread.ports <= 1 and not spread.ports_more:
        target = address_and_port(destination.ip, destination.port)
    return f"{alert.origin} {arrow} {target}"


def whom(alert: Alert) -> str:
    """The target's address, or of several their number: `17 hosts`."""
    spread = alert.spread
    if spread.targets <= 1 and not spread.targets_more:
        return alert.destination.ip
    return counted(spread.targets, "host", more=spread.targets_more)


def place_in_words(alert: Alert) -> str:
    """Where an alert took place by the site's notes, to begin its reason with; nothing without notes.

    Such as `from outside to web-1: `, `inside, from scan-1: ` or `from desk-7 to outside: `.
    """
    source, target = alert.source.domain, alert.destination.domain
    if alert.direction is None:
        return ""
    if alert.direction == "inbound":
        return f"from outside{f' ({source})' if source else ''}{f' to {target}' if target else ''}: "
    if alert.direction == "outbound":
        return f"{f'from {source} ' if source else ''}to outside{f' ({target})' if target else ''}: "
    where = "inside" if alert.direction == "internal" else "outside"
    return f"{where}{f', from {source}' if source else ''}{f', to {target}' if target else ''}: "


def direction_in_words(alert: Alert) -> str:
    """From where to where the flow shown went, by the home networks of the site's notes; nothing without notes."""
    return "" if alert.direction is None else _DIRECTIONS[alert.direction]


def networks_in_words(alert: Alert) -> str:
    """Where the addresses of the flow shown belong, by the operator's databases; nothing where these do not say.

    Such as `198.51.100.7: Lyon, FR, AS64500 Example Net`, of both sides the source's first.
    """
    sides = ((end.ip, _network_of(end)) for end in (alert.source, alert.destination))
    return "; ".join(f"{ip}: {network}" for ip, network in sides if network)


def _network_of(end: Endpoint) -> str:
    number = "" if end.as_number is None else f"AS{end.as_number}"
    system = " ".join(filter(None, (number, end.as_organization)))
    return ", ".join(filter(None, (end.city, end.country, system)))


def muted_in_words(alert: Alert) -> str:
    """Such as `muted by scanner scan-1: the weekly scan, until 2026-12-31 23:59:59`; nothing where it is not."""
    muted = alert.muted
    if muted is None:
        return ""
    until = "" if muted.until_ns is None else f", until {moment(muted.until_ns)}"
    return f"muted by {muted.by}: {muted.why}{until}"


def targets_in_words(alert: Alert) -> str:
    """Such as `one host 10.20.0.10; 1,000 ports: 9332, 727, …` or `199 hosts: 10.0.0.1, 10.0.0.2, …; port 22`."""
    spread, shown = alert.spread, alert.target_ips or (alert.destination.ip,)
    hosts = f"one host {shown[0]}"
    if spread.targets > 1 or spread.targets_more:
        hosts = f"{whom(alert)}: {_listed(shown, spread.targets)}"
    ports = [str(port) for port in alert.target_ports]
    if not ports:
        return hosts if spread.ports == 0 else f"{hosts}; {spread.ports:,} ports"
    if spread.ports <= 1:
        return f"{hosts}; port {ports[0]}"
    return f"{hosts}; {amount(spread.ports, spread.ports_more)} ports: {_listed(ports, spread.ports)}"


def service_in_short(alert: Alert) -> str:
    """What the port of the flow shown is usually for: `ssh (tcp/22)`; nothing where that is not known."""
    port = alert.destination.port
    name = service_name(port, alert.protocol)
    return "" if name is None else f"{name} ({service_in_words(port, alert.protocol)})"


def names_in_words(alert: Alert) -> str:
    """Names that DNS answers told of the addresses of the flow shown; nothing where none were seen.

    Such as `198.51.100.7: example.org (asked for 2026-03-02 09:01:13 by 10.0.0.5)`.
    """
    return "; ".join(_names(end) for end in (alert.destination, alert.source) if end.names)


def _names(end: Endpoint) -> str:
    return f"{end.ip}: {', '.join(map(_name, end.names))}"


def _name(seen: SeenName) -> str:
    how = "reverse lookup" if seen.reverse else "asked for"
    return f"{seen.name} ({how} {moment(seen.seen_ns)} by {seen.asker})"


def tls_in_words(alert: Alert) -> str:
    """What the TLS hello of the flow shown said: `server name example.org, JA4 t13d…`; nothing where none was seen."""
    name, ja4 = alert.tls.server_name, alert.tls.ja4
    told = f"server name {name}" if name else "no server name" if ja4 else ""
    return f"{told}, JA4 {ja4}" if ja4 else told


def sources_in_words(alert: Alert) -> str:
    """How many hosts it tells of where they are several: `36 hosts`; of a storm `9 hosts, 60 alerts told as one`."""
    if alert.storm:
        return f"{alert.origin}, {counted(alert.hosts_merged, 'alert')} told as one"
    return alert.origin if alert.many_sources else ""


def traffic_in_words(alert: Alert) -> str:
    """Such as `120 flows, 3,671 packets, no data exchanged in 4 of the flows`."""
    spread = alert.spread
    return f"{counted(spread.flows, 'flow')}, {counted(spread.packets, 'packet')}{nothing_in_words(spread)}"


def outside_normal(alert: Alert) -> tuple[Deviation, ...]:
    """The columns of the flow shown that lie outside of normal traffic; logs of older versions have others too."""
    return tuple(deviation for deviation in alert.deviations if deviation.outside)


def address_and_port(ip: str, port: int | None) -> str:
    """Such as `10.0.0.1:22` or `[2001:db8::1]:22`, the address alone without a port."""
    if port is None:
        return ip
    return f"[{ip}]:{port}" if ":" in ip else f"{ip}:{port}"


def moment(time_ns: int) -> str:
    """Day and time of day in UTC: `2026-03-02 09:01:15`."""
    return timestamp(time_ns)[:19].replace("T", " ")


def clock_time(time_ns: int) -> str:
    """Time of day in UTC: `09:01:15`."""
    return timestamp(time_ns)[11:19]


def when(start_ns: int, end_ns: int, now_ns: int | None, dash: str = "-") -> str:
    """When something began and last moved, in UTC: `09:01:15-09:01:19`, with the date where that is not now_ns's.

    now_ns: None always has the date.

    Such as `2026-03-02 09:01:15-09:01:19`, and with both dates where it went on over midnight. One moment where both
    are in the same second.
    """
    began, moved = moment(start_ns), moment(end_ns)
    today = None if now_ns is None else moment(now_ns)[:10]
    if began[:10] != moved[:10]:
        return f"{began}{dash}{moved}"
    first = began[11:] if began[:10] == today else began
    return first if began == moved else f"{first}{dash}{moved[11:]}"


def state_word(alert: Alert) -> str:
    """Whether an alert goes on: open or closed."""
    return "closed" if alert.action == "closed" else "open"


def _listed(shown: Sequence[str], all_of_them: int) -> str:
    return ", ".join(shown) + (", …" if len(shown) < all_of_them else "")
