"""The application: routes, and what all answers have in common. It opens no socket and loads no model."""

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
from sensor.api import documents
from sensor.api.body import MOST_BYTES, score_request
from sensor.api.captured import Captures
from sensor.api.docs import add_docs
from sensor.api.guard import Guard
from sensor.api.metrics import Metrics
from sensor.api.page import add_page
from sensor.api.problems import PROBLEM_TYPE, Problem, problem_document
from sensor.api.records import RecordForm
from sensor.api.scoring import Scorer, model_document, rows_document
from sensor.api.server import Life
from sensor.version import VERSION

JSON: Final = "application/json"
SCORING, OPERATION = Tag(name="scoring"), Tag(name="operation")
SECURITY: Final = {
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",  # without any, a browser hides the origin of the page's own form too
    "Cross-Origin-Resource-Policy": "same-origin",
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; img-src 'self' data:; form-action 'self'; "
    "base-uri 'none'; frame-ancestors 'none'",
}


@dataclass(frozen=True, slots=True)
class Parts:
    """What the application is made of.

    captures: how they become rows, None where the model cannot score what a meter gives. life: the server's. log: takes
    a finished request's line, None for no log.
    """

    scorer: Scorer
    form: RecordForm
    guard: Guard
    captures: Captures | None
    life: Life
    log: Callable[[bytes], None] | None = None


def build_app(parts: Parts) -> OpenAPI:
    """The WSGI application."""
    app = OpenAPI(
        "sensor.api",
        info=Info(title="flowvigil", version=VERSION, description=documents.INTRODUCTION),
        security_schemes={"token": {"type": "http", "scheme": "bearer"}} if parts.guard.token else None,
        validation_error_model=documents.ProblemDetails,
        doc_ui=False,
        static_folder=None,
    )
    app.config["MAX_CONTENT_LENGTH"] = MOST_BYTES
    app.json.sort_keys = False  # type: ignore[attr-defined] # of flask's own provider
    metrics = Metrics(parts.scorer.hybrid.model_id)
    _add_common(app, parts, metrics)
    _add_errors(app)
    _add_scoring(app, parts, metrics)
    _add_status(app, parts, metrics)
    add_page(app, parts.scorer, parts.form, parts.guard, parts.captures, metrics)
    add_docs(app)
    return app


def as_json(document: Any) -> Response:
    """An answer."""
    return Response(orjson.dumps(document), mimetype=JSON)


def _problem(problem: Problem) -> Response:
    body = problem_document(problem.status, problem.detail, problem.flaws)
    answer = Response(body, problem.status, mimetype=PROBLEM_TYPE)
    if problem.status == HTTPStatus.UNAUTHORIZED:
        answer.headers["WWW-Authenticate"] = 'Bearer realm="flowvigil"'
    return answer


def _add_errors(app: OpenAPI) -> None:
    @app.errorhandler(Problem)
    def refused(problem: Problem) -> Response:
        return _problem(problem)

    @app.errorhandler(HTTPException)
    def not_for_us(error: HTTPException) -> Response:
        asked = f"{request.method[:16]} {request.path[:200]}"
        words = {404: f"{asked}: there is nothing at this path", 405: f"{asked}: expected another method"}
        said = words.get(error.code or 500, " ".join((error.description or error.name).split()))
        answer = _problem(Problem(error.code or 500, said))
        for name, value in error.get_headers():
            if name.lower() == "allow":
                answer.headers[name] = value
        return answer

    @app.errorhandler(Exception)
    def broken(error: Exception) -> Response:
        what = traceback.format_exception_only(error)[-1].strip()
        log.error(f"internal error at {request.method} {request.path!r:.80}: {' '.join(what.split())[:300]}")
        return _problem(Problem(HTTPStatus.INTERNAL_SERVER_ERROR, "an error of this program; its log says more"))


def _add_common(app: OpenAPI, parts: Parts, metrics: Metrics) -> None:
    @app.before_request
    def check() -> None:
        g.began = time.perf_counter()
        parts.guard.check(request.method, request.path, dict(request.headers))

    @app.after_request
    def finish(answer: Response) -> Response:
        for name, value in SECURITY.items():
            answer.headers.setdefault(name, value)
        answer.headers.setdefault("Cache-Control", "no-store")
        seconds = time.perf_counter() - g.get("began", time.perf_counter())
        route = request.url_rule.rule if request.url_rule else "other"
        metrics.answered(route, answer.status_code, seconds)
        if parts.log is not None:
            parts.log(_access_line(answer, seconds))
        return answer


