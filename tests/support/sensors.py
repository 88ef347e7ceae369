"""A sensor at work on an interface: its process, what it tells and what it keeps."""

import json
import os
import signal
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.support.command import Result, ended, started

START_S = 120.0  # it may have to compile


@dataclass
class Watch:
    """One running `flowvigil watch`. alerts, kept: the files that -o and --write name."""

    process: "subprocess.Popen[bytes]"
    alerts: Path
    kept: Path

    def told(self) -> bytes:
        """All whole lines in the file so far."""
        return self.alerts.read_bytes().rpartition(b"\n")[0] if self.alerts.exists() else b""

    def records(self, dataset: str) -> list[dict[str, Any]]:
        """Records of a kind so far: "alert", "stats" or "sensor"."""
        return records_of(self.told(), dataset)

    def wait_for(self, dataset: str, seconds: float, **wanted: Any) -> dict[str, Any]:
        """The first record of a kind whose `event` holds what is wanted; fails when none comes in time."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for record in self.records(dataset):
                if all(record["event"].get(name) == value for name, value in wanted.items()):
                    return record
            assert self.process.poll() is None, self.process.communicate()
            time.sleep(0.02)
        raise AssertionError(f"no {dataset} record with {wanted} within {seconds} s, told: {self.told()[-2000:]!r}")

    def tell(self, number: int) -> None:
        """Send a signal to the sensor alone."""
        self.process.send_signal(number)

    def stop(self, number: int = signal.SIGTERM) -> Result:
        """End it in order."""
        self.tell(number)
        stdout, stderr = self.process.communicate(timeout=60)
        return ended(self.process.returncode, stdout, stderr)


@contextmanager
def watching(
    namespace: str, directory: Path, *options: str, interface: str = "fv1", write: bool = True, **environment: str
) -> Iterator[Watch]:
    """A sensor in a network namespace, from the moment on at which it captures."""
    alerts, kept = directory / "live.jsonl", directory / "kept.pcapng"
    arguments = ["watch", "-i", interface, "-o", str(alerts), *options]
    if write:
        arguments += ["--write", str(kept)]
    with notified() as ready:
        process = started(*arguments, namespace=namespace, NOTIFY_SOCKET=ready.name, **environment)
        try:
            ready.wait("READY=1", process)
            yield Watch(process, alerts, kept)
        finally:
            with suppress(ProcessLookupError):  # where it has ended as it should
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@dataclass
class Notified:
    """Receives what a service tells its manager."""

    name: str
    receiver: socket.socket

    def wait(self, state: str, process: "subprocess.Popen[bytes]", seconds: float = START_S) -> None:
        """Wait until the service has told a state; fails when it ends before."""
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            try:
                if state in self.receiver.recv(4096).decode().splitlines():
                    return
            except TimeoutError:
                assert process.poll() is None, process.communicate()
        raise AssertionError(f"not {state} within {seconds} s")


@contextmanager
def notified() -> Iterator[Notified]:
    """A service manager's socket that anybody may write to: the sensor has no privileges by then."""
    with tempfile.TemporaryDirectory() as directory, socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as receiver:
        path = Path(directory) / "notify"  # not an abstract name: those are of one network namespace
        receiver.bind(str(path))
        path.chmod(0o777)
        path.parent.chmod(0o755)
        receiver.settimeout(0.2)
        yield Notified(str(path), receiver)


def records_of(lines: bytes, dataset: str) -> list[dict[str, Any]]:
    """Records of a kind among JSON lines."""
    records = [json.loads(line) for line in lines.splitlines()]
    return [record for record in records if record["event"]["dataset"] == f"flowvigil.{dataset}"]


def lines_of(lines: bytes, dataset: str) -> list[bytes]:
    """The same as written."""
    mark = f'"dataset":"flowvigil.{dataset}"'.encode()
    return [line for line in lines.splitlines() if mark in line]
