"""What the sensor tells of itself, as JSON lines among the alerts: the records `stats/1` and `event/1`.

An account of every packet now and then, and events as they come. Field names are those of the Elastic Common Schema
9.4; everything that it has no name for stands under `flowvigil`. This module formats what it is given; it counts
nothing and knows no clock.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from operator import attrgetter
from typing import Any, Final

import orjson

from configs.formats import Format
from sensor.alerts import ecs
from sensor.alerts.alert import Observer
from sensor.alerts.declaration import Constant, Declaration, Field, part
from sensor.alerts.kinds import (
    COUNT,
    FLAG,
    MOMENT,
    NUMBER,
    SIGNED,
    Kind,
    any_of,
    counts_by_name,
    first,
    number,
    sentence,
    text,
    texts_by_name,
)
from sensor.printable import printable
from sensor.progress.progress import DriftState, InterfaceState, KeptPackets, LoggedFlows, OutputState, Progress

STATS_FORMAT: Final = Format("stats", instead="read it with the flowvigil that wrote it")
EVENT_FORMAT: Final = Format("event", instead="read it with the flowvigil that wrote it")
# With these and the bounds of the strings below, a line stays within sensor.alerts.ecs.LINE_LIMIT_BYTES. The settings
# hold no more outputs (sensor.settings.outputs.MAX_OUTPUTS).
INTERFACES_SHOWN, INTERFACE_BYTES, OUTPUTS_SHOWN, CONDITIONS_SHOWN = 32, 32, 8, 16
SETTINGS_SHOWN, SETTING_LETTERS = 20, 24


@dataclass(frozen=True, slots=True)
class SensorState:
    """By what a sensor judges; each None where a line does not say it, as those of older releases do not."""

    model_id: str | None = None  # name of the bundle
    sha256: str | None = None  # of its weights, as alerts have it
    manifest_sha256: str | None = None  # of its manifest, which names all else of it
    settings: Mapping[str, str] | None = None  # that bear on what is found and are not the default
    # learning: the site is being learnt beside the run; warming: it was learnt from too little
    site: str | None = None


UNTOLD: Final = SensorState()


@dataclass(frozen=True, slots=True)
class StatsRecord:
    """What a line of statistics says."""

    time_ns: int  # wall clock
    observer: Observer  # the sensor that counted
    progress: Progress  # totals since the start of the run
    previous: Progress | None = None  # the same at the line before, None at the start and for a reader
    interval_s: float = 0.0  # seconds since that, or since the start
    final: bool = False  # whether it is the last of its run
    state: SensorState = UNTOLD

    @property
    def packets_per_second(self) -> float:
        """Of packets that came, lost or not."""
        return self._rate(self.progress.received - (self.previous.received if self.previous else 0))

    @property
    def bits_per_second(self) -> float:
        """Of what the meter was given."""
        return self._rate((self.progress.bytes - (self.previous.bytes if self.previous else 0)) * 8)

    def _rate(self, grown: int) -> float:
        return max(0, grown) / self.interval_s if math.isfinite(self.interval_s) and self.interval_s > 0 else 0.0


@dataclass(frozen=True, slots=True)
class EventRecord:
    """What a line about an event says."""

    time_ns: int  # wall clock
    observer: Observer  # the sensor that it befell
    action: str  # what happened, such as `interface-down`
    message: str  # the same for people
    interface: str | None = None  # which it befell, None where it was no interface; a reader does not tell


def stats_line(
    progress: Progress,
    observer: Observer,
    time_ns: int,
    interval_s: float,
    previous: Progress | None = None,
    *,
    final: bool = False,
    state: SensorState = UNTOLD,
) -> bytes:
    """The account as one line of JSON with its newline, at most LINE_LIMIT_BYTES.

    Counts are totals since the start; received = metered + filtered + all undecoded + shed + dropped + waiting +
    difference. time_ns: wall clock. interval_s: seconds since `previous`, from which the rates come; None is the start.
    final: the last account of a run. state: by what the sensor judges.
    """
    record = StatsRecord(time_ns, observer, progress, previous, interval_s, final, state)
    return orjson.dumps(STATS.document(record), option=orjson.OPT_APPEND_NEWLINE)


def event_line(action: str, message: str, observer: Observer, time_ns: int, interface: str | None = None) -> bytes:
    """An event as one line of JSON with its newline, at most LINE_LIMIT_BYTES.

    action: such as `interface-down`. message: for people, one line. time_ns: wall clock. interface: which it befell.
    """
    record = EventRecord(time_ns, observer, action, message, interface)
    return orjson.dumps(EVENT.document(record), option=orjson.OPT_APPEND_NEWLINE)


def stats_of(document: Mapping[str, Any]) -> StatsRecord:
    """The account of a document of schema `stats/1`. Raises ValueError, which names the field that does not fit.

    Counts that a release did not have yet are 0.
    """
    values = STATS.values(document)
    told, counts = values[""], values["progress"]
    return StatsRecord(
        **told,
        observer=Observer(**values["observer"]),
        progress=Progress(**counts),
        state=SensorState(**values["state"]),
    )


def event_of(document: Mapping[str, Any]) -> EventRecord:
    """The event of a document of schema `event/1`. Raises ValueError, which names the field that does not fit."""
    values = EVENT.values(document)
    return EventRecord(**values[""], observer=Observer(**values["observer"]))


def _interface_name(name: str) -> str:
    """Linux has names of 15 bytes; other systems have longer ones, in any letters."""
    return printable(name, 32).encode()[:INTERFACE_BYTES].decode(errors="ignore")


def _counts(*names: str) -> tuple[Field, ...]:
    """Totals of the run, each under its own name."""
    return tuple(Field(f"flowvigil.{name}", COUNT, f"progress.{name}", absent=0) for name in names)


_SECONDS: Final = Kind(NUMBER.schema, lambda seconds: number(round(seconds, 3)), NUMBER.read)
_NAME: Final = Kind({"type": "string", "maxLength": 32}, _interface_name, text(32).read)


def output(longest_name: int) -> Kind:
    """The state of an output, under a name of at most so many letters."""
    counts = (Field(name, COUNT, name) for name in ("written", "queued", "spooled", "lost"))
    return part(
        Declaration(
            (Field("name", sentence(longest_name, longest_name * 3 // 2), "name"), Field("up", FLAG, "up"), *counts)
        ),
        OutputState,
    )


INTERFACE: Final = part(Declaration((Field("name", _NAME, "name"), Field("up", FLAG, "up"))), InterfaceState)
KEPT: Final = part(
    Declaration((Field(count.name, COUNT, count.name) for count in fields(KeptPackets)), {"": "Packets of alerts."}),
    KeptPackets,
)
LOGGED: Final = part(
    Declaration(
        (Field(count.name, COUNT, count.name) for count in fields(LoggedFlows)), {"": "Flow records for the flow log."}
    ),
    LoggedFlows,
)

DRIFT_STATE: Final = part(
    Declaration(
        (
            Field("conditions", first(CONDITIONS_SHOWN, text(48)), "conditions", "Which hold, as in flowvigil.drift."),
            Field("psi_max", NUMBER, "psi_max", "Of a column on the latest day.", optional=True),
            Field("alerts_per_day", NUMBER, "alerts_per_day", "Over the latest week.", optional=True),
            Field("alerts_asked", NUMBER, "alerts_asked", "A day.", optional=True),
        ),
        {"": "Whether traffic, scores and alerts are what they were."},
    ),
    DriftState,
)

STATS: Final = Declaration(
    (
        Field("@timestamp", MOMENT, "time_ns", "Wall clock."),
        ecs.VERSION,
        *ecs.event("metric", "flowvigil.stats"),
        *ecs.observer(absent=""),
        *ecs.run(),
        Constant("flowvigil.schema", str(STATS_FORMAT)),
        Field("flowvigil.model.id", sentence(64, 96), "state.model_id", "The bundle that judges.", optional=True),
        Field("flowvigil.model.sha256", sentence(64, 64), "state.sha256", "Of its weights.", optional=True),
        Field(
            "flowvigil.model.manifest_sha256",
            sentence(64, 64),
            "state.manifest_sha256",
            "Of its manifest.",
            optional=True,
        ),
        Field(
            "flowvigil.settings",
            texts_by_name(SETTINGS_SHOWN, 40, SETTING_LETTERS),
            "state.settings",
            "Those that bear on what is found and are not the default.",
            optional=True,
        ),
        Field(
            "flowvigil.site",
            text(16),
            "state.site",
            "learning: the site is being learnt; warming: it was learnt from too little.",
            optional=True,
        ),
        Field("flowvigil.final", FLAG, "final", "The last account of a run.", absent=False),
        Field("flowvigil.interval_s", _SECONDS, "interval_s", absent=0.0),
        Field("flowvigil.received", COUNT, "progress.received"),
        *_counts("metered", "filtered"),
        Field("flowvigil.undecoded", counts_by_name(64, 40), "progress.undecoded", "By reason.", absent={}),
        Field(
            "flowvigil.unjudged",
            counts_by_name(64, 40),
            "progress.unjudged",
            "Flows that no model judges (groups, discovery, routing, no normal traffic in the bundle), by protocol.",
            absent={},
        ),
        *_counts("shed", "dropped", "waiting"),
        Field(
            "flowvigil.lost_with_worker",
            COUNT,
            "progress.lost_with_worker",
            "Packets of those dropped that a worker, which ended unasked, had not told of; where one did.",
            optional=True,
        ),
        Field("flowvigil.difference", SIGNED, attrgetter("progress.difference"), "Received less all the others: 0."),
        Field("flowvigil.packets_per_second", NUMBER, attrgetter("packets_per_second")),
        Field("flowvigil.bits_per_second", NUMBER, attrgetter("bits_per_second")),
        *_counts(
            "flows",
            "table_flows",
            "evicted",
            "late",
            "clock_jumps",
            "tunnelled",
            "split_sessions",
            "one_sided",
            "lost_lines",
        ),
        Field(
            "flowvigil.context_evicted",
            COUNT,
            "progress.context_evicted",
            "Rows on what hosts, pairs and services did before that gave way to others; of bundles that use context.",
            optional=True,
        ),
        Field(
            "flowvigil.longest_pause_ns",
            COUNT,
            "progress.longest_pause_ns",
            "Longest time between two looks at the capture's buffer, ns; of live captures.",
            optional=True,
        ),
        Field(
            "flowvigil.stores_evicted",
            counts_by_name(64, 40),
            "progress.stores_evicted",
            "What other bounded stores let go before its time, by store; where that happened.",
            optional=True,
        ),
        Field("flowvigil.overload", text(80), "progress.overload", absent=""),
        Field("flowvigil.alerts.opened", COUNT, "progress.alerts", absent=0),
        Field("flowvigil.alerts.attack", COUNT, "progress.attacks", absent=0),
        Field("flowvigil.alerts.uncertain", COUNT, "progress.uncertain", absent=0),
        Field("flowvigil.alerts.merged", COUNT, "progress.merged", absent=0),
        Field(
            "flowvigil.alerts.muted",
            COUNT,
            "progress.muted",
            "Opened, but muted by notes of the site, and not among those opened; where there are notes.",
            optional=True,
        ),
        Field("flowvigil.interfaces", first(INTERFACES_SHOWN, INTERFACE), "progress.interfaces"),
        Field("flowvigil.outputs", any_of(OUTPUTS_SHOWN, output(40)), "progress.outputs", optional=True, absent=()),
        Field("flowvigil.packets_kept", KEPT, "progress.kept", optional=True),
        Field("flowvigil.flow_log", LOGGED, "progress.logged", optional=True),
        Field("flowvigil.drift", DRIFT_STATE, "progress.drift", optional=True),
    ),
    objects={"observer": ecs.OBSERVER, "flowvigil": "Counts are totals since the start of the run."},
)

_INGRESS: Final = Declaration((Field("interface.name", text(32), str),))

EVENT: Final = Declaration(
    (
        Field("@timestamp", MOMENT, "time_ns", "Wall clock."),
        ecs.VERSION,
        *ecs.event("event", "flowvigil.sensor"),
        Field("event.action", text(48), "action", absent=""),
        *ecs.observer(absent=""),
        *ecs.run(),
        Field("observer.ingress", part(_INGRESS), attrgetter("interface"), optional=True),
        Constant("flowvigil.schema", str(EVENT_FORMAT)),
        Field("flowvigil.message", text(480), "message"),
    ),
    objects={"observer": ecs.OBSERVER},
)
