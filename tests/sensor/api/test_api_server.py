"""The server as a process: its life, its limits, and clients that mean no good."""

import json
import os
import pty
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from tests.support.command import flowvigil
from tests.support.served import JSON, Served, served


def raw(server: Served, sent: bytes, timeout: float = 10) -> bytes:
    """All that comes back for some bytes."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=timeout) as client:
        client.sendall(sent)
        got = b""
        while part := client.recv(65536):
            got += part
        return got


def test_it_lives_and_is_ready_and_logs_each_request_as_json(server: Served) -> None:
    assert server.ask("GET", "/healthz").document == {"status": "ok"}
    assert server.ask("GET", "/readyz").document == {"status": "ready"}
    script = server.ask("GET", "/page/page.js").body
    assert server.told[0].startswith("flowvigil: ")
    deadline = time.monotonic() + 20
    while not any("/page/page.js" in line for line in server.told) and time.monotonic() < deadline:
        time.sleep(0.02)
    lines = [json.loads(line) for line in server.told if line.startswith("{")]
    sizes = {line["url"]["path"]: line["http"]["response"]["body"]["bytes"] for line in lines}
    assert {"/healthz", "/readyz"} <= set(sizes)
    assert sizes["/page/page.js"] == len(script)


def test_it_counts_rows_and_requests(server: Served, scan_rows: list[dict[str, Any]]) -> None:
    assert server.score(scan_rows).status == 200
    text = server.ask("GET", "/metrics").body.decode()
    assert 'flowvigil_api_requests_total{route="/v1/score",status="200"}' in text
    assert 'flowvigil_api_rows_total{verdict="attack"}' in text
    assert "flowvigil_build_info" in text


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"POST /v1/score HTTP/1.1\r\nHost: localhost\r\nContent-Length: 99999999999\r\n\r\n", 413),
        (b"POST /v1/score HTTP/1.1\r\nHost: localhost\r\nContent-Length: x\r\n\r\n", 400),
        (b"POST /v1/score HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: gzip\r\n\r\n", 400),
        (b"POST /v1/score HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n\r\n", 400),
        (b"GET / HTTP/1.1\r\nHost: localhost\r\nX: " + b"a" * 40_000 + b"\r\n\r\n", 431),
        (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
        (b"GET  / HTTP/1.1\r\n\r\n", 400),
        (b"GET http://[ HTTP/1.1\r\nHost: localhost\r\n\r\n", 400),
        (b"POST / HTTP/1.1\r\nHost: localhost\r\nContent-Length: " + b"1" * 5000 + b"\r\n\r\n", 400),
        (b"GET /healthz HTTP/1.1\r\nHost: localhost:1\r\nHost: evil.example\r\n\r\n", 400),
    ],
)
def test_what_the_server_itself_refuses_is_a_problem_too(server: Served, sent: bytes, status: int) -> None:
    head, _, body = raw(server, sent).partition(b"\r\n\r\n")
    assert int(head.split()[1]) == status
    assert b"application/problem+json" in head
    assert json.loads(body)["status"] == status


def test_a_body_beyond_the_limit_is_refused_while_it_comes(server: Served) -> None:
    chunk = b"100000\r\n" + b" " * 0x100000 + b"\r\n"
    with socket.create_connection(("127.0.0.1", server.port), timeout=20) as client:
        client.sendall(b"POST /v1/score HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
        with suppress(BrokenPipeError, ConnectionResetError):
            for _ in range(64):
                client.sendall(chunk)
        with suppress(ConnectionResetError):  # it had gone before we looked
            assert b" 413 " in client.recv(200)
    assert server.ask("GET", "/healthz").status == 200


def test_slow_clients_do_not_stop_it(server: Served) -> None:
    head = b"POST /v1/score HTTP/1.1\r\nHost: localhost\r\nContent-Length: 999\r\n\r\n"
    slow = [socket.create_connection(("127.0.0.1", server.port), timeout=20) for _ in range(300)]
    try:
        for byte in range(20):
            for client in slow:
                client.sendall(head[byte : byte + 1])
        begin = time.monotonic()
        assert server.ask("GET", "/healthz").status == 200
        assert time.monotonic() - begin < 10
    finally:
        for client in slow:
            client.close()


def test_requests_at_the_same_time_get_their_own_answers(server: Served, scan_rows: list[dict[str, Any]]) -> None:
    expected = [server.score(scan_rows[: i + 1]).body for i in range(8)]
    got: list[list[bytes]] = [[] for _ in range(8)]

    def ask(i: int) -> None:
        got[i] = [server.score(scan_rows[: i + 1]).body for _ in range(5)]

    threads = [threading.Thread(target=ask, args=(i,)) for i in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert got == [[body] * 5 for body in expected]


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_ends_when_what_is_under_way_is_answered(number: int, scan_rows: list[dict[str, Any]]) -> None:
    with served() as running:
        rows = [row | {"fwd_bytes": i} for i in range(20) for row in scan_rows]  # each explained by itself
        connection = running.connection()
        connection.request("POST", "/v1/score", json.dumps({"rows": rows}).encode(), JSON)
        time.sleep(0.3)
        running.process.send_signal(number)
        response = connection.getresponse()
        assert response.status == 200
        assert len(json.loads(response.read())["rows"]) == len(rows)
        assert running.process.wait(20) == 0
        assert len(running.told) == 1


@pytest.mark.real_start
def test_a_socket_file_is_its_owner_s_and_goes_with_the_server(tmp_path: Path) -> None:
    path = tmp_path / "api.sock"
    with served("--listen", f"unix:{path}") as running:
        assert running.ask("GET", "/healthz").status == 200
        assert path.stat().st_mode & 0o777 == 0o600
        again = flowvigil("serve", "--listen", f"unix:{path}")
        assert again.code == 3
        assert "in use" in again.stderr[-1]
        assert running.ask("GET", "/healthz").status == 200
        assert running.end() == 0
    assert not path.exists()
    left = socket.socket(socket.AF_UNIX)
    left.bind(str(path))
    left.close()
    with served("--listen", f"unix:{path}") as running:
        assert running.ask("GET", "/healthz").status == 200


def test_an_address_in_use_and_a_bad_bundle_are_one_line(server: Served, tmp_path: Path) -> None:
    run = flowvigil("serve", "--listen", f"127.0.0.1:{server.port}")
    assert (run.code, len(run.stderr)) == (3, 1)
    assert "in use" in run.stderr[0]
    run = flowvigil("serve", "--listen", "127.0.0.1:0", "-m", tmp_path)
    assert (run.code, len(run.stderr)) == (4, 1)


def test_a_token_is_asked_for_where_others_can_reach_it(tmp_path: Path) -> None:
    path = tmp_path / "token"
    path.write_text("t" * 40)
    with served("--listen", "0.0.0.0:0", "--token-file", path) as running:
        assert running.ask("GET", "/v1/model").status == 401
        headers = {"Authorization": "Bearer " + "t" * 40, "Host": "gateway.example"}
        assert running.ask("GET", "/v1/model", headers=headers).status == 200
        assert running.told[0].endswith(", with a token")
        assert "t" * 40 not in "".join(running.told)


@pytest.mark.skipif(sys.platform != "linux", reason="needs a terminal")
def test_a_terminal_obeys_no_path_that_somebody_asks_for(client_of: Callable[..., Any]) -> None:
    leader, terminal = pty.openpty()
    with open(terminal, "w", encoding="utf-8") as stderr, pytest.MonkeyPatch.context() as patch:
        patch.setattr("sys.stderr", stderr)
        assert client_of(logged=True).get("/%C2%9B31m%E2%80%AE%1B]0;x%07").status_code == 404
    shown = os.read(leader, 65536).decode()
    os.close(leader)
    assert shown.strip().isprintable()
    assert json.loads(shown)["url"]["path"] == "/\x9b31m\u202e\x1b]0;x\x07"


@pytest.mark.skipif(sys.platform != "linux", reason="needs /dev/full")
def test_requests_are_answered_where_their_log_is_full_or_has_no_reader(client_of: Callable[..., Any]) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    answered = []
    for place in (os.open("/dev/full", os.O_WRONLY), writing):
        # what is left in its buffer cannot be written at the end either
        with suppress(OSError), open(place, "w", encoding="utf-8") as stderr, pytest.MonkeyPatch.context() as patch:
            patch.setattr("sys.stderr", stderr)
            answered.append(client_of(logged=True).get("/healthz").status_code)
    assert answered == [200, 200]
