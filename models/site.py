"""Site: what a bundle knows of the network that it was fitted to, beside its detectors.

How much of its traffic was seen, what alerts its operator asked for, and what is needed of a claim or of unusual
traffic there before it is told.

It knows kinds of claims by their names alone, not what they claim. Everything in it was counted in the site's own
traffic; a bundle without this section is of no one's site.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import ip_address, ip_network
from typing import Any, Final

from models.manifest import exactly, objects, refuse, value_of

MOST_HABITS: Final = 10_000
MOST_KINDS: Final = 64
MOST_NETWORKS: Final = 64
MOST_RATES: Final = 64
NAME: Final = 40  # characters of a kind's name, at most
LEVELS: Final = (0.3, 1000.0)  # of a claim, least and most that may be asked for
MOST_ALERTS: Final = 1e9  # a day, that may be expected
OPENINGS: Final = (10.0, 1e12)  # flows between false openings, least and most
CALIBRATION, BUDGET = "calibration", "budget"  # what may be warming
_SECTION: Final = (
    "alerts_per_day expected_alerts_per_day flows_between_false_openings levels warming learned habits shipped"
)
_LEARNED: Final = "from_ns to_ns days flows hosts left_out networks"
_COUNTS: Final = "from_ns to_ns flows hosts left_out"
_SHIPPED: Final = "rate known novel"
_HABIT: Final = "kind source destination port protocol level share"


@dataclass(frozen=True, slots=True)
class Learned:
    """The traffic that a baseline was fitted to."""

    from_ns: int  # of its first packet
    to_ns: int  # of its last
    days: float  # that it covers, holes left out
    flows: int
    hosts: int  # that began a flow
    left_out: int  # flows of what was told of, on which nothing was fitted
    networks: tuple[str, ...] = ()  # inside, /24 and /64, the most flows first


@dataclass(frozen=True, slots=True)
class Habit:
    """A claim that held through the whole learning period: what this site always does."""

    kind: str  # of the claim, by its name
    source: str | None  # address, None where the claim is about its target alone
    destination: str | None  # address, None where the claim is about its source alone
    port: int  # of the destination, 0 of several or of protocols without
    protocol: int  # IP protocol
    level: float  # the highest that it reached
    share: float  # parts of the learning period in which it was there


@dataclass(frozen=True, slots=True)
class SiteProfile:
    """What a bundle knows of its site.

    Raises ValueError for numbers outside of their ranges.
    """

    alerts_per_day: float  # that were asked for
    expected_alerts_per_day: tuple[float, float, float]  # by the learning period: low, mean, high
    flows_between_false_openings: float  # of unusual traffic (sensor.episodes.evidence)
    levels: Mapping[str, float]  # of a claim that no lane agrees with, by kind, before it is told; others: 1
    warming: tuple[str, ...]  # what there was too little traffic to fit: the shipped one is used instead
    learned: Learned
    habits: tuple[Habit, ...]
    # By nominal rate the cuts of both lanes before any site: the next baseline begins there, not at the site's.
    shipped: Mapping[float, tuple[float, float]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._check_rates()
        self._check_learned()
        for habit in self.habits:
            if not (0 < len(habit.kind) <= NAME and habit.kind.isprintable()):
                raise ValueError(f"site has a habit of the kind {habit.kind!r:.60}, expected up to {NAME} letters")
            if not 0 <= habit.level < math.inf or not 0 <= habit.share <= 1:
                raise ValueError(f"habit has level {habit.level:g}, share {habit.share:g}, expected 0 or more, 0 to 1")
        if not all(0 < len(word) <= NAME and word.isprintable() for word in self.warming):
            raise ValueError(f"site has a word of warming that is none, expected up to {NAME} letters")

    def _check_rates(self) -> None:
        low, mean, high = self.expected_alerts_per_day
        if not 1e-6 <= self.alerts_per_day <= 1e6 or not 0 <= low <= mean <= high <= MOST_ALERTS:
            found = f"{self.alerts_per_day:g} alerts a day, expected to be {low:g}, {mean:g}, {high:g}"
            raise ValueError(f"site has {found}: these are no low, mean and high")
        flows, (least, most) = self.flows_between_false_openings, OPENINGS
        if not least <= flows <= most:
            raise ValueError(f"site has {flows:g} flows between false openings, expected {least:g} to {most:g}")
        if len(self.levels) > MOST_KINDS or len(self.habits) > MOST_HABITS:
            found = f"{len(self.levels)} levels and {len(self.habits)} habits"
            raise ValueError(f"site has {found}, expected at most {MOST_KINDS} and {MOST_HABITS}")
        for kind, level in self.levels.items():
            if not (0 < len(kind) <= NAME and kind.isprintable()) or not LEVELS[0] <= level <= LEVELS[1]:
                raise ValueError(f"site asks for a level of {level} of {kind!r:.60}, expected one from 0.3 to 1000")

    def _check_learned(self) -> None:
        known = self.learned
        if not (0 <= known.from_ns <= known.to_ns < 1 << 63) or not 0 <= known.days < 1e6:
            raise ValueError("site has learned from a time that is none, expected its begin, its end and its days")
        if any(not 0 <= count < 1 << 53 for count in (known.flows, known.hosts, known.left_out)):
            raise ValueError("site has learned from counts below 0 or beyond 2^53, expected flows and hosts")
        if len(known.networks) > MOST_NETWORKS:
            raise ValueError(f"site has learned from {len(known.networks)} networks, expected at most {MOST_NETWORKS}")
        if len(self.shipped) > MOST_RATES:
            raise ValueError(f"site has shipped cuts of {len(self.shipped)} rates, expected at most {MOST_RATES}")
        for rate, cuts in self.shipped.items():
            if not 0 < rate < 1 or not all(0 <= cut <= 1 for cut in cuts):
                raise ValueError(f"site has shipped cuts {cuts} of the rate {rate:g}, expected numbers from 0 to 1")


def described_site(site: SiteProfile) -> dict[str, Any]:
    """The section "site" of a manifest."""
    known = site.learned
    return {
        "alerts_per_day": float(site.alerts_per_day),
        "expected_alerts_per_day": [float(number) for number in site.expected_alerts_per_day],
        "flows_between_false_openings": float(site.flows_between_false_openings),
        "levels": {kind: float(level) for kind, level in sorted(site.levels.items())},
        "warming": list(site.warming),
        "learned": {name: getattr(known, name) for name in _COUNTS.split()}
        | {"days": float(known.days), "networks": list(known.networks)},
        "habits": [
            {name: getattr(habit, name) for name in _HABIT.split()}
            | {"level": float(habit.level), "share": float(habit.share)}
            for habit in site.habits
        ],
        "shipped": [
            {"rate": float(rate), "known": float(known), "novel": float(novel)}
            for rate, (known, novel) in sorted(site.shipped.items())
        ],
    }


def read_site(manifest: dict[str, Any]) -> SiteProfile | None:
    """Site by a manifest's section "site", None where it has none. Raises BundleError."""
    if "site" not in manifest:
        return None
    section = value_of(manifest, "site", dict, "manifest")
    exactly(section, "site", _SECTION)
    expected = value_of(section, "expected_alerts_per_day", list, "site")
    if len(expected) != 3:
        refuse(f"expected_alerts_per_day has {len(expected)} numbers, expected low, mean and high")
    low, mean, high = (value_of({"n": number}, "n", float, "expected_alerts_per_day") for number in expected)
    levels = value_of(section, "levels", dict, "site")
    warming = value_of(section, "warming", list, "site")
    if len(warming) > MOST_KINDS or not all(isinstance(word, str) for word in warming):
        refuse(f"warming is no list of words, expected up to {MOST_KINDS}")
    stated = value_of(section, "learned", dict, "site")
    exactly(stated, "learned", _LEARNED)
    whole = {name: value_of(stated, name, int, "learned") for name in _COUNTS.split()}
    try:
        return SiteProfile(
            alerts_per_day=value_of(section, "alerts_per_day", float, "site"),
            expected_alerts_per_day=(low, mean, high),
            flows_between_false_openings=value_of(section, "flows_between_false_openings", float, "site"),
            levels={kind: value_of(levels, kind, float, "levels") for kind in levels},
            warming=tuple(warming),
            learned=Learned(days=value_of(stated, "days", float, "learned"), networks=_networks(stated), **whole),
            habits=tuple(_habit(entry) for entry in _listed(section, "habits", _HABIT)),
            shipped=dict(_cuts(entry) for entry in _listed(section, "shipped", _SHIPPED)),
        )
    except ValueError as error:
        refuse(str(error))


