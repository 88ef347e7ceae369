"""A sensor's socket with somebody behind it, and clients of it that do as they like."""

import json
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sensor.attach.place import listen
from sensor.attach.protocol import Hello
from sensor.attach.server import AttachServer
from sensor.progress.latest import Latest
from tests.support.command import launched

HELLO = Hello("0.1.0", "gw1", "eth0", "cic2017")


@contextmanager
def looking(place: Path, *options: str) -> Iterator["subprocess.Popen[bytes]"]:
    """The command that looks at a sensor, at work with its lines in a pipe."""
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    process = launched(["watch", "--attach", place, *options], **streams)
    try:
        yield process
    finally:
        process.kill()
        process.wait()


@contextmanager
def serving(directory: Path, latest: Latest | None = None) -> Iterator[AttachServer]:
    """A server at `directory / "sock"`. latest: what its run has come to."""
    with AttachServer(listen(directory / "sock", None, None), HELLO, latest or Latest()) as server:
        yield server


def connected(directory: Path) -> socket.socket:
    """A client that has said and read nothing yet."""
    client = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    client.settimeout(10)
    client.connect(str(directory / "sock"))
    return client


class Reader:
    """A client that reads records as they come."""

    def __init__(self, directory: Path) -> None:
        self.socket = connected(directory)
        self._file = self.socket.makefile("rb")

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
        self.socket.close()

    def record(self) -> dict[str, Any]:
        """The next record, as what stands under `flowvigil`."""
        line = self._file.readline()
        assert line.endswith(b"\n"), line
        own: dict[str, Any] = json.loads(line)["flowvigil"]
        return own

    def until(self, wanted: Callable[[dict[str, Any]], bool]) -> list[dict[str, Any]]:
        """Records up to the first that is wanted, with it; fails when it does not come."""
        deadline = time.monotonic() + 20
        records = [self.record()]
        while not wanted(records[-1]):
            assert time.monotonic() < deadline, records[-3:]
            records.append(self.record())
        return records

    def ended(self) -> bool:
        """Whether nothing more comes."""
        return self._file.read() == b""


def eventually(holds: Callable[[], bool], within_s: float = 5.0) -> None:
    """Fail when it does not come to hold."""
    deadline = time.monotonic() + within_s
    while not holds():
        assert time.monotonic() < deadline
        time.sleep(0.01)
