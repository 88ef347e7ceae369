"""The files of the service: as systemd, logrotate and the sensor itself read them."""

import gzip
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from fnmatch import fnmatch
from pathlib import Path

import pytest
import typer.main

from sensor.alerts.alert_record import alert_line
from sensor.cli import app
from sensor.errors import CAPTURE, CONFIG, INTERNAL, MODEL, OUTPUT, USAGE
from sensor.outputs.outputs import Outputs, prepared_outputs
from sensor.settings.config import effective_config
from sensor.settings.outputs import OwnFile
from tests.support.alerts import an_alert

CONFIGS = Path(__file__).resolve().parents[3] / "configs"
SERVICE, ROTATION, GATEWAY = CONFIGS / "flowvigil.service", CONFIGS / "flowvigil.logrotate", CONFIGS / "gateway.yaml"
DROP_IN = CONFIGS / "examples" / "flowvigil-outputs.conf"
REPORT, TIMER = CONFIGS / "flowvigil-report.service", CONFIGS / "flowvigil-report.timer"
LOGS, SETTINGS = Path("/var/log"), "/etc/flowvigil/flowvigil.yaml"
EXPOSURE = 20  # in tenths
HOUR_NS = 3600 * 10**9
# Stands for systemctl: keeps what it was asked for, and knows whether the service runs.
MANAGER = """#!/bin/sh
echo "$@" >> {calls}
case "$*" in *is-active*) exit {inactive};; esac
"""

analyzed = pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="needs systemd-analyze")
rotated = pytest.mark.skipif(shutil.which("logrotate") is None, reason="needs logrotate")


def settings(name: str) -> list[str]:
    """Values of a setting of the service, in their order."""
    return re.findall(rf"^{name}=(.*)$", SERVICE.read_text(), re.MULTILINE)


def setting(name: str) -> str:
    (value,) = settings(name)
    return value


def run(*arguments: str | Path, path: Path | None = None) -> "subprocess.CompletedProcess[str]":
    """Run a program to its end. path: a directory whose programs go over the system's."""
    environment = os.environ if path is None else os.environ | {"PATH": f"{path}:{os.environ['PATH']}"}
    return subprocess.run(
        [*map(str, arguments)], capture_output=True, text=True, check=False, timeout=30, env=environment
    )


@pytest.fixture
def startable(tmp_path: Path) -> Path:
    """The service with a program that this machine has."""
    command = setting("ExecStart")
    service = tmp_path / SERVICE.name
    service.write_text(SERVICE.read_text().replace(command.split()[0], shutil.which("true") or sys.executable))
    return service


@analyzed
def test_the_service_manager_finds_nothing_wrong_with_the_service_and_its_drop_in(
    startable: Path, tmp_path: Path
) -> None:
    (tmp_path / f"{SERVICE.name}.d").mkdir()
    shutil.copy(DROP_IN, tmp_path / f"{SERVICE.name}.d" / "outputs.conf")
    verified = run("systemd-analyze", "verify", "--man=no", startable)
    # of other services of this machine it may find what it likes
    assert [line for line in verified.stderr.splitlines() if SERVICE.name in line] == []
    assert verified.returncode == 0, verified


@analyzed
def test_the_service_is_exposed_no_more_than_it_has_to_be(startable: Path) -> None:
    if "--offline" not in run("systemd-analyze", "--help").stdout:
        pytest.skip("needs systemd-analyze that looks at files")
    judged = run("systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE}", "--no-pager", startable)
    assert judged.returncode == 0, judged.stdout.splitlines()[-1:] + judged.stderr.splitlines()


def test_what_the_service_starts_is_what_the_command_line_takes() -> None:
    (options,) = re.findall(r'^Environment="FLOWVIGIL_OPTIONS=(.*)"$', SERVICE.read_text(), re.MULTILINE)
    program, command, *arguments = shlex.split(setting("ExecStart").replace("$FLOWVIGIL_OPTIONS", options))
    assert Path(program).name == "flowvigil"
    group = typer.main.get_command(app)
    with group.make_context("flowvigil", [command, *arguments]) as context:
        watch = group.get_command(context, command)  # type: ignore[attr-defined]  # typer types a group as a command
        parsed = watch.make_context(command, arguments, parent=context).params
    assert parsed["interfaces"] == ["eth0"]
    assert parsed["config"] == Path(SETTINGS)