def _listed(section: dict[str, Any], name: str, keys: str) -> list[dict[str, Any]]:
    return objects(section, name, keys, MOST_HABITS) if value_of(section, name, list, "site") else []


def _networks(stated: dict[str, Any]) -> tuple[str, ...]:
    listed = value_of(stated, "networks", list, "learned")
    if len(listed) > MOST_NETWORKS or not all(isinstance(text, str) for text in listed):
        refuse(f"networks is no list of networks, expected up to {MOST_NETWORKS}")
    return tuple(_network(text) for text in listed)


def _network(text: str) -> str:
    try:
        return str(ip_network(text[:60]))
    except ValueError:
        refuse(f"learned has the network {text!r:.60}, expected an address with a prefix")


def _cuts(entry: dict[str, Any]) -> tuple[float, tuple[float, float]]:
    rate, known, novel = (value_of(entry, name, float, "shipped") for name in _SHIPPED.split())
    return rate, (known, novel)


def _habit(entry: dict[str, Any]) -> Habit:
    port, protocol = value_of(entry, "port", int, "habits"), value_of(entry, "protocol", int, "habits")
    if not 0 <= port < 1 << 16 or not 0 <= protocol < 1 << 8:
        refuse(f"habit has port {port!s:.20} and protocol {protocol!s:.20}, expected 0 to 65535 and 0 to 255")
    return Habit(
        kind=value_of(entry, "kind", str, "habits"),
        source=_address(entry, "source"),
        destination=_address(entry, "destination"),
        port=port,
        protocol=protocol,
        level=value_of(entry, "level", float, "habits"),
        share=value_of(entry, "share", float, "habits"),
    )


def _address(entry: dict[str, Any], side: str) -> str | None:
    if entry[side] is None:
        return None
    text = value_of(entry, side, str, "habits")
    try:
        return str(ip_address(text[:60]))
    except ValueError:
        refuse(f"habits has the {side} {text!r:.60}, expected an address")
