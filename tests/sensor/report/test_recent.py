"""`flowvigil report --since`: a page of the last hours, out of a sensor's own lines."""

import json
import os
import re
import time
from pathlib import Path

import pytest

from sensor.alerts.alert_record import alert_line
from sensor.alerts.kinds import timestamp
from sensor.report.recent import own_files
from sensor.settings.config import effective_config
from tests.support.alerts import an_alert
from tests.support.command import flowvigil

pytestmark = pytest.mark.ux


def recent(hours: float, **fields: object) -> bytes:
    moment = time.time_ns() - round(hours * 3.6e12)
    return alert_line(an_alert(time_ns=moment, start_ns=moment, end_ns=moment, **fields))


def account(hours: float, received: int, run: str | None = None) -> bytes:
    moment = timestamp(time.time_ns() - round(hours * 3.6e12))
    own = {"schema": "stats/1", "received": received, "metered": received, "undecoded": {"not IP": received // 10}}
    named = {} if run is None else {"agent": {"ephemeral_id": run}}
    return json.dumps({"@timestamp": moment, "observer": {"name": "gw"}, **named, "flowvigil": own}).encode() + b"\n"


def told(log: Path, since: str, *lines: bytes) -> str:
    """The page's text."""
    log.write_bytes(b"".join(lines))
    result = flowvigil("report", log, "--since", since, "-o", log.with_suffix(".html"))
    assert result.code == 0, result
    return text_of(log.with_suffix(".html"))


def text_of(page: Path) -> str:
    return re.sub(r"<[^>]+>", "", page.read_text(encoding="utf-8"))


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "alerts.jsonl"


def test_a_page_of_the_last_hours_tells_of_them_alone(log: Path) -> None:
    old, new = recent(30, id="OLD" + "A" * 23), recent(2, id="NEW" + "A" * 23)
    text = told(log, "24h", account(31, 400), old, account(25, 1000), account(23, 1500), new, account(1, 4000))
    assert "NEWAAA" in text
    assert "OLDAAA" not in text
    assert "Packets3,000" in text  # of the run that goes on, what it had counted a day ago is not counted again
    assert "Not decoded300" in text
    assert "Asked forthe last 24h" in text
    assert "--since 24h" in text


def test_a_run_that_began_within_the_last_hours_is_counted_whole(log: Path) -> None:
    text = told(log, "1d", account(25, 1000), account(23, 50), account(1, 1700))
    assert "Packets1,700" in text
    assert "No alert of the last 1d in 1,700 packets" in text


def test_runs_are_told_apart_by_their_names_and_lines_that_come_twice_count_once(log: Path) -> None:
    twice = [account(23, 100, "a"), account(22, 2000, "a")] * 2
    text = told(log, "24h", account(25, 30, "0"), *twice, account(21, 5000, "b"), account(1, 9000, "b"))
    assert "Packets11,000" in text
    assert "Runs of a sensor2" in text


def test_a_page_says_where_the_sensor_told_nothing_or_nothing_of_late(log: Path) -> None:
    assert "The sensor told nothing in the last 24h" in told(log, "24h", account(30, 400))
    late = "The latest line is of "
    earlier = told(log, "24h", account(5, 400))
    assert "No alert of the last 24h in 400 packets" in earlier
    assert late in earlier
    assert late not in told(log, "24h", account(1, 400))


def test_the_sensors_own_files_are_lines_whatever_they_begin_with(log: Path, tmp_path: Path) -> None:
    log.write_bytes(recent(2, id="NEW" + "A" * 23))
    (tmp_path / "alerts.jsonl.1").write_bytes(b"")
    (tmp_path / "alerts.jsonl.2").write_bytes(bytes(512) + b"\n" + recent(3, id="OLD" + "A" * 23))
    (tmp_path / "settings.yaml").write_text(f"output:\n  file: {log}\n")
    own = ("report", "--since", "24h", "-c", tmp_path / "settings.yaml", "-o", tmp_path / "x.html")
    assert flowvigil(*own).code == 6
    text = text_of(tmp_path / "x.html")
    assert "NEWAAA" in text
    assert "OLDAAA" in text
    for found in tmp_path.glob("alerts*"):
        found.unlink()
    nothing = flowvigil(*own)
    assert nothing.code == 6
    assert f"{log}: found no such file" in " ".join(nothing.stderr)


def test_rotated_files_are_known_by_every_name_that_logrotate_gives_them(log: Path, tmp_path: Path) -> None:
    ours = ["alerts.jsonl.1", "alerts.jsonl.2.gz", "alerts.jsonl-20261130", "alerts.jsonl-2026-11-30.zst",
            "alerts.jsonl-20261130-1764482400", "alerts-20261130.jsonl", "alerts-2026-11-30.jsonl.gz"]  # fmt: skip
    others = ["alerts-2.jsonl", "alerts.jsonl.part", "alerts.jsonl~", "my-alerts.jsonl.1", "alerts.jsonl.1.txt"]
    for number, name in enumerate([*ours, *others]):
        (tmp_path / name).touch()
        os.utime(tmp_path / name, (number + 1, number + 1))
    config = effective_config(overrides=[f"output.file={log}"]).config
    assert [path.name for path in own_files(config, 0)] == ours
