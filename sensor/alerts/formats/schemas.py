"""JSON Schemas (draft 2020-12) of the native records: what a reader may rely on in each line.

A field that is listed as required is always there, and keeps its type for as long as the schema's number stays. Fields
may be added: no object is closed. They describe what sensor.alerts.alert, sensor.alerts.flow_record and
sensor.alerts.sensor_records write, and know none of them.
"""

from typing import Any, Final

Schema = dict[str, Any]

RECORDS: Final = ("alert", "flow", "stats", "event")
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"

_COUNT: Final[Schema] = {"type": "integer", "minimum": 0}
_NUMBER: Final[Schema] = {"type": ["number", "null"]}  # null: not finite
_FLAG: Final[Schema] = {"type": "boolean"}
_PORT: Final[Schema] = {"type": "integer", "minimum": 0, "maximum": 65535}


def schema_of(record: str) -> Schema:
    """The schema of `alert`, `flow`, `stats` or `event`. Raises ValueError for another record."""
    build = {"alert": _alert, "flow": _flow, "stats": _stats, "event": _event}.get(record)
    if build is None:
        raise ValueError(f"found the record {record!r}, expected one of {', '.join(RECORDS)}")
    described = build()
    return {
        "$schema": DIALECT,
        "$id": f"urn:flowvigil:schema:{record}:1",
        "title": f"flowvigil {record} record, schema {record}/1",
        "description": "One JSON object a line, at most 8192 bytes. Field names are those of ECS 9.4; others stand "
        "under flowvigil. Fields may be added; none is removed or changes its type under this number.",
        **described,
    }


def _object(required: dict[str, Schema], optional: dict[str, Schema] | None = None, description: str = "") -> Schema:
    """An object that has all of the first, may have the second, and anything else."""
    described = {"description": description} if description else {}
    return {
        "type": "object",
        **described,
        "required": list(required),
        "properties": {**required, **(optional or {})},
    }


def _text(longest: int, description: str = "", **more: Any) -> Schema:
    described = {"description": description} if description else {}
    return {"type": "string", "maxLength": longest, **described, **more}


def _told(schema: Schema, description: str) -> Schema:
    return {**schema, "description": description}


def _moment(description: str) -> Schema:
    pattern = r"^\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}\.\d{6}Z$"
    return {"type": "string", "pattern": pattern, "format": "date-time", "description": description}


def _listed(longest: int) -> Schema:
    return {"type": "array", "items": _text(longest), "minItems": 1}


def _first(most: int, items: Schema, description: str) -> Schema:
    return {"type": "array", "items": items, "maxItems": most, "description": description}


def _event_fields(kind: str, dataset: str, **more: Schema) -> dict[str, Schema]:
    return {
        "kind": {"const": kind},
        "category": {"type": "array", "items": {"enum": ["network", "intrusion_detection"]}, "minItems": 1},
        "type": {"type": "array", "items": {"enum": ["info", "connection"]}, "minItems": 1},
        "dataset": {"const": dataset},
        **more,
    }


def _ecs() -> Schema:
    return _object({"version": {"type": "string", "pattern": r"^9\.\d+\.\d+$"}})


def _observer(optional: dict[str, Schema] | None = None) -> Schema:
    required = {"name": _text(64), "type": {"const": "ids"}, "version": _text(24)}
    return _object(required, optional, "The sensor that wrote the line.")


def _alert() -> Schema:
    return _object(
        {
            "@timestamp": _moment("Traffic time at which this line became true."),
            "message": _text(640, "For people: who did what to whom, how sure that is and why."),
            "ecs": _ecs(),
            "event": _alert_event(),
            "source": _side("The host that the episode is about, with its side of the flow shown."),
            "destination": _side("The other side of the flow shown: the one that speaks strongest."),
            "network": _network(),
            "observer": _observer(),
            "flowvigil": _alert_own(),
        },
        {"threat": _threat()},
    )


def _alert_event() -> Schema:
    return _object(
        _event_fields(
            "alert",
            "flowvigil.alert",
            action={"enum": ["opened", "updated", "closed"]},
            id=_text(26, "Of the episode: the same in each of its lines.", pattern="^[A-Z2-7]{26}$"),
            sequence={"type": "integer", "minimum": 1, "description": "Number of the line, without gaps."},
            severity={"type": "integer", "minimum": 0, "maximum": 100, "description": "How bad if true."},
            risk_score={"type": "number", "minimum": 0, "maximum": 100, "description": "Severity by evidence."},
            start=_moment("First packet of the flagged flows."),
            end=_moment("Last packet of the flagged flows."),
            reason=_text(480, "For people: one sentence."),
        )
    )


def _side(description: str) -> Schema:
    return _object({"ip": _text(45), "bytes": _COUNT, "packets": _COUNT}, {"port": _PORT}, description)


def _network(more: dict[str, Schema] | None = None, optional: dict[str, Schema] | None = None) -> Schema:
    return _object(
        {
            "type": {"enum": ["ipv4", "ipv6"]},
            "transport": _text(16),
            "iana_number": {"type": "string", "pattern": "^[0-9]{1,3}$"},
            "community_id": {"type": "string", "pattern": "^1:[A-Za-z0-9+/]{27}=$"},
            **(more or {}),
        },
        optional,
    )


def _threat() -> Schema:
    below = _object({"id": _listed(16)}, {"name": _listed(64)})
    return _object(
        {
            "framework": {"const": "MITRE ATT&CK"},
            "technique": _object({"id": _listed(16)}, {"name": _listed(64), "subtechnique": below}),
        },
        {"tactic": _object({"name": _listed(64)})},
        "Where a known class spoke, or the shape of the episode gave it away.",
    )


