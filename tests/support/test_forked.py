"""A forked command is what the same command is in an interpreter of its own, and a child like any other."""

import os
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.command import DEMO, STARTS, Result, flowvigil, launched, started, surroundings
from tests.support.controlling import terminal
from tests.support.forked import Forked

pytestmark = pytest.mark.skipif(os.name != "posix" or not Path("/proc").exists(), reason="commands are forked on Linux")


@pytest.fixture(autouse=True)
def forking() -> Iterator[None]:
    before, STARTS.forks = STARTS.forks, True
    yield
    STARTS.forks = before


def in_both_ways(*arguments: str | Path, stdin: bytes = b"", **environment: str) -> tuple[Result, Result]:
    forked = flowvigil(*arguments, stdin=stdin, **environment)
    STARTS.forks = False
    return forked, flowvigil(*arguments, stdin=stdin, **environment)


@pytest.mark.parametrize(
    ("arguments", "environment"),
    [
        (("--version",), {}),
        (("read", "--quiet", DEMO), {}),
        (("read", "-"), {}),
        (("read", "--nonsense"), {}),
        (("config", "show", "--origin"), {"FLOWVIGIL__EPISODES__QUIET_S": "9"}),
        (("config", "show"), {"FLOWVIGIL_LOG_FORMAT": "json", "FLOWVIGIL__METER__IDLE_TIMEOUT_S": "no"}),
        (("alerts", "stats", "gone\udcff"), {}),
    ],
    ids=str,
)
def test_code_and_text_are_the_same_in_both_ways(arguments: tuple[str, ...], environment: dict[str, str]) -> None:
    forked, real = in_both_ways(*arguments, **environment)
    assert (forked.code, forked.stdout) == (real.code, real.stdout)
    assert [line.partition('"@timestamp"')[0] for line in forked.stderr] == [
        line.partition('"@timestamp"')[0] for line in real.stderr
    ]


def test_stdin_comes_through_a_pipe() -> None:
    forked, real = in_both_ways("alerts", "convert", "-", stdin=b"no json\n")
    assert forked == real
    assert forked.code == 6


def test_it_works_in_the_directory_that_it_is_given(tmp_path: Path) -> None:
    (tmp_path / "here.yaml").write_text("")
    process = launched(["config", "check", "here.yaml"], cwd=tmp_path, stdout=subprocess.PIPE)
    assert isinstance(process, Forked)
    assert process.communicate(timeout=60)[0].startswith(b"here.yaml: valid")


def test_it_is_a_child_in_a_session_of_its_own_and_is_told_of_by_its_signal() -> None:
    with started("read", "-") as process:
        assert isinstance(process, Forked)
        stat = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
        assert (int(stat[1]), int(stat[3])) == (os.getpid(), process.pid)
        assert process.poll() is None
        process.send_signal(signal.SIGKILL)
        assert process.wait(10) == -signal.SIGKILL


def test_it_holds_no_stream_that_is_not_its_own() -> None:
    with started("read", "-") as one, started("read", "-") as other:
        assert one.stdin is not None
        one.stdin.close()
        assert one.wait(20) == 6  # an empty input: nobody else holds its stdin open
        other.kill()


def test_a_terminal_controls_it() -> None:
    with terminal("read", DEMO) as pty:
        assert isinstance(pty.process, Forked)
        pty.wait_for(b"at its end")
        pty.type(b"\x03")
        assert pty.end() == (0, "")
        assert pty.is_as_it_was()


def test_what_only_an_interpreter_looks_at_makes_a_start_real() -> None:
    for environment in ({"PYTHONUTF8": "0"}, {"XDG_CACHE_HOME": "/nowhere"}, {"LC_ALL": "C"}):
        with launched(["--version"], (), surroundings(**environment), stdout=subprocess.PIPE) as process:
            assert not isinstance(process, Forked)
    with launched(["--version"], ("env",), stdout=subprocess.PIPE) as process:
        assert not isinstance(process, Forked)
