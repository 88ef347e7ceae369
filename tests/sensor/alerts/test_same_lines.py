"""The same lines in `flowvigil alerts`, `flowvigil report` and `watch --attach`: what is told, left out and counted."""

import gzip
import json
import re
import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import zstandard

from sensor.alerts.alert_record import alert_line
from sensor.alerts.json_lines import LONGEST_LINE
from sensor.attach.protocol import End, line_of
from tests.support.alerts import an_alert
from tests.support.attached import HELLO
from tests.support.command import Result, flowvigil
from tests.support.native import a_flow_line, a_stats_line, an_event_line

pytestmark = pytest.mark.ux

ALERTS = [alert_line(an_alert(id=letter * 26, sequence=n)) for n, letter in enumerate("ABCDE", 1)]
OTHERS = [
    a_stats_line(),
    an_event_line(),
    a_flow_line(),
    b'{"flowvigil":{"schema":"flow/9"}}\n',
    b"\n",
    b"  \r\n",
]
# As long as a line may be, and an alert all the same.
LONG = ALERTS[0][:-1] + b" " * (LONGEST_LINE - len(ALERTS[0]) + 1) + b"\n"
BAD = [
    (b"no json\n", "no record of this sensor"),
    (b"\xff\xfe\x00\n", "no record of this sensor"),
    (ALERTS[0][:90] + b"\n", "not JSON"),
    (b'{"flowvigil":' * 4_000 + b"\n", "not JSON"),
    (b"[" * 60_000 + b"\n", "no record of this sensor"),
    (b'"text"\n', "no record of this sensor"),
    (b"null\n", "no record of this sensor"),
    (b'{"event_type":"alert"}\n', "no record of this sensor"),
    (b'{"flowvigil":{"schema":["alert/1"]}}\n', "no record of this sensor"),
    (b'{"flowvigil":{"schema":"dns/1"}}\n', "no record of this sensor"),
    (b'{"flowvigil":{"schema":"alert/1"}}\n', "an alert with a field that does not fit"),
    (ALERTS[0].replace(b"alert/1", b"alert/2"), "an alert of another version"),
    (b'{"flowvigil":{"schema":"stats/2"}}\n', "an account of another version"),
    (ALERTS[0].replace(b'"severity":70', b'"severity":700'), "an alert with a field that does not fit"),
    (a_stats_line().replace(b'"received":100', b'"received":-1'), "an account with a field that does not fit"),
    (b'{"@timestamp":"today","flowvigil":{"schema":"event/1"}}\n', "an event with a field that does not fit"),
    (LONG[:-1] + b" \n", "longer than 64 KiB"),
    (b"x" * 3_000_000 + b"\n", "longer than 64 KiB"),
]
CONTENT = b"".join(
    [*OTHERS, *(part for n, (line, _) in enumerate(BAD) for part in (line, ALERTS[n % len(ALERTS)])), LONG, *ALERTS]
)
TOLD = len(BAD) + 1 + len(ALERTS)
LEFT_OUT = {reason: sum(1 for _, other in BAD if other == reason) for _, reason in BAD}
PACKINGS: dict[str, Callable[[bytes], bytes]] = {
    "": bytes,
    ".gz": gzip.compress,
    ".zst": zstandard.ZstdCompressor().compress,
}


def left_out(result: Result) -> dict[str, int]:
    """What was told of lines left out: how many, by reason."""
    told = (re.match(r"flowvigil: (\d+) lines? left out: (.*?) \(first: ", line) for line in result.stderr)
    return {found[2]: int(found[1]) for found in told if found}


