"""Records of a run judged, its alerts by the site's notes published, and the packets of alerts kept."""

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

from flows.batch import FlowBatch
from sensor.alerts.alert import Alert, Endpoint
from sensor.alerts.alert_flow import AlertItem
from sensor.drift.drift import Drift
from sensor.flow_log.columns import JudgedBy, JudgedRecords
from sensor.flow_log.recorder import FlowRecorder
from sensor.geoip.databases import GeoDatabases
from sensor.judging.judge import Assessment, Judge
from sensor.metering.names import Names
from sensor.metering.turns import Turn
from sensor.packets.recorder import PacketRecorder
from sensor.progress.progress import Progress
from sensor.run.looking import Looking
from sensor.run.outlet import Outlet
from sensor.site.notes import SiteNotes

KEEPING_S: Final = 0.25  # between two writes of packets in a live run
_RECORDS: Final = 8192  # judged at once: a meter that is drained has many more, and each flow handed on takes memory


@dataclass(frozen=True, slots=True)
class AssessedTurn(Turn):
    """A turn of which the model has judged the records already."""

    assessment: Assessment | None = None  # None where there are no records


@dataclass(slots=True)
class Detection:
    """Takes the records of a run (sensor.run.run.Consumer): judge, then packets of alerts, then outputs."""

    judge: Judge
    outlet: Outlet
    recorder: PacketRecorder | None = None  # of the packets of alerts
    flow_recorder: FlowRecorder | None = None  # of all flows
    notes: SiteNotes | None = None  # of the site; may be changed at any time, for the alerts that follow
    keeping_s: float | None = None  # write packets at least so often, None: where the packets alone say
    drift: Drift | None = None  # of what it judges; None where it is not looked for
    looking: Looking | None = None  # for whoever looks on; None for nobody
    geo: GeoDatabases | None = None  # where addresses of alerts belong; may be changed as the notes
    names: Names | None = None  # that traffic tells, for the flows that alerts show; None where none are kept
    capture: str | None = None  # path of the capture that all records are of, None where that is not one file
    may_judge: Callable[[], None] | None = None  # asked before each part of a turn's records; raises to end the run
    clock: Callable[[], float] = time.monotonic
    _clock_step_ns: int = 0
    _kept_at_s: float = 0.0

    @property
    def over(self) -> bool:
        """Whether nobody takes its lines any more."""
        return self.outlet.over

    @property
    def problems(self) -> Sequence[str]:
        """One line for each output that lost lines, for packets and flows that were not written, for damaged files."""
        others = (self.recorder, self.flow_recorder, self.geo)
        return [*self.outlet.problems, *(other.problem for other in others if other and other.problem)]

    @property
    def lost_packets(self) -> bool:
        """Whether a file of packets could not be written."""
        return self.recorder is not None and self.recorder.problem is not None

    def __post_init__(self) -> None:
        self.judge.observer = self.drift
        if self.notes is not None:
            self.judge.episodes.mutes = self._mutes
        if self.names is not None:
            self.judge.episodes.names_of = self.names.of_flow

    @property
    def lost_flows(self) -> bool:
        """Whether the flow log lacks flows."""
        return self.flow_recorder is not None and self.flow_recorder.problem is not None

    def news(self) -> list[tuple[str, str]]:
        """Action and message of an event for what went wrong since, or goes on again."""
        return [*self.outlet.news(), *(self.geo.news() if self.geo is not None else [])]

    def consume(self, turn: Turn) -> list[Alert]:
        """Judge the records of a turn and publish what they give rise to."""
        self._clock_step_ns = turn.totals.clock_step_ns
        if self.looking is not None:
            self.looking.add(turn)
        if self.names is not None:
            self.names.add(turn)
        alerts: list[Alert] = []
        for records, assessment in _parts_of(turn):
            if self.may_judge is not None:
                self.may_judge()
            alerts += self._judge(records, assessment, turn.totals.capture.dropped)
        if self.names is not None:
            self.names.settle(turn)
        if self.recorder is not None and self.recorder.due and (turn.packets_due or self._pause_is_over()):
            self.recorder.write()
        return alerts

    def finish(self) -> list[Alert]:
        """Close every open alert."""
        alerts = self._publish(self.judge.finish())
        if self.recorder is not None:
            self.recorder.write()
        if self.flow_recorder is not None:
            self.flow_recorder.close()
        if self.looking is not None:
            self.looking.settle()
        return alerts

    def close(self) -> None:
        """Have the outputs deliver what waits."""
        self.outlet.close()

    def close_files(self) -> None:
        """Close what is only read, once nothing will be published any more."""
        if self.geo is not None:
            self.geo.close()

    def with_findings(self, progress: Progress) -> Progress:
        """Totals with alerts, outputs and kept packets, and what whoever looks on sees."""
        if self.looking is not None:
            progress = self.looking.with_view(progress, self.judge.episodes, self._clock_step_ns)
        judge, outlet = self.judge, self.outlet
        return replace(
            progress,
            flows=judge.flows,
            alerts=outlet.alerts,
            attacks=outlet.attacks,
            uncertain=outlet.alerts - outlet.attacks,
            muted=None if self.notes is None else outlet.muted,
            opened_uncertain=outlet.opened_uncertain,
            opened_muted=outlet.opened_muted,
            merged=judge.merged,
            judged=judge.judged,
            bundle=judge.bundle,
            unjudged=judge.unjudged,
            one_sided=judge.one_sided,
            scoring_s=judge.spent_ns / 1e9,
            context_evicted=judge.context_evicted,
            stores_evicted=self._stores_evicted() or None,
            lost_lines=outlet.lost_lines,
            outputs=outlet.states(),
            kept=None if self.recorder is None else self.recorder.state,
            logged=None if self.flow_recorder is None else self.flow_recorder.state,
            drift=None if self.drift is None else self.drift.state,
        )

    def _judge(self, records: FlowBatch, assessment: Assessment | None, dropped: int) -> list[Alert]:
        """Alerts of records. assessment: of them, None where it is yet to be made."""
        if not len(records) or (assessment is None and self.flow_recorder is None):
            return self._publish(self.judge.judge(records, dropped))
        assessment = assessment or self.judge.assess(records)
        if self.flow_recorder is not None:
            self.flow_recorder.add(
                JudgedRecords(records, assessment.judgement, self._judged_by(), dropped, self._clock_step_ns)
            )
        return self._publish(self.judge.follow(records, assessment, dropped))

    def _stores_evicted(self) -> dict[str, int]:
        names = {} if self.names is None else self.names.evicted
        return {**self.judge.stores_evicted, **{store: count for store, count in names.items() if count}}

    def _mutes(self, alert: Alert) -> bool:
        """Whether the notes mute an alert that would open."""
        return self.notes is not None and self.notes.mutes(_in_wall_time(alert, self._clock_step_ns))

    def _judged_by(self) -> JudgedBy:
        hybrid = self.judge.hybrid
        rate = hybrid.default_rate if self.judge.rate is None else self.judge.rate
        detectors = tuple(member.detector.name for member in (*hybrid.known, *hybrid.novel))
        return JudgedBy(hybrid.model_id, hybrid.sha256, rate, hybrid.thresholds[rate], hybrid.labels, detectors)

    def _pause_is_over(self) -> bool:
        if self.keeping_s is None or self.clock() - self._kept_at_s < self.keeping_s:
            return False
        self._kept_at_s = self.clock()
        return True

    def _publish(self, items: Sequence[AlertItem]) -> list[Alert]:
        """Write alerts and flows; returns the alerts as they were written."""
        if self.recorder is not None:
            items = self.recorder.retain(items)
        step = self._clock_step_ns
        if step:
            items = [_in_wall_time(item, step) if isinstance(item, Alert) else item for item in items]
        notes = self.notes
        if notes is not None:
            items = [notes.of(item) if isinstance(item, Alert) else item for item in items]
        geo = self.geo
        if geo is not None:
            items = [geo.of(item) if isinstance(item, Alert) else item for item in items]
        if self.capture is not None:
            items = [replace(item, capture=self.capture) if isinstance(item, Alert) else item for item in items]
        self.outlet.publish(items, step)
        alerts = [item for item in items if isinstance(item, Alert)]
        if self.drift is not None:
            self.drift.alerted(alerts, step)
        return alerts


