"""What reaches the sensor from outside of the wire: HTTP requests, and files that somebody else made.

Floods and slow clients against a running `flowvigil serve`, bodies and files that are small and mean to become large,
and requests that are malformed in thousands of ways. All from fixed seeds.
"""

import json
import os
import random
import selectors
import socket
import stat
import subprocess
import tempfile
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, islice
from pathlib import Path
from typing import Final

from sensor.errors import INTERNAL, SensorError
from sensor.fleet.file import read_fleet
from sensor.progress.latest import Latest
from sensor.progress.progress import Progress
from sensor.progress.prometheus import MetricsServer
from sensor.settings.file import read_pairs, read_settings
from sensor.site.file import read_notes
from tests.support.command import FLOWVIGIL
from tests.support.served import JSON, Served, served
from tests.trust import bombs
from tests.trust.claim import Claim, Outcome
from training.errors import TrainingError
from training.lab.reading import read_scenario
from training.recipe import read_recipe

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


def attack(
    port: int, sends: list[Send], seconds: float, pause_s: float = 0.0, ended: Counter[Send] | None = None
) -> int:
    """Have connections send what they can, again and again; how many were opened. pause_s: between two of a byte.

    ended: gets how many of each kind the server has ended.
    """
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
                if ended is not None:
                    ended[send] += 1
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
UPLOAD: Final = 16 << 20
ENDLESS: Final = 1 << 40
FULL: Final = b" " * 65536
FORM: Final = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'
JSON_OF_A_LENGTH: Final = ("Content-Type: application/json", f"Content-Length: {SIZE}")
FORM_OF_A_LENGTH: Final = ("Content-Type: multipart/form-data; boundary=x", f"Content-Length: {UPLOAD}")
CHUNKED: Final = "Transfer-Encoding: chunked"
FLOODS: Final[tuple[Send, ...]] = (
    stream(post("/v1/score", *JSON_OF_A_LENGTH), FULL, SIZE),
    stream(post("/v1/score", CHUNKED), b"10000\r\n" + FULL + b"\r\n", ENDLESS),
    stream(post("/v1/score", CHUNKED), b"1\r\n \r\n" * 8192, ENDLESS),
    stream(post("/v1/score", CHUNKED), b"1" * 65536, ENDLESS),  # the size of a chunk that never ends
    stream(post("/", *FORM_OF_A_LENGTH) + FORM, FULL, UPLOAD),
    stream(post("/healthz", f"Content-Length: {SIZE}"), FULL, SIZE),
    stream(b"GET / HTTP/1.1\r\nHost: localhost\r\n", b"X: y\r\n" * 10000, ENDLESS),
    stream(b"", b"GET /openapi.json HTTP/1.1\r\nHost: localhost\r\n\r\n" * 1000, ENDLESS),
)


def floods(scale: float) -> Outcome:
    """Each flood from a thousand connections without a token, at a server with a token and at one without."""
    seconds = 5.0 * min(scale, 1)
    count = CONNECTIONS if scale >= 1 else max(50, int(CONNECTIONS * scale))
    tries, failures, figures = 0, [], []
    for token in (TOKEN, None):
        with watched(token) as seen:
            for send in FLOODS:
                tries += attack(seen.server.port, [send] * count, seconds)
            outcome = seen.verdict(tries, "with a token" if token else "without a token")
            failures += outcome.failures
            figures.append(f"{seen.memory_mb:.0f} MB, {seen.disk_mb:.0f} MB of disk, {seen.longest_s:.1f} s")
    return Outcome(tries, failures, f"peak {figures[0]}; without a token {figures[1]}")


def drip(head: bytes, body: bytes) -> Send:
    """A head at once, and then a body byte by byte."""

    def send(sent: int) -> bytes:
        if sent < len(head):
            return head[sent:]
        at = (sent - len(head)) % len(body)
        return body[at : at + 1]

    return send


SLOW: Final[tuple[Send, ...]] = (
    lambda _: b"",
    drip(b"GET /healthz HTTP/1.1\r\n", b"X: y\r\n"),
    drip(post("/v1/score", "Content-Type: application/json", "Content-Length: 99999"), b" "),
    drip(post("/v1/score", CHUNKED), b"1\r\n \r\n"),
)


