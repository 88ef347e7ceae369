"""The page at /: a form that takes a CSV or a small capture and shows the scored flows. Plain HTML, no script."""

from collections.abc import Sequence
from dataclasses import dataclass
from http import HTTPStatus
from pathlib import Path
from typing import Any, Final

from flask import Response, render_template, request, send_from_directory
from flask_openapi3.openapi import OpenAPI
from werkzeug.exceptions import RequestEntityTooLarge

from flows.batch import DST_HIGH, DST_LOW, DST_PORT, IP_VERSION, SRC_HIGH, SRC_LOW, SRC_PORT, FlowBatch, address
from flows.headers import FIELDS
from models.fusion import ATTACK, BENIGN, UNCERTAIN, VERDICTS
from sensor.api.captured import Captures, is_capture
from sensor.api.cells import Row
from sensor.api.guard import Guard
from sensor.api.metrics import Metrics
from sensor.api.problems import Problem
from sensor.api.reasons import FULL, QUICK
from sensor.api.records import RecordForm, Records
from sensor.api.scoring import Scored, Scorer, rows_document
from sensor.api.tables import rows_of_csv
from sensor.printable import printable

FILES: Final = Path(__file__).parent / "page"
MOST_BYTES: Final = 16 << 20
SHOWN: Final = 500  # rows; flagged ones come first
EXPLAINED: Final = 200  # flagged rows that the model itself is asked about
PASTED: Final = "the pasted table"


@dataclass(frozen=True, slots=True)
class Shown:
    """What the page shows of some rows. rows: of rows_document, with "number", from 1, and "flow", what it is about."""

    name: str
    counts: dict[str, int]
    rows: list[dict[str, Any]]
    left: int
    rate: float
    notes: tuple[str, ...]


def add_page(
    app: OpenAPI,
    scorer: Scorer,
    form: RecordForm,
    guard: Guard,
    captures: Captures | None,
    metrics: Metrics,
) -> None:
    """Add / and its style. captures: None where the model does not score what a meter gives."""
    app.template_folder = str(FILES)

    def page(status: int = HTTPStatus.OK, problem: Problem | None = None, shown: Shown | None = None) -> Response:
        html = render_template(
            "index.html",
            hybrid=scorer.hybrid,
            form=form,
            rate=scorer.rate,
            captures=captures is not None,
            token=guard.token is not None,
            megabytes=MOST_BYTES >> 20,
            problem=problem,
            shown=shown,
        )
        return Response(html, status, mimetype="text/html")

    @app.route("/", methods=["GET"])
    def empty_page() -> Response:
        return page()

    @app.route("/", methods=["POST"])
    def scored_page() -> Response:
        request.max_content_length = request.max_form_memory_size = MOST_BYTES
        try:
            guard.check_token(request.form.get("token", ""))
            name, content = _sent()
            with scorer.turn() as turn:
                rows, records, notes = _rows(content, name, form, captures)
                scored = turn.score(records, scorer.rate, QUICK)
                few = scored.judgement.verdict.astype(bool).sum() <= EXPLAINED
                if few:
                    turn.hybrid.forget()
                    scored = turn.score(records, scorer.rate, FULL)
        except Problem as problem:
            return page(problem.status, problem)
        except RequestEntityTooLarge:
            detail = f"more than {MOST_BYTES >> 20} MB, expected less; flowvigil read takes captures of any size"
            return page(413, Problem(413, detail))
        metrics.scored(scored)
        if records.assumed:
            notes = (*notes, f"taken to be as in normal traffic: {', '.join(records.assumed)}")
        if not few:
            notes = (*notes, "reasons are the columns furthest from normal: there are too many flows to ask the model")
        return page(shown=_shown(name, rows, scorer, scored, notes))

    @app.route("/page/style.css")
    def style() -> Response:
        return send_from_directory(FILES, "style.css", max_age=3600)


def _sent() -> tuple[str, bytes]:
    """Name and content of what was sent: a file, else the text. Raises Problem."""
    upload = request.files.get("file")
    if upload is not None and upload.filename:
        return printable(upload.filename, 80), upload.read()
    text = request.form.get("text", "")
    if not text.strip():
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "nothing was sent: paste a table or choose a file")
    return PASTED, text.encode("utf-8", "replace")


def _rows(
    content: bytes, name: str, form: RecordForm, captures: Captures | None
) -> tuple[Sequence[str], Records, tuple[str, ...]]:
    """What each row is about, the rows as records, and notes. Raises Problem."""
    if not is_capture(content):
        table = rows_of_csv(content, form)
        return [_about(row) for row in table.rows], form.records(table.rows), table.notes
    if captures is None:
        detail = f"this model takes {form.name}, which a capture does not give; expected CSV"
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, detail)
    captured = captures.read(content, name)
    return _flows(captured.flows), captured.records(), captured.notes


def _flows(flows: FlowBatch) -> list[str]:
    return [
        f"{address(row[SRC_HIGH], row[SRC_LOW], row[IP_VERSION])} {row[SRC_PORT]} → "
        f"{address(row[DST_HIGH], row[DST_LOW], row[IP_VERSION])} {row[DST_PORT]}"
        for row in flows.identity.tolist()
    ]


ABOUT: Final = {name: field for fields in FIELDS.values() for name, field in fields.items()}


def _about(row: Row) -> str:
    """Endpoints of a flow, or protocol, service and flag of a record, as far as a row has them."""
    if "protocol_type" in row:
        return printable(f"{row['protocol_type']} {row.get('service', '')} {row.get('flag', '')}", 80)
    found = {ABOUT[name]: value for name, value in row.items() if name in ABOUT}
    ends = [f"{found.get(f'{end}_address', '')} {found.get(f'{end}_port', '')}".strip() for end in ("src", "dst")]
    return printable(" → ".join(end for end in ends if end), 120)


def _shown(name: str, about: Sequence[str], scorer: Scorer, scored: Scored, notes: tuple[str, ...]) -> Shown:
    """The rows that flagged strongest first, then the others in their order."""
    judgement = scored.judgement
    order = sorted(
        range(len(judgement)),
        key=lambda row: (
            -int(judgement.verdict[row]),
            min(judgement.p_known[row], judgement.p_novel[row]) if judgement.verdict[row] else 0,
        ),
    )
    rows = rows_document(scorer.hybrid, scored)
    shown = [rows[i] | {"number": i + 1, "flow": about[i]} for i in order[:SHOWN]]
    counts = {VERDICTS[verdict]: int((judgement.verdict == verdict).sum()) for verdict in (ATTACK, UNCERTAIN, BENIGN)}
    return Shown(name, counts, shown, len(rows) - len(shown), scored.rate, notes)
