"""What a model says of each capture: its alerts laid beside the episodes that are to be found, and flags on its flows.

An alert belongs to the episode that most of its flows are of, or most of their packets: a tunnel may be one flow beside
two lookups. It finds every other episode of whose flows it holds half as well: who scans twice is told of once. In a
capture labelled flow by flow an alert is false where neither half of its flows nor half of their packets are of
episodes. A capture that is an attack as a whole is one episode, to which all alerts in it belong: whether a wrongly
named one is about the attack or about ordinary traffic beside it nobody knows, so none of them counts as false, and its
flows are neither found nor false. On a benign capture every alert is false.
"""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np

from flows.matching import KEY, episode_of, packets_by_flow
from training.arrays import Int64s
from training.datasets.captures.index import LabelledCapture
from training.datasets.captures.metered import CaptureTable, TruthEpisode
from training.datasets.table import UNLABELLED, FlowTable
from training.evaluation.networks.sensor import RaisedAlert, Sensor
from training.evaluation.outcome import Model
from training.evaluation.scored import ScoredRows, scored
from training.labels import BENIGN
from training.reporting import Report

SEVERE = 60  # severity from which an alert is one to get up for
DAY_NS = 86_400_000_000_000
SECOND_NS = 1_000_000_000
SILENCE_NS = 600 * SECOND_NS  # a longer one is a hole in a capture: nobody was listening, or the stamps are wrong


@dataclass(frozen=True, slots=True)
class JudgedAlert:
    """An alert and what it is about."""

    raised: RaisedAlert
    episode: TruthEpisode | None  # that it belongs to, None where it is false
    right: bool  # whether it names the episode rightly

    @property
    def severe(self) -> bool:
        """Whether it is one to get up for."""
        return self.raised.severity >= SEVERE


@dataclass(frozen=True, slots=True)
class JudgedEpisode:
    """An episode and what was said of it."""

    episode: TruthEpisode
    alerts: tuple[JudgedAlert, ...]

    @property
    def found(self) -> bool:
        """Whether any alert belongs to it."""
        return bool(self.alerts)

    @property
    def named(self) -> bool:
        """Whether any of these names it rightly."""
        return any(alert.right for alert in self.alerts)

    @property
    def seconds(self) -> float | None:
        """From its first packet to the opening of its first alert, 0 where that was open; None without an alert."""
        if not self.alerts:
            return None
        opened_ns = min(alert.raised.opened_ns for alert in self.alerts)
        return max(0, opened_ns - self.episode.start_ns) / SECOND_NS


@dataclass(frozen=True, slots=True)
class Flags:
    """Flows of each family in a capture, BENIGN among them and "" without a label, and how many a member flags."""

    flows: Mapping[str, int]
    flagged: Mapping[tuple[str, float], Mapping[str, int]]  # by member and nominal rate


NO_FLAGS = Flags({}, {})


@dataclass(frozen=True, slots=True)
class JudgedCapture:
    """One capture and all that was said of it."""

    capture: LabelledCapture
    flows: int
    host_days: float  # hosts that began a normal flow, times the days that all flows cover
    alerts: tuple[JudgedAlert, ...]
    episodes: tuple[JudgedEpisode, ...]
    flags: Flags

    @property
    def tells_false(self) -> bool:
        """Whether it is known of every alert if it is false."""
        return self.capture.kind != "attack"

    @property
    def false_alerts(self) -> tuple[JudgedAlert, ...]:
        """Alerts that belong to no episode."""
        return tuple(alert for alert in self.alerts if alert.episode is None)

    def of_families(self, families: Collection[str]) -> "JudgedCapture":
        """The same with the episodes of these families alone."""
        return replace(self, episodes=tuple(own for own in self.episodes if own.episode.family in families))


def judged_captures(
    model: Model, table: CaptureTable, captures: Sequence[int], sensor: Sensor, report: Report
) -> list[JudgedCapture]:
    """What a model says of the captures with these numbers, in ascending order; each is a network of its own to it."""
    chosen = np.isin(table.capture, captures)
    flows, number = table.flows.take(chosen), table.capture[chosen]
    report(f"judging {len(flows):,} flows of {len(captures):,} captures, flow by flow")
    told = scored(*model, flows, flows.host, report)
    report("and by the alerts on them")
    judged = []
    for done, capture in enumerate(sorted(captures), start=1):
        first, end = np.searchsorted(number, (capture, capture + 1))
        flags = flags_of(told.take(np.arange(first, end)), table.index.captures[capture])
        raised = sensor.alerts(model[0], table.records(capture))
        judged.append(judged_capture(table, capture, raised, flags))
        if done % 100 == 0:
            report(f"  judged {done:,} of {len(captures):,} captures")
    return judged


