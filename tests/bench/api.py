"""The JSON API on loopback: rows a second in batches of a thousand, time of single rows, and slow clients.

    python -m tests.bench.api

The server has one processor core, this client the others. Traffic is synthetic: normal, and a port scan, of which
nearly every flow is flagged and explained. With --check it ends with exit code 1 below what is promised.
"""

import http.client
import os
import socket
import sys
import time
from collections.abc import Sequence
from contextlib import ExitStack
from typing import Any

import numpy as np
import orjson

from sensor.synth.scenarios.normal import NORMAL
from sensor.synth.scenarios.portscan import PORTSCAN
from tests.support.served import JSON, Served, flows_of, rows_of, served

BATCH = 1_000
RUN_S = 5.0
SINGLES = 2_000
SLOW = 300
PROMISED_ROWS, PROMISED_P99_MS, PROMISED_HEALTH_MS = 20_000, 20.0, 1_000.0


def main(check: bool) -> int:
    """Measure and print; whether something is less than promised."""
    core = min(os.sched_getaffinity(0))
    rest = os.sched_getaffinity(0) - {core}
    normal, scan = rows_of(flows_of([NORMAL], 20.0)), rows_of(flows_of([PORTSCAN], 2.0))
    alone = [{name: cell for name, cell in row.items() if name not in ("src_address", "start")} for row in normal]
    failed = []
    with served(prefix=("taskset", "-c", str(core))) as server:
        os.sched_setaffinity(0, rest or {core})
        for name, rows, reasons in (
            ("normal traffic", alone, "full"),
            ("normal traffic, sequences", normal, "full"),
            ("normal traffic, no reasons", alone, "none"),
            ("a port scan, full reasons", scan, "full"),
            ("a port scan, quick reasons", scan, "quick"),
            ("a port scan, no reasons", scan, "none"),
        ):
            per_s, per_cpu_s, flagged = throughput(server, rows, reasons)
            speed = f"{per_s / 1e3:6.1f} k rows/s, {per_cpu_s / 1e3:6.1f} k per CPU-second"
            print(f"{name:<32} {speed}, {flagged:.1%} flagged")
            if name == "normal traffic" and per_cpu_s < PROMISED_ROWS:
                failed.append(name)
        for name, rows in (("single rows, normal", normal), ("single rows, scan, explained", scan)):
            median, p99 = singles(server, rows)
            print(f"{name:<32} median {median:.2f} ms, 99 % within {p99:.2f} ms")
            if p99 > PROMISED_P99_MS:
                failed.append(name)
        worst = slow_clients(server)
        print(f"{f'/healthz beside {SLOW} slow clients':<32} within {worst:.1f} ms")
        if worst > PROMISED_HEALTH_MS:
            failed.append("slow clients")
    if failed:
        print(f"less than promised: {', '.join(failed)}")
    return int(bool(failed) and check)


def throughput(server: Served, rows: Sequence[dict[str, Any]], reasons: str) -> tuple[float, float, float]:
    """Rows a second, rows a CPU second of the server, and the share of flagged rows."""
    bodies = [
        orjson.dumps({"rows": rows[at : at + BATCH], "reasons": reasons})
        for at in range(0, len(rows) - BATCH + 1, BATCH)
    ]
    connection = server.connection()
    flagged = sum(row["verdict"] != "benign" for body in bodies for row in orjson.loads(post(connection, body))["rows"])
    sent, begin, cpu = 0, time.monotonic(), server.cpu_s()
    while time.monotonic() - begin < RUN_S:
        post(connection, bodies[sent % len(bodies)])
        sent += 1
    wall, used = time.monotonic() - begin, server.cpu_s() - cpu
    connection.close()
    return sent * BATCH / wall, sent * BATCH / used, flagged / (len(bodies) * BATCH)


def singles(server: Served, rows: Sequence[dict[str, Any]]) -> tuple[float, float]:
    """Median and 99th percentile of the time of one row, in ms."""
    connection = server.connection()
    taken = []
    for i in range(SINGLES):
        body = orjson.dumps({"rows": [rows[i % len(rows)]]})
        begin = time.perf_counter()
        post(connection, body)
        taken.append((time.perf_counter() - begin) * 1e3)
    connection.close()
    return float(np.median(taken)), float(np.percentile(taken, 99))


def slow_clients(server: Served, count: int = SLOW) -> float:
    """The longest of some answers of /healthz, in ms, while clients send a request byte by byte."""
    head = b"POST /v1/score HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nContent-Length: 99999\r\n"
    with ExitStack() as stack:
        slow = [stack.enter_context(socket.create_connection(("127.0.0.1", server.port))) for _ in range(count)]
        longest = 0.0
        for at in range(len(head) // 3):
            for client in slow:
                client.sendall(head[at : at + 1])
            if at % 5 == 0:
                begin = time.perf_counter()
                assert server.ask("GET", "/healthz").status == 200
                longest = max(longest, (time.perf_counter() - begin) * 1e3)
    return longest


def post(connection: http.client.HTTPConnection, body: bytes) -> bytes:
    """The body of the answer, which must be good."""
    connection.request("POST", "/v1/score", body, JSON)
    response = connection.getresponse()
    answer = response.read()
    assert response.status == 200, answer[:500]
    return answer


if __name__ == "__main__":
    sys.exit(main("--check" in sys.argv[1:]))
