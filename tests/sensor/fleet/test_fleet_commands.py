"""Lines of several sensors in one place, as an operator asks about them: real runs, real files, a real rsyslog."""

import gzip
import json
import shutil
import subprocess
import time
from dataclasses import replace
from pathlib import Path

import pytest

from sensor.alerts.alert import Observer
from sensor.alerts.alert_record import alert_line
from sensor.alerts.kinds import timestamp
from sensor.alerts.line_files import with_directories
from sensor.alerts.sensor_records import SensorState, event_line, stats_line
from sensor.fleet.clocks import head_ns
from sensor.outputs.outputs import Outputs, prepared_outputs
from sensor.progress.progress import Progress
from sensor.settings.outputs import SyslogEntry
from tests.support.alerts import an_alert
from tests.support.command import DEMO, flowvigil
from tests.support.receivers import free_port, listening

SECOND_NS = 10**9
NOW_NS = 1_700_000_000 * SECOND_NS
FLEET = """sensors:
  - {name: gw1, site: berlin, group: canary}
  - {name: gw2, site: berlin}
"""
EXAMPLE = Path(__file__).resolve().parents[3] / "configs" / "examples" / "rsyslog-fleet.conf"


def accounts(name: str, now_ns: int = NOW_NS) -> list[bytes]:
    state = SensorState("site", "0" * 64, "a" * 64, {}, None)
    return [
        stats_line(Progress(received=1000 - ago), Observer(name, "0.1.0"), now_ns - ago * SECOND_NS, 10.0, state=state)
        for ago in (20, 10, 0)
    ]


