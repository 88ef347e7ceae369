"""The metrics as Prometheus gets them: over HTTP, from this machine, whatever other clients do."""

import socket
import threading
import time
import urllib.error
import urllib.request
from contextlib import ExitStack
from dataclasses import replace
from http.client import HTTPResponse

import pytest
from prometheus_client.openmetrics.parser import text_string_to_metric_families as parse_openmetrics
from prometheus_client.parser import text_string_to_metric_families as parse_text

from sensor.errors import ConfigError
from sensor.progress import prometheus as metrics
from sensor.progress.latest import Latest
from sensor.progress.progress import InterfaceState, KeptPackets, LoggedFlows, Progress
from sensor.progress.prometheus import CONNECTIONS, MetricsServer
from sensor.version import VERSION
from tests.support.growing import Growing

pytestmark = pytest.mark.ux

OPENMETRICS = "application/openmetrics-text; version=1.0.0"
PROGRESS = Progress(
    received=1000, metered=800, filtered=50, undecoded={"not IP": 40, 'odd "reason"\n\\': 10}, shed=30, dropped=60,
    waiting=10, bytes=123_456, overload="one flow in 2 is metered", flows=90, table_flows=70, evicted=20, late=3,
    clock_jumps=2, tunnelled=15, split_sessions=12, lost_lines=5, alerts=4, attacks=3, uncertain=1,
    opened_uncertain=2, opened_muted=3,
    merged=6, kept=KeptPackets(2, 31, 4000, 32, 33, 34, 0, 0),
    interfaces=(InterfaceState("eth0", True), InterfaceState("eth1", False)),
)  # fmt: skip


def get(port: int, path: str = "/metrics", accept: str = "text/plain") -> HTTPResponse:
    request = urllib.request.Request(f"http://127.0.0.1:{port}{path}", headers={"Accept": accept})
    response = urllib.request.urlopen(request, timeout=10)  # noqa: S310
    assert isinstance(response, HTTPResponse)
    return response


def scraped(port: int) -> dict[tuple[str, ...], float]:
    """Samples by name and label values."""
    text = get(port).read().decode()
    return {
        (sample.name, *(value for _, value in sorted(sample.labels.items()))): sample.value
        for family in parse_text(text)
        for sample in family.samples
    }


def test_a_scrape_tells_the_account_and_it_adds_up() -> None:
    with MetricsServer(0, Latest(replace(PROGRESS, bundle="cic2017"))) as served:
        found = scraped(served.port)
    assert found == {
        ("flowvigil_packets_received_total",): 1000, ("flowvigil_packets_metered_total",): 800,
        ("flowvigil_packets_filtered_total",): 50, ("flowvigil_packets_undecoded_total", "not IP"): 40,
        ("flowvigil_packets_undecoded_total", 'odd "reason"\n\\'): 10, ("flowvigil_packets_shed_total",): 30,
        ("flowvigil_packets_dropped_total",): 60, ("flowvigil_packets_waiting",): 10,
        ("flowvigil_bytes_total",): 123_456,
        ("flowvigil_flows_total",): 90, ("flowvigil_table_flows",): 70, ("flowvigil_flows_evicted_total",): 20,
        ("flowvigil_packets_late_total",): 3, ("flowvigil_clock_jumps_total",): 2, ("flowvigil_lines_lost_total",): 5,
        ("flowvigil_packets_tunnelled_total",): 15, ("flowvigil_sessions_split_total",): 12,
        ("flowvigil_alerts_merged_total",): 6, ("flowvigil_alert_packets_total", "kept"): 31,
        ("flowvigil_alert_packets_total", "forgotten"): 32, ("flowvigil_alert_packets_total", "over_limit"): 33,
        ("flowvigil_alert_packets_total", "lost"): 34,
        ("flowvigil_alerts_total", "attack"): 3, ("flowvigil_alerts_total", "uncertain"): 2,
        ("flowvigil_interface_up", "eth0"): 1, ("flowvigil_interface_up", "eth1"): 0, ("flowvigil_overload",): 1,
        ("flowvigil_build_info", "cic2017", VERSION): 1,
    }  # fmt: skip
    parts = ("metered", "filtered", "undecoded", "shed", "dropped")
    counted = sum(
        value for key, value in found.items() if key[0] in [f"flowvigil_packets_{part}_total" for part in parts]
    )
    assert found["flowvigil_packets_received_total",] == counted + found["flowvigil_packets_waiting",]


