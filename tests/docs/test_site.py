"""The site of the pages: built strictly, every link and anchor of it followed, searched in a browser, and nothing asked
of other hosts.

The link checker is the package linkchecker, on a copy that everybody may read: started by root it becomes nobody. What
it does not ask is whether a page loads something from elsewhere; that is asked here.
"""

import functools
import os
import shutil
import subprocess
import sys
import tempfile
import threading
from collections.abc import Iterator
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from tests.support.browser import browser, chromium

ROOT = Path(__file__).resolve().parents[2]
BIN = Path(sys.prefix) / "docs" / "bin"

pytestmark = [
    pytest.mark.ux,
    pytest.mark.takes(20),
    pytest.mark.skipif(not (BIN / "linkchecker").exists(), reason="needs mkdocs: make site installs it"),
]

LOADING = {"link": "href", "use": "href", "form": "action"} | dict.fromkeys(
    ("script", "img", "iframe", "source"), "src"
)
# Relations of <link> that name an address and load nothing.
NAMING = {"canonical", "prev", "next"}


class Quiet(SimpleHTTPRequestHandler):
    """Files of a directory, without a line a request."""

    def log_message(self, *_: Any) -> None:
        pass


class Loaded(HTMLParser):
    """Addresses that a page loads by itself, as they are written."""

    def __init__(self) -> None:
        super().__init__()
        self.addresses: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        written = dict(attrs)
        address = written.get(LOADING.get(tag, ""))
        if address and not (tag == "link" and written.get("rel") in NAMING):
            self.addresses.append(address)


def built(target: Path, config: Path = ROOT / "mkdocs.yml") -> subprocess.CompletedProcess[str]:
    """The site, built where there is no network at all, if this may be had. (With --quiet nothing is strict.)"""
    alone = ["unshare", "--net"] if os.geteuid() == 0 and shutil.which("unshare") else []
    command = [*alone, str(BIN / "mkdocs"), "build", "--strict", "-f", str(config), "-d", str(target)]
    settings = os.environ | {"NO_MKDOCS_2_WARNING": "1"}
    return subprocess.run(command, capture_output=True, text=True, timeout=120, check=False, env=settings)


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    target = tmp_path_factory.mktemp("site")
    run = built(target)
    assert run.returncode == 0, run.stderr
    return target


@pytest.fixture(scope="module")
def address(site: Path) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), functools.partial(Quiet, directory=str(site))) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{server.server_address[1]}/"
        server.shutdown()


def followed(site: Path) -> subprocess.CompletedProcess[str]:
    """linkchecker over a site, anchors too."""
    with tempfile.TemporaryDirectory(prefix="flowvigil-site-") as name:
        room = Path(name)
        shutil.copytree(site, room / "site")
        for directory in (room, room / "site"):
            directory.chmod(0o755)
        (room / "linkcheckerrc").write_text("[AnchorCheck]\n")
        command = [str(BIN / "linkchecker"), "--no-status", "--config", str(room / "linkcheckerrc")]
        first = str(room / "site" / "index.html")
        return subprocess.run([*command, first], capture_output=True, text=True, timeout=120, check=False, cwd=room)


def elsewhere(page: str) -> list[str]:
    parser = Loaded()
    parser.feed(page)
    return [each for each in parser.addresses if each.startswith(("//", "http:", "https:"))]


def test_every_link_and_anchor_of_the_site_leads_somewhere(site: Path) -> None:
    run = followed(site)
    assert run.returncode == 0, run.stdout
    assert "0 warnings found. 0 errors found." in run.stdout


def test_a_dead_link_and_a_dead_anchor_would_be_found(tmp_path: Path) -> None:
    (tmp_path / "index.html").write_text('<a href="gone.html">a</a> <a href="other.html#gone">b</a>')
    (tmp_path / "other.html").write_text('<p id="here">')
    run = followed(tmp_path)
    assert run.returncode == 1
    assert "1 warning found. 1 error found." in run.stdout


def test_no_page_loads_anything_from_another_host(site: Path) -> None:
    pages = sorted(site.rglob("*.html"))
    assert len(pages) > len(list((ROOT / "docs").glob("*.md")))
    for page in pages:
        assert elsewhere(page.read_text(encoding="utf-8")) == [], page.name
    assert elsewhere('<link rel="canonical" href="http://a/"><script src="//b/x.js"></script>') == ["//b/x.js"]


@pytest.mark.skipif(chromium() is None, reason="needs chromium")
def test_the_site_is_searched_in_a_browser_that_asks_no_other_host(address: str, tmp_path: Path) -> None:
    with browser(tmp_path) as tab:
        for page in ("", "captures.html", "reliability.html", "performance.html"):
            tab.open(address + page)
        tab.run("document.querySelector('[data-md-toggle=search]').click()")
        tab.run("document.querySelector('.md-search__input').focus()")
        tab.tell("Input.insertText", text="retransmission privileges")
        tab.wait_for("document.querySelector('.md-search-result__link[href*=gateway]')")
        assert tab.requests
        assert [each for each in tab.requests if not each.startswith((address, "data:", "blob:"))] == []
        assert tab.errors == []


def test_a_page_with_a_dead_link_stops_the_build(tmp_path: Path) -> None:
    pages = tmp_path / "docs"
    pages.mkdir()
    (pages / "index.md").write_text("# A\n\n[b](b.md)\n\n[c](#c)\n")
    config = tmp_path / "mkdocs.yml"
    text = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    kept = text.partition("nav:\n  - flowvigil")[0].replace("hooks: [docs/site_files.py]\n", "")
    config.write_text(kept)
    run = built(tmp_path / "site", config)
    assert run.returncode == 1
    assert "'b.md'" in run.stderr
    assert "'#c'" in run.stderr
