"""Lines that are written: none is lost quietly, none is glued to what stood there before."""

import io
import os
import resource
import socket
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

import orjson

from sensor.alerts.alert_record import alert_line
from sensor.cli.stdout import stdout_stream, write_each
from sensor.errors import OutputError
from sensor.outputs.outputs import Outputs, prepared_outputs
from sensor.outputs.transport import CONNECT_S
from sensor.settings.outputs import (
    FileEntry,
    KafkaEntry,
    MailEntry,
    OutputEntry,
    OwnFile,
    OwnStdout,
    SyslogEntry,
    UnixEntry,
    WebhookEntry,
)
from tests.support.alerts import an_alert
from tests.trust.claim import Claim, Outcome

LONG_S: Final = 20.0
SLACK_S: Final = 4.0  # of a machine that has other things to do
ZEROS: Final = (1, 7, 511, 4096, 65_537, 3_000_000)  # bytes that a crash of a file system leaves at the end

Writer = Callable[[Path, list[bytes]], None]  # appends lines to a file, as one run of the sensor does


def alerts(first: int, count: int) -> list[bytes]:
    """Lines of alerts with these sequence numbers."""
    return [alert_line(an_alert(sequence=number)) for number in range(first, first + count)]


@contextmanager
def stdout_to(path: Path, mode: str = "ab") -> Iterator[None]:
    """Stdout leads to a file, as a shell's >> has it; > with mode wb."""
    before = sys.stdout
    with path.open(mode) as raw:
        sys.stdout = io.TextIOWrapper(raw)
        try:
            yield
        finally:
            sys.stdout = before


def _outputs(entry: OutputEntry, lines: list[bytes], patience_s: float) -> None:
    outputs = Outputs(prepared_outputs([entry], "gw1"), patience_s)
    outputs.write(lines)
    if not patience_s:  # who does not wait tries again until the end
        delivery = outputs._deliveries[0]
        end_s = time.monotonic() + LONG_S
        while delivery.state().written < len(lines) and delivery.status.problem is None and time.monotonic() < end_s:
            time.sleep(0.001)
    outputs.close(LONG_S if patience_s else 0.0)


def own_file(path: Path, lines: list[bytes]) -> None:
    """The file of -o, of a read."""
    _outputs(OwnFile(path=path), lines, 10.0)


def watched_file(path: Path, lines: list[bytes]) -> None:
    """The file of -o, of a watch."""
    _outputs(OwnFile(path=path), lines, 0.0)


def listed_file(path: Path, lines: list[bytes]) -> None:
    """A file of the settings' outputs."""
    _outputs(FileEntry(type="file", path=path), lines, 0.0)


def own_stdout(path: Path, lines: list[bytes]) -> None:
    """Alerts of a run on stdout."""
    with stdout_to(path):
        _outputs(OwnStdout(), lines, 10.0)


def command_stdout(path: Path, lines: list[bytes]) -> None:
    """What `alerts convert` and others write on stdout."""
    with stdout_to(path):
        write_each(lines)


def table_stdout(path: Path, lines: list[bytes]) -> None:
    """What `flows` writes on stdout."""
    with stdout_to(path), stdout_stream() as stream:
        stream.write(b"".join(lines))


WRITERS: Final[tuple[Writer, ...]] = (
    own_file, watched_file, listed_file, own_stdout, command_stdout, table_stdout,
)  # fmt: skip


