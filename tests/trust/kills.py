"""kill -9 at any moment: of runs with all their outputs, and of commands that write a file or a bundle."""

import hashlib
import json
import select
import signal
import socket
import struct
import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from random import Random

import numpy as np
import orjson
from numpy.typing import NDArray

from tests.support.command import ended, started
from tests.trust.claim import Claim, Outcome

SCENARIOS = ("portscan", "echo-sweep", "udp-sweep", "ssh-guessing")
SITES = 20  # directories that runs share, one after the other
FLOW_LINES = 100_000  # an alert, so that lines come all the time
BEGINNINGS = (b'{"@timestamp":', b'{"timestamp":')  # of lines, and nowhere else in them


def killed_runs(scale: float) -> Outcome:
    """Runs of `read`, each over the outputs that the one before it left, killed at random moments."""
    kills = round(1000 * scale)
    chance, failures, counts = Random(18), list[str](), {"lines": 0, "spooled": 0, "runs": 0, "amid": 0}
    with tempfile.TemporaryDirectory(prefix="trust-kills-") as scratch:
        base = made_capture(Path(scratch) / "base.pcap")
        first = Site(Path(scratch) / "first", base, chance)
        first.end()  # which loads and compiles
        first.end()
        killed, typical_s = 0, first.typical_s
        for number in range(min(SITES, kills)):
            site = Site(Path(scratch) / str(number), base, chance, typical_s)
            wanted = kills * (number + 1) // min(SITES, kills) - killed
            killed += site.kill(wanted)
            site.end()
            typical_s = site.typical_s
            failures += [f"site {number}: {failure}" for failure in site.failures]
            counts["lines"] += site.seen
            counts["spooled"] += site.spooled
            counts["runs"] += site.runs
            counts["amid"] += site.amid
    runs, amid, lines, spooled = (counts[name] for name in ("runs", "amid", "lines", "spooled"))
    figure = f"{runs:,} runs, {amid:,} killed amid lines; {lines:,} lines out, {spooled:,} of them found in a spool"
    return Outcome(killed, failures, figure)


