"""Parses the JSON body of a score request: strict, and flat where it must be. It knows no column.

JSON as RFC 8259 has it, in UTF-8, without NaN, numbers beyond a double, repeated keys (I-JSON, RFC 7493) and more
nesting, names and digits than rows need: these are counted before anything is made of the text.
"""

import json
from collections import Counter
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, NoReturn

import orjson

from sensor.api.json_shape import DEEPEST, JsonShape, json_shape
from sensor.api.problems import ErrorDetail, Problem, unprocessable
from sensor.api.reasons import REASONS

MAX_ROWS = 10_000
MAX_COLUMNS = 256  # of a row
MAX_VALUES = 1_500_000  # of all rows
MAX_OPENED = 4 * MAX_ROWS  # objects and lists: empty ones take more memory than they are long
MAX_NUMBER = 128  # characters
MAX_BODY_BYTES = 48 << 20  # 10,000 rows of 90 columns with the longest names and all digits
EXPECTED = 'expected {"rows": [{...}, ...]}, optionally with "rate" and "reasons"'


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """The parsed body of a score request."""

    rows: list[dict[str, Any]]  # objects, 1 to MAX_ROWS of them; their columns are not checked yet
    rate: float | None  # nominal false-positive rate, None where the request names none
    reasons: str  # one of sensor.api.reasons.REASONS


def parse_score_request(body: bytes) -> ScoreRequest:
    """Parse a request body. Raises Problem: 400 for what is no JSON, 413 for too many rows, 422 for another form."""
    shape = json_shape(body)
    _check_shape(shape)
    document = _parse_json(body)
    if not isinstance(document, dict):
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"the body is {json_type(document)}, {EXPECTED}")
    rows = document.get("rows")
    if not isinstance(rows, list):
        _check_repeated_keys(body, shape, document, [])
        found = f'"rows" is {json_type(rows)}' if "rows" in document else 'there is no "rows"'
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"{found}, {EXPECTED}")
    check_count(len(rows))
    if set(map(type, rows)) != {dict}:
        errors = [  # no more of them than there are rows
            ErrorDetail(f"{json_type(row)}, expected an object", i)
            for i, row in enumerate(rows)
            if not isinstance(row, dict)
        ]
        raise unprocessable(errors, f"row {errors[0].row} is no object")
    _check_repeated_keys(body, shape, document, rows)
    if unknown := sorted(set(document) - {"rows", "rate", "reasons"}):
        errors = [ErrorDetail("unknown", column=name) for name in unknown]
        raise unprocessable(errors, "the request has unknown keys")
    return ScoreRequest(rows, _parse_rate(document.get("rate")), _parse_reasons(document.get("reasons", REASONS[0])))


def check_count(rows: int) -> None:
    """Raise Problem 422 for no rows, 413 for more than MAX_ROWS."""
    if not rows:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "there are no rows, expected at least one")
    if rows > MAX_ROWS:
        raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"{rows:,} rows, expected at most {MAX_ROWS:,} a request")


def json_type(value: object) -> str:
    """The JSON type of a value, for error messages."""
    kinds = {dict: "an object", list: "a list", str: "text", bool: "a truth value", type(None): "null"}
    return kinds.get(type(value), "a number")


def _check_shape(shape: JsonShape) -> None:
    """Raise Problem for a body of which more would be made than rows need: 400 for its form, 413 for its size."""
    if shape.depth > DEEPEST:
        raise Problem(HTTPStatus.BAD_REQUEST, f"the body is no JSON of rows: nested more than {DEEPEST} deep")
    if shape.number > MAX_NUMBER:
        detail = f"the body is no JSON of rows: a number of {shape.number:,} characters, expected up to {MAX_NUMBER}"
        raise Problem(HTTPStatus.BAD_REQUEST, detail)
    if shape.rows >= MAX_ROWS:
        check_count(shape.rows + 1)
    if shape.opened > MAX_OPENED:
        detail = f"{shape.opened:,} objects and lists, expected one for each row"
        raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail)
    if shape.widest > MAX_COLUMNS:
        detail = f"an object of {shape.widest:,} names, expected at most {MAX_COLUMNS}"
        raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail)
    if shape.commas > MAX_VALUES:
        detail = f"more than {MAX_VALUES:,} values in all rows, expected fewer rows or columns"
        raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail)


def _parse_json(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Problem(HTTPStatus.BAD_REQUEST, f"the body is no JSON: {error}") from None


def _parse_rate(rate: object) -> float | None:
    if rate is None or type(rate) in (int, float):
        return rate  # type: ignore[return-value] # narrowed by its exact type
    raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f'"rate" is {json_type(rate)}, expected a number')


def _parse_reasons(reasons: object) -> str:
    if isinstance(reasons, str) and reasons in REASONS:
        return reasons
    found = repr(reasons)[:80] if isinstance(reasons, str) else json_type(reasons)
    raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f'"reasons" is {found}, expected one of {", ".join(REASONS)}')


def _check_repeated_keys(body: bytes, shape: JsonShape, document: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    """Raise Problem 400 where an object repeats a key.

    More keys than the document and its rows have may also be those of nested values: only then it is parsed again.
    """
    if shape.keys == len(document) + sum(map(len, rows)):
        return
    json.loads(body, object_pairs_hook=_unique_keys)


def _unique_keys(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    unique = dict(pairs)
    if len(unique) != len(pairs):
        _raise_repeated_key([name for name, _ in pairs])
    return unique


def _raise_repeated_key(names: list[str]) -> NoReturn:
    repeated = next(name for name, count in Counter(names).items() if count > 1)
    raise Problem(
        HTTPStatus.BAD_REQUEST, "an object has a key twice", [ErrorDetail("twice in one object", column=repeated)]
    )
