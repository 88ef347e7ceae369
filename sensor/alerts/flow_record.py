"""A flow that an alert rests on, as one line of JSON: the record `flow/1`; or one of a log: `logged-flow/1`.

Field names are those of the Elastic Common Schema 9.4; everything that it has no name for stands under `flowvigil`, the
alert it belongs to as `flowvigil.alert.id`. A flow that is reported again while it goes on has a line each time, under
the same `event.id`. This module formats what it is given and takes no decision.
"""

import hashlib
from base64 import b32encode
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import orjson
from numpy.typing import NDArray

from configs.formats import Format
from flows.batch import (
    END_NS,
    END_REASON,
    END_REASONS,
    END_SHIFT_NS,
    IP_VERSION,
    PROTOCOL,
    REPORT,
    REPORTED_NS,
    SRC_HIGH,
    START_NS,
    VLAN,
)
from sensor.alerts import ecs
from sensor.alerts.alert import Observer, transport_of
from sensor.alerts.alert_flow import AlertFlow
from sensor.alerts.declaration import Constant, Declaration, Field, part
from sensor.alerts.endpoints import community_id_of, endpoints_of
from sensor.alerts.kinds import (
    COUNT,
    FLAG,
    MOMENT,
    NUMBER,
    Kind,
    count,
    exact,
    numbers_by_name,
    text,
    text_or_null,
)

FLOW_FORMAT: Final = Format("flow")
LOGGED_FORMAT: Final = Format("logged-flow")


@dataclass(frozen=True, slots=True)
class LoggedFlow:
    """A flow record of a log; what was said of it is None in a flow table."""

    identity: list[int]  # words of FlowBatch.identity
    values: NDArray[np.float64]  # (len(COLUMNS),) its columns
    verdict: str | None = None
    label: str | None = None
    judged: bool | None = None
    p_known: float | None = None
    p_novel: float | None = None
    scores: Mapping[str, float] | None = None  # by detector


@dataclass(frozen=True, slots=True)
class FlowRecords:
    """The flow records of a run."""

    observer: Observer  # the sensor that speaks
    most: int  # of one alert; the others are only counted, in the alert itself
    capture: str | None = None  # path of the capture that the flows are of, None where that is not one file

    def wants(self, flow: AlertFlow) -> bool:
        """Whether a flow is one of the first of its alert."""
        return flow.number <= self.most

    def line(self, flow: AlertFlow, step_ns: int = 0) -> bytes:
        """Its record."""
        return flow_line(flow, self.observer, step_ns, self.capture)


def flow_line(flow: AlertFlow, observer: Observer, step_ns: int = 0, capture: str | None = None) -> bytes:
    """The flow as one line of JSON with its newline, at most sensor.alerts.ecs.LINE_LIMIT_BYTES.

    step_ns: what the wall clock was set forward by since the flow's times were taken. capture: path of the one that it
    is of, None where that is not one file.
    """
    return orjson.dumps(FLOW.document(_Shown(flow, observer, step_ns, capture)), option=orjson.OPT_APPEND_NEWLINE)


def logged_flow_line(flow: LoggedFlow, observer: Observer, step_ns: int = 0) -> bytes:
    """A flow of a log as one line of JSON with its newline. observer: who logged it. step_ns: as of flow_line."""
    return orjson.dumps(LOGGED_FLOW.document(_Shown(flow, observer, step_ns)), option=orjson.OPT_APPEND_NEWLINE)


def flow_id(identity: list[int]) -> str:
    """Name of a flow, 26 characters of base 32: a hash over addresses, ports, protocol, VLAN and its first packet."""
    words = " ".join(str(word) for word in identity[SRC_HIGH : START_NS + 1])
    return b32encode(hashlib.blake2b(words.encode(), digest_size=16).digest()).decode("ascii").rstrip("=")


