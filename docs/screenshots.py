"""Takes the pictures of docs/views.md: terminals as SVG, pages as PNG: `python -m docs.screenshots` (root, tcpreplay).

The terminals are those of tmux (docs.recording), the pages are looked at by Chromium, at the width of a desk and of a
phone. What they show is the demo capture, in the live views replayed on a cable between two namespaces.
"""

import contextlib
import gzip
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

from docs.recording import DEMO, REPOSITORY, Frame, Step, opened, recorded, svg
from sensor.alerts.alert import Observer
from sensor.alerts.sensor_records import SensorState, stats_line
from sensor.progress.progress import DriftState, Progress
from sensor.synth.generate import NORMAL, generate
from sensor.synth.pcap import pcap_bytes
from sensor.version import VERSION
from tests.support.browser import Browser, browser
from tests.support.command import flowvigil, started
from tests.support.namespaces import joined_namespaces
from tests.support.served import served

VIEWS: Final = REPOSITORY / "docs" / "views"
DESK, PHONE = (1280, 900), (390, 844)  # pixels
REPLAYED_S: Final = 50.0  # of the live page
QUIET_S: Final = 45.0  # of the quiet terminal


def main() -> None:
    """Take all."""
    VIEWS.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="flowvigil-views-") as name:
        directory = Path(name)
        directory.chmod(0o755)
        (directory / "demo.pcap.gz").symlink_to(DEMO)
        (directory / "quiet.pcap").write_bytes(pcap_bytes(generate([NORMAL], 7).packets))
        terminals(directory)
        quiet(directory)
        with browser(directory / "chromium") as tab:
            report(directory, tab)
            fleet(directory, tab)
            captures(tab)
            live(directory, tab)


def terminals(directory: Path) -> None:
    """The list, the detail, a large terminal, and what a search finds."""
    reading = Step("flowvigil read demo.pcap.gz", 0.1, until="at its end")
    detail = (Step("Down", 0.1, line=False, until=""), Step("Enter", 0.1, line=False, until=""))
    search = Step("flowvigil alerts search 'severity:>=70' alerts.jsonl", 0.1)
    flowvigil("read", DEMO, "-q", "-o", directory / "alerts.jsonl")
    for name, columns, rows, steps in (
        ("list", 120, 40, (reading,)),
        ("detail", 120, 40, (reading, *detail)),
        ("large", 200, 60, (reading,)),
        ("search", 110, 24, (search,)),
    ):
        with opened(directory, columns, rows) as terminal:
            shown = recorded(terminal, steps)[-1]
        draw(name, shown.lines, columns, rows)


def draw(name: str, lines: tuple[str, ...], columns: int, rows: int) -> None:
    """Write what a terminal shows."""
    (VIEWS / f"{name}.svg").write_text(svg([Frame(lines, 1.0)], f"flowvigil: {name}", columns, rows))


def quiet(directory: Path) -> None:
    """A watch of traffic in which nothing is told."""
    with (
        joined_namespaces() as (left, right),
        replayed(left, directory / "quiet.pcap", 1),
        opened(directory, 120, 40) as terminal,
    ):
        for keys in (f"ip netns exec {right} flowvigil watch -i fv1", "Enter"):
            terminal.send(keys, literally=keys != "Enter")
        time.sleep(QUIET_S)
        draw("quiet", terminal.screen(), 120, 40)


def report(directory: Path, tab: Browser) -> None:
    """The page for people who were not there."""
    page = directory / "report.html"
    flowvigil("report", DEMO, "-o", page)
    tab.open(page.as_uri())
    pictures(tab, "report")


