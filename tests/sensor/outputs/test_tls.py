"""Syslog over TLS: real receivers, each reason to distrust one, and certificates that a receiver asks for."""

import json
import os
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from sensor.alerts.alert_record import alert_line
from sensor.outputs.outputs import Outputs, prepared_outputs
from sensor.settings.outputs import SyslogEntry
from tests.support.alerts import an_alert
from tests.support.certificates import Authority, Identity
from tests.support.command import flowvigil
from tests.support.receivers import RECEIVERS, received, receiver

pytestmark = pytest.mark.ux

LONG_S = 20.0


@pytest.fixture(scope="module")
def authority(tmp_path_factory: pytest.TempPathFactory) -> Authority:
    return Authority(tmp_path_factory.mktemp("tls") / "authority")


def delivered(entry: SyslogEntry) -> Outputs:
    """An output that had 300 alerts to deliver."""
    outputs = Outputs(prepared_outputs([entry], "gw1"))
    outputs.write([alert_line(an_alert(sequence=number)) for number in range(1, 301)])
    outputs.close(LONG_S)
    return outputs


def refused(entry: SyslogEntry) -> Outputs:
    """The same where nobody may have them."""
    outputs = Outputs(prepared_outputs([entry], "gw1"))
    outputs.write([alert_line(an_alert(sequence=number)) for number in range(1, 301)])
    deadline = time.monotonic() + LONG_S
    while not outputs.problems:
        assert time.monotonic() < deadline
        time.sleep(0.02)
    outputs.close(0.2)
    return outputs


def entry(port: int, ca: Path, spool: Path | None = None, client: Identity | None = None) -> SyslogEntry:
    shown = {} if client is None else {"certificate": client.certificate, "key": client.key}
    return SyslogEntry(type="syslog", host="localhost", port=port, transport="tls", ca=ca, spool=spool, **shown)


def checked(directory: Path, port: int, ca: Path, *more: str) -> str:
    """What `flowvigil check` finds about the output: status, exit code and message."""
    settings = directory / "check.yaml"
    lines = ["outputs:", "- type: syslog", "  host: localhost", "  transport: tls", f"  port: {port}", f"  ca: {ca}"]
    settings.write_text("\n".join([*lines, *more]) + "\n")
    run = flowvigil("check", "--json", "-c", settings, "-m", "nosuch")  # without a model it measures nothing
    found = next(found for line in run.stdout.splitlines() if (found := json.loads(line))["check"] == "outputs")
    return f"{found['status']} {found.get('exit_code', 0)} {found['message']}"


@pytest.mark.parametrize("program", list(RECEIVERS))
def test_alerts_arrive_whole_over_tls_across_a_restart(program: str, authority: Authority, tmp_path: Path) -> None:
    server = authority.identity("localhost")
    with receiver(program, tmp_path, server) as daemon:
        outputs = Outputs(prepared_outputs([entry(daemon.port, authority.ca, tmp_path / "spool")], "gw1"))
        for first in range(1, 1001, 100):
            outputs.write([alert_line(an_alert(sequence=number)) for number in range(first, first + 100)])
            if first == 501:
                daemon.stop()
                daemon.start()
        outputs.close(LONG_S)
        daemon.stop()
        arrived = [number for _, number in received(daemon.out)]
    assert list(dict.fromkeys(arrived)) == list(range(1, 1001))
    assert (outputs.lost, outputs.problems) == (0, [])


@pytest.mark.parametrize("program", list(RECEIVERS))
def test_a_receiver_that_asks_for_a_certificate_takes_ours_and_no_others(
    program: str, authority: Authority, tmp_path: Path
) -> None:
    server, client = authority.identity("localhost"), authority.identity("sensor")
    stranger = Authority(tmp_path / "strangers").identity("sensor")
    with receiver(program, tmp_path, server, asks=True) as daemon:
        for number, shown in enumerate((None, stranger)):
            kept = refused(entry(daemon.port, authority.ca, tmp_path / f"spool{number}", shown))
            assert (kept.states()[0].spooled, kept.lost) == (300, 0)
            (problem,) = kept.problems
            assert "300 spooled" in problem
            assert len(problem) < 250
        taken = delivered(entry(daemon.port, authority.ca, tmp_path / "spool", client))
        assert taken.problems == []
        daemon.stop()
        assert [number for _, number in received(daemon.out)] == list(range(1, 301))


