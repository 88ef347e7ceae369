"""What an operator gets wrong is one line and the documented exit code, whichever command hears it."""

import io
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from sensor.cli.stdout import encoding_for
from tests.support.command import DEMO, FLOWVIGIL, ended, flowvigil, surroundings

pytestmark = [pytest.mark.ux, pytest.mark.takes(12)]

# Root without its capabilities may read no more than others may.
BOUND = ("setpriv", "--bounding-set=-all", "--inh-caps=-all")
PLAIN = () if os.name == "nt" or os.geteuid() else BOUND


@pytest.mark.skipif(bool(PLAIN) and shutil.which("setpriv") is None, reason="needs setpriv (util-linux)")
@pytest.mark.parametrize(
    ("code", "arguments"),
    [
        (6, "read {}"),
        (3, "read {demo} -c {}"),
        (6, "flows {}"),
        (6, "alerts convert {}"),
        (6, "report {} -o page.html"),
        (3, "config check {}"),
        (3, "config show -c {}"),
        (3, "train {} -o bundle"),
        (6, "evaluate cic2017 {}"),
        (6, "explore {} -o page.html"),
        (3, "serve --token-file {}"),
    ],
)
def test_a_file_that_may_not_be_read_has_the_code_of_what_it_was_to_be(
    tmp_path: Path, code: int, arguments: str
) -> None:
    secret = tmp_path / "secret.csv"
    secret.write_text("a")
    secret.chmod(0)
    words = [word.format(secret, demo=DEMO) for word in arguments.split()]
    run = subprocess.run(
        [*PLAIN, *FLOWVIGIL, *words], cwd=tmp_path, capture_output=True, timeout=120, env=surroundings(), check=False
    )
    result = ended(run.returncode, run.stdout, run.stderr)
    said = [line for line in result.stderr if line.startswith("flowvigil: ") and "first run" not in line]
    assert (result.code, len(said)) == (code, 1), result.stderr
    assert "ermission denied" in said[0]


@pytest.mark.skipif(bool(PLAIN) and shutil.which("setpriv") is None, reason="needs setpriv (util-linux)")
def test_a_file_that_may_be_written_only_takes_alerts(tmp_path: Path) -> None:
    output = tmp_path / "alerts.jsonl"
    output.touch(mode=0o200)
    assert flowvigil("config", "show", "-o", output, prefix=PLAIN).code == 0


@pytest.mark.parametrize("command", [("schema",), ("read",), ("alerts", "show"), ("config", "check")])
def test_a_missing_argument_is_one_line(command: tuple[str, ...]) -> None:
    result = flowvigil(*command)
    assert (result.code, len(result.stderr)) == (2, 1)
    assert result.stderr[0].startswith(f"flowvigil: {' '.join(command)} needs ")


@pytest.mark.parametrize("group", [(), ("alerts",), ("config",)])
def test_a_group_alone_shows_its_help(group: tuple[str, ...]) -> None:
    result = flowvigil(*group)
    assert result.code == 2
    assert any("Usage: flowvigil" in line for line in result.stderr)


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs /dev/full")
@pytest.mark.parametrize("unbuffered", ["", "1"], ids=["buffered", "unbuffered"])
def test_a_full_stdout_is_told_once(unbuffered: str) -> None:
    with open("/dev/full", "wb") as full:
        run = subprocess.run(
            [*FLOWVIGIL, "read", "-q", DEMO],
            stdout=full,
            stderr=subprocess.PIPE,
            timeout=120,
            env=surroundings(PYTHONUNBUFFERED=unbuffered),
            check=False,
        )
    result = ended(run.returncode, b"", run.stderr)
    (told,) = result.stderr
    assert result.code == 7
    assert re.fullmatch(r"flowvigil: stdout: no space left, after no whole lines, \d+ lost", told)


@pytest.mark.parametrize("command", ["read -", "report - -o page.html", "flows -"])
def test_a_closed_stdin_is_an_input_that_cannot_be_opened(tmp_path: Path, command: str) -> None:
    script = f"{FLOWVIGIL[0]} -c '{FLOWVIGIL[2]}' {command} <&-"
    run = subprocess.run(
        ["bash", "-c", script], cwd=tmp_path, capture_output=True, timeout=120, env=surroundings(), check=False
    )
    result = ended(run.returncode, run.stdout, run.stderr)
    said = [line for line in result.stderr if "first run" not in line]
    assert (result.code, len(said)) == (6, 1), said
    assert "bad file descriptor" in said[0].lower()


def test_an_interrupt_while_the_command_line_is_loaded_is_one_line() -> None:
    interrupted = """
import sys
import sensor.__main__
class Interrupted:
    def find_spec(self, name, path=None, target=None):
        if name == "typer":
            raise KeyboardInterrupt
sys.meta_path.insert(0, Interrupted())
sensor.__main__.main()
"""
    run = subprocess.run([sys.executable, "-c", interrupted], capture_output=True, timeout=60, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (130, b"", b"flowvigil: interrupted\n")


def test_an_interrupt_of_which_a_library_makes_another_error_is_one_line_too() -> None:
    interrupted = f"""
import os, signal, sys, time
import sensor.__main__
class Library:
    def find_spec(self, name, path=None, target=None):
        if name == "numpy":
            try:
                os.kill(os.getpid(), signal.SIGTERM)
                time.sleep(30)
            except KeyboardInterrupt as error:
                raise TypeError("no common dtype") from error
sys.meta_path.insert(0, Library())
sys.argv = ["flowvigil", "read", {str(DEMO)!r}]
sensor.__main__.main()
"""
    run = subprocess.run([sys.executable, "-c", interrupted], capture_output=True, timeout=60, check=False)
    assert (run.returncode, run.stdout, run.stderr) == (130, b"", b"flowvigil: interrupted\n")


class ATerminal(io.TextIOWrapper):
    """A terminal in memory."""

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("kind", "encoding", "locale", "shown"),
    [
        (ATerminal, "utf-8", "C.UTF-8", "9 µs × 2 …".encode()),
        (ATerminal, "utf-8", "C", b"9 us x 2 ..."),
        (ATerminal, "latin-1", "de_DE", b"9 us x 2 ..."),
        (io.TextIOWrapper, "latin-1", "de_DE", b"9 \xb5s \xd7 2 ..."),
        (io.TextIOWrapper, "utf-8", "C", "9 µs × 2 …".encode()),
    ],
)
def test_stdout_gets_the_letters_that_it_has(
    kind: type[io.TextIOWrapper], encoding: str, locale: str, shown: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LC_ALL", locale)
    content = io.BytesIO()
    stream = kind(content, encoding=encoding)
    taken, errors = encoding_for(stream)
    stream.reconfigure(encoding=taken, errors=errors)
    stream.write("9 µs × 2 …")
    stream.flush()
    assert content.getvalue() == shown
