"""The account of a running sensor for Prometheus, over HTTP on this machine only.

It shows the same numbers as the flowvigil.stats record, to requests under this machine's own names alone. Nobody who
asks can hold the sensor: each request has a thread of its own, few at a time, and no connection lasts longer than a few
seconds.
"""

import socket
import threading
import time
from collections.abc import Iterable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Final, Self

from prometheus_client import CollectorRegistry
from prometheus_client.exposition import choose_encoder
from prometheus_client.metrics_core import CounterMetricFamily, GaugeMetricFamily, Metric
from prometheus_client.registry import Collector

from sensor.errors import ConfigError, reason_of
from sensor.local_names import LOCAL_NAMES, host_name
from sensor.progress.latest import Latest
from sensor.progress.progress import DriftState, Progress
from sensor.version import VERSION

ADDRESS: Final = "127.0.0.1"  # a gateway's other addresses are reached by those whom it watches
CONNECTIONS: Final = 8
CONNECTION_S: Final = 5.0
_POLL_S: Final = 0.25


class MetricsServer:
    """Serves the metrics over HTTP while it is entered."""

    def __init__(self, port: int, latest: Latest) -> None:
        """port: TCP, 0 for any. latest: read in other threads. Raises ConfigError."""
        registry = CollectorRegistry(auto_describe=False)
        registry.register(PrometheusCollector(latest))
        try:
            self._server = _HttpServer(port, registry)
        except OSError as error:
            reason = reason_of(error)
            raise ConfigError(
                f"stats.metrics_port {port}: {reason} on {ADDRESS}, expected a port that is free"
            ) from error
        self._thread = threading.Thread(target=self._server.serve_forever, args=(_POLL_S,), name="metrics", daemon=True)

    @property
    def port(self) -> int:
        """TCP port."""
        return int(self._server.server_address[1])

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._server.shutdown()
        self._server.server_close()


class PrometheusCollector(Collector):
    """Progress as metrics, read when it is asked for."""

    def __init__(self, latest: Latest) -> None:
        self._latest = latest

    def collect(self) -> Iterable[Metric]:
        """All metrics of one moment: received = metered + filtered + undecoded + shed + dropped + waiting."""
        progress = self._latest.progress
        yield from _counters(progress)
        yield from _by_label(progress)
        yield from _gauges(progress)
        built = GaugeMetricFamily("flowvigil_build_info", "Version and model of this sensor; always 1.",
                                  labels=("version", "model"))  # fmt: skip
        built.add_metric((VERSION, progress.bundle), 1)
        yield built


def _counters(progress: Progress) -> Iterable[Metric]:
    for name, help_, count in (
        ("packets_received", "Packets that reached the capture, lost or not.", progress.received),
        ("packets_metered", "Packets counted in flows.", progress.metered),
        ("packets_filtered", "Packets that the capture filter left out.", progress.filtered),
        ("packets_shed", "Packets left out under overload.", progress.shed),
        ("packets_dropped", "Packets that the kernel or the card lost.", progress.dropped),
        ("bytes", "Bytes on the wire of the packets given to the meter.", progress.bytes),
        ("flows", "Flow records reported for the first time.", progress.flows),
        ("flows_evicted", "Flows reported early because the table was full.", progress.evicted),
        ("packets_late", "Packets stamped before an earlier one.", progress.late),
        ("clock_jumps", "Times that the clock of the packets was set forward or back.", progress.clock_jumps),
        ("packets_tunnelled", "Packets that were a tunnel's and not looked into.", progress.tunnelled),
        ("sessions_split", "Sessions with other VLAN tags on the way back.", progress.split_sessions),
        ("alerts_merged", "Alerts of single hosts that storms stand for.", progress.merged),
        ("lines_lost", "JSON lines that no output took.", progress.lost_lines),
    ):
        yield CounterMetricFamily(f"flowvigil_{name}", help_, value=count)
    if progress.muted is not None:
        yield CounterMetricFamily(
            "flowvigil_alerts_muted",
            "Alerts that opened muted by a note of the site.",
            value=progress.opened_muted,
        )
    if progress.context_evicted is not None:
        yield CounterMetricFamily(
            "flowvigil_context_rows_evicted",
            "Rows on what hosts, pairs and services did before that gave way to others.",
            value=progress.context_evicted,
        )


