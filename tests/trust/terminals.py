"""Text from files on a terminal: what a terminal would obey, in every kind of file, printed by every command."""

import json
import os
import pty
import re
import select
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path
from typing import Any, Final

from sensor.alerts.alert_record import alert_line
from tests.support.alerts import an_alert
from tests.support.command import FLOWVIGIL
from tests.trust.claim import Claim, Outcome

# An operating system command that sets the title, a colour by C1, text right to left, isolates, DEL, zero width, a tag.
ORDERS: Final = (
    "\x1b]0;x\x07", "\x9b31m", "\x9d0;x\x9c", "\u202e", "\u2066", "\x7f", "\u200b", "\U000e0041", "\x1b[2J", "\r\b",
)  # fmt: skip
UNSAFE: Final = re.compile(
    "[\x00-\x08\x0b-\x0c\x0e-\x1f\x7f-\x9f\u200b-\u200f\u202a-\u202e\u2060-\u2069\U000e0000-\U000e007f]"
)
OURS: Final = re.compile(r"\x1b\[[0-9;]*[mK]|\x1b\[1A|\x1b\[\?25[hl]")  # colours, and the line of progress


def on_terminal(arguments: tuple[str, ...], stdin: bytes = b"") -> str:
    """All that a command writes to its terminal."""
    leader, terminal = pty.openpty()
    environment = os.environ | {"COLUMNS": "200", "LC_ALL": "C.UTF-8", "TERM": "xterm"}
    process = subprocess.Popen(
        [*FLOWVIGIL, *arguments], stdin=subprocess.PIPE, stdout=terminal, stderr=terminal, env=environment
    )
    os.close(terminal)
    assert process.stdin is not None
    with suppress(OSError):
        process.stdin.write(stdin)
        process.stdin.close()
    shown = b""
    end = time.monotonic() + 120
    with suppress(OSError):
        while time.monotonic() < end:
            if select.select([leader], [], [], 0.5)[0]:
                part = os.read(leader, 65536)
                shown += part
                if not part:
                    break
            elif process.poll() is not None:
                break
    process.kill()
    process.wait()
    os.close(leader)
    return shown.decode("utf-8", "replace")


def obeyed(shown: str) -> str:
    """What a terminal would obey of it, but for the sensor's own colours."""
    return "".join(UNSAFE.findall(OURS.sub("", shown)))


def terminal_text(scale: float) -> Outcome:
    """Every command line on a terminal of its own."""
    failures: list[str] = []
    tries = 0
    with tempfile.TemporaryDirectory() as name:
        for arguments in islice(_command_lines(Path(name)), None if scale >= 1 else max(4, int(60 * scale))):
            found = obeyed(on_terminal(arguments))
            tries += 1
            if found:
                failures.append(f"{' '.join(arguments)!r}: {found[:40]!r}")
    return Outcome(tries, failures)


def _command_lines(directory: Path) -> Iterator[tuple[str, ...]]:
    order = "".join(ORDERS).replace("/", "")
    alerts = directory / "alerts.jsonl"
    alerts.write_text("".join(_hostile_alerts("".join(ORDERS))), encoding="utf-8")
    for command in (("search", "severity:>=0"), ("stats",), ("convert", "--to", "eve"), ("convert", "--to", "cef")):
        for option in ((), ("--json",)):
            if not (option and command[0] == "convert"):
                yield "alerts", *command, *option, str(alerts)
    yield "alerts", "convert", "--to", "ocsf", str(alerts)
    yield "alerts", "tail", str(alerts)
    yield "alerts", "tail", "--json", str(alerts)
    yield "alerts", "show", "AAAA", str(alerts)
    yield "alerts", "show", "--json", "A" * 26, str(alerts)
    odd = directory / f"odd{order}.yaml"
    odd.write_text(f'"{_quoted(order)}": 1\n', encoding="utf-8")
    scenario = directory / "scenario.yaml"
    scenario.write_text(f'name: "{_quoted(order)}"\nsummary: "{_quoted(order)}"\n', encoding="utf-8")
    site = directory / "site.yaml"
    site.write_text(f'rules:\n- source: 192.0.2.10\n  why: "{_quoted(order)}"\n', encoding="utf-8")
    for path in (odd, scenario):
        yield "config", "check", str(path)
        yield "config", "show", "--origin", "-c", str(path)
        yield "lab", "check", str(path)
        yield "train", str(path), "-o", str(directory / "out")
        yield "check", "-c", str(path), "--json"
        yield "alerts", "search", "severity:>=0", "--site", str(path), str(alerts)
    yield "alerts", "search", "severity:>=0", "--with-notes", "--site", str(site), str(alerts)
    yield "alerts", "search", "--json", "severity:>=0", "--with-notes", "--site", str(site), str(alerts)
    yield "config", "show", "--set", f"output.file={order}"
    yield "config", "show", "--origin", "--set", f"detection.bundle={order}"
    capture = directory / f"capture{order}.pcap"
    capture.write_bytes(b"\xd4\xc3\xb2\xa1" + bytes(40))
    for command in (("read",), ("read", "--json"), ("flows",), ("report", "-o", str(directory / "page.html"))):
        yield *command, str(capture)
        yield *command, str(directory / f"none{order}")
    bundle = directory / "bundle"
    bundle.mkdir()
    (bundle / "manifest.json").write_text(json.dumps({"format": order, "name": order}), encoding="utf-8")
    yield "check", "-m", str(bundle), "--json"
    yield "check", "-m", str(bundle)
    yield "selftest", "-m", str(bundle)
    yield "report", str(alerts), "-o", str(directory / f"page{order}.html")
    table = directory / "table.csv"
    table.write_text(f"{order},Label\n1,{order}\n", encoding="utf-8")
    yield "explore", str(table), "-o", str(directory / "page.html"), "--json"
    yield "evaluate", "nsl-kdd", str(table), "--json"


def _quoted(text: str) -> str:
    """Inside of double quotes in YAML."""
    return "".join(f"\\U{ord(character):08x}" for character in text)


def _hostile_alerts(order: str) -> Iterator[str]:
    """A whole alert, and it with each of its texts replaced in turn: many are none that is read."""
    whole: dict[str, Any] = json.loads(alert_line(an_alert()))
    yield json.dumps(whole) + "\n"
    for where in _texts(whole, ()):
        changed = json.loads(json.dumps(whole))
        place = changed
        for part in where[:-1]:
            place = place[part]
        place[where[-1]] = f"{place[where[-1]]}{order}"
        yield json.dumps(changed, ensure_ascii=False).replace("\x7f", "\\u007f") + "\n"


def _texts(value: Any, where: tuple[Any, ...]) -> Iterator[tuple[Any, ...]]:
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for name, inner in items:
        if isinstance(inner, str):
            yield *where, name
        yield from _texts(inner, (*where, name))


CLAIMS: Final[tuple[Claim, ...]] = (
    Claim(
        "terminal-text",
        "No text of a file, an alert, a bundle, a YAML or a name is obeyed by a terminal, neither in words nor in JSON",
        "commands",
        terminal_text,
        minutes=1.5,
    ),
)
