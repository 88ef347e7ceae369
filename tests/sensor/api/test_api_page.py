"""The page in a real browser: what a person pastes or uploads is scored and shown, under the strict policy."""

import bz2
import csv
import gzip
import io
import json
import lzma
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from sensor.synth.pcap import pcap_bytes
from sensor.synth.truth import Packet
from tests.support.browser import Browser, browser, chromium
from tests.support.command import DEMO, flowvigil
from tests.support.kdd_rows import FLOOD, NAMES, WEB
from tests.support.packets import tcp
from tests.support.served import Served, served

pytestmark = [pytest.mark.ux, pytest.mark.takes(25)]

ROWS = "[...document.querySelectorAll('tbody tr')].map(row => [...row.cells].map(cell => cell.innerText))"


def table(rows: Sequence[dict[str, Any]]) -> str:
    """Rows as CSV."""
    text = io.StringIO()
    writer = csv.DictWriter(text, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()


@pytest.fixture(scope="module")
def tab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Browser]:
    if chromium() is None:
        pytest.skip("no Chromium is installed")
    with browser(tmp_path_factory.mktemp("chromium")) as opened:
        yield opened


def paste(tab: Browser, text: str) -> None:
    tab.run(f"document.querySelector('#text').value = {json.dumps(text)}")
    tab.submit()


def upload(tab: Browser, url: str, capture: Path) -> None:
    """Choose a file, press the button and wait for its alerts, which take the place of the form's page."""
    tab.open(url + "/")
    assert "also .gz, .zst, .xz, .bz2 or .lz4" in tab.run("document.querySelector('label[for=file]').innerText")
    tab.choose("#file", capture)
    tab.run("document.querySelector('form button').click()")
    tab.wait_for("document.querySelector('.found')")


def many_scans() -> bytes:
    """A capture in which thirty hosts scan ports."""
    packets = [
        tcp(f"203.0.113.{number + 1}:{40000 + port}", f"10.20.0.10:{1 + 7 * port}", "S", at=90.0 * number + 0.05 * port)
        for number in range(30)
        for port in range(120)
    ]
    return pcap_bytes([Packet(packet.ts_ns, packet.frame) for packet in packets])


def test_a_pasted_table_is_scored(tab: Browser, server: Served, scan_rows: list[dict[str, Any]]) -> None:
    tab.open(server.url + "/")
    paste(tab, table(scan_rows))
    rows = tab.run(ROWS)
    assert len(rows) == len(scan_rows)
    assert rows[0][2:4] == ["attack", "PortScan T1046"]
    assert "→" in rows[0][1]
    assert rows[0][6]
    assert tab.errors == []


PACKED: dict[str, Callable[[bytes], bytes]] = {"gz": gzip.compress, "xz": lzma.compress, "bz2": bz2.compress}


@pytest.mark.parametrize("packed", PACKED)
def test_an_uploaded_capture_shows_its_alerts(tab: Browser, server: Served, tmp_path: Path, packed: str) -> None:
    capture = tmp_path / f"demo.pcap.{packed}"
    capture.write_bytes(PACKED[packed](gzip.decompress(DEMO.read_bytes())))
    upload(tab, server.url, capture)
    assert tab.run("document.querySelector('h2').innerText") == capture.name
    records = [json.loads(line) for line in flowvigil("read", DEMO, "-q").stdout.splitlines()]
    expected = {record["event"]["id"] for record in records}
    shown = tab.run(
        "[...document.querySelectorAll('.told')].map(told => [...told.querySelectorAll('dt')]"
        ".find(term => term.textContent === 'Id').nextSibling.textContent)"
    )
    assert (set(shown), len(shown)) == (expected, len(expected))
    assert "likely attack" in tab.run("document.querySelector('.found').innerText")
    tab.run("document.querySelector('#alerts summary').click()")
    assert tab.run("document.querySelector('#alerts details').open")
    told = tab.run("document.querySelector('.told').innerText")
    for words in ("Why: the flow that speaks strongest", "What to do next", "Flows (10 of", "Community ID"):
        assert words in told
    assert tab.errors == []


def test_alerts_are_sorted_searched_and_paged(tab: Browser, server: Served, tmp_path: Path) -> None:
    capture = tmp_path / "many.pcap"
    capture.write_bytes(many_scans())
    upload(tab, server.url, capture)
    sources = "[...document.querySelectorAll('#alerts > li')].map(row => row.dataset.source)"
    count = "document.querySelector('.bar output').textContent"
    first = tab.run(sources)
    assert len(first) == 20
    every = int(tab.run(count).rpartition(" of ")[2])
    assert every > 20
    tab.run("[...document.querySelectorAll('.bar button')].at(-1).click()")
    second = tab.run(sources)
    assert tab.run(count) == f"21 to {every} of {every}"
    assert set(first).isdisjoint(second)
    tab.run(
        "document.querySelector('.bar select').value = 4;"
        "document.querySelector('.bar select').dispatchEvent(new Event('change'))"
    )
    by_source = tab.run(sources)
    assert by_source == sorted({*first, *second}, key=lambda ip: [int(part) for part in ip.split(".")])[:20]
    tab.run(
        f"document.querySelector('.bar input').value = '{second[0]} ';"
        "document.querySelector('.bar input').dispatchEvent(new Event('input'))"
    )
    assert tab.run(sources) == [second[0]]
    assert tab.errors == []


