"""What `flowvigil report --fleet` adds to a page of alerts: the sensors of its lines, heard as they are read."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

from sensor.alerts.reading import NativeLine, Record
from sensor.fleet.file import Fleet, read_fleet
from sensor.fleet.health import health_of
from sensor.fleet.sensors import SensorBook
from sensor.fleet.sightings import hosts_of_several, sighting
from sensor.fleet.wanted import Wanted, read_wanted, wanted_path
from sensor.report.digest import Digest
from sensor.report.fleet import FleetReport


@dataclass(slots=True)
class FleetPage:
    """The sensors of a page, by the list of a fleet."""

    path: Path  # of the list
    named: tuple[str, ...]  # inputs as they were named
    fleet: Fleet
    wanted: Wanted
    book: SensorBook

    @classmethod
    def of(cls, path: Path, named: Iterable[str]) -> "FleetPage":
        """Read the list, and what its sensors should run on. Raises ConfigError, InputError."""
        fleet = read_fleet(path)
        listed = {sensor.name for sensor in fleet.sensors}
        return cls(path, tuple(named), fleet, read_wanted(wanted_path(path)), SensorBook(listed))

    def hearing(self, lines: Iterable[tuple[NativeLine, Record | None]]) -> Iterator[tuple[NativeLine, Record | None]]:
        """The same lines of an input, heard on their way."""
        self.book.begin_input()
        for native, record in lines:
            self.book.add(record, native.head)
            yield native, record

    def report(self, digest: Digest) -> FleetReport:
        """What the page tells, once all is read; attacks that several sensors tell become one in the digest."""
        sites = self.fleet.sites
        hosts = hosts_of_several(sighting(episode.last, sites) for episode in digest)
        # A page knows no clock: the latest line is its present.
        health = health_of(self.book, self.book.present_ns, self.fleet, self.wanted)
        return FleetReport(str(self.path), health, hosts, digest.one_attack_each(sites), self.book.not_kept)
