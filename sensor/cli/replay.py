"""The sensor as training's evaluation asks for it: captures through its meter, records through judge and episodes.

Settings are the defaults, as `flowvigil read` has them without a file, so that figures do not hang on who asks.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from flows.batch import FlowBatch
from flows.meter import concatenate
from models.fusion import Hybrid
from sensor.alerts.alert_record import alert_document
from sensor.cli.assembly import capture_turns
from sensor.cli.build import build_judge
from sensor.errors import InputError
from sensor.rehearsal.replay import ReplayedAlert, replay
from sensor.settings.config import Config
from training.errors import DatasetError
from training.evaluation.networks.sensor import RaisedAlert

FLOWS_PER_ALERT: Final = 1_000_000  # which are handed on with an alert, to say what it is about


class DefaultSensor:
    """Meter, judge and episodes of a `flowvigil read` by its defaults (training.evaluation.networks.sensor.Sensor)."""

    def __init__(self) -> None:
        self._config = Config.model_validate({"episodes": {"flows_per_alert": FLOWS_PER_ALERT}})

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
