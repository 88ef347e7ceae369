"""The WSGI application: routes, and what all responses share. It opens no socket and loads no model."""

import time
import traceback
from collections.abc import Callable
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final

import orjson
from flask import Response, g, request
from flask_openapi3.models.info import Info
from flask_openapi3.models.tag import Tag
from flask_openapi3.openapi import OpenAPI
from werkzeug.exceptions import HTTPException

from sensor import log
from sensor.api import schemas
from sensor.api.admission import CAPTURES, MAX_UPLOAD_BYTES, PAGE, REFUSAL
from sensor.api.body import MAX_BODY_BYTES, parse_score_request
from sensor.api.capture import CaptureReader
from sensor.api.found import found_document
from sensor.api.guard import Guard
from sensor.api.live import add_live
from sensor.api.live_feed import LiveFeed
from sensor.api.metrics import ApiMetrics
from sensor.api.page import MemoryRequest, add_page, no_captures
from sensor.api.problems import PROBLEM_TYPE, Problem, problem_document
from sensor.api.samples import RowFormat
from sensor.api.scoring import ModelPool, model_document, rows_document
from sensor.api.server import ShutdownFlag
from sensor.api.swagger_ui import add_swagger_ui
from sensor.version import VERSION

JSON: Final = "application/json"
SCORING, OPERATION = Tag(name="scoring"), Tag(name="operation")
SECURITY_HEADERS: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # without any, a browser hides the origin of the page's own form too
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
}


@dataclass(frozen=True, slots=True)
class Services:
    """What the routes use: created once at the start, shared by all requests."""

    models: ModelPool
    row_format: RowFormat
    guard: Guard
    captures: CaptureReader | None  # None where the model cannot score what a meter measures
    shutdown: ShutdownFlag  # the server's
    access_log: Callable[[bytes], None] | None = None  # writes the line of an answered request; None for no log
    feed: LiveFeed | None = None  # of the running sensor that the page at /live shows; None for no such page


def build_app(services: Services) -> OpenAPI:
    """The WSGI application with all routes."""
    app = OpenAPI(
        "sensor.api",
        info=Info(title="flowvigil", version=VERSION, description=schemas.INTRODUCTION),
        security_schemes={"token": {"type": "http", "scheme": "bearer"}} if services.guard.token else None,
        validation_error_model=schemas.ProblemDetails,
        doc_ui=False,
        static_folder=None,
    )
    app.request_class = MemoryRequest
    app.config["MAX_CONTENT_LENGTH"] = MAX_BODY_BYTES
    app.json.sort_keys = False  # type: ignore[attr-defined] # of flask's own provider
    metrics = ApiMetrics(services.models.hybrid.model_id)
    _add_common(app, services, metrics)
    _add_errors(app)
    _add_scoring(app, services, metrics)
    _add_captures(app, services, metrics)
    _add_status(app, services, metrics)
    live = services.feed is not None
    add_page(app, services.models, services.row_format, services.guard, services.captures, metrics, live=live)
    if services.feed is not None:
        add_live(app, services.feed, lambda: services.shutdown.requested)
    add_swagger_ui(app)
    return app


def json_response(document: Any) -> Response:
    """Response 200 with the document as JSON."""
    return Response(orjson.dumps(document), mimetype=JSON)


def _problem_response(problem: Problem) -> Response:
    body = problem_document(problem.status, problem.detail, problem.errors)
    response = Response(body, problem.status, mimetype=PROBLEM_TYPE)
    if problem.status == HTTPStatus.UNAUTHORIZED:
        response.headers["WWW-Authenticate"] = 'Bearer realm="flowvigil"'
    if problem.status in (HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE):
        response.headers["Retry-After"] = "5"
    return response


def _add_errors(app: OpenAPI) -> None:
    @app.errorhandler(Problem)
    def handle_problem(problem: Problem) -> Response:
        return _problem_response(problem)

    @app.errorhandler(HTTPException)
    def handle_http_error(error: HTTPException) -> Response:
        target = f"{request.method[:16]} {request.path[:200]}"
        no_sensor = ": serve shows a sensor with --attach SOCKET" if request.path.startswith("/live") else ""
        details = {
            404: f"{target}: there is nothing at this path{no_sensor}",
            405: f"{target}: expected another method",
        }
        detail = details.get(error.code or 500, " ".join((error.description or error.name).split()))
        response = _problem_response(Problem(error.code or 500, detail))
        for name, value in error.get_headers():
            if name.lower() == "allow":
                response.headers[name] = value
        return response

    @app.errorhandler(Exception)
    def handle_internal_error(error: Exception) -> Response:
        message = traceback.format_exception_only(error)[-1].strip()
        log.error(f"internal error at {request.method} {request.path!r:.80}: {' '.join(message.split())[:300]}")
        return _problem_response(
            Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "an error of this program; its log says more")
        )


def _add_common(app: OpenAPI, services: Services, metrics: ApiMetrics) -> None:
    @app.before_request
    def authorize() -> None:
        g.started = time.perf_counter()
        refusal: Problem | None = request.environ.get(REFUSAL)
        if refusal is not None and (request.path, request.method) != (PAGE, "POST"):  # which answers for people
            raise refusal
        services.guard.check(request.method, request.path, dict(request.headers))

    @app.after_request
    def finish(response: Response) -> Response:
        for name, value in SECURITY_HEADERS.items():
            response.headers.setdefault(name, value)
        response.headers.setdefault("Cache-Control", "no-store")
        seconds = time.perf_counter() - g.get("started", time.perf_counter())
        route = request.url_rule.rule if request.url_rule else "other"
        metrics.observe_request(route, response.status_code, seconds)
        if services.access_log is not None:
            services.access_log(_access_line(response, seconds))
        return response


