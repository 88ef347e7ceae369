"""Writes alerts of generated captures into docs/alerts.md: `python -m docs.alert_book`. A test holds it to them.

The page is written by hand but for the blocks after `<!-- alerts of NAME -->`, where NAME is a source address in the
demo capture, or a scenario of the generator (sensor.synth.catalogue) in a capture of its own.
"""

import json
import re
import subprocess
import sys
import tempfile
from collections.abc import Callable
from ipaddress import ip_address
from pathlib import Path
from typing import Any, Final

from sensor.synth.catalogue import CATALOGUE
from sensor.synth.generate import DEMO_SEED, DEMO_SNAPLEN, generate
from sensor.synth.pcap import pcap_bytes, write_pcap

PAGE: Final = Path(__file__).resolve().parent / "alerts.md"
CAPTURE: Final = PAGE.parents[1] / "sensor" / "synth" / "demo.pcap.gz"
_FLOWVIGIL: Final = str(Path(sys.executable).with_name("flowvigil"))
_BLOCK: Final = re.compile(r"(?<=<!-- alerts of )(\S+)( -->\n```text\n).*?(?=```\n)", re.DOTALL)


Run = Callable[..., str]  # the command with these arguments, for its standard output


def run_command(*arguments: str | Path) -> str:
    """Run the installed command."""
    return subprocess.run([_FLOWVIGIL, *arguments], check=True, capture_output=True, text=True).stdout  # noqa: S603


def with_alerts(page: str, run: Run = run_command) -> str:
    """The page with the alerts as the sensor tells them now. run: how its commands are run."""
    with tempfile.TemporaryDirectory() as name:
        room = Path(name)
        demo = _alerts(CAPTURE, run)
        return _BLOCK.sub(lambda block: block[1] + block[2] + _shown(_of(block[1], demo, room, run), room, run), page)


def names(page: str) -> list[str]:
    """Source addresses and scenarios whose alerts the page shows."""
    return [block[1] for block in _BLOCK.finditer(page)]


def _of(name: str, demo: list[dict[str, Any]], room: Path, run: Run) -> list[dict[str, Any]]:
    """Lines of a source of the demo, or of a scenario by itself."""
    try:
        ip_address(name)
    except ValueError:
        capture = room / f"{name}.pcap"
        (scenario,) = (each for each in CATALOGUE if each.name == name)
        write_pcap(capture, pcap_bytes(generate([scenario], DEMO_SEED).packets, DEMO_SNAPLEN))
        return _alerts(capture, run)
    return [line for line in demo if line["source"]["ip"] == name]


def _alerts(capture: Path, run: Run) -> list[dict[str, Any]]:
    found = [json.loads(line) for line in run("read", "--quiet", capture).splitlines()]
    return [line | {"observer": line["observer"] | {"name": "gw1"}} for line in found]


def _shown(found: list[dict[str, Any]], room: Path, run: Run) -> str:
    log = room / "alerts.jsonl"
    log.write_text("".join(json.dumps(line) + "\n" for line in found))
    ids = dict.fromkeys(line["event"]["id"] for line in found)
    return "\n".join(run("alerts", "show", identifier, log) for identifier in ids)


if __name__ == "__main__":
    PAGE.write_text(with_alerts(PAGE.read_text()))
