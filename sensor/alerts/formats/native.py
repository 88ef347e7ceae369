"""The native record as a line: Elastic Common Schema 9.4 names, everything else under `flowvigil`."""

from typing import Any

import orjson


def native_line(document: dict[str, Any]) -> bytes:
    """The document as one line of JSON with its newline, its fields in the order they have."""
    return orjson.dumps(document, option=orjson.OPT_APPEND_NEWLINE)
