"""The real command in a process of its own: forked from one that has loaded it, or by an interpreter of its own.

Most tests look at what a command does once it runs, and fork. How it starts is looked at by tests that are marked
`real_start`; beside them, whatever another program starts, and what an environment changes at the start, is real.
"""

import atexit
import json
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from importlib.resources import files
from pathlib import Path
from typing import Any

from tests.support.forked import Forked, ForkServer

# As the installed script does it, with the interpreter of the tests.
FLOWVIGIL = (sys.executable, "-c", "from sensor.__main__ import main; main()")
DEMO = Path(str(files("sensor.synth"))) / "demo.pcap.gz"
PIPES = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.PIPE)
SECONDS = 120.0  # enough to compile everything on a slow machine


@dataclass(frozen=True)
class Result:
    """How a command ended: exit code, stdout as bytes, stderr as lines."""

    code: int
    stdout: bytes
    stderr: list[str]


@dataclass
class Starts:
    """How commands start. forks: whether those that can be forked are."""

    forks: bool = True


STARTS = Starts()


def flowvigil(
    *arguments: str | Path,
    stdin: bytes = b"",
    prefix: tuple[str, ...] = (),
    namespace: str | None = None,
    **environment: str,
) -> Result:
    """Run the command to its end. prefix, namespace: as launched() takes them. No run may show a traceback."""
    with launched(arguments, prefix, surroundings(**environment), namespace=namespace, **PIPES) as process:
        try:
            stdout, stderr = process.communicate(stdin, SECONDS)
        except BaseException:
            process.kill()
            raise
    return ended(process.returncode, stdout, stderr)


def started(
    *arguments: str | Path, prefix: tuple[str, ...] = (), namespace: str | None = None, **environment: str
) -> subprocess.Popen[bytes]:
    """Start the command with pipes on all its streams, out of reach of the terminal's signals."""
    others = {"namespace": namespace, "start_new_session": True, "bufsize": 0}
    return launched(arguments, prefix, surroundings(**environment), **PIPES, **others)


def launched(
    arguments: Sequence[str | Path],
    prefix: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
    *,
    controls: bool = False,
    namespace: str | None = None,
    **others: Any,
) -> subprocess.Popen[bytes]:
    """Start the command with streams and settings of subprocess.

    prefix: a program that starts it. environment: all of it, as surroundings() gives it. controls: its stdin is the
    terminal that controls it. namespace: the network's that it runs in, by name.
    """
    words, around = [*map(str, arguments)], surroundings() if environment is None else environment
    if STARTS.forks and sys.platform == "linux" and not prefix and fork_server().suits(around):
        return Forked(fork_server(), words, controls=controls, namespace=namespace, env=around, **others)
    before = {"preexec_fn": _take_terminal} if controls else {}
    entered = () if namespace is None else ("ip", "netns", "exec", namespace)
    return subprocess.Popen([*entered, *prefix, *FLOWVIGIL, *words], env=around, **before, **others)


def _take_terminal() -> None:
    import fcntl
    import termios

    fcntl.ioctl(0, termios.TIOCSCTTY, 0)


def ended(code: int, stdout: bytes, stderr: bytes) -> Result:
    """Result of a command that has ended."""
    text = stderr.decode()
    assert "Traceback" not in text, text
    assert "Exception ignored" not in text, text
    assert "internal error" not in text, text
    return Result(code, stdout, text.splitlines())


def surroundings(**extra: str) -> dict[str, str]:
    """Environment of the command: ours, without settings of the sensor that the machine may have."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FLOWVIGIL")}
    if "XDG_CACHE_HOME" in extra:  # of no effect beside a cache for kernels
        kept.pop("NUMBA_CACHE_DIR", None)
    return {**kept, "COLUMNS": "80", "PYTHONPATH": str(Path(__file__).resolve().parents[2]), **extra}


AT_FIRST = surroundings()  # before a test changes anything


@cache
def fork_server() -> ForkServer:
    """The only one of this process, from its first use on."""
    server = ForkServer(AT_FIRST)
    atexit.register(server.close)
    return server


def alerts_of(lines: bytes) -> list[dict[str, Any]]:
    """JSON lines as mappings."""
    return [json.loads(line) for line in lines.splitlines()]
