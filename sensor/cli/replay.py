"""The sensor as training's evaluation asks for it: captures through its meter, records through judge and episodes.

Settings are the defaults, as `flowvigil read` has them without a file, so that figures do not hang on who asks.
"""

import time
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from flows.batch import REPORTED_NS, FlowBatch
from flows.meter import concatenate
from models.fusion import Hybrid
from sensor.alerts.alert import Alert
from sensor.alerts.alert_flow import AlertItem
from sensor.alerts.alert_record import alert_document
from sensor.cli.build import build_judge, without_names
from sensor.cli.reading import capture_turns
from sensor.errors import InputError
from sensor.rehearsal.replay import ReplayedAlert, replay
from sensor.run.detection import in_parts
from sensor.settings.config import Config
from training.errors import DatasetError
from training.evaluation.networks.sensor import RaisedAlert

HOUR_NS: Final = 3600 * 10**9
FLOWS_PER_ALERT: Final = 1_000_000  # which are handed on with an alert, to say what it is about


class DefaultSensor:
    """Meter, judge and episodes of a `flowvigil read` by its defaults (training.evaluation.networks.sensor.Sensor)."""

    def __init__(self, rate: float | None = None) -> None:
        """rate: nominal false-positive rate of the thresholds, None for that of the default settings."""
        detection = {} if rate is None else {"detection": {"false_positive_rate": rate}}
        settings = {"episodes": {"flows_per_alert": FLOWS_PER_ALERT}, **detection}
        self._config = without_names(Config.model_validate(settings))

    def metered(self, capture: Path) -> tuple[FlowBatch, Sequence[str]]:
        """All records of a capture as a judge gets them, and what could not be read of it.

        Raises DatasetError for what is no capture.
        """
        turns = capture_turns(self._config, [str(capture)])
        try:
            batches = [turn.records for turn in turns]
        except InputError as error:
            raise DatasetError(capture, f"is no capture that can be read: {error}") from error
        return concatenate(batches), list(turns.problems)

    def alerts(self, hybrid: Hybrid, records: FlowBatch) -> list[RaisedAlert]:
        """The alerts on the records of one capture, in the order of their opening; the model begins without state."""
        if not len(records):
            return []
        return [_raised(alert) for alert in replay(build_judge(self._config, hybrid), [records])]

    def flagged(self, hybrid: Hybrid, records: FlowBatch, cuts: tuple[float, float]) -> NDArray[np.bool_]:
        """Which records of one capture have a p-value below a lane's cut, (n,); the model begins without state."""
        hybrid.forget()
        judge = build_judge(self._config, hybrid)
        told = [judge.assess(part).judgement for part in in_parts(records) if len(part)]
        hybrid.forget()
        flagged = [(own.p_known < cuts[0]) | (own.p_novel < cuts[1]) for own in told]
        return np.concatenate([np.empty(0, dtype=np.bool_), *flagged])

    def batches(self, captures: Sequence[Path]) -> Iterator[FlowBatch]:
        """All records of captures as a judge gets them, in batches. Raises InputError."""
        for turn in capture_turns(self._config, [str(capture) for capture in captures]):
            yield turn.records

    def alerts_by_hour(self, hybrid: Hybrid, batches: Iterable[FlowBatch]) -> dict[int, int]:
        """How many alerts opened in each hour since 1970 in which flows were reported, by traffic time.

        Memory does not grow with the batches; the model begins and ends without state.
        """
        hybrid.forget()
        judge, hours = build_judge(self._config, hybrid), Counter[int]()
        for batch in batches:
            for part in in_parts(batch):
                hours.update(dict.fromkeys(np.unique(part.identity[:, REPORTED_NS] // HOUR_NS).tolist(), 0))
                hours.update(_opened_by_hour(judge.judge(part)))
        hours.update(_opened_by_hour(judge.finish()))
        hybrid.forget()
        return dict(hours)

    def judging_ns(self, hybrid: Hybrid, captures: Iterable[FlowBatch]) -> int:
        """Processor time of this process that judging takes, ns. captures: the records of each, judged anew."""
        spent_ns = 0
        for records in captures:
            hybrid.forget()
            judge = build_judge(self._config, hybrid)
            judge.clock_ns = time.process_time_ns
            for part in in_parts(records):
                judge.judge(part)
            spent_ns += judge.spent_ns
        hybrid.forget()
        return spent_ns


def _opened_by_hour(items: Iterable[AlertItem]) -> Counter[int]:
    return Counter(item.time_ns // HOUR_NS for item in items if isinstance(item, Alert) and item.action == "opened")


def _raised(alert: ReplayedAlert) -> RaisedAlert:
    last = alert.last
    return RaisedAlert(
        opened_ns=alert.opened_ns,
        verdict=last.verdict,
        severity=last.severity,
        technique="" if last.technique is None else last.technique.parent,
        message=str(alert_document(last)["message"]),
        flows=alert.flows,
    )
