"""The page at /: a form for a CSV or a small capture, and the scored flows of the one, the alerts of the other.

It works without its script, which shows how far an upload is, and sorts, searches and pages alerts.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from io import BytesIO
from typing import Any, Final

from flask import Request, Response, render_template, request, send_from_directory
from flask_openapi3.openapi import OpenAPI
from werkzeug.exceptions import RequestEntityTooLarge

from flows.headers import FIELDS
from models.fusion import ATTACK, BENIGN, UNCERTAIN, VERDICTS
from sensor.api.admission import FORM_BYTES, MAX_UPLOAD_BYTES, PAGE, REFUSAL
from sensor.api.alerts_view import findings_view
from sensor.api.capture import CaptureReader, is_capture
from sensor.api.csv_table import parse_csv
from sensor.api.guard import Guard
from sensor.api.json_rows import JsonRow
from sensor.api.metrics import ApiMetrics
from sensor.api.page_files import FILES, POLICY, SERVED
from sensor.api.problems import Problem
from sensor.api.reasons import FULL, QUICK
from sensor.api.samples import RowFormat
from sensor.api.scoring import ModelLease, ModelPool, ScoringResult, rows_document
from sensor.printable import printable
from sensor.report.subject import judging_of

MULTIPART: Final = "multipart/form-data"
MAX_ROWS_SHOWN: Final = 500  # flagged ones come first
MAX_ROWS_EXPLAINED: Final = 200  # flagged rows up to which reasons are FULL
PASTED: Final = "the pasted table"


@dataclass(frozen=True, slots=True)
class PageResult:
    """The scored rows of one upload, as the template takes them."""

    name: str  # of the file
    counts: dict[str, int]  # rows by verdict
    rows: list[dict[str, Any]]  # of rows_document, with "number", from 1, and "flow", the endpoints
    omitted: int  # rows that are not shown
    rate: float  # nominal false-positive rate
    notes: tuple[str, ...]  # lines on what was left out or imputed


class MemoryRequest(Request):
    """A request whose files stay in memory, where the server counts them, and never go to a temporary directory."""

    def _get_file_stream(self, *_: object, **__: object) -> BytesIO:
        return BytesIO()


def add_page(
    app: OpenAPI,
    models: ModelPool,
    row_format: RowFormat,
    guard: Guard,
    captures: CaptureReader | None,
    metrics: ApiMetrics,
    *,
    live: bool,
) -> None:
    """Add the routes / and /page/FILE.

    captures: None where the model cannot judge what a meter measures. live: whether a running sensor is shown at /live.
    """
    app.template_folder = str(FILES)

    def page(
        status: int = HTTPStatus.OK,
        problem: Problem | None = None,
        result: PageResult | None = None,
        found: str = "",
    ) -> Response:
        html = render_template(
            "index.html",
            hybrid=models.hybrid,
            row_format=row_format,
            rate=models.rate,
            captures=captures is not None,
            token=guard.token is not None,
            megabytes=MAX_UPLOAD_BYTES >> 20,
            live=live,
            problem=problem,
            result=result,
            found=found,
        )
        return Response(html, status, {"Content-Security-Policy": POLICY}, mimetype="text/html")

    @app.route(PAGE, methods=["GET"])
    def empty_page() -> Response:
        return page()

    @app.route(PAGE, methods=["POST"])
    def scored_page() -> Response:
        request.max_content_length, request.max_form_memory_size = MAX_UPLOAD_BYTES + FORM_BYTES, MAX_UPLOAD_BYTES
        try:
            _check_form()
            with models.lease() as lease:  # also while the form is read, which takes memory
                guard.check_token(request.form.get("token", ""))
                name, content = _uploaded()
                if not is_capture(content):
                    return page(result=_scored(name, content, lease, models, row_format, metrics))
                if captures is None:
                    raise no_captures(row_format)
                findings = captures.read(content, name, lease.hybrid, lease.budget)
        except Problem as problem:
            return page(problem.status, problem)
        except RequestEntityTooLarge:
            detail = f"more than {MAX_UPLOAD_BYTES >> 20} MB, expected less; flowvigil read takes captures of any size"
            return page(413, Problem(413, detail))
        metrics.count_alerts(findings)
        return page(found=findings_view(findings, name, judging_of(models.hybrid)))

    @app.route("/page/<name>")
    def page_file(name: str) -> Response:
        return send_from_directory(FILES, name if name in SERVED else "missing", max_age=3600)


def no_captures(row_format: RowFormat) -> Problem:
    """Problem 422 for a capture that this model cannot judge."""
    detail = f"this model takes {row_format.name}, which a capture does not give; expected CSV"
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail)


def _scored(
    name: str, content: bytes, lease: ModelLease, models: ModelPool, row_format: RowFormat, metrics: ApiMetrics
) -> PageResult:
    """The rows of a table, scored. Raises Problem."""
    table = parse_csv(content, row_format)
    samples, notes = row_format.parse(table.rows), table.notes
    scored = lease.score(samples, models.rate, QUICK)
    if scored.judgement.verdict.astype(bool).sum() <= MAX_ROWS_EXPLAINED:
        lease.hybrid.forget()
        scored = lease.score(samples, models.rate, FULL)
    else:
        notes = (*notes, "reasons are the columns furthest from normal: there are too many flows to ask the model")
    metrics.count_rows(scored)
    if samples.imputed:
        notes = (*notes, f"taken to be as in normal traffic or as a total suggests: {', '.join(samples.imputed)}")
    if samples.masked:
        notes = (*notes, f"scored without what hosts did before: {', '.join(samples.masked)}")
    return _page_result(name, [_row_endpoints(row) for row in table.rows], models, scored, notes)


def _check_form() -> None:
    """Raise Problem for a form that was not taken in, or is one of a great many fields."""
    refusal: Problem | None = request.environ.get(REFUSAL)
    if refusal is not None:
        raise refusal
    if request.mimetype != MULTIPART and (request.content_length or 0) > FORM_BYTES:
        found = request.mimetype or "nothing"
        raise Problem(HTTPStatus.UNSUPPORTED_MEDIA_TYPE, f"Content-Type says {found:.80}, expected {MULTIPART}")


def _uploaded() -> tuple[str, bytes]:
    """Name and content of the request's file, else PASTED and its text. Raises Problem 422 for neither."""
    upload = request.files.get("file")
    if upload is not None and upload.filename:
        return printable(upload.filename, 80), upload.read()
    text = request.form.get("text", "")
    if not text.strip():
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "nothing was sent: paste a table or choose a file")
    return PASTED, text.encode("utf-8", "replace")


