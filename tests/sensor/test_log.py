"""Messages on stderr: text for people, JSON lines for a collector, and nothing that a terminal obeys."""

import contextlib
import io
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sensor import log
from sensor.progress.progress import Progress
from sensor.terminal.json_log import JsonLog
from tests.support.command import DEMO, flowvigil

pytestmark = pytest.mark.ux


@pytest.fixture(autouse=True)
def as_found() -> Iterator[None]:
    yield
    log.set_format(log.LogFormat.TEXT)
    log.set_level(log.Level.INFO)


def test_text_begins_with_the_programs_name_and_progress_without(capsys: pytest.CaptureFixture[str]) -> None:
    log.info("ready")
    log.progress("half done")
    log.error("stopped", ["  tcp prot 443", "      ^"])
    assert capsys.readouterr().err == "flowvigil: ready\nhalf done\nflowvigil: stopped\n  tcp prot 443\n      ^\n"


def test_what_matters_less_than_asked_for_is_left_out(capsys: pytest.CaptureFixture[str]) -> None:
    log.debug("details")
    assert capsys.readouterr().err == ""
    log.set_level(log.Level.DEBUG)
    log.debug("details")
    assert capsys.readouterr().err == "flowvigil: details\n"


@given(st.text(max_size=80))
def test_any_message_is_one_printable_line_in_either_form(message: str) -> None:
    try:
        for form in log.LogFormat:
            log.set_format(form)
            stream = io.StringIO()
            log.write(stream, log.Level.WARNING, message)
            line = stream.getvalue()
            assert line.endswith("\n")
            assert line[:-1].isprintable()
    finally:
        log.set_format(log.LogFormat.TEXT)
    assert json.loads(line)["log"]["level"] == "warning"


def test_a_stream_that_takes_nothing_stops_nobody() -> None:
    stream = io.StringIO()
    stream.close()
    log.write(stream, log.Level.INFO, "x")
    full = Path("/dev/full").open("w")  # noqa: SIM115  # closing it would try again
    log.write(full, log.Level.INFO, "x")
    with contextlib.suppress(OSError):
        full.close()


def test_messages_can_be_collected_instead(capsys: pytest.CaptureFixture[str]) -> None:
    with log.collected() as said:
        log.warning("no cache")
    assert said == ["no cache"]
    assert capsys.readouterr().err == ""


def test_the_end_of_a_run_has_its_totals_as_fields() -> None:
    log.set_format(log.LogFormat.JSON)
    stream = io.StringIO()
    screen = JsonLog(stream, "read", "x.pcap", quiet=False)
    screen.note("fv0 went down")
    screen.finish(
        Progress(packets=12, flows=3, alerts=2, attacks=1, uncertain=1, undecoded={"arp": 1}), ["x.pcap: cut"]
    )
    note, totals, problem = (json.loads(line) for line in stream.getvalue().splitlines())
    assert (note["message"], note["log"]["level"]) == ("fv0 went down", "info")
    assert totals["message"] == "read x.pcap ended"
    assert totals["flowvigil"]["packets"] == 12
    assert totals["flowvigil"]["alerts"] == {"opened": 2, "attack": 1, "uncertain": 1, "merged": 0}
    assert totals["flowvigil"]["undecoded"] == {"arp": 1}
    assert (problem["message"], problem["log"]["level"]) == ("x.pcap: cut", "error")


def test_a_command_logs_json_lines_when_asked_by_option_or_environment() -> None:
    for result in (
        flowvigil("--log-format", "json", "read", DEMO),
        flowvigil("read", DEMO, FLOWVIGIL_LOG_FORMAT="json"),
    ):
        assert result.code == 0
        (line,) = map(json.loads, result.stderr)
        assert line["event"] == {"kind": "event", "dataset": "flowvigil.log"}
        assert line["flowvigil"]["packets"] == 32858


@pytest.mark.parametrize(
    ("arguments", "code"),
    [(("read", "nothing.pcap"), 6), (("read", "--nothing"), 2), (("nothing",), 2), (("config", "check", "no.yaml"), 3)],
)
def test_the_reason_of_a_stop_is_a_json_line_with_the_exit_code(arguments: tuple[str, ...], code: int) -> None:
    result = flowvigil("--log-format", "json", *arguments)
    assert result.code == code
    line = json.loads(result.stderr[-1])
    assert (line["log"]["level"], line["process"]["exit_code"]) == ("error", code)


def test_verbose_says_where_settings_come_from() -> None:
    result = flowvigil("-v", "config", "show", "--set", "meter.idle_timeout_s=60")
    assert result.stderr == ["flowvigil: meter.idle_timeout_s comes from --set meter.idle_timeout_s=60"]


def test_an_unknown_form_is_a_fault_of_usage() -> None:
    assert flowvigil("--log-format", "xml", "--help").code in (0, 2)
    assert flowvigil("--log-format", "xml", "config", "show").code == 2


def test_logging_text_loads_no_package_beside_the_standard_library() -> None:
    program = """
import sys
from sensor import log
log.info("x")
print([name for name in ("orjson", "logging", "asyncio") if name in sys.modules])
"""
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, cwd=Path(__file__).parents[2]
    )
    assert run.stdout == b"[]\n"


@pytest.mark.skipif(os.name != "posix", reason="select() of pipes is POSIX's")
def test_a_run_that_must_not_stand_still_drops_messages_that_nobody_takes() -> None:
    program = """
import os, sys
from sensor import log
reader, writer = os.pipe()
os.set_blocking(writer, False)
filled = 0
while filled < 1 << 16:
    filled += os.write(writer, bytes(4096))
os.set_blocking(writer, True)
sys.stderr = os.fdopen(writer, "w")
log.wait_for_nobody()
log.error("dropped")
os.read(reader, 1 << 16)
log.error("written")
print(os.read(reader, 1 << 16))
"""
    run = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, check=True, cwd=Path(__file__).parents[2], timeout=20
    )
    assert run.stdout == b"b'flowvigil: written\\n'\n"
