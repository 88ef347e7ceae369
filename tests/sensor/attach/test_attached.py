"""`flowvigil watch --attach`: what it shows of a sensor, its exit codes, and what it refuses."""

import os
import re
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest
from typer.testing import CliRunner

from sensor.alerts.alert_record import alert_line
from sensor.alerts.reading import NativeLine
from sensor.attach.client import Attachment
from sensor.attach.place import listen
from sensor.attach.protocol import End, LeftOut, Refused, line_of
from sensor.attach.server import AttachServer
from sensor.cli import app
from sensor.errors import CaptureError
from sensor.process.privileges import User
from sensor.progress.latest import Latest
from sensor.progress.progress import Progress
from tests.support.alerts import an_alert
from tests.support.attached import HELLO, eventually, looking, serving
from tests.support.command import flowvigil, surroundings
from tests.support.native import a_stats_line, an_event_line

pytestmark = pytest.mark.ux

LINES = [alert_line(an_alert()), a_stats_line(), an_event_line()]


@contextmanager
def pretending(directory: Path, *lines: bytes) -> Iterator[None]:
    """Something that listens, says this to the first who comes, and hangs up."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(directory / "sock"))
        listener.listen()
        child = os.fork()
        if not child:
            connection, _ = listener.accept()
            connection.sendall(b"".join(lines))
            os._exit(0)
        yield
        os.waitpid(child, 0)


@pytest.mark.real_start
def test_in_a_pipe_stand_the_lines_of_the_sensor_as_they_were_written(tmp_path: Path) -> None:
    with serving(tmp_path, Latest(Progress(packets=7, alerts=1, attacks=1))) as server:
        server.write(LINES[:1])
        with looking(tmp_path / "sock") as process:
            assert process.stdout is not None
            assert process.stdout.readline() == LINES[0]
            server.write(LINES)
            assert [process.stdout.readline() for _ in LINES] == LINES
            process.send_signal(signal.SIGINT)
            rest, told = process.communicate(timeout=10)
            assert (rest, process.returncode) == (b"", 0)
    assert b"eth0 went down" in told
    assert b"watch eth0 on gw1: 7 packets" in told


@pytest.mark.parametrize(("problem", "code"), [(None, 0), ("eth0 has gone", 5)])
def test_it_ends_as_the_sensor_ends(problem: str | None, code: int, tmp_path: Path) -> None:
    with ExitStack() as sensor:
        server = sensor.enter_context(serving(tmp_path, Latest(problem=problem)))
        with looking(tmp_path / "sock") as process:
            eventually(lambda: bool(server._clients), 20)
            sensor.close()
            _, told = process.communicate(timeout=10)
    assert process.returncode == code, told
    assert problem is None or b"the sensor has ended: eth0 has gone" in told


def test_a_sensor_that_goes_without_a_word_is_exit_code_5(tmp_path: Path) -> None:
    with pretending(tmp_path, line_of(HELLO), LINES[0]):
        result = flowvigil("watch", "--attach", tmp_path / "sock")
    assert result.code == 5
    assert result.stdout == LINES[0]
    assert result.stderr[-1] == "flowvigil: the sensor has gone without a word"


def test_lines_read_too_slowly_are_told_and_are_exit_code_7(tmp_path: Path) -> None:
    with pretending(tmp_path, line_of(HELLO), line_of(LeftOut(12)), LINES[0], line_of(End(None))):
        result = flowvigil("watch", "--attach", tmp_path / "sock", "-q")
    assert result.code == 7
    assert "12 lines of the sensor left out" in result.stderr[0]


@pytest.mark.parametrize(
    ("said", "told"),
    [
        (line_of(HELLO).replace(b"attach/1", b"attach/2"), "found a sensor that speaks attach/2, expected attach/1"),
        (line_of(Refused("full")), "the sensor refused: full"),
        (line_of(End(None)), "found no hello, expected the hello of a running sensor"),
        (b"220 mail ESMTP\r\n", "found no record of this sensor, expected"),
        (b"x" * 100_000, "found something else, expected"),
        (b"", "found an end, expected"),
    ],
    ids=["version", "refused", "end", "mail", "endless", "nothing"],
)
def test_who_is_no_sensor_of_this_protocol_is_one_line(said: bytes, told: str, tmp_path: Path) -> None:
    with pretending(tmp_path, said), pytest.raises(CaptureError, match=re.escape(told)):
        Attachment(tmp_path / "sock")


def test_who_says_nothing_is_not_waited_for_long(tmp_path: Path) -> None:
    place = listen(tmp_path / "sock", None, None)
    with pytest.raises(CaptureError, match="found nothing, expected the hello"):
        Attachment(tmp_path / "sock", hello_s=0.1)
    place.leave()


def test_no_socket_and_a_stale_one_are_one_line_and_exit_code_5(tmp_path: Path) -> None:
    result = flowvigil("watch", "--attach", tmp_path / "none")
    assert result.code == 5
    assert len(result.stderr) == 1
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as killed:
        killed.bind(str(tmp_path / "sock"))
    with pytest.raises(CaptureError, match="nobody listens there"):
        Attachment(tmp_path / "sock")


@pytest.mark.skipif(os.geteuid() != 0, reason="needs root")
@pytest.mark.parametrize(("group", "seen"), [(2345, True), (3456, False)])
def test_members_of_the_group_may_look_and_others_may_not(group: int, seen: bool) -> None:
    with tempfile.TemporaryDirectory() as name:
        Path(name).chmod(0o755)
        place = listen(Path(name) / "sock", User("somebody", 1234, 1234), 2345)
        with AttachServer(place, HELLO, Latest()):
            child = os.fork()
            if not child:
                os.setgroups([group])
                os.setresgid(5678, 5678, 5678)
                os.setresuid(5678, 5678, 5678)
                try:
                    Attachment(place.path)
                    os._exit(0)
                except CaptureError as error:
                    os._exit(error.exit_code if "not permitted" in str(error) else 1)
            _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == (0 if seen else 5)


@pytest.mark.parametrize(
    "option",
    [("-i", "eth0"), ("-o", "x"), ("--write", "x"), ("-m", "x"), ("-c", "x"), ("--set", "a.b=1"), ("--filter", "tcp"),
     ("--promiscuous",), ("--decap",), ("--fail-on", "attack")],
    ids=lambda option: option[0],
)  # fmt: skip
def test_an_option_that_says_how_to_watch_is_refused_by_name(option: tuple[str, ...]) -> None:
    result = CliRunner().invoke(app, ["watch", "--attach", "sock", *option])
    assert result.exit_code == 2
    assert option[0] in result.output
    assert "beside --attach" in " ".join(result.output.split())


def test_lines_that_nobody_can_read_are_passed_over_and_counted(tmp_path: Path) -> None:
    bad = (
        b"\xff\n"
        + LINES[0].replace(b'"reason":"', b'"reason":"' + b"y" * 66_000)
        + line_of(HELLO).replace(b"attach/1", b"attach/7")
    )
    alert = LINES[0].replace(b'"severity":70', b'"severity":700')
    with (
        pretending(tmp_path, line_of(HELLO), bad, alert, LINES[0], line_of(End(None))),
        Attachment(tmp_path / "sock") as attachment,
    ):
        told = [message for message in attachment.messages() if isinstance(message, NativeLine)]
    assert [message.line for message in told] == [alert, LINES[0]]
    assert sum(attachment.errors.left_out.values()) == 3
    assert attachment.ended == End(None)


def test_looking_loads_no_model_and_no_array() -> None:
    code = (
        "import sys; from pathlib import Path; import sensor.cli; from sensor.cli.attached import AttachedView\n"
        "import sensor.alerts.alert_record\n"
        "import sensor.terminal.dashboard, sensor.terminal.terminal_control, sensor.terminal.plain_screens\n"
        "print([name for name in ('numpy', 'numba', 'models', 'flows.meter', 'scapy') if name in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=surroundings())
    assert done.stdout == "[]\n"


def test_a_reader_that_has_gone_is_exit_code_141(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        server.write(LINES)
        with looking(tmp_path / "sock") as process:
            assert process.stdout is not None
            process.stdout.readline()
            process.stdout.close()
            for _ in range(200):
                server.write(LINES)
                time.sleep(0.1)
                if process.poll() is not None:
                    break
            assert process.wait(10) == 141