FIELD_OF_NAME: Final = {name: field for fields in FIELDS.values() for name, field in fields.items()}


def _row_endpoints(row: JsonRow) -> str:
    """Endpoints of a flow, or protocol, service and flag of a record, as far as a row has them."""
    if "protocol_type" in row:
        return printable(f"{row['protocol_type']} {row.get('service', '')} {row.get('flag', '')}", 80)
    found = {FIELD_OF_NAME[name]: value for name, value in row.items() if name in FIELD_OF_NAME}
    ends = [f"{found.get(f'{end}_address', '')} {found.get(f'{end}_port', '')}".strip() for end in ("src", "dst")]
    return printable(" → ".join(end for end in ends if end), 120)


def _page_result(
    name: str, endpoints: Sequence[str], models: ModelPool, scored: ScoringResult, notes: tuple[str, ...]
) -> PageResult:
    """The strongest flagged rows first, then the others in their order."""
    judgement = scored.judgement
    order = sorted(
        range(len(judgement)),
        key=lambda row: (
            -int(judgement.verdict[row]),
            min(judgement.p_known[row], judgement.p_novel[row]) if judgement.verdict[row] else 0,
        ),
    )
    rows = rows_document(models.hybrid, scored)
    shown = [rows[i] | {"number": i + 1, "flow": endpoints[i]} for i in order[:MAX_ROWS_SHOWN]]
    counts = {VERDICTS[verdict]: int((judgement.verdict == verdict).sum()) for verdict in (ATTACK, UNCERTAIN, BENIGN)}
    return PageResult(name, counts, shown, len(rows) - len(shown), scored.rate, notes)
