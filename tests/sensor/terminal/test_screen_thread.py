"""A screen in a thread of its own: whatever the terminal does, whoever tells it something goes on."""

import fcntl
import io
import os
import pty
import signal
import struct
import subprocess
import sys
import termios
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pytest
from rich.console import Console

from sensor.alerts.alert import Alert
from sensor.progress.progress import Progress
from sensor.signals import handling
from sensor.terminal.plain_screens import SummaryLine
from sensor.terminal.screen_thread import MAX_ALERTS, MAX_NOTES, ScreenThread, own_stream
from sensor.terminal.scroll_view import ScrollView
from tests.support.alerts import an_alert
from tests.support.waiting import wait_until

pytestmark = pytest.mark.ux

LONG_S = 10.0


class Recorder:
    """A screen that remembers what it is told, and may be held up."""

    def __init__(self) -> None:
        self.told: list[tuple[Any, ...]] = []
        self.free = threading.Event()
        self.free.set()
        self.entered = threading.Event()

    def update(self, progress: Progress, alerts: Sequence[Alert]) -> None:
        self.entered.set()
        self.free.wait(LONG_S)
        self.told.append(("update", progress.packets, [alert.id for alert in alerts]))

    def note(self, message: str) -> None:
        self.told.append(("note", message))

    def left_out(self, alerts: int) -> None:
        self.told.append(("left out", alerts))

    def finish(self, progress: Progress, problems: Sequence[str] = ()) -> None:
        self.told.append(("finish", progress.packets, *problems))


@contextmanager
def held_up(recorder: Recorder) -> Iterator[ScreenThread]:
    """A screen that hangs in its first update until the block is left."""
    recorder.free.clear()
    with ScreenThread(recorder) as screen:
        screen.update(Progress(), [])
        assert recorder.entered.wait(LONG_S)
        yield screen
        recorder.free.set()


def test_what_is_told_arrives_in_order_and_the_end_last() -> None:
    recorder = Recorder()
    with ScreenThread(recorder) as screen:
        screen.update(Progress(packets=1), [an_alert(id="A")])
        screen.note("eth0 went down")
        screen.finish(Progress(packets=2), ["a problem"])
    assert ("note", "eth0 went down") in recorder.told
    assert ("update", 1, ["A"]) in recorder.told
    assert recorder.told[-1] == ("finish", 2, "a problem")


def test_a_screen_that_hangs_gets_the_newest_totals_and_every_alert_once() -> None:
    recorder = Recorder()
    with held_up(recorder) as screen:
        for step in range(1, 101):
            screen.update(Progress(packets=step), [an_alert(id=str(step))])
    assert recorder.told == [("update", 0, []), ("update", 100, [str(step) for step in range(1, 101)])]


def test_too_many_alerts_are_counted_and_the_gravest_are_kept() -> None:
    recorder = Recorder()
    many = 5 * MAX_ALERTS
    with held_up(recorder) as screen:
        screen.update(Progress(), [an_alert(id="worst", risk=99.0)])
        for step in range(many):
            screen.update(Progress(packets=step), [an_alert(id=str(step), risk=1.0)])
    left_out = sum(told[1] for told in recorder.told if told[0] == "left out")
    (kept,) = (told[2] for told in recorder.told if told[0] == "update" and told[2])
    assert kept[0] == "worst"
    assert len(kept) < 2 * MAX_ALERTS
    assert left_out + len(kept) == many + 1


def test_too_many_events_are_counted() -> None:
    recorder = Recorder()
    with held_up(recorder) as screen:
        for step in range(MAX_NOTES + 7):
            screen.note(str(step))
    notes = [told[1] for told in recorder.told if told[0] == "note"]
    assert notes == [*map(str, range(MAX_NOTES)), "and 7 more events"]


def test_an_event_is_told_without_waiting_for_the_next_drawing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sensor.terminal.screen_thread.INTERVAL_S", 60.0)
    recorder = Recorder()
    with ScreenThread(recorder) as screen:
        for message in ("first", "second"):
            screen.note(message)
            wait_until(lambda told=("note", message): told in recorder.told)


def test_a_line_for_each_event_goes_to_stderr_when_stdout_carries_json() -> None:
    stream = io.StringIO()
    with ScreenThread(SummaryLine(stream, "watch", "eth0")) as screen:
        screen.note("eth0 went down")
        screen.finish(Progress(packets=3))
    first, second = stream.getvalue().splitlines()
    assert first == "flowvigil: eth0 went down"
    assert second.startswith("flowvigil: watch eth0: 3 packets")


def test_a_run_that_fails_leaves_the_screen_in_order() -> None:
    stream = io.StringIO()
    console = Console(file=stream, force_terminal=True, _environ={"TERM": "xterm"})

    def fail() -> None:
        with ScreenThread(ScrollView(console, "watch", "eth0")) as screen:
            screen.update(Progress(), [])
            raise RuntimeError

    with pytest.raises(RuntimeError):
        fail()
    assert stream.getvalue().rindex("\x1b[?25h") > stream.getvalue().rindex("\x1b[?25l")


