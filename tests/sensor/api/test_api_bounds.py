"""What the server takes in, and what it refuses before it has it: bodies, chunks, uploads, pipelines, time."""

import http.client
import json
import socket
import struct
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from waitress.channel import ClientDisconnected

from sensor.api import connection, server
from sensor.api.admission import REFUSED_TOKENS, Admission
from sensor.api.bodies import ALLOWANCE_BYTES, BodyBudget, HeldBytes
from sensor.api.budget import TimeBudget
from sensor.api.guard import Guard
from sensor.api.live import STREAMS
from sensor.api.problems import Problem
from sensor.api.scoring import COPIES, WAITING
from tests.support.served import Served, served
from tests.support.waiting import wait_until

TOKEN = "t" * 40
LARGE = 16 << 20  # bytes; no system holds so many of a connection


@pytest.fixture(scope="module")
def guarded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server with a token, and a small budget."""
    path: Path = tmp_path_factory.mktemp("token") / "token"
    path.write_text(TOKEN)
    with served("--token-file", path, "--set", "api.body_bytes=2000000", "--set", "api.request_s=1") as running:
        yield running


def everything(port: int, sent: bytes) -> bytes:
    """What comes back up to the end."""
    with socket.create_connection(("127.0.0.1", port), timeout=20) as client:
        client.sendall(sent)
        got = b""
        while part := client.recv(65536):
            got += part
    return got


def answer(port: int, sent: bytes) -> tuple[int, bytes]:
    """Status and body of what comes back, though nothing more is sent."""
    head, _, body = everything(port, sent).partition(b"\r\n\r\n")
    return int(head.split()[1]), body


@contextmanager
def in_process(
    application: Callable[..., Any], budget: BodyBudget | None = None
) -> Iterator[tuple[connection.Connection, socket.socket, list[Any]]]:
    """A connection of a server whose loop does not run, its client, and what is to be done for it."""
    rules = connection.Rules(Admission(Guard(None, None)), budget or BodyBudget(1 << 30))
    tasks: list[Any] = []
    with socket.create_server(("127.0.0.1", 0)) as listener:
        serving = server.ApiServer(application, listener, server.ShutdownFlag(), rules)
        serving.add_task = tasks.append
        try:
            with socket.create_connection(listener.getsockname()) as client:
                wait_until(lambda: serving.handle_accept() or serving.active_channels)
                (one,) = serving.active_channels.values()
                yield one, client, tasks
                one.end()
        finally:
            serving.task_dispatcher.shutdown()
            serving.trigger.close()


def get(path: str) -> bytes:
    """A request."""
    return f"GET {path} HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


def post(path: str, *lines: str, token: str | None = None) -> bytes:
    """The head of a request."""
    shown = [] if token is None else [f"Authorization: Bearer {token}"]
    return "\r\n".join((f"POST {path} HTTP/1.1", "Host: localhost", *shown, *lines, "", "")).encode()


CHUNKED = "Transfer-Encoding: chunked"
FORM = "Content-Type: multipart/form-data; boundary=x"


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (post("/v1/score", "Content-Length: 40000000"), 401),
        (post("/v1/score", "Content-Length: 40000000", token="x" * 40), 401),
        (post("/v1/score", "Content-Length: 50331649", token=TOKEN), 413),
        (post("/v1/score", CHUNKED) + b"10\r\n", 401),
        (post("/v1/score", CHUNKED, token=TOKEN) + b"4000000\r\n", 413),
        (post("/v1/score", CHUNKED, token=TOKEN) + b"1" * 5000, 400),
        (post("/v1/score", CHUNKED, token=TOKEN) + b"0\r\n" + b"A: b\r\n" * 5000, 400),
        (post("/v1/score", "Content-Length: 9", "Origin: http://evil.example", token=TOKEN), 403),
        (post("/v1/score", "Content-Length: 9", "Origin: http://[", token=TOKEN), 403),
        (post("/healthz", "Content-Length: 70000", token=TOKEN), 413),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nContent-Length: 16000000\r\n\r\n", 413),
        (b"PUT / HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nf00000\r\n", 413),
        (post("/v1/score", "Content-Length: 9", "Expect: 100-continue"), 401),
        (b"POST /v1/score HTTP/1.1\r\nHost: evil.example\r\nContent-Length: 9\r\n\r\n", 421),
    ],
)
def test_a_body_is_refused_before_it_comes(guarded: Served, sent: bytes, status: int) -> None:
    found, body = answer(guarded.port, sent)
    assert (found, json.loads(body)["status"]) == (status, status)


def test_an_upload_shows_the_token_in_its_first_part_or_is_not_taken_in(guarded: Served) -> None:
    file = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n' + b" " * 9000
    wrong = b'--x\r\nContent-Disposition: form-data; name="token"\r\n\r\nwrong\r\n' + file
    for body in (file, wrong):
        status, page = answer(guarded.port, post("/", FORM, "Content-Length: 1000000") + body)
        assert status == 401
        assert b"<form" in page  # for people
    right = wrong.replace(b"wrong", TOKEN.encode()) + b"\r\n--x--\r\n"
    assert answer(guarded.port, post("/", FORM, f"Content-Length: {len(right)}", "Connection: close") + right)[0] == 422


def test_bodies_beyond_the_budget_are_to_wait_and_small_ones_are_not(guarded: Served) -> None:
    head = post("/v1/score", "Content-Type: application/json", "Content-Length: 1500000", token=TOKEN)
    with ExitStack() as stack:
        half = stack.enter_context(socket.create_connection(("127.0.0.1", guarded.port)))
        half.sendall(head + b" " * 1_400_000)
        time.sleep(0.5)
        status, body = answer(guarded.port, head + b" " * 1_400_000)
        assert (status, b"too many bodies" in body) == (503, True)
        small = post(
            "/v1/score", "Content-Type: application/json", "Content-Length: 2", "Connection: close", token=TOKEN
        )
        assert answer(guarded.port, small + b"{}")[0] == 422
    time.sleep(0.5)  # what was held is free again
    assert answer(guarded.port, head.replace(b"Host", b"Connection: close\r\nHost") + b" " * 1_500_000)[0] == 400


def test_more_than_some_requests_in_one_go_end_the_connection(guarded: Served) -> None:
    one = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    with socket.create_connection(("127.0.0.1", guarded.port), timeout=20) as client:
        client.sendall(one * 200)
        got = b""
        while part := client.recv(65536):
            got += part
    assert got.count(b"HTTP/1.1 200") == connection.PIPELINED
    assert got.count(b"HTTP/1.1 429") == 1


def test_a_new_connection_has_room_where_all_wait(guarded: Served) -> None:
    with ExitStack() as stack:
        for _ in range(server.CONNECTIONS + 50):
            stack.enter_context(socket.create_connection(("127.0.0.1", guarded.port), timeout=20))
        began = time.monotonic()
        assert guarded.ask("GET", "/healthz").status == 200
        assert time.monotonic() - began < 5


def test_who_sends_a_byte_now_and_then_gives_way_before_who_asks(guarded: Served) -> None:
    here = ("127.0.0.1", guarded.port)
    with ExitStack() as stack:
        slow = [stack.enter_context(socket.create_connection(here, timeout=20)) for _ in range(server.CONNECTIONS - 1)]
        asking = http.client.HTTPConnection(*here, timeout=20)
        stack.callback(asking.close)
        asking.request("GET", "/healthz")
        assert asking.getresponse().read()
        for client in slow:
            client.sendall(b"G")
        for _ in range(50):
            stack.enter_context(socket.create_connection(here, timeout=20))
        assert guarded.ask("GET", "/healthz").status == 200  # those before it have their places
        asking.sock.sendall(b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
        assert asking.sock.recv(12) == b"HTTP/1.1 200"


def test_what_is_held_never_goes_beyond_the_budget() -> None:
    budget = BodyBudget(1000)
    first, second = HeldBytes(budget), HeldBytes(budget, allowance_bytes=0)
    assert first.hold(ALLOWANCE_BYTES + 600)
    assert not second.hold(401)
    assert second.hold(400)
    assert not first.hold(ALLOWANCE_BYTES + 601)
    assert budget.used_bytes == 1000
    assert first.hold(10)
    assert second.hold(5000, forced=True)
    second.release()
    assert budget.used_bytes == 0


def test_wrong_tokens_are_to_wait_beyond_some_a_minute() -> None:
    clock = [0.0]
    admission = Admission(Guard(TOKEN, None), now=lambda: clock[0])

    def statuses(count: int) -> list[int]:
        found = []
        for _ in range(count):
            with pytest.raises(Problem) as refusal:
                admission.check("POST", "/v1/score", {})
            found.append(refusal.value.status)
        return found

    assert statuses(REFUSED_TOKENS + 2) == [401] * REFUSED_TOKENS + [429] * 2
    admission.check("POST", "/v1/score", {"Authorization": f"Bearer {TOKEN}"})  # whoever has it is let in
    clock[0] = 61.0
    assert statuses(1) == [401]


def test_a_request_ends_when_its_time_is_used_up() -> None:
    clock = [5.0]
    budget = TimeBudget(2.0, lambda: clock[0])
    clock[0] = 7.0
    budget.check()
    clock[0] = 7.1
    with pytest.raises(Problem, match=r"more than 2 s of CPU time") as refusal:
        budget.check()
    assert refusal.value.status == 413


def test_what_is_no_request_behind_as_many_as_may_wait_ends_the_connection(guarded: Served) -> None:
    one = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n"
    got = everything(guarded.port, one * connection.PIPELINED + b"get / HTTP/1.1\r\n\r\n")
    assert got.count(b"HTTP/1.1 200") == connection.PIPELINED
    assert b"HTTP/1.0 400" in got


def test_a_request_that_waits_for_nothing_is_answered_at_once(guarded: Served) -> None:
    one = b"GET /healthz HTTP/1.1\r\nHost: localhost\r\nExpect: 100-continue\r\n\r\n"
    two = b"GET /nowhere HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n"
    statuses = [line.split()[1] for line in everything(guarded.port, one + two).splitlines() if b"HTTP/1.1 " in line]
    assert statuses == [b"200", b"401"]


def test_urgent_data_ends_a_connection(guarded: Served) -> None:
    with socket.create_connection(("127.0.0.1", guarded.port), timeout=10) as client, suppress(ConnectionResetError):
        client.send(b"!", socket.MSG_OOB)
        assert client.recv(1) == b""


def test_the_next_request_is_answered_once_the_answer_before_it_is_taken() -> None:
    asked: list[str] = []

    def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        asked.append(environ["PATH_INFO"])
        start_response("200 OK", [("Content-Length", str(LARGE))])
        return [bytes(LARGE)]

    with in_process(application) as (one, client, tasks):
        assert one.received(get("/1") + get("/2"))
        tasks.pop().service()
        assert one.total_outbufs_len  # more than the system's buffers take
        tasks.pop().service()
        assert (asked, tasks) == (["/1"], [])
        assert not one.is_answering  # it may give way to others
        got = 0
        while not tasks:
            got += len(client.recv(1 << 20))
            one.handle_write()
        assert got < 2 * LARGE
        tasks.pop().service()
        assert asked == ["/1", "/2"]


def test_bodies_behind_a_connection_that_has_ended_are_free_again() -> None:
    class Answer(list[bytes]):
        def close(self) -> None:
            one.end()  # as the loop does once it finds that the client has gone

    def application(_: dict[str, Any], start_response: Callable[..., Any]) -> list[bytes]:
        start_response("200 OK", [("Content-Length", "1")])
        return Answer([b"."])

    budget = BodyBudget(1 << 20)
    with in_process(application, budget) as (one, _, tasks):
        one.received((post("/v1/score", "Content-Length: 100000") + bytes(100_000)) * 2)
        assert budget.used_bytes == 2 * (100_000 - ALLOWANCE_BYTES)
        tasks.pop().service()
        assert (budget.used_bytes, tasks) == (0, [])


def test_there_are_threads_for_who_needs_no_model() -> None:
    assert server.THREADS > COPIES + WAITING + STREAMS


def test_of_a_stream_what_was_sent_is_let_go() -> None:
    held: list[int] = []

    def application(_: dict[str, Any], start_response: Callable[..., Any]) -> Iterator[bytes]:
        start_response("200 OK", [])
        for _ in range(100):
            yield bytes(100_000)
            while one.total_outbufs_len:
                client.recv(1 << 20)
                one._flush_some()
            held.append(sum(len(part.getfile().getbuffer()) for part in one.outbufs))

    with in_process(application) as (one, client, tasks):
        client.settimeout(10)
        one.received(get("/"))
        tasks.pop().service()
    assert len(held) == 100
    assert max(held) < 2 * connection.SENT_KEPT_BYTES


def test_a_client_that_has_gone_is_no_error(monkeypatch: pytest.MonkeyPatch) -> None:
    def gone(_: object) -> int:
        raise ClientDisconnected

    with in_process(lambda *_: []) as (one, _, tasks):
        one.received(b"get / HTTP/1.1\r\n\r\n")
        monkeypatch.setattr(one, "write_soon", gone)
        tasks.pop().service()
    with in_process(lambda *_: []) as (one, client, tasks):
        client.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        client.close()
        one.received(post("/v1/score", "Expect: 100-continue", "Content-Length: 9") + b"123")
        assert tasks == []