def test_the_page_works_without_its_script(tab: Browser, server: Served) -> None:
    tab.tell("Emulation.setScriptExecutionDisabled", value=True)
    try:
        tab.open(server.url + "/")
        tab.choose("#file", DEMO)
        tab.submit()
        assert tab.run("document.querySelectorAll('#alerts > li').length") == 4
        assert not tab.run("!!document.querySelector('.bar')")
    finally:
        tab.tell("Emulation.setScriptExecutionDisabled", value=False)


def test_an_upload_can_be_cancelled_and_tells_when_the_server_refuses(
    tab: Browser, server: Served, tmp_path: Path
) -> None:
    tab.open(server.url + "/")
    large = tmp_path / "large.pcap"
    with large.open("wb") as file:
        file.truncate(40 << 20)
    tab.choose("#file", large)
    tab.run("document.querySelector('form button').click()")
    tab.wait_for("/16 MB|refused/.test(document.body.innerText)")
    tab.errors.clear()  # the browser's own line on the status 413, where the answer came first


@pytest.mark.parametrize(("width", "height"), [(390, 844), (1280, 800)])
def test_the_page_fits_a_phone_and_a_desk(
    tab: Browser, server: Served, tmp_path: Path, width: int, height: int
) -> None:
    upload(tab, server.url, DEMO)
    tab.run("document.querySelector('#alerts summary').click()")
    tab.picture(tmp_path / "page.png", width, height)
    assert tab.run("document.documentElement.scrollWidth") <= width
    tab.tell("Emulation.clearDeviceMetricsOverride")


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("", "nothing was sent"),
        ("a,b\n1,2\n", "the names are those of none"),
        ("Src IP,Flow Duration\n1,x\n", "expected a number"),
        ("Flow Duration,Protocol\n1\n", "1 cells, the header has 2"),
        ('"', "no CSV"),
        ("<script>document.title = 'caught'</script>,b\n1,2\n", "none of native"),
    ],
)
def test_what_cannot_be_scored_is_said_and_not_obeyed(tab: Browser, server: Served, text: str, said: str) -> None:
    tab.open(server.url + "/")
    paste(tab, text)
    assert said in tab.run("document.querySelector('[role=alert]').innerText")
    assert tab.run("document.title") == "flowvigil"


def test_the_documentation_works_without_a_network(tab: Browser, server: Served) -> None:
    tab.errors.clear()
    tab.requests.clear()
    tab.open(server.url + "/docs")
    tab.wait_for("document.querySelectorAll('.opblock').length === 6")
    tab.run("document.querySelector('[id$=-score] .opblock-summary-control').click()")
    tab.wait_for("document.querySelector('.try-out__btn')")
    tab.run("document.querySelector('.try-out__btn').click()")
    tab.wait_for("document.querySelector('.execute')")
    tab.run("document.querySelector('.execute').click()")
    status = "document.querySelector('.live-responses-table tbody .response-col_status')"
    tab.wait_for(status)
    assert tab.run(f"{status}.innerText").startswith("200")
    assert tab.errors == []
    assert all(url.startswith((server.url, "data:", "blob:")) for url in tab.requests), tab.requests


def test_records_may_be_pasted_as_published_without_a_header(tab: Browser) -> None:
    lines = [",".join([*(str(row[name]) for name in NAMES), label, "21"])
             for row, label in ((WEB, "normal"), (FLOOD, "neptune"))]  # fmt: skip
    with served("-m", "nsl-kdd") as running:
        tab.open(running.url + "/")
        assert "capture" not in tab.run("document.querySelector('label[for=file]').innerText")
        paste(tab, "\n".join(lines))
        rows = tab.run(ROWS)
        assert [(row[0], row[2]) for row in rows] == [("2", "attack"), ("1", "benign")]
        assert rows[0][1] == "tcp private S0"
        tab.open(running.url + "/")
        paste(tab, table([WEB, FLOOD]))
        assert [row[2] for row in tab.run(ROWS)] == ["attack", "benign"]


def test_a_model_of_connections_finds_alerts_in_a_capture(tab: Browser) -> None:
    with served("-m", "nsl-kdd-flow") as running:
        upload(tab, running.url, DEMO)
        assert tab.run("document.querySelectorAll('#alerts > li').length") == 4


def test_a_file_beyond_the_limit_is_refused_on_the_page(server: Served) -> None:
    boundary = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n'
    body = boundary + b"a" * (17 << 20) + b"\r\n--x--\r\n"
    answer = server.ask("POST", "/", body, {"Content-Type": "multipart/form-data; boundary=x"})
    assert answer.status == 413
    assert b"16 MB" in answer.body
