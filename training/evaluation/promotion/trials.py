"""Champion and challenger on the same captures: which attacks each finds and names, and what it tells by mistake."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final, Protocol

import numpy as np

from flows.batch import REPORTED_NS, FlowBatch
from models.fusion import Hybrid
from training.arrays import Mask
from training.datasets.captures.index import CaptureIndex, LabelledCapture
from training.datasets.captures.metered import CaptureTable, read_captures
from training.evaluation.networks.judged import JudgedCapture, JudgedEpisode, judged_capture
from training.evaluation.networks.sensor import Sensor
from training.reporting import Report

HOUR_NS: Final = 3600 * 10**9
NEITHER: Final = (False, False)

Models = tuple[Hybrid, Hybrid]  # champion and challenger
Cuts = tuple[float, float]  # p-values of the known and the novel lane


class TrialSensor(Sensor, Protocol):
    """A sensor that also tells what its model alone says."""

    def flagged(self, hybrid: Hybrid, records: FlowBatch, cuts: Cuts) -> Mask:
        """Which records of one capture have a p-value below a lane's cut, (n,); the model begins without state."""


class NormalTraffic(Protocol):
    """A site's own traffic, which is taken for normal: every alert on it is false."""

    @property
    def name(self) -> str:
        """What it is called, such as its path."""

    @property
    def sha256(self) -> str:
        """Digest of its content."""

    def alerts_by_hour(self, hybrid: Hybrid) -> dict[int, int]:
        """How many alerts a model opens in each hour since 1970 in which flows were reported."""


@dataclass(frozen=True, slots=True)
class TriedEpisode:
    """An attack, and what champion and challenger made of it."""

    family: str
    found: tuple[bool, bool]  # whether any alert belongs to it
    named: tuple[bool, bool]  # whether one names it rightly
    sure: tuple[bool, bool]  # whether one calls it an attack, not uncertain
    # Whether half of its flows have p-values below the champion's cuts: shapes find much that a model is blind to. The
    # same cuts, as a challenger may be asked for fewer alerts. None of a capture that is an attack as a whole, of which
    # nobody says which flows are the attack's.
    flagged: tuple[bool, bool] | None


@dataclass(frozen=True, slots=True)
class Trial:
    """What both made of one collection of captures, or of one site's normal traffic."""

    name: str
    sha256: str
    captures: int
    episodes: tuple[TriedEpisode, ...]
    hours: tuple[tuple[int, int], ...]  # false alerts of each in an hour of one capture, or in what it has of one

    def of_family(self, family: str) -> list[TriedEpisode]:
        """Its attacks of one family."""
        return [episode for episode in self.episodes if episode.family == family]

    @property
    def false_alerts(self) -> tuple[int, int]:
        """Of champion and challenger."""
        return sum(old for old, _ in self.hours), sum(new for _, new in self.hours)


def try_captures(
    name: str, index: CaptureIndex, models: Models, cuts: Cuts, sensor: TrialSensor, report: Report
) -> Trial:
    """Have both models judge every capture of an index, each as a network of its own. Raises DatasetError.

    cuts: of the champion, by which flows of either are flagged.
    """
    episodes: list[TriedEpisode] = []
    hours: list[tuple[int, int]] = []
    for number, capture in enumerate(index.captures, start=1):
        records, problems = sensor.metered(capture.path)
        for problem in problems:
            report(problem)
        if len(records):
            own, false = _tried(index, capture, records, models, cuts, sensor)
            episodes += own
            hours += false
        elif capture.kind == "attack":
            episodes.append(TriedEpisode(capture.family or capture.group, NEITHER, NEITHER, NEITHER, None))
        if number % 100 == 0:
            report(f"  judged {number:,} of {len(index.captures):,} captures by both")
    return Trial(name, index.sha256, len(index.captures), tuple(episodes), tuple(hours))


def try_normal(traffic: NormalTraffic, models: Models) -> Trial:
    """Have both models judge a site's own traffic."""
    champion, challenger = (traffic.alerts_by_hour(model) for model in models)
    return Trial(traffic.name, traffic.sha256, 1, (), tuple(_paired_hours(champion, challenger)))


def families(trials: Sequence[Trial]) -> list[str]:
    """Families of the attacks that were tried, each once."""
    return sorted({episode.family for trial in trials for episode in trial.episodes})


def _tried(
    index: CaptureIndex, capture: LabelledCapture, records: FlowBatch, models: Models, cuts: Cuts, sensor: TrialSensor
) -> tuple[list[TriedEpisode], list[tuple[int, int]]]:
    one = CaptureIndex(index.path, (capture,), index.sha256)
    table = read_captures(one, lambda _path: (records, ()), lambda _line: None)
    champion, challenger = (judged_capture(table, 0, sensor.alerts(model, records)) for model in models)
    flagged: list[list[bool]] = []
    if capture.kind == "labelled":
        flagged += [_flagged_by_half(table, sensor.flagged(model, records, cuts)) for model in models]
    episodes = [
        TriedEpisode(
            family=old.episode.family or old.episode.group,
            found=(old.found, new.found),
            named=(old.named, new.named),
            sure=(_sure(old), _sure(new)),
            flagged=(flagged[0][number], flagged[1][number]) if flagged else None,
        )
        for number, (old, new) in enumerate(zip(champion.episodes, challenger.episodes, strict=True))
    ]
    if not champion.tells_false:
        return episodes, []
    return episodes, list(_paired_hours(_false_by_hour(champion, table), _false_by_hour(challenger, table)))


def _sure(episode: JudgedEpisode) -> bool:
    return any(alert.raised.verdict == "attack" for alert in episode.alerts)


def _flagged_by_half(table: CaptureTable, flagged: Mask) -> list[bool]:
    """Whether at least half of the flows of each episode have a report that is flagged. flagged: of each report."""
    flow = np.zeros(len(table), dtype=np.bool_)
    flow[table.flows.reports().row[flagged]] = True
    own = [flow[table.episode == number] for number in range(len(table.episodes))]
    return [bool(len(flows)) and 2 * int(flows.sum()) >= len(flows) for flows in own]


def _false_by_hour(judged: JudgedCapture, table: CaptureTable) -> dict[int, int]:
    hours = Counter(dict.fromkeys(np.unique(table.identity[:, REPORTED_NS] // HOUR_NS).tolist(), 0))
    hours.update(alert.raised.opened_ns // HOUR_NS for alert in judged.false_alerts)
    return dict(hours)


def _paired_hours(champion: dict[int, int], challenger: dict[int, int]) -> Iterator[tuple[int, int]]:
    for hour in sorted(champion.keys() | challenger.keys()):
        yield champion.get(hour, 0), challenger.get(hour, 0)
