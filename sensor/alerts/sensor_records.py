"""What the sensor tells of itself, as JSON lines among the alerts: the records `stats/1` and `event/1`.

An account of every packet now and then, and events as they come. Field names are those of the Elastic Common Schema
9.4; everything that it has no name for stands under `flowvigil`. This module formats what it is given; it counts
nothing and knows no clock.
"""

import math
from dataclasses import dataclass, fields
from typing import Final

import orjson

from sensor.alerts import ecs
from sensor.alerts.alert import Observer
from sensor.alerts.declaration import Declaration, Field, part
from sensor.alerts.kinds import COUNT, FLAG, MOMENT, NUMBER, SIGNED, Kind, constant, counts_by_name, first, text
from sensor.printable import printable
from sensor.progress.progress import KeptPackets, Progress

STATS_SCHEMA: Final = "stats/1"
EVENT_SCHEMA: Final = "event/1"
# With these and the bounds of the strings below, a line stays within sensor.alerts.ecs.LINE_LIMIT_BYTES. The settings
# hold no more outputs (sensor.settings.outputs.MOST).
INTERFACES_SHOWN, INTERFACE_BYTES, OUTPUTS_SHOWN = 32, 32, 8


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
    account = _Account(time_ns, observer, progress, previous or Progress(), interval_s, final)
    return orjson.dumps(STATS.document(account), option=orjson.OPT_APPEND_NEWLINE)


def event_line(action: str, message: str, observer: Observer, time_ns: int, interface: str | None = None) -> bytes:
    """An event as one line of JSON with its newline, at most LINE_LIMIT_BYTES.

    action: such as `interface-down`. message: for people, one line. time_ns: wall clock. interface: which it befell.
    """
    event = _Event(time_ns, observer, action, message, interface)
    return orjson.dumps(EVENT.document(event), option=orjson.OPT_APPEND_NEWLINE)


@dataclass(frozen=True, slots=True)
class _Account:
    """What a line of statistics says."""

    # Wall clock.
    time_ns: int
    observer: Observer
    # Totals since the start of the run.
    progress: Progress
    # The same at the line before.
    previous: Progress
    # Seconds between the two.
    interval_s: float
    # Whether it is the last of its run.
    final: bool

    @property
    def packets_per_second(self) -> float:
        """Of packets that came, lost or not."""
        return self._rate(self.progress.received - self.previous.received)

    @property
    def bits_per_second(self) -> float:
        """Of what the meter was given."""
        return self._rate((self.progress.bytes - self.previous.bytes) * 8)

    def _rate(self, grown: int) -> float:
        return max(0, grown) / self.interval_s if math.isfinite(self.interval_s) and self.interval_s > 0 else 0.0


@dataclass(frozen=True, slots=True)
class _Event:
    """What a line about an event says."""

    # Wall clock.
    time_ns: int
    observer: Observer
    # Such as `interface-down`.
    action: str
    # For people.
    message: str
    # Which it befell, None where it was no interface.
    interface: str | None


def _rounded(account: _Account) -> float:
    return round(account.interval_s, 3)


def _interface_name(name: str) -> str:
    """Linux has names of 15 bytes; other systems have longer ones, in any letters."""
    return printable(name, 32).encode()[:INTERFACE_BYTES].decode(errors="ignore")


def _counts(*names: str) -> tuple[Field, ...]:
    """Totals of the run, each under its own name."""
    return tuple(Field(f"flowvigil.{name}", COUNT, f"progress.{name}") for name in names)


_NAME: Final = Kind({"type": "string", "maxLength": 32}, _interface_name, text(32).read)
_INTERFACE: Final = Declaration((Field("name", _NAME, "name"), Field("up", FLAG, "up")))
_OUTPUT: Final = Declaration(
    (
        Field("name", text(40), "name"),
        Field("up", FLAG, "up"),
        *(Field(name, COUNT, name) for name in ("written", "queued", "spooled", "lost")),
    )
)
_KEPT: Final = Declaration(
    (Field(count.name, COUNT, count.name) for count in fields(KeptPackets)), {"": "Packets of alerts."}
)

STATS: Final = Declaration(
    (
        Field("@timestamp", MOMENT, "time_ns", "Wall clock."),
        ecs.VERSION,
        *ecs.event("metric", "flowvigil.stats"),
        *ecs.observer(),
        Field("flowvigil.schema", constant(STATS_SCHEMA)),
        Field("flowvigil.final", FLAG, "final", "The last account of a run."),
        Field("flowvigil.interval_s", NUMBER, _rounded),
        *_counts("received", "metered", "filtered"),
        Field("flowvigil.undecoded", counts_by_name(40), "progress.undecoded", "By reason."),
        *_counts("shed", "dropped", "waiting"),
        Field("flowvigil.difference", SIGNED, "progress.difference", "Received less all the others: 0."),
        Field("flowvigil.packets_per_second", NUMBER, "packets_per_second"),
        Field("flowvigil.bits_per_second", NUMBER, "bits_per_second"),
        *_counts("flows", "table_flows", "evicted", "late", "clock_jumps", "lost_lines"),
        Field("flowvigil.overload", text(80), "progress.overload"),
        Field("flowvigil.alerts.opened", COUNT, "progress.alerts"),
        Field("flowvigil.alerts.attack", COUNT, "progress.attacks"),
        Field("flowvigil.alerts.uncertain", COUNT, "progress.uncertain"),
        Field("flowvigil.alerts.merged", COUNT, "progress.merged"),
        Field("flowvigil.interfaces", first(INTERFACES_SHOWN, part(_INTERFACE)), "progress.interfaces"),
        Field(
            "flowvigil.outputs",
            first(OUTPUTS_SHOWN, part(_OUTPUT)),
            lambda account: account.progress.outputs or None,
            optional=True,
        ),
        Field("flowvigil.packets_kept", part(_KEPT), "progress.kept", optional=True),
    ),
    objects={"observer": ecs.OBSERVER, "flowvigil": "Counts are totals since the start of the run."},
)

_INGRESS: Final = Declaration((Field("interface.name", text(32), str),))

EVENT: Final = Declaration(
    (
        Field("@timestamp", MOMENT, "time_ns", "Wall clock."),
        ecs.VERSION,
        *ecs.event("event", "flowvigil.sensor"),
        Field("event.action", text(48), "action"),
        *ecs.observer(),
        Field("observer.ingress", part(_INGRESS), "interface", optional=True),
        Field("flowvigil.schema", constant(EVENT_SCHEMA)),
        Field("flowvigil.message", text(480), "message"),
    ),
    objects={"observer": ecs.OBSERVER},
)
