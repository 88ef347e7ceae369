"""`flowvigil report` as a user meets it: the real command, the page as text, and the page in a real browser."""

import gzip
import hashlib
import html as markup
import json
import os
import re
import shutil
import subprocess
from base64 import b64encode
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

import pytest

from sensor.alerts.alert import Alert
from sensor.alerts.alert_record import alert_line
from sensor.alerts.glosses import GLOSSES
from tests.support.alerts import SPREAD, an_alert
from tests.support.command import DEMO, Result, flowvigil

pytestmark = pytest.mark.ux

SCRIPT = "<script>alert(1)</script>"


@pytest.fixture(scope="module")
def page(tmp_path_factory: pytest.TempPathFactory) -> str:
    """The page of the demo's capture."""
    output = tmp_path_factory.mktemp("page") / "demo.html"
    result = flowvigil("report", DEMO, "-o", output)
    assert result.code == 0, result
    return output.read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def part(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The demo's first minutes, for what only needs some alert: reading all of it takes a while."""
    path = tmp_path_factory.mktemp("part") / "part.pcap"
    packets = gzip.decompress(DEMO.read_bytes())
    at = 24
    while at < 1_000_000:
        at += 16 + int.from_bytes(packets[at + 8 : at + 12], "little")
    path.write_bytes(packets[:at])
    return path


@pytest.fixture(scope="module")
def part_page(part: Path) -> str:
    """The page of that."""
    assert flowvigil("report", part, "-o", part.with_suffix(".html")).code == 0
    return part.with_suffix(".html").read_text(encoding="utf-8")


@pytest.fixture(scope="module")
def lines() -> list[bytes]:
    """The demo's alerts."""
    return flowvigil("read", DEMO).stdout.splitlines(keepends=True)


def reported(tmp_path: Path, content: bytes, name: str = "alerts.jsonl") -> tuple[Result, str]:
    """How the command ends for a file of lines, and the page."""
    (tmp_path / name).write_bytes(content)
    result = flowvigil("report", tmp_path / name, "-o", tmp_path / "x.html")
    written = tmp_path / "x.html"
    return result, written.read_text(encoding="utf-8") if written.exists() else ""


class Outline(HTMLParser):
    """Elements, attributes and text of a page."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.open: list[str] = []
        self.text = ""
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag != "meta":
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


# What the page says


def test_the_demos_page_says_in_one_line_what_was_found(page: str) -> None:
    assert 'class="verdict">4 likely attacks by 4 hosts in 32,858 packets over 7 min. The worst: ' in page


@pytest.mark.parametrize(
    ("alert", "said"),
    [
        (an_alert(spread=replace(SPREAD, origins=36)), "1 likely attack by 36 hosts."),
        (an_alert(hosts_merged=30, spread=replace(SPREAD, origins=20)), "1 likely attack by 20 hosts."),
        (an_alert(hosts_merged=30), "1 likely attack by 1 host."),
        (an_alert(verdict="uncertain", lane="shape"), "No known attack and 1 uncertain alert."),
    ],
)
def test_the_line_counts_the_sources_of_attacks_and_what_is_uncertain(alert: Alert, said: str, tmp_path: Path) -> None:
    _, html = reported(tmp_path, alert_line(alert))
    assert f'class="verdict">{said} The worst: ' in html


def test_the_page_tells_of_an_attack_by_many_sources_as_one_on_its_target(tmp_path: Path) -> None:
    text = Outline(reported(tmp_path, alert_line(an_alert(spread=replace(SPREAD, origins=36))))[1]).text
    assert "Sources36 hosts" in text
    assert "1. Password Guessing: 36 hosts → 198.51.100.7 port 22" in text
    assert "host 198.51.100.7 and tcp port 22" in text


def test_the_page_tells_what_was_looked_at(page: str) -> None:
    text = Outline(page).text
    for fact in ("Packets32,858", "Not decoded138", "Dropped0", "Flows6,065", "Hosts seen"):
        assert fact in text
    assert "ARP, spanning tree" in text


def test_each_alert_has_reasons_advice_a_technique_and_filters(page: str) -> None:
    assert page.count('<article class="alert') == 4
    for what in ("What to do next", "Community ID", "frame.time_epoch", "tactic: "):
        assert page.count(what) >= 4, what


def test_each_column_outside_of_normal_traffic_has_a_bar_and_its_gloss(page: str, lines: list[bytes]) -> None:
    documents = [json.loads(line) for line in lines]
    last = {document["event"]["id"]: document for document in documents if document["event"]["kind"] == "alert"}
    columns = [feature["name"] for document in last.values() for feature in document["flowvigil"]["features"]]
    assert columns
    assert page.count('class="reason-bar"') == len(columns)
    for name in columns:
        assert markup.escape(GLOSSES[name]) in page
    assert page.count('fill="#D55E00"') >= len(columns)  # each mark lies outside of its stretch


def test_the_model_warns_on_the_page_and_the_line_that_makes_it_again_stands_there(page: str) -> None:
    assert "What the makers of the model default warn of" in page
    assert f"flowvigil report {DEMO} -o report.html</code>" in page


def test_settings_that_were_changed_stand_in_the_line_that_makes_the_page_again(part: Path, tmp_path: Path) -> None:
    output = tmp_path / "x.html"
    arguments = ("--filter", "tcp port 22", "--set", "episodes.quiet_s=60")
    assert flowvigil("report", part, *arguments, "-o", output).code == 0
    html = output.read_text()
    assert "--filter &#x27;tcp port 22&#x27; --set episodes.quiet_s=60.0</code>" in html
    assert "Whatever the capture filter left out: tcp port 22" in html


def test_from_alerts_and_from_standard_input_the_same_alerts_are_told(lines: list[bytes], tmp_path: Path) -> None:
    told = r"<h3>(.*?)</h3>"
    result, html = reported(tmp_path, b"".join(lines))
    piped = tmp_path / "piped.html"
    assert flowvigil("report", "-", "-o", piped, stdin=b"".join(lines)).code == result.code == 0
    packed = tmp_path / "packed.jsonl.gz"
    packed.write_bytes(gzip.compress(b"".join(lines)))
    assert flowvigil("report", packed, "-o", tmp_path / "packed.html").code == 0
    assert re.findall(told, html) == re.findall(told, piped.read_text())
    assert re.findall(told, html) == re.findall(told, (tmp_path / "packed.html").read_text())
    assert len(re.findall(told, html)) == 4
    assert "The input holds no statistics" in html


def test_a_capture_on_standard_input_gives_what_the_file_gives(part: Path, part_page: str, tmp_path: Path) -> None:
    output = tmp_path / "x.html"
    assert flowvigil("report", "-", "-o", output, stdin=part.read_bytes()).code == 0
    alerts = re.findall(r"<article.*?</article>", part_page, re.DOTALL)
    assert alerts
    assert re.findall(r"<article.*?</article>", output.read_text(), re.DOTALL) == alerts


@pytest.mark.real_start
def test_the_same_input_gives_the_same_bytes(part: Path, part_page: str, tmp_path: Path) -> None:
    assert flowvigil("report", "-q", part, "-o", tmp_path / "again.html").stderr == []
    assert (tmp_path / "again.html").read_text() == part_page


def test_no_alert_is_said_to_be_none(tmp_path: Path) -> None:
    result, html = reported(tmp_path, b"")
    assert result.code == 0
    assert "This file holds no alert." in html


def test_statistics_of_two_runs_are_added_up(tmp_path: Path) -> None:
    def stats(received: int, dropped: int, second: int, tunnelled: int = 0) -> bytes:
        own: dict[str, object] = {"schema": "stats/1", "received": received, "metered": received - dropped}
        own |= {"dropped": dropped, "tunnelled": tunnelled, "unjudged": {"tcp": dropped, "igmp": 2}}
        own |= {"context_evicted": second} if second > 1 else {}
        own |= {"stores_evicted": {"open episodes": 20 + second}} if second > 1 else {}
        moment = f"2026-03-02T09:00:{second:02}.000000Z"
        return json.dumps({"@timestamp": moment, "observer": {"name": "gw"}, "flowvigil": own}).encode() + b"\n"

    result, html = reported(tmp_path, stats(100, 0, 1) + stats(1000, 400, 2, 30) + stats(10, 0, 3, 7))
    text = Outline(html).text
    assert result.code == 0
    assert "Packets1,010" in text
    assert "Dropped400" in text
    assert "39.6 % of the packets were not judged" in text
    assert "Flows that no model judges: 4 of igmp, 400 of tcp. They go to groups" in text
    assert "37 packets of tunnels (mirrored traffic?), which were judged from outside" in text
    assert "45 alerts closed early: more were open than may be (episodes.capacity_hosts)." in text
    assert "before as a whole: 5 rows of it gave way to others (episodes.capacity_hosts)." in text


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("--since", "yesterday"), "found 'yesterday', expected a time such as 90s, 10m, 24h or 7d"),
        (("--since", "24h"), "found no file of alerts in the settings, expected output.file"),
        ((), "found none, expected captures, files of alerts, or --since"),
        ((DEMO, "--since", "24h"), "expected alerts"),
    ],
)
def test_a_time_that_cannot_be_told_of_is_refused(arguments: tuple[str, ...], said: str, tmp_path: Path) -> None:
    result = flowvigil("report", *arguments, "-o", tmp_path / "x.html")
    assert result.code == 2
    assert said in " ".join(result.stderr)
    assert not (tmp_path / "x.html").exists()


# Hostile lines


def test_a_storm_is_told_as_one_alert_of_many_hosts(tmp_path: Path) -> None:
    spread = replace(SPREAD, origins=9400)
    storm = alert_line(
        an_alert(hosts_merged=9412, spread=spread, target_ips=("198.51.100.7",), packets_file="A.pcapng")
    )
    result, page = reported(tmp_path, storm + alert_line(an_alert(id="B", sequence=2)))
    assert result.code == 0, result
    assert re.search("2 likely attacks by 9,401 hosts.*The worst: [^,]*, 9,400 hosts → 198.51.100.7", page)
    assert "1 storm told as one alert each, of 9,412 alerts" in page
    assert "A.pcapng" in page


def test_hostile_lines_are_counted_told_and_escaped(lines: list[bytes], tmp_path: Path) -> None:
    document: dict[str, Any] = json.loads(lines[-1])
    document["event"] |= {"id": SCRIPT, "reason": f"{SCRIPT} \x1b[31m \u202e"}
    document["flowvigil"]["label"] = "\"' onload=x " + SCRIPT
    document["observer"]["name"] = SCRIPT
    evil = json.dumps(document).encode() + b"\n"
    zone = json.loads(lines[-1])
    zone["source"]["ip"] = "fe80::1%$(reboot)"
    far = json.loads(lines[-1])
    far["event"]["risk_score"] = 1e9
    bad = [
        b"{not json\n", b"\xff\xfe\n", b"[" * 5000 + b"\n", b"{}\n", b'"x"\n', b"x" * 200_000 + b"\n",
        json.dumps(zone).encode() + b"\n", json.dumps(far).encode() + b"\n",
        b'{"flowvigil":{"schema":"alert/1"}}\n', b'{"flowvigil":{"schema":["alert/1"]}}\n',
    ]  # fmt: skip
    result, html = reported(tmp_path, b"".join([lines[0], evil, *bad, *lines[1:]]))
    assert result.code == 6
    assert f"{len(bad)} lines of the input could not be read; {len(lines) + 1} were." in html
    assert "reboot" not in html
    assert "<script" not in html
    assert "\x1b" not in html
    assert "\u202e" not in html
    assert "&lt;script&gt;" in html
    outline = Outline(html)
    assert outline.open == []
    assert not any(name.startswith("on") for _, attributes in outline.tags for name in attributes)
    assert len([line for line in result.stderr if "left out: " in line]) >= 3


def test_lines_without_any_record_are_refused_and_leave_no_page(tmp_path: Path) -> None:
    result, html = reported(tmp_path, b'{"a":1}\n' * 3)
    assert (result.code, html) == (6, "")
    assert "found no record of flowvigil (3 lines" in result.stderr[0]


def test_ten_thousand_alerts_make_a_page_of_bounded_size(lines: list[bytes], tmp_path: Path) -> None:
    document = json.loads(lines[-1])
    many = []
    for number in range(10_000):
        document["event"]["id"] = f"E{number}"
        many.append(json.dumps(document).encode())
    result, html = reported(tmp_path, b"\n".join(many))
    assert result.code == 0
    assert html.count("<article") == 100
    assert "9,500 more are not listed" in html
    assert len(html) < 1_500_000


# Where it is written


def test_an_input_is_never_overwritten(tmp_path: Path) -> None:
    shutil.copy(DEMO, tmp_path / "demo.pcap.gz")
    os.symlink("demo.pcap.gz", tmp_path / "link.html")
    before = (tmp_path / "demo.pcap.gz").read_bytes()
    for inputs, output in (("demo.pcap.gz", "demo.pcap.gz"), (".", "demo.pcap.gz"), ("demo.pcap.gz", "link.html")):
        result = flowvigil("report", tmp_path / inputs, "-o", tmp_path / output)
        assert (result.code, "found one of the inputs" in result.stderr[0]) == (7, True)
    assert (tmp_path / "demo.pcap.gz").read_bytes() == before


@pytest.mark.parametrize("output", ["gone/x.html", ".", "/dev/null"])
def test_an_unwritable_page_is_told_before_anything_is_read(output: str, tmp_path: Path) -> None:
    result = flowvigil("report", tmp_path / "gone.pcap", "-o", tmp_path / output)
    assert result.code == 7
    assert len(result.stderr) == 1
    assert "cannot be written" in result.stderr[0]


def test_a_missing_capture_leaves_the_old_page_and_nothing_beside_it(tmp_path: Path) -> None:
    (tmp_path / "x.html").write_text("old")
    assert flowvigil("report", tmp_path / "gone.pcap", "-o", tmp_path / "x.html").code == 6
    assert [path.name for path in tmp_path.iterdir()] == ["x.html"]
    assert (tmp_path / "x.html").read_text() == "old"


def test_a_truncated_capture_is_reported_as_far_as_it_goes(tmp_path: Path) -> None:
    (tmp_path / "cut.pcap.gz").write_bytes(DEMO.read_bytes()[:400_000])
    result = flowvigil("report", tmp_path / "cut.pcap.gz", "-o", tmp_path / "x.html")
    assert result.code == 6
    assert "The input was not read to its end" in (tmp_path / "x.html").read_text()


# Its form


def test_the_page_holds_nothing_that_loads_or_runs(page: str) -> None:
    outline = Outline(page)
    assert outline.open == []
    assert not {tag for tag, _ in outline.tags} & {"script", "img", "link", "iframe", "object", "form", "base", "use"}
    for _, attributes in outline.tags:
        assert "style" not in attributes
        assert (attributes.get("href") or "#").startswith("#")
    policy = next(a["content"] for _, a in outline.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    (style,) = re.findall(r"<style>(.*?)</style>", page, re.DOTALL)
    digest = b64encode(hashlib.sha256(style.encode()).digest()).decode()
    assert policy.startswith(f"default-src 'none'; style-src 'sha256-{digest}';")
    assert "unsafe" not in policy


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_the_filters_show_an_alerts_packets(page: str, lines: list[bytes], tmp_path: Path) -> None:
    own = [json.loads(line)["flowvigil"] for line in lines]
    flagged = {alert["packets_filter"]: alert["packets"] for alert in own if "packets_filter" in alert}
    filters = [text.replace("&amp;", "&").replace("&gt;", ">").replace("&lt;", "<")
               for text in re.findall(r'<code class="copy">(.*?)</code>', page)]  # fmt: skip
    (tmp_path / "demo.pcap").write_bytes(gzip.decompress(DEMO.read_bytes()))
    displays = [text for text in filters if "==" in text]
    assert len(displays) == 8
    assert not any("," in display for display in displays)  # which parts them here
    run = subprocess.run(
        ["tshark", "-q", "-r", tmp_path / "demo.pcap", "-z", ",".join(["io,stat,0", *displays])],
        capture_output=True, check=True, timeout=60, text=True,
    )  # fmt: skip
    (row,) = [line for line in run.stdout.splitlines() if "<>" in line]
    counts = [int(cell) for cell in row.split("|")[2:-1]][::2]  # of frames and of bytes
    for display, packets in zip(displays, counts, strict=True):
        assert packets >= flagged.get(display, 1), display


@pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not installed")
def test_a_browser_shows_the_page_without_a_word_of_complaint_or_a_request(page: str, tmp_path: Path) -> None:
    (tmp_path / "x.html").write_text(page, encoding="utf-8")
    log = tmp_path / "net.json"
    run = subprocess.run(
        ["chromium", "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr", "--v=0",
         f"--user-data-dir={tmp_path / 'profile'}", f"--log-net-log={log}", "--virtual-time-budget=2000",
         "--dump-dom", (tmp_path / "x.html").as_uri()],
        capture_output=True, check=True, timeout=60,
    )  # fmt: skip
    assert b"CONSOLE" not in run.stderr, run.stderr.decode()
    assert b"Content Security Policy" not in run.stderr
    dom = run.stdout.decode()
    assert dom.count("<article") == 4
    # A policy that refused the style sheet would be told on the console; the page itself asked for nothing.
    asked = re.findall(r'"url":"(https?|ftp|wss?)://([^/"]+)', log.read_text(errors="replace"))
    assert not [host for _, host in asked if not host.endswith(("google.com", "googleapis.com", "gvt1.com"))]
