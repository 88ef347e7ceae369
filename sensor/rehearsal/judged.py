"""One episode in a site's traffic, judged: found or not, named how, how soon, and where among the day's alerts.

Each episode is judged in a run of its own over all of the site's traffic. So none hides another: alerts of one host and
kind are one alert, a storm merges those of many hosts, and the budget of alerts a minute is shared by all that open.
What an alert is about is decided by flows.matching.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from flows.batch import DST_HIGH, DST_LOW, SRC_HIGH, SRC_LOW, FlowBatch, Identity, address_words
from flows.block import PacketBlock
from flows.matching import NO_EPISODE, FlowKey, episode_of, key_of, matched, packets_by_flow
from flows.meter import Meter
from flows.truth import FlowTruth
from sensor.alerts.alert import Alert
from sensor.judging.judge import Judge
from sensor.rehearsal.episode import AttackEpisode
from sensor.rehearsal.mixing import metered, mixed
from sensor.rehearsal.replay import ReplayedAlert, replay
from sensor.site.notes import SiteNotes

SECOND_NS = 1_000_000_000
_EPISODE = 0  # number of the only one of a run


class SiteTraffic(Protocol):
    """A site's own packets, which can be read again and again."""

    def blocks(self) -> Iterator[PacketBlock]:
        """All packets in the order of time."""

    def passed(self, block: PacketBlock) -> PacketBlock:
        """Those of other packets that the sensor's capture filter would let through."""


@dataclass(frozen=True, slots=True)
class TriedSensor:
    """What a site's sensor judges with. Each call makes a new part, without a memory of runs before."""

    meter: Callable[[], Meter]
    judge: Callable[[], Judge]  # hands on the flows of its alerts
    right_names: Callable[[str], frozenset[str]]  # ids of techniques, parents, that rightly name one with an id
    notes: SiteNotes | None = None  # of the site

    def alerts(self, blocks: Iterator[PacketBlock]) -> list[ReplayedAlert]:
        """The alerts on packets, in the order of their opening."""
        return self.alerts_on(metered(blocks, self.meter()))

    def alerts_on(self, records: Iterable[FlowBatch]) -> list[ReplayedAlert]:
        """The same on the records of packets; with what the site's notes make of each."""
        judge, notes = self.judge(), self.notes
        if notes is None:
            return replay(judge, records)
        judge.episodes.mutes = notes.mutes
        return [replace(own, last=notes.of(own.last)) for own in replay(judge, records)]


@dataclass(frozen=True, slots=True)
class RehearsedEpisode:
    """An episode and what was said of it."""

    episode: AttackEpisode
    # The one that tells it best: one that is not muted, rightly named before wrongly, then of the highest risk.
    alert: Alert | None
    right: bool  # whether that one is told and names it rightly
    seconds: float | None  # from its first packet until an alert on it was told, None where none was
    rank: int | None  # of that alert by its risk among those of the site's own traffic and itself, 1 for the highest
    seen: int  # packets of it that passed the capture filter

    @property
    def found(self) -> bool:
        """Whether any alert is about it that the site's notes do not mute."""
        return self.alert is not None and not self.muted

    @property
    def muted(self) -> bool:
        """Whether there are alerts about it, and the site's notes mute all of them."""
        return self.alert is not None and self.alert.muted is not None

    @property
    def named(self) -> str:
        """Id of the technique that the alert names, "" of none."""
        return "" if self.alert is None or self.alert.technique is None else self.alert.technique.id


def judged(
    episode: AttackEpisode, site: SiteTraffic, sensor: TriedSensor, day: Sequence[ReplayedAlert]
) -> RehearsedEpisode:
    """What a sensor says of an episode in a site's traffic. day: the alerts on that traffic alone, none muted."""
    block = site.passed(episode.block())
    if not len(block):
        return RehearsedEpisode(episode, None, right=False, seconds=None, rank=None, seen=0)
    watched = _Watched(episode.attack)
    raised = sensor.alerts_on(watched.all_of(metered(mixed(site.blocks(), block), sensor.meter())))
    of_flow = watched.episodes_by_flow()
    own = [alert for alert in raised if episode_of(packets_by_flow(alert.flows), of_flow)[0] == _EPISODE]
    names = sensor.right_names(episode.technique)
    if not own:
        return RehearsedEpisode(episode, None, right=False, seconds=None, rank=None, seen=len(block))
    best = max(own, key=lambda alert: (alert.last.muted is None, _right(alert.last, names), alert.last.risk)).last
    if best.muted is not None:
        return RehearsedEpisode(episode, best, right=False, seconds=None, rank=None, seen=len(block))
    opened_ns = min(alert.opened_ns for alert in own if alert.last.muted is None)
    return RehearsedEpisode(
        episode,
        best,
        right=_right(best, names),
        seconds=max(0, opened_ns - episode.start_ns) / SECOND_NS,
        rank=1 + sum(alert.last.risk > best.risk for alert in day),
        seen=len(block),
    )


def _right(alert: Alert, names: frozenset[str]) -> bool:
    return alert.technique is not None and alert.technique.parent in names


class _Watched:
    """The records of a run between hosts of an episode, kept as they pass."""

    def __init__(self, truths: Sequence[FlowTruth]) -> None:
        self._truths = truths
        words = [address_words(text) for truth in truths for text in (truth.initiator, truth.target)]
        self._high, self._low = (np.unique(np.array(part, dtype=np.int64)) for part in zip(*words, strict=True))
        self._kept: list[Identity] = []

    def all_of(self, batches: Iterator[FlowBatch]) -> Iterator[FlowBatch]:
        for batch in batches:
            ours = self._is_ours(batch.identity, SRC_HIGH, SRC_LOW) & self._is_ours(batch.identity, DST_HIGH, DST_LOW)
            if ours.any():
                self._kept.append(batch.identity[ours])
            yield batch

    def episodes_by_flow(self) -> dict[FlowKey, int]:
        """The episode's number for each flow that is its, NO_EPISODE for others between its hosts."""
        if not self._kept:
            return {}
        identity = np.concatenate(self._kept)
        found = matched(identity, self._truths)
        return {
            key_of(words): _EPISODE if truth >= 0 else NO_EPISODE
            for words, truth in zip(identity.tolist(), found.tolist(), strict=True)
        }

    def _is_ours(self, identity: Identity, high: int, low: int) -> NDArray[np.bool_]:
        ours: NDArray[np.bool_] = np.isin(identity[:, high], self._high) & np.isin(identity[:, low], self._low)
        return ours