@pytest.fixture(scope="module")
def fleet(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Runs of two sensors over the same packets, with the list of the fleet beside them."""
    directory = tmp_path_factory.mktemp("fleet")
    for name in ("gw1", "gw2"):
        (directory / "lines" / name).mkdir(parents=True)
        out = directory / "lines" / name / "alerts.jsonl"
        assert flowvigil("read", DEMO, "-q", "-o", out, "--set", f"sensor.name={name}").code == 0
    packed = directory / "lines" / "gw2" / "alerts.jsonl"
    packed.with_name("alerts.jsonl.1.gz").write_bytes(gzip.compress(packed.read_bytes()))
    packed.write_bytes(b"")
    (directory / "lines" / "notes.txt").write_text("no lines\n")
    (directory / "fleet.yaml").write_text(FLEET)
    return directory


def test_runs_bear_the_name_that_the_settings_give_them(fleet: Path) -> None:
    lines = (fleet / "lines" / "gw1" / "alerts.jsonl").read_bytes().splitlines()
    assert {json.loads(line)["observer"]["name"] for line in lines} == {"gw1"}


def test_an_attack_that_two_sensors_saw_counts_once_and_names_both(fleet: Path) -> None:
    counted = json.loads(flowvigil("alerts", "stats", "--json", fleet / "lines").stdout)
    assert (counted["alerts"], counted["sensor"]) == (8, {"gw1": 4, "gw2": 4})
    counted = json.loads(
        flowvigil("alerts", "stats", "--json", "--fleet", fleet / "fleet.yaml", fleet / "lines").stdout
    )
    assert (counted["alerts"], counted["told_twice"], counted["sensor"]) == (4, 4, {"gw1": 4, "gw2": 4})
    target = next(host for host in counted["hosts_of_several"] if host["address"] == "10.20.0.10")
    assert (target["site"], target["sensors"], target["suffered"]) == ("berlin", ["gw1", "gw2"], 8)
    found = flowvigil("alerts", "search", "", "--fleet", fleet / "fleet.yaml", fleet / "lines")
    told = [json.loads(line) for line in found.stdout.splitlines()]
    assert [[other["sensor"] for other in line["flowvigil"]["also_told_by"]] for line in told] == [["gw2"]] * 4
    words = flowvigil("alerts", "search", "", "--text", "--fleet", fleet / "fleet.yaml", fleet / "lines")
    assert words.stdout.count(b"also told by gw2") == 4


def test_alerts_of_one_sensor_are_found_by_its_name(fleet: Path) -> None:
    found = flowvigil("alerts", "search", "sensor:GW2", fleet / "lines")
    assert {json.loads(line)["observer"]["name"] for line in found.stdout.splitlines()} == {"gw2"}
    assert flowvigil("alerts", "search", "sensor:gw", fleet / "lines").code == 1


def test_an_id_that_two_sensors_gave_is_shown_of_each(fleet: Path) -> None:
    line = json.loads((fleet / "lines" / "gw1" / "alerts.jsonl").read_bytes().splitlines()[0])
    shown = flowvigil("alerts", "show", line["event"]["id"], fleet / "lines").stdout.decode()
    assert shown.count("told by gw1") == shown.count("told by gw2") == 1


def test_the_view_says_who_is_to_be_looked_at_by_its_exit_code(tmp_path: Path) -> None:
    (tmp_path / "fleet.yaml").write_text(FLEET)
    (tmp_path / "lines.jsonl").write_bytes(b"".join(accounts("gw1")))
    command = ("alerts", "sensors", "--fleet", tmp_path / "fleet.yaml", "--at", timestamp(NOW_NS))
    found = flowvigil(*command, tmp_path / "lines.jsonl")
    assert found.code == 11
    assert "1 of 2 sensors well, at 2023-11-14 22:13:20 UTC" in found.stdout.decode()
    assert "! unheard: none of these lines is its own" in found.stdout.decode()
    assert flowvigil(*command, "--group", "canary", tmp_path / "lines.jsonl").code == 0
    (tmp_path / "gw2.jsonl").write_bytes(b"".join(accounts("gw2")) + b"foreign\n")
    found = flowvigil(*command, "--json", tmp_path / "gw2.jsonl", tmp_path / "lines.jsonl")
    assert (found.code, [each["well"] for each in json.loads(found.stdout)["sensors"]]) == (6, [True, True])
    assert flowvigil(*command, "--group", "nosuch", tmp_path / "lines.jsonl").code == 2
    assert flowvigil("alerts", "sensors", "--at", "never", tmp_path / "lines.jsonl").code == 2
    assert (
        flowvigil("alerts", "sensors", "--json", "-").code == 11
    )  # a carrier that brings nothing is no fleet that is well


def test_lines_are_read_behind_the_heads_that_carriers_give_them() -> None:
    heads = (b"<134>1 2023-11-14T22:13:20Z gw1 flowvigil 7 alert - ", b"Nov 14 22:13:20 gw1 flowvigil: ", b"gw1\t", b"")
    lines = [
        head + line for head in heads for line in (*accounts("gw1"), event_line("x", "{", Observer("gw1", "0"), 1))
    ]
    found = flowvigil("alerts", "sensors", "--json", "--at", timestamp(NOW_NS), stdin=b"".join(lines))
    assert found.code == 0
    assert json.loads(found.stdout)["sensors"][0]["packets_per_second"] == 1.0


def test_a_directory_without_lines_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "notes.txt").write_text("x")
    found = flowvigil("alerts", "sensors", tmp_path)
    assert found.code == 6
    assert len(found.stderr) == 1


def test_a_line_of_a_name_without_end_costs_nothing_but_itself() -> None:
    line = accounts("gw1")[0].replace(b'"gw1"', b'"' + b"\\u001b[2J" * 7_000 + b'"')
    found = flowvigil("alerts", "sensors", "--at", timestamp(NOW_NS), stdin=line + accounts("x" * 64)[2])
    assert found.code == 0
    assert b"\x1b" not in found.stdout
    assert max(map(len, found.stdout.splitlines())) < 600


def test_rsyslog_keeps_the_lines_of_each_sensor_by_the_example(tmp_path: Path) -> None:
    if shutil.which("rsyslogd") is None:
        pytest.skip("needs rsyslogd")
    port, lines = free_port(), tmp_path / "sensors"
    text = EXAMPLE.read_text().replace("10514", str(port)).replace("/var/log/sensors", str(lines))
    (tmp_path / "rsyslog.conf").write_text(text.replace("/var/spool/rsyslog", str(tmp_path)))
    command = ["rsyslogd", "-n", "-f", f"{tmp_path}/rsyslog.conf", "-i", f"{tmp_path}/pid"]
    with (tmp_path / "log").open("wb") as log, subprocess.Popen(command, stdout=log, stderr=log) as daemon:
        try:
            deadline = time.monotonic() + 60
            while not listening(port):
                assert daemon.poll() is None, (tmp_path / "log").read_text()
                assert time.monotonic() < deadline
                time.sleep(0.02)
            for name in ("gw1", "gw2"):
                outputs = Outputs(prepared_outputs([SyslogEntry(type="syslog", host="127.0.0.1", port=port)], name))
                told = [*accounts(name), alert_line(replace(an_alert(), observer=Observer(name, "0.1.0")))]
                outputs.write(told)
                outputs.close(20)
                received = lines / name / "alerts.jsonl"
                while not received.exists() or received.read_bytes().count(b"\n") < len(told):
                    assert time.monotonic() < deadline, (tmp_path / "log").read_text()
                    time.sleep(0.05)
                came = [line.partition(b" ") for line in received.read_bytes().splitlines(keepends=True)]
                assert [line for _, _, line in came] == told
                assert {head_ns(moment + b" ") is not None for moment, _, _ in came} == {True}
        finally:
            daemon.terminate()
            daemon.wait(30)
    found = flowvigil("alerts", "sensors", "--json", lines)  # what was told in 2023 came at once: no clock is behind
    assert [each["clock_behind_s"] for each in json.loads(found.stdout)["sensors"]] == [None, None]


def test_a_clock_that_is_behind_and_lines_that_are_missing_are_told_on_screen_and_page(tmp_path: Path) -> None:
    def came(behind_s: int, name: str) -> list[bytes]:
        told = accounts(name, NOW_NS - behind_s * SECOND_NS)
        return [
            timestamp(NOW_NS - ago * SECOND_NS).encode() + b" " + line
            for ago, line in zip((20, 10, 0), told, strict=True)
        ]

    sensor = Observer("gw2", "0.1.0")
    lost = [alert_line(an_alert(observer=sensor, sequence=number, time_ns=NOW_NS)) for number in (7, 9, 9, 12)]
    (tmp_path / "lines.jsonl").write_bytes(b"".join(came(7200, "gw1") + came(0, "gw2") + came(0, "gw3") + lost))
    (tmp_path / "fleet.yaml").write_text(FLEET + "  - gw3\n")
    found = flowvigil("alerts", "sensors", "--at", timestamp(NOW_NS), tmp_path / "lines.jsonl")
    text = found.stdout.decode()
    assert (found.code, "1 of 3 sensors well" in text) == (11, True)
    assert "! clock-behind: its clock is behind by 2.0 h: its lines come in time" in text
    assert "! missing-lines: 3 lines of alerts of 6 did not come or lie elsewhere" in text
    assert "silent" not in text
    later = flowvigil(
        "alerts", "sensors", "--json", "--at", timestamp(NOW_NS + 60 * SECOND_NS), tmp_path / "lines.jsonl"
    )
    told = {each["sensor"]: each for each in json.loads(later.stdout)["sensors"]}
    assert [told["gw1"][name] for name in ("silent_s", "clock_behind_s")] == [60.0, 7200.0]
    assert told["gw2"]["alert_lines"] == {"expected": 6, "missing": 3, "repeated": 1}
    page = tmp_path / "fleet.html"
    made = ("report", "--fleet", tmp_path / "fleet.yaml", tmp_path / "lines.jsonl", "-q", "-o", page)
    assert flowvigil(*made).code == 0
    for words in ("its clock is behind by 2.0 h", "3 lines of alerts of 6 did not come"):
        assert page.read_text().count(words) == 1


def test_a_page_of_a_fleet_tells_sensors_and_hosts_and_each_attack_once(fleet: Path, tmp_path: Path) -> None:
    shutil.copytree(fleet / "lines", tmp_path / "lines")
    evil = b"".join(accounts("gw1")).replace(b'"site"', b'"<script>"').replace(b'"name":"gw1"', b'"name":"<b>gw3"')
    (tmp_path / "lines" / "gw1" / "stats.jsonl").write_bytes(b"".join(accounts("gw1")) + evil)
    (tmp_path / "fleet.yaml").write_text(FLEET)
    made = ("report", "--fleet", tmp_path / "fleet.yaml", tmp_path / "lines", "-q", "-o")
    assert flowvigil(*made, tmp_path / "fleet.html").code == 0
    page = (tmp_path / "fleet.html").read_text()
    assert page.count('<article class="alert') == 4
    assert page.count("<dt>Also told by</dt><dd>gw2</dd>") == 4
    assert "4 alerts of other sensors tell of the same attacks" in page
    assert "<caption>Sensors, those to look at first</caption>" in page
    assert "10.20.0.10 at berlin" in page
    assert "<script" not in page
    assert "<b>" not in page
    assert "&lt;b&gt;gw3" in page
    assert "--fleet" in page  # the line that makes it again
    assert flowvigil(*made, tmp_path / "again.html").code == 0
    assert (tmp_path / "again.html").read_bytes() == page.encode()
    assert flowvigil("report", DEMO, "--fleet", tmp_path / "fleet.yaml", "-o", tmp_path / "x.html").code == 2


def test_a_page_takes_lines_behind_their_heads_and_passes_over_what_cannot_be_read(tmp_path: Path) -> None:
    lines = tmp_path / "lines"
    lines.mkdir()
    headed = b"".join(b"2023-11-14T22:13:20Z " + line for line in (*accounts("gw1"), alert_line(an_alert())))
    (lines / "gw1.log-20231114.gz").write_bytes(gzip.compress(headed))
    (lines / "gw1.log").write_bytes(b"")
    (tmp_path / "fleet.yaml").write_text(FLEET)
    made = ("report", "--fleet", tmp_path / "fleet.yaml", "-q", "-o", tmp_path / "fleet.html")
    assert flowvigil(*made, lines).code == 0
    assert (tmp_path / "fleet.html").read_text().count('<article class="alert') == 1
    assert flowvigil(*made, "-", stdin=headed).code == 0
    assert (tmp_path / "fleet.html").read_text().count('<article class="alert') == 1
    (lines / "gw2.log").write_bytes(b"PAR1" + bytes(99))
    found = flowvigil(*made, lines)
    assert (found.code, "gw2.log: found " in found.stderr[0]) == (6, True)
    assert (tmp_path / "fleet.html").read_text().count('<article class="alert') == 1


def test_files_of_one_log_are_read_the_oldest_first(tmp_path: Path) -> None:
    names = ["a.jsonl.10.gz", "a.jsonl.2.gz", "a.jsonl.1", "a.jsonl", "b.log-20261129.zst", "b.log-20261130", "b.log",
             "c.log-2026-11-29-17.gz", "c.log-2026-11-30-04", "c.log"]  # fmt: skip
    for name in (*sorted(names), "notes.txt", "a.jsonl.part"):
        (tmp_path / name).write_bytes(b"")
    assert with_directories([str(tmp_path), "-", "x"]) == [*(str(tmp_path / name) for name in names), "-", "x"]
    named = ["x/a.log", "b.jsonl", "a.log", "x/a.log.2.gz", "-", "a.log.1", "x/a.log.1", "x/a.log"]
    assert with_directories(named) == [
        "x/a.log.2.gz", "b.jsonl", "a.log.1", "x/a.log.1", "-", "a.log", "x/a.log", "x/a.log"
    ]  # fmt: skip
