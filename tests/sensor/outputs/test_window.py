"""What may still be lost when a connection breaks, and is sent again: as much as a receiver's socket holds."""

import os
import socket
import time
from pathlib import Path

import pytest

from sensor.alerts.alert_record import alert_line
from sensor.outputs.outputs import Outputs, prepared_outputs
from sensor.outputs.window import Window
from sensor.settings.outputs import OutputEntry, SyslogEntry, UnixEntry
from tests.support.alerts import an_alert
from tests.support.waiting import wait_until

pytestmark = pytest.mark.ux

MIB = 1 << 20
LARGEST_SOCKET = 6 * MIB  # tcp_rmem, as Linux has it by default
SO_RCVBUFFORCE = 33
LONG_S = 20.0


def test_a_message_counts_as_read_once_more_than_any_socket_holds_was_sent_after_it() -> None:
    window = Window()
    for second in range(9):
        window.sent(MIB, float(second) / 10)
        expected = 1 if second == 8 else 0  # eight more MiB after the first
        assert window.safe(second / 10) == expected
    assert len(window) == 8


def test_a_message_counts_as_read_after_half_a_minute_without_a_break() -> None:
    window = Window()
    window.sent(100, 0.0)
    window.sent(100, 10.0)
    assert [window.safe(now_s) for now_s in (29.9, 30.0, 39.9, 40.0)] == [0, 1, 0, 1]


def test_what_the_receivers_kernel_has_not_acknowledged_is_not_counted_as_read() -> None:
    window = Window()
    for _ in range(3):
        window.sent(100, 0.0)
    assert [window.safe(3600.0, left) for left in (300, 250, 200, 101, 1, 0)] == [0, 0, 1, 0, 1, 1]


def test_lines_that_nobody_has_read_are_not_delivered_however_long_they_lie_there(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sensor.outputs.window.SETTLED_S", 0.05)
    lines = [alert_line(an_alert(sequence=number)) for number in range(1, 51)]
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "receiver"))
        server.listen()
        server.settimeout(LONG_S)
        entry = UnixEntry(type="unix", path=tmp_path / "receiver", spool=tmp_path / "spool")
        outputs = Outputs(prepared_outputs([entry], "gw1"))
        outputs.write(lines)
        hangs, _ = server.accept()
        wait_until(lambda: len(hangs.recv(1 << 20, socket.MSG_PEEK)) == len(b"".join(lines)))
        time.sleep(0.5)
        assert (outputs.states()[0].written, outputs.states()[0].spooled) == (0, 50)
        hangs.close()
        reads, _ = server.accept()
        reads.settimeout(LONG_S)
        content = b""
        while len(content) < len(b"".join(lines)):
            content += reads.recv(1 << 20)
        assert content == b"".join(lines)
        wait_until(lambda: outputs.states()[0].written == 50)
        reads.close()
        outputs.close(LONG_S)
    assert outputs.lost == 0


@pytest.mark.parametrize("family", [socket.AF_UNIX, socket.AF_INET])
def test_lines_that_no_kernel_has_acknowledged_by_the_end_are_lost_without_a_spool(
    family: socket.AddressFamily, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What lies in a Unix socket is read by whoever is slow."""
    lines = [alert_line(an_alert(sequence=number)) for number in range(1, 51)]
    monkeypatch.setattr("sensor.outputs.streams._unacknowledged", lambda _socket: len(lines[-1]) + 1)
    with socket.socket(family) as server:
        server.bind(str(tmp_path / "receiver") if family == socket.AF_UNIX else ("127.0.0.1", 0))
        server.listen()
        entry: OutputEntry = UnixEntry(type="unix", path=tmp_path / "receiver")
        if family == socket.AF_INET:
            entry = SyslogEntry(type="syslog", host="127.0.0.1", port=server.getsockname()[1])
        outputs = Outputs(prepared_outputs([entry], "gw1"))
        outputs.write(lines)
        wait_until(lambda: outputs.states()[0].up)
        outputs.close(0.5)
    lost = 0 if family == socket.AF_UNIX else 1
    assert (outputs.lost, outputs.states()[0].written) == (lost, 50 - lost)


def test_what_a_socket_can_hold_is_not_counted_as_read() -> None:
    window = Window()
    for _ in range(LARGEST_SOCKET // 1000):
        window.sent(1000, 0.0)
    assert window.safe(29.0) == 0
    assert window.all_read() == LARGEST_SOCKET // 1000
    assert window.all_read() == 0


@pytest.mark.skipif(os.geteuid() != 0 or os.name != "posix", reason="a large socket needs root")
def test_millions_of_bytes_that_a_receiver_had_not_read_when_it_ended_are_sent_again(tmp_path: Path) -> None:
    lines = [alert_line(an_alert(sequence=number)) for number in range(1, 2501)]
    size = sum(map(len, lines))
    assert size > 3 * MIB
    with socket.socket() as server:
        server.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, LARGEST_SOCKET)
        server.bind(("127.0.0.1", 0))
        server.listen()
        server.settimeout(LONG_S)
        entry = SyslogEntry(type="syslog", host="127.0.0.1", port=server.getsockname()[1], spool=tmp_path / "spool")
        outputs = Outputs(prepared_outputs([entry], "gw1"), patience_s=LONG_S)
        outputs.write(lines)
        first, _ = server.accept()
        taken = 0
        while taken < size:  # all of it lies in the receiver's socket
            taken = len(first.recv(1 << 23, socket.MSG_PEEK))
            time.sleep(0.02)
        time.sleep(0.3)
        first.close()
        second, _ = server.accept()
        second.settimeout(LONG_S)
        content = b""
        while content.count(b"flowvigil.alert") < len(lines):
            part = second.recv(MIB)
            assert part
            content += part
        second.close()
        outputs.close(0.2)
    assert content.index(b'"sequence":1,') < content.index(b'"sequence":2500,')
