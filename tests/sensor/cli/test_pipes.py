"""Commands in pipes, as a shell puts them together: readers that leave, and exit codes for scripts."""

import errno
import fcntl
import gzip
import json
import os
import shlex
import shutil
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from sensor import cli
from sensor.alerts.alert_record import alert_line
from sensor.cli import model
from sensor.cli.check import _write_json
from sensor.cli.evaluation_output import print_figures
from sensor.errors import BROKEN_PIPE, OUTPUT
from tests.support.alerts import an_alert
from tests.support.command import DEMO, FLOWVIGIL, flowvigil, started, surroundings
from tests.trust.lines import stdout_to

pytestmark = pytest.mark.ux

needs_jq = pytest.mark.skipif(shutil.which("jq") is None, reason="needs jq")
needs_bash = pytest.mark.skipif(shutil.which("bash") is None, reason="needs bash")
COMMAND = shlex.join(FLOWVIGIL)
# A command that leaves its text to the end of the process.
CHATTY = """
import sys
from sensor import cli
cli.app.command("chatty")(lambda: sys.stdout.write("x" * 10) and None)
cli.main()
"""
HEADER_BYTES = 24  # of a pcap file


def piped(line: str, directory: Path) -> tuple[list[int], str, str]:
    """Exit codes of all parts of a pipe, its stdout and its stderr."""
    script = f'flowvigil() {{ {COMMAND} "$@"; }}\n{line}\necho "${{PIPESTATUS[@]}}" > codes\n'
    environment = surroundings()
    environment.pop("PYTHONUNBUFFERED", None)  # text waits in a buffer, as it does for anybody
    run = subprocess.run(
        ["bash", "-c", script],
        cwd=directory,
        capture_output=True,
        text=True,
        env=environment,
        timeout=120,
        check=False,
    )
    assert "Traceback" not in run.stderr
    assert "BrokenPipe" not in run.stderr
    return [int(code) for code in (directory / "codes").read_text().split()], run.stdout, run.stderr


@needs_bash
@pytest.mark.parametrize(
    "command",
    [
        f"flowvigil read {DEMO}",
        f"flowvigil flows {DEMO}",
        "flowvigil config show",
        "flowvigil config check empty.yaml",
        "flowvigil schema alert",
        "flowvigil --help",
        "flowvigil read --help",
        "flowvigil --version",
        "flowvigil --show-completion bash",
    ],
)
def test_a_reader_that_is_gone_ends_any_command_quietly(command: str, tmp_path: Path) -> None:
    (tmp_path / "empty.yaml").write_text("")
    # The reader is gone before the first byte comes: its end of the pipe is closed and it has been waited for.
    codes, _, said = piped(f"{{ sleep 0.3; {command}; }} | true", tmp_path)
    assert codes == [141, 0]
    assert "flowvigil: " not in said.replace("flowvigil: first run", "")


@needs_bash
def test_text_that_waits_in_a_buffer_for_a_reader_that_is_gone_ends_quietly_too(tmp_path: Path) -> None:
    (tmp_path / "chatty.py").write_text(CHATTY)
    codes, _, said = piped(f"{{ sleep 0.3; {sys.executable} chatty.py chatty; }} | true", tmp_path)
    assert (codes, said) == ([141, 0], "")


@needs_bash
@pytest.mark.parametrize("command", ["flowvigil --help", "flowvigil --version", "python chatty.py chatty"])
def test_a_full_output_is_exit_code_7_whoever_writes_to_it(command: str, tmp_path: Path) -> None:
    (tmp_path / "chatty.py").write_text(CHATTY)
    codes, _, said = piped(f"{command.replace('python', sys.executable)} > /dev/full | true", tmp_path)
    assert (codes, said) == ([7, 0], "flowvigil: stdout: no space left\n")


@needs_bash
def test_the_first_line_can_be_taken_alone(tmp_path: Path) -> None:
    codes, line, said = piped(f"flowvigil read {DEMO} | head -1", tmp_path)
    # All alerts of the demo fit into a pipe: a reader that leaves late was still given everything.
    assert codes[0] in (0, 141)
    assert line.startswith('{"@timestamp"')
    assert line.count("\n") == 1
    assert codes[0] == 0 or said == ""


