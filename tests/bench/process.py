"""Running a command to its end and what it used: CPU time and peak memory, its children's included."""

import os
import resource
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path

REPOSITORY = Path(__file__).resolve().parents[2]


@dataclass(frozen=True)
class Usage:
    """What a finished process used."""

    wall_s: float
    cpu_s: float
    peak_mb: float
    stdout: bytes


def run(command: list[str], *, directory: Path = REPOSITORY) -> Usage:
    """Run a command to its end. Raises RuntimeError with its last words when it fails."""
    begin = time.monotonic()
    with subprocess.Popen(command, cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        stdout, stderr = _drain(process)
        _, status, used = os.wait4(process.pid, 0)
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode:
        words = stderr.decode(errors="replace").strip().splitlines()[-1:] or ["nothing said"]
        raise RuntimeError(f"{command[0]} ended with exit code {process.returncode}: {words[0]}")
    return Usage(time.monotonic() - begin, _cpu(used), used.ru_maxrss / 1e3, stdout)


def best_of(repeats: int, command: list[str]) -> Usage:
    """The run that took the least CPU time."""
    return min((run(command) for _ in range(repeats)), key=lambda usage: usage.cpu_s)


def _cpu(used: resource.struct_rusage) -> float:
    return used.ru_utime + used.ru_stime


def _drain(process: "subprocess.Popen[bytes]") -> tuple[bytes, bytes]:
    """Both streams to their ends, without waiting for the process, whose usage wait4 is to tell."""
    import selectors

    kept = {process.stdout: bytearray(), process.stderr: bytearray()}
    with selectors.DefaultSelector() as selector:
        for stream in kept:
            assert stream is not None
            selector.register(stream, selectors.EVENT_READ)
        while selector.get_map():
            for key, _ in selector.select():
                part = os.read(key.fd, 65536)
                if part:
                    kept[key.fileobj] += part  # type: ignore[index]
                else:
                    selector.unregister(key.fileobj)
    return bytes(kept[process.stdout]), bytes(kept[process.stderr])