def test_rows_of_context_that_gave_way_are_counted_where_a_bundle_uses_context() -> None:
    with MetricsServer(0, Latest(replace(PROGRESS, context_evicted=7))) as served:
        found = scraped(served.port)
    assert found["flowvigil_context_rows_evicted_total",] == 7


def test_the_longest_time_between_two_looks_at_the_ring_is_told_of_a_capture() -> None:
    with MetricsServer(0, Latest(replace(PROGRESS, longest_pause_ns=25_000_000))) as served:
        assert scraped(served.port)["flowvigil_capture_longest_pause_seconds",] == 0.025


def test_what_bounded_stores_let_go_is_counted_by_store() -> None:
    with MetricsServer(0, Latest(replace(PROGRESS, stores_evicted={"open episodes": 7, "pairs": 9}))) as served:
        found = scraped(served.port)
    assert found["flowvigil_store_evicted_total", "open episodes"] == 7
    assert found["flowvigil_store_evicted_total", "pairs"] == 9


def test_each_scrape_is_of_the_moment() -> None:
    with MetricsServer(0, Growing()) as served:
        assert [scraped(served.port)["flowvigil_packets_received_total",] for _ in range(2)] == [0, 1]


def test_openmetrics_is_served_to_who_asks_for_it() -> None:
    with MetricsServer(0, Latest(PROGRESS)) as served:
        response = get(served.port, accept=OPENMETRICS)
        assert response.headers["Content-Type"].startswith("application/openmetrics-text")
        families = {family.name: family for family in parse_openmetrics(response.read().decode())}  # type: ignore[no-untyped-call]
    assert families["flowvigil_packets_received"].type == "counter"
    assert families["flowvigil_table_flows"].type == "gauge"
    assert all(family.documentation.endswith(".") for family in families.values())


def test_other_paths_are_not_found() -> None:
    with MetricsServer(0, Latest()) as served, pytest.raises(urllib.error.HTTPError, match="404"):
        get(served.port, "/etc/passwd")


def test_only_this_machine_can_ask() -> None:
    with MetricsServer(0, Latest()) as served:
        assert served._server.server_address[0] == "127.0.0.1"
        with socket.socket() as other:
            assert other.connect_ex(("127.0.0.2", served.port)) != 0


def test_a_port_in_use_is_one_line() -> None:
    with MetricsServer(0, Latest()) as served, pytest.raises(ConfigError) as refused:
        MetricsServer(served.port, Latest())
    assert str(refused.value) == (
        f"stats.metrics_port {served.port}: address already in use on 127.0.0.1, expected a port that is free"
    )


def test_a_port_is_free_again_at_once() -> None:
    with MetricsServer(0, Latest()) as served:
        port = served.port
        scraped(port)
    with MetricsServer(port, Latest()):
        scraped(port)


def test_two_servers_keep_their_own_numbers() -> None:
    with MetricsServer(0, Latest(Progress(received=1))) as one, MetricsServer(0, Latest(Progress(received=2))) as other:
        assert scraped(one.port)["flowvigil_packets_received_total",] == 1
        assert scraped(other.port)["flowvigil_packets_received_total",] == 2


def test_clients_that_say_nothing_are_few_and_soon_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "CONNECTION_S", 0.5)
    before = threading.active_count()
    with MetricsServer(0, Latest(PROGRESS)) as served, ExitStack() as clients:
        for _ in range(50):
            client = clients.enter_context(socket.create_connection(("127.0.0.1", served.port), timeout=10))
            client.sendall(b"G")  # the start of a request that never goes on
        threads_become(before + 1 + CONNECTIONS)
        threads_become(before + 1)
        assert scraped(served.port)["flowvigil_packets_received_total",] == 1000


