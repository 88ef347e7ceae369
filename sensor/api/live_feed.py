"""What one running sensor tells over its attach socket, held for whoever looks at its page; attached while anybody is.

One thread and one connection, however many look. What is held is bounded: the latest progress and the latest alerts.
It knows no HTTP and no page.
"""

import threading
from collections import OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from sensor.alerts.alert import Alert
from sensor.alerts.drift_record import DriftRecord
from sensor.alerts.reading import NativeLine, UnreadableLineError
from sensor.alerts.sensor_records import EventRecord
from sensor.attach.client import Attachment
from sensor.attach.protocol import Hello, LeftOut, Message
from sensor.errors import CaptureError
from sensor.printable import printable
from sensor.progress.progress import OpenAlert, Progress
from sensor.terminal.header import Rates
from sensor.terminal.standing import as_it_stands

ALERTS_KEPT: Final = 200  # the latest
NOTES_KEPT: Final = 20
RETRY_S: Final = 2.0  # between two attempts to reach a sensor
WAITING: Final = "waiting for the sensor"
_LONGEST: Final = 400  # letters of a note


@dataclass(frozen=True, slots=True)
class Look:
    """What the sensor has told by now."""

    connection: int  # how many times it was reached; what an earlier connection told is forgotten
    problem: str  # why nothing comes, in words; nothing while something does
    hello: Hello | None  # who speaks; None before it did
    progress: Progress  # the latest
    rates: Rates  # how fast it grows
    left_out: int  # lines that were read too slowly
    notes: tuple[str, ...]  # the latest events, the newest last
    alerts: tuple[Alert, ...]  # those told since the look before, each by its latest line
    until: int  # what the next look is to begin after


@dataclass(slots=True)
class _Told:
    """What one connection told."""

    hello: Hello | None = None
    progress: Progress = field(default_factory=Progress)
    rates: Rates = field(default_factory=Rates)
    left_out: int = 0
    notes: list[str] = field(default_factory=list)
    alerts: OrderedDict[str, tuple[int, Alert]] = field(default_factory=OrderedDict)  # by id, with its place


class LiveFeed:
    """One sensor, for all who look at it. Thread-safe."""

    def __init__(self, path: Path) -> None:
        """path: of the sensor's socket. It is not opened before somebody looks."""
        self._path = path
        self._changed = threading.Condition()
        self._viewers = 0
        self._running = False
        self._attachment: Attachment | None = None
        self._told = _Told()
        self._connection = 0
        self._place = 0
        self._problem = WAITING

    def join(self) -> None:
        """Begin to look."""
        with self._changed:
            self._viewers += 1
            if not self._running:
                self._running = True
                self._told, self._problem = _Told(), WAITING  # what was told before anybody looked is old
                threading.Thread(target=self._run, name="live", daemon=True).start()

    def leave(self) -> None:
        """Look no more; the connection ends with the last who did."""
        with self._changed:
            self._viewers -= 1
            if not self._viewers and self._attachment is not None:
                self._attachment.stop()
            self._changed.notify_all()

    def look(self, connection: int, after: int) -> Look:
        """What was told by now, of alerts only those after `until` of an earlier look at the same connection."""
        with self._changed:
            told = self._told
            after = after if connection == self._connection else 0
            return Look(
                self._connection,
                self._problem,
                told.hello,
                told.progress,
                told.rates,
                told.left_out,
                tuple(told.notes),
                tuple(alert for place, alert in told.alerts.values() if place > after),
                self._place,
            )

    def _run(self) -> None:
        while self._wanted():
            try:
                with Attachment(self._path) as attachment:
                    self._follow(attachment)
            except CaptureError as error:
                self._say(str(error))
            with self._changed:
                self._attachment = None
                self._changed.wait_for(lambda: not self._viewers, RETRY_S)

    def _wanted(self) -> bool:
        with self._changed:
            self._running = self._viewers > 0
            return self._running

    def _follow(self, attachment: Attachment) -> None:
        with self._changed:
            if not self._viewers:
                return
            self._attachment = attachment
            self._told = _Told(attachment.hello)
            self._connection += 1
            self._problem = ""
        attachment.silent = lambda: self._say("nothing heard from the sensor for 5 s")
        for message in attachment.messages():
            self._take(message, attachment)
        if attachment.stopping:  # whoever comes now is told by the next connection
            self._say(WAITING)
            return
        ended = attachment.ended
        if ended is None:
            self._say("the sensor has gone without a word")
        else:
            self._say(f"the sensor has ended: {ended.problem}" if ended.problem else "the sensor has ended")

    def _take(self, message: Message, attachment: Attachment) -> None:
        record = self._record(message, attachment) if isinstance(message, NativeLine) else None
        with self._changed:
            self._problem = ""
            if isinstance(message, Progress):
                self._told.progress = message
                self._told.rates.update(message)
                self._bring_up_to_now(message.open_alerts)
            elif isinstance(message, LeftOut):
                self._told.left_out += message.lines
            elif isinstance(record, Alert):
                self._keep(record)
            elif isinstance(record, EventRecord | DriftRecord):
                self._told.notes = [*self._told.notes, printable(record.message, _LONGEST)][-NOTES_KEPT:]

    def _record(self, native: NativeLine, attachment: Attachment) -> object:
        try:
            return native.record()
        except UnreadableLineError as error:
            attachment.leave_out(error)
            return None

    def _keep(self, alert: Alert) -> None:
        alerts = self._told.alerts
        self._place += 1
        alerts[alert.id] = (self._place, alert)
        alerts.move_to_end(alert.id)
        if len(alerts) > ALERTS_KEPT:
            alerts.popitem(last=False)

    def _bring_up_to_now(self, open_alerts: Sequence[OpenAlert]) -> None:
        """Alerts that go on have the counts of now, between two of their lines."""
        for now in open_alerts:
            if now.id not in self._told.alerts:
                continue
            _, alert = self._told.alerts[now.id]
            standing = as_it_stands(alert, now)
            if standing is not alert:
                self._place += 1
                self._told.alerts[now.id] = (self._place, standing)

    def _say(self, problem: str) -> None:
        with self._changed:
            self._problem = printable(problem, _LONGEST)
