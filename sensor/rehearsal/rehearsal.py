"""A rehearsal: attacks under a site's own addresses in a copy of its own traffic, and what its sensor says of them."""

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from random import Random
from typing import Final

import numpy as np

from flows.block import PacketBlock
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
SILENCE_NS: Final = 600 * SECOND_NS  # a longer one: nobody was listening


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
    begin_ns: int  # of its longest stretch without a silence of more than SILENCE_NS: there the attacks are put
    end_ns: int  # of that
    is_cut: bool  # whether the captures had more

    @property
    def seconds(self) -> float:
        """How long an attack may take that is amid its traffic."""
        return (self.end_ns - self.begin_ns) / SECOND_NS

    @property
    def has_silence(self) -> bool:
        """Whether there is more than that stretch."""
        return (self.begin_ns, self.end_ns) != (self.first_ns, self.last_ns)


@dataclass(slots=True)
class _LongestStretch:
    """The longest stretch of packets that pass, without a silence of more than SILENCE_NS."""

    begin_ns: int = 0
    end_ns: int = 0
    _first_ns: int = 0  # of the stretch that goes on
    _last_ns: int | None = None

    def of(self, blocks: Iterable[PacketBlock]) -> Iterator[PacketBlock]:
        """The same packets."""
        for block in blocks:
            if len(block):
                self._add(block)
            yield block

    def _add(self, block: PacketBlock) -> None:
        times = block.arrival_ns
        ends = (*np.flatnonzero(np.diff(times) > SILENCE_NS).tolist(), len(times) - 1)
        first = 0
        for end in ends:
            first_ns, last_ns = int(times[first]), int(times[end])
            if self._last_ns is None or first_ns - self._last_ns > SILENCE_NS:
                self._first_ns = first_ns
            if self._last_ns is None or last_ns - self._first_ns > self.end_ns - self.begin_ns:
                self.begin_ns, self.end_ns = self._first_ns, last_ns
            self._last_ns, first = last_ns, end + 1


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
    census, heard = SeenHosts(), _LongestStretch()
    alerts = sensor.alerts_on(census.all_of(metered(heard.of(site.blocks()), sensor.meter())))
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
    return SiteDay(hosts, told, site.packets, site.first_ns, site.last_ns, heard.begin_ns, heard.end_ns, site.is_cut)


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

    One that takes longer than the traffic, or its longest stretch, begins with that, and goes on alone. Raises
    ValueError for one without IPv4.
    """
    rng = Random(f"{SEED} {attack.source} {attack.name}")  # noqa: S311  no secret
    addresses = cast(attack, day.hosts, rng)
    tags = next((day.hosts.vlans[new] for new in addresses.values() if new in day.hosts.vlans), 0)
    first_ns, last_ns = attack.packets[0].ts_ns, attack.packets[-1].ts_ns
    earliest_ns = day.begin_ns + int(QUIET * (day.end_ns - day.begin_ns))
    latest_ns = day.end_ns - (last_ns - first_ns)
    start_ns = rng.randint(earliest_ns, latest_ns) if latest_ns > earliest_ns else max(day.begin_ns, latest_ns)
    return moved(attack, addresses, tags, start_ns - first_ns)
