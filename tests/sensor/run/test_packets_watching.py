"""A watch that keeps packets of alerts: in the wall clock's time, told of in its accounts, not ended by its disk."""

import json
import os
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from flows.batch import FlowBatch
from flows.block import PacketBlock
from flows.meter import Meter
from sensor.alerts.alert import Alert, Observer
from sensor.alerts.alert_flow import AlertFlow, AlertItem
from sensor.alerts.alert_record import alert_line
from sensor.alerts.formats.schemas import schema_of
from sensor.metering.live import LiveTurns
from sensor.packets.directory import PacketDirectory
from sensor.packets.recorder import PacketRecorder
from sensor.packets.ring import PacketRing
from sensor.run.detection import KEEPING_S, Detection
from sensor.run.outlet import Outlet
from sensor.run.run import Run
from sensor.run.watching import Watching
from sensor.terminal.plain_screens import SilentScreen
from tests.support.alerts import an_alert
from tests.support.capture_bytes import read
from tests.support.packets import EPOCH_NS, block, tcp
from tests.support.scripted import SILENCE, ScriptedCapture

pytestmark = pytest.mark.ux

HOUR_NS = 3600 * 10**9
ALERT = "A" * 26


@dataclass
class Judge:
    """Raises one alert over all flows that it is given; it closes at the end."""

    flows: int = 0
    judged: int = 0
    spent_ns: int = 0
    merged: int = 0
    one_sided: int = 0
    context_evicted: int | None = None
    stores_evicted: dict[str, int] = field(default_factory=dict)
    bundle: str = "made"
    unjudged: dict[str, int] = field(default_factory=dict)

    def judge(self, records: FlowBatch, _dropped: int) -> list[AlertItem]:
        opened = [an_alert(id=ALERT)] if not self.judged and len(records) > 0 else []
        self.judged += len(records)
        flows = [
            AlertFlow(alert_id=ALERT, number=1, identity=identity, values=values, p_known=0, p_novel=0, label=None)
            for identity, values in zip(records.identity.tolist(), records.values, strict=True)
        ]
        return [*opened, *flows]

    def finish(self) -> list[Alert]:
        return [an_alert(id=ALERT, action="closed", sequence=2)] if self.judged else []


@dataclass
class Lines:
    """Keeps what is written."""

    written: list[dict[str, Any]] = field(default_factory=list)

    def write(self, lines: list[bytes]) -> None:
        self.written += [json.loads(line) for line in lines]

    def of(self, dataset: str) -> list[dict[str, Any]]:
        return [record for record in self.written if record["event"]["dataset"] == f"flowvigil.{dataset}"]


def watched(
    path: Path, turns: list[tuple[Callable[[], None], PacketBlock]], capture: ScriptedCapture
) -> tuple[Detection, Lines]:
    """Whoever judged in a watch, at its end, and what it told."""
    capture.turns = turns
    recorder = PacketRecorder(
        PacketRing(1 << 20), PacketDirectory(path, 1 << 30), Observer("gw1", "0"), interfaces=capture.interfaces,
        max_packets=1000, max_bytes=1 << 20,
    )  # fmt: skip
    lines = Lines()
    detection = Detection(Judge(), Outlet([lines]), recorder, keeping_s=KEEPING_S)  # type: ignore[arg-type, list-item]
    with open(os.devnull, "w") as nowhere:
        run = Run(
            LiveTurns(capture, Meter(1024, news_only=True), packets=recorder.ring),
            detection,
            SilentScreen(nowhere),
            [Watching(detection, Observer("gw1", "0"))],
        )
        run.run()
    return detection, lines


def nothing() -> None:
    """Nothing happens."""


def test_packets_have_the_wall_clocks_time_of_the_moment_they_came(tmp_path: Path) -> None:
    capture = ScriptedCapture([], now_ns=EPOCH_NS)

    def set_the_clock() -> None:
        capture.clock_step_ns = HOUR_NS

    before, after = (block([tcp("10.0.0.1:1", "10.0.0.2:80", "S", at=second)]) for second in (0, 1))
    detection, lines = watched(tmp_path, [(nothing, before), (set_the_clock, after)], capture)
    found, problem = read((tmp_path / f"{ALERT}.pcapng").read_bytes())
    assert problem is None
    assert [packet.ts_ns for packet in found] == [EPOCH_NS, EPOCH_NS + 10**9 + HOUR_NS]
    assert not detection.lost_packets
    assert {alert["flowvigil"]["packets_file"] for alert in lines.of("alert")} == {f"{ALERT}.pcapng"}


def test_accounts_tell_what_was_kept_and_records_keep_to_their_schemas(tmp_path: Path) -> None:
    turns = [(nothing, block([tcp("10.0.0.1:1", "10.0.0.2:80", "S", at=at)])) for at in (0, 200)] + [(nothing, SILENCE)]
    _, lines = watched(tmp_path, turns, ScriptedCapture([], now_ns=EPOCH_NS))
    kept = lines.of("stats")[-1]["flowvigil"]["packets_kept"]
    assert (kept["files"], kept["packets"], kept["lost"]) == (1, 2, 0)
    jsonschema.validate(lines.of("stats")[-1], schema_of("stats"))
    jsonschema.validate(lines.of("alert")[-1], schema_of("alert"))


def test_a_full_disk_is_told_once_and_the_watch_goes_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(_descriptor: int, _content: bytes) -> int:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "write", full)
    turns = [(nothing, block([tcp("10.0.0.1:1", "10.0.0.2:80", "S", at=at)])) for at in (0, 200, 400, 600)]
    detection, lines = watched(tmp_path, turns, ScriptedCapture([], now_ns=EPOCH_NS))
    (event,) = lines.of("sensor")
    assert event["event"]["action"] == "packets-lost"
    assert "no space left; the watch goes on" in event["flowvigil"]["message"]
    assert detection.lost_packets
    assert lines.of("stats")[-1]["flowvigil"]["packets_kept"]["lost"] == 4
    assert os.listdir(tmp_path) == []


def test_an_alert_without_a_file_has_no_such_field() -> None:
    assert b"packets_file" not in alert_line(an_alert())
