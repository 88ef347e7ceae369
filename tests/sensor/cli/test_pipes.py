"""Commands in pipes, as a shell puts them together: readers that leave, and exit codes for scripts."""

import gzip
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.command import DEMO, FLOWVIGIL, flowvigil, surroundings

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
    assert (codes, said) == ([7, 0], "flowvigil: stdout: no space left on device\n")


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
