"""What the sensor tells of itself, as JSON lines among the alerts: the account of every packet, and events.

Field names are those of the Elastic Common Schema 9.4; everything that it has no name for stands under `flowvigil`.
This module formats what it is given; it counts nothing and knows no clock.
"""

import math
from dataclasses import asdict
from typing import Any

import orjson

from sensor.alerts.alert import Observer, number, observer_fields, timestamp
from sensor.printable import printable
from sensor.progress.progress import Progress

STATS_SCHEMA, EVENT_SCHEMA = "stats/1", "event/1"
# With this and the bounds of the strings below, a line stays within sensor.alerts.alert.LINE_LIMIT_BYTES.
INTERFACES_SHOWN, INTERFACE_BYTES = 32, 32
OUTPUT_NAME = 40


def stats_line(
    progress: Progress,
    observer: Observer,
    time_ns: int,
    interval_s: float,
    previous: Progress | None = None,
    *,
    final: bool = False,
) -> bytes:
    """The account as one line of JSON with its newline, at most LINE_LIMIT_BYTES.

    Counts are totals since the start; received = metered + filtered + all undecoded + shed + dropped + waiting +
    difference. time_ns: wall clock. interval_s: seconds since `previous`, from which the rates come; None is the start.
    final: the last account of a run.
    """
    document = _document("metric", "flowvigil.stats", None, observer, time_ns)
    document["flowvigil"] = {
        "schema": STATS_SCHEMA,
        "final": final,
        "interval_s": number(round(interval_s, 3)),
        **_account(progress),
        **_rates(progress, previous or Progress(), interval_s),
        "flows": progress.flows,
        "table_flows": progress.table_flows,
        "evicted": progress.evicted,
        "late": progress.late,
        "clock_jumps": progress.clock_jumps,
        "lost_lines": progress.lost_lines,
        "overload": printable(progress.overload, 80),
        "alerts": {
            "opened": progress.alerts,
            "attack": progress.attacks,
            "uncertain": progress.uncertain,
            "merged": progress.merged,
        },
        "interfaces": [
            {"name": _interface_name(interface.name), "up": interface.up}
            for interface in progress.interfaces[:INTERFACES_SHOWN]
        ],
        **({"outputs": _outputs(progress)} if progress.outputs else {}),
        **({} if progress.kept is None else {"packets_kept": asdict(progress.kept)}),
    }
    return _line(document)


def event_line(action: str, message: str, observer: Observer, time_ns: int, interface: str | None = None) -> bytes:
    """An event as one line of JSON with its newline, at most LINE_LIMIT_BYTES.

    action: such as `interface-down`. message: for people, one line. time_ns: wall clock. interface: which it befell.
    """
    document = _document("event", "flowvigil.sensor", printable(action, 48), observer, time_ns)
    if interface is not None:
        document["observer"]["ingress"] = {"interface": {"name": printable(interface, 32)}}
    document["flowvigil"] = {"schema": EVENT_SCHEMA, "message": printable(message, 480)}
    return _line(document)


def _document(kind: str, dataset: str, action: str | None, observer: Observer, time_ns: int) -> dict[str, Any]:
    return {
        "@timestamp": timestamp(time_ns),
        "ecs": {"version": "9.4.0"},
        "event": {
            "kind": kind,
            "category": ["network"],
            "type": ["info"],
            "dataset": dataset,
            **({} if action is None else {"action": action}),
        },
        "observer": observer_fields(observer),
    }


def _account(progress: Progress) -> dict[str, Any]:
    return {
        "received": progress.received,
        "metered": progress.metered,
        "filtered": progress.filtered,
        "undecoded": {printable(reason, 40): count for reason, count in sorted(progress.undecoded.items()) if count},
        "shed": progress.shed,
        "dropped": progress.dropped,
        "waiting": progress.waiting,
        "difference": progress.difference,
    }


def _interface_name(name: str) -> str:
    """Linux has names of 15 bytes; other systems have longer ones, in any letters."""
    return printable(name, 32).encode()[:INTERFACE_BYTES].decode(errors="ignore")


def _outputs(progress: Progress) -> list[dict[str, Any]]:
    """The settings hold few enough (sensor.settings.outputs.MOST)."""
    return [
        {
            "name": printable(output.name, OUTPUT_NAME),
            "up": output.up,
            "written": output.written,
            "queued": output.queued,
            "spooled": output.spooled,
            "lost": output.lost,
        }
        for output in progress.outputs
    ]


def _rates(progress: Progress, previous: Progress, interval_s: float) -> dict[str, Any]:
    """Of packets that came, lost or not, and of bits that the meter was given."""
    if not (math.isfinite(interval_s) and interval_s > 0):
        return {"packets_per_second": 0, "bits_per_second": 0}
    return {
        "packets_per_second": number(max(0, progress.received - previous.received) / interval_s),
        "bits_per_second": number(max(0, progress.bytes - previous.bytes) * 8 / interval_s),
    }


def _line(document: dict[str, Any]) -> bytes:
    return orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE)
