"""A flow that an alert rests on, as one line of JSON: schema `flow/1`.

Field names are those of the Elastic Common Schema 9.4; everything that it has no name for stands under `flowvigil`, the
alert it belongs to as `flowvigil.alert.id`. A flow that is reported again while it goes on has a line each time, under
the same `event.id`. This module formats what it is given and takes no decision.
"""

import hashlib
from base64 import b32encode
from dataclasses import dataclass
from typing import Any

import orjson

from flows.batch import (
    END_NS,
    END_REASON,
    END_REASONS,
    IP_VERSION,
    PROTOCOL,
    REPORT,
    REPORTED_NS,
    SRC_HIGH,
    START_NS,
    VLAN,
)
from sensor.alerts.alert import Observer, network_fields, number, observer_fields, side_fields, timestamp
from sensor.alerts.alert_flow import AlertFlow
from sensor.alerts.endpoints import community_id_of, endpoints_of
from sensor.printable import printable

FLOW_SCHEMA = "flow/1"


@dataclass(frozen=True, slots=True)
class FlowRecords:
    """The flow records of a run. most: of one alert; the others are only counted, in the alert itself."""

    observer: Observer
    most: int

    def wants(self, flow: AlertFlow) -> bool:
        """Whether a flow is one of the first of its alert."""
        return flow.number <= self.most

    def line(self, flow: AlertFlow, step_ns: int = 0) -> bytes:
        """Its record."""
        return flow_line(flow, self.observer, step_ns)


def flow_line(flow: AlertFlow, observer: Observer, step_ns: int = 0) -> bytes:
    """The flow as one line of JSON with its newline, at most sensor.alerts.alert.LINE_LIMIT_BYTES.

    step_ns: what the wall clock was set forward by since the flow's times were taken.
    """
    identity = flow.identity
    source, destination = endpoints_of(identity, flow.values)
    start_ns, end_ns = identity[START_NS] + step_ns, identity[END_NS] + step_ns
    network = network_fields(identity[IP_VERSION], identity[PROTOCOL], community_id_of(identity, flow.values))
    network |= {"bytes": source.bytes + destination.bytes, "packets": source.packets + destination.packets}
    document = {
        "@timestamp": timestamp(identity[REPORTED_NS] + step_ns),
        "ecs": {"version": "9.4.0"},
        "event": {
            "kind": "event",
            "category": ["network"],
            "type": ["connection"],
            "dataset": "flowvigil.flow",
            "id": flow_id(identity),
            "start": timestamp(start_ns),
            "end": timestamp(end_ns),
            "duration": max(0, end_ns - start_ns),
        },
        "source": side_fields(source),
        "destination": side_fields(destination),
        "network": network | _vlans(identity[VLAN]),
        "observer": observer_fields(observer),
        "flowvigil": {
            "schema": FLOW_SCHEMA,
            "alert": {"id": flow.alert_id, "number": flow.number},
            "report": identity[REPORT],
            "end_reason": END_REASONS[identity[END_REASON]],
            "label": None if flow.label is None else printable(flow.label, 64),
            "p": {"known": number(flow.p_known), "novel": number(flow.p_novel)},
        },
    }
    return orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE)


def flow_id(identity: list[int]) -> str:
    """Name of a flow, 26 characters of base 32: a hash over addresses, ports, protocol, VLAN and its first packet."""
    text = " ".join(str(word) for word in identity[SRC_HIGH : START_NS + 1])
    return b32encode(hashlib.blake2b(text.encode(), digest_size=16).digest()).decode("ascii").rstrip("=")


def _vlans(tags: int) -> dict[str, Any]:
    outer, inner = tags >> 12, tags & 0xFFF
    if not tags:
        return {}
    within = {"inner": {"vlan": {"id": str(inner)}}} if outer else {}
    return {"vlan": {"id": str(outer or inner)}, **within}
