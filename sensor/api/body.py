"""A request's JSON body: strict, and flat where it must be. It knows no column.

JSON as RFC 8259 has it, in UTF-8, without NaN, numbers beyond a double, repeated keys (I-JSON, RFC 7493) and more
nesting than rows need.
"""

import json
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, NoReturn

import orjson

from sensor.api.keys import keys_in
from sensor.api.problems import Flaw, Problem, unprocessable
from sensor.api.reasons import REASONS

MOST_ROWS = 10_000
MOST_BYTES = 48 << 20  # 10,000 rows of 90 columns with the longest names and all digits
WANTED = 'expected {"rows": [{...}, ...]}, optionally with "rate" and "reasons"'


@dataclass(frozen=True, slots=True)
class ScoreRequest:
    """rows: objects, 1 to MOST_ROWS of them. rate: nominal false-positive rate or None. reasons: one of REASONS."""

    rows: list[dict[str, Any]]
    rate: float | None
    reasons: str


def score_request(body: bytes) -> ScoreRequest:
    """What a body asks for. Raises Problem: 400 for what is no JSON, 413 for too many rows, 422 for another form."""
    document = _parsed(body)
    if not isinstance(document, dict):
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"the body is {kind(document)}, {WANTED}")
    rows = document.get("rows")
    if not isinstance(rows, list):
        _refuse_repeated(body, document, [])
        found = f'"rows" is {kind(rows)}' if "rows" in document else 'there is no "rows"'
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f"{found}, {WANTED}")
    check_count(len(rows))
    if set(map(type, rows)) != {dict}:
        flaws = [Flaw(f"{kind(row)}, expected an object", i) for i, row in enumerate(rows) if not isinstance(row, dict)]
        raise unprocessable(flaws, f"row {flaws[0].row} is no object")
    _refuse_repeated(body, document, rows)
    if unknown := sorted(set(document) - {"rows", "rate", "reasons"}):
        flaws = [Flaw("unknown", column=name) for name in unknown]
        raise unprocessable(flaws, "the request has unknown keys")
    return ScoreRequest(rows, _rate(document.get("rate")), _reasons(document.get("reasons", REASONS[0])))


def check_count(rows: int) -> None:
    """Raise Problem for no rows and for too many."""
    if not rows:
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "there are no rows, expected at least one")
    if rows > MOST_ROWS:
        raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, f"{rows:,} rows, expected at most {MOST_ROWS:,} a request")


def kind(value: object) -> str:
    """What a JSON value is, in words."""
    kinds = {dict: "an object", list: "a list", str: "text", bool: "a truth value", type(None): "null"}
    return kinds.get(type(value), "a number")


def _parsed(body: bytes) -> Any:
    try:
        return orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise Problem(HTTPStatus.BAD_REQUEST, f"the body is no JSON: {error}") from None


def _rate(rate: object) -> float | None:
    if rate is None or type(rate) in (int, float):
        return rate  # type: ignore[return-value] # narrowed by its exact type
    raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f'"rate" is {kind(rate)}, expected a number')


def _reasons(reasons: object) -> str:
    if isinstance(reasons, str) and reasons in REASONS:
        return reasons
    found = repr(reasons)[:80] if isinstance(reasons, str) else kind(reasons)
    raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, f'"reasons" is {found}, expected one of {", ".join(REASONS)}')


def _refuse_repeated(body: bytes, document: dict[str, Any], rows: list[dict[str, Any]]) -> None:
    """Raise Problem where an object repeats a key. More keys than these may also be those of values that are nested."""
    if keys_in(body) == len(document) + sum(map(len, rows)):
        return
    try:
        json.loads(body, object_pairs_hook=_without_repeats)
    except RecursionError:
        raise Problem(HTTPStatus.BAD_REQUEST, "the body is nested too deeply") from None


def _without_repeats(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        _refuse_key([name for name, _ in pairs])
    return made


def _refuse_key(names: list[str]) -> NoReturn:
    twice = next(name for i, name in enumerate(names) if name in names[:i])
    raise Problem(HTTPStatus.BAD_REQUEST, "an object has a key twice", [Flaw("twice in one object", column=twice)])
