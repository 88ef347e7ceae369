"""The sensor's side of `watch --attach`: what clients get, and that none of them can hold up the sensor."""

import socket
import time
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from sensor.alerts.alert_record import alert_line
from sensor.attach import server as server_module
from sensor.attach.send_buffer import MOST_BYTES, SendBuffer
from sensor.attach.server import CLIENTS, HISTORY_BYTES, HISTORY_LINES
from sensor.progress.latest import Latest
from sensor.progress.progress import Progress
from tests.support.alerts import an_alert
from tests.support.attached import Reader, connected, eventually, serving
from tests.support.growing import Growing
from tests.support.native import a_stats_line, an_event_line

pytestmark = [pytest.mark.ux, pytest.mark.takes(12)]

ALERT = alert_line(an_alert())


def is_a(name: str) -> Any:
    return lambda own: own.get("record") == name


def sequences(records: list[dict[str, Any]]) -> list[int]:
    return [record["number"] for record in records if record["schema"] == "alert/1"]


def numbered(number: int) -> bytes:
    return ALERT.replace(b'{"schema"', b'{"number":%d,"schema"' % number)


def test_a_client_is_greeted_then_gets_the_latest_alerts_then_what_comes(tmp_path: Path) -> None:
    with serving(tmp_path, Latest(Progress(packets=7))) as server:
        server.write([numbered(1), a_stats_line(), numbered(2)])
        with Reader(tmp_path) as reader:
            first = reader.until(is_a("progress"))
            assert first[0]["hello"] == {
                "version": "0.1.0", "observer": "gw1", "source": "eth0", "bundle": "cic2017",
            }  # fmt: skip
            assert sequences(first) == [1, 2]
            assert len(first) == 4  # no account of before: it is old
            assert first[-1]["progress"]["packets"] == 7
            server.write([numbered(3), a_stats_line(), an_event_line()])
            rest = [own["schema"] for own in reader.until(lambda own: own["schema"] == "event/1")]
    assert [schema for schema in rest if schema != "attach/1"] == ["alert/1", "stats/1", "event/1"]


def test_the_progress_of_the_moment_comes_twice_a_second(tmp_path: Path) -> None:
    with serving(tmp_path, Growing()), Reader(tmp_path) as reader:  # type: ignore[arg-type]
        reader.until(is_a("progress"))
        start = time.monotonic()
        told = [reader.until(is_a("progress"))[-1]["progress"]["packets"] for _ in range(4)]
    assert told == sorted(set(told))
    assert 1.2 < time.monotonic() - start < 20


def test_an_orderly_end_is_told_with_what_led_to_it(tmp_path: Path) -> None:
    with ExitStack() as stack:
        with serving(tmp_path, Latest(problem="eth0 has gone")) as server:
            reader = stack.enter_context(Reader(tmp_path))
            reader.record()
            server.write([numbered(9)])
        rest = reader.until(is_a("end"))
        assert sequences(rest) == [9]
        assert rest[-1]["end"] == {"problem": "eth0 has gone"}
        assert reader.ended()
    assert not (tmp_path / "sock").exists()


def test_a_sensor_that_fails_says_nothing_of_an_orderly_end(tmp_path: Path) -> None:
    reader = None
    try:
        with serving(tmp_path):
            reader = Reader(tmp_path)
            reader.record()
            raise KeyboardInterrupt
    except KeyboardInterrupt:
        assert reader is not None
        with reader:
            assert b'"end"' not in reader._file.read()
    assert not (tmp_path / "sock").exists()


def test_a_client_that_does_not_read_misses_lines_and_is_told_how_many_while_others_miss_none(tmp_path: Path) -> None:
    lines = [numbered(number) for number in range(1, 6001)]
    with serving(tmp_path) as server, Reader(tmp_path) as slow, Reader(tmp_path) as fast:
        slow.record()
        fast.record()
        for at in range(0, len(lines), 300):
            server.write(lines[at : at + 300])
            last = at + 300
            assert sequences(fast.until(lambda own, last=last: own.get("number") == last)) == [*range(at + 1, last + 1)]
        told = slow.until(is_a("leftout"))
        server.write([numbered(6001)])
        told += slow.until(lambda own: own.get("number") == 6001)
    left_out = [record["leftout"]["lines"] for record in told if record.get("record") == "leftout"]
    assert sum(left_out) + len(sequences(told)) == 6001
    assert sequences(told) == sorted(sequences(told))
    assert len(left_out) <= 3