@contextmanager
def a_sensor_that_says(directory: Path, content: bytes) -> Iterator[Path]:
    """Its socket, for one client."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(directory / "sock"))
        listener.listen()

        def say() -> None:
            connection, _ = listener.accept()
            with connection:
                connection.sendall(line_of(HELLO) + content + line_of(End(None)))

        speaker = threading.Thread(target=say)
        speaker.start()
        yield directory / "sock"
        speaker.join()


def alerts_told(lines: bytes) -> int:
    return sum(1 for line in lines.splitlines() if b'"kind":"alert"' in line)


@pytest.mark.parametrize("packing", PACKINGS)
def test_the_alert_tools_tell_what_is_there_and_what_was_left_out(packing: str, tmp_path: Path) -> None:
    (tmp_path / f"log{packing}").write_bytes(PACKINGS[packing](CONTENT))
    result = flowvigil("alerts", "search", "--all-lines", "", tmp_path / f"log{packing}")
    assert (result.code, alerts_told(result.stdout), left_out(result)) == (6, TOLD, LEFT_OUT)
    assert len(result.stderr) == len(LEFT_OUT)


@pytest.mark.parametrize("packing", PACKINGS)
def test_the_page_tells_the_same(packing: str, tmp_path: Path) -> None:
    (tmp_path / f"log{packing}").write_bytes(PACKINGS[packing](CONTENT))
    result = flowvigil("report", "-q", tmp_path / f"log{packing}", "-o", tmp_path / "x.html")
    assert (result.code, left_out(result)) == (6, LEFT_OUT)
    assert len(result.stderr) == len(LEFT_OUT)
    page = (tmp_path / "x.html").read_text(encoding="utf-8")
    assert f"{sum(LEFT_OUT.values())} lines of the input could not be read; {TOLD + 2} were." in page
    assert page.count('<article class="alert') == len(ALERTS)
    assert f"{TOLD:,} alert lines are told as {len(ALERTS)} alerts" in page
    assert "Records that this page does not tell: 1 flow/1, 1 flow/9." in page
    assert all(f"lines left out: {reason}" in page or f"1 line left out: {reason}" in page for reason in LEFT_OUT)


def test_an_attached_terminal_tells_the_same(tmp_path: Path) -> None:
    with a_sensor_that_says(tmp_path, CONTENT) as place:
        result = flowvigil("watch", "--attach", place, "-q")
    assert (result.code, alerts_told(result.stdout), left_out(result)) == (0, TOLD, LEFT_OUT)
    assert len(result.stderr) == len(LEFT_OUT)
    # And the other records of the sensor, each as it was written.
    assert result.stdout.startswith(b"".join(OTHERS[:4]))


def test_what_a_client_without_flowvigil_kept_of_a_socket_is_read(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(line_of(HELLO) + b"".join(ALERTS) + line_of(End(None)))
    for command in (("alerts", "convert", tmp_path / "log"), ("report", tmp_path / "log", "-o", tmp_path / "x.html")):
        assert flowvigil(*command).code == 0
    assert "Records that this page does not tell: 2 attach/1." in (tmp_path / "x.html").read_text(encoding="utf-8")


@pytest.mark.parametrize("packing", [".gz", ".zst"])
def test_what_is_cut_short_is_told_as_far_as_it_goes(packing: str, tmp_path: Path) -> None:
    content = b"".join(
        alert_line(an_alert(id=f"{n:026}", reason=json.dumps([n * k % 7919 for k in range(60)]))) for n in range(400)
    )
    log = tmp_path / f"cut.jsonl{packing}"
    log.write_bytes((packed := PACKINGS[packing](content))[: len(packed) // 2])
    shown = flowvigil("alerts", "convert", log)
    told = alerts_told(shown.stdout)
    assert 0 < told < 400
    page = flowvigil("report", "-q", log, "-o", tmp_path / "x.html")
    assert shown.code == page.code == 6
    assert shown.stderr[-1] == page.stderr[-1]
    assert re.search(rf"flowvigil: {log}: truncated: the (gzip|zstd) data ends early, at byte \d+", page.stderr[-1])
    html = (tmp_path / "x.html").read_text(encoding="utf-8")
    assert "The input was not read to its end: " in html
    assert f"{told} alert lines are told as {told} alerts" in html


@pytest.mark.parametrize("packing", PACKINGS)
def test_standard_input_makes_the_same_page_as_the_file(packing: str, tmp_path: Path) -> None:
    packed = PACKINGS[packing](b"".join([*OTHERS, *ALERTS * 50]))
    (tmp_path / f"log{packing}").write_bytes(packed)
    pages = []
    for name, given in ((tmp_path / f"log{packing}", b""), ("-", packed)):
        assert flowvigil("report", name, "-o", tmp_path / "x.html", stdin=given).code == 0
        pages.append(re.findall("<article.*?</article>", (tmp_path / "x.html").read_text(encoding="utf-8"), re.DOTALL))
    assert pages[0] == pages[1] != []
