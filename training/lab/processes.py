"""Processes in namespaces: started, waited for, ended by their own group; each with a log."""

import os
import shlex
import signal
import subprocess
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import Final

from training.lab.namespaces import inside, own_prefix
from training.lab.programs import PATH
from training.lab.sockets import ports_of
from training.lab.traffic import TCP, Ports

LISTENING: Final = "0A"  # state of a TCP socket in /proc/net/tcp
# A host's name is not that of this machine, which programs would tell others and ask for.
_NAMED: Final = ("unshare", "--uts", "sh", "-c", 'hostname "$1" && shift && exec "$@"', "sh")
TICK_S: Final = 0.05
ENDING_S: Final = 3.0


@dataclass(frozen=True, slots=True)
class Ended:
    """How a process ended."""

    code: int | None  # None where it was ended from here
    began_ns: int  # since 1970
    ended_ns: int


def start(namespace: str, command: Sequence[str], log: Path, directory: Path) -> "subprocess.Popen[bytes]":
    """Start a command in a namespace, with the namespace's own files of /etc. Raises OSError."""
    with log.open("ab") as out:
        return subprocess.Popen(
            ["ip", "netns", "exec", namespace, *_NAMED, namespace.removeprefix(own_prefix()), *command],
            stdin=subprocess.DEVNULL,
            stdout=out,
            stderr=out,
            cwd=directory,
            env=surroundings(directory),
            start_new_session=True,
        )


def surroundings(home: Path) -> dict[str, str]:
    """Environment of the lab's processes: nothing of the sensor's, and this very lab where they are its own."""
    packages = Path(__file__).resolve().parents[2]
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("FLOWVIGIL", "SSH", "PYTHON"))}
    return kept | {"PATH": PATH, "HOME": str(home), "LC_ALL": "C.UTF-8", "PYTHONPATH": str(packages)}


def wait(process: "subprocess.Popen[bytes]", longest_s: float, stopping: Event, ports: set[int] | None = None) -> bool:
    """Wait for a process to end by itself: whether it did, before its time was up or the run was stopped.

    ports: gets the local ports of its sockets, None where nobody asks for them.
    """
    until = time.monotonic() + longest_s
    while process.poll() is None:
        if ports is not None:
            ports |= ports_of(process.pid)
        if stopping.is_set() or time.monotonic() > until:
            return False
        with suppress(subprocess.TimeoutExpired):
            process.wait(TICK_S)
    return True


def send(process: "subprocess.Popen[bytes]", number: signal.Signals) -> None:
    """Send a signal to a process and those of its group that it started; to nobody where they are gone."""
    with suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def end(process: "subprocess.Popen[bytes]") -> None:
    """End a process and those of its group that it started."""
    for number in (signal.SIGTERM, signal.SIGKILL):
        send(process, number)
        send(process, signal.SIGCONT)  # a stopped one takes no other signal to heart
        with suppress(subprocess.TimeoutExpired):
            process.wait(ENDING_S)
            return


def run(
    namespace: str,
    command: Sequence[str],
    log: Path,
    directory: Path,
    longest_s: float,
    stopping: Event,
    ports: set[int] | None = None,
) -> Ended:
    """Run a command until it ends, its time is up or the run is stopped; ports: see wait. Raises OSError."""
    began_ns = time.time_ns()
    note(log, f"$ {shlex.join(command)}")
    process = start(namespace, command, log, directory)
    by_itself = wait(process, longest_s, stopping, ports)
    code = process.returncode if by_itself else None
    end(process)
    ended_ns = time.time_ns()
    how = "ended from outside" if code is None else f"exit code {code}"
    note(log, f"# {how} after {(ended_ns - began_ns) / 1e9:.3f} s")
    return Ended(code, began_ns, ended_ns)


def note(log: Path, line: str) -> None:
    """Append a line of the lab's own to a log. Raises OSError."""
    with log.open("a", encoding="utf-8", errors="replace") as out:
        out.write(line + "\n")


def is_open(namespace: str, ports: Ports) -> bool:
    """Whether a socket of the namespace listens on the first of these ports."""
    names = ("tcp", "tcp6") if ports.protocol == TCP else ("udp", "udp6")
    with inside(namespace):
        for name in names:
            with suppress(OSError):
                lines = Path(f"/proc/thread-self/net/{name}").read_text(encoding="ascii").splitlines()[1:]
                fields = (line.split() for line in lines)
                if any(_is_listening(each, ports) for each in fields):
                    return True
    return False


def _is_listening(fields: list[str], ports: Ports) -> bool:
    port = int(fields[1].rpartition(":")[2], 16)
    return port == ports.low and (ports.protocol != TCP or fields[3] == LISTENING)
