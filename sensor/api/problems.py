"""Errors of requests as problem details (RFC 9457). It knows no framework."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import Any

import orjson

from sensor.printable import printable

PROBLEM_TYPE = "application/problem+json"
MAX_ERRORS = 20
MAX_TEXT_CHARACTERS = 500


@dataclass(frozen=True, slots=True)
class ErrorDetail:
    """One error in a request: an entry of the problem's `errors`."""

    detail: str  # one line: what was found and what was expected
    row: int | None = None  # from 0, None where the error is not in a row
    column: str | None = None  # name as sent, None where the error is not in a column


class Problem(Exception):  # noqa: N818  # the name that RFC 9457 has for it
    """Raised for a request that is refused; the application answers with its problem details."""

    def __init__(self, status: int, detail: str, errors: Sequence[ErrorDetail] = ()) -> None:
        """status: HTTP status. detail: one line. errors: single errors, of which the first ones are reported."""
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.errors = tuple(errors)


def problem_document(status: int, detail: str, errors: Sequence[ErrorDetail] = ()) -> bytes:
    """Problem details as JSON, every string of bounded length and printable, since it quotes the request."""
    document: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": printable(detail, MAX_TEXT_CHARACTERS),
    }
    if errors:
        document["errors"] = [
            {
                name: printable(value, MAX_TEXT_CHARACTERS) if isinstance(value, str) else value
                for name, value in asdict(error).items()
                if value is not None
            }
            for error in errors[:MAX_ERRORS]
        ]
    return orjson.dumps(document)


def unprocessable(errors: Sequence[ErrorDetail], summary: str, count: int | None = None) -> Problem:
    """Problem 422 for rows that cannot be scored.

    summary: one line before the first error. count: errors that there are, where only the first are given.
    """
    count = len(errors) if count is None else count
    more = f", and {count - 1} more" if count > 1 else ""
    first = errors[0]
    where = "" if first.row is None else f" of row {first.row}"
    name = "" if first.column is None else f'"{printable(first.column, 80)}"{where}: '
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"{summary}: {name}{first.detail}{more}", errors)
