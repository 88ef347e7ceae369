"""`flowvigil watch --write` with -C, -G and -W on a cable: every packet once, in the process user's files."""

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.capture_bytes import Packet, read
from tests.support.command import flowvigil
from tests.support.namespaces import SERVER, inside
from tests.support.sensors import Watch, watching

pytestmark = [pytest.mark.live, pytest.mark.ux]

NOBODY = pwd.getpwnam("nobody").pw_uid
MARK = b"numbered"
SETTINGS = ("--set", "process.user=nobody", "--set", "stats.interval_s=1")
PORT = 4000


@pytest.fixture
def anybody() -> Iterator[Path]:
    """A directory in which everybody may make files."""
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o777)
        yield Path(name)


def send(namespace: str, numbers: range, pause_s: float = 0.0) -> None:
    """A datagram for each number, in order."""
    with inside(namespace), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sending:
        for number in numbers:
            sending.sendto(MARK + number.to_bytes(4, "big") + bytes(100), (SERVER, PORT))
            time.sleep(pause_s)


def content(path: Path) -> list[Packet]:
    """Packets of a file that is whole on its own, also for capinfos where that is installed."""
    packets, problem = read(path.read_bytes())
    assert problem is None
    if shutil.which("capinfos"):
        run = subprocess.run(["capinfos", "-Mc", str(path)], capture_output=True, check=False, text=True)
        assert (run.returncode, run.stderr) == (0, "")
        assert run.stdout.split()[-1] == str(len(packets))
    return packets


def numbers_in(packets: list[Packet]) -> list[int]:
    """Numbers of the datagrams among packets, but for those that an ICMP error quotes."""
    at = 14 + 20 + 8
    return [
        int.from_bytes(packet.frame[at + len(MARK) : at + len(MARK) + 4], "big")
        for packet in packets
        if packet.frame[at : at + len(MARK)] == MARK
    ]


def received(watch: Watch) -> int:
    return int(watch.records("stats")[-1]["flowvigil"]["received"])


def test_rotated_files_hold_every_packet_once_and_belong_to_the_process_user(
    cable: tuple[str, str], anybody: Path
) -> None:
    left, right = cable
    packets = anybody / "packets"
    packets.mkdir()
    packets.chmod(0o777)
    (packets / "kept.pcapng").write_bytes(b"of an earlier run")
    options = ("--write", str(packets / "kept.pcapng"), "-C", "0.02", "-G", "1", *SETTINGS)
    with watching(right, anybody, *options, write=False, SUDO_UID="", SUDO_GID="") as watch:
        send(left, range(1500), pause_s=0.001)
        time.sleep(0.2)
        result = watch.stop()
    assert result.code == 0, result
    assert (packets / "kept.pcapng").read_bytes() == b"of an earlier run"
    files = sorted(packets.iterdir())[1:]
    assert [path.name for path in files] == [f"kept_{number:05}.pcapng" for number in range(1, len(files) + 1)]
    assert {(path.stat().st_uid, path.stat().st_mode & 0o777) for path in files} == {(NOBODY, 0o640)}
    assert all(path.stat().st_size <= 20_000 for path in files)
    found = [content(path) for path in files]
    assert len(found) >= 10
    assert [number for packets in found for number in numbers_in(packets)] == list(range(1500))
    assert sum(map(len, found)) == received(watch)
    stamps = [[packet.ts_ns for packet in packets] for packets in found if packets]
    assert all(max(each) - min(each) < 2 * 10**9 for each in stamps)
    again = flowvigil("flows", *files, "--dialect", "native")
    assert again.code == 0, again


