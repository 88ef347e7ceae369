"""`python -m sensor.cli.beside PID COMMAND…`: a command beside the run that began it, whose packets go first.

It ends with that run, however that one ends, and leaves Ctrl-C to it.
"""

import os
import runpy
import sys
from collections.abc import Sequence
from contextlib import suppress
from typing import Final

from sensor.process.children import end_with_parent

NICENESS: Final = 10


def command(*words: str) -> list[str]:
    """What starts a command beside this process."""
    return [sys.executable, "-P", "-m", __name__, str(os.getpid()), *words]


def main(words: Sequence[str]) -> None:
    """Run a command as the child of the process whose id stands before it."""
    end_with_parent(int(words[0]))
    os.setpgid(0, 0)  # a terminal's Ctrl-C is for whoever started it, which ends it
    with suppress(OSError):  # a service manager may keep priorities to itself
        os.nice(NICENESS)
    sys.argv[1:] = words[1:]
    runpy.run_module("sensor", run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    main(sys.argv[1:])
