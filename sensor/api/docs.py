"""Interactive documentation: Swagger UI from an installed package, so that no network is needed.

The package's own page has scripts in it, which the content security policy forbids; ours loads them from files.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Final

from flask import Response, send_from_directory
from flask_openapi3.openapi import OpenAPI

PACKAGE: Final = "flask_openapi3_swagger"
OURS: Final = Path(__file__).parent / "page"
FILES: Final = {"swagger-ui.css": "css", "swagger-ui-bundle.js": "js"}
# Swagger UI sets styles of elements and draws icons from data: addresses.
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'"
)


def add_docs(app: OpenAPI) -> None:
    """Add /docs and the files that it is made of."""
    spec = find_spec(PACKAGE)
    origin = Path(spec.origin).parent / "templates" / "swagger" if spec and spec.origin else None

    @app.route("/docs")
    def docs() -> Response:
        answer = send_from_directory(OURS, "docs.html")
        answer.headers["Content-Security-Policy"] = POLICY
        return answer

    @app.route("/docs/<name>")
    def docs_file(name: str) -> Response:
        if origin is not None and name in FILES:
            return send_from_directory(origin / FILES[name], name, max_age=86400)
        return send_from_directory(OURS, name if name == "docs.js" else "missing", max_age=86400)
