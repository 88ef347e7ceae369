"""Interactive documentation: Swagger UI from an installed package, so that no network is needed.

The package's own page has inline scripts, which the content security policy forbids; ours loads them from files.
"""

from importlib.util import find_spec
from pathlib import Path
from typing import Final

from flask import Response, send_from_directory
from flask_openapi3.openapi import OpenAPI

PACKAGE: Final = "flask_openapi3_swagger"
PAGE_DIRECTORY: Final = Path(__file__).parent / "page"
PACKAGE_FILES: Final = {"swagger-ui.css": "css", "swagger-ui-bundle.js": "js"}
# Swagger UI sets inline styles and has icons in data: URLs.
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src 'self' data:; "
    "connect-src 'self'; base-uri 'none'; frame-ancestors 'none'; form-action 'none'"
)


def add_swagger_ui(app: OpenAPI) -> None:
    """Add the routes /docs and /docs/FILE."""
    spec = find_spec(PACKAGE)
    package = Path(spec.origin).parent / "templates" / "swagger" if spec and spec.origin else None

    @app.route("/docs")
    def docs() -> Response:
        response = send_from_directory(PAGE_DIRECTORY, "docs.html")
        response.headers["Content-Security-Policy"] = POLICY
        return response

    @app.route("/docs/<name>")
    def docs_file(name: str) -> Response:
        if package is not None and name in PACKAGE_FILES:
            return send_from_directory(package / PACKAGE_FILES[name], name, max_age=86400)
        return send_from_directory(PAGE_DIRECTORY, name if name == "docs.js" else "missing", max_age=86400)
