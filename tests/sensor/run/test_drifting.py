"""Drift in a run: told in the wall clock's time, on every output and on the screen, and read back."""

import gzip
import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from flows.batch import empty_batch
from flows.meter import MeterStats
from sensor.alerts.drift_record import DriftRecord, Measure, drift_line, drift_of
from sensor.alerts.formats.schemas import schema_of
from sensor.alerts.reading import UnreadableLineError, native_line
from sensor.metering.turns import END_NS, CaptureTotals, Turn
from sensor.run.drifting import Drifting
from sensor.sources.capture import CaptureStatistics
from tests.support.command import DEMO, flowvigil
from tests.support.native import NOW_NS, OBSERVER, a_drift_line

pytestmark = pytest.mark.takes(12)

DAY_S = 86_400
RECORD = DriftRecord(
    NOW_NS,
    OBSERVER,
    "columns-changed",
    "begun",
    NOW_NS - 1000,
    5,
    1,
    (Measure("a", 1.5, float("nan")),),
    "m",
    "changed",
)


@dataclass
class Told:
    """Stands for drift, outlet, screen and run: keeps what each is told."""

    records: list[DriftRecord] = field(default_factory=lambda: [RECORD])
    until: list[int] = field(default_factory=list)
    lines: list[bytes] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    capture: str | None = None

    def advance(self, until_ns: int) -> list[DriftRecord]:
        self.until.append(until_ns)
        return self.records

    def write(self, lines: Sequence[bytes]) -> None:
        self.lines += lines

    def note(self, message: str) -> None:
        self.notes.append(message)

    @property
    def outlet(self) -> "Told":
        return self

    screen = outlet


def turn(until_ns: int, step_ns: int = 0) -> Turn:
    totals = CaptureTotals(CaptureStatistics(), MeterStats(), clock_step_ns=step_ns)
    return Turn(empty_batch(), until_ns, totals)


def after(*turns: Turn) -> Told:
    told: Any = Told()
    for each in turns:
        Drifting(told, told).after(each, told)
    found: Told = told
    return found


def test_a_record_is_a_line_and_a_note_in_the_time_of_the_clock_as_it_was_set() -> None:
    told = after(turn(7, step_ns=5_000_000))
    moved = replace(RECORD, time_ns=NOW_NS + 5_000_000, start_ns=NOW_NS - 1000 + 5_000_000)
    assert told.lines == [drift_line(moved)]
    assert (told.notes, told.until) == (["changed"], [7])


def test_the_end_of_a_run_is_not_taken_for_days_without_traffic() -> None:
    assert after(turn(END_NS)).until == [0]


def test_a_record_is_read_back_and_a_wrong_one_is_refused_by_the_fields_name() -> None:
    read = native_line(a_drift_line()).record()
    assert isinstance(read, DriftRecord)
    assert drift_line(read) == a_drift_line()
    document = json.loads(a_drift_line())
    document["flowvigil"]["drift"]["flows"] = "many"
    with pytest.raises(ValueError, match=r"^flowvigil\.drift\.flows: found"):
        drift_of(document)
    with pytest.raises(UnreadableLineError, match="a record of drift with a field that does not fit"):
        native_line(json.dumps(document).encode()).record()


def demo_days(path: Path, days: int) -> None:
    """The demo's packets, once a day."""
    raw = gzip.decompress(DEMO.read_bytes())
    packets, at = [], 24
    while at < len(raw):
        second, fraction, captured = struct.unpack_from("<III", raw, at)
        packets.append((second, fraction, raw[at + 8 : at + 16 + captured]))
        at += 16 + captured
    with path.open("wb") as file:
        file.write(raw[:24])
        for day in range(days):
            for second, fraction, rest in packets:
                file.write(struct.pack("<II", second + day * DAY_S, fraction) + rest)


@pytest.mark.real_start
def test_a_capture_of_days_is_told_of_where_it_is_asked_for_and_the_report_has_it(tmp_path: Path) -> None:
    demo_days(tmp_path / "days.pcap", 5)
    lines = tmp_path / "lines.jsonl"
    settings = ("--set", "drift.runs=all", "--set", "drift.alerts_per_day=1")
    run = flowvigil("read", tmp_path / "days.pcap", *settings, "-o", lines)
    documents = [json.loads(line) for line in lines.read_bytes().splitlines()]
    drift = [document for document in documents if document["event"]["dataset"] == "flowvigil.drift"]
    assert [(document["event"]["action"], document["flowvigil"]["drift"]["state"]) for document in drift] == [
        ("network-unknown", "begun"),
        ("alerts-more", "begun"),
    ]
    for document in drift:
        jsonschema.Draft202012Validator(schema_of("drift")).validate(document)
    assert any("not the network that the bundle default knows" in line for line in run.stderr)
    assert "drift: network-unknown, alerts-more, " in run.stderr[-1]
    page = tmp_path / "page.html"
    assert flowvigil("report", lines, "-o", page).code == 0
    assert "network-unknown begun" in page.read_text()
    plain = flowvigil("read", tmp_path / "days.pcap")
    assert not [line for line in plain.stdout.splitlines() if b"flowvigil.drift" in line]
    assert "drift" not in plain.stderr[-1]