def test_what_waits_is_bounded_whatever_is_written(tmp_path: Path) -> None:
    wide = ALERT[:-1] + b" " * 7000 + b"\n"
    with serving(tmp_path) as server:
        with connected(tmp_path):
            eventually(lambda: bool(server._clients))
            for _ in range(80):
                server.write([wide] * 50)
            assert server._handed_over_bytes <= server_module.HANDED_OVER_BYTES
            eventually(lambda: not server._handed_over)
            (client,) = server._clients.values()
            assert client.buffer.waiting <= MOST_BYTES
        assert server._history_bytes <= HISTORY_BYTES
        server.write([ALERT] * 5000)
        assert len(server._history) <= HISTORY_LINES


def test_a_buffer_takes_lines_again_once_half_of_it_has_gone() -> None:
    buffer, line = SendBuffer(), b"x" * 999 + b"\n"
    buffer.add([line] * 6000)
    assert buffer.waiting == MOST_BYTES // 1000 * 1000
    missed = buffer.missed
    while buffer.waiting > MOST_BYTES // 2 - 2000:
        buffer.sent(len(buffer.piece()))
        buffer.add([b"lost\n"] if buffer.waiting > MOST_BYTES // 2 else [])
    assert buffer.missed > missed
    buffer.add([b"kept\n"])
    rest = b""
    while buffer:
        rest += buffer.piece()
        buffer.sent(len(buffer.piece()))
    assert buffer.waiting == 0
    assert rest.index(b'"leftout"') < rest.index(b"kept\n")


def test_who_says_anything_is_hung_up_on(tmp_path: Path) -> None:
    with serving(tmp_path) as server, connected(tmp_path) as rude:
        eventually(lambda: bool(server._clients))
        rude.sendall(b"GET / HTTP/1.1\r\n\r\n")
        eventually(lambda: not server._clients)
        assert server.dropped == 1
        with Reader(tmp_path) as polite:
            assert polite.record()["record"] == "hello"


def test_who_only_closes_their_way_of_saying_anything_is_told_on(tmp_path: Path) -> None:
    with serving(tmp_path) as server, Reader(tmp_path) as mute:
        mute.socket.shutdown(socket.SHUT_WR)
        mute.record()
        server.write([numbered(5)])
        assert mute.until(lambda own: own.get("number") == 5)


def test_who_goes_makes_room(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        for _ in range(3):
            with ExitStack() as stack:
                for _ in range(CLIENTS):
                    stack.enter_context(Reader(tmp_path)).record()
            eventually(lambda: not server._clients)


def test_one_client_too_many_is_refused_in_one_line(tmp_path: Path) -> None:
    with serving(tmp_path), ExitStack() as stack:
        for _ in range(CLIENTS):
            stack.enter_context(Reader(tmp_path)).record()
        refused = stack.enter_context(Reader(tmp_path))
        assert refused.record()["refused"] == {"reason": f"{CLIENTS} clients are looking already"}
        assert refused.ended()


def test_who_takes_nothing_for_long_gives_way_to_who_wants_the_place(tmp_path: Path, monkeypatch: Any) -> None:
    monkeypatch.setattr(server_module, "TAKES_NOTHING_S", 0.2)
    with serving(tmp_path) as server, ExitStack() as stack:
        for _ in range(CLIENTS):
            stack.enter_context(connected(tmp_path))
        eventually(lambda: len(server._clients) == CLIENTS)
        for _ in range(12):
            server.write([ALERT] * 100)  # more than the kernel keeps
            time.sleep(0.05)
        time.sleep(0.3)
        with Reader(tmp_path) as reader:
            assert reader.record()["record"] == "hello"
        assert server.dropped == CLIENTS


def test_thousands_who_knock_cost_next_to_nothing(tmp_path: Path) -> None:
    with serving(tmp_path) as server, Reader(tmp_path) as reader:
        reader.record()
        knocking = []
        used, own, began = time.process_time(), time.thread_time(), time.monotonic()
        for _ in range(2000):
            one = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
            one.setblocking(False)
            try:
                one.connect(str(tmp_path / "sock"))
                knocking.append(one)
            except BlockingIOError:
                one.close()
            time.sleep(0.0005)
        used, own = time.process_time() - used, time.thread_time() - own
        took_s = time.monotonic() - began
        assert len(knocking) < 100 * (1 + took_s)
        assert used - own < 0.2 * (1 + took_s)  # in the server's thread
        for one in knocking:
            one.close()
        server.write([numbered(1)])
        assert reader.until(lambda own: own.get("number") == 1)


def test_without_a_client_writing_keeps_only_the_latest_alerts_and_wakes_nobody(tmp_path: Path) -> None:
    with serving(tmp_path) as server:
        used = time.process_time()
        for _ in range(100):
            server.write([ALERT, a_stats_line()] * 5)
        assert not server._handed_over
        assert len(server._history) == 500
        assert time.process_time() - used < 0.2
