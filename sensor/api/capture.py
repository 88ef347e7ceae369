"""Reads an uploaded capture in memory and finds in it what `read` does: alerts, the flows under them, and the accounts.

It takes the same way: meter, judge, episodes and the site's notes. Bounded are what it unpacks into, packets, CPU time,
and what is kept of its findings.
"""

import io
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import TYPE_CHECKING, Any, Final

import orjson

from flows.compression import COMPRESSED
from flows.magics import CAPTURE_MAGICS
from flows.meter import Meter
from models.fusion import Hybrid
from sensor.alerts.alert import Observer
from sensor.alerts.flow_record import FlowRecords
from sensor.api.budget import TimeBudget
from sensor.api.problems import Problem
from sensor.errors import ConfigError, InputError, ModelError
from sensor.geoip.databases import GeoDatabases
from sensor.judging.judge import Judge
from sensor.metering.captures import CaptureTurns
from sensor.metering.names import Names
from sensor.metering.turns import Turn
from sensor.progress.progress import Progress
from sensor.report.coverage import Coverage, HostCensus, coverage_of
from sensor.report.digest import Digest
from sensor.report.folding import Folding
from sensor.run.detection import Detection
from sensor.run.outlet import Outlet
from sensor.run.run import Run
from sensor.site.notes import SiteNotes
from sensor.sources.captures.files import CaptureFile
from sensor.sources.captures.stream import CaptureStream

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

MAX_UNPACKED_BYTES: Final = 256 << 20
MAX_PACKETS: Final = 2_000_000  # a small file may unpack into a large one
FLOWS_SHOWN: Final = 10  # under an alert, the first of them
FLOWS_KEPT: Final = 20_000  # under all alerts of a capture
_ALERT_MARK: Final = b'"kind":"alert"'

Flow = dict[str, Any]  # a record of a flow (sensor.alerts.flow_record.FLOW)


@dataclass(frozen=True, slots=True)
class CaptureFindings:
    """What a capture has."""

    digest: Digest  # its alerts, as their last lines tell them
    flows: "Mapping[str, Sequence[Flow]]"  # the first FLOWS_SHOWN under an alert, by the alert's id
    coverage: Coverage  # the account of every packet
    observer: Observer  # who looked
    problems: tuple[str, ...]  # lines on what could not be read, or was not
    left_out: tuple[str, ...]  # lines on what was found and is not shown


@dataclass(frozen=True, slots=True)
class CaptureReader:
    """Reads captures; may be used by several threads."""

    new_meter: Callable[[], Meter]  # creates the meter of one capture
    # Creates the judge of one capture; its episodes hand FLOWS_SHOWN flows on with an alert.
    new_judge: Callable[[Hybrid], Judge]
    observer: Observer  # who looks
    notes: SiteNotes | None = None  # of the site
    expression: str | None = None  # a capture filter
    geo: GeoDatabases | None = None  # where addresses of alerts belong
    new_names: Callable[[], Names | None] = lambda: None  # creates what keeps names of one capture

    def read(self, content: bytes, name: str, hybrid: Hybrid, budget: TimeBudget) -> CaptureFindings:
        """What is found in a capture, as far as it can be read.

        hybrid: a model without state, for this alone. Raises Problem: 422 where it is no capture or has no packet, 413
        where it takes too long or unpacks into too much.
        """

        def check(unpacked_bytes: int) -> None:
            budget.check()
            if unpacked_bytes > MAX_UNPACKED_BYTES:
                detail = f"{name} unpacks into more than {MAX_UNPACKED_BYTES >> 20} MB, expected a smaller capture"
                raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail)

        try:
            with closing(CaptureFile(_MemoryFile(content, budget), name, len(content), check=check)) as capture:
                return self._find(CaptureStream((), self.expression, capture), name, hybrid, budget)
        except (InputError, ConfigError, ModelError) as error:
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, str(error)) from None

    def _find(self, stream: CaptureStream, name: str, hybrid: Hybrid, budget: TimeBudget) -> CaptureFindings:
        digest, census, bounds, flows = Digest(), HostCensus(), _Bounds(budget), _FlowsOfAlerts()
        outlet = Outlet([flows], flow_records=FlowRecords(self.observer, FLOWS_SHOWN))
        detection = Detection(
            self.new_judge(hybrid),
            outlet,
            notes=self.notes,
            geo=self.geo,
            names=self.new_names(),
            may_judge=budget.check,
        )
        run = Run(CaptureTurns(stream, self.new_meter()), detection, Folding(digest, []), [census, bounds])
        run.run()
        problems = (*run.problems, *bounds.problems(run.progress))
        left_out = (*flows.problems(), *_not_kept(digest))
        if not run.progress.received:
            raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "; ".join((f"{name}: no packet in this capture", *problems)))
        coverage = coverage_of(run.progress, census)
        return CaptureFindings(digest, flows.by_alert, coverage, self.observer, problems, left_out)


def _not_kept(digest: Digest) -> list[str]:
    return [f"{digest.not_kept:,} alert lines were too many to keep"] if digest.not_kept else []


@dataclass(slots=True)
class _Bounds:
    """The hook (sensor.run.run.Hook) that holds a run to what one request may take."""

    budget: TimeBudget
    _reached: bool = False

    def begin(self, run: Run) -> None:
        """Nothing yet."""

    def before(self, turn: Turn, run: Run) -> None:
        """Nothing yet."""

    def after(self, _turn: Turn, run: Run) -> None:
        """Raise Problem 413 where the time is used up; end reading after MAX_PACKETS."""
        self.budget.check()
        if run.progress.received >= MAX_PACKETS and not self._reached:
            self._reached = True
            run.turns.stop()

    def end(self, run: Run) -> None:
        """Nothing more."""

    def problems(self, progress: Progress) -> list[str]:
        """A line where reading ended before the capture did."""
        return [f"only the first {progress.received:,} packets were read"] if self._reached else []


@dataclass(slots=True)
class _FlowsOfAlerts:
    """Who takes lines of a run (sensor.run.outlet.LineTaker) and keeps the flows among them."""

    by_alert: dict[str, list[Flow]] = field(default_factory=dict)
    _kept: int = 0
    _left_out: int = 0

    def write(self, lines: "Iterable[bytes]") -> None:
        """Keep flows, FLOWS_KEPT in all."""
        for line in lines:
            if _ALERT_MARK in line:
                continue
            if self._kept == FLOWS_KEPT:
                self._left_out += 1
                continue
            self._kept += 1
            flow = orjson.loads(line)
            self.by_alert.setdefault(flow["flowvigil"]["alert"]["id"], []).append(flow)

    def problems(self) -> list[str]:
        """A line where flows were left out."""
        return [f"{self._left_out:,} more flows of alerts are not shown"] if self._left_out else []


class _MemoryFile(io.RawIOBase):
    """Bytes as an unbuffered binary file, each read of which is held to the time budget: packing may hold nothing."""

    def __init__(self, content: bytes, budget: TimeBudget) -> None:
        super().__init__()
        self._stream = io.BytesIO(content)
        self._budget = budget

    def readinto(self, view: memoryview, /) -> int:  # type: ignore[override] # it is only called with views
        self._budget.check()
        return self._stream.readinto(view)


def is_capture(content: bytes) -> bool:
    """Whether bytes begin with the magic number of a capture (pcap, pcapng) or of a compressed file."""
    return content[:4] in CAPTURE_MAGICS or content.startswith(COMPRESSED)
