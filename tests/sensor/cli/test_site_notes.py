"""A site's notes as a user has them: read, report and the alerts commands with site.yaml, and marks written to it."""

import json
from pathlib import Path
from typing import Any

import pytest

from sensor.synth.catalogue import CATALOGUE
from sensor.synth.generate import generate
from sensor.synth.pcap import pcap_bytes, write_pcap
from tests.support.command import DEMO, Result, flowvigil

pytestmark = [pytest.mark.ux, pytest.mark.takes(15)]

# The demo capture: a scanner, a SYN flood, guessing and a slow client, all from outside against one server.
SCANNER, FLOODER, GUESSER, SLOW = "203.0.113.45", "192.0.2.200", "198.51.100.23", "203.0.113.180"
SERVER = "10.20.0.10"
NOTES = f"""\
home: [10.20.0.0/16]
assets:
  - {{name: scan-1, address: {SCANNER}, role: scanner, why: the weekly scan}}
  - {{name: web-1, address: {SERVER}}}
rules:
  - source: {FLOODER}
    destination: web-1
    technique: flood
    why: a load test
"""


def lines_of(result: Result) -> list[dict[str, Any]]:
    return [json.loads(line) for line in result.stdout.splitlines()]


def last_of(result: Result) -> dict[str, dict[str, Any]]:
    """The last line of each source."""
    return {record["source"]["ip"]: record for record in lines_of(result)}


@pytest.fixture(scope="module")
def notes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("site") / "site.yaml"
    path.write_text(NOTES)
    return path


@pytest.fixture(scope="module")
def plain() -> Result:
    return flowvigil("read", DEMO)


@pytest.fixture(scope="module")
def noted(notes: Path) -> Result:
    return flowvigil("read", DEMO, "--site", notes)


