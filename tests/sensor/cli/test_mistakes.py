"""What was mistaken is met: the command that was perhaps meant, in one line, and the words of no library."""

import re
import socket
from pathlib import Path

import pytest

from sensor.cli.mistakes import meant_by
from tests.support.command import DEMO, flowvigil

OF_LIBRARIES = re.compile(
    r"\b(input|valid|pydantic|python|integer|string|boolean|float|dict|instance|parse|type|argument|No such|Got|"
    r"Missing|Invalid|Value error)\b"
)
LOOPBACK = next((name for _, name in socket.if_nameindex() if name.startswith("lo")), "lo")


@pytest.mark.parametrize(
    ("word", "command"),
    [
        ("monday.pcap", "flowvigil read monday.pcap"),
        ("Monday.PCAPNG.GZ", "flowvigil read Monday.PCAPNG.GZ"),
        ("a b.cap", "flowvigil read 'a b.cap'"),
        (LOOPBACK, f"flowvigil watch -i {LOOPBACK}"),
        ("alerts.jsonl", "flowvigil report alerts.jsonl -o report.html"),
        ("flows.parquet", "flowvigil flows flows.parquet"),
        ("flows.csv.gz", "flowvigil explore flows.csv.gz -o explored.html"),
        ("site.yaml", "flowvigil config check site.yaml"),
        ("analyze", "flowvigil read"),
        ("monitor", "flowvigil watch"),
        ("version", "flowvigil --version"),
        ("x\x1b[31m.pcap", r"flowvigil read 'x\x1b[31m.pcap'"),
        ("frobnicate", ""),
    ],
)
def test_a_word_that_is_no_command_leads_to_the_one_that_takes_it(word: str, command: str) -> None:
    assert meant_by(word) == command


def test_what_is_there_is_looked_at(tmp_path: Path) -> None:
    assert meant_by(str(tmp_path)) == f"flowvigil read {tmp_path}"
    (tmp_path / "manifest.json").touch()
    assert meant_by(str(tmp_path)) == f"flowvigil model show {tmp_path}"


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("x.pcap",), 2, "found 'x.pcap', which is no command, did you mean `flowvigil read x.pcap`?"),
        (("it's.pcap",), 2, "did you mean `flowvigil read 'it'\"'\"'s.pcap'`?"),
        (("frobnicate",), 2, "found 'frobnicate', which is no command, expected one of read, watch, "),
        (("model", "lst"), 2, "found 'lst', which is no command, did you mean list?"),
        (("watch", "eth7"), 2, "expected each interface behind its -i: `flowvigil watch -i eth7`"),
        (("check", "a", "b"), 2, "expected each interface behind its -i: `flowvigil check -i a -i b`"),
        (("config", "show", "all"), 2, "found 'all', which is more than config show takes"),
        (("flows", "--limit", "ten", "x"), 2, "--limit: found 'ten', expected a whole number"),
        (("read", "--fail-on", "all", "x"), 2, "--fail-on: found 'all', expected one of 'attack', 'uncertain'"),
        (("--log-format", "xml", "read"), 2, ": --log-format or FLOWVIGIL_LOG_FORMAT: found 'xml', expected one of "),
        (("watch", "-i"), 2, "-i needs a value behind it"),
        (("read", "-m", "nosuch", DEMO), 4, "or the name of a shipped one: default, cic2017, nsl-kdd, nsl-kdd-flow"),
        (("model", "show", "nosuch"), 4, "bundle nosuch: found no such directory"),
        (("report", DEMO), 2, "found no page to write, expected -o X.html"),
        (("schema",), 2, "schema needs RECORD, one of alert, flow, logged-flow, stats, event, drift"),
        (("alerts", "mark", "QEYE", "--why", "x"), 2, "alerts mark needs --true or --false"),
        (("alerts", "search", DEMO), 2, f"QUERY: found the file {DEMO}, expected a query before it"),
        (("alerts", "show", DEMO), 2, f"ID: found the file {DEMO}, expected an alert's id before it"),
        (
            ("alerts", "tail", DEMO),
            6,
            "found a capture, expected alerts as JSON lines, which flowvigil read makes of it",
        ),
        (("explore", DEMO, "-o", "x.html"), 6, "is a capture; expected flows as CSV or Parquet (flowvigil flows)"),
        (("evaluate", "nosuch", "x.csv"), 4, "bundle nosuch: found no such directory, expected a directory with"),
        (("promote", "x", "--over", "nosuch"), 4, "bundle nosuch: found no such directory, expected a directory with"),
        (("baseline", "default", DEMO, "-o", "x", "--for", "1h"), 2, "expected an interface to listen to ("),
        (("rehearse", "eth77"), 6, "eth77: found no such file or interface, expected captures, or one of "),
        (("rehearse", "eth77", "--for", "1h"), 2, "--for: found it beside eth77, expected an interface to listen to ("),
    ],
)
def test_a_mistake_is_one_line_that_says_what_is_expected(arguments: tuple[str, ...], code: int, said: str) -> None:
    result = flowvigil(*arguments)
    assert (result.code, len(result.stderr)) == (code, 1)
    assert said in result.stderr[0]
    assert not OF_LIBRARIES.search(result.stderr[0].partition(" (see ")[0])


@pytest.mark.parametrize("page", [(), ("-o", "x.html")])
def test_report_says_what_it_takes_of_a_table(page: tuple[str, ...], tmp_path: Path) -> None:
    table = tmp_path / "x.csv"
    table.write_text("a,b\n1,2\n")
    result = flowvigil("report", table, *page)
    assert result.code == 6
    assert result.stderr == [
        f"flowvigil: {table}: found a text file, expected captures (pcap, pcapng) or flowvigil's alerts (JSON lines); "
        "flow tables: flowvigil explore"
    ]


@pytest.mark.parametrize("command", [(), ("read",), ("alerts", "search"), ("model", "show")])
def test_h_shows_the_help(command: tuple[str, ...]) -> None:
    short, long = flowvigil(*command, "-h"), flowvigil(*command, "--help")
    assert (short.code, short.stdout) == (0, long.stdout)


def test_check_ends_with_whether_the_sensor_would_start(tmp_path: Path) -> None:
    good, bad = flowvigil("check"), flowvigil("check", "-m", tmp_path)
    assert (good.code, good.stdout.decode().splitlines()[-1]) == (0, "would start: yes")
    assert (bad.code, bad.stdout.decode().splitlines()[-1]) == (4, "would start: no, exit code 4")