@pytest.mark.filterwarnings("error::pytest.PytestUnhandledThreadExceptionWarning")
class Hasty(Recorder):
    """A screen whose operator ends the run with a key as soon as it is there."""

    def __enter__(self) -> None:
        self.told.append(("entered",))
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGTERM)

    def __exit__(self, *_error: object) -> None:
        time.sleep(0.002)  # as a terminal takes its time
        self.told.append(("left",))


def test_a_run_that_is_ended_while_its_screen_begins_leaves_it() -> None:
    def end(_number: int, _frame: object) -> None:
        raise SystemExit

    for _ in range(200):
        hasty = Hasty()
        with handling({signal.SIGTERM: end}), pytest.raises(SystemExit), ScreenThread(hasty):
            time.sleep(LONG_S)
        assert hasty.told == [("entered",), ("left",)]


def test_a_terminal_that_was_closed_ends_only_the_screen() -> None:
    class Gone(Recorder):
        def update(self, _progress: Progress, _alerts: Sequence[Alert]) -> None:
            raise OSError("Input/output error")

    with ScreenThread(Gone()) as screen:
        for _ in range(10):
            screen.update(Progress(), [])
        screen.finish(Progress())


def test_a_stream_of_its_own_shares_the_file_and_no_lock() -> None:
    reader, writer = os.pipe()
    with os.fdopen(writer, "w") as stream, own_stream(stream) as own, os.fdopen(reader) as reading:
        assert own is not stream
        own.write("x\n")
        own.flush()
        assert reading.readline() == "x\n"
    memory = io.StringIO()
    assert own_stream(memory) is memory


# A watch in short: it tells the screen far more than a terminal holds back, notes how long that took, and ends.
WATCH = """
import sys, time
sys.path.insert(0, "")
from rich.console import Console
from sensor.progress.progress import Progress
from sensor.terminal.screen_thread import ScreenThread, own_stream
from sensor.signals import handling
from sensor.terminal.plain_screens import SummaryLine
from sensor.terminal.scroll_view import ScrollView
from tests.support.alerts import an_alert
from tests.support.waiting import wait_until

stream = own_stream(sys.stdout)
with ScreenThread({screen}) as screen:
    worst, end = 0.0, time.monotonic() + 1.0
    step = 0
    while time.monotonic() < end:
        start = time.monotonic()
        screen.update(Progress(packets=step, elapsed_s=step / 10), [an_alert(id=str(step))])
        screen.note("x" * 300)
        worst = max(worst, time.monotonic() - start)
        step += 1
        time.sleep(0.002)
    screen.finish(Progress(packets=step))
    print(worst, time.monotonic() - end, file=sys.stderr)
sys.exit(7)
"""


@pytest.mark.parametrize(
    ("screen", "stop"),
    [
        ('ScrollView(Console(file=stream), "watch", "eth0")', None),
        ('ScrollView(Console(file=stream), "watch", "eth0")', termios.TCOOFF),
        ('SummaryLine(stream, "watch", "eth0")', termios.TCOOFF),
    ],
    ids=["nobody reads", "stopped with Ctrl-S", "a line stopped with Ctrl-S"],
)
def test_a_terminal_that_takes_nothing_does_not_keep_the_process(screen: str, stop: int | None) -> None:
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    if stop is not None:
        termios.tcflow(slave, stop)
    # Without buffers there are no locks that an ending process could wait for.
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"} | {"TERM": "xterm"}
    start = time.monotonic()
    process = subprocess.Popen(
        [sys.executable, "-c", WATCH.replace("{screen}", screen)],
        stdin=slave, stdout=slave, stderr=subprocess.PIPE, env=environment, text=True,
    )  # fmt: skip
    try:
        _, stderr = process.communicate(timeout=30)
    finally:
        process.kill()
        process.wait()
        os.close(slave)
        os.close(master)
    assert process.returncode == 7, stderr
    longest_s, ending_s = map(float, stderr.split())
    assert longest_s < 1  # whoever waited for the terminal would for ever
    assert 1.9 < ending_s < 8
    assert time.monotonic() - start < 20  # 1 s of work, 2 s of patience, and Python's start


def test_a_terminal_that_goes_on_after_ctrl_s_shows_how_it_ended() -> None:
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    stream = open(os.dup(slave), "w")  # noqa: SIM115
    shown = bytearray()
    reading = threading.Thread(target=read_all, args=(master, shown.extend), daemon=True)
    reading.start()
    with ScreenThread(ScrollView(Console(file=stream, _environ={"TERM": "xterm"}), "watch", "eth0")) as screen:
        termios.tcflow(slave, termios.TCOOFF)
        for step in range(20):
            screen.update(Progress(packets=step), [an_alert(id=str(step), risk=float(step))])
            time.sleep(0.01)
        time.sleep(0.6)
        termios.tcflow(slave, termios.TCOON)
        screen.finish(Progress(packets=1234, alerts=20, attacks=20))
    stream.close()
    os.close(slave)
    reading.join(LONG_S)
    os.close(master)
    text = shown.decode()
    assert "1,234 packets" in text
    assert "risk  19.0" in text


def read_all(descriptor: int, take: Callable[[bytes], None]) -> None:
    try:
        while content := os.read(descriptor, 65536):
            take(content)
    except OSError:  # the other end was closed
        return