class Site:
    """Outputs of all kinds in one directory, and runs over them that are killed."""

    def __init__(self, directory: Path, base: bytes, chance: Random, typical_s: float = 0.0) -> None:
        """directory: to be made. typical_s: what a run takes."""
        directory.mkdir()
        self.failures: list[str] = []
        self.seen = self.spooled = self.runs = self.amid = 0
        self.typical_s = typical_s
        self._base, self._chance = base, chance
        self._directory = directory
        self._files = [directory / "own.jsonl", directory / "listed.jsonl", directory / "eve.json"]
        self._spool, self._log, self._kept = directory / "spool", directory / "flows", directory / "kept"
        self._whole = {path: Whole() for path in self._files}
        self._owed: set[bytes] = set()  # lines that were in the spool after a kill
        self._receiver = Receiver(directory / "receiver")
        self._settings = directory / "settings.yaml"
        entries = [
            {"type": "file", "path": str(self._files[1])},
            {"type": "file", "path": str(self._files[2]), "format": "eve"},
            {"type": "unix", "path": str(directory / "receiver"), "spool": str(self._spool)},
        ]
        self._settings.write_text(json.dumps({"outputs": entries}))

    def kill(self, count: int) -> int:
        """Have so many runs killed."""
        killed = 0
        while killed < count and len(self.failures) < 5:
            self._receiver.listen(self._chance.random() < 0.6)
            process, told = self._started()
            reader = threading.Thread(target=told.read)
            reader.start()
            moment = self.typical_s * self._chance.uniform(0.2, 1.1)
            try:
                process.wait(max(0.0, moment))
            except subprocess.TimeoutExpired:
                process.send_signal(signal.SIGKILL)
            reader.join()
            code = process.wait()
            errors = (process.stderr.read() if process.stderr else b"").decode()
            if code == -signal.SIGKILL:
                killed += 1
                self.amid += len(told.lines()) > 1
            elif code not in (0, 7):  # 7: the receiver did not listen, lines are in the spool
                self.failures.append(f"a run ended with {code}: {errors[-300:]}")
            self._look(told.lines(), killed=code == -signal.SIGKILL)
        return killed

    def end(self) -> None:
        """A last run that nobody kills, and the sums."""
        self._receiver.listen(True)
        began = time.monotonic()
        process, _ = self._started()
        output, errors = process.communicate(timeout=120)
        self.typical_s = time.monotonic() - began
        result = ended(process.returncode, output, errors)
        if result.code != 0:
            self.failures.append(f"the last run ended with {result.code}: {result.stderr[-2:]}")
        self._look([], killed=False)
        self._receiver.close()
        received = set(self._receiver.lines())
        if missing := self._owed - received:
            self.failures.append(f"{len(missing):,} spooled lines never came: {sorted(missing)[0][:120]!r}")
        by_id: dict[tuple[str, int], bytes] = {}
        for line in received:
            record = json.loads(line)
            key = record["event"]["id"], record["event"].get("sequence", 0)
            if by_id.setdefault(key, line) != line:
                self.failures.append(f"two lines with the id {key}")
        self.seen += sum(stood.lines for stood in self._whole.values()) + len(received)
        left = [path.name for path in self._directory.rglob(".*")] + [
            path.name for path in self._directory.rglob("*unfinished*")
        ]
        if left:
            self.failures.append(f"left behind: {left[:3]}")

    def _started(self) -> "tuple[subprocess.Popen[bytes], Told]":
        self.runs += 1
        capture = self._directory / "capture.pcap"
        capture.write_bytes(moved(self._base, 600 * self.runs))
        process = started(
            "read", capture, "-q", "-c", self._settings, "-o", self._files[0], "--flows", self._log,
            "--keep-packets", self._kept, "--set", f"episodes.flows_per_alert={FLOW_LINES}",
        )  # fmt: skip
        return process, Told(process)

    def _look(self, told: list[bytes], *, killed: bool) -> None:
        """At everything that a run has left."""
        for line in told[:-1] if killed else told:
            self._check_line("stdout", line)
        for path in self._files:
            self._look_at_file(path)
        self._look_at_spool()
        for path in self._kept.glob("*.pcapng"):
            if not is_whole_pcapng(path.read_bytes()):
                self.failures.append(f"{path.name} is not whole")
        for path in self._log.glob("*.parquet"):
            if path.read_bytes()[-4:] != b"PAR1":
                self.failures.append(f"{path.name} is not whole")

    def _look_at_file(self, path: Path) -> None:
        """Lines seen before are there still, in their order; of the others only the last is torn, or ended alone."""
        content, stood = path.read_bytes() if path.exists() else b"", self._whole[path]
        if hashlib.sha256(content[: stood.octets]).hexdigest() != stood.sha256:
            self.failures.append(f"{path.name}: lines that were there have gone")
        end = content.rfind(b"\n") + 1
        for line in content[stood.octets : end].splitlines():
            if is_record(line):
                stood.lines += 1
            elif max(line.count(beginning) for beginning in BEGINNINGS) > 1:
                self.failures.append(f"{path.name}: a glued line {line[:80]!r}")
            else:
                stood.torn += 1
        stood.octets, stood.sha256 = end, hashlib.sha256(content[:end]).hexdigest()
        if stood.torn > self.runs:
            self.failures.append(f"{path.name}: {stood.torn} torn lines of {self.runs} runs")

    def _look_at_spool(self) -> None:
        """Remember what the spool owes to the receiver."""
        from sensor.outputs.spool import Spool

        if not self._spool.exists():
            return
        spool = Spool(self._spool, 1 << 30)
        try:
            while batch := spool.take(1 << 20):
                for line in batch:
                    self._check_line("spool", line.rstrip(b"\n"))
                    self._owed.add(line.rstrip(b"\n"))
                    self.spooled += 1
        finally:
            spool.rewind()
            spool.close()

    def _check_line(self, where: str, line: bytes) -> None:
        if line and not is_record(line):
            self.failures.append(f"{where}: a torn line {line[-80:]!r}")


@dataclass
class Whole:
    """What of a file stood after the last run: whole lines."""

    octets: int = 0
    sha256: str = hashlib.sha256().hexdigest()
    lines: int = 0
    torn: int = 0  # of them, those that are the beginning of a line alone


