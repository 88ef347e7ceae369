"""`flowvigil watch --keep-packets`: a scan on the cable ends in a file of its packets, the process user's own."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
from pathlib import Path

import pytest

from tests.support.capture_bytes import read
from tests.support.namespaces import SCANNER, SERVER, inside
from tests.support.sensors import watching

pytestmark = [pytest.mark.live, pytest.mark.ux]

NOBODY = pwd.getpwnam("nobody").pw_uid


@pytest.fixture
def open_path() -> Path:
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


def test_a_scan_ends_in_a_file_of_its_packets_that_belongs_to_the_process_user(
    cable: tuple[str, str], open_path: Path
) -> None:
    left, right = cable
    packets = open_path / "packets"
    options = "--keep-packets", str(packets), "--set", "process.user=nobody"
    with watching(right, open_path, *options, write=False, SUDO_UID="", SUDO_GID="") as watch:
        scan(left, range(1000, 1300))
        opened = watch.wait_for("alert", 30, action="opened")
        result = watch.stop()
    assert result.code == 0, result
    file = packets / opened["flowvigil"]["packets_file"]
    assert (packets.stat().st_uid, file.stat().st_uid, file.stat().st_mode & 0o777) == (NOBODY, NOBODY, 0o640)
    found, problem = read(file.read_bytes())
    assert problem is None
    assert len(found) >= 400  # a SYN and its RST of 256 flows, as far as they were flagged
    assert all(socket.inet_aton(SCANNER) in packet.frame and packet.linktype == 1 for packet in found)
    assert b"fv1" in file.read_bytes()[:400]
    kept = watch.records("stats")[-1]["flowvigil"]["packets_kept"]
    assert (kept["files"], kept["packets"], kept["lost"]) == (len(os.listdir(packets)), len(found), 0)
    assert any("packets of alerts: " in line for line in result.stderr)


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_the_file_has_the_packets_that_the_whole_capture_has_of_the_scan(
    cable: tuple[str, str], open_path: Path
) -> None:
    left, right = cable
    with watching(right, open_path, "--keep-packets", str(open_path / "packets")) as watch:
        scan(left, range(1000, 1200))
        opened = watch.wait_for("alert", 30, action="opened")
        assert watch.stop().code == 0
    file = open_path / "packets" / opened["flowvigil"]["packets_file"]
    rows = [set(shown(path)) for path in (file, watch.kept)]
    assert rows[0]
    assert rows[0] <= rows[1]


def shown(path: Path) -> list[str]:
    fields = [word for name in ("frame.time_epoch", "tcp.srcport", "tcp.dstport", "tcp.flags") for word in ("-e", name)]
    command = ["tshark", "-n", "-r", str(path), "-Y", "tcp", "-T", "fields", *fields]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=True).stdout.splitlines()


def test_a_directory_that_the_process_user_may_not_write_ends_the_watch_at_its_start(
    cable: tuple[str, str], open_path: Path
) -> None:
    from tests.support.command import flowvigil

    (open_path / "packets").mkdir(mode=0o755)  # root's
    options = "--keep-packets", str(open_path / "packets"), "--set", "process.user=nobody"
    result = flowvigil("watch", "-i", "fv1", *options, namespace=cable[1])
    assert result.code == 7
    assert "permission denied, expected a directory or a place for one" in result.stderr[-1]
