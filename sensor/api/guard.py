"""Access control: the token, the Host header, and the origin of a browser's request.

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
from sensor.local_names import host_name

# Without data, and so served without a token: the page and its files, the documentation, health.
PUBLIC_PATHS: Final = frozenset({"/", "/live", "/docs", "/healthz", "/readyz", "/openapi.json"})
PUBLIC_PREFIXES: Final = ("/page/", "/docs/")


@dataclass(frozen=True, slots=True)
class Guard:
    """The access rules of one server."""

    token: str | None  # bearer token that requests must present, None for none
    names: frozenset[str] | None  # host names that requests may be for, None for any

    def check(self, method: str, path: str, headers: Mapping[str, str]) -> None:
        """Raise Problem for a request that is refused: 401 for its token, 403 for its origin, 421 for its host."""
        self._check_host(headers.get("Host", ""))
        public = path in PUBLIC_PATHS or path.startswith(PUBLIC_PREFIXES)
        # A page of a stranger cannot read an answer, and could have this machine make them: streams, of which there
        # are few. Whoever follows a link is shown what it leads to.
        opened = method in ("GET", "HEAD", "OPTIONS") and (public or headers.get("Sec-Fetch-Dest") == "document")
        if not opened:
            _check_origin(headers)
        if public:  # the page asks for the token in its form
            return
        scheme, _, token = headers.get("Authorization", "").partition(" ")
        self.check_token(token.strip() if scheme.lower() == "bearer" else "")

    def check_token(self, presented: str) -> None:
        """Raise Problem 401 unless the presented token is this server's, where it has one."""
        if self.token is None:
            return
        if not hmac.compare_digest(presented.encode("utf-8", "surrogatepass"), self.token.encode()):
            raise Problem(HTTPStatus.UNAUTHORIZED, 'expected "Authorization: Bearer TOKEN" with this server\'s token')

    def _check_host(self, host: str) -> None:
        if self.names is not None and host_name(host) not in self.names:
            raise Problem(HTTPStatus.MISDIRECTED_REQUEST, f"this server is not {host:.80}, expected localhost")


def _check_origin(headers: Mapping[str, str]) -> None:
    """Raise Problem 403 for another site's request: browsers name the origin, other clients name none."""
    origin = headers.get("Origin")
    site = headers.get("Sec-Fetch-Site", "none")
    cross_origin = origin is not None and _place_of_origin(origin) != headers.get("Host", "").lower()
    if cross_origin or site not in ("none", "same-origin"):
        raise Problem(HTTPStatus.FORBIDDEN, "this request comes from another site's page")


def _place_of_origin(origin: str) -> str | None:
    """Host and port of an Origin header, None where it is malformed."""
    try:
        return urlsplit(origin).netloc.lower()
    except ValueError:
        return None