def fleet(directory: Path, tab: Browser) -> None:
    """The page about many sensors: two on one path, one that loses packets, one that is silent."""
    names = ("gw-berlin-1", "gw-berlin-2", "gw-lyon", "gw-oslo")
    lines, listed = directory / "sensors", directory / "fleet.yaml"
    for name in names[:2]:
        (lines / name).mkdir(parents=True)
        flowvigil("read", DEMO, "-q", "-o", lines / name / "alerts.jsonl", "--set", f"sensor.name={name}")
    for number, name in enumerate(names):
        (lines / name).mkdir(parents=True, exist_ok=True)
        (lines / name / "accounts.jsonl").write_bytes(b"".join(accounts(name, number)))
    listed.write_text("sensors:\n  - {name: gw-berlin-1, site: berlin}\n  - {name: gw-berlin-2, site: berlin}\n"
                      "  - gw-lyon\n  - gw-oslo\n")  # fmt: skip
    page = directory / "fleet.html"
    flowvigil("report", "--fleet", listed, lines, "-o", page)
    tab.open(page.as_uri())
    pictures(tab, "fleet")


def accounts(name: str, number: int) -> Iterator[bytes]:
    """Of five minutes after the demo; the third loses packets and drifts, the fourth is silent for the last four."""
    state = SensorState("site", "0" * 64, f"{number // 3 + 5:x}e1f" * 16, {}, None)
    for second in range(0, 60 if number == 3 else 300, 10):
        progress = Progress(
            received=12_400 * second,
            metered=12_300 * second,
            dropped=100 * second if number == 2 else 0,
            drift=DriftState(("columns-changed",) if number == 2 else ()),
        )
        moment_ns = (1_772_442_420 + second) * 1_000_000_000
        yield stats_line(progress, Observer(name, VERSION), moment_ns, 10.0, state=state)


def captures(tab: Browser) -> None:
    """The page of `serve` after a capture was sent to it."""
    with served() as server:
        tab.open(server.url + "/")
        tab.choose("#file", DEMO)
        tab.run("document.querySelector('form button').click()")
        tab.wait_for("document.querySelector('.found')")
        tab.run("document.querySelector('.found details')?.setAttribute('open', '')")
        pictures(tab, "capture")


def live(directory: Path, tab: Browser) -> None:
    """The page beside a running sensor."""
    socket, plain = directory / "attach.sock", directory / "demo.pcap"
    plain.write_bytes(gzip.decompress(DEMO.read_bytes()))
    with joined_namespaces() as (left, right), replayed(left, plain, 3):
        sensor = started("watch", "-i", "fv1", "-q", "--set", f"attach.socket={socket}", namespace=right)
        try:
            wait_for(socket)
            with served("--attach", socket) as server:
                time.sleep(REPLAYED_S)
                tab.open(server.url + "/live")
                tab.wait_for("document.querySelectorAll('#alerts > li').length")
                time.sleep(2)
                pictures(tab, "live")
        finally:
            sensor.terminate()
            with contextlib.suppress(subprocess.TimeoutExpired):
                sensor.communicate(timeout=20)
            sensor.kill()


@contextmanager
def replayed(namespace: str, capture: Path, times: int) -> Iterator[None]:
    """A capture sent round and round into a namespace, so many times as fast as it was recorded."""
    command = [
        "ip",
        "netns",
        "exec",
        namespace,
        "tcpreplay",
        "-i",
        "fv0",
        "--loop=0",
        f"--multiplier={times}",
        str(capture),
    ]
    process = subprocess.Popen(  # noqa: S603  # a command of this module
        command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        yield
    finally:
        process.terminate()
        process.wait()


def wait_for(path: Path) -> None:
    """Until a file is there. Raises TimeoutError after a minute."""
    deadline = time.monotonic() + 60
    while not path.exists():
        if time.monotonic() > deadline:
            raise TimeoutError(f"{path} does not appear")
        time.sleep(0.1)


def pictures(tab: Browser, name: str) -> None:
    """What a tab shows, at both widths."""
    for what, (width, height) in (("desk", DESK), ("phone", PHONE)):
        path = VIEWS / f"{name}-{what}.png"
        tab.picture(path, width, height)
        sys.stdout.write(f"{path.name}: {path.stat().st_size / 1e3:.0f} kB\n")


if __name__ == "__main__":
    main()
