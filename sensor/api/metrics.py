"""What the API tells of itself to Prometheus: requests, rows and times."""

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, disable_created_metrics
from prometheus_client.exposition import choose_encoder

from models.fusion import VERDICTS
from sensor.api.scoring import Scored
from sensor.version import VERSION

SECONDS = (0.001, 0.0025, 0.005, 0.01, 0.02, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 10.0)


class Metrics:
    """Counts since the start. May be used by several threads."""

    def __init__(self, model: str) -> None:
        """model: of the bundle."""
        disable_created_metrics()  # type: ignore[no-untyped-call] # a series more for each, of no use here
        self._registry = CollectorRegistry(auto_describe=False)
        self._requests = Counter(
            "flowvigil_api_requests", "Requests answered.", ("route", "status"), registry=self._registry
        )
        self._seconds = Histogram(
            "flowvigil_api_request_seconds",
            "Time from a whole request to its answer.",
            ("route",),
            buckets=SECONDS,
            registry=self._registry,
        )
        self._rows = Counter("flowvigil_api_rows", "Rows scored, by verdict.", ("verdict",), registry=self._registry)
        for verdict in VERDICTS:
            self._rows.labels(verdict)
        built = Gauge(
            "flowvigil_build_info",
            "Version and model of this sensor; always 1.",
            ("version", "model"),
            registry=self._registry,
        )
        built.labels(VERSION, model).set(1)

    def answered(self, route: str, status: int, seconds: float) -> None:
        """Count a request. route: one of a few, not what was asked for."""
        self._requests.labels(route, str(status)).inc()
        self._seconds.labels(route).observe(seconds)

    def scored(self, scored: Scored) -> None:
        """Count rows."""
        for verdict, name in enumerate(VERDICTS):
            self._rows.labels(name).inc(int((scored.judgement.verdict == verdict).sum()))

    def exposition(self, accept: str) -> tuple[bytes, str]:
        """Text for a scrape and its content type. accept: the request's header."""
        encode, content_type = choose_encoder(accept)
        return encode(self._registry), content_type