class Told:
    """What a process writes to stdout."""

    def __init__(self, process: "subprocess.Popen[bytes]") -> None:
        self._stream = process.stdout
        self._content = b""

    def read(self) -> None:
        """To its end."""
        assert self._stream is not None
        while part := self._stream.read(1 << 16):
            self._content += part

    def lines(self) -> list[bytes]:
        """The lines, the last of which may be torn or empty."""
        return self._content.split(b"\n")


class Receiver:
    """A Unix stream socket that takes all lines, when it listens."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._content: list[bytearray] = []  # of each connection
        self._server: socket.socket | None = None
        self._threads: list[threading.Thread] = []

    def listen(self, whether: bool) -> None:
        """Listen from now on, or no longer; connections that are there stay."""
        if whether == (self._server is not None):
            return
        if self._server is not None:
            self._server.close()
            self._server = None
            self._path.unlink()
            return
        self._server = socket.socket(socket.AF_UNIX)
        self._server.bind(str(self._path))
        self._server.listen(8)
        self._threads.append(threading.Thread(target=self._accept, args=(self._server,), daemon=True))
        self._threads[-1].start()

    def close(self) -> None:
        """Take what is on its way, and no more."""
        self.listen(False)
        for thread in self._threads:
            thread.join(10)

    def lines(self) -> Iterator[bytes]:
        """Every whole line of every connection; the last of one may have been torn by a kill."""
        for content in self._content:
            yield from bytes(content).split(b"\n")[:-1]

    def _accept(self, server: socket.socket) -> None:
        while True:
            try:
                if not select.select([server], [], [], 0.05)[0]:
                    continue
                connection, _ = server.accept()
            except (OSError, ValueError):  # closed
                return
            self._content.append(bytearray())
            self._threads.append(threading.Thread(target=self._take, args=(connection, self._content[-1]), daemon=True))
            self._threads[-1].start()

    def _take(self, connection: socket.socket, content: bytearray) -> None:
        with connection:
            while part := connection.recv(1 << 16):
                content += part


def made_capture(path: Path) -> bytes:
    """A capture of our own making, attacks that give thousands of lines."""
    write_synthetic(path, *[word for name in SCENARIOS for word in ("--scenario", name)], "--minutes", "5")
    return path.read_bytes()


def write_synthetic(path: Path, *options: str) -> None:
    """Traffic of our own making."""
    from sensor.synth.__main__ import app

    app([str(path), *options], standalone_mode=False)


def moved(capture: bytes, seconds: int) -> bytes:
    """A classic pcap, little-endian, with all its packets later."""
    content, at = np.frombuffer(capture, np.uint8).copy(), starts_of(capture)[:, None] + np.arange(4)
    later = content[at].view("<u4") + np.uint32(seconds)
    content[at] = later.view(np.uint8)
    return content.tobytes()


@lru_cache(maxsize=16)
def starts_of(capture: bytes) -> NDArray[np.int64]:
    """Where each record of such a pcap begins."""
    starts, at = [], 24
    while at < len(capture):
        starts.append(at)
        at += 16 + struct.unpack_from("<I", capture, at + 8)[0]
    return np.array(starts)


def is_record(line: bytes) -> bool:
    """Whether a line is a whole JSON object."""
    try:
        return isinstance(orjson.loads(line), dict)
    except ValueError:
        return False


def is_whole_pcapng(content: bytes) -> bool:
    """Whether blocks fill it to its end."""
    at = 0
    while at < len(content):
        if at + 12 > len(content):
            return False
        (length,) = struct.unpack_from("<I", content, at + 4)
        if (
            length < 12
            or at + length > len(content)
            or content[at + length - 4 : at + length] != content[at + 4 : at + 8]
        ):
            return False
        at += length
    return at > 0


CLAIMS = (
    Claim(
        "killed-runs",
        "A run killed at any moment tears no line that stood, glues none, and loses nothing that its spool held; what "
        "comes twice has the same id.",
        "kills",
        killed_runs,
        minutes=10,
    ),
)