def _access_line(answer: Response, seconds: float) -> bytes:
    """One request in the field names of the Elastic Common Schema."""
    return orjson.dumps(
        {
            "event": {"dataset": "flowvigil.access", "duration": round(seconds * 1e9)},
            "source": {"ip": (request.remote_addr or "")[:64]},
            "http": {
                "request": {"method": request.method[:16], "body": {"bytes": request.content_length or 0}},
                "response": {
                    "status_code": answer.status_code,
                    "body": {"bytes": answer.calculate_content_length() or 0},
                },
            },
            "url": {"path": request.path[:200].encode("utf-8", "replace").decode()},
        },
        option=orjson.OPT_APPEND_NEWLINE,
    )


def _add_scoring(app: OpenAPI, parts: Parts, metrics: Metrics) -> None:
    scorer, form = parts.scorer, parts.form
    identity = {"id": scorer.hybrid.model_id, "sha256": scorer.hybrid.sha256}

    @app.post(
        "/v1/score",
        summary=f"Score {form.name}",
        operation_id="score",
        responses={200: documents.Scores, **documents.problems(400, 401, 403, 413, 415, 421, 422)},
        tags=[SCORING],
    )
    def score() -> Response:
        if request.mimetype != JSON:
            found = request.mimetype or "nothing"
            raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Content-Type says {found:.80}, expected {JSON}")
        with scorer.turn() as turn:  # also while the body is read: what it becomes takes memory
            asked = score_request(request.get_data(cache=False))
            rate = scorer.check_rate(asked.rate)
            records = form.records(asked.rows)
            scored = turn.score(records, rate, asked.reasons)
        metrics.scored(scored)
        rows = rows_document(scorer.hybrid, scored)
        return as_json({"model": identity, "rate": rate, "assumed": records.assumed, "rows": rows})

    @app.get(
        "/v1/model",
        tags=[SCORING],
        summary="The model that scores",
        operation_id="model",
        responses={200: documents.Model, **documents.problems(401, 421)},
    )
    def model() -> Response:
        return as_json(model_document(scorer.hybrid, scorer.rate, form.name))

    described = documents.score_body(form.schema(), form.example(), scorer.hybrid)

    @app.get("/openapi.json", summary="This document", operation_id="openapi", doc_ui=False)
    def openapi() -> Response:
        document = app.api_doc
        if not parts.guard.token:
            document["components"].pop("securitySchemes", None)  # null, which it may not be
        document["paths"]["/v1/score"]["post"]["requestBody"] = described
        for path in document["paths"].values():
            for operation in path.values():
                if operation["operationId"] != "score":
                    operation["responses"].pop("422", None)
                if parts.guard.token and operation["operationId"] in ("score", "model", "metrics"):
                    operation["security"] = [{"token": []}]
        return as_json(document)


def _add_status(app: OpenAPI, parts: Parts, metrics: Metrics) -> None:
    @app.get(
        "/healthz",
        tags=[OPERATION],
        summary="Whether the server lives",
        operation_id="health",
        responses={200: documents.Status, **documents.problems(421)},
    )
    def health() -> Response:
        return as_json({"status": "ok"})

    @app.get(
        "/readyz",
        tags=[OPERATION],
        summary="Whether the server takes requests: not while it ends",
        operation_id="ready",
        responses={200: documents.Status, **documents.problems(421, 503)},
    )
    def ready() -> Response:
        if parts.life.ending:
            raise Problem(HTTPStatus.SERVICE_UNAVAILABLE, "the server is about to end")
        return as_json({"status": "ready"})

    @app.get(
        "/metrics",
        tags=[OPERATION],
        summary="Counts for Prometheus",
        operation_id="metrics",
        responses={
            "200": {"content": {"text/plain": {"schema": {"type": "string"}}}},
            **documents.problems(401, 421),
        },
    )
    def scrape() -> Response:
        body, content_type = metrics.exposition(request.headers.get("Accept", ""))
        return Response(body, content_type=content_type)
