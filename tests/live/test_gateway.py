"""`flowvigil watch` as a service: its interface, its privileges, its signals, its readers."""

import fcntl
import os
import pty
import pwd
import shutil
import signal
import socket
import struct
import subprocess
import tempfile
import termios
import threading
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import flowvigil, launched, surroundings
from tests.support.load import counted, replay, sessions
from tests.support.namespaces import SCANNER, SERVER, inside, ip
from tests.support.opened import opened_below
from tests.support.sensors import Watch, lines_of, notified, records_of, watching

pytestmark = pytest.mark.live

CAPABILITIES = ("CapInh", "CapPrm", "CapEff", "CapBnd", "CapAmb")
FLAPS = 20


@pytest.fixture
def anybody() -> Iterator[Path]:
    """A directory in which everybody may make files, as a log directory is the service's own."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        yield Path(name)


def knock(namespace: str, ports: range, pause_s: float = 0.001) -> None:
    """Try many ports of the server, which refuses."""
    with inside(namespace):
        for port in ports:
            with socket.socket() as knocking:
                knocking.settimeout(0.2)
                knocking.connect_ex((SERVER, port))
            time.sleep(pause_s)


def metered(watch: Watch) -> int:
    """Packets accounted for, from a fresh account."""
    before = len(watch.records("stats"))
    deadline = time.monotonic() + 20
    while len(watch.records("stats")) == before:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    return int(watch.records("stats")[-1]["flowvigil"]["received"])


def test_an_interface_may_go_down_and_up_twenty_times(cable: tuple[str, str], tmp_path: Path) -> None:
    left, right = cable
    with watching(right, tmp_path, "--set", "stats.interval_s=1") as watch:
        for flap in range(FLAPS):
            ip("-n", right, "link", "set", "fv1", "down")
            time.sleep(0.05)
            ip("-n", right, "link", "set", "fv1", "up")
            time.sleep(0.05)
            knock(left, range(2000 + flap, 2001 + flap))
        time.sleep(0.3)
        result = watch.stop()
    assert result.code == 0, result
    actions = [record["event"]["action"] for record in watch.records("sensor")]
    assert actions.count("interface-down") == actions.count("interface-up") == FLAPS
    again = flowvigil("flows", watch.kept, "--dialect", "native")
    seen = {line.split(b",")[4] for line in again.stdout.splitlines()}
    ports = {str(2000 + flap).encode() for flap in range(FLAPS)}
    assert all(any(port in line for line in again.stdout.splitlines()) for port in ports), seen


def test_an_interface_that_is_made_anew_is_watched_again_within_two_seconds(
    cable: tuple[str, str], tmp_path: Path
) -> None:
    left, right = cable
    with watching(right, tmp_path, "--set", "stats.interval_s=1") as watch:
        ip("-n", left, "link", "delete", "fv0")
        watch.wait_for("sensor", 5, action="interface-removed")
        ip("-n", left, "link", "add", "fv0", "type", "veth", "peer", "name", "fv1", "netns", right)
        for name, end, address in ((left, "fv0", SCANNER), (right, "fv1", SERVER)):
            ip("-n", name, "address", "add", f"{address}/24", "dev", end)
            ip("-n", name, "link", "set", end, "up")
        back = time.monotonic()
        before = metered(watch)
        while time.monotonic() - back < 2 and metered(watch) == before:
            knock(left, range(3000, 3010))
        assert metered(watch) > before
        assert watch.stop().code == 0


def status(task: Path) -> dict[str, list[str]]:
    lines = (line.partition(":") for line in task.read_text().splitlines())
    return {name: value.split() for name, _, value in lines}


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.real_start
def test_after_the_start_nothing_is_left_of_roots_privileges(
    cable: tuple[str, str], tmp_path: Path, workers: int
) -> None:
    left, right = cable
    options = ("--set", f"capture.workers={workers}")
    with watching(right, tmp_path, *options, write=workers == 1, SUDO_UID="", SUDO_GID="") as watch:
        own = subprocess.run(["pgrep", "-g", str(watch.process.pid)], capture_output=True, check=True, text=True)
        processes = [int(word) for word in own.stdout.split()]
        assert len(processes) == (1 if workers == 1 else 1 + workers)
        nobody = pwd.getpwnam("nobody")
        for process in processes:
            for task in Path(f"/proc/{process}/task").iterdir():
                found = status(task / "status")
                assert set(found["Uid"]) == {str(nobody.pw_uid)}
                assert set(found["Gid"]) == {str(nobody.pw_gid)}
                assert found["Groups"] == []
                assert {name: int(found[name][0], 16) for name in CAPABILITIES} == dict.fromkeys(CAPABILITIES, 0)
                assert found["NoNewPrivs"] == ["1"]
        knock(left, range(1000, 1200))
        watch.wait_for("alert", 10, action="opened")
        result = watch.stop()
    assert result.code == 0, result
    made = [watch.alerts] + ([watch.kept] if workers == 1 else [])
    assert [path.stat().st_uid for path in made] == [nobody.pw_uid] * len(made)


def test_nothing_is_compiled_once_it_captures(cable: tuple[str, str], tmp_path: Path, anybody: Path) -> None:
    left, right = cable
    options = ("--filter", "ip", "--decap", "--set", "meter.first_snapshot_s=0.1")
    # where the user without privileges can read what root has compiled, and would be seen to
    kernels = shutil.copytree(os.environ["NUMBA_CACHE_DIR"], anybody / "kernels")
    for path in (kernels, *kernels.rglob("*")):
        path.chmod(0o755)
    with (
        opened_below(kernels) as opened,
        watching(right, tmp_path, *options, NUMBA_CACHE_DIR=str(kernels)) as watch,
    ):
        assert opened.names()
        knock(left, range(1000, 1200))
        watch.wait_for("alert", 10, action="opened")
        result = watch.stop()
        assert result.code == 0
        assert not opened.names()  # nothing is loaded
        assert not [
            line for line in result.stderr if "compiled kernels" in line
        ]  # and nothing made, which it could not keep


@pytest.mark.real_start
def test_the_user_who_called_sudo_owns_what_it_makes(cable: tuple[str, str], tmp_path: Path) -> None:
    games = pwd.getpwnam("games")
    caller = {"SUDO_UID": str(games.pw_uid), "SUDO_GID": str(games.pw_gid), "SUDO_USER": "games"}
    with watching(cable[1], tmp_path, **caller) as watch:
        assert set(status(Path(f"/proc/{watch.process.pid}/status"))["Uid"]) == {str(games.pw_uid)}
        assert watch.stop().code == 0
    assert watch.kept.stat().st_uid == games.pw_uid


def test_rotated_outputs_lose_no_line(cable: tuple[str, str], anybody: Path) -> None:
    left, right = cable
    with watching(right, anybody, "--set", "stats.interval_s=1") as watch:
        knock(left, range(1000, 1200))
        watch.wait_for("alert", 10, action="opened")
        old = watch.alerts.rename(watch.alerts.with_suffix(".1"))
        watch.tell(signal.SIGHUP)
        watch.wait_for("sensor", 5, action="reloaded")
        result = watch.stop()
    assert result.code == 0, result
    both = old.read_bytes() + watch.alerts.read_bytes()
    assert both == result.stdout
    assert lines_of(old.read_bytes(), "alert")
    assert records_of(watch.alerts.read_bytes(), "stats")[-1]["flowvigil"]["final"]


def test_settings_that_are_wrong_or_fixed_are_told_at_reload_and_the_watch_goes_on(
    cable: tuple[str, str], anybody: Path
) -> None:
    settings = anybody / "site.yaml"
    settings.write_text("stats:\n  interval_s: 3600\n")
    settings.chmod(0o644)
    with watching(cable[1], anybody, "-c", str(settings)) as watch:
        settings.write_text("stats:\n  intervall_s: 1\n")
        watch.tell(signal.SIGHUP)
        told = watch.wait_for("sensor", 5, action="reloaded")
        assert "not taken over" in told["flowvigil"]["message"]
        assert 'did you mean "stats.interval_s"' in told["flowvigil"]["message"]
        settings.write_text("stats:\n  interval_s: 1\ncapture:\n  ring_blocks: 64\n")
        watch.tell(signal.SIGHUP)
        watch.wait_for("stats", 5)
        messages = [record["flowvigil"]["message"] for record in watch.records("sensor")]
        assert "only a restart takes over capture.ring_blocks" in messages
        assert watch.stop().code == 0


def test_sigusr1_tells_the_account(cable: tuple[str, str], tmp_path: Path) -> None:
    left, right = cable
    with watching(right, tmp_path) as watch:
        knock(left, range(1000, 1010))
        time.sleep(0.3)
        watch.tell(signal.SIGUSR1)
        time.sleep(0.3)
        result = watch.stop()
    assert result.code == 0
    assert any("= 20 metered" in line for line in result.stderr), result.stderr


def test_the_same_numbers_stand_in_the_metrics(cable: tuple[str, str], tmp_path: Path) -> None:
    left, right = cable
    with watching(right, tmp_path, "--set", "stats.metrics_port=19123") as watch:
        ip("-n", right, "link", "set", "lo", "up")
        knock(left, range(1000, 1010))
        time.sleep(0.5)
        with inside(right), urllib.request.urlopen("http://127.0.0.1:19123/metrics", timeout=5) as answer:
            lines = answer.read().decode().splitlines()
        assert watch.stop().code == 0
    figures = dict(line.rsplit(" ", 1) for line in lines if not line.startswith("#"))
    last = watch.records("stats")[-1]["flowvigil"]
    assert float(figures["flowvigil_packets_received_total"]) == last["received"] > 20
    assert float(figures["flowvigil_packets_metered_total"]) == last["metered"]


def test_the_end_under_load_loses_no_alert(cable: tuple[str, str], tmp_path: Path) -> None:
    left, right = cable
    load = sessions(tmp_path / "sessions.pcap")
    with watching(right, tmp_path) as watch:
        sender = threading.Thread(
            target=replay, args=(left, "fv0", load), kwargs={"packets_per_s": 50_000, "packets": 300_000}
        )
        sender.start()
        knock(left, range(1000, 1300))
        watch.wait_for("alert", 10, action="opened")
        result = watch.stop()
        sender.join()
    assert result.code == 0, result
    again = flowvigil("read", watch.kept)
    alerts = lines_of(result.stdout, "alert")
    assert alerts == again.stdout.splitlines()
    actions = [record["event"]["action"] for record in records_of(result.stdout, "alert")]
    assert actions.count("opened") == actions.count("closed") > 0
    last = records_of(result.stdout, "stats")[-1]["flowvigil"]
    assert last["waiting"] == last["difference"] == last["dropped"] == 0


def test_a_stopped_terminal_costs_no_packet(cable: tuple[str, str], tmp_path: Path) -> None:
    left, right = cable
    load = sessions(tmp_path / "sessions.pcap")
    control, terminal = pty.openpty()
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("4H", 24, 80, 0, 0))
    alerts = tmp_path / "live.jsonl"
    # a ring that holds much less than what comes while the terminal stands still
    options = ["--set", "capture.ring_blocks=32", "--set", "capture.ring_block_bytes=65536"]
    with notified() as ready, counted(right, "fv1") as count:
        process = launched(
            ["watch", "-i", "fv1", "-o", alerts, *options],
            environment=surroundings(TERM="xterm-256color", NOTIFY_SOCKET=ready.name),
            namespace=right,
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            start_new_session=True,
        )
        try:
            ready.wait("READY=1", process)
            knock(left, range(1000, 1200))  # nobody reads the terminal, so it is full before long
            sent = replay(left, "fv0", load, packets_per_s=50_000, packets=400_000)
            process.send_signal(signal.SIGTERM)
            assert process.wait(timeout=20) == 0
        finally:
            process.kill()
            process.wait()
            os.close(control)
            os.close(terminal)
    last = records_of(alerts.read_bytes(), "stats")[-1]["flowvigil"]
    assert last["received"] == count[0] >= sent
    assert last["dropped"] == last["shed"] == 0
    assert lines_of(alerts.read_bytes(), "alert")