def _by_label(progress: Progress) -> Iterable[Metric]:
    undecoded = CounterMetricFamily(
        "flowvigil_packets_undecoded", "Packets without a flow, by reason.", labels=("reason",)
    )
    for reason, count in sorted(progress.undecoded.items()):
        undecoded.add_metric((reason,), count)
    yield undecoded
    unjudged = CounterMetricFamily(
        "flowvigil_flows_unjudged", "Flows that no model judges, by protocol.", labels=("protocol",)
    )
    for protocol, count in sorted(progress.unjudged.items()):
        unjudged.add_metric((protocol,), count)
    yield unjudged
    stores = CounterMetricFamily(
        "flowvigil_store_evicted", "What bounded stores let go before its time, by store.", labels=("store",)
    )
    for store, count in sorted((progress.stores_evicted or {}).items()):
        stores.add_metric((store,), count)
    yield stores
    yield from _outputs(progress)
    if progress.kept is not None:
        kept = CounterMetricFamily(
            "flowvigil_alert_packets", "Packets of alerts' flows, by what became of them.", labels=("outcome",)
        )
        # A counter only grows: what was replaced by later packets was kept at first.
        kept.add_metric(("kept",), progress.kept.packets + progress.kept.replaced)
        kept.add_metric(("forgotten",), progress.kept.forgotten)
        kept.add_metric(("over_limit",), progress.kept.over_limit - progress.kept.replaced)
        kept.add_metric(("lost",), progress.kept.lost)
        yield kept
    if progress.logged is not None:
        logged = CounterMetricFamily(
            "flowvigil_flow_log_records", "Flow records for the flow log, by what became of them.", labels=("outcome",)
        )
        logged.add_metric(("written",), progress.logged.records)
        logged.add_metric(("lost",), progress.logged.lost)
        yield logged
        yield GaugeMetricFamily(
            "flowvigil_flow_log_waiting", "Flow records in no finished file yet.", value=progress.logged.waiting
        )
    # A counter only grows: what opened as uncertain and became an attack counts as both.
    alerts = CounterMetricFamily(
        "flowvigil_alerts", "Alerts that were attacks at some time, and that opened as uncertain.", labels=("verdict",)
    )
    alerts.add_metric(("attack",), progress.attacks)
    alerts.add_metric(("uncertain",), progress.opened_uncertain)
    yield alerts


def _outputs(progress: Progress) -> Iterable[Metric]:
    """By output of the list in the settings; nothing where there is none."""
    if not progress.outputs:
        return
    lines = CounterMetricFamily(
        "flowvigil_output_lines", "Lines of an output, by what became of them.", labels=("output", "outcome")
    )
    waiting = GaugeMetricFamily(
        "flowvigil_output_waiting", "Lines that an output has not delivered yet.", labels=("output", "place")
    )
    up = GaugeMetricFamily("flowvigil_output_up", "1 while the receiver is there, else 0.", labels=("output",))
    for output in progress.outputs:
        lines.add_metric((output.name, "written"), output.written)
        lines.add_metric((output.name, "lost"), output.lost)
        waiting.add_metric((output.name, "memory"), output.queued)
        waiting.add_metric((output.name, "spool"), output.spooled)
        up.add_metric((output.name,), int(output.up))
    yield from (lines, waiting, up)


def _gauges(progress: Progress) -> Iterable[Metric]:
    for name, help_, value in (
        ("table_flows", "Flows in the table now.", progress.table_flows),
        ("packets_waiting", "Packets in the ring that nobody has looked at yet.", progress.waiting),
        ("overload", "1 while steps are taken against too much traffic, else 0.", int(bool(progress.overload))),
    ):
        yield GaugeMetricFamily(f"flowvigil_{name}", help_, value=value)
    if progress.longest_pause_ns is not None:
        yield GaugeMetricFamily(
            "flowvigil_capture_longest_pause_seconds",
            "Longest time between two looks at the capture's buffer since the start.",
            value=progress.longest_pause_ns / 1e9,
        )
    yield from _drift(progress.drift)
    up = GaugeMetricFamily("flowvigil_interface_up", "1 while the interface delivers, else 0.", labels=("interface",))
    for interface in progress.interfaces:
        up.add_metric((interface.name,), int(interface.up))
    yield up


