"""Who may ask: the token, the name that the API was called by, and the page that a browser's request came from.

A page of a stranger can make a browser send requests to this machine: by a name of its own that points here (DNS
rebinding), or across origins (request forgery). Both are refused. It knows headers and no framework.
"""

import hmac
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Final
from urllib.parse import urlsplit

from sensor.api.problems import Problem

OWN_NAMES: Final = frozenset({"localhost", "127.0.0.1", "::1"})
# What holds no data and can be had without a token: the page, what it is drawn with, and whether the server lives.
OPEN: Final = frozenset({"/", "/docs", "/healthz", "/readyz", "/openapi.json"})
OPEN_BELOW: Final = ("/page/", "/docs/")


@dataclass(frozen=True, slots=True)
class Guard:
    """token: None where nothing is asked for. names: hosts that requests may be for, None for any."""

    token: str | None
    names: frozenset[str] | None

    def check(self, method: str, path: str, headers: Mapping[str, str]) -> None:
        """Raise Problem for a request that must not be answered."""
        self._check_name(headers.get("Host", ""))
        if method not in ("GET", "HEAD", "OPTIONS"):
            _check_origin(headers)
        if path in OPEN or path.startswith(OPEN_BELOW):  # the page asks for the token in its form
            return
        scheme, _, shown = headers.get("Authorization", "").partition(" ")
        self.check_token(shown.strip() if scheme.lower() == "bearer" else "")

    def check_token(self, shown: str) -> None:
        """Raise Problem unless the token, where there is one, is the right one."""
        if self.token is None:
            return
        if not hmac.compare_digest(shown.encode("utf-8", "surrogatepass"), self.token.encode()):
            raise Problem(HTTPStatus.UNAUTHORIZED, 'expected "Authorization: Bearer TOKEN" with this server\'s token')

    def _check_name(self, host: str) -> None:
        if self.names is not None and _name(host) not in self.names:
            raise Problem(HTTPStatus.MISDIRECTED_REQUEST, f"this server is not {host:.80}, expected localhost")


def _check_origin(headers: Mapping[str, str]) -> None:
    """Browsers say where a request comes from; other clients say nothing."""
    origin = headers.get("Origin")
    site = headers.get("Sec-Fetch-Site", "none")
    foreign = origin is not None and urlsplit(origin).netloc.lower() != headers.get("Host", "").lower()
    if foreign or site not in ("none", "same-origin"):
        raise Problem(HTTPStatus.FORBIDDEN, "this request comes from another site's page")


def _name(host: str) -> str:
    """Of a Host header, without the port and brackets."""
    if host.startswith("["):
        return host[1:].partition("]")[0].lower()
    return host.partition(":")[0].lower()