def slow(scale: float) -> Outcome:
    """Two thousand connections that send nothing, or a byte now and then."""
    each, ended = max(20, int(500 * min(scale, 1))), Counter[Send]()
    with watched(None) as seen:
        tries = attack(seen.server.port, [send for send in SLOW for _ in range(each)], 40.0, pause_s=0.2, ended=ended)
        outcome = seen.verdict(tries, "slow clients")
        for number, send in enumerate(SLOW):
            if ended[send] < each:
                words = f"{ended[send]} of {each} clients of kind {number} were ended"
                outcome = Outcome(tries, [*outcome.failures, words])
        time.sleep(1)
        left = len(list(Path(f"/proc/{seen.server.process.pid}/fd").iterdir()))
        if left > 200:
            outcome = Outcome(tries, [*outcome.failures, f"{left} descriptors are left"])
    return Outcome(tries, outcome.failures, f"peak {seen.memory_mb:.0f} MB, answers within {seen.longest_s:.1f} s")


READ: Final = ("/", "/v1/captures")  # take tables and captures, of which some are well-formed
API_CPU_S: Final = 4.0  # for a body of 1 MB


def api_bombs(scale: float) -> Outcome:
    """Each bomb sent to the API, as a body of rows or as an upload; the CPU time that the server takes for it."""
    failures: list[str] = []
    longest, slowest, tries = 0.0, "", 0
    with served() as server:
        for name, headers, path, body in islice(_requests(), None if scale >= 1 else max(3, int(50 * scale))):
            before = server.cpu_s()
            status = server.ask("POST", path, body, headers).status
            taken = server.cpu_s() - before
            tries += 1
            if taken > longest:
                longest, slowest = taken, name
            if not (200 <= status < 300 and path in READ) and not 400 <= status < 500:
                failures.append(f"{name}: answered with {status}")
            if taken > API_CPU_S:
                failures.append(f"{name}: took {taken:.1f} s of CPU time, expected at most {API_CPU_S:g}")
        if server.ask("GET", "/healthz").status != 200:
            failures.append("the server does not answer any more")
    return Outcome(tries, failures, f"at most {longest:.1f} s of CPU time ({slowest})")


def _requests() -> Iterator[tuple[str, Mapping[str, str], str, bytes]]:
    """Name, headers, path and body of each bomb."""
    for name, body in bombs.bodies():
        yield name, JSON, "/v1/score", body
    for name, content in chain(bombs.captures(), bombs.tables()):
        yield name, {"Content-Type": "multipart/form-data; boundary=x"}, "/", FORM + content + b"\r\n--x--\r\n"
    for name, content in bombs.captures():
        yield name, {"Content-Type": "application/octet-stream"}, "/v1/captures", content


COMMAND_CPU_S: Final = 20.0  # the start included
COMMAND_MEMORY_MB: Final = 1500
ENDINGS: Final = frozenset(range(12)) - {INTERNAL}


def command_bombs(scale: float) -> Outcome:
    """Each bomb read by the command for its kind; how that ends, and what it takes."""
    failures: list[str] = []
    longest, largest, tries = 0.0, 0.0, 0
    with tempfile.TemporaryDirectory() as name:
        for arguments in islice(_runs(Path(name)), None if scale >= 1 else max(3, int(50 * scale))):
            ended = ran(arguments)
            tries += 1
            longest, largest = max(longest, ended.cpu_s), max(largest, ended.memory_mb)
            shown = " ".join(Path(argument).name for argument in arguments)
            if ended.code not in ENDINGS or "Traceback" in ended.stderr:
                failures.append(f"{shown}: ended with {ended.code}: {ended.stderr[-200:]}")
            if ended.cpu_s > COMMAND_CPU_S or ended.memory_mb > COMMAND_MEMORY_MB:
                failures.append(f"{shown}: took {ended.cpu_s:.1f} s of CPU time and {ended.memory_mb:.0f} MB")
    return Outcome(tries, failures, f"at most {longest:.1f} s of CPU time and {largest:.0f} MB")


