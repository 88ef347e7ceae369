"""Candidates: all that might have been told of a run's traffic, with how far each claim was reached, and no alerts.

A site's thresholds are chosen by them (sensor.baseline): an episode that opened and one that stayed below its shape are
both what that site's traffic looks like.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

from sensor.alerts.alert import Action
from sensor.alerts.endpoints import sides_of
from sensor.episodes.episode import Episode, Held
from sensor.episodes.episodes import Episodes
from sensor.episodes.habits import Subject, sided_of, subject_of
from sensor.episodes.settings import EpisodeSettings
from sensor.episodes.shapes import KIND_NAMES
from sensor.episodes.telling import UNSHAPED


@dataclass(frozen=True, slots=True)
class Candidate:
    """One episode as it ended."""

    kind: str  # by its name (sensor.episodes.shapes.KIND_NAMES)
    source: str  # address of the flow that speaks strongest
    destination: str  # likewise
    sided: str  # whom it is about: "source", "target" or "pair"
    subject: Subject  # what makes another one the same claim
    level: float  # the highest that it reached, 1 where its shape is reached
    attack: bool  # its verdict
    opened: bool
    start_ns: int  # traffic time
    end_ns: int
    flows: int
    identity: tuple[int, ...]  # words of that flow (flows.batch)
    muted: bool = False  # whether the site's notes say that it is meant to be
    id: str = ""  # of the alert that would be told of it, "" where it did not open


class CandidateEpisodes(Episodes):
    """Episodes that are kept as they end, and of which no alert is told."""

    def __init__(self, *, settings: EpisodeSettings, **others: Any) -> None:
        """As Episodes, but that no storm stands for others, of which no more were known."""
        super().__init__(settings=replace(settings, alerts_per_minute=None), **others)
        self._ended: list[Candidate] = []

    def take(self) -> list[Candidate]:
        """Those that ended since the last call, in the order of their ends."""
        ended, self._ended = self._ended, []
        return ended

    def _report(self, episode: Episode, action: Action, time_ns: int) -> None:
        """No alert is made."""

    def _end(self, held: Held, time_ns: int) -> None:
        # A storm is about nobody. Of unusual traffic that was not told there may be as much as there are sources.
        if isinstance(held, Episode) and not held.alerts and (held.opened or held.kind != UNSHAPED):
            exemplar = held.exemplar
            if exemplar is not None:
                candidate = _candidate(held, exemplar.flow.identity)
                self._ended.append(replace(candidate, muted=self._is_muted(held, time_ns)))
        super()._end(held, time_ns)

    def _is_muted(self, episode: Episode, time_ns: int) -> bool:
        """Whether the alert that would be told of it, whole, is muted."""
        return self.mutes is not None and self.mutes(self._builder.draft(episode, time_ns))


def _candidate(episode: Episode, identity: Sequence[int]) -> Candidate:
    source, destination = sides_of(identity)
    return Candidate(
        kind=KIND_NAMES[episode.kind],
        sided=sided_of(episode.kind),
        subject=subject_of(episode.kind, identity, one_port=episode.one_port),
        source=source,
        destination=destination,
        level=episode.level,
        attack=episode.attack,
        opened=episode.opened,
        start_ns=episode.start_ns + episode.shift_ns,
        end_ns=episode.end_ns + episode.shift_ns,
        flows=episode.flows,
        identity=tuple(identity),
        id=episode.id,
    )
