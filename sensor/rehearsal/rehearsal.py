"""A rehearsal: attacks under a site's own addresses in a copy of its own traffic, and what its sensor says of them."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from random import Random
from typing import Final

from sensor.printable import printable
from sensor.rehearsal.casting import cast
from sensor.rehearsal.episode import SEED, AttackEpisode
from sensor.rehearsal.hosts import SeenHosts, SiteHosts
from sensor.rehearsal.judged import SECOND_NS, RehearsedEpisode, TriedSensor, judged
from sensor.rehearsal.mixing import metered
from sensor.rehearsal.readdressing import moved
from sensor.rehearsal.replay import ReplayedAlert
from sensor.rehearsal.site import CapturedSite

QUIET: Final = 0.1  # share of the site's time before any attack, in which the sensor gets to know the site
ANSWERED: Final = 0.01  # least share of records in which both sides speak
FEW_RECORDS: Final = 20  # below which that share says nothing


class NothingToRehearseError(Exception):
    """Traffic in which no attack can be rehearsed: what was found, and what was expected."""


@dataclass(frozen=True, slots=True)
class SiteDay:
    """A site's own traffic, and what was told of it alone."""

    hosts: SiteHosts
    alerts: tuple[ReplayedAlert, ...]  # without those that the site's notes mute
    packets: int
    first_ns: int
    last_ns: int
    is_cut: bool  # whether the captures had more

    @property
    def seconds(self) -> float:
        """From its first packet to its last one."""
        return (self.last_ns - self.first_ns) / SECOND_NS


@dataclass(frozen=True, slots=True)
class Rehearsal:
    """What a site's sensor says of each attack."""

    day: SiteDay
    episodes: tuple[RehearsedEpisode, ...]  # by technique
    left_out: tuple[str, ...]  # attacks that could not be rehearsed, with the reason

    @property
    def passed(self) -> bool:
        """Whether every attack was found and rightly named."""
        return all(own.right for own in self.episodes)


def site_day(site: CapturedSite, sensor: TriedSensor) -> SiteDay:
    """The site's own traffic judged alone. Raises NothingToRehearseError, and InputError as captures do."""
    census = SeenHosts()
    alerts = sensor.alerts_on(census.all_of(metered(site.blocks(), sensor.meter())))
    if not census.records:
        raise NothingToRehearseError(f"found {site.packets:,} packets and no flow in them, expected a site's traffic")
    if census.ipv6 == census.records:
        raise NothingToRehearseError("found flows of IPv6 alone, expected IPv4: the attacks that are rehearsed are")
    if census.records >= FEW_RECORDS and census.answered < ANSWERED * census.records:
        raise NothingToRehearseError(
            f"found answers in {census.answered:,} of {census.records:,} flow records, expected both directions of "
            "conversations: a mirror port of one direction shows too little"
        )
    hosts = census.hosts(None if sensor.notes is None else sensor.notes.home)
    if not hosts.inside:
        raise NothingToRehearseError(
            "found no host whose flows were answered, expected hosts that take part in attacks"
        )
    told = tuple(alert for alert in alerts if alert.last.muted is None)
    return SiteDay(hosts, told, site.packets, site.first_ns, site.last_ns, site.is_cut)


def rehearse(
    site: CapturedSite,
    day: SiteDay,
    attacks: Iterable[AttackEpisode],
    sensor: TriedSensor,
    progress: Callable[[str], None],
) -> Rehearsal:
    """Judge each attack in a run of its own over the site's traffic. progress: takes what is next."""
    found, left_out = [], []
    for number, attack in enumerate(attacks, start=1):
        progress(f"attack {number}: {printable(attack.name, 40)} ({printable(attack.source, 40)})")
        try:
            placed = at_site(attack, day)
        except ValueError as error:
            left_out.append(str(error))
            continue
        found.append(judged(placed, site, sensor, day.alerts))
    found.sort(key=lambda own: (own.episode.technique, own.episode.source, own.episode.name))
    return Rehearsal(day, tuple(found), tuple(left_out))


def at_site(attack: AttackEpisode, day: SiteDay) -> AttackEpisode:
    """The attack under the site's addresses and at a time of its traffic; the same for the same attack and site.

    One that takes longer than the traffic begins with it, and goes on alone. Raises ValueError for one without IPv4.
    """
    rng = Random(f"{SEED} {attack.source} {attack.name}")  # noqa: S311  no secret
    addresses = cast(attack, day.hosts, rng)
    tags = next((day.hosts.vlans[new] for new in addresses.values() if new in day.hosts.vlans), 0)
    first_ns, last_ns = attack.packets[0].ts_ns, attack.packets[-1].ts_ns
    earliest_ns = day.first_ns + int(QUIET * (day.last_ns - day.first_ns))
    latest_ns = day.last_ns - (last_ns - first_ns)
    start_ns = rng.randint(earliest_ns, latest_ns) if latest_ns > earliest_ns else max(day.first_ns, latest_ns)
    return moved(attack, addresses, tags, start_ns - first_ns)