def _alert_own() -> Schema:
    feature = _object(
        {
            "name": _text(40),
            "unit": _text(16),
            "value": _NUMBER,
            "normal_p01": _NUMBER,
            "normal_median": _NUMBER,
            "normal_p99": _NUMBER,
        }
    )
    return _object(
        {
            "schema": {"const": "alert/1"},
            "verdict": {"enum": ["attack", "uncertain"]},
            "lane": {"enum": ["known", "novel", "both"]},
            "label": {"type": ["string", "null"], "maxLength": 64, "description": "What the known lane said."},
            "p": _object({"known": _NUMBER, "novel": _NUMBER}, None, "P-values of the flow shown."),
            "scores": {"type": "object", "additionalProperties": _NUMBER, "description": "By detector."},
            "features": {"type": "array", "items": feature, "maxItems": 5},
            "sources": _told(
                {"type": "integer", "minimum": 1}, "Alerts of single hosts told as one: 1 but in a storm."
            ),
            "storm": _told(_FLAG, "More alerts opened than are told one by one: this one is of many hosts."),
            "flows": _told(_COUNT, "Flows flagged."),
            "packets": _told(_COUNT, "Of the flagged flows, both directions."),
            "failed": _told(_COUNT, "Flagged flows in which no data was exchanged."),
            "targets": _told(_COUNT, "Distinct destination addresses."),
            "targets_more": _told(_FLAG, "There are more targets than were counted."),
            "target_ips": _first(8, _text(45), "The first targets."),
            "ports": _told(_COUNT, "Distinct destination ports."),
            "ports_more": _told(_FLAG, "There are more ports than were counted."),
            "target_ports": _first(16, _PORT, "The first destination ports."),
            "next": _first(6, _text(200), "What to look at next, the first thing first."),
            "packets_filter": _text(400, "Display filter of tshark and Wireshark for its packets."),
            "model": _object({"id": _text(64), "sha256": _text(64)}),
            "quality": _object({"dropped": _told(_COUNT, "Packets that the capture had lost by then.")}),
        },
        {"packets_file": _text(40, "Capture that gets packets of its flows, in the directory of --keep-packets.")},
    )


def _flow() -> Schema:
    vlan = _object({"id": _text(4)})
    event = _event_fields(
        "event",
        "flowvigil.flow",
        id=_text(26, "Of the flow: the same in each of its reports.", pattern="^[A-Z2-7]{26}$"),
        start=_moment("First packet."),
        end=_moment("Last packet so far."),
        duration=_told(_COUNT, "Nanoseconds."),
    )
    own = {
        "schema": {"const": "flow/1"},
        "alert": _object(
            {
                "id": _text(26, "event.id of the alert that rests on this flow.", pattern="^[A-Z2-7]{26}$"),
                "number": {"type": "integer", "minimum": 1, "description": "Among the records of this alert."},
            }
        ),
        "report": _told(_COUNT, "Earlier reports of the same flow; each counts its packets from the start."),
        "end_reason": _text(40, "How it ended, or snapshot while it goes on."),
        "label": {"type": ["string", "null"], "maxLength": 64, "description": "What the known lane said of it."},
        "p": _object({"known": _NUMBER, "novel": _NUMBER}, None, "P-values."),
    }
    return _object(
        {
            "@timestamp": _moment("Traffic time at which the flow was reported."),
            "ecs": _ecs(),
            "event": _object(event),
            "source": _side("Who began."),
            "destination": _side("Who was asked."),
            "network": _network({"bytes": _COUNT, "packets": _COUNT}, {"vlan": vlan, "inner": _object({"vlan": vlan})}),
            "observer": _observer(),
            "flowvigil": _object(own),
        }
    )


def _stats() -> Schema:
    own = {
        "schema": {"const": "stats/1"},
        "final": _told(_FLAG, "The last account of a run."),
        "interval_s": _NUMBER,
        "undecoded": {"type": "object", "additionalProperties": _COUNT, "description": "By reason."},
        **dict.fromkeys(("received", "metered", "filtered", "shed", "dropped", "waiting"), _COUNT),
        "difference": {"type": "integer", "description": "Received less all the others: 0."},
        "packets_per_second": _NUMBER,
        "bits_per_second": _NUMBER,
        **dict.fromkeys(("flows", "table_flows", "evicted", "late", "clock_jumps", "lost_lines"), _COUNT),
        "overload": _text(80),
        "alerts": _object(dict.fromkeys(("opened", "attack", "uncertain", "merged"), _COUNT)),
        "interfaces": {"type": "array", "items": _object({"name": _text(32), "up": _FLAG}), "maxItems": 32},
    }
    counts = dict.fromkeys(("written", "queued", "spooled", "lost"), _COUNT)
    outputs = {"type": "array", "items": _object({"name": _text(40), "up": _FLAG, **counts}), "maxItems": 8}
    kept = ("files", "packets", "bytes", "forgotten", "over_limit", "lost", "alerts_without", "files_deleted")
    optional = {"outputs": outputs, "packets_kept": _object(dict.fromkeys(kept, _COUNT), None, "Packets of alerts.")}
    return _object(
        {
            "@timestamp": _moment("Wall clock."),
            "ecs": _ecs(),
            "event": _object(_event_fields("metric", "flowvigil.stats")),
            "observer": _observer(),
            "flowvigil": _object(own, optional, "Counts are totals since the start of the run."),
        }
    )


def _event() -> Schema:
    ingress = {"ingress": _object({"interface": _object({"name": _text(32)})})}
    return _object(
        {
            "@timestamp": _moment("Wall clock."),
            "ecs": _ecs(),
            "event": _object(_event_fields("event", "flowvigil.sensor", action=_text(48))),
            "observer": _observer(ingress),
            "flowvigil": _object({"schema": {"const": "event/1"}, "message": _text(480)}),
        }
    )