def in_parts(records: FlowBatch) -> Iterator[FlowBatch]:
    """Records in parts that are judged at once; none at all are a part too."""
    for first in range(0, max(1, len(records)), _RECORDS):
        part = slice(first, first + _RECORDS)
        yield FlowBatch(records.identity[part], records.values[part])


def _parts_of(turn: Turn) -> Iterator[tuple[FlowBatch, Assessment | None]]:
    """Parts of a turn's records that are judged at once, with what the model has said of them by now."""
    if isinstance(turn, AssessedTurn):
        yield turn.records, turn.assessment
        return
    for part in in_parts(turn.records):
        yield part, None


def _in_wall_time(alert: Alert, step_ns: int) -> Alert:
    """An alert in the wall clock's time as it is now."""
    return replace(
        alert,
        time_ns=alert.time_ns + step_ns,
        start_ns=alert.start_ns + step_ns,
        end_ns=alert.end_ns + step_ns,
        source=_seen_in_wall_time(alert.source, step_ns),
        destination=_seen_in_wall_time(alert.destination, step_ns),
    )


def _seen_in_wall_time(endpoint: Endpoint, step_ns: int) -> Endpoint:
    names = [replace(seen, seen_ns=seen.seen_ns + step_ns) for seen in endpoint.names]
    return replace(endpoint, names=tuple(names))
