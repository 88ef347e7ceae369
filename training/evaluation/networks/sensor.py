"""What the evaluation needs of the sensor: its meter and its alerts. The command line hands both over.

It is a promise alone, so that training knows nothing of the sensor.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from flows.batch import FlowBatch
from models.fusion import Hybrid


@dataclass(frozen=True, slots=True)
class RaisedAlert:
    """An alert as its last line tells it, and the flows it rests on."""

    opened_ns: int  # the meter's clock when it had reported what opened it, so that a sensor would have told by then
    verdict: str  # attack or uncertain
    severity: int  # 0 to 100
    technique: str  # parent id of the ATT&CK technique that it names, "" of none
    message: str  # who did what to whom, in one sentence
    flows: tuple[tuple[int, ...], ...]  # words of FlowBatch.identity of reports of its flows


class Sensor(Protocol):
    """Meters captures and raises alerts as `flowvigil read` does by its defaults."""

    def metered(self, capture: Path) -> tuple[FlowBatch, Sequence[str]]:
        """All records of a capture, in the order of their reports, and a line for each problem with it.

        Raises DatasetError for what is no capture.
        """

    def alerts(self, hybrid: Hybrid, records: FlowBatch) -> list[RaisedAlert]:
        """The alerts on the records of one capture, in the order of their opening; the model begins without state."""
