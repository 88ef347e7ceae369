"""A running `flowvigil serve`, a small HTTP client for it, and rows to send it."""

import http.client
import json
import os
import re
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from flows.batch import END_REASON, SNAPSHOT, FlowBatch
from flows.block import block_of
from flows.dialects import NATIVE, Dialect, as_columns
from flows.meter import Meter, concatenate
from sensor.synth.generate import generate
from sensor.synth.scenarios.scenario import Scenario
from tests.support.command import started

START_S = 120.0  # it may have to compile
JSON = {"Content-Type": "application/json"}


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def document(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


@dataclass
class Served:
    """A server. port: TCP, 0 where it listens at a file. told: its lines on stderr so far."""

    process: "subprocess.Popen[bytes]"
    port: int
    told: list[str]
    path: Path | None = None

    @property
    def url(self) -> str:
        """Of its root."""
        return f"http://127.0.0.1:{self.port}"

    def ask(
        self, method: str, path: str, body: bytes | None = None, headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request on a connection of its own."""
        connection = self.connection()
        try:
            connection.request(method, path, body, dict(headers or {}))
            response = connection.getresponse()
            return Answer(response.status, {k.lower(): v for k, v in response.getheaders()}, response.read())
        finally:
            connection.close()

    def score(self, rows: Sequence[Any], **options: Any) -> Answer:
        """POST /v1/score."""
        return self.ask("POST", "/v1/score", json.dumps({"rows": rows, **options}).encode(), JSON)

    def connection(self) -> http.client.HTTPConnection:
        """A connection that may be used more than once."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port or 80, timeout=60)
        if self.path is not None:
            connection.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            connection.sock.connect(str(self.path))
        return connection

    def cpu_s(self) -> float:
        """CPU seconds that it has used."""
        fields = Path(f"/proc/{self.process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def end(self, number: int = signal.SIGTERM, seconds: float = 20) -> int:
        """End it by a signal; its exit code."""
        self.process.send_signal(number)
        return self.process.wait(seconds)


@contextmanager
def served(*arguments: str | Path, prefix: tuple[str, ...] = (), **environment: str) -> Iterator[Served]:
    """A server at any free port, or where --listen says, from its start to its end."""
    listening = () if "--listen" in arguments else ("--listen", "127.0.0.1:0")
    process = started("serve", *listening, *arguments, prefix=prefix, **environment)
    told: list[str] = []
    ready = threading.Event()
    place: list[str] = []

    def read() -> None:
        assert process.stderr is not None
        for line in os.fdopen(os.dup(process.stderr.fileno()), encoding="utf-8"):
            told.append(line.rstrip("\n"))
            if found := re.search(r" at (?:http://)?(\S+?)(?:, with a token)?$", told[-1]):
                place.append(found[1])
                ready.set()
        ready.set()

    threading.Thread(target=read, daemon=True).start()
    try:
        assert ready.wait(START_S), told
        assert place, told
        path = Path(place[0].removeprefix("unix:")) if place[0].startswith("unix:") else None
        yield Served(process, 0 if path else int(place[0].rpartition(":")[2]), told, path)
    finally:
        process.kill()
        process.wait()
        for stream in (process.stdin, process.stdout, process.stderr):
            if stream is not None:
                stream.close()
    assert not [line for line in told if "Traceback" in line or "internal error" in line], told


def flows_of(scenarios: Sequence[Scenario], minutes: float = 3.0, seed: int = 3) -> FlowBatch:
    """Finished flows of synthetic traffic."""
    packets = generate(scenarios, seed=seed, minutes=minutes).packets
    meter = Meter(1 << 16)
    block = block_of([packet.frame for packet in packets], [packet.ts_ns for packet in packets])
    batch = concatenate([meter.feed(block), meter.drain()])
    whole = batch.identity[:, END_REASON] != SNAPSHOT
    return FlowBatch(batch.identity[whole], batch.values[whole])


def rows_of(batch: FlowBatch, dialect: Dialect = NATIVE) -> list[dict[str, Any]]:
    """Flows as JSON objects under a dialect's names."""
    columns = as_columns(batch, dialect)
    texts = {name: [str(value) for value in field] for name, field in columns.items() if field.dtype.kind in "UM"}
    plain = {name: field.tolist() for name, field in columns.items() if name not in texts}
    made = {name: texts.get(name) or plain[name] for name in columns}
    return [dict(zip(made, cells, strict=True)) for cells in zip(*made.values(), strict=True)]
