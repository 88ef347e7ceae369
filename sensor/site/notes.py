"""The notes of a site, and what they make of an alert. Pure: no file, clock or thread.

A note speaks of one side, never of both by accident: a rule or role of a source holds where that host, and no other,
did it; an alert about the same host as a target is another matter. A side holds only where every host on it is known
to be meant: of an alert of many sources no rule's source does, and of more targets than an alert lists no destination.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

from sensor.alerts.alert import Alert, Endpoint, Grade, Muted
from sensor.alerts.words import place_in_words
from sensor.site.claims import Claim, Service, claim_of
from sensor.site.networks import DEFAULT_HOME, Network, Networks, address_of, direction_of, within
from sensor.site.roles import ROLES, Excuse, Role, Side

MUTED_SEVERITY: Final = 1
# The internet is scanned all day: a scan from outside tells nothing of this site, whoever it belongs to. One from
# inside, and whatever leaves, keeps its severity.
BACKGROUND: Final = claim_of("scan")
BACKGROUND_SEVERITY: Final = 20


@dataclass(frozen=True, slots=True)
class Asset:
    """A host or network with a name."""

    name: str
    networks: Networks
    role: Role | None = None
    why: str = ""
    line: int = 0  # of the file


@dataclass(frozen=True, slots=True)
class Party:
    """Whom a side of a rule names."""

    text: str  # as written
    networks: Networks

    def is_source(self, alert: Alert) -> bool:
        """Whether one of these hosts did it, and no other."""
        return not alert.many_sources and within(address_of(alert.source.ip), self.networks)

    def is_destination(self, alert: Alert) -> bool:
        """Whether it was done to these hosts, and to no other."""
        return all_targets_within(alert, self.networks)


@dataclass(frozen=True, slots=True)
class Rule:
    """What the operator says is meant to be."""

    why: str
    source: Party | None = None
    destination: Party | None = None
    service: Service | None = None
    claim: Claim | None = None
    until_ns: int | None = None
    name: str = ""
    line: int = 0  # of the file

    @property
    def text(self) -> str:
        """Its name, else what it says: `10.0.0.9 -> any, tcp/443, scan`."""
        if self.name:
            return self.name
        source, destination = (party.text if party else "any" for party in (self.source, self.destination))
        parts = (self.service.text if self.service else "", self.claim.text if self.claim else "")
        return ", ".join((f"{source} -> {destination}", *filter(None, parts)))

    def holds(self, alert: Alert) -> bool:
        """Whether it speaks of this alert, at the alert's time."""
        return (
            not expired(self.until_ns, alert.time_ns)
            and (self.claim is None or self.claim.holds(alert))
            and (self.service is None or self.service.holds(alert))
            and (self.source is None or self.source.is_source(alert))
            and (self.destination is None or self.destination.is_destination(alert))
        )


@dataclass(frozen=True, slots=True)
class Mark:
    """What the operator found about one alert."""

    alert: str  # its id
    true: bool  # whether it was what it said; then nothing mutes it
    why: str


@dataclass(frozen=True, slots=True)
class SiteNotes:
    """All that is noted of a site."""

    home: Networks = DEFAULT_HOME
    assets: Sequence[Asset] = ()
    rules: Sequence[Rule] = ()  # the first that holds says why
    marks: Mapping[str, Mark] = field(default_factory=dict)  # by id of the alert

    def of(self, alert: Alert) -> Alert:
        """The alert with its direction, the names of assets, and muted where a note says that it is meant to be.

        Its own time says which rules are in force. What earlier notes made of it is taken back first.
        """
        plain = without_notes(alert)
        source, destination = self._named(plain.source), self._named(plain.destination)
        direction = direction_of(source.ip, destination.ip, self.home)
        placed = replace(plain, source=source, destination=destination, direction=direction)
        placed = replace(placed, reason=place_in_words(placed) + placed.reason)
        muted = self._muted(placed)
        if muted is not None:
            return _graded(replace(placed, muted=muted), MUTED_SEVERITY, 0.0)
        if direction == "inbound" and BACKGROUND.holds(placed) and not placed.many_sources:
            severity = min(placed.severity, BACKGROUND_SEVERITY)
            return _graded(placed, severity, round(placed.risk * severity / max(placed.severity, 1), 1))
        return placed

    def mutes(self, alert: Alert) -> bool:
        """Whether a note says that an alert is meant to be."""
        return self.of(alert).muted is not None

    def asset(self, ip: str) -> Asset | None:
        """The asset of an address, the one of the smallest network; None where there is none."""
        address = address_of(ip)
        holding = [
            (network.prefixlen, -place, asset)
            for place, asset in enumerate(self.assets)
            for network in asset.networks
            if address in network
        ]
        return max(holding, key=lambda found: found[:2])[2] if holding else None

    def _named(self, endpoint: Endpoint) -> Endpoint:
        asset = self.asset(endpoint.ip)
        return replace(endpoint, domain=asset.name) if asset else endpoint

    def _muted(self, alert: Alert) -> Muted | None:
        mark = self.marks.get(alert.id)
        if mark is not None:
            return None if mark.true else Muted("mark", mark.why)
        for rule in self.rules:
            if rule.holds(alert):
                return Muted(f"rule {rule.text}", rule.why, rule.until_ns)
        for excuse in ROLES:
            asset = self._excused(excuse, alert)
            if asset is not None:
                return Muted(f"{excuse.role} {asset.name}", asset.why or excuse.why)
        return None

    def _excused(self, excuse: Excuse, alert: Alert) -> Asset | None:
        """The asset whose role accounts for the alert."""
        if not excuse.holds(alert):
            return None
        asset = self._on_side(alert, excuse.side)
        return asset if asset is not None and asset.role == excuse.role else None

    def _on_side(self, alert: Alert, side: Side) -> Asset | None:
        """The asset that all hosts of a side belong to."""
        if side == "source":
            return None if alert.many_sources else self.asset(alert.source.ip)
        asset = self.asset(alert.destination.ip)
        return asset if asset is not None and all_targets_within(alert, asset.networks) else None


def without_notes(alert: Alert) -> Alert:
    """The alert as it was before any notes."""
    if alert.direction is None:
        return alert
    before = alert.before_notes or Grade(alert.severity, alert.risk)
    return replace(
        alert,
        reason=alert.reason.removeprefix(place_in_words(alert)),
        severity=before.severity,
        risk=before.risk,
        source=replace(alert.source, domain=None),
        destination=replace(alert.destination, domain=None),
        direction=None,
        muted=None,
        before_notes=None,
    )


def all_targets_within(alert: Alert, networks: Sequence[Network]) -> bool:
    """Whether all targets of an alert are known and lie in these networks."""
    shown = alert.target_ips or (alert.destination.ip,)
    known = not alert.spread.targets_more and alert.spread.targets <= len(shown)
    return known and all(within(address_of(ip), networks) for ip in (*shown, alert.destination.ip))


def expired(until_ns: int | None, now_ns: int) -> bool:
    """Whether a time has passed; None never has."""
    return until_ns is not None and now_ns > until_ns


def time_in_words(time_ns: int) -> str:
    """Such as `2026-12-01 23:59:59 UTC`."""
    return datetime.fromtimestamp(time_ns // 1_000_000_000, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _graded(alert: Alert, severity: int, risk: float) -> Alert:
    if (severity, risk) == (alert.severity, alert.risk):
        return alert
    return replace(alert, severity=severity, risk=risk, before_notes=Grade(alert.severity, alert.risk))
