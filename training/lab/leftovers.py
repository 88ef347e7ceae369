"""What runs leave behind that are killed: known by its names, and removed.

By a process of its own, as soon as the run is gone, and by the next run where that process was killed, too.
`python -m training.lab.leftovers PREFIX DIRECTORY` is that process: it begins once its standard input has ended.
"""

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from training.lab.namespaces import PREFIX, is_leftover, leftovers, own_prefix, remove_namespace
from training.lab.processes import surroundings
from training.reporting import Report

GOING_S: Final = 10.0  # for a run that is ending to be gone


@contextmanager
def removed_if_killed(outputs: Path) -> Iterator[None]:
    """Have what this run makes meanwhile removed should it be killed. outputs: directory of unfinished ones."""
    command = [sys.executable, "-m", "training.lab.leftovers", own_prefix(), str(outputs.absolute())]
    silent = subprocess.DEVNULL
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=silent,
        stderr=silent,
        cwd="/",
        env=surroundings(Path("/")),
        start_new_session=True,  # whatever ends the group of the run leaves it
    ) as remover:
        try:
            yield
        finally:
            remover.kill()


def remove_leftovers(outputs: Path, report: Report) -> None:
    """Remove what runs left behind that were killed. outputs: directory where there may be unfinished ones."""
    for name in leftovers():
        report(f"removing {name}, which a run left behind that was killed")
        remove_namespace(name)
    for place, pattern in ((Path(tempfile.gettempdir()), f"{PREFIX}*"), (outputs, f".*.{PREFIX}*")):
        for path in place.glob(pattern):
            if is_leftover(path.name):
                report(f"removing {path}, which a run left behind that was killed")
                shutil.rmtree(path, ignore_errors=True)


def main(prefix: str, outputs: str) -> None:
    """Wait until the run whose names begin with this prefix is gone, and remove what it left."""
    sys.stdin.buffer.read()
    until = time.monotonic() + GOING_S
    while not is_leftover(prefix) and time.monotonic() < until:
        time.sleep(0.02)
    remove_leftovers(Path(outputs), lambda _line: None)


if __name__ == "__main__":
    main(*sys.argv[1:])
