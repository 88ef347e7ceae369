"""`flowvigil watch --flows`: the log is the process user's own, and judged again gives what the watch found."""

import os
import pwd
import signal
import socket
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from sensor.alerts.alert import Alert
from sensor.alerts.alert_record import alert_line
from sensor.cli.build import build_judge, load_model
from sensor.flow_log.reading import FlowLog
from sensor.settings.config import Config
from tests.support.command import flowvigil
from tests.support.namespaces import SERVER, inside
from tests.support.sensors import watching

pytestmark = [pytest.mark.live, pytest.mark.ux]

NOBODY = pwd.getpwnam("nobody").pw_uid


@pytest.fixture
def open_path() -> Iterator[Path]:
    """A directory that another user may look into, unlike those of pytest."""
    with tempfile.TemporaryDirectory() as directory:
        Path(directory).chmod(0o755)
        yield Path(directory)


def scan(namespace: str, ports: range) -> None:
    with inside(namespace):
        for port in ports:
            with socket.socket() as knocking:
                knocking.settimeout(0.2)
                knocking.connect_ex((SERVER, port))


def judged_again(directory: Path) -> list[bytes]:
    """Lines of the alerts that the log gives rise to."""
    config = Config()
    judge, items = build_judge(config, load_model(config)), []
    for part in FlowLog([directory]).judged():
        assert part.clock_step_ns == 0
        items += judge.judge(part.records, part.dropped)
    return [alert_line(item) for item in [*items, *judge.finish()] if isinstance(item, Alert)]


@pytest.mark.real_start  # modules that are loaded late may not be readable any more
@pytest.mark.parametrize("workers", ["1", "2"])
def test_the_log_belongs_to_the_process_user_and_has_all_that_was_judged(
    cable: tuple[str, str], open_path: Path, workers: str
) -> None:
    left, right = cable
    log = open_path / "log"
    options = "--flows", str(log), "--set", "process.user=nobody", "--set", f"capture.workers={workers}"
    with watching(right, open_path, *options, write=False, SUDO_UID="", SUDO_GID="") as watch:
        scan(left, range(1000, 1300))
        watch.wait_for("alert", 30, action="opened")
        watch.tell(signal.SIGHUP)
        watch.wait_for("sensor", 10, action="reloaded")
        deadline = time.monotonic() + 20
        while not list(log.glob("flows-*")):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        scan(left, range(2000, 2100))
        result = watch.stop()
    assert result.code == 0, result
    files = sorted(log.iterdir())
    assert len(files) == 2
    assert {(path.stat().st_uid, path.stat().st_mode & 0o777) for path in files} == {(NOBODY, 0o640)}
    assert log.stat().st_uid == NOBODY
    account = watch.records("stats")[-1]["flowvigil"]
    logged = account["flow_log"]
    assert (logged["files"], logged["lost"], logged["waiting"]) == (2, 0, 0)
    assert logged["records"] == sum(len(batch) for batch in FlowLog([log]).batches())
    assert account["flows"] >= 400
    told = [line + b"\n" for line in watch.told().splitlines() if b'"kind":"alert"' in line]
    assert judged_again(log) == told
    assert any("flow log: " in line for line in result.stderr)


def test_a_watch_that_is_killed_leaves_a_log_that_reads(cable: tuple[str, str], open_path: Path) -> None:
    left, right = cable
    log = open_path / "log"
    with watching(right, open_path, "--flows", str(log), "--set", "flow_log.file_s=1", write=False) as watch:
        scan(left, range(1000, 1100))
        deadline = time.monotonic() + 30
        while not list(log.glob("flows-*")):
            assert time.monotonic() < deadline
            time.sleep(0.02)
        scan(left, range(2000, 2100))
        watch.tell(signal.SIGKILL)
        watch.process.communicate()
    found = FlowLog([log])
    assert sum(len(batch) for batch in found.batches()) > 0
    assert not found.problems


def test_a_directory_that_the_process_user_may_not_write_ends_the_watch_at_its_start(
    cable: tuple[str, str], open_path: Path
) -> None:
    (open_path / "log").mkdir(mode=0o755)  # root's
    options = "--flows", str(open_path / "log"), "--set", "process.user=nobody"
    result = flowvigil("watch", "-i", "fv1", *options, namespace=cable[1])
    assert result.code == 7
    assert "flows cannot be kept in" in result.stderr[-1]
    assert "permission denied" in result.stderr[-1]
    assert os.listdir(open_path / "log") == []
