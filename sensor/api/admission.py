"""Which requests have their body taken in, as far as their headers and first bytes say. It knows no server.

A request that is refused goes on without its body: the application answers it as it answers all others.
"""

import re
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Final

from sensor.api.body import MAX_BODY_BYTES
from sensor.api.guard import Guard
from sensor.api.problems import Problem

PAGE: Final = "/"
SCORE: Final = "/v1/score"
CAPTURES: Final = "/v1/captures"
MAX_UPLOAD_BYTES: Final = 16 << 20
FORM_BYTES: Final = 64 << 10  # of an upload's form around its file
OTHER_BODY_BYTES: Final = 64 << 10  # of a request that needs no body
TOKEN_WITHIN_BYTES: Final = 8 << 10  # of an upload, in which the form's token stands
REFUSED_TOKENS: Final = 120  # bodies a minute that come with a wrong token, before the answer is to wait
REFUSAL: Final = "flowvigil.refusal"  # in the WSGI environment: the Problem that this request is refused with
UNSENT: Final = "flowvigil.unsent"  # there: a call that gives the bytes of this answer that were not sent yet

# Each stretch is taken once, and few lines: what comes without a token costs next to nothing.
_TOKEN_FIELD: Final = re.compile(rb'name="token"\r\n(?:[^\r\n]{1,200}+\r\n){0,4}+\r\n([^\r\n]{0,600}+)\r\n--')


@dataclass(slots=True)
class Admission:
    """The rules for taking in bodies. Thread-safe: the server's one loop asks it."""

    guard: Guard
    now: Callable[[], float] = time.monotonic
    _wrong_tokens: int = 0  # in this minute
    _minute: int = 0
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def check(self, method: str, path: str, headers: Mapping[str, str]) -> None:
        """Raise Problem for a request whose body is not to be read. headers: by their HTTP names."""
        try:
            self.guard.check(method, path, headers)
        except Problem as problem:
            if problem.status == HTTPStatus.UNAUTHORIZED:
                self._count_wrong_token()
            raise

    def needs_token_within(self, method: str, path: str) -> bool:
        """Whether the body itself must show the token: an upload by the page's form."""
        return self.guard.token is not None and method == "POST" and path == PAGE

    def check_form(self, beginning: bytes) -> None:
        """Raise Problem unless the token stands in the beginning of an upload."""
        found = _TOKEN_FIELD.search(beginning, 0, TOKEN_WITHIN_BYTES)
        try:
            self.guard.check_token("" if found is None else found[1].decode("utf-8", "replace"))
        except Problem:
            self._count_wrong_token()
            raise

    def _count_wrong_token(self) -> None:
        """Raise Problem 429 where this minute has had enough of them."""
        minute = int(self.now() // 60)
        with self._lock:
            if minute != self._minute:
                self._minute, self._wrong_tokens = minute, 0
            self._wrong_tokens += 1
            many = self._wrong_tokens > REFUSED_TOKENS
        if many:
            raise Problem(HTTPStatus.TOO_MANY_REQUESTS, "too many requests with a wrong token, expected fewer a minute")


def body_limit(method: str, path: str) -> int:
    """Bytes that the body of a request may have."""
    limits = {SCORE: MAX_BODY_BYTES, CAPTURES: MAX_UPLOAD_BYTES, PAGE: MAX_UPLOAD_BYTES + FORM_BYTES}
    return limits.get(path, OTHER_BODY_BYTES) if method == "POST" else OTHER_BODY_BYTES


def too_large(method: str, path: str, found_bytes: int | None) -> Problem:
    """Problem 413 for a body beyond the limit. found_bytes: as declared, None where it came without a length."""
    found = "more" if found_bytes is None else f"{found_bytes:,} bytes"
    if method == "POST" and path in (PAGE, CAPTURES):
        detail = f"more than {MAX_UPLOAD_BYTES >> 20} MB, expected less; flowvigil read takes captures of any size"
    else:
        detail = f"the body has {found}, expected at most {body_limit(method, path):,} bytes"
    return Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, detail)


def no_room() -> Problem:
    """Problem 503 for a body that the budget has no room for."""
    return Problem(HTTPStatus.SERVICE_UNAVAILABLE, "too many bodies at once, expected again in a while")