def test_only_the_latest_files_are_kept(cable: tuple[str, str], anybody: Path) -> None:
    left, right = cable
    packets = anybody / "packets"
    packets.mkdir()
    packets.chmod(0o777)
    (packets / "older.pcapng").write_bytes(b"of an earlier run")
    options = ("--write", str(packets / "%Y-%H.pcapng"), "-C", "0.02", "-G", "3600", "-W", "3", *SETTINGS)
    with watching(right, anybody, *options, write=False, SUDO_UID="", SUDO_GID="") as watch:
        send(left, range(1000))
        send(left, range(1000, 2000))
        time.sleep(0.2)
        result = watch.stop()
    assert result.code == 0, result
    assert (packets / "older.pcapng").read_bytes() == b"of an earlier run"
    files = sorted(path for path in packets.iterdir() if path.name != "older.pcapng")
    assert len(files) == 3
    numbers = [number for path in files for number in numbers_in(content(path))]
    assert numbers == list(range(2000 - len(numbers), 2000))
    assert len(numbers) > 200


def test_a_directory_that_vanishes_is_told_and_counted_and_the_watch_goes_on(
    cable: tuple[str, str], anybody: Path
) -> None:
    left, right = cable
    packets = anybody / "packets"
    packets.mkdir()
    packets.chmod(0o777)
    options = ("--write", str(packets / "kept.pcapng"), "-C", "0.02", *SETTINGS)
    with watching(right, anybody, *options, write=False, SUDO_UID="", SUDO_GID="") as watch:
        send(left, range(300))
        moved = packets.rename(anybody / "elsewhere")
        send(left, range(300, 1000))
        told = watch.wait_for("sensor", 10, action="packets-lost")
        send(left, range(1000, 1100))
        time.sleep(0.2)
        result = watch.stop()
    assert result.code == 7, result
    assert "no such file or directory; the watch goes on without keeping packets" in told["flowvigil"]["message"]
    kept = [packet for path in sorted(moved.iterdir()) for packet in content(path)]
    lost = received(watch) - len(kept)
    numbers = numbers_in(kept)
    assert numbers == list(range(len(numbers)))
    assert lost > 0
    last = watch.records("sensor")[-1]
    assert (last["event"]["action"], last["flowvigil"]["message"]) == (
        "packets-lost",
        f"{lost:,} packets in all were not written to a file",
    )


def test_a_full_disk_leaves_whole_files_and_the_watch_goes_on(cable: tuple[str, str], anybody: Path) -> None:
    left, right = cable
    packets = anybody / "packets"
    packets.mkdir()
    disk = ["mount", "-t", "tmpfs", "-o", "size=100k,mode=777", "tmpfs", str(packets)]
    if subprocess.run(disk, capture_output=True, check=False).returncode:
        pytest.skip("mounting is not permitted here")
    try:
        options = ("--write", str(packets / "kept.pcapng"), "-C", "0.02", *SETTINGS)
        with watching(right, anybody, *options, write=False, SUDO_UID="", SUDO_GID="") as watch:
            send(left, range(1000))
            told = watch.wait_for("sensor", 10, action="packets-lost")
            send(left, range(1000, 1100))
            time.sleep(0.2)
            result = watch.stop()
        numbers = [number for path in sorted(packets.iterdir()) for number in numbers_in(content(path))]
    finally:
        subprocess.run(["umount", "-l", str(packets)], check=True)
    assert result.code == 7, result
    assert "no space left; the watch goes on without keeping packets" in told["flowvigil"]["message"]
    assert numbers == list(range(len(numbers)))
    assert received(watch) >= 1100


def test_a_directory_of_another_user_is_refused_before_anything_is_made(cable: tuple[str, str], anybody: Path) -> None:
    packets = anybody / "packets"
    packets.mkdir()
    packets.chmod(0o755)
    file = packets / "kept.pcapng"
    arguments = ("-q", "-i", "fv1", "--write", file, "-G", "1", "--set", "process.user=nobody")
    for command in ("check", "watch"):
        result = flowvigil(command, *arguments, namespace=cable[1])
        assert (result.code, result.stdout) == (7, b"")
        assert len(result.stderr) == 1
        assert f"cannot make {packets}/kept_00001.pcapng: permission denied" in result.stderr[0]
        assert not os.listdir(packets)