def flags_of(told: ScoredRows, capture: LabelledCapture) -> Flags:
    """How many flows of each family a capture has and how many each member flags at each nominal rate.

    Labels that flows of a capture labelled as a whole were given to be fitted on are no truth to be judged by.
    """
    family = np.full(len(told), UNLABELLED) if capture.kind == "attack" else told.family
    families, place, counts = np.unique(family, return_inverse=True, return_counts=True)
    names = [str(family) for family in families]
    flagged = {}
    for member in told.members:
        for rate in told.rates:
            found = np.bincount(place[told.found(member, rate)], minlength=len(names))
            flagged[member, rate] = dict(zip(names, found.tolist(), strict=True))
    return Flags(dict(zip(names, counts.tolist(), strict=True)), flagged)


def judged_capture(
    table: CaptureTable, number: int, raised: Sequence[RaisedAlert], flags: Flags = NO_FLAGS
) -> JudgedCapture:
    """What the alerts raised on a capture say of it. flags: of its flows, none where only alerts are asked about."""
    capture, rows = table.index.captures[number], table.rows(number)
    beside: list[JudgedAlert] = []  # alerts once more, with an episode that they tell beside the one they belong to
    own = {at: episode for at, episode in enumerate(table.episodes) if episode.capture == number}
    if capture.kind == "attack":
        (whole,) = own.values()
        alerts = tuple(_belonging(alert, whole) for alert in raised)
    else:
        of_flow = _episodes_by_key(table, number)
        told = [episode_of(packets_by_flow(alert.flows), of_flow) for alert in raised]
        alerts = tuple(_belonging(alert, own.get(most)) for alert, (most, _) in zip(raised, told, strict=True))
        beside = [
            _belonging(alert, own[at]) for alert, (most, held) in zip(raised, told, strict=True) for at in held - {most}
        ]
    return JudgedCapture(
        capture=capture,
        flows=rows.stop - rows.start,
        host_days=_host_days(table.flows, rows),
        alerts=alerts,
        episodes=tuple(
            JudgedEpisode(episode, tuple(alert for alert in (*alerts, *beside) if alert.episode is episode))
            for episode in own.values()
        ),
        flags=flags,
    )


def _belonging(alert: RaisedAlert, episode: TruthEpisode | None) -> JudgedAlert:
    return JudgedAlert(alert, episode, episode is not None and alert.technique in episode.right)


def _episodes_by_key(table: CaptureTable, number: int) -> dict[tuple[int, ...], int]:
    """Number of the episode of each flow of a capture, by what its reports have in common."""
    reports = table.report_rows(number)
    episode = table.episode[table.flows.reports().row[reports]]
    return dict(zip(map(tuple, table.identity[reports][:, KEY].tolist()), episode.tolist(), strict=True))


def _host_days(flows: FlowTable, rows: slice) -> float:
    """Days of hosts in view; who forges a thousand addresses is no thousand hosts."""
    hosts = len(np.unique(flows.host[rows][flows.family[rows] == BENIGN], axis=0))
    return hosts * covered_ns(flows.start_ns[rows], flows.end_ns[rows]) / DAY_NS


def covered_ns(start_ns: Int64s, end_ns: Int64s) -> int:
    """Time that flows cover together, silences of up to SILENCE_NS between them included. start_ns, end_ns: (n,)."""
    if not len(start_ns):
        return 0
    order = np.argsort(start_ns, kind="stable")
    start, until = start_ns[order], np.maximum.accumulate(end_ns[order])
    begins = np.flatnonzero(start[1:] > until[:-1] + SILENCE_NS) + 1
    firsts, lasts = np.concatenate([[0], begins]), np.concatenate([begins, [len(start)]]) - 1
    return int((until[lasts] - start[firsts]).sum())


def normal_flows(flags: Flags) -> int:
    """How many flows are known to be normal."""
    return flags.flows.get(BENIGN, 0)


def attack_families(flags: Flags) -> list[str]:
    """Families of attacks that flows are labelled with."""
    return [family for family in flags.flows if family not in (BENIGN, UNLABELLED)]
