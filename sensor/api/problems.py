"""What goes wrong with a request, as its sender is told: problem details (RFC 9457). It knows no framework."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from http import HTTPStatus
from typing import Any

import orjson

from sensor.printable import printable

PROBLEM_TYPE = "application/problem+json"
ERRORS_SHOWN = 20
LONGEST_TEXT = 500


@dataclass(frozen=True, slots=True)
class Flaw:
    """One thing that is wrong in a request. row: from 0, None where it is no row's. column: its name, None likewise."""

    detail: str
    row: int | None = None
    column: str | None = None


class Problem(Exception):  # noqa: N818  # the name that RFC 9457 has for it
    """A request that cannot be answered. status: 4xx of HTTP. detail: one line. flaws: the first of what is wrong."""

    def __init__(self, status: int, detail: str, flaws: Sequence[Flaw] = ()) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.flaws = tuple(flaws)


def problem_document(status: int, detail: str, flaws: Sequence[Flaw] = ()) -> bytes:
    """Problem details as JSON. Every string in it is bounded and printable: it repeats what a stranger sent."""
    document: dict[str, Any] = {
        "type": "about:blank",
        "title": HTTPStatus(status).phrase,
        "status": status,
        "detail": printable(detail, LONGEST_TEXT),
    }
    if flaws:
        document["errors"] = [
            {
                name: printable(value, LONGEST_TEXT) if isinstance(value, str) else value
                for name, value in asdict(flaw).items()
                if value is not None
            }
            for flaw in flaws[:ERRORS_SHOWN]
        ]
    return orjson.dumps(document)


def unprocessable(flaws: Sequence[Flaw], what: str) -> Problem:
    """The problem of rows that are no records. what: one line before the first flaw."""
    more = f", and {len(flaws) - 1} more" if len(flaws) > 1 else ""
    first = flaws[0]
    where = "" if first.row is None else f" of row {first.row}"
    name = "" if first.column is None else f'"{printable(first.column, 80)}"{where}: '
    return Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"{what}: {name}{first.detail}{more}", flaws)
