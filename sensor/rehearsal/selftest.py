"""What a sensor must be able to do anywhere: each technique found and rightly named, nothing told on normal traffic.

The traffic is the generator's (sensor.synth), in memory: an office's ordinary minutes, and in a run of its own each
attack that the catalogue has, beginning with them. It needs no network, no file and no privilege.
"""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final

from flows.block import PacketBlock, block_of
from sensor.episodes.shapes import SHAPES
from sensor.rehearsal.episode import SEED, made
from sensor.rehearsal.judged import RehearsedEpisode, TriedSensor, judged
from sensor.rehearsal.replay import ReplayedAlert
from sensor.synth.catalogue import ATTACKS, EVERYDAY
from sensor.synth.generate import SCENARIOS, generate
from sensor.synth.scenarios.normal import NORMAL
from sensor.synth.scenarios.scenario import Scenario

ATTACKING: Final = (*(scenario for scenario in SCENARIOS if scenario is not NORMAL), *ATTACKS)
# Appliances that call their maker in a beat are beacons by all that a flow shows, and told of, though never as certain.
LIKE_AN_ATTACK: Final = frozenset({"cloud-heartbeats"})
ORDINARY: Final = (NORMAL, *(scenario for scenario in EVERYDAY if scenario.name not in LIKE_AN_ATTACK))


@dataclass(frozen=True, slots=True)
class Ordinary:
    """Normal traffic of one kind, and what was told of it."""

    scenario: str
    alerts: tuple[ReplayedAlert, ...]


@dataclass(frozen=True, slots=True)
class SelfTest:
    """How a sensor did."""

    episodes: tuple[RehearsedEpisode, ...]
    ordinary: tuple[Ordinary, ...]
    untried: tuple[str, ...]  # ids of techniques that the sensor can name and no scenario shows

    @property
    def passed(self) -> bool:
        """Whether every attack was found and rightly named, and nothing told on normal traffic."""
        return all(episode.right for episode in self.episodes) and not any(own.alerts for own in self.ordinary)


class MadeSite:
    """Traffic of the generator as a site's own (sensor.rehearsal.judged.SiteTraffic)."""

    def __init__(self, block: PacketBlock) -> None:
        self._block = block

    def blocks(self) -> Iterator[PacketBlock]:
        """All packets, in one block."""
        yield self._block

    def passed(self, block: PacketBlock) -> PacketBlock:
        """All of them: there is no filter."""
        return block


def selftest(sensor: TriedSensor, labels: Sequence[str | None], progress: Callable[[str], None]) -> SelfTest:
    """Try a sensor on all scenarios. labels: techniques that its bundle's labels name. progress: takes what is next."""
    office = MadeSite(_block(NORMAL))
    day = sensor.alerts(office.blocks())
    episodes = []
    for scenario in ATTACKING:
        progress(scenario.name)
        episodes.append(judged(made(scenario), office, sensor, day))
    ordinary = []
    for scenario in ORDINARY:
        progress(scenario.name)
        alerts = day if scenario is NORMAL else sensor.alerts(iter([_block(scenario)]))
        ordinary.append(Ordinary(scenario.name, tuple(alerts)))
    return SelfTest(tuple(episodes), tuple(ordinary), untried(sensor, labels, episodes))


def untried(sensor: TriedSensor, labels: Sequence[str | None], episodes: Sequence[RehearsedEpisode]) -> tuple[str, ...]:
    """Techniques that shapes or labels name and that no episode would be rightly named by."""
    shown = {name for own in episodes for name in sensor.right_names(own.episode.technique)}
    named = {shape.technique for shape in SHAPES} | {label for label in labels if label}
    return tuple(sorted(name for name in named if name.partition(".")[0] not in shown))


def _block(scenario: Scenario) -> PacketBlock:
    packets = generate([scenario], SEED).packets
    return block_of([packet.frame for packet in packets], [packet.ts_ns for packet in packets])