@pytest.fixture(scope="module")
def log(plain: Result, tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("log") / "alerts.jsonl"
    path.write_bytes(plain.stdout)
    return path


def test_muted_alerts_are_written_counted_and_numbered_as_before(plain: Result, noted: Result) -> None:
    assert [record["event"]["id"] for record in lines_of(noted)] == [
        record["event"]["id"] for record in lines_of(plain)
    ]
    assert [record["event"]["sequence"] for record in lines_of(noted)] == list(range(1, len(lines_of(plain)) + 1))
    assert {record["event"]["kind"] for record in lines_of(noted)} == {"alert"}
    assert "2 attack and 0 uncertain alerts, 2 muted by site notes, " in noted.stderr[-1]
    last = last_of(noted)
    assert last[SCANNER]["flowvigil"]["muted"] == {"by": "scanner scan-1", "why": "the weekly scan"}
    assert last[FLOODER]["flowvigil"]["muted"] == {"by": f"rule {FLOODER} -> web-1, flood", "why": "a load test"}
    for ip in (SCANNER, FLOODER):
        assert (last[ip]["event"]["severity"], last[ip]["event"]["risk_score"]) == (1, 0.0)
        before = last_of(plain)[ip]["event"]
        assert last[ip]["flowvigil"]["before_notes"] == {
            "severity": before["severity"], "risk_score": before["risk_score"],
        }  # fmt: skip
    for ip in (GUESSER, SLOW):
        assert "muted" not in last[ip]["flowvigil"]
        assert last[ip]["event"]["severity"] == last_of(plain)[ip]["event"]["severity"]


def test_lines_say_which_way_traffic_went_and_name_assets(noted: Result) -> None:
    record = last_of(noted)[GUESSER]
    assert record["network"]["direction"] == "inbound"
    assert record["destination"]["domain"] == "web-1"
    assert "domain" not in record["source"]
    assert record["event"]["reason"].startswith("from outside to web-1: port 22 on one host")


def test_without_notes_no_line_says_anything_of_them(plain: Result) -> None:
    text = plain.stdout.decode()
    assert not any(word in text for word in ("direction", "domain", "muted", "before_notes"))
    assert "muted" not in plain.stderr[-1]


def test_what_is_muted_does_not_fail_a_run(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(f"rules:\n  - {{destination: {SERVER}, why: all of it is a test}}\n")
    assert flowvigil("read", DEMO, "-q", "--fail-on", "uncertain").code == 10
    assert flowvigil("read", DEMO, "-q", "--fail-on", "uncertain", "--site", path).code == 0


def test_alerts_of_a_log_get_the_notes_that_they_would_have_got(noted: Result, log: Path, notes: Path) -> None:
    every_line = ("alerts", "search", "--all-lines", "")
    found = flowvigil(*every_line, "--with-notes", "--site", notes, log)
    assert lines_of(found) == lines_of(noted)
    by_environment = flowvigil(*every_line, "--with-notes", log, FLOWVIGIL__SITE__FILE=str(notes))
    assert by_environment.stdout == found.stdout
    muted = flowvigil("alerts", "search", "muted:yes direction:inbound", "--site", notes, log)
    assert {record["source"]["ip"] for record in lines_of(muted)} == {SCANNER, FLOODER}
    assert not flowvigil("alerts", "search", "muted:yes", log).stdout


def test_newer_notes_take_back_what_older_ones_did(noted: Result, plain: Result, tmp_path: Path) -> None:
    path, empty = tmp_path / "alerts.jsonl", tmp_path / "site.yaml"
    path.write_bytes(noted.stdout)
    empty.write_text("home: [10.20.0.0/16]\n")
    again = last_of(flowvigil("alerts", "search", "", "--site", empty, path))
    assert "muted" not in again[FLOODER]["flowvigil"]
    assert again[FLOODER]["event"]["risk_score"] == last_of(plain)[FLOODER]["event"]["risk_score"]
    assert again[SCANNER]["event"]["severity"] == 20  # of a scan from outside


def test_what_others_added_to_a_line_stays(log: Path, notes: Path, tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    record = json.loads(log.read_bytes().splitlines()[0])
    record |= {"agent": {"name": "shipper"}, "source": {**record["source"], "geo": {"country": "AQ"}}}
    path.write_text(json.dumps(record) + "\n")
    (found,) = lines_of(flowvigil("alerts", "search", "", "--site", notes, path))
    assert found["agent"] == {"name": "shipper"}
    assert found["source"]["geo"] == {"country": "AQ"}


def test_stats_count_what_is_muted_apart_and_show_says_by_whom(log: Path, notes: Path) -> None:
    counted = json.loads(flowvigil("alerts", "stats", "--json", "--site", notes, log).stdout)
    assert (counted["alerts"], counted["muted"]) == (2, 2)
    assert set(counted["source"]) == {GUESSER, SLOW}
    words = flowvigil("alerts", "stats", "--site", notes, log).stdout.decode()
    assert words.startswith("2 alerts, 15 lines, ")
    assert ", 2 muted by site notes\n" in words
    shown = flowvigil("alerts", "show", "QEYE", "--site", notes, log).stdout.decode()
    assert "muted by scanner scan-1: the weekly scan\n" in shown


@pytest.mark.parametrize("to", ["eve", "ocsf", "cef"])
def test_other_formats_say_it_too(to: str, log: Path, notes: Path) -> None:
    text = flowvigil("alerts", "convert", "--to", to, "--site", notes, log).stdout.decode()
    assert "the weekly scan" in text
    assert "web-1" in text
    assert "the weekly scan" not in flowvigil("alerts", "convert", "--to", to, log).stdout.decode()


def test_a_page_tells_muted_alerts_apart(log: Path, notes: Path, tmp_path: Path) -> None:
    pages = {}
    for name, source in (("log", log), ("capture", DEMO)):
        page = tmp_path / f"{name}.html"
        assert flowvigil("report", source, "-q", "-o", page, "--site", notes).code == 0
        pages[name] = page.read_text()
    for text in pages.values():
        assert "2 likely attacks by 2 hosts" in text
        assert "Muted alerts (2 of 2)" in text
        assert "the weekly scan" in text
        assert "Nothing was muted" not in text
        assert f"--site {notes}" in text
    bare = tmp_path / "bare.html"
    flowvigil("report", log, "-q", "-o", bare)
    assert "4 likely attacks" in bare.read_text()


def test_a_page_of_muted_alerts_alone_says_so(log: Path, tmp_path: Path) -> None:
    path, page = tmp_path / "site.yaml", tmp_path / "page.html"
    path.write_text(f"rules:\n  - {{destination: {SERVER}, why: all of it is a test}}\n")
    assert flowvigil("report", log, "-q", "-o", page, "--site", path).code == 0
    assert "No alert but 4 that notes of the site mute." in page.read_text()


def test_a_wrong_file_stops_every_command_with_its_places(log: Path, tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text("rules:\n  - {source: scn, why: x}\n  - {source: 10.0.0.9, wy: x}\n")
    for command in (("read", DEMO), ("report", log, "-o", tmp_path / "page.html"), ("alerts", "search", "", log)):
        result = flowvigil(*command, "--site", path)
        assert result.code == 3
        assert f"{path}:3:5: rules.1.why is missing" in "\n".join(result.stderr)
        assert f'{path}:3:24: unknown name "wy", did you mean "why"?' in "\n".join(result.stderr)
    assert not (tmp_path / "page.html").exists()
    assert flowvigil("read", DEMO, "--site", tmp_path / "none.yaml").code == 3


def test_check_names_what_is_odd_about_notes_that_are_valid(tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(
        "rules:\n  - {source: 10.0.0.0/8, why: a}\n  - {source: 10.0.0.9, why: b}\n"
        "  - {source: 10.0.0.7, why: c, until: 2020-01-01}\n"
    )
    checks = {line["check"]: line for line in lines_of(flowvigil("check", "--json", "--site", path))}
    assert checks["site"]["status"] == "warning"
    assert checks["site"]["message"] == f"{path}: no assets, 3 rules, no marks"
    assert checks["site"]["detail"][:2] == [
        f"{path}, line 3: rule 10.0.0.9 -> any never applies: line 2 (10.0.0.0/8 -> any) covers it",
        f"{path}, line 4: rule 10.0.0.7 -> any has expired, at 2020-01-01 23:59:59 UTC",
    ]
    path.write_text("rules: 7\n")
    assert flowvigil("check", "-q", "--site", path).code == 3


# Marks


def test_a_false_alert_becomes_a_rule_that_mutes_its_like(log: Path, tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text("# ours\nhome: [10.20.0.0/16]  # the office\n")
    done = flowvigil("alerts", "mark", "QEYE", "--false", "--why", "our audit", "--site", path, log)
    assert done.code == 0
    assert "rule added: source 203.0.113.45, destination 10.20.0.10, technique T1046" in done.stderr[-1]
    assert path.read_text().startswith("# ours\nhome: [10.20.0.0/16]  # the office\nrules:\n  - source: 203.0.113.45\n")
    last = last_of(flowvigil("read", DEMO, "-q", "--site", path))
    assert last[SCANNER]["flowvigil"]["muted"]["why"] == "our audit"
    assert "muted" not in last[FLOODER]["flowvigil"]
    again = flowvigil("alerts", "mark", "QEYE", "--false", "--why", "our audit", "--site", path, log)
    assert "says so already" in again.stderr[-1]


def test_a_true_alert_is_muted_by_no_rule(log: Path, tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(NOTES)
    assert flowvigil("alerts", "mark", "QEYE", "--true", "--why", "it was", "--site", path, log).code == 0
    last = last_of(flowvigil("alerts", "search", "", "--site", path, log))
    assert "muted" not in last[SCANNER]["flowvigil"]
    assert "muted" in last[FLOODER]["flowvigil"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        (("QEYE", "--why", "x"), 2, "--true"),
        (("QEYE", "--false"), 2, "--why"),
        (("QEYE", "--false", "--why", " "), 3, "expected some text"),
        (("QEYE", "--false", "--why", "x", "--until", "soon"), 2, "expected a date or time"),
        (("QEYE", "--true", "--why", "x", "--until", "2030-01-01"), 2, "expected it with --false"),
        (("NONE", "--false", "--why", "x"), 6, "found no alert NONE"),
        (("Q", "--false", "--why", "x"), 2, "at least 4 letters"),
    ],
)
def test_a_mark_that_cannot_be_is_refused(
    arguments: tuple[str, ...], code: int, words: str, log: Path, tmp_path: Path
) -> None:
    path = tmp_path / "site.yaml"
    result = flowvigil("alerts", "mark", *arguments, "--site", path, log)
    assert result.code == code
    assert words in "\n".join(result.stderr)
    assert not path.exists()


def test_a_mark_without_a_file_says_where_to_name_one(log: Path) -> None:
    result = flowvigil("alerts", "mark", "QEYE", "--false", "--why", "x", log)
    assert result.code == 2
    assert "FLOWVIGIL__SITE__FILE" in "\n".join(result.stderr)


# Our own traffic

SWEEPER, PINGER, UPLOADER, VAULT = "203.0.113.61", "203.0.113.62", "10.20.0.134", "198.51.100.140"


@pytest.fixture(scope="module")
def attacks(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Two sweeps and guessing from outside, and an upload to outside, as the generator makes them."""
    path = tmp_path_factory.mktemp("attacks") / "attacks.pcap"
    names = ("exfiltration", "echo-sweep", "udp-sweep", "ssh-guessing")
    chosen = [scenario for scenario in CATALOGUE if scenario.name in names]
    write_pcap(path, pcap_bytes(generate(chosen, 7, 20).packets))
    return path


@pytest.mark.parametrize(
    ("role", "address", "muted"),
    [
        ("scanner", SWEEPER, {SWEEPER}),
        ("monitor", PINGER, {PINGER}),
        ("backup", UPLOADER, {UPLOADER}),
        ("backup", VAULT, {UPLOADER}),
        ("backup", SWEEPER, set()),
        ("scanner", UPLOADER, set()),
        ("scanner", "10.20.0.0/16", set()),  # what is scanned is no scanner
        ("resolver", "10.20.0.0/16", set()),
    ],
)
def test_a_role_mutes_what_its_asset_is_there_for_on_the_assets_side(
    role: str, address: str, muted: set[str], attacks: Path, tmp_path: Path
) -> None:
    path = tmp_path / "site.yaml"
    path.write_text(f"home: [10.20.0.0/16]\nassets:\n  - {{name: it, address: {address}, role: {role}}}\n")
    last = last_of(flowvigil("read", attacks, "-q", "--site", path))
    assert set(last) == {SWEEPER, PINGER, UPLOADER, "198.18.220.1"}
    assert {ip for ip, record in last.items() if "muted" in record["flowvigil"]} == muted


def test_scans_from_outside_are_background_and_what_leaves_is_not(attacks: Path, tmp_path: Path) -> None:
    path = tmp_path / "site.yaml"
    path.write_text("home: [10.20.0.0/16]\n")
    before, last = (last_of(flowvigil("read", attacks, "-q", *more)) for more in ((), ("--site", path)))
    assert {ip: record["event"]["severity"] for ip, record in last.items() if ip in (SWEEPER, PINGER)} == {
        SWEEPER: 20, PINGER: 20,
    }  # fmt: skip
    for ip in (UPLOADER, "198.18.220.1"):
        assert last[ip]["event"]["severity"] == before[ip]["event"]["severity"]
    assert last[UPLOADER]["network"]["direction"] == "outbound"
    # The same hosts, were they ours: a sweep from inside is no background.
    path.write_text("home: [10.20.0.0/16, 203.0.113.0/24]\n")
    inside = last_of(flowvigil("read", attacks, "-q", "--site", path))
    assert inside[SWEEPER]["event"]["severity"] == before[SWEEPER]["event"]["severity"]
    assert inside[SWEEPER]["network"]["direction"] == "internal"