def _drift(drift: DriftState | None) -> Iterable[Metric]:
    """Nothing where drift is not looked for; a number that is not known yet is left out."""
    if drift is None:
        return
    for name, help_, value in (
        ("drift_conditions", "Conditions of drift that hold.", len(drift.conditions)),
        ("drift_psi_max", "Largest population stability index of a column, of the latest day.", drift.psi_max),
        ("drift_alerts_per_day", "Alerts opened a day, over the latest week.", drift.alerts_per_day),
        ("drift_alerts_per_day_asked", "Alerts a day that were asked for.", drift.alerts_asked),
    ):
        if value is not None:
            yield GaugeMetricFamily(f"flowvigil_{name}", help_, value=value)
    holding = GaugeMetricFamily("flowvigil_drift", "1 for each condition of drift that holds.", labels=("condition",))
    for condition in drift.conditions:
        holding.add_metric((condition,), 1)
    yield holding


class _HttpServer(ThreadingHTTPServer):
    """A thread for each of a few connections, which are cut off when they last too long."""

    request_queue_size = 64  # so that refusing many takes no time from a scrape

    def __init__(self, port: int, registry: CollectorRegistry) -> None:
        self.registry = registry
        self._since: dict[socket.socket, float] = {}
        super().__init__((ADDRESS, port), _Handler)

    def server_bind(self) -> None:
        """Without the look-up of a host name, which may take its time."""
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self.socket.bind(self.server_address)
        self.server_address = self.socket.getsockname()
        self.server_name, self.server_port = ADDRESS, int(self.server_address[1])

    def verify_request(self, request: Any, _client: Any) -> bool:
        """Whether there is room for another connection."""
        if len(self._since) >= CONNECTIONS:
            return False
        self._since[request] = time.monotonic()
        return True

    def service_actions(self) -> None:
        """Cut off whoever takes too long, also byte by byte."""
        overdue = time.monotonic() - CONNECTION_S
        for connection, since in list(self._since.items()):
            if since < overdue:
                _hang_up(connection)

    def shutdown_request(self, request: Any) -> None:
        """Forget a connection and close it."""
        self._since.pop(request, None)
        super().shutdown_request(request)

    def handle_error(self, _request: Any, _client: Any) -> None:
        """A client that goes away is no event."""


class _Handler(BaseHTTPRequestHandler):
    """GET /metrics, one request a connection."""

    server: _HttpServer
    timeout = CONNECTION_S
    server_version, sys_version = "flowvigil", ""

    def do_GET(self) -> None:
        named = self.headers.get_all("Host", [])  # none in HTTP/1.0, which no browser speaks
        if not all(host_name(host) in LOCAL_NAMES for host in named):
            self.send_error(HTTPStatus.MISDIRECTED_REQUEST)
            return
        if self.path.partition("?")[0] not in ("/", "/metrics"):
            self.send_error(HTTPStatus.NOT_FOUND)
            return
        encode, content_type = choose_encoder(self.headers.get("Accept", ""))
        body = encode(self.server.registry)
        self.send_response(HTTPStatus.OK)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer with an error: what is not understood is the client's, whatever the library takes it for."""
        if code >= HTTPStatus.INTERNAL_SERVER_ERROR:
            unknown_method = code == HTTPStatus.NOT_IMPLEMENTED
            code = HTTPStatus.METHOD_NOT_ALLOWED if unknown_method else HTTPStatus.BAD_REQUEST
            message = None
        super().send_error(code, message, explain)

    def log_message(self, *_: object) -> None:
        """Nobody asked for a log."""


def _hang_up(connection: socket.socket) -> None:
    try:
        connection.shutdown(socket.SHUT_RDWR)
    except OSError:  # it has ended meanwhile
        return