@needs_bash
@needs_jq
def test_jq_reads_what_read_writes(tmp_path: Path) -> None:
    query = 'select(.event.action == "opened") | .source.ip'
    codes, lines, _ = piped(f"flowvigil read -q {DEMO} | jq -r '{query}'", tmp_path)
    assert codes == [0, 0]
    assert len(set(lines.splitlines())) == 4


@pytest.mark.parametrize("fail_on", ["attack", "uncertain"])
def test_a_find_is_exit_code_10(fail_on: str) -> None:
    result = flowvigil("read", "-q", DEMO, "--fail-on", fail_on)
    assert (result.code, result.stderr) == (10, [])
    assert result.stdout == flowvigil("read", "-q", DEMO).stdout


def test_nothing_found_is_exit_code_0_and_damage_is_told_by_6(tmp_path: Path) -> None:
    content = gzip.decompress(DEMO.read_bytes())
    length = int.from_bytes(content[HEADER_BYTES + 8 : HEADER_BYTES + 12], "little")
    first = content[: HEADER_BYTES + 16 + length]
    (tmp_path / "one.pcap").write_bytes(first)
    assert flowvigil("read", "-q", tmp_path / "one.pcap", "--fail-on", "uncertain").code == 0
    (tmp_path / "cut.pcap").write_bytes(first + b"\x00" * 5)
    assert flowvigil("read", "-q", tmp_path / "cut.pcap", "--fail-on", "uncertain").code == 6


def test_a_find_in_a_damaged_capture_is_exit_code_10_and_the_damage_is_named(tmp_path: Path) -> None:
    (tmp_path / "cut.pcap").write_bytes(gzip.decompress(DEMO.read_bytes())[:-5])
    result = flowvigil("read", "-q", tmp_path / "cut.pcap", "--fail-on", "attack")
    assert result.code == 10
    assert "cut.pcap: truncated" in result.stderr[0]


def test_what_is_no_find_is_a_fault_of_usage() -> None:
    result = flowvigil("read", DEMO, "--fail-on", "anything")
    assert result.code == 2
    assert "'anything'" in result.stderr[-1]


@pytest.mark.parametrize("unbuffered", ["", "1"])
@pytest.mark.parametrize(
    "arguments",
    [("schema", "alert"), ("flows", str(DEMO), "-q")],
    ids=lambda arguments: arguments[0],
)
def test_a_stdout_that_does_not_wait_is_waited_for(arguments: tuple[str, ...], unbuffered: str) -> None:
    """As another process that shares it may have set it; what it has no room for is not lost."""
    wanted = flowvigil(*arguments).stdout
    reader, writer = os.pipe()
    os.set_blocking(writer, False)
    filling = b"x" * fcntl.fcntl(writer, fcntl.F_GETPIPE_SZ)
    os.write(writer, filling)
    command = subprocess.Popen(
        [*FLOWVIGIL, *arguments], stdout=writer, stderr=subprocess.PIPE, env=surroundings(PYTHONUNBUFFERED=unbuffered)
    )
    os.close(writer)
    with os.fdopen(reader, "rb") as rest:
        time.sleep(1.0)
        content = rest.read()
    _, stderr = command.communicate(timeout=60)
    assert command.returncode == 0, stderr
    assert content == filling + wanted


@pytest.mark.skipif(os.name != "posix" or os.geteuid() != 0, reason="needs root")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_disk_that_takes_part_of_a_text_is_told(tmp_path: Path, unbuffered: str) -> None:
    subprocess.run(["mount", "-t", "tmpfs", "-o", "size=4k", "tmpfs", tmp_path], check=True)
    try:
        with (tmp_path / "schema.json").open("wb") as out:
            environment = surroundings(PYTHONUNBUFFERED=unbuffered)
            done = subprocess.run(
                [*FLOWVIGIL, "schema", "alert"], stdout=out, stderr=subprocess.PIPE, env=environment, check=False
            )
    finally:
        subprocess.run(["umount", tmp_path], check=True)
    assert (done.returncode, done.stderr) == (7, b"flowvigil: stdout: no space left\n")


