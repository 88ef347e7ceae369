"""Independent captures under names that no one expects, and that go, come or grow while they are read."""

import json
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import pytest

from sensor.cli.build import bundle_path
from sensor.jobs.run_directory import ALERTS
from sensor.synth.generate import generate
from sensor.synth.pcap import pcap_bytes, write_pcap
from sensor.synth.scenarios.portscan import PORTSCAN
from tests.support.command import Result, flowvigil, started
from tests.support.geo import cities

pytestmark = pytest.mark.takes(20)

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a small disk")
ODD = (b"-dash.pcap", b"line\nend.pcap", b"\x1b[2Jscreen.pcap", b"no-\xff-text.pcap", b"a/same.pcap", b"b/same.pcap")
SHOWN = ("-dash.pcap", "line\\nend.pcap", "\\x1b[2Jscreen.pcap", "no-\\udcff-text.pcap", "a/same.pcap", "b/same.pcap")
LONG_S = 60.0


@pytest.fixture(scope="module")
def scan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small capture with an alert."""
    path = tmp_path_factory.mktemp("scan") / "scan.pcap"
    write_pcap(path, pcap_bytes(generate([PORTSCAN], seed=1, minutes=0.2).packets, 96))
    return path


def test_odd_names_are_read_and_escaped_and_what_is_no_file_is_skipped(scan: Path, tmp_path: Path) -> None:
    place, run = tmp_path / "captures", tmp_path / "run"
    for name in ODD:
        path = place / os.fsdecode(name)
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(scan, path)
    (place / "loop").symlink_to(place)
    (place / "nothing").symlink_to(place / "gone")
    (place / "zeros").symlink_to("/dev/zero")
    os.mkfifo(place / "pipe")
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(place / "socket"))
        result = flowvigil("read", place, "--independent", "--run", run)
    assert result.code == 0, result.stderr
    assert result.stdout == (run / ALERTS).read_bytes()
    told = {json.loads(line)["log"]["file"]["path"] for line in result.stdout.splitlines()}
    assert told == {f"{place}/{name}" for name in SHOWN}
    assert result.stderr[0].startswith("flowvigil: skipped 4, no capture: ")
    assert all(line.startswith("flowvigil: ") and line.isprintable() for line in result.stderr)
    again = flowvigil("read", place, "--independent", "--run", run, "--resume", "-q")
    assert (again.code, again.stdout) == (0, b"")  # all of it was known


def run_with(place: Path, change: Callable[[], None], *arguments: str | Path) -> tuple[int, list[str]]:
    """Exit code and stderr of a run that reads a pipe first, which ends after the change; then what was named."""
    pipe = place / "first.pcap"
    os.mkfifo(pipe)
    with started("read", pipe, *arguments, "--independent", "--workers", "1", "-q") as process:
        deadline = time.monotonic() + LONG_S
        while (writing := opened_for_writing(pipe)) is None:  # nobody reads it yet
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
        change()
        os.close(writing)
        _, said = process.communicate(timeout=LONG_S)
    return process.returncode, said.decode().splitlines()


def opened_for_writing(pipe: Path) -> int | None:
    with suppress(OSError):
        return os.open(pipe, os.O_WRONLY | os.O_NONBLOCK)
    return None


def test_captures_that_go_grow_or_change_midway_are_each_told_of_or_read(scan: Path, tmp_path: Path) -> None:
    vanished, grown, cut, changed = (tmp_path / f"{name}.pcap" for name in ("vanished", "grown", "cut", "changed"))
    for path in (vanished, grown, cut, changed):
        shutil.copy(scan, path)
    run, content = tmp_path / "run", scan.read_bytes()

    def change() -> None:
        vanished.unlink()
        grown.write_bytes(content + content[24:])
        os.truncate(cut, len(content) // 2)
        changed.unlink()
        changed.mkdir()

    code, said = run_with(tmp_path, change, vanished, grown, cut, changed, "--run", run)
    assert code == 6, said
    assert [line.split("flowvigil: ")[1].split(":")[0] for line in said] == [
        str(path) for path in (tmp_path / "first.pcap", vanished, cut, changed)
    ]
    assert "found no such file" in said[1]
    shutil.copy(scan, vanished)
    again = flowvigil("read", vanished, grown, "--independent", "--run", run, "--resume", "-q")
    assert (again.code, again.stderr) == (0, [])
    told = [json.loads(line)["log"]["file"]["path"] for line in (run / ALERTS).read_bytes().splitlines()]
    assert set(told) == {str(vanished), str(grown)}


def test_a_run_whose_directory_goes_midway_ends_in_one_line(scan: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    code, said = run_with(tmp_path, lambda: shutil.rmtree(run), scan, "--run", run)
    assert (code, len(said)) == (7, 1), said
    assert "cannot be written (no such file or directory)" in said[0]


@dataclass(frozen=True)
class Ended:
    """A run that has ended, in a directory, with the files that it was made with."""

    directory: Path
    scan: Path

    @property
    def manifest(self) -> Path:
        return self.directory / "bundle" / "manifest.json"

    @property
    def site(self) -> Path:
        return self.directory / "site.yaml"

    @property
    def place(self) -> Path:
        return self.directory / "place.mmdb"

    @property
    def run(self) -> Path:
        return self.directory / "run"

    def carried(self, command: str, *more: str | Path) -> Result:
        """The same in a process of its own."""
        files = ("-m", self.manifest.parent, "--set", f"site.file={self.site}", "--set", f"geoip.location={self.place}")
        return flowvigil(command, self.scan, "--independent", "--workers", "1", "-q", *files, *more)

    def gone_on_with(self, command: str, *more: str | Path) -> Result:
        """How it goes on."""
        return self.carried(command, "--run", self.run, "--resume", *more)

    def ends(self) -> dict[Path, int]:
        """When it was written how each capture ended."""
        return {path: path.stat().st_mtime_ns for path in self.run.glob("ends/*/*.json")}


@pytest.fixture(scope="module")
def ended(scan: Path, tmp_path_factory: pytest.TempPathFactory) -> Ended:
    found = Ended(tmp_path_factory.mktemp("ended"), scan)
    shutil.copytree(bundle_path(None), found.manifest.parent)
    found.site.write_text("home: [10.0.0.0/8]\n")
    cities(found.place)
    assert found.carried("read", "--run", found.run).code == 0
    return found


def test_a_page_goes_on_with_a_run_that_counted_no_hosts_and_counts_them(ended: Ended, tmp_path: Path) -> None:
    gone_on, afresh = tmp_path / "gone-on.html", tmp_path / "afresh.html"
    os.utime(ended.site)  # the same content, whenever it was written
    assert ended.gone_on_with("report", "-o", gone_on).code == 0
    assert ended.carried("report", "-o", afresh).code == 0
    assert gone_on.read_bytes() == afresh.read_bytes()
    ends = ended.ends()
    assert ended.gone_on_with("read").code == 0
    assert ended.ends() == ends  # known by now, with more than is wanted


def fewer_alerts(manifest: bytes) -> bytes:
    """A manifest with the same weights and other thresholds."""
    found = json.loads(manifest)
    found["thresholds"] = [{**cuts, "known": 1e-9, "novel": 1e-9} for cuts in found["thresholds"]]
    return json.dumps(found).encode()


@pytest.mark.parametrize(
    ("file", "change", "words"),
    [
        ("bundle/manifest.json", fewer_alerts, "of another bundle"),
        ("site.yaml", lambda content: content.replace(b"10.0.0.0/8", b"192.168.0.0/16"), "with another content of"),
        ("place.mmdb", lambda content: content.replace(b"Lyon", b"Nice"), "with another content of"),
    ],
)
def test_a_run_is_not_gone_on_with_once_a_file_that_it_was_made_with_has_changed(
    file: str, change: Callable[[bytes], bytes], words: str, ended: Ended
) -> None:
    path = ended.directory / file
    content = path.read_bytes()
    path.write_bytes(change(content))
    try:
        result = ended.gone_on_with("read")
    finally:
        path.write_bytes(content)
    assert (result.code, result.stdout) == (3, b"")
    assert f"--resume: found a run {words} " in result.stderr[0]
    assert words == "of another bundle" or str(path) in result.stderr[0]


def test_a_page_is_made_though_a_capture_cannot_be_read(scan: Path, tmp_path: Path) -> None:
    page, gone = tmp_path / "page.html", tmp_path / "gone.pcap"
    result = flowvigil("report", scan, gone, "--independent", "-o", page, "-q")
    assert (result.code, len(result.stderr)) == (6, 1), result.stderr
    assert f"{gone}: found no such file" in result.stderr[0]
    assert page.exists()


@needs_root
def test_a_full_disk_ends_a_run_in_one_line_and_it_goes_on_later(scan: Path, tmp_path: Path) -> None:
    arguments = ("read", scan, "--independent", "--run", tmp_path / "run", "-q")
    mounted = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=8k", "tmpfs", str(tmp_path)], capture_output=True, timeout=10, check=False
    )
    if mounted.returncode:
        pytest.skip("no disk of our own can be mounted here")
    try:
        full = flowvigil(*arguments)
        subprocess.run(["mount", "-o", "remount,size=4m", str(tmp_path)], check=True, timeout=10)
        room = flowvigil(*arguments, "--resume")
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True, timeout=10)
    assert (full.code, len(full.stderr)) == (7, 1), full.stderr
    assert "cannot be written (no space left" in full.stderr[0]
    assert (room.code, room.stderr) == (0, [])


def test_a_slow_capture_of_which_the_filter_leaves_nothing_does_not_count_as_hanging(
    scan: Path, tmp_path: Path
) -> None:
    pipe, content = tmp_path / "slow.pcap", scan.read_bytes()
    os.mkfifo(pipe)
    settings = ("--filter", "tcp port 1", "--set", "jobs.patience_s=1")
    with started("read", pipe, "--independent", "-q", *settings) as process:
        deadline = time.monotonic() + LONG_S
        while (writing := opened_for_writing(pipe)) is None:
            assert time.monotonic() < deadline
            time.sleep(0.02)
        os.set_blocking(writing, True)
        for part in range(6):
            os.write(writing, content[part * len(content) // 6 : (part + 1) * len(content) // 6])
            time.sleep(0.3)
        os.close(writing)
        _, said = process.communicate(timeout=LONG_S)
    assert (process.returncode, said) == (0, b"")


def test_notes_that_are_edited_midway_are_not_told_of_half_of_the_captures(scan: Path, tmp_path: Path) -> None:
    site = tmp_path / "site.yaml"
    site.write_text("home: [10.0.0.0/8]\n")
    _, said = run_with(tmp_path, lambda: site.write_text("home: 5\n"), scan, "--set", f"site.file={site}")
    assert [line.split(": ")[1] for line in said] == [str(tmp_path / "first.pcap")]


def test_what_could_not_be_opened_is_tried_again(scan: Path, tmp_path: Path) -> None:
    own, run = tmp_path / "own.pcap", tmp_path / "run"
    arguments = ("read", own, "--independent", "--run", run, "-q")
    for content, more, code in ((b"x" * scan.stat().st_size, (), 6), (scan.read_bytes(), ("--resume",), 0)):
        own.write_bytes(content)
        os.utime(own, ns=(1, 1))
        assert flowvigil(*arguments, *more).code == code
    assert (run / ALERTS).read_bytes()
