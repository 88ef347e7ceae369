"""Writes the alerts of the demo capture into docs/alerts.md: `python -m docs.alert_book`. A test holds it to them.

The page is written by hand but for the blocks after `<!-- alerts of ADDRESS -->`.
"""

import json
import re
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any, Final

PAGE: Final = Path(__file__).resolve().parent / "alerts.md"
CAPTURE: Final = PAGE.parents[1] / "sensor" / "synth" / "demo.pcap.gz"
_FLOWVIGIL: Final = str(Path(sys.executable).with_name("flowvigil"))
_BLOCK: Final = re.compile(r"(?<=<!-- alerts of )(\S+)( -->\n```text\n).*?(?=```\n)", re.DOTALL)


def with_alerts(page: str) -> str:
    """The page with the alerts as the sensor tells them now."""
    found = [json.loads(line) for line in _run("read", "--quiet", str(CAPTURE)).splitlines()]
    found = [line | {"observer": line["observer"] | {"name": "gw1"}} for line in found]
    with tempfile.TemporaryDirectory() as name:
        log = Path(name) / "demo.jsonl"
        log.write_text("".join(json.dumps(line) + "\n" for line in found))
        return _BLOCK.sub(lambda block: block[1] + block[2] + _shown(found, block[1], log), page)


def sources(page: str) -> list[str]:
    """Addresses whose alerts the page shows."""
    return [block[1] for block in _BLOCK.finditer(page)]


def _shown(found: list[dict[str, Any]], source: str, log: Path) -> str:
    ids = dict.fromkeys(line["event"]["id"] for line in found if line["source"]["ip"] == source)
    return "\n".join(_run("alerts", "show", identifier, str(log)) for identifier in ids)


def _run(*arguments: str) -> str:
    return subprocess.run([_FLOWVIGIL, *arguments], check=True, capture_output=True, text=True).stdout  # noqa: S603


if __name__ == "__main__":
    PAGE.write_text(with_alerts(PAGE.read_text()))
