"""What reaches the sensor from outside of the wire: HTTP requests, and files that somebody else made.

Floods and slow clients against a running `flowvigil serve`, bodies and files that are small and mean to become large,
and requests that are malformed in thousands of ways. All from fixed seeds.
"""

import os
import random
import selectors
import socket
import stat
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from tests.support.served import JSON, Served, served
from tests.trust.claim import Claim, Outcome

TOKEN: Final = "t" * 40
CONNECTIONS: Final = 1000
MOST_MEMORY_MB: Final = 900  # of the server, of which some 300 are there before anyone asks
MOST_DISK_MB: Final = 1
ANSWERED_WITHIN_S: Final = 5.0  # while a thousand connections send

Send = Callable[[int], bytes]  # what a connection sends from so many bytes on; nothing: it waits


@dataclass
class Watched:
    """A server under attack: its largest memory and temporary files, and how a healthy client fared meanwhile."""

    server: Served
    token: str | None
    memory_mb: float = 0.0
    disk_mb: float = 0.0
    longest_s: float = 0.0
    answers: int = 0
    failures: list[str] = field(default_factory=list)
    ended: threading.Event = field(default_factory=threading.Event)

    def measure(self) -> None:
        """Look at the process until it has ended."""
        process = Path(f"/proc/{self.server.process.pid}")
        while not self.ended.wait(0.1):
            with suppress(OSError):
                status = (process / "status").read_text()
                self.memory_mb = max(self.memory_mb, int(status.split("VmRSS:")[1].split()[0]) / 1024)
                self.disk_mb = max(self.disk_mb, temporary_bytes(process) / 2**20)

    def ask(self) -> None:
        """Be a healthy client until it has ended."""
        headers = {} if self.token is None else {"Authorization": f"Bearer {self.token}"}
        row = self.server.ask("GET", "/openapi.json").document["paths"]["/v1/score"]["post"]["requestBody"]
        body = row["content"]["application/json"]["example"]
        import json

        small = json.dumps(body).encode()
        while not self.ended.wait(0.2):
            for method, path, sent in (("GET", "/healthz", None), ("POST", "/v1/score", small)):
                began = time.monotonic()
                try:
                    status = self.server.ask(method, path, sent, headers | (JSON if sent else {})).status
                    if status != 200:
                        self.failures.append(f"{method} {path} was answered with {status}")
                except OSError as error:
                    self.failures.append(f"{method} {path} was not answered: {error}")
                self.answers += 1
                self.longest_s = max(self.longest_s, time.monotonic() - began)

    def verdict(self, tries: int, name: str) -> Outcome:
        """What was seen."""
        failures = [f"{name}: {failure}" for failure in self.failures]
        for seen, most, what in (
            (self.memory_mb, MOST_MEMORY_MB, "MB of memory"),
            (self.disk_mb, MOST_DISK_MB, "MB of temporary files"),
            (self.longest_s, ANSWERED_WITHIN_S, "s until a healthy client was answered"),
        ):
            if seen > most:
                failures.append(f"{name}: {seen:.1f} {what}, expected at most {most}")
        if not self.answers:
            failures.append(f"{name}: no healthy client was answered")
        return Outcome(tries, failures)


def temporary_bytes(process: Path) -> int:
    """Bytes of the files that a process holds open and that have no name."""
    total = 0
    for link in (process / "fd").iterdir():
        with suppress(OSError):
            found = link.stat()
            if stat.S_ISREG(found.st_mode) and found.st_nlink == 0:
                total += found.st_blocks * 512
    return total


@contextmanager
def watched(token: str | None) -> Iterator[Watched]:
    """A server of its own, with a healthy client."""
    with tempfile.TemporaryDirectory() as directory:
        arguments: tuple[str | Path, ...] = ()
        if token is not None:
            file = Path(directory) / "token"
            file.write_text(token)
            arguments = ("--token-file", file)
        with served(*arguments) as server:
            seen = Watched(server, token)
            threads = [threading.Thread(target=work, daemon=True) for work in (seen.measure, seen.ask)]
            for thread in threads:
                thread.start()
            try:
                yield seen
            finally:
                seen.ended.set()
                for thread in threads:
                    thread.join(30)


def attack(port: int, sends: list[Send], seconds: float, pause_s: float = 0.0) -> int:
    """Have connections send what they can, again and again; how many were opened. pause_s: between two of a byte."""
    selector = selectors.DefaultSelector()
    opened = 0
    end = time.monotonic() + seconds

    def open_one(send: Send) -> None:
        nonlocal opened
        client = socket.socket()
        client.setblocking(False)
        with suppress(BlockingIOError):
            client.connect(("127.0.0.1", port))
        selector.register(client, selectors.EVENT_WRITE | selectors.EVENT_READ, [send, 0])
        opened += 1

    for send in sends:
        open_one(send)
    while time.monotonic() < end:
        for key, events in selector.select(0.05):
            client: socket.socket = key.fileobj  # type: ignore[assignment] # it is one of those above
            send, sent = key.data
            gone = False
            try:
                if events & selectors.EVENT_READ:
                    gone = not client.recv(65536)
                if events & selectors.EVENT_WRITE and not gone:
                    part = send(sent)
                    if part:
                        key.data[1] += client.send(part)
                    else:
                        selector.modify(client, selectors.EVENT_READ, key.data)
            except BlockingIOError:
                continue
            except OSError:
                gone = True
            if gone:
                selector.unregister(client)
                client.close()
                open_one(send)
        time.sleep(pause_s)
    for key in list(selector.get_map().values()):
        key.fileobj.close()  # type: ignore[union-attr]
    return opened


