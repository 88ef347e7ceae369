"""Sections of a page about many sensors: which are well, whose alerts there are, and hosts that several tell of."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from sensor.alerts.spread import counted
from sensor.alerts.words import moment
from sensor.fleet.health import SensorHealth
from sensor.fleet.sightings import HostSeen
from sensor.report.markup import Content, element
from sensor.report.tables import table_of
from sensor.report.words import listed

SENSORS_SHOWN: Final = 500
HOSTS_SHOWN: Final = 100
_HASH_SHOWN: Final = 12


@dataclass(frozen=True, slots=True)
class FleetReport:
    """What a page tells of a fleet."""

    path: str  # of the list of its sensors
    health: Sequence[SensorHealth]  # those to look at first
    hosts: Sequence[HostSeen]  # that several sensors tell of, those of the most sensors first
    told_twice: int = 0  # alerts that tell of an attack which another sensor's alert tells
    not_kept: int = 0  # lines of more sensors than are told


def cautions(fleet: FleetReport) -> list[str]:
    """What a reader must know of the sensors before relying on the verdict."""
    ill = [each.name for each in fleet.health if not each.well]
    if not ill:
        return []
    verb = "is" if len(ill) == 1 else "are"
    return [f"{len(ill):,} of {counted(len(fleet.health), 'sensor')} {verb} to be looked at: {listed(ill, 8)}."]


def sensors(fleet: FleetReport) -> Content:
    """A row for each sensor, and what its latest accounts show."""
    ill = sum(not each.well for each in fleet.health)
    told = f"{counted(len(fleet.health), 'sensor')}, {ill:,} to look at" if ill else (
        f"{counted(len(fleet.health), 'sensor')}, all well"
    )  # fmt: skip
    headings = (
        ("Sensor", False), ("Site", False), ("State", False), ("Heard last (UTC)", False), ("Packets", True),
        ("Dropped", True), ("Alerts", True), ("A day", True), ("Bundle", False), ("Version", False),
    )  # fmt: skip
    more = len(fleet.health) - SENSORS_SHOWN
    return [
        element(
            "p",
            f"{told}. Silence is counted up to the latest line of the input.",
        ),
        table_of("Sensors, those to look at first", headings, [_row(each) for each in fleet.health[:SENSORS_SHOWN]]),
        element("p", f"And {more:,} more.", class_="note") if more > 0 else None,
        element("p", f"{fleet.not_kept:,} lines of more sensors than are told.", class_="note")
        if fleet.not_kept else None,
    ]  # fmt: skip


def hosts(fleet: FleetReport) -> Content:
    """The hosts that alerts of several sensors are about."""
    if not fleet.hosts:
        return element("p", "No host is told of by several sensors.")
    rows = [
        (str(each.host), listed(list(each.sensors), 8), each.did, each.suffered) for each in fleet.hosts[:HOSTS_SHOWN]
    ]
    headings = (("Host", False), ("Told of by", False), ("Alerts of it", True), ("Target of", True))
    return [
        element(
            "p",
            "An address of the world is one host whoever sees it; a private one is a host of its site, which the list "
            "of the fleet names.",
        ),
        table_of(f"Hosts of several sensors ({len(rows)} of {len(fleet.hosts):,})", headings, rows),
    ]


def _row(health: SensorHealth) -> tuple[Content, ...]:
    document, (bundle, sha256) = health.document(), health.bundle
    heard_ns = 0 if health.heard is None else health.heard.heard_ns
    packets, a_day = document["packets"], health.alerts_per_day
    return (
        health.name,
        health.site,
        _state(health),
        moment(heard_ns) if heard_ns else "never",
        "–" if packets is None else packets,
        "–" if packets is None else f"{health.dropped_share:.2%}",
        document["alerts"],
        "–" if a_day is None else f"{a_day:.3g}",
        f"{bundle} {sha256[:_HASH_SHOWN]}".strip() or "–",
        health.version or "–",
    )


def _state(health: SensorHealth) -> Content:
    """In a word, with what is found below it: nobody is told by colour alone."""
    if not health.findings:
        return "well"
    return [
        element("strong", "look at it" if not health.well else "well"),
        element("ul", [element("li", f"{each.word}: {each.told}") for each in health.findings]),
    ]
