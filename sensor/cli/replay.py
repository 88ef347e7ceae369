"""The sensor as training's evaluation asks for it: captures through its meter, records through judge and episodes.

Settings are the defaults, as `flowvigil read` has them without a file, so that figures do not hang on who asks.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np
from numpy.typing import NDArray

from flows.batch import END_NS, END_SHIFT_NS, REPORTED_NS, FlowBatch, Identity
from flows.meter import concatenate
from models.fusion import Hybrid
from sensor.alerts.alert import Alert
from sensor.alerts.alert_record import alert_document
from sensor.cli.assembly import capture_turns
from sensor.cli.build import build_judge
from sensor.errors import InputError
from sensor.run.detection import in_parts
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
        hybrid.forget()
        judge = build_judge(self._config, hybrid)
        items = [item for part in in_parts(records) for item in judge.judge(part)] + judge.finish()
        hybrid.forget()
        opened: dict[str, Alert] = {}
        last: dict[str, Alert] = {}
        flows: dict[str, list[tuple[int, ...]]] = {}
        for item in items:
            if isinstance(item, Alert):
                opened.setdefault(item.id, item)
                last[item.id] = item
            else:
                flows.setdefault(item.alert_id, []).append(tuple(item.identity))
        told_ns = told_at(records.identity, np.array([first.time_ns for first in opened.values()], dtype=np.int64))
        return [
            _raised(int(at_ns), last[name], flows.get(name, [])) for name, at_ns in zip(opened, told_ns, strict=True)
        ]


def told_at(identity: Identity, time_ns: NDArray[np.int64]) -> NDArray[np.int64]:
    """The meter's clock when it reported the first record with so new a packet, (k,) ns of each traffic time.

    A flow is reported a while after its packets: when it has been silent, was closed, or has run for some time.
    """
    newest = np.maximum.accumulate(identity[:, END_NS] + identity[:, END_SHIFT_NS])
    first = np.minimum(np.searchsorted(newest, time_ns), len(identity) - 1)
    told_ns: NDArray[np.int64] = np.maximum(time_ns, identity[first, REPORTED_NS])
    return told_ns


def _raised(opened_ns: int, last: Alert, flows: Sequence[tuple[int, ...]]) -> RaisedAlert:
    return RaisedAlert(
        opened_ns=opened_ns,
        verdict=last.verdict,
        severity=last.severity,
        technique="" if last.technique is None else last.technique.parent,
        message=str(alert_document(last)["message"]),
        flows=tuple(flows),
    )