# A command that opens a file, as one of alerts, and says what the descriptors of the streams lead to.
OPENING = """
import os, sys
from sensor import cli
def opening():
    with open(os.environ["OPENED"], "wb") as out:
        out.write("\\n".join(os.readlink(f"/proc/self/fd/{number}") for number in range(3)).encode())
cli.app.command("opening")(opening)
sys.argv[1:] = ["opening"]
cli.main()
"""


@pytest.mark.skipif(sys.platform != "linux", reason="looks into /proc")
@pytest.mark.parametrize("closed", ["<&-", "2>&-", "<&- 2>&-", "<&- >&-", "<&- >&- 2>&-"])
def test_no_file_gets_the_descriptor_of_a_closed_stream(tmp_path: Path, closed: str) -> None:
    path = tmp_path / "alerts"
    script = f"exec {shlex.join((sys.executable, '-c', OPENING))} {closed}"
    environment = surroundings(OPENED=str(path))
    subprocess.run(["sh", "-c", script], check=True, timeout=60, env=environment, stdout=subprocess.DEVNULL)
    leads_to = path.read_text().splitlines()
    assert len(leads_to) == 3
    assert str(path) not in leads_to


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("stderr", ["full", "gone"])
def test_what_nobody_reads_on_stderr_ends_no_run(tmp_path: Path, stderr: str) -> None:
    reader, writer = os.pipe()
    os.close(reader)
    with open("/dev/full", "wb") as full, os.fdopen(writer, "wb") as gone:
        for arguments in (("read", DEMO, "-o", tmp_path / "alerts"), ("report", DEMO, "-o", tmp_path / "page.html")):
            done = subprocess.run(
                [*FLOWVIGIL, *arguments],
                stdout=subprocess.DEVNULL, stderr=full if stderr == "full" else gone, env=surroundings(), check=False,
            )  # fmt: skip
            assert done.returncode == 0
    assert (tmp_path / "alerts").read_bytes().count(b"\n") > 10


@pytest.mark.parametrize(
    "command", ["read -", "flows -", "report - -o x.html", "rehearse -", "alerts convert -", "alerts tail -"]
)
def test_a_closed_stdin_is_told_in_one_line(tmp_path: Path, command: str) -> None:
    script = f"exec {COMMAND} {command} <&-"
    done = subprocess.run(
        ["sh", "-c", script], capture_output=True, env=surroundings(), timeout=60, cwd=tmp_path, check=False
    )
    assert done.returncode == 6
    assert done.stderr.startswith(b"flowvigil: -: ")
    assert done.stderr.count(b"\n") == 1


@pytest.mark.parametrize(
    "write",
    [
        lambda: print_figures({"rows": 3}, lambda _: "", as_json=True),
        lambda: _write_json({"check": "all"}),
        lambda: model._write_json({"name": "default"}),
    ],
)
def test_json_behind_half_a_line_begins_on_a_line_of_its_own(write: Callable[[], None], tmp_path: Path) -> None:
    path = tmp_path / "all.jsonl"
    path.write_bytes(b'{"cut": ')
    with stdout_to(path):
        write()
    half, text = path.read_text().split("\n", 1)
    assert half == '{"cut": '
    assert json.loads(text)


def test_a_disk_that_is_full_elsewhere_is_not_said_to_be_that_of_stdout(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli._report_unexpected(OSError(errno.ENOSPC, "full", None)) == OUTPUT
    assert capsys.readouterr().err == "flowvigil: a file: no space left\n"


def test_who_has_nothing_to_write_notices_that_its_reader_has_left(tmp_path: Path) -> None:
    alerts = tmp_path / "alerts.jsonl"
    alerts.write_bytes(alert_line(an_alert(sequence=1)))
    process = started("alerts", "tail", "-f", alerts)
    assert process.stdout is not None
    process.stdout.readline()
    process.stdout.close()
    try:
        assert process.wait(20.0) == BROKEN_PIPE
    finally:
        process.kill()
