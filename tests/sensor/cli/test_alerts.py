"""`flowvigil alerts` as a user meets it: the real command over files as they are found, its lines, words and codes."""

import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import time
import tracemalloc
from collections import deque
from collections.abc import Callable
from dataclasses import replace
from itertools import islice
from pathlib import Path

import pytest
import zstandard

from sensor.alerts import json_lines
from sensor.alerts.alert_record import alert_line
from sensor.alerts.formats import formatter
from sensor.alerts.json_lines import LONGEST_LINE, Follower
from sensor.alerts.reading import Entry, ReadErrors, entries
from sensor.alerts.techniques import technique_of
from sensor.cli.alert_listing import wrapped_detail
from sensor.cli.alert_rows import IDS_KEPT, Shown, one_each
from sensor.cli.alert_stats import Statistics
from sensor.cli.alert_text import detail, line_in_words, row_in_words
from sensor.errors import InputError
from sensor.fleet.hosts import Sites
from sensor.report.digest import Digest
from tests.support.alerts import SPREAD, an_alert
from tests.support.command import Result, flowvigil, started
from tests.support.native import a_stats_line, an_event_line

pytestmark = pytest.mark.ux

SECOND_NS = 1_000_000_000
START_NS = 1_700_000_000 * SECOND_NS
SCAN = {"id": "B" * 26, "technique": technique_of("T1046"), "severity": 40, "label": "PortScan", "lane": "both"}
GUESSING = [
    alert_line(an_alert(action=action, sequence=n, time_ns=START_NS + n * SECOND_NS))
    for n, action in enumerate(("opened", "updated", "closed"), 1)
]
LINES = [*GUESSING, alert_line(an_alert(sequence=4, verdict="uncertain", **SCAN))]
HOSTILE = [
    (b"no json\n", "no record of this sensor"),
    (b"\xff\xfe\x00\n", "no record of this sensor"),
    (b"[" * 60_000 + b"\n", "no record of this sensor"),
    (b'"text"\n', "no record of this sensor"),
    (b'{"event_type":"alert"}\n', "no record of this sensor"),
    (b'{"flowvigil":{"schema":7}}\n', "no record of this sensor"),
    (b'{"flowvigil":{"schema":"alert/1"}}\n', "an alert with a field that does not fit"),
    (LINES[0].replace(b"alert/1", b"alert/2"), "an alert of another version"),
    (LINES[0].replace(b'"severity":70', b'"severity":"\\u001b[2J"'), "an alert with a field that does not fit"),
    (LINES[0].replace(b'"flows":318', b'"flows":1e400'), "not JSON"),
    (b"x" * (LONGEST_LINE + 9) + b"\n", "longer than 64 KiB"),
    (b'{"flowvigil":' + b" " * 3_000_000 + b"{}}\n", "longer than 64 KiB"),
]


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log as a sensor writes it."""
    path = tmp_path_factory.mktemp("log") / "alerts.jsonl"
    path.write_bytes(b"".join([a_stats_line(), *LINES, an_event_line()]))
    return path


def packings(content: bytes) -> dict[str, bytes]:
    half = len(content) // 2
    packed = zstandard.ZstdCompressor().compress
    return {
        "plain": content,
        "gzip": gzip.compress(content),
        "gzip of two members": gzip.compress(content[:half]) + gzip.compress(content[half:]),
        "zstd": packed(content),
        "zstd of two frames": packed(content[:half]) + packed(content[half:]),
    }


def words(result: Result) -> str:
    return " ".join(result.stderr)


# What is read


@pytest.mark.parametrize("packing", packings(b"x"))
def test_alerts_are_read_however_they_are_packed(packing: str, log: Path, tmp_path: Path) -> None:
    path = tmp_path / "any name"
    path.write_bytes(packings(log.read_bytes())[packing])
    errors = ReadErrors()
    assert [entry.line for entry in entries([str(path)], errors)] == LINES
    assert errors.whole


@pytest.mark.parametrize("packing", ["plain", "zstd"])
def test_standard_input_is_read_the_same(packing: str, log: Path) -> None:
    content = packings(log.read_bytes())[packing]
    for arguments in ((), ("-",)):
        result = flowvigil("alerts", "convert", *arguments, stdin=content)
        assert (result.code, result.stdout, result.stderr) == (0, b"".join(LINES), [])


@pytest.mark.parametrize("packing", ["gzip", "zstd"])
def test_what_is_cut_short_is_read_up_to_there(packing: str, log: Path, tmp_path: Path) -> None:
    (tmp_path / "cut").write_bytes(packings(log.read_bytes() * 50)[packing][:-9])
    errors = ReadErrors()
    assert sum(1 for _ in entries([str(tmp_path / "cut")], errors)) > 0 or packing == "zstd"
    assert "truncated" in errors.damage[0]


def test_hostile_lines_are_counted_and_told_and_the_others_are_read(tmp_path: Path) -> None:
    path = tmp_path / "hostile\x1b[2J"
    path.write_bytes(b"".join(part for line, _ in HOSTILE for part in (line, LINES[0])))
    result = flowvigil("alerts", "search", "--all-lines", "", path)
    assert result.code == 6
    assert result.stdout == LINES[0] * len(HOSTILE)
    for _, reason in HOSTILE:
        count = sum(1 for _, other in HOSTILE if other == reason)
        assert re.search(rf"flowvigil: {count} lines? left out: {reason} \(first: ", words(result)), result.stderr
    assert "\x1b" not in words(result)
    assert len(result.stderr) == len({reason for _, reason in HOSTILE})


@pytest.mark.parametrize("arguments", [("convert",), ("tail",), ("search", "text"), ("stats",), ("show", "AAAA")])
def test_a_missing_file_is_named_and_the_others_are_read(arguments: tuple[str, ...], log: Path, tmp_path: Path) -> None:
    result = flowvigil("alerts", *arguments, tmp_path / "gone", log)
    assert result.code == 6
    assert result.stderr == [f"flowvigil: {tmp_path}/gone: found no such file, expected alerts as JSON lines"]
    assert (result.stdout == b"") == (arguments[0] == "search")


def test_a_directory_is_no_log(tmp_path: Path) -> None:
    result = flowvigil("alerts", "stats", tmp_path)
    assert (result.code, len(result.stderr)) == (6, 1)


# The commands


@pytest.mark.parametrize("name", ["eve", "ocsf", "cef"])
def test_convert_writes_a_line_for_each_alert(name: str, log: Path) -> None:
    result = flowvigil("alerts", "convert", log, "--to", name)
    assert (result.code, result.stderr) == (0, [])
    assert result.stdout == b"".join(formatter(name)(json.loads(line)) for line in LINES)


def test_convert_to_what_is_none_is_a_usage_error(log: Path) -> None:
    result = flowvigil("alerts", "convert", log, "--to", "leef")
    assert (result.code, result.stdout) == (2, b"")
    assert "--to: found 'leef', expected one of" in words(result)


def test_tail_shows_the_last(log: Path) -> None:
    assert flowvigil("alerts", "tail", "-n", "2", log).stdout == b"".join(LINES[-2:])


def test_search_shows_what_a_query_describes(log: Path) -> None:
    assert flowvigil("alerts", "search", "tech:T1046 verdict:uncertain", log).stdout == LINES[-1]
    nothing = flowvigil("alerts", "search", "src:10.0.0.0/8", log)
    assert (nothing.code, nothing.stdout, nothing.stderr) == (1, b"", [])  # as grep has it


def test_search_and_tail_show_each_alert_once_by_its_last_line_and_all_lines_on_request(log: Path) -> None:
    assert flowvigil("alerts", "search", "", log).stdout == LINES[2] + LINES[3]
    assert flowvigil("alerts", "search", "--all-lines", "", log).stdout == b"".join(LINES)
    assert flowvigil("alerts", "tail", log).stdout == LINES[2] + LINES[3]
    assert flowvigil("alerts", "tail", "-n", "1", log).stdout == LINES[3]
    assert flowvigil("alerts", "tail", "--all-lines", "-n", "3", log).stdout == b"".join(LINES[1:])


def test_a_row_is_the_last_line_that_matches_whatever_order_the_files_have(tmp_path: Path) -> None:
    lines = [
        alert_line(an_alert(action=action, sequence=n, risk=risk))
        for n, (action, risk) in enumerate((("opened", 50.0), ("updated", 90.0), ("closed", 60.0)), 1)
    ]
    (tmp_path / "log").write_bytes(lines[2])
    (tmp_path / "log.1").write_bytes(lines[0] + lines[1])
    files = [tmp_path / "log", tmp_path / "log.1"]
    assert flowvigil("alerts", "search", "", *files).stdout == lines[2]
    assert flowvigil("alerts", "search", "", *reversed(files)).stdout == lines[2]
    assert flowvigil("alerts", "tail", *files).stdout == lines[2]
    (tmp_path / "open").write_bytes(lines[0] + lines[1])
    assert flowvigil("alerts", "search", "", tmp_path / "open").stdout == lines[1]
    (tmp_path / "twice").write_bytes(lines[2] + lines[0] + lines[1] + lines[0])
    assert flowvigil("alerts", "show", "--json", "AAAA", tmp_path / "twice").stdout == b"".join(lines)


def test_what_is_counted_of_an_alert_is_its_last_line_whatever_order_the_lines_have() -> None:
    opened = an_alert(verdict="uncertain", spread=replace(SPREAD, flows=1))
    closed = an_alert(action="closed", sequence=3)
    for lines in ((opened, closed), (closed, opened), (closed, opened, closed)):
        statistics, digest = Statistics(), Digest()
        statistics.add(lines)
        for line in lines:
            digest.add_alert(line)
        document = statistics.document()
        assert (document["verdict"], document["flows"]) == ({"attack": 1}, SPREAD.flows)
        assert [episode.last for episode in digest] == [closed]


def test_rows_that_wait_are_bounded_and_none_is_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sensor.cli.alert_rows.ROWS_WAITING", 10)
    opened = (Entry(b"", {}, an_alert(id=f"{n:026}", sequence=n)) for n in range(100))
    rows = one_each(opened, lambda _alert: True)
    assert next(rows).alert.id == f"{0:026}"  # the oldest, when there was no more room
    assert len(list(rows)) == 99


def test_an_alert_beyond_those_that_are_kept_costs_no_more_than_one_before() -> None:
    shown, taken = Shown(), list[float]()
    for part in range(3):
        began = time.process_time()
        for number in range(IDS_KEPT):
            shown.add(("gw1", "", f"{part} {number}"))
        taken.append(time.process_time() - began)
    assert taken[2] < 8 * taken[0] + 0.1, taken


@pytest.mark.parametrize("command", [("search", "port:22"), ("tail", "-n", "1")])
def test_words_for_people_go_into_a_pipe_on_request_wrapped_with_an_indent(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    (tmp_path / "log").write_bytes(b"".join(GUESSING))
    result = flowvigil("alerts", *command, "--text", tmp_path / "log")
    assert (result.code, result.stderr) == (0, [])
    text = result.stdout.decode()
    first, *rest = text.splitlines()
    assert first.startswith("2023-11-14 22:13:20-22:13:29  HIGH    closed  192.0.2.10 -> 198.51.100.7:22")
    assert "attack: port 22 on one host" in " ".join(text.split())
    assert rest
    assert all(line.startswith("    ") and line[4] != " " for line in rest)
    assert max(map(len, text.splitlines())) <= 80
    lines = flowvigil("alerts", "search", "port:22", "--all-lines", "--text", tmp_path / "log")
    heads = [line.split()[3] for line in lines.stdout.decode().splitlines() if not line.startswith(" ")]
    assert heads == ["opened", "updated", "closed"]


def test_text_and_json_at_once_are_a_usage_error(log: Path) -> None:
    for command in (("search", ""), ("tail",)):
        assert flowvigil("alerts", *command, "--text", "--json", log).code == 2


def test_a_detail_is_wrapped_below_its_labels_and_filters_stay_whole() -> None:
    entries = [Entry(b"", {}, an_alert(technique=technique_of("T1046")))]
    lines, drawn = detail(entries), wrapped_detail(entries, 80)
    assert [word for word in " ".join(drawn).split() if word.strip("#")] == [
        word for word in " ".join(lines).split() if word.strip("#")
    ]
    assert all(len(line) <= 80 or line.startswith("Packets") for line in drawn)
    (course,) = [line for line in drawn if " opened " in line]
    assert course.startswith("  2023-11-14 22:13:20 opened")
    assert course.endswith("#")
    after = drawn.index(next(line for line in drawn if line.startswith("What "))) + 1
    assert drawn[after].startswith(" " * 12)
    assert drawn[after][12] != " "
    step = next(at for at, line in enumerate(drawn) if line.startswith("Next "))
    assert drawn[step + 1].startswith(" " * 15)


def test_a_query_that_cannot_be_read_is_marked_where_it_is_wrong(log: Path) -> None:
    result = flowvigil("alerts", "search", "port:22 lane:left", log)
    assert (result.code, result.stdout) == (2, b"")
    assert result.stderr[0].startswith("flowvigil: query, column 14: found 'left', expected one of known, novel, both")
    assert result.stderr[1:] == ["  port:22 lane:left", " " * 15 + "^"]


def test_show_tells_an_analyst_what_to_look_at(log: Path) -> None:
    result = flowvigil("alerts", "show", "aaaa", log)
    assert (result.code, result.stderr) == (0, [])
    text = result.stdout.decode()
    for part in (
        "HIGH  Password Guessing  192.0.2.10 -> 198.51.100.7:22",
        "attack, known lane, label SSH-Patator, severity 70, risk 60",
        "fwd_psh_flags   412, normal 2, 99 % up to 9",
        "one host 198.51.100.7; port 22",
        "there 12 packets with 1.23 kB of data, back 10 packets with 4.32 kB",
        "Next        1. Read the target's log of authentication for that time: failures of its sources",
        "T1110.001 Password Guessing (Credential Access)",
        "1:LQU9qZlK+B5F3KDmev6m5PMibrg=",
        "tshark -r CAPTURE -Y 'ip.addr == 192.0.2.10 && ip.addr == 198.51.100.7 && tcp.port == 22 && ",
        "2023-11-14 22:13:23 closed ",
    ):
        assert part in text, text
    assert flowvigil("alerts", "show", "A" * 26, "--json", log).stdout == b"".join(GUESSING)


def test_show_tells_of_a_storm_and_of_kept_packets(tmp_path: Path) -> None:
    spread = replace(an_alert().spread, targets=300, ports=17, origins=9400)
    storm = an_alert(hosts_merged=9412, spread=spread, target_ips=("198.51.100.7",), packets_file="A.pcapng")
    (tmp_path / "log").write_bytes(alert_line(storm))
    text = flowvigil("alerts", "show", "AAAA", tmp_path / "log").stdout.decode()
    assert "9,400 hosts -> 300 hosts" in text
    assert "Sources     9,400 hosts, 9,412 alerts told as one" in text
    assert "Targets     300 hosts: 198.51.100.7, …; 17 ports: 22, …" in text
    assert "Kept in     A.pcapng" in text


@pytest.mark.parametrize(("wanted", "code"), [("ZZZZ", 6), ("AA", 2)])
def test_an_id_that_names_no_alert_is_said_so(wanted: str, code: int, log: Path) -> None:
    result = flowvigil("alerts", "show", wanted, log)
    assert (result.code, result.stdout) == (code, b"")
    assert wanted in words(result)


def test_the_beginning_of_two_ids_is_no_id(tmp_path: Path) -> None:
    ids = ["CCCC" + letter * 22 for letter in "AB"]
    (tmp_path / "log").write_bytes(b"".join(alert_line(an_alert(id=id_)) for id_ in ids))
    result = flowvigil("alerts", "show", "CCCC", tmp_path / "log")
    assert (result.code, result.stdout) == (6, b"")
    assert "found 2 alerts" in words(result)


def test_stats_count_each_alert_once(log: Path) -> None:
    found = json.loads(flowvigil("alerts", "stats", "--json", log).stdout)
    assert found == {
        "alerts": 2, "lines": 4, "flows": 636, "first": "2023-11-14T22:13:20.000000Z",
        "last": "2023-11-14T22:13:29.000000Z", "verdict": {"attack": 1, "uncertain": 1},
        "lane": {"both": 1, "known": 1}, "technique": {"T1046": 1, "T1110.001": 1}, "source": {"192.0.2.10": 2},
        "hour": {"2023-11-14T22:00Z": 2},
    }  # fmt: skip
    table = flowvigil("alerts", "stats", log).stdout.decode()
    assert table.startswith("2 alerts, 4 lines, 636 flows\n2023-11-14 22:13:20 to 2023-11-14 22:13:29 UTC\n")
    assert "  T1046 Network Service Discovery        1  ####" in table
    assert Statistics().table() == ["no alerts"]


def test_statistics_tell_of_alerts_beyond_those_that_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sensor.cli.alert_stats.ALERTS_KEPT", 2)
    statistics = Statistics()
    statistics.add(an_alert(id=letter * 26) for letter in "ABCABC")
    document = statistics.document()
    assert (document["alerts"], document["lines"], document["not_kept"]) == (2, 6, 2)
    assert "2 alerts, 6 lines" in statistics.table()[0]
    assert "2 lines of more alerts than are counted" in statistics.table()[0]
    monkeypatch.setattr("sensor.cli.alert_stats.ALERTS_KEPT", 9)
    monkeypatch.setattr("sensor.cli.alert_stats.HOSTS_COMPARED", 4)
    of_fleet = Statistics(fleet=Sites())
    of_fleet.add(an_alert(id=letter * 26) for letter in "AABBCCA")  # a source and a target each
    assert (of_fleet.document()["alerts"], of_fleet.not_kept) == (2, 2)


def test_numbers_beyond_64_bits_are_counted_as_the_most_that_json_has(tmp_path: Path) -> None:
    many = [an_alert(id=letter * 26, spread=replace(SPREAD, flows=2**63 - 1)) for letter in "ABC"]
    (tmp_path / "log").write_bytes(b"".join(map(alert_line, many)))
    assert json.loads(flowvigil("alerts", "stats", "--json", tmp_path / "log").stdout)["flows"] == 2**63 - 1


@pytest.mark.parametrize("command", [("convert",), ("search", "", "--with-notes")])
def test_a_line_that_is_nested_so_deeply_that_nobody_could_write_it_is_left_out(
    command: tuple[str, ...], tmp_path: Path
) -> None:
    lines = [LINES[0][:-2] + b',"other":' + b"[" * depth + b'"["' + b"]" * depth + b"}\n" for depth in (199, 1000)]
    lines.append(LINES[0].replace(b'"2023-11-14T22:13:21.000000Z"', b"[" * 1000 + b"]" * 1000, 1))
    (tmp_path / "log").write_bytes(b"".join(lines))
    (tmp_path / "site.yaml").write_text("home: [10.0.0.0/8]\n")
    found = flowvigil("alerts", *command, tmp_path / "log", FLOWVIGIL__SITE__FILE=str(tmp_path / "site.yaml"))
    assert found.code == 6
    assert [json.loads(line)["event"]["sequence"] for line in found.stdout.splitlines()] == [1]
    assert "2 lines left out: nested too deeply" in words(found)


def test_nothing_from_a_log_reaches_a_terminal_unescaped(tmp_path: Path) -> None:
    hostile = an_alert(label="\x1b[31m", reason="\x1b]0;x\x07\u202e", technique=None)
    document = json.loads(alert_line(hostile))
    document["event"]["reason"] = document["flowvigil"]["features"][0]["name"] = "\x1b[2J\u202e\n"
    document["event"]["id"] = "D\x1b[2J" + "D" * 20
    (tmp_path / "log").write_bytes(json.dumps(document).encode())
    (entry,) = entries([str(tmp_path / "log")], ReadErrors())
    for line in [row_in_words(entry.alert), line_in_words(entry.alert), *detail([entry])]:
        assert line.isprintable(), line


# Pipes and rotation


@pytest.mark.parametrize(
    "arguments", [("tail", "--all-lines", "-n", "9999"), ("search", "--all-lines", ""), ("convert", "--to", "eve")]
)
@pytest.mark.real_start
def test_a_reader_that_has_gone_ends_it_quietly(arguments: tuple[str, ...], tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(LINES[0] * 500)
    with started("alerts", *arguments, tmp_path / "log") as run:
        assert run.stdout is not None
        assert run.stderr is not None
        run.stdout.readline()
        run.stdout.close()
        assert run.wait(30) == 141
        assert run.stderr.read() == b""


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="no device that is always full")
def test_a_full_disk_is_an_output_that_lost_lines(log: Path) -> None:
    with open("/dev/full", "wb") as full:
        run = subprocess.run(
            [sys.executable, "-c", "from sensor.__main__ import main; main()", "alerts", "tail", str(log)],
            stdout=full, stderr=subprocess.PIPE, check=False,
            env={k: v for k, v in os.environ.items() if k != "PYTHONUNBUFFERED"},  # which hides what is left to flush
        )  # fmt: skip
    assert run.returncode == 7
    assert run.stderr.splitlines()[0] == b"flowvigil: stdout: no space left"


def test_following_goes_on_through_rotation_and_cutting_back(tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    path.write_bytes(LINES[0])

    def append(content: bytes) -> Callable[[], None]:
        def act() -> None:
            with open(path, "ab") as file:
                file.write(content)

        return act

    def rotate() -> None:
        path.rename(tmp_path / "alerts.jsonl.1")

    def write_to_old() -> None:
        with open(tmp_path / "alerts.jsonl.1", "ab") as file:
            file.write(LINES[2])

    def rotate_in_a_moment() -> None:
        append(LINES[1] + b"cut sh")()
        rotate()
        append(LINES[2])()

    steps = iter([
        append(LINES[1][:40]), append(LINES[1][40:]), rotate, write_to_old, append(LINES[3]),
        lambda: path.write_bytes(b""), append(LINES[0]), rotate_in_a_moment, append(LINES[3]),
    ])  # fmt: skip

    class DoneError(Exception):
        pass

    def wait(_seconds: float) -> None:
        step = next(steps, None)
        if step is None:
            raise DoneError
        step()

    seen: list[bytes | None] = []
    with pytest.raises(DoneError):
        deque(map(seen.append, Follower(str(path), wait).forever()), maxlen=0)
    assert seen == [*LINES, *LINES[:2], b"cut sh\n", *LINES[2:]]


@pytest.mark.parametrize("kind", ["unreadable", "directory", "pipe"])
def test_following_waits_for_a_file_that_can_be_read(
    kind: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path, waits = tmp_path / "alerts.jsonl", 0
    path.write_bytes(LINES[0])
    follower = Follower(str(path), lambda _seconds: step())

    def step() -> None:
        nonlocal waits
        waits += 1
        if waits == 1:
            path.rename(tmp_path / "alerts.jsonl.1")
            if kind == "directory":
                path.mkdir()
            elif kind == "pipe":
                os.mkfifo(path)
            else:
                path.write_bytes(LINES[1])
                monkeypatch.setattr(json_lines, "opened", refused)
        if waits == 4:
            monkeypatch.undo()
            path.rename(tmp_path / "other")
            path.write_bytes(LINES[1])

    asked: list[int] = []

    def refused(name: str) -> None:
        asked.append(waits)
        assert len(asked) < 9, "it does not wait"
        raise InputError(f"{name}: permission denied")

    assert list(islice(follower.forever(), 2)) == LINES[:2]
    assert waits == 4


def test_part_of_a_line_that_is_taken_back_costs_whoever_follows_nothing(tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_bytes(LINES[0] + LINES[1][:100])
    follower = Follower(str(path), lambda _seconds: path.write_bytes(LINES[0] + LINES[2] + LINES[3]))
    assert list(follower.lines()) == [LINES[0]]
    os.truncate(path, len(LINES[0]))  # its writer had no room for the rest
    assert list(islice(follower.forever(), 2)) == LINES[2:4]


def test_a_line_that_is_too_long_is_passed_over_while_following(tmp_path: Path) -> None:
    (tmp_path / "log").write_bytes(b"x" * 50 * LONGEST_LINE + b"\n" + LINES[0])
    follower = Follower(str(tmp_path / "log"))
    tracemalloc.start()
    found = list(follower.lines())
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert found == [None, LINES[0]]
    assert peak < 10 * LONGEST_LINE  # never held as a whole


@pytest.mark.real_start
def test_tail_follows_a_file_until_it_is_interrupted(log: Path, tmp_path: Path) -> None:
    path = tmp_path / "alerts.jsonl"
    path.write_bytes(log.read_bytes())
    with started("alerts", "tail", "-f", "-n", "1", path) as run:
        assert run.stdout is not None
        assert run.stderr is not None
        assert run.stdout.readline() == LINES[-1]
        with open(path, "ab") as file:
            file.write(GUESSING[0])
        assert run.stdout.readline() == GUESSING[0]
        run.send_signal(2)
        assert run.wait(30) == 130
        assert run.stderr.read() == b"flowvigil: interrupted\n"


@pytest.mark.parametrize("files", [[], ["-"], ["a", "b"]])
def test_only_one_file_can_be_followed(files: list[str]) -> None:
    assert flowvigil("alerts", "tail", "-f", *files).code == 2


def test_a_terminal_gets_words_and_a_pipe_gets_json(log: Path) -> None:
    if shutil.which("script") is None:
        pytest.skip("no program that makes a terminal")
    command = f"{sys.executable} -c 'from sensor.__main__ import main; main()' alerts tail -n 1 {log}"
    run = subprocess.run(["script", "-qec", command, "/dev/null"], capture_output=True, check=True, timeout=60)
    assert b"MEDIUM" in run.stdout
    assert b"Network Service Discovery" in run.stdout
    assert b'{"@timestamp"' not in run.stdout


def test_a_row_has_its_date_also_on_the_first_day_of_all() -> None:
    row = row_in_words(an_alert(start_ns=SECOND_NS, end_ns=9 * SECOND_NS))
    assert row.startswith("1970-01-01 00:00:01-00:00:09  HIGH")


def test_show_tells_of_each_capture_by_itself_where_copies_give_one_id(tmp_path: Path) -> None:
    lines = [
        alert_line(an_alert(action=action, sequence=n, capture=name, time_ns=START_NS + n * SECOND_NS))
        for n, (name, action) in enumerate([("a", "opened"), ("a", "closed"), ("b", "opened"), ("b", "closed")], 1)
    ]
    (tmp_path / "log").write_bytes(b"".join(lines))
    text = flowvigil("alerts", "show", "AAAA", tmp_path / "log").stdout.decode()
    first, second = text.split("\n\nHIGH")
    for told, name in ((first, "a"), (second, "b")):
        assert f"Capture     {name}\n" in told
        assert (told.count(" opened "), told.count(" closed ")) == (1, 1)
