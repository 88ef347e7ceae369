"""The files of the pages, and the policy that pages with a script of their own have."""

from pathlib import Path
from typing import Final

FILES: Final = Path(__file__).parent / "page"
SERVED: Final = frozenset({"style.css", "page.js", "live.js"})
# As all answers have it (sensor.api.app), with scripts of these files, which may ask this server.
POLICY: Final = (
    "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
    "form-action 'self'; base-uri 'none'; frame-ancestors 'none'"
)