def _runs(directory: Path) -> Iterator[tuple[str, ...]]:
    """Command lines, each with a file of its own."""
    page = str(directory / "page.html")
    for name, content in chain(bombs.captures(), bombs.tables(), bombs.alert_files()):
        path = directory / name
        path.write_bytes(content)
        if name.endswith(".txt"):
            yield "evaluate", "nsl-kdd", str(path), "--json"
        elif ".csv" in name:
            yield "explore", str(path), "-o", page
        elif ".jsonl" in name:
            yield "alerts", "stats", str(path)
        else:
            yield "flows", str(path)
    for path in bombs.parquet_files(directory):
        yield "flows", str(path)
        yield "explore", str(path), "-o", page


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended."""

    code: int
    stderr: str
    cpu_s: float
    memory_mb: float


def ran(arguments: Sequence[str]) -> Ended:
    """Run a command to its end, its output thrown away."""
    with tempfile.TemporaryFile() as errors:
        process = subprocess.Popen(
            [*FLOWVIGIL, *arguments], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=errors
        )
        ending = threading.Timer(300, process.kill)
        ending.start()
        _, status, used = os.wait4(process.pid, 0)
        ending.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        errors.seek(0)
        stderr = errors.read().decode(errors="replace")
    return Ended(process.returncode, stderr, used.ru_utime + used.ru_stime, used.ru_maxrss / 1024)


YAML_CPU_S: Final = 5.0


def yaml_bombs(scale: float) -> Outcome:
    """Each bomb read by each reader of YAML files: an error of one line, in a bounded time."""
    readings = [
        reading
        for kind, text in islice(bombs.yaml_texts(), None if scale >= 1 else 5)
        for reading in yaml_readings(kind, text)
    ]
    longest = max(taken for _, taken in readings)
    failures = [failure for failure, _ in readings if failure]
    return Outcome(len(readings), failures, f"at most {longest:.1f} s of CPU time")


def yaml_readings(kind: str, text: str) -> Iterator[tuple[str, float]]:
    """What was wrong when each reader of YAML files read a text, "" for nothing, and the CPU seconds that it took."""
    readers: tuple[Callable[[Path], object], ...] = (
        read_settings,
        read_notes,
        partial(read_pairs, expected="labels"),
        read_recipe,
        read_scenario,
        read_fleet,
    )
    with tempfile.TemporaryDirectory() as name:
        path = Path(name) / "bomb.yaml"
        path.write_text(text)
        for reader in readers:
            failure = ""
            began = time.process_time()
            try:
                reader(path)
            except (SensorError, TrainingError) as error:
                if len(str(error).splitlines()) != 1 or len(str(error)) > 1000:
                    failure = f"{kind}: an error of {len(str(error)):,} characters or several lines"
            except Exception as error:  # noqa: BLE001  # whatever else it is, it is a failure
                failure = f"{kind}: {type(error).__name__}: {error!s:.100}"
            taken = time.process_time() - began
            if taken > YAML_CPU_S:
                failure = f"{kind}: {taken:.1f} s of CPU time, expected at most {YAML_CPU_S:g}"
            yield failure, taken


METHODS: Final = (b"GET", b"POST", b"HEAD", b"OPTIONS", b"PUT", b"get", b"G\xe9T", b"", b"BREW", b"PRI", b"TRACE")
TARGETS: Final = (
    *b"/ /v1/score /metrics /healthz * // http://[::1 http://x/ /% /%zz%00 /\xff /../.. /docs/../x".split(),
    b"?", b"[", b"/docs/%2e%2e%2fx",
    b"/?" + b"a=b&" * 500, b"/" + b"a" * 9000, b"/page/\x00",
)  # fmt: skip
VERSIONS: Final = (b"HTTP/1.1", b"HTTP/1.0", b"HTTP/2.0", b"HTTP/1.2", b"http/1.1", b"", b"HTTP/1", b"HTTP/9.9.9")
NAMES: Final = (
    *b"Host Origin Authorization Content-Length Content-Type Transfer-Encoding Accept Expect Connection Cookie".split(),
    *b"Sec-Fetch-Site Forwarded X-Forwarded-For Range If-Modified-Since If-None-Match Accept-Encoding Upgrade".split(),
    b"", b" Host", b"Ho st", b"H\xc3\xb6st", b"Content_Length",
)  # fmt: skip
VALUES: Final = (
    *b"localhost 127.0.0.1:80 [::1]:80 [::1 [ ] evil.example localhost: localhost:x @ :// null %00 \xc0\xaf".split(),
    *b"http://[::1 http://[ http://] http://[v1.x] http://localhost http://\xe2\x84\x80 Bearer -1 0 +1 0x10".split(),
    *b"chunked gzip,chunked chunked,chunked application/json multipart/form-data 100-continue bytes=0-,-1,9-".split(),
    b"Bearer \xff\xfe", b"Basic !!!!", b"1, 1", b"multipart/form-data; boundary=", b"text/html;q=x;;=", b"",
    b"\x80\x9f", b"xn--",
    b"application/openmetrics-text;version=x;q=9e999", b"close, keep-alive", b"Thu, 99 Foo 0000 00:00:00 GMT",
    b"9" * 4000, b"a" * 9000, b"a." * 200, b"\x00", b"\r", b'W/"\xff',
)  # fmt: skip


def headers(scale: float) -> Outcome:
    """Malformed requests to the API and to the metrics port, each on a connection of its own."""
    chosen = random.Random(18)
    failures: list[str] = []
    tries = max(100, int(3000 * scale))
    with served() as server, MetricsServer(0, Latest(Progress())) as metrics:
        for number in range(tries):
            request = malformed(chosen)
            port = server.port if number % 3 else metrics.port
            status = status_of(port, request)
            if status is None or not status < 500:
                failures.append(f"{'API' if number % 3 else 'metrics'}: {status} for {request[:200]!r}")
        for host in (b"evil.example", b"evil.example:80", b"127.0.0.1.evil.example"):
            for port in (server.port, metrics.port):
                tries += 1
                if status_of(port, b"GET /metrics HTTP/1.1\r\nHost: " + host + b"\r\n\r\n") != 421:
                    failures.append(f"metrics were served under the name {host.decode()}")
        if server.ask("GET", "/healthz").status != 200:
            failures.append("the server does not answer any more")
    return Outcome(tries, failures, "none answered with 5xx" if not failures else "")


def malformed(chosen: random.Random) -> bytes:
    """A request with something wrong, most of the time."""
    end = chosen.choice((b"\r\n", b"\r\n", b"\r\n", b"\n", b"\r"))
    first = b" ".join((chosen.choice(METHODS), chosen.choice(TARGETS), chosen.choice(VERSIONS)))
    lines = [
        chosen.choice(NAMES) + chosen.choice((b": ", b": ", b":", b" : ", b"")) + chosen.choice(VALUES)
        for _ in range(chosen.randrange(6))
    ]
    if chosen.random() < 0.7:
        lines.insert(0, b"Host: " + chosen.choice((b"localhost", *VALUES)))
    request = bytearray(end.join((first, *lines, b"", b"")) + chosen.choice((b"", b"{}", b"0\r\n\r\n", b"x" * 100)))
    for _ in range(chosen.choice((0, 0, 0, 1, 4))):
        request[chosen.randrange(len(request))] = chosen.randrange(256)
    return bytes(request)


def status_of(port: int, request: bytes) -> int | None:
    """Status of the answer; 0 where the connection ends without one, or waits for more; None for what is no HTTP."""
    with socket.create_connection(("127.0.0.1", port), timeout=10) as client:
        got = b""
        try:
            client.sendall(request)
            client.shutdown(socket.SHUT_WR)
            while b"\n" not in got and (part := client.recv(4096)):
                got += part
        except OSError:
            return 0
    if not got or not got.startswith(b"HTTP/"):
        return 0
    words = got.split(None, 2)
    return int(words[1]) if len(words) > 1 and words[1].isdigit() else None


CLAIMS: Final[tuple[Claim, ...]] = (
    Claim(
        "api-floods",
        f"A thousand connections that send as much as they can leave the API below {MOST_MEMORY_MB} MB of memory and "
        f"{MOST_DISK_MB} MB of temporary disk, and healthy clients are answered within {ANSWERED_WITHIN_S:g} s",
        "connections",
        floods,
        alone=True,
        minutes=2.0,
    ),
    Claim(
        "api-slow-clients",
        f"Two thousand idle or slow connections are ended, and healthy clients are answered within "
        f"{ANSWERED_WITHIN_S:g} s meanwhile",
        "connections",
        slow,
        alone=True,
        minutes=1.0,
    ),
    Claim(
        "api-bombs",
        f"A body or upload of up to 1 MB that is made to grow costs the API at most {API_CPU_S:g} s of CPU time and is "
        "answered",
        "bodies",
        api_bombs,
    ),
    Claim(
        "file-bombs",
        f"A file of up to 1 MB that is made to grow costs the command that reads it at most {COMMAND_CPU_S:g} s of CPU "
        f"time and {COMMAND_MEMORY_MB} MB, and ends in a documented exit code",
        "files",
        command_bombs,
        minutes=2.0,
    ),
    Claim(
        "yaml-bombs",
        f"Settings, notes, label maps, recipes, scenarios and fleet lists that are made to grow are refused in one "
        f"line within {YAML_CPU_S:g} s of CPU time",
        "readings",
        yaml_bombs,
    ),
    Claim(
        "http-headers",
        "Malformed requests to the API and the metrics port are the client's error, never the server's, and both "
        "answer under this machine's own names alone",
        "requests",
        headers,
    ),
)
