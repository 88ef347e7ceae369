"""The record `drift/1`: traffic, scores or the rate of alerts are no longer what they were, or are so again.

Field names are those of the Elastic Common Schema 9.4; everything that it has no name for stands under `flowvigil`.
This module formats what it is given; what is drift is decided elsewhere (sensor.drift).
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

import orjson

from configs.formats import Format
from sensor.alerts import ecs
from sensor.alerts.alert import Observer
from sensor.alerts.declaration import Constant, Declaration, Field, part
from sensor.alerts.kinds import COUNT, MOMENT, NUMBER, first, text

DRIFT_FORMAT: Final = Format("drift", instead="read it with the flowvigil that wrote it")
MEASURES_SHOWN: Final = 16


@dataclass(frozen=True, slots=True)
class Measure:
    """One thing that is measured: a column, a detector, or a rate."""

    name: str  # of the column or detector
    value: float  # what was measured
    bound: float  # beyond which it is told, or what was expected; NaN where there is no such number

    @property
    def excess(self) -> float:
        """How far it is beyond its bound, 0 where there is none."""
        return 0.0 if math.isnan(self.bound) else self.value - self.bound


@dataclass(frozen=True, slots=True)
class DriftRecord:
    """What a line about drift says: a condition that began or ended."""

    time_ns: int  # traffic time at which it was certain
    observer: Observer  # the sensor that tells
    condition: str  # one of sensor.drift.conditions.CONDITIONS, such as `columns-changed`
    state: str  # begun or ended
    start_ns: int  # beginning of the stretch of traffic that shows it
    flows: int  # flows of that stretch that were looked at
    concerned: int  # how many columns or detectors it is about, 1 for a rate
    measures: tuple[Measure, ...]  # of these, the furthest beyond their bound
    model: str  # name of the bundle that judges
    message: str  # the same for people, with what to do
    capture: str | None = None  # path of the capture that shows it, None where that is not one file
    sha256: str | None = None  # of the bundle's weights; None where an older line does not say it

    @property
    def action(self) -> str:
        """What happened, such as `columns-changed begun`."""
        return f"{self.condition} {self.state}"


def drift_line(record: DriftRecord) -> bytes:
    """The record as one line of JSON with its newline, at most LINE_LIMIT_BYTES."""
    return orjson.dumps(DRIFT.document(record), option=orjson.OPT_APPEND_NEWLINE)


def drift_of(document: Mapping[str, Any]) -> DriftRecord:
    """The record of a document of schema `drift/1`. Raises ValueError, which names the field that does not fit."""
    values = DRIFT.values(document)
    return DriftRecord(**values[""], observer=Observer(**values["observer"]))


_MEASURE: Final = part(
    Declaration((Field("name", text(64), "name"), Field("value", NUMBER, "value"), Field("bound", NUMBER, "bound"))),
    Measure,
)

DRIFT: Final = Declaration(
    (
        Field("@timestamp", MOMENT, "time_ns", "Traffic time at which it was certain."),
        ecs.VERSION,
        *ecs.event("event", "flowvigil.drift"),
        Field("event.action", text(48), "condition", "Which condition."),
        Field("event.start", MOMENT, "start_ns", "Beginning of the traffic that shows it."),
        *ecs.observer(absent=""),
        *ecs.capture(),
        Constant("flowvigil.schema", str(DRIFT_FORMAT)),
        Field("flowvigil.message", text(480), "message", "For people, with what to do."),
        Field("flowvigil.model.id", text(128), "model", "Name of the bundle that judges."),
        Field("flowvigil.model.sha256", text(64), "sha256", "Of its weights.", optional=True),
        Field("flowvigil.drift.state", text(16), "state", "begun or ended."),
        Field("flowvigil.drift.flows", COUNT, "flows", "Flows that were looked at."),
        Field("flowvigil.drift.concerned", COUNT, "concerned", "Columns or detectors that it is about."),
        Field(
            "flowvigil.drift.measures",
            first(MEASURES_SHOWN, _MEASURE),
            "measures",
            "Of these the furthest beyond their bound.",
        ),
    ),
    objects={"observer": ecs.OBSERVER},
)