@contextmanager
def answering(answer: Callable[[socket.socket], None]) -> Iterator[int]:
    """The port of a receiver that speaks no TLS."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            with suppress(OSError):
                while True:
                    connection, _ = server.accept()
                    with connection:
                        answer(connection)

        threading.Thread(target=serve, daemon=True).start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)


DISTRUSTED = {
    "another name": (lambda mine, _: mine.identity("elsewhere"), "not valid for 'localhost'"),
    "a certificate that has ended": (lambda mine, _: mine.identity("localhost", -1), "certificate has expired"),
    "an authority that nobody knows": (lambda _, other: other.identity("localhost"), "unable to get local issuer"),
}


@pytest.mark.parametrize(("made", "reason"), DISTRUSTED.values(), ids=list(DISTRUSTED))
def test_a_receiver_that_cannot_be_trusted_gets_nothing_and_what_it_misses_is_kept(
    made: Callable[[Authority, Authority], Identity], reason: str, authority: Authority, tmp_path: Path
) -> None:
    server = made(authority, Authority(tmp_path / "unknown"))
    program = next(iter(RECEIVERS))
    with receiver(program, tmp_path, server) as daemon:
        outputs = refused(entry(daemon.port, authority.ca, tmp_path / "spool"))
        told = checked(tmp_path, daemon.port, authority.ca)
        daemon.stop()
        assert received(daemon.out) == []
    assert (outputs.states()[0].spooled, outputs.lost) == (300, 0)
    (problem,) = outputs.problems
    assert reason in problem
    assert "\n" not in problem
    assert len(problem) < 250
    assert told.startswith("failed 3 ")
    assert reason in told


@pytest.mark.parametrize("answer", [lambda _: None, lambda end: end.sendall(b"syslog\r\n")], ids=["nothing", "words"])
def test_a_receiver_without_tls_gets_nothing_and_what_it_misses_is_kept(
    answer: Callable[[socket.socket], None], authority: Authority, tmp_path: Path
) -> None:
    with answering(answer) as port:
        outputs = refused(entry(port, authority.ca, tmp_path / "spool"))
        told = checked(tmp_path, port, authority.ca)
    assert (outputs.states()[0].spooled, outputs.lost) == (300, 0)
    assert len(outputs.problems[0]) < 250
    assert told.startswith("warning")
    assert "cannot be reached now" in told


def test_files_of_tls_that_are_missing_unreadable_or_none_stop_with_their_names(
    authority: Authority, tmp_path: Path
) -> None:
    mine = authority.identity("sensor")
    (tmp_path / "text").write_text("nothing")
    pair = (f"  certificate: {mine.certificate}", f"  key: {mine.key}")
    sealed = tmp_path / "sealed.key"
    subprocess.run(["openssl", "ec", "-in", mine.key, "-aes128", "-passout", "pass:x", "-out", sealed], check=True,
                   capture_output=True)  # fmt: skip
    wrong: list[tuple[Path, tuple[str, ...], str]] = [
        (tmp_path / "gone.pem", (), f"{tmp_path}/gone.pem: no such file"),
        (tmp_path / "text", (), f"{tmp_path}/text: found no certificate"),
        (authority.ca, (pair[0], f"  key: {tmp_path}/gone.key"), f"{tmp_path}/gone.key: no such file"),
        (authority.ca, (f"  certificate: {tmp_path}", pair[1]), f"{tmp_path}: is a directory"),
        (authority.ca, (pair[0], f"  key: {authority.identity('other').key}"), "the key is another certificate's"),
        (authority.ca, (pair[0], f"  key: {sealed}"), "without a passphrase"),
    ]
    for ca, more, expected in wrong:
        line = checked(tmp_path, 6514, ca, *more)
        assert line.startswith("failed 3 syslog tls localhost:6514: ")
        assert expected in line


def test_a_spool_that_cannot_be_used_is_told_before_the_start(authority: Authority, tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    wrong = {tmp_path / "file": "is no directory", tmp_path / "file" / "x": "is no directory",
             Path("/proc/spool"): "/proc/spool cannot be made"}  # fmt: skip
    if os.geteuid() == 0:  # it becomes nobody, who may not come here
        (tmp_path / "roots").mkdir(mode=0o700)
        wrong |= {
            tmp_path / "roots": "once its privileges have gone, the sensor may not",
            Path("/root/spool"): "may not",
        }
    for spool, expected in wrong.items():
        line = checked(tmp_path, 6514, authority.ca, f"  spool: {spool}")
        assert line.startswith(f"failed 7 spool {spool}: ")
        assert expected in line
    assert not Path("/root/spool").exists()