class _Shown:
    """A flow with the values of its line."""

    def __init__(
        self, flow: AlertFlow | LoggedFlow, observer: Observer, step_ns: int, capture: str | None = None
    ) -> None:
        identity = flow.identity
        self.flow, self.observer, self.capture = flow, observer, capture
        self.id = flow_id(identity)
        self.reported_ns = identity[REPORTED_NS] - identity[END_SHIFT_NS] + step_ns
        self.start_ns, self.end_ns = identity[START_NS] + step_ns, identity[END_NS] + step_ns
        self.duration_ns = max(0, self.end_ns - self.start_ns)
        self.source, self.destination = endpoints_of(identity, flow.values)
        self.ip_version, self.protocol = identity[IP_VERSION], identity[PROTOCOL]
        self.transport = transport_of(self.protocol)
        self.community_id = community_id_of(identity, flow.values)
        self.bytes = self.source.bytes + self.destination.bytes
        self.packets = self.source.packets + self.destination.packets
        outer, inner = identity[VLAN] >> 12, identity[VLAN] & 0xFFF
        # Tags: of one the number, of two the outer one first.
        self.vlan = outer or inner or None
        self.inner_vlan = inner if outer else None
        self.report = identity[REPORT]
        self.end_reason = END_REASONS[identity[END_REASON]]


def _tag(path: str) -> Kind:
    return part(Declaration((Field(path, exact(4), str),)))


_HEAD: Final = (
    Field("@timestamp", MOMENT, "reported_ns", "Traffic time at which the flow was reported."),
    ecs.VERSION,
)
_SIDES: Final = (
    Field("event.id", ecs.NAME, "id", "Of the flow: the same in each of its reports."),
    Field("event.start", MOMENT, "start_ns", "First packet."),
    Field("event.end", MOMENT, "end_ns", "Last packet so far."),
    Field("event.duration", COUNT, "duration_ns", "Nanoseconds."),
    *ecs.side("source"),
    *ecs.side("destination"),
    *ecs.network(),
    Field("network.bytes", COUNT, "bytes"),
    Field("network.packets", COUNT, "packets"),
    Field("network.vlan", _tag("id"), "vlan", optional=True),
    Field("network.inner", _tag("vlan.id"), "inner_vlan", optional=True),
    *ecs.observer(),
)
_REPORTS: Final = (
    Field(
        "flowvigil.report",
        COUNT,
        "report",
        "Earlier reports of the same flow; each counts its packets from the start.",
    ),
    Field("flowvigil.end_reason", text(40), "end_reason", "How it ended, or snapshot while it goes on."),
)
_OBJECTS: Final = {
    "source": "Who began.",
    "destination": "Who was asked.",
    "observer": ecs.OBSERVER,
    "flowvigil.p": "P-values.",
}

FLOW: Final = Declaration(
    (
        *_HEAD,
        *ecs.event("event", "flowvigil.flow", type_="connection"),
        *_SIDES,
        *ecs.capture(),
        Constant("flowvigil.schema", str(FLOW_FORMAT)),
        Field("flowvigil.alert.id", ecs.NAME, "flow.alert_id", "event.id of the alert that rests on this flow."),
        Field("flowvigil.alert.number", count(least=1), "flow.number", "Among the records of this alert."),
        *_REPORTS,
        Field("flowvigil.label", text_or_null(64), "flow.label", "What the known lane said of it."),
        Field("flowvigil.p.known", NUMBER, "flow.p_known"),
        Field("flowvigil.p.novel", NUMBER, "flow.p_novel"),
    ),
    objects=_OBJECTS,
)

# What was said of a flow is left out where nobody judged it: in a flow table.
LOGGED_FLOW: Final = Declaration(
    (
        *_HEAD,
        *ecs.event("event", "flowvigil.logged-flow", type_="connection"),
        *_SIDES,
        Constant("flowvigil.schema", str(LOGGED_FORMAT)),
        *_REPORTS,
        Field("flowvigil.verdict", text(16), "flow.verdict", "benign, uncertain or attack.", optional=True),
        Field("flowvigil.label", text(64), "flow.label", "The likeliest attack, whatever the verdict.", optional=True),
        Field("flowvigil.judged", FLAG, "flow.judged", "Whether its like was met in normal traffic.", optional=True),
        Field("flowvigil.p.known", NUMBER, "flow.p_known", "P-value of the known lane.", optional=True),
        Field("flowvigil.p.novel", NUMBER, "flow.p_novel", "P-value of the novel lane.", optional=True),
        Field("flowvigil.scores", numbers_by_name(16, 40), "flow.scores", "Of each detector.", optional=True),
    ),
    objects=_OBJECTS,
)
