"""Writes alerts of generated captures into docs/alerts.md: `python -m docs.alert_book`. A test holds it to them.

The page is written by hand but for the blocks after `<!-- alerts of NAME -->`, where NAME is a source address in the
demo capture, or a scenario of the generator (sensor.synth.catalogue) in a capture of its own.
"""

import json
import re
import subprocess
import sys
import tempfile
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

PAGE: Final = Path(__file__).resolve().parent / "alerts.md"
CAPTURE: Final = PAGE.parents[1] / "sensor" / "synth" / "demo.pcap.gz"
_FLOWVIGIL: Final = str(Path(sys.executable).with_name("flowvigil"))
_BLOCK: Final = re.compile(r"(?<=<!-- alerts of )(\S+)( -->\n```text\n).*?(?=```\n)", re.DOTALL)


def with_alerts(page: str) -> str:
    """The page with the alerts as the sensor tells them now."""
    with tempfile.TemporaryDirectory() as name:
        room = Path(name)
        demo = _alerts(CAPTURE)
        return _BLOCK.sub(lambda block: block[1] + block[2] + _shown(_of(block[1], demo, room), room), page)


def names(page: str) -> list[str]:
    """Source addresses and scenarios whose alerts the page shows."""
    return [block[1] for block in _BLOCK.finditer(page)]


def _of(name: str, demo: list[dict[str, Any]], room: Path) -> list[dict[str, Any]]:
    """Lines of a source of the demo, or of a scenario by itself."""
    try:
        ip_address(name)
    except ValueError:
        capture = room / f"{name}.pcap"
        command = (sys.executable, "-m", "sensor.synth", str(capture), "--scenario", name)
        subprocess.run(command, check=True, capture_output=True, cwd=PAGE.parents[1])  # noqa: S603
        return _alerts(capture)
    return [line for line in demo if line["source"]["ip"] == name]


def _alerts(capture: Path) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in _run("read", "--quiet", str(capture)).splitlines()]
    return [line | {"observer": line["observer"] | {"name": "gw1"}} for line in found]


def _shown(found: list[dict[str, Any]], room: Path) -> str:
    log = room / "alerts.jsonl"
    log.write_text("".join(json.dumps(line) + "\n" for line in found))
    ids = dict.fromkeys(line["event"]["id"] for line in found)
    return "\n".join(_run("alerts", "show", identifier, str(log)) for identifier in ids)


def _run(*arguments: str) -> str:
    return subprocess.run([_FLOWVIGIL, *arguments], check=True, capture_output=True, text=True).stdout  # noqa: S603


if __name__ == "__main__":
    PAGE.write_text(with_alerts(PAGE.read_text()))
