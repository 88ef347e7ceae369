"""The outputs of the settings: real receivers, nothing lost across their restarts, nobody waits for them."""

import json
import os
import shutil
import socket
import ssl
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import orjson
import pytest

from sensor.alerts.alert_record import alert_line
from sensor.errors import ConfigError, OutputError
from sensor.outputs.datagrams import DatagramTransport
from sensor.outputs.outputs import Outputs, Prepared, prepared_outputs
from sensor.outputs.spool_directory import checked
from sensor.settings.outputs import FileEntry, KafkaEntry, OutputEntry, SyslogEntry, UnixEntry
from tests.support.alerts import an_alert
from tests.support.brokers import brokers
from tests.support.receivers import RECEIVERS, free_port, received, receiver
from tests.support.waiting import wait_until

pytestmark = pytest.mark.ux

LONG_S = 20.0


def alerts(first: int, count: int) -> list[bytes]:
    return [alert_line(an_alert(sequence=number)) for number in range(first, first + count)]


def started(*entries: OutputEntry, patience_s: float = 0.0) -> Outputs:
    return Outputs(prepared_outputs(entries, "gw1"), patience_s)


def sequences(content: bytes) -> list[int]:
    return [int(json.loads(line)["event"]["sequence"]) for line in content.splitlines()]


class Listener:
    """A Unix stream socket that keeps what it reads."""

    def __init__(self, path: Path) -> None:
        self.content = b""
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.bind(str(path))
        self.socket.listen()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def _read(self) -> None:
        try:
            connection, _ = self.socket.accept()
            with connection:
                while part := connection.recv(65536):
                    self.content += part
        except OSError:
            return

    def join(self) -> None:
        self._thread.join(LONG_S)
        self.socket.close()


@pytest.mark.parametrize("program", list(RECEIVERS))
def test_a_receiver_that_restarts_misses_no_alert_over_tcp(program: str, tmp_path: Path) -> None:
    with receiver(program, tmp_path) as daemon:
        outputs = started(SyslogEntry(type="syslog", host="127.0.0.1", port=daemon.port, spool=tmp_path / "spool"))
        for first in range(1, 2001, 100):
            outputs.write(alerts(first, 100))
            if first == 1001:
                daemon.stop()
                time.sleep(0.1)
                daemon.start()
        outputs.close(LONG_S)
        daemon.stop()
        arrived = [number for _, number in received(daemon.out)]
    assert list(dict.fromkeys(arrived)) == list(range(1, 2001))
    assert outputs.lost == 0
    assert not outputs.problems


@pytest.mark.parametrize("program", list(RECEIVERS))
def test_alerts_at_a_walk_arrive_over_udp(program: str, tmp_path: Path) -> None:
    with receiver(program, tmp_path) as daemon:
        outputs = started(SyslogEntry(type="syslog", host="127.0.0.1", port=daemon.port, transport="udp"))
        for number in range(1, 21):
            outputs.write(alerts(number, 1))
            time.sleep(0.01)
        wait_until(lambda: outputs.states()[0].written == 20)
        outputs.close(1)
        wait_until(lambda: len(received(daemon.out)) == 20)  # what stands in its socket is lost with it
        daemon.stop()
        assert [number for _, number in received(daemon.out)] == list(range(1, 21))


def test_what_a_receiver_missed_is_delivered_in_order_by_the_next_sensor(tmp_path: Path) -> None:
    entry = UnixEntry(type="unix", path=tmp_path / "s", spool=tmp_path / "spool")
    first = started(entry)
    first.write(alerts(1, 500))
    first.close(0.3)
    state = first.states()[0]
    assert (state.spooled, state.lost, state.written) == (500, 0, 0)
    assert "500 spooled" in first.problems[0]
    listener = Listener(tmp_path / "s")
    second = started(entry)
    second.write(alerts(501, 500))
    second.close(LONG_S)
    listener.join()
    assert sequences(listener.content) == list(range(1, 1001))
    assert second.states()[0].spooled == 0