def stream(head: bytes, body: bytes, length: int) -> Send:
    """A head, and then a body of repeated parts, up to a length in all."""

    def send(sent: int) -> bytes:
        if sent < len(head):
            return head[sent:]
        at = (sent - len(head)) % len(body)
        return body[at : at + max(0, length + len(head) - sent)]

    return send


def post(path: str, *lines: str) -> bytes:
    """The head of a request."""
    return "\r\n".join((f"POST {path} HTTP/1.1", "Host: localhost", *lines, "", "")).encode()


SIZE: Final = 48 << 20
FULL: Final = b" " * 65536
CHUNKS: Final = b"10000\r\n" + FULL + b"\r\n"
SMALL_CHUNKS: Final = b"1\r\n \r\n" * 8192
FORM: Final = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
FLOODS: Final[dict[str, Send]] = {
    "bodies of a length": stream(post("/v1/score", "Content-Type: application/json", f"Content-Length: {SIZE}"), FULL, SIZE),
    "chunked bodies": stream(post("/v1/score", "Transfer-Encoding: chunked"), CHUNKS, 1 << 40),
    "small chunks": stream(post("/v1/score", "Transfer-Encoding: chunked"), SMALL_CHUNKS, 1 << 40),
    "endless chunk sizes": stream(post("/v1/score", "Transfer-Encoding: chunked"), b"1" * 65536, 1 << 40),
    "uploads": stream(post("/", "Content-Type: multipart/form-data; boundary=x", f"Content-Length: {16 << 20}") + FORM, FULL, 16 << 20),
    "bodies for health": stream(post("/healthz", f"Content-Length: {SIZE}"), FULL, SIZE),
    "endless headers": stream(b"GET / HTTP/1.1\r\nHost: localhost\r\n", b"X: y\r\n" * 10000, 1 << 40),
    "pipelined requests": stream(b"", b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 1000, 1 << 40),
}  # fmt: skip


def floods(scale: float) -> Outcome:
    """Each flood from a thousand connections without a token, at a server with a token and at one without."""
    seconds = 6.0 * min(scale, 1)
    count = CONNECTIONS if scale >= 1 else max(50, int(CONNECTIONS * scale))
    tries, failures, figures = 0, [], []
    for token in (TOKEN, None):
        with watched(token) as seen:
            for name, send in FLOODS.items():
                tries += attack(seen.server.port, [send] * count, seconds)
            outcome = seen.verdict(tries, "with a token" if token else "without a token")
            failures += outcome.failures
            figures.append(f"{seen.memory_mb:.0f} MB, {seen.disk_mb:.0f} MB of disk, {seen.longest_s:.1f} s")
    return Outcome(tries, failures, f"peak {figures[0]}; without a token {figures[1]}")


SLOW: Final[dict[str, Send]] = {
    "nothing": lambda sent: b"",
    "headers": lambda sent: b"GET /healthz HTTP/1.1\r\nX: "[sent : sent + 1] or b"y",
    "bodies": lambda sent: (post("/v1/score", "Content-Type: application/json", "Content-Length: 99999") + b" " * 9999)[sent : sent + (1 if sent > 99 else 99)],
    "chunks": lambda sent: (post("/v1/score", "Transfer-Encoding: chunked") + b"1\r\n \r\n" * 999)[sent : sent + (1 if sent > 70 else 70)],
}  # fmt: skip


def slow(scale: float) -> Outcome:
    """Two thousand connections that send nothing, or a byte now and then."""
    each = max(20, int(500 * min(scale, 1)))
    with watched(None) as seen:
        tries = attack(seen.server.port, [send for send in SLOW.values() for _ in range(each)], 40.0, pause_s=0.2)
        outcome = seen.verdict(tries, "slow clients")
        time.sleep(1)
        left = len(list(Path(f"/proc/{seen.server.process.pid}/fd").iterdir()))
        if left > 200:
            outcome = Outcome(tries, [*outcome.failures, f"{left} descriptors are left"])
    return Outcome(tries, outcome.failures, f"peak {seen.memory_mb:.0f} MB, answers within {seen.longest_s:.1f} s")


CLAIMS: Final[tuple[Claim, ...]] = (
    Claim(
        "api-floods",
        f"A thousand connections that each send as much as they can to the API leave it below {MOST_MEMORY_MB} MB of "
        f"memory and {MOST_DISK_MB} MB of temporary disk, and healthy clients are answered within {ANSWERED_WITHIN_S:g} s",
        "connections",
        floods,
        minutes=2.0,
    ),
    Claim(
        "api-slow-clients",
        f"Two thousand idle or slow connections are ended, and healthy clients are answered within "
        f"{ANSWERED_WITHIN_S:g} s meanwhile",
        "connections",
        slow,
        minutes=1.0,
    ),
)
