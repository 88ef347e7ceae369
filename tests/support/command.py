"""The real command in a process of its own."""

import json
import os
import subprocess
import sys
from dataclasses import dataclass
from importlib.resources import files
from pathlib import Path
from typing import Any

# As the installed script does it, with the interpreter of the tests.
FLOWVIGIL = (sys.executable, "-c", "from sensor.__main__ import main; main()")
DEMO = Path(str(files("sensor.synth"))) / "demo.pcap.gz"
SECONDS = 120.0  # enough to compile everything on a slow machine


@dataclass(frozen=True)
class Result:
    """How a command ended: exit code, stdout as bytes, stderr as lines."""

    code: int
    stdout: bytes
    stderr: list[str]


def flowvigil(*arguments: str | Path, stdin: bytes = b"", prefix: tuple[str, ...] = (), **environment: str) -> Result:
    """Run the command to its end. prefix: a program that starts it. No run may show a traceback."""
    run = subprocess.run(
        [*prefix, *FLOWVIGIL, *map(str, arguments)],
        input=stdin,
        capture_output=True,
        timeout=SECONDS,
        env=surroundings(**environment),
        check=False,
    )
    return ended(run.returncode, run.stdout, run.stderr)


def started(*arguments: str | Path, prefix: tuple[str, ...] = (), **environment: str) -> subprocess.Popen[bytes]:
    """Start the command with pipes on all its streams, out of reach of the terminal's signals."""
    return subprocess.Popen(
        [*prefix, *FLOWVIGIL, *map(str, arguments)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=surroundings(**environment),
        start_new_session=True,
        bufsize=0,
    )


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


def alerts_of(lines: bytes) -> list[dict[str, Any]]:
    """JSON lines as mappings."""
    return [json.loads(line) for line in lines.splitlines()]