def test_what_waits_for_a_receiver_that_takes_long_to_be_reached_is_spooled_at_the_end(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sensor.outputs.delivery.CONNECT_S", 0.2)
    monkeypatch.setattr("sensor.outputs.delivery.GRACE_S", 0.2)
    asked, answered, over = threading.Event(), threading.Event(), threading.Event()

    def connect() -> socket.socket:
        asked.set()
        answered.wait(LONG_S)
        over.set()
        raise ConnectionRefusedError

    entry = UnixEntry(type="unix", path=tmp_path / "s", spool=tmp_path / "spool")
    outputs = Outputs([Prepared(entry, DatagramTransport(connect), None)])
    assert asked.wait(LONG_S)
    outputs.write(alerts(1, 30))
    outputs.close(0.1)
    (state,) = outputs.states()
    assert (state.spooled, state.queued, outputs.lost) == (30, 0, 0)
    answered.set()
    assert over.wait(LONG_S)
    listener = Listener(tmp_path / "s")
    second = started(entry)
    second.close(LONG_S)
    listener.join()
    assert sequences(listener.content) == list(range(1, 31))


def test_a_spool_takes_no_more_than_its_size_and_what_is_too_much_counts_as_lost(tmp_path: Path) -> None:
    entry = UnixEntry(
        type="unix", path=tmp_path / "s", spool=tmp_path / "spool", spool_bytes=1 << 20, queue_bytes=65536
    )
    outputs = started(entry)
    lines = alerts(1, 2000)
    for start in range(0, 2000, 20):
        outputs.write(lines[start : start + 20])
        time.sleep(0.002)
    outputs.close(0.2)
    state = outputs.states()[0]
    assert state.spooled + state.lost == 2000
    assert state.lost > 0
    assert sum(path.stat().st_size for path in (tmp_path / "spool").glob("*.jsonl")) <= 1 << 20


def test_half_a_line_that_a_crash_left_in_a_spool_is_cut_off(tmp_path: Path) -> None:
    entry = UnixEntry(type="unix", path=tmp_path / "s", spool=tmp_path / "spool")
    first = started(entry)
    first.write(alerts(1, 5))
    first.close(0.2)
    with (tmp_path / "spool" / "00000001.jsonl").open("ab") as segment:
        segment.write(b'{"half')
    listener = Listener(tmp_path / "s")
    second = started(entry)
    second.write(alerts(6, 5))
    second.close(LONG_S)
    listener.join()
    assert sequences(listener.content) == list(range(1, 11))


def test_two_sensors_cannot_share_a_spool(tmp_path: Path) -> None:
    entry = UnixEntry(type="unix", path=tmp_path / "s", spool=tmp_path / "spool")
    first = started(entry)
    with pytest.raises(OutputError, match="used by another process of flowvigil"):
        started(entry)
    first.close(0.1)


def test_a_receiver_that_is_back_by_the_end_is_tried_once_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sensor.outputs.delivery.RETRY_S", 300.0)
    lines = alerts(1, 20)
    outputs = started(UnixEntry(type="unix", path=tmp_path / "s"))
    outputs.write(lines)
    time.sleep(0.3)  # it was not there
    listener = Listener(tmp_path / "s")
    outputs.close(LONG_S)
    listener.join()
    assert listener.content == b"".join(lines)
    assert outputs.lost == 0


def test_whoever_writes_never_waits_for_a_receiver_that_reads_nothing(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as deaf:
        deaf.bind(str(tmp_path / "s"))
        deaf.listen()
        outputs = started(UnixEntry(type="unix", path=tmp_path / "s", queue_bytes=65536))
        lines = alerts(1, 100)
        slowest = 0.0
        for _ in range(50):
            began = time.perf_counter()
            outputs.write(lines)
            slowest = max(slowest, time.perf_counter() - began)
        outputs.close(0.2)
    state = outputs.states()[0]
    assert slowest < 0.25
    assert state.lost > 0
    assert state.lost + state.written == 5000


def test_several_outputs_each_get_their_own_format(tmp_path: Path) -> None:
    outputs = started(
        FileEntry(type="file", path=tmp_path / "native"), FileEntry(type="file", path=tmp_path / "cef", format="cef")
    )
    lines = alerts(1, 3)
    outputs.write(lines)
    outputs.close(LONG_S)
    assert (tmp_path / "native").read_bytes() == b"".join(lines)
    assert all(line.startswith("CEF:") for line in (tmp_path / "cef").read_text().splitlines())
    assert [state.written for state in outputs.states()] == [3, 3]


def test_two_outputs_to_one_receiver_have_names_of_their_own() -> None:
    one = SyslogEntry(type="syslog", host="127.0.0.1", port=9, transport="udp")
    outputs = started(one, one.model_copy(update={"format": "cef"}))
    outputs.close(0.0)
    assert [state.name for state in outputs.states()] == [
        "syslog udp 127.0.0.1:9 (native)",
        "syslog udp 127.0.0.1:9 (cef)",
    ]


def test_a_datagram_socket_gets_one_record_each(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as there:
        there.bind(str(tmp_path / "s"))
        outputs = started(UnixEntry(type="unix", path=tmp_path / "s", socket="datagram"))
        outputs.write(alerts(1, 5))
        there.settimeout(LONG_S)
        assert [sequences(there.recv(65536)) for _ in range(5)] == [[1], [2], [3], [4], [5]]
        outputs.close(1)


def test_a_line_that_is_too_long_for_a_datagram_is_lost_alone(tmp_path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as there:
        there.bind(str(tmp_path / "s"))
        outputs = started(UnixEntry(type="unix", path=tmp_path / "s", socket="datagram"))
        before, after = alerts(1, 2)
        outputs.write([before, b'{"long":"%s"}\n' % (b"x" * 500_000), after])
        there.settimeout(LONG_S)
        assert [sequences(there.recv(65536)) for _ in range(2)] == [[1], [2]]
        outputs.close(1)
    assert (outputs.states()[0].written, outputs.lost) == (2, 1)
    (problem,) = outputs.problems
    assert "found a line of 500,012 bytes, expected " in problem
    assert problem.endswith(" at most, 1 line lost")


def test_a_datagram_that_the_system_refuses_for_its_length_is_lost_alone(tmp_path: Path) -> None:
    ours = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as there:
        there.bind(str(tmp_path / "s"))
        ours.connect(str(tmp_path / "s"))
        entry = UnixEntry(type="unix", path=tmp_path / "s", socket="datagram")
        outputs = Outputs([Prepared(entry, DatagramTransport(lambda: ours), None)])
        wait_until(lambda: outputs.states()[0].up)
        ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 8192)
        before, after = alerts(1, 2)
        outputs.write([before, b'{"long":"%s"}\n' % (b"x" * 50_000), after])
        there.settimeout(LONG_S)
        assert [sequences(there.recv(65536)) for _ in range(2)] == [[1], [2]]
        outputs.close(1)
    assert (outputs.states()[0].written, outputs.lost) == (2, 1)
    assert outputs.problems[0].endswith(": takes no datagram of 50,012 bytes, 1 line lost")


FOREIGN = (
    b"[]",
    b"5",
    b"null",
    b'"x"',
    b'{"event":[]}',
    b'{"event":null}',
    b'{"observer":7}',
    b'{"flowvigil":[1]}',
    b"{",
    b'{"a":' * 300 + b"1" + b"}" * 300,
    b'{"x":%s,"y":"%s"}' % (b"[" * 900 + b"]" * 900, b"y" * 9000),
    b'{"event":%s}' % (b"[" * 1000 + b"]" * 1000),
)


def test_lines_of_others_in_a_spool_cost_no_other_line_of_a_syslog_output(tmp_path: Path) -> None:
    (tmp_path / "spool").mkdir()
    (tmp_path / "spool" / "format").write_bytes(b"spool/2\n")
    foreign = [line + b"\n" for line in FOREIGN]
    lines = [foreign[0], *alerts(1, 1), *foreign[1:], *alerts(2, 2)]  # what lies between counts as written by nobody
    (tmp_path / "spool" / "00000001.jsonl").write_bytes(b"".join(map(checked, lines)))
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as there:
        there.bind(("127.0.0.1", 0))
        there.settimeout(LONG_S)
        port = there.getsockname()[1]
        outputs = started(
            SyslogEntry(type="syslog", host="127.0.0.1", port=port, transport="udp", spool=tmp_path / "spool")
        )
        outputs.write(alerts(4, 1))
        got = [there.recv(65536) for _ in range(4)]
        outputs.close(LONG_S)
    assert [json.loads(message[message.index(b"{") :])["event"]["sequence"] for message in got] == [1, 2, 3, 4]
    assert (outputs.states()[0].written, outputs.lost) == (4, len(FOREIGN))
    assert not outputs.failed


def test_a_fault_of_an_output_costs_that_output_alone_and_is_told(tmp_path: Path) -> None:
    def fault(_line: bytes) -> bytes:
        raise RuntimeError("of a defect")

    good, bad = prepared_outputs(
        [FileEntry(type="file", path=tmp_path / "a"), FileEntry(type="file", path=tmp_path / "b")], "gw1"
    )
    outputs = Outputs([good, replace(bad, encode=fault)])
    lines = alerts(1, 3)
    outputs.write(lines)
    wait_until(lambda: outputs.failed)
    outputs.write(alerts(4, 1))
    outputs.close(LONG_S)
    assert (tmp_path / "a").read_bytes() == b"".join([*lines, *alerts(4, 1)])
    assert [state.lost for state in outputs.states()] == [0, 4]
    assert outputs.problems == [f"file {tmp_path / 'b'}: internal error: RuntimeError: of a defect, 4 lines lost"]


def certificate(directory: Path, name: str) -> tuple[Path, Path]:
    if shutil.which("openssl") is None:
        pytest.skip("openssl is not installed")
    made, key = directory / "cert.pem", directory / "key.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes",
         "-days", "30", "-keyout", key, "-out", made, "-subj", f"/CN={name}", "-addext", f"subjectAltName=DNS:{name}"],
        check=True, capture_output=True,
    )  # fmt: skip
    return made, key


@pytest.fixture
def tls_server(tmp_path: Path) -> Iterator[tuple[int, Path, list[bytes]]]:
    """Port, certificate and what came in."""
    made, key = certificate(tmp_path, "localhost")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(made, key)
    content: list[bytes] = []
    server = socket.create_server(("localhost", 0))

    def serve() -> None:
        while True:
            try:
                plain, _ = server.accept()
                with context.wrap_socket(plain, server_side=True) as connection:
                    while part := connection.recv(65536):
                        content.append(part)
            except ssl.SSLError:
                continue
            except OSError:
                return

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    yield server.getsockname()[1], made, content
    server.close()


def test_syslog_over_tls_is_read_by_who_has_the_certificate(tls_server: tuple[int, Path, list[bytes]]) -> None:
    port, ca, content = tls_server
    outputs = started(SyslogEntry(type="syslog", host="localhost", port=port, transport="tls", ca=ca))
    outputs.write(alerts(1, 300))
    outputs.close(LONG_S)
    stream = b"".join(content)
    numbers = []
    while stream:
        size, _, stream = stream.partition(b" ")
        frame, stream = stream[: int(size)], stream[int(size) :]
        numbers.append(int(orjson.loads(frame[frame.index(b"{") :])["event"]["sequence"]))
    assert numbers == list(range(1, 301))
    assert not outputs.problems


def test_syslog_over_tls_sends_nothing_to_a_certificate_that_is_not_trusted(
    tls_server: tuple[int, Path, list[bytes]], tmp_path: Path
) -> None:
    port, _, content = tls_server
    (tmp_path / "other").mkdir()
    other, _ = certificate(tmp_path / "other", "localhost")
    outputs = started(SyslogEntry(type="syslog", host="localhost", port=port, transport="tls", ca=other))
    outputs.write(alerts(1, 3))
    outputs.close(0.5)
    assert not b"".join(content)
    assert outputs.lost == 3
    assert "certificate" in outputs.problems[0]


def test_a_certificate_that_is_none_is_an_error_of_the_settings(tmp_path: Path) -> None:
    (tmp_path / "ca.pem").write_text("nothing")
    with pytest.raises(ConfigError, match=r"ca\.pem"):
        started(SyslogEntry(type="syslog", host="localhost", transport="tls", ca=tmp_path / "ca.pem"))


def test_kafka_records_arrive_once_and_in_order(tmp_path: Path) -> None:
    kafka = pytest.importorskip("confluent_kafka")
    mock = kafka.Producer({"bootstrap.servers": "unused", "test.mock.num.brokers": 2})
    servers = mock_servers(mock)
    outputs = started(KafkaEntry(type="kafka", servers=servers, topic="alerts", spool=tmp_path / "spool"))
    outputs.write(alerts(1, 500))
    outputs.close(LONG_S)
    assert outputs.states()[0].written == 500, outputs.problems
    assert taken_by(servers, "alerts", 500) == list(range(1, 501))


def mock_servers(producer: object) -> str:
    """Addresses of librdkafka's own cluster."""
    brokers = producer.list_topics(timeout=5).brokers  # type: ignore[attr-defined]
    return ",".join(f"{broker.host}:{broker.port}" for broker in brokers.values())


@pytest.mark.parametrize("spool", [True, False])
def test_a_record_that_brokers_never_take_is_lost_alone(tmp_path: Path, *, spool: bool) -> None:
    kafka = pytest.importorskip("confluent_kafka")
    refused = kafka.KafkaError.MSG_SIZE_TOO_LARGE
    with brokers() as cluster:
        # Of 1 to 8; 1 to 4; 1 and 2; 3 to 6; 3 and 4; and 3.
        cluster.answer(refused, refused, 0, refused, refused, refused)
        entry = KafkaEntry(
            type="kafka", servers=cluster.servers, topic="t", spool=tmp_path / "spool" if spool else None
        )
        outputs = started(entry)
        outputs.write(alerts(1, 8))
        wait_until(lambda: outputs.states()[0].written == 7)
        outputs.write(alerts(9, 40))
        outputs.close(LONG_S)
        state = outputs.states()[0]
        assert (state.written, state.spooled, state.lost) == (47, 0, 1)
        (problem,) = outputs.problems
        assert problem.endswith(" bytes: broker: message size too large, 1 line lost")
        assert taken_by(cluster.servers, "t", 47) == [1, 2, *range(4, 49)]


def taken_by(servers: str, topic: str, count: int) -> list[int]:
    """Sequence numbers of the first records of a topic, in the brokers' order."""
    import confluent_kafka as kafka

    consumer = kafka.Consumer({"bootstrap.servers": servers, "group.id": "test", "auto.offset.reset": "earliest"})
    consumer.subscribe([topic])
    records: list[bytes] = []
    deadline = time.monotonic() + LONG_S
    while len(records) < count and time.monotonic() < deadline:
        records += [record.value() for record in consumer.consume(500, 0.5) if record.error() is None]
    consumer.close()
    return sequences(b"\n".join(records))


def test_kafka_without_brokers_spools(tmp_path: Path) -> None:
    pytest.importorskip("confluent_kafka")
    servers = f"127.0.0.1:{free_port()}"
    outputs = started(KafkaEntry(type="kafka", servers=servers, topic="alerts", spool=tmp_path / "spool"))
    outputs.write(alerts(1, 10))
    outputs.close(0.2)
    assert outputs.lost == 0
    assert outputs.states()[0].spooled == 10


def test_a_file_that_was_removed_is_made_anew(tmp_path: Path) -> None:
    outputs = started(FileEntry(type="file", path=tmp_path / "a"))
    outputs.write(alerts(1, 1))
    wait_until(lambda: outputs.states()[0].written == 1)
    (tmp_path / "a").unlink()
    outputs.write(alerts(2, 2))
    outputs.close(LONG_S)
    assert sequences((tmp_path / "a").read_bytes()) == [2, 3]
    assert outputs.lost == 0


def test_a_file_that_was_rotated_is_opened_anew(tmp_path: Path) -> None:
    path = tmp_path / "alerts"
    outputs = started(FileEntry(type="file", path=path))
    outputs.write(alerts(1, 2))
    wait_until(lambda: outputs.states()[0].written == 2)
    os.rename(path, tmp_path / "old")
    assert outputs.reopen() == 1
    wait_until(path.exists)
    outputs.write(alerts(3, 2))
    outputs.close(LONG_S)
    assert sequences((tmp_path / "old").read_bytes()) == [1, 2]
    assert sequences(path.read_bytes()) == [3, 4]


def test_what_a_receiver_had_not_read_when_it_ended_is_sent_again() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        outputs = started(SyslogEntry(type="syslog", host="127.0.0.1", port=server.getsockname()[1]))
        outputs.write(alerts(1, 20))
        first, _ = server.accept()
        time.sleep(0.5)  # all of it lies in the kernel of the receiver
        first.close()
        server.settimeout(LONG_S)
        second, _ = server.accept()
        second.settimeout(LONG_S)
        content = b""
        while content.count(b"flowvigil.alert") < 20:
            part = second.recv(65536)
            assert part
            content += part
        second.close()
        outputs.close(0.2)
