"""JSON Schemas (draft 2020-12) of the native records: what a reader may rely on in each line.

A field that is listed as required is always there, and keeps its type for as long as the schema's number stays. Fields
may be added: no object is closed. They are made from the declarations by which the records are written.
"""

from typing import Final

from sensor.alerts.declaration import Declaration
from sensor.alerts.kinds import Schema

RECORDS: Final = ("alert", "flow", "logged-flow", "stats", "event", "drift")
DIALECT: Final = "https://json-schema.org/draft/2020-12/schema"


def schema_of(record: str) -> Schema:
    """The schema of one of RECORDS. Raises ValueError for another record."""
    return {
        "$schema": DIALECT,
        "$id": f"urn:flowvigil:schema:{record}:1",
        "title": f"flowvigil {record} record, schema {record}/1",
        "description": "One JSON object a line, at most 8192 bytes. Field names are those of ECS 9.4; others stand "
        "under flowvigil. Fields may be added; none is removed or changes its type under this number.",
        **_declaration_of(record).schema(),
    }


def _declaration_of(record: str) -> Declaration:
    if record == "alert":
        from sensor.alerts.alert_record import ALERT

        return ALERT
    if record in ("flow", "logged-flow"):
        from sensor.alerts.flow_record import FLOW, LOGGED_FLOW

        return FLOW if record == "flow" else LOGGED_FLOW
    if record == "drift":
        from sensor.alerts.drift_record import DRIFT

        return DRIFT
    if record in ("stats", "event"):
        from sensor.alerts.sensor_records import EVENT, STATS

        return STATS if record == "stats" else EVENT
    raise ValueError(f"found the record {record!r}, expected one of {', '.join(RECORDS)}")