def threads_become(count: int) -> None:
    deadline = time.monotonic() + 20
    while threading.active_count() != count:
        assert time.monotonic() < deadline
        time.sleep(0.005)


def drip(client: socket.socket, seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        client.sendall(b"x")
        time.sleep(0.02)


def test_a_client_that_talks_byte_by_byte_is_cut_off(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metrics, "CONNECTION_S", 0.5)
    with (
        MetricsServer(0, Latest()) as served,
        socket.create_connection(("127.0.0.1", served.port)) as client,
        pytest.raises(OSError, match=r"[Bb]roken|reset"),
    ):
        drip(client, seconds=5)


def test_leaving_does_not_wait_for_a_client() -> None:
    with ExitStack() as clients:
        with MetricsServer(0, Latest()) as served:
            client = clients.enter_context(socket.create_connection(("127.0.0.1", served.port)))
            client.sendall(b"GET /metrics HTTP/1.0\r\n")
            time.sleep(0.1)
            start = time.monotonic()
        assert time.monotonic() - start < metrics.CONNECTION_S - 1


def test_kept_packets_that_later_ones_replace_let_no_counter_fall() -> None:
    before = KeptPackets(files=1, packets=1000, over_limit=500, forgotten=7, lost=8)
    after = replace(before, packets=990, over_limit=560, replaced=60)
    scrapes = []
    for kept in (before, after):
        with MetricsServer(0, Latest(replace(PROGRESS, kept=kept))) as served:
            found = scraped(served.port)
            scrapes.append({key[1]: value for key, value in found.items() if key[0] == "flowvigil_alert_packets_total"})
    assert scrapes == [
        {"kept": 1000, "over_limit": 500, "forgotten": 7, "lost": 8},
        {"kept": 1050, "over_limit": 500, "forgotten": 7, "lost": 8},
    ]


def test_muted_alerts_have_a_counter_where_there_are_notes() -> None:
    with MetricsServer(0, Latest(replace(PROGRESS, muted=3))) as served:
        assert scraped(served.port)["flowvigil_alerts_muted_total",] == 3
    with MetricsServer(0, Latest(replace(PROGRESS, muted=None))) as served:
        assert not any(name.startswith("flowvigil_alerts_muted") for name, *_ in scraped(served.port))


def test_the_flow_log_is_counted_where_there_is_one() -> None:
    logged = LoggedFlows(files=2, records=70, bytes=9000, waiting=5, lost=3, files_deleted=1)
    with MetricsServer(0, Latest(replace(PROGRESS, logged=logged))) as served:
        found = scraped(served.port)
    assert {key: value for key, value in found.items() if key[0].startswith("flowvigil_flow_log")} == {
        ("flowvigil_flow_log_records_total", "written"): 70,
        ("flowvigil_flow_log_records_total", "lost"): 3,
        ("flowvigil_flow_log_waiting",): 5,
    }


@pytest.mark.parametrize(
    ("request_", "status"),
    [
        (b"GET /metrics HTTP/1.1\r\nHost: 127.0.0.1:9000\r\n\r\n", 200),
        (b"GET /metrics HTTP/1.1\r\nHost: [::1]:9000\r\n\r\n", 200),
        (b"GET /metrics HTTP/1.0\r\n\r\n", 200),  # no browser speaks it
        (b"GET /metrics HTTP/1.1\r\nHost: evil.example\r\n\r\n", 421),
        (b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nHost: evil.example\r\n\r\n", 421),
        (b"GET /metrics HTTP/1.1\r\nHost: [\r\n\r\n", 421),
        (b"BREW /metrics HTTP/1.1\r\nHost: localhost\r\n\r\n", 405),
    ],
)
def test_requests_under_other_names_and_in_other_forms_are_refused(request_: bytes, status: int) -> None:
    with (
        MetricsServer(0, Latest(PROGRESS)) as served,
        socket.create_connection(("127.0.0.1", served.port), timeout=10) as client,
    ):
        client.sendall(request_)
        assert client.recv(4096).split()[1] == str(status).encode()