def ends_of_runs(scale: float) -> Iterator[tuple[bytes, bytes]]:
    """What an earlier run left: its whole lines, and what stands behind them."""
    whole = b"".join(alerts(1, 2))
    torn = alerts(3, 1)[0]
    step = max(1, round(4 / scale))
    for cut in range(1, len(torn), step):
        yield whole, torn[:cut]
    for zeros in ZEROS:
        yield whole, bytes(zeros)
        yield whole, torn[: len(torn) // 2] + bytes(zeros)
        yield b"", bytes(zeros)
    yield whole, torn[:-1]  # whole but for its newline
    yield b"", torn[:9]


def torn_tails(scale: float) -> Outcome:
    """Every writer after every end."""
    tries, failures = 0, []
    fresh = alerts(10, 3)
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "lines"
        for writer in WRITERS:
            for whole, rest in ends_of_runs(scale):
                tries += 1
                path.write_bytes(whole + rest)
                writer(path, fresh)
                why = _glued(path.read_bytes(), whole, rest, fresh)
                if why:
                    failures.append(f"{writer.__name__} after {len(rest)} bytes {rest[:12]!r}: {why}")
    return Outcome(tries, failures, f"{len(WRITERS)} writers")


def _glued(content: bytes, whole: bytes, rest: bytes, fresh: list[bytes]) -> str:
    """What is wrong with a file after a run, or ""."""
    text = rest.rstrip(b"\0")
    expected = whole + text + b"\n" * bool(text) + b"".join(fresh)
    if content == expected:
        return ""
    return f"found {content[len(whole) :][:60]!r}, expected {expected[len(whole) :][:60]!r}"


@contextmanager
def files_end_at(size: int) -> Iterator[None]:
    """The system takes no more than so many bytes of a file, as a full disk: the rest of a write is refused."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, before[1]))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


def full_disks(scale: float) -> Outcome:
    """Every writer, on a disk that is full after any number of bytes, and again when there is room."""
    tries, failures = 0, []
    first, second = alerts(1, 5), alerts(6, 2)
    sizes = range(0, len(b"".join(first)), max(1, round(40 / scale)))
    with tempfile.TemporaryDirectory() as directory:
        path = Path(directory) / "lines"
        for writer in WRITERS:
            for size in sizes:
                tries += 1
                path.write_bytes(b"")
                with files_end_at(size), suppress(OutputError, OSError):
                    writer(path, first)
                stood = path.read_bytes()
                writer(path, second)
                why = _broken(stood, size, path.read_bytes(), first, second)
                if why:
                    failures.append(f"{writer.__name__} with {size} bytes of room: {why}")
    return Outcome(tries, failures, f"{len(WRITERS)} writers")


def _broken(stood: bytes, size: int, content: bytes, first: list[bytes], second: list[bytes]) -> str:
    """What is wrong with a file that was full in between, or ""."""
    room, expected = size, b""
    for line in first:
        if len(line) > room:
            break
        room -= len(line)
        expected += line
    if stood != expected:
        return f"found {len(stood)} bytes, expected the {len(expected)} of the lines that fit"
    if content != expected + b"".join(second):
        return "lines of the next run are not whole"
    for line in content.splitlines():
        orjson.loads(line)
    return ""


class Dead:
    """Receivers that take nothing, each in its way."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self._open: list[socket.socket | int] = []

    def entries(self) -> dict[str, OutputEntry]:
        """Outputs to all of them, by what is wrong with each."""
        for name in ("unread", "stalled"):
            os.mkfifo(self._directory / name)
        self._open.append(os.open(self._directory / "stalled", os.O_RDONLY | os.O_NONBLOCK))
        deaf = socket.create_server(("127.0.0.1", 0))  # accepts, and never reads
        silent = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        silent.bind(str(self._directory / "silent"))
        silent.listen()
        full = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        full.bind(str(self._directory / "full"))
        closed = socket.create_server(("127.0.0.1", 0))
        refusing = closed.getsockname()[1]
        closed.close()
        self._open += [deaf, silent, full]
        entries: dict[str, OutputEntry] = {
            "a pipe without a reader": FileEntry(type="file", path=self._directory / "unread", queue_bytes=65536),
            "a pipe whose reader reads nothing": FileEntry(
                type="file", path=self._directory / "stalled", queue_bytes=65536
            ),
            "a full disk": FileEntry(type="file", path=Path("/dev/full"), queue_bytes=65536),
            "a collector that accepts and never reads": SyslogEntry(
                type="syslog", host="127.0.0.1", port=deaf.getsockname()[1], queue_bytes=65536
            ),
            "a collector that refuses": SyslogEntry(type="syslog", host="127.0.0.1", port=refusing, queue_bytes=65536),
            "a socket that is never read": UnixEntry(type="unix", path=self._directory / "silent", queue_bytes=65536),
            "a datagram socket that is full": UnixEntry(
                type="unix", path=self._directory / "full", socket="datagram", queue_bytes=65536
            ),
            "a webhook that accepts and never answers": WebhookEntry(
                type="webhook", url=f"http://127.0.0.1:{deaf.getsockname()[1]}/", batch_s=0.0, queue_bytes=65536
            ),
            "a mail server that never greets": MailEntry(
                type="mail",
                host="127.0.0.1",
                port=deaf.getsockname()[1],
                security="none",
                sender="a@example.org",
                recipients="b@example.org",
                batch_s=0.0,
                queue_bytes=65536,
            ),
        }
        with suppress(ImportError):
            import confluent_kafka  # noqa: F401  # an extra

            entries["a Kafka that hangs"] = KafkaEntry(
                type="kafka", servers=f"127.0.0.1:{deaf.getsockname()[1]}", topic="alerts", queue_bytes=65536
            )
        return entries

    def close(self) -> None:
        """Let go of all of them."""
        for one in self._open:
            if isinstance(one, int):
                os.close(one)
            else:
                one.close()


def dead_outputs(scale: float) -> Outcome:
    """Runs of 6,000 lines beside one dead output, beside all of them, and interrupted."""
    tries, failures, slowest_s = 0, [], 0.0
    patience_s = min(1.0, max(0.2, scale))
    with tempfile.TemporaryDirectory() as directory:
        dead = Dead(Path(directory))
        entries = dead.entries()
        together = list(entries.values())
        cases = [*((name, [entry], False) for name, entry in entries.items()), ("all of them", together, False)]
        cases += [(f"{name}, interrupted", [entry], True) for name, entry in entries.items()]
        for name, those, interrupted in cases:
            tries += 1
            seconds, why = _beside(those, Path(directory) / f"lines-{tries}", patience_s, interrupted=interrupted)
            slowest_s = max(slowest_s, seconds)
            if why:
                failures.append(f"{name}: {why}")
        dead.close()
    return Outcome(tries, failures, f"slowest {slowest_s:.1f} s, of it {patience_s:g} s patience and 5 s for the rest")


def _beside(dead: list[OutputEntry], healthy: Path, patience_s: float, *, interrupted: bool) -> tuple[float, str]:
    """How long a run takes beside dead outputs, and what is wrong with it, or ""."""
    lines = alerts(1, 6_000)
    outputs = Outputs(prepared_outputs([OwnFile(path=healthy), *dead], "gw1"), LONG_S if interrupted else patience_s)
    if interrupted:
        threading.Timer(0.3, outputs.stop_waiting).start()
    began_s = time.monotonic()
    for first in range(0, 6_000, 10):
        outputs.write(lines[first : first + 10])
    written_s = time.monotonic() - began_s
    outputs.close()
    seconds = time.monotonic() - began_s
    if healthy.read_bytes() != b"".join(lines):
        return seconds, "the file beside does not hold every line"
    if written_s > patience_s + SLACK_S or seconds > patience_s + 5 + CONNECT_S + SLACK_S:
        return seconds, f"took {written_s:.1f} s, and {seconds:.1f} s with its end"
    state = outputs.states()[0]
    if state.written + state.lost != 6_000:
        return seconds, f"{state.written} lines written and {state.lost} lost, expected 6,000 together"
    return seconds, ""


CLAIMS: Final = (
    Claim(
        "torn-tails",
        "Half a line or zeros at the end of a file, left by a run or a system that crashed, never spoil a new line, "
        "whatever writes it.",
        "ends of files",
        torn_tails,
        minutes=0.5,
    ),
    Claim(
        "full-disks",
        "A disk that is full after any byte leaves whole lines only, and the next run's lines are whole.",
        "sizes",
        full_disks,
        minutes=0.5,
    ),
    Claim(
        "dead-outputs",
        "Outputs that take nothing hold up a run of 6,000 lines once, side by side, and cost the others no line; an "
        "interrupt ends the waiting.",
        "runs",
        dead_outputs,
        alone=True,
        minutes=1.5,
    ),
)