def _access_line(response: Response, seconds: float) -> bytes:
    """An answered request as a line of JSON, in the field names of the Elastic Common Schema."""
    return orjson.dumps(
        {
            "event": {"dataset": "flowvigil.access", "duration": round(seconds * 1e9)},
            "source": {"ip": (request.remote_addr or "")[:64]},
            "http": {
                "request": {"method": request.method[:16], "body": {"bytes": request.content_length or 0}},
                "response": {
                    "status_code": response.status_code,
                    "body": {"bytes": response.content_length or 0},  # a stream, which is not over yet, has none
                },
            },
            "url": {"path": request.path[:200].encode("utf-8", "replace").decode()},
        },
        option=orjson.OPT_APPEND_NEWLINE,
    )


def _add_scoring(app: OpenAPI, services: Services, metrics: ApiMetrics) -> None:
    models, row_format = services.models, services.row_format
    identity = {"id": models.hybrid.model_id, "sha256": models.hybrid.sha256}

    @app.post(
        "/v1/score",
        summary=f"Score {row_format.name}",
        operation_id="score",
        responses={200: schemas.Scores, **schemas.problem_responses(400, 401, 403, 413, 415, 421, 422, 429, 503)},
        tags=[SCORING],
    )
    def score() -> Response:
        if request.mimetype != JSON:
            found = request.mimetype or "nothing"
            raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Content-Type says {found:.80}, expected {JSON}")
        with models.lease() as lease:  # also while the body is read: parsed rows take memory
            parsed = parse_score_request(request.get_data(cache=False))
            rate = models.check_rate(parsed.rate)
            samples = row_format.parse(parsed.rows)
            result = lease.score(samples, rate, parsed.reasons)
        metrics.count_rows(result)
        rows, assumed = rows_document(models.hybrid, result), (*samples.imputed, *samples.masked)
        return json_response({"model": identity, "rate": rate, "assumed": assumed, "rows": rows})

    @app.get(
        "/v1/model",
        tags=[SCORING],
        summary="The model that scores",
        operation_id="model",
        responses={200: schemas.Model, **schemas.problem_responses(401, 403, 421)},
    )
    def model() -> Response:
        return json_response(model_document(models.hybrid, models.rate, row_format.name))

    request_body = schemas.score_request_body(row_format.schema(), row_format.example(), models.hybrid)

    @app.get("/openapi.json", summary="This document", operation_id="openapi", doc_ui=False)
    def openapi() -> Response:
        document = app.api_doc
        if not services.guard.token:
            document["components"].pop("securitySchemes", None)  # null, which it may not be
        document["paths"]["/v1/score"]["post"]["requestBody"] = request_body
        document["paths"][CAPTURES]["post"]["requestBody"] = schemas.capture_request_body()
        schemas.add_records(document["components"])
        for path in document["paths"].values():
            for operation in path.values():
                if operation["operationId"] not in ("score", "captures"):
                    operation["responses"].pop("422", None)
                if services.guard.token and operation["operationId"] in ("score", "captures", "model", "metrics"):
                    operation["security"] = [{"token": []}]
        return json_response(document)


def _add_captures(app: OpenAPI, services: Services, metrics: ApiMetrics) -> None:
    models, captures = services.models, services.captures

    @app.post(
        CAPTURES,
        summary="Find what is anomalous in a capture",
        description="pcap or pcapng, also packed as .gz, .zst, .xz, .bz2 or .lz4, up to "
        f"{MAX_UPLOAD_BYTES >> 20} MB. The alerts are those of `flowvigil read` on the same capture.",
        operation_id="captures",
        responses={
            200: schemas.CaptureResult,
            **schemas.problem_responses(400, 401, 403, 413, 415, 421, 422, 429, 503),
        },
        tags=[SCORING],
    )
    def read_capture() -> Response:
        if request.mimetype not in schemas.CAPTURE_TYPES:
            found, expected = request.mimetype or "nothing", ", ".join(schemas.CAPTURE_TYPES)
            detail = f"Content-Type says {found:.80}, expected one of {expected}"
            raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, detail)
        if captures is None:
            raise no_captures(services.row_format)
        with models.lease() as lease:  # also while the body is read, which takes memory
            content = request.get_data(cache=False)
            found_there = captures.read(content, "the capture", lease.hybrid, lease.budget)
        metrics.count_alerts(found_there)
        return json_response(found_document(found_there, models.hybrid, models.rate))


def _add_status(app: OpenAPI, services: Services, metrics: ApiMetrics) -> None:
    @app.get(
        "/healthz",
        tags=[OPERATION],
        summary="Whether the server lives",
        operation_id="health",
        responses={200: schemas.ServerStatus, **schemas.problem_responses(421)},
    )
    def health() -> Response:
        return json_response({"status": "ok"})

    @app.get(
        "/readyz",
        tags=[OPERATION],
        summary="Whether the server takes requests: not while it ends",
        operation_id="ready",
        responses={200: schemas.ServerStatus, **schemas.problem_responses(421, 503)},
    )
    def ready() -> Response:
        if services.shutdown.requested:
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "the server is about to end")
        return json_response({"status": "ready"})

    @app.get(
        "/metrics",
        tags=[OPERATION],
        summary="Counts for Prometheus",
        operation_id="metrics",
        responses={
            "200": {"content": {"text/plain": {"schema": {"type": "string"}}}},
            **schemas.problem_responses(401, 403, 421),
        },
    )
    def scrape() -> Response:
        body, content_type = metrics.exposition(request.headers.get("Accept", ""))
        return Response(body, content_type=content_type)