@analyzed
def test_the_service_manager_finds_nothing_wrong_with_the_daily_page_and_its_timer(tmp_path: Path) -> None:
    shutil.copy(TIMER, tmp_path)
    service = tmp_path / REPORT.name
    service.write_text(REPORT.read_text())
    verified = run("systemd-analyze", "verify", "--man=no", tmp_path / TIMER.name, service)
    assert [line for line in verified.stderr.splitlines() if "flowvigil-report" in line] == []
    if "--offline" in run("systemd-analyze", "--help").stdout:
        judged = run("systemd-analyze", "security", "--offline=true", f"--threshold={EXPOSURE}", "--no-pager", service)
        assert judged.returncode == 0, judged.stdout.splitlines()[-1:] + judged.stderr.splitlines()


def test_the_daily_page_is_made_by_its_service_from_todays_and_rotated_alerts(tmp_path: Path) -> None:
    now = time.time_ns()
    logs, pages = tmp_path / "logs", tmp_path / "flowvigil-reports"
    logs.mkdir()
    pages.mkdir()
    told = {"alerts.jsonl": 1, "alerts.jsonl.1": 20, "alerts.jsonl.2": 30, "alerts.jsonl.3": 60}  # hours ago
    for name, hours in told.items():
        moment = now - hours * HOUR_NS
        (logs / name).write_bytes(
            alert_line(an_alert(id=f"H{hours:025}", time_ns=moment, start_ns=moment, end_ns=moment))
        )
        os.utime(logs / name, ns=(moment, moment))
    (tmp_path / "settings.yaml").write_text(f"output:\n  file: {logs / 'alerts.jsonl'}\n")
    make, _, look = commands_of_the_page(tmp_path)
    made = run(*make)
    assert (made.returncode, made.stdout, made.stderr) == (0, "", "")
    (page,) = pages.iterdir()
    assert re.fullmatch(r"\d{4}-\d\d-\d\d\.html", page.name)
    assert told_in(page, told) == {1: True, 20: True, 30: False, 60: False}
    assert run(*look).returncode == 0
    earlier = page.with_name("2026-01-01.html")
    earlier.touch()
    for old, hours in ((page, 3), (earlier, 31)):
        os.utime(old, ns=(now - hours * HOUR_NS, now - hours * HOUR_NS))
    assert run(*look).returncode != 0  # no page was made
    assert run(*make).returncode == 0
    assert told_in(page, told) == {1: True, 20: True, 30: True, 60: False}


def commands_of_the_page(directory: Path) -> list[list[str]]:
    """What the service of the page starts, with the places of this machine."""
    program = Path(sys.executable).with_name("flowvigil")
    here = {"/opt/flowvigil/bin/flowvigil": program, SETTINGS: directory / "settings.yaml", "%S": directory, "%%": "%",
            "$$": "$"}  # fmt: skip
    text = REPORT.read_text()
    for found, instead in here.items():
        assert found in text
        text = text.replace(found, str(instead))
    return [shlex.split(command) for command in re.findall(r"^ExecStart(?:Post)?=(.*)$", text, re.MULTILINE)]


def told_in(page: Path, told: dict[str, int]) -> dict[int, bool]:
    """Which of the alerts, by their hours, a page tells."""
    return {hours: f"H{hours:025}" in page.read_text() for hours in told.values()}


def test_the_page_of_the_day_is_read_and_kept_where_its_service_may() -> None:
    text = REPORT.read_text()
    values = dict(re.findall(r"^(\w+)=(.*)$", text, re.MULTILINE))
    assert values["User"] == SERVICE.stem  # what a dynamic user of that service is called
    assert values["LogsDirectory"] == setting("LogsDirectory")
    assert f"%S/{values['StateDirectory']}/" in values["ExecStart"]
    assert f"%S/{values['StateDirectory']}/" in values["ExecStartPost"]
    assert "FixedRandomDelay=yes" in TIMER.read_text()  # else days are shorter or longer


def test_only_what_gets_better_by_itself_is_tried_again() -> None:
    never = {int(code) for code in setting("RestartPreventExitStatus").split()}
    assert never == {USAGE, CONFIG, MODEL}
    assert not never & {INTERNAL, CAPTURE, OUTPUT}


def test_spools_of_the_examples_are_where_the_service_may_write() -> None:
    spools = re.findall(r"^ +spool: (.*)$", (CONFIGS / "examples" / "outputs.yaml").read_text(), re.MULTILINE)
    assert {Path(spool).parent for spool in spools} == {Path("/var/lib") / setting("StateDirectory")}


def test_errors_of_the_service_reach_the_journal_though_its_alerts_do_not() -> None:
    assert setting("StandardOutput") == "null"
    assert setting("StandardError") == "journal"  # unset it goes where the output goes


