"""The API's own metrics for Prometheus: requests, their durations, and rows by verdict."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.exposition import choose_encoder

from models.fusion import VERDICTS
from sensor.api.capture import CaptureFindings
from sensor.api.scoring import ScoringResult
from sensor.version import VERSION

DURATION_BUCKETS_S = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class ApiMetrics:
    """Metrics since the start of the server. Thread-safe."""

    def __init__(self, model: str) -> None:
        """model: id of the bundle."""
        disable_created_metrics()  # type: ignore[no-untyped-call] # a series more for each, of no use here
        self._registry = CollectorRegistry(auto_describe=False)
        self._requests = Counter(
            "flowvigil_api_requests", "Requests answered.", ("route", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "flowvigil_api_request_seconds",
            "Time from a whole request to its answer.",
            ("route",),
            buckets=DURATION_BUCKETS_S,
            registry=self._registry,
        )
        self._rows = Counter("flowvigil_api_rows", "Rows scored, by verdict.", ("verdict",), registry=self._registry)
        for verdict in VERDICTS:
            self._rows.labels(verdict)
        self._captures = Counter("flowvigil_api_captures", "Captures read.", registry=self._registry)
        self._alerts = Counter(
            "flowvigil_api_alerts", "Alerts found in captures, by verdict.", ("verdict",), registry=self._registry
        )
        built = Gauge(
            "flowvigil_build_info",
            "Version and model of this sensor; always 1.",
            ("version", "model"),
            registry=self._registry,
        )
        built.labels(VERSION, model).set(1)

    def observe_request(self, route: str, status: int, seconds: float) -> None:
        """Count an answered request. route: the rule that matched, not the requested path: labels must be few."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def count_rows(self, result: ScoringResult) -> None:
        """Count scored rows by verdict."""
        for verdict, name in enumerate(VERDICTS):
            self._rows.labels(name).inc(int((result.judgement.verdict == verdict).sum()))

    def count_alerts(self, findings: CaptureFindings) -> None:
        """Count a capture that was read, and its alerts by verdict."""
        self._captures.inc()
        for episode in findings.digest:
            self._alerts.labels("attack" if episode.attack else "uncertain").inc()

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """Body and content type of the response to a scrape. accept: the request's Accept header."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type
