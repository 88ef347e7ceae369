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

from tests.support.browser import Browser, browser, chromium
from tests.support.command import DEMO
from tests.support.kdd_rows import FLOOD, NAMES, WEB
from tests.support.served import Served, served

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
def test_an_uploaded_capture_is_metered_and_scored(tab: Browser, server: Served, tmp_path: Path, packed: str) -> None:
    capture = tmp_path / f"demo.pcap.{packed}"
    capture.write_bytes(PACKED[packed](gzip.decompress(DEMO.read_bytes())))
    tab.open(server.url + "/")
    label = tab.run("document.querySelector('label[for=file]').innerText")
    assert "also .gz, .zst, .xz, .bz2 or .lz4" in label
    tab.choose("#file", capture)
    tab.submit()
    assert tab.run("document.querySelector('h2').innerText") == capture.name
    rows = tab.run(ROWS)
    assert len(rows) == 500
    assert {row[2] for row in rows} == {"attack"}
    assert "more rows are not shown" in tab.run("document.body.innerText")
    assert tab.errors == []


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
    tab.wait_for("document.querySelectorAll('.opblock').length === 5")
    tab.run("document.querySelector('.opblock-post .opblock-summary-control').click()")
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


def test_a_capture_gives_a_model_of_connections_its_records(tab: Browser) -> None:
    with served("-m", "nsl-kdd-flow") as running:
        tab.open(running.url + "/")
        tab.choose("#file", DEMO)
        tab.submit()
        rows = tab.run(ROWS)
        assert len(rows) == 500
        assert rows[0][2] == "attack"


def test_a_file_beyond_the_limit_is_refused_on_the_page(server: Served) -> None:
    boundary = b'--x\r\nContent-Disposition: form-data; name="file"; filename="a.csv"\r\n\r\n'
    body = boundary + b"a" * (17 << 20) + b"\r\n--x--\r\n"
    answer = server.ask("POST", "/", body, {"Content-Type": "multipart/form-data; boundary=x"})
    assert answer.status == 413
    assert b"16 MB" in answer.body