def test_the_gateways_settings_hold_and_keep_alerts_where_the_service_may_write_and_rotation_finds_them() -> None:
    config = effective_config(GATEWAY).config
    file = config.output.file
    assert file is not None
    assert file.parent == LOGS / setting("LogsDirectory")
    assert config.attach.socket == Path("/run") / setting("RuntimeDirectory") / "attach.sock"
    (patterns,) = re.findall(r"^(/.+) \{$", ROTATION.read_text(), re.MULTILINE)
    (eve,) = re.findall(r"^ +path: (.*/eve.json)$", (CONFIGS / "examples" / "outputs.yaml").read_text(), re.MULTILINE)
    for written in (str(file), eve):
        assert any(fnmatch(written, pattern) for pattern in patterns.split()), written


def test_metrics_are_served_from_an_address_that_the_service_may_use() -> None:
    assert effective_config(GATEWAY).config.stats.metrics_port is not None
    assert "AF_INET" in setting("RestrictAddressFamilies").split()
    assert setting("IPAddressAllow") == "localhost"


@rotated
def test_logrotate_finds_nothing_wrong_with_the_rotation(tmp_path: Path) -> None:
    tried = run("logrotate", "--debug", "--state", tmp_path / "state", copied(tmp_path, ROTATION.read_text()))
    assert tried.returncode == 0, tried
    assert [line for line in tried.stderr.splitlines() if line.startswith("error")] == []


def copied(directory: Path, content: str) -> Path:
    """A configuration as logrotate demands it: nobody else may write to it."""
    rotation = directory / "rotation"
    rotation.write_text(content)
    rotation.chmod(0o644)
    return rotation


def rotate(directory: Path, *, inactive: int = 0) -> list[str]:
    """Rotate a directory of our own as if a day had gone; what systemctl was asked for."""
    logs, calls = directory / "logs", directory / "calls"
    content = ROTATION.read_text()
    assert str(LOGS / "flowvigil") in content
    rotation = copied(directory, content.replace(str(LOGS / "flowvigil"), str(logs)))
    programs = directory / "programs"
    programs.mkdir(exist_ok=True)
    manager = programs / "systemctl"
    manager.write_text(MANAGER.format(calls=calls, inactive=inactive))
    manager.chmod(0o755)
    calls.write_text("")
    done = run("logrotate", "--force", "--state", directory / "state", rotation, path=programs)
    assert (done.returncode, done.stderr) == (0, "")
    return calls.read_text().splitlines()


def wait_for(file: Path, told: bytes) -> None:
    """Wait until a file ends with a line."""
    deadline = time.monotonic() + 20
    while not file.read_bytes().endswith(told):
        assert time.monotonic() < deadline
        time.sleep(0.01)


@rotated
def test_rotation_tells_the_running_service_and_loses_no_line(tmp_path: Path) -> None:
    logs = tmp_path / "logs"
    logs.mkdir(mode=0o750)
    file = logs / "alerts.jsonl"
    with Outputs(prepared_outputs([OwnFile(path=file)], "gw1")) as outputs:
        outputs.write([b"before\n"])
        wait_for(file, b"before\n")  # an empty file is not rotated
        for day in (b"1", b"2"):
            assert rotate(tmp_path) == [
                f"--quiet is-active {SERVICE.name}",
                f"reload {SERVICE.name}",
            ]
            assert not file.exists()  # else it would be root's
            told = b"before the news of rotation " + day + b"\n"
            outputs.write([told])
            wait_for(logs / "alerts.jsonl.1", told)
            outputs.reopen(file)
            outputs.write([b"after rotation " + day + b"\n"])
            wait_for(file, b"after rotation " + day + b"\n")
    assert sorted(path.name for path in logs.iterdir()) == ["alerts.jsonl", "alerts.jsonl.1", "alerts.jsonl.2.gz"]
    whole = gzip.decompress((logs / "alerts.jsonl.2.gz").read_bytes())
    whole += (logs / "alerts.jsonl.1").read_bytes() + file.read_bytes()
    assert whole.splitlines() == [
        b"before",
        b"before the news of rotation 1",
        b"after rotation 1",
        b"before the news of rotation 2",
        b"after rotation 2",
    ]


@rotated
def test_rotation_leaves_a_service_alone_that_does_not_run(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir(mode=0o750)
    (tmp_path / "logs" / "alerts.jsonl").write_text("kept\n")
    assert rotate(tmp_path, inactive=3) == [f"--quiet is-active {SERVICE.name}"]
    assert (tmp_path / "logs" / "alerts.jsonl.1").read_text() == "kept\n"


@rotated
def test_rotation_of_nothing_is_no_error(tmp_path: Path) -> None:
    (tmp_path / "logs").mkdir(mode=0o750)
    assert rotate(tmp_path) == []
