"""`flowvigil read --flows` as a user meets it: all flows in a log, which judged again gives the same alerts."""

import json
import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from flows.batch import END_REASON, REPORT, SNAPSHOT, FlowBatch
from models.bundle import save_bundle
from sensor.alerts.alert import Alert
from sensor.alerts.alert_record import alert_line
from sensor.alerts.formats.schemas import schema_of
from sensor.cli.build import build_judge, build_meter, load_model
from sensor.cli.flags import Flags
from sensor.flow_log.reading import FlowLog
from sensor.metering.captures import CaptureTurns
from sensor.run.detection import in_parts
from sensor.sources.captures.stream import CaptureStream
from sensor.synth.generate import SCENARIOS, generate
from sensor.synth.pcap import pcap_bytes, write_pcap
from tests.support.command import DEMO, flowvigil, started
from tests.support.context_bundles import context_hybrid
from tests.support.controlling import terminal
from tests.support.flow_logs import same, together

pytestmark = pytest.mark.takes(15)
needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root to mount a small disk")


def judged_again(batches: Sequence[FlowBatch], **flags: Any) -> bytes:
    """The lines of alerts that a new judge gives for records."""
    config = Flags(**flags).settings()
    judge = build_judge(config, load_model(config))
    items = [item for batch in batches for part in in_parts(batch) for item in judge.judge(part)] + judge.finish()
    return b"".join(alert_line(item) for item in items if isinstance(item, Alert))


@pytest.fixture(scope="module")
def capture(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A few minutes of all that the generator has."""
    path = tmp_path_factory.mktemp("captures") / "made.pcap"
    write_pcap(path, pcap_bytes(generate(SCENARIOS, 11, 4.0).packets, 96))
    return path


def test_judging_the_log_again_gives_the_same_alerts_as_the_packets_did(tmp_path: Path, capture: Path) -> None:
    log = tmp_path / "log"
    result = flowvigil("read", capture, "--flows", log, "--set", "flow_log.file_records=1000")
    assert result.code == 0, result.stderr
    assert len(list(log.iterdir())) == 2
    found = FlowLog([log])
    batches = list(found.batches())
    assert b'"attack"' in result.stdout
    assert judged_again(batches) == result.stdout
    assert not found.problems
    config = Flags().settings()
    turns = CaptureTurns(CaptureStream([str(capture)], None), build_meter(config))
    records = together([turn.records for turn in turns])
    assert same(together(batches), records)
    assert (records.identity[:, REPORT] > 0).any()
    assert (records.identity[:, END_REASON] == SNAPSHOT).any()
    count = f"flow log: {len(records):,} flow records in {len(list(log.iterdir()))} files"
    assert any(line.endswith(count) for line in result.stderr)


def test_so_it_does_with_a_bundle_that_remembers_what_hosts_did(tmp_path: Path) -> None:
    save_bundle(tmp_path / "bundle", context_hybrid(), {})
    log, bundle = tmp_path / "log", str(tmp_path / "bundle")
    result = flowvigil("read", DEMO, "-m", bundle, "--flows", log)
    assert result.code == 0, result.stderr
    assert judged_again(list(FlowLog([log]).batches()), model=bundle) == result.stdout


def test_a_log_changes_nothing_of_what_is_found(tmp_path: Path) -> None:
    plain, logged = flowvigil("read", DEMO), flowvigil("read", DEMO, "--flows", tmp_path / "log")
    assert plain.stdout == logged.stdout
    assert plain.code == logged.code == 0
    again = flowvigil("read", DEMO, "-q", "--flows", tmp_path / "log")
    assert again.stderr == []
    assert len(list((tmp_path / "log").iterdir())) == 2


def test_the_log_says_whose_it_is_and_what_was_said(tmp_path: Path) -> None:
    result = flowvigil("read", DEMO, "--flows", tmp_path / "log")
    log = FlowLog([tmp_path / "log"])
    [file] = log.files()
    assert file.about is not None
    assert file.about["meter"]["idle_timeout_s"] == 120.0
    assert file.about["sources"] == [str(DEMO)]
    alert = json.loads(result.stdout.splitlines()[0])
    [said] = {part.by for part in log.judged()}
    assert said.model == alert["flowvigil"]["model"]["id"]
    assert alert["flowvigil"]["model"]["sha256"] == said.sha256
    assert len(said.sha256) == 64
    assert said.detectors


@needs_root
def test_a_disk_that_is_full_is_told_and_gives_exit_code_7_and_all_alerts(tmp_path: Path, capture: Path) -> None:
    disk = ["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(tmp_path)]
    if subprocess.run(disk, capture_output=True, timeout=10, check=False).returncode:
        pytest.skip("no disk of our own can be mounted here")
    try:
        result = flowvigil("read", capture, "--flows", tmp_path)
        left = list(tmp_path.iterdir())
    finally:
        subprocess.run(["umount", str(tmp_path)], check=True, timeout=10)
    assert result.code == 7
    assert result.stdout == flowvigil("read", capture, "-q").stdout
    assert left == []
    assert any("flows cannot be written: no space left" in line for line in result.stderr)
    assert any(" lost" in line and "flow log: 0 flow records" in line for line in result.stderr)


def test_a_directory_that_cannot_be_used_ends_the_run_before_it_begins(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    result = flowvigil("read", DEMO, "--flows", tmp_path / "file")
    assert result.code == 7
    assert "flows cannot be kept in" in result.stderr[-1]
    assert result.stdout == b""


def test_the_account_of_a_log_keeps_to_its_schema() -> None:
    assert schema_of("stats")["properties"]["flowvigil"]["properties"]["flow_log"]
    jsonschema.Draft202012Validator.check_schema(schema_of("stats"))


# A log that is asked


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Of the demo capture."""
    path = tmp_path_factory.mktemp("logs") / "log"
    assert flowvigil("read", DEMO, "-q", "--flows", path).code == 0
    return path


def asked(*arguments: str | Path) -> tuple[list[dict[str, Any]], list[str]]:
    result = flowvigil("flows", *arguments)
    assert result.code == 0, result.stderr
    return [json.loads(line) for line in result.stdout.splitlines()], result.stderr


def test_a_pipe_gets_a_line_of_json_for_each_flow(log: Path) -> None:
    lines, stderr = asked(log, "--where", "dport:22 answered:yes")
    assert lines
    schema = jsonschema.Draft202012Validator(schema_of("logged-flow"))
    for line in lines:
        if line["flowvigil"]["verdict"] == "attack":
            schema.validate(line)
        assert line["destination"]["port"] == 22
        assert line["destination"]["packets"] > 0
        assert set(line["flowvigil"]["scores"]) == set(next(iter(FlowLog([log]).judged())).by.detectors)
    assert stderr[-1].startswith(f"flowvigil: {len(lines)} flows found in 1 file, ")
    limited, _ = asked(log, "--where", "dport:22 answered:yes", "--limit", "3")
    assert limited == lines[:3]
    assert len(asked(log)[0]) > len(lines)
    assert len(asked(log, "--snapshots")[0]) > len(asked(log)[0])


def test_which_ports_answered_is_a_line_each(log: Path) -> None:
    lines, _ = asked(log, "--by", "dport")
    assert {"dport", "proto", "flows", "answered", "packets", "bytes", "first", "last"} == set(lines[0])
    assert [line["flows"] for line in lines] == sorted((line["flows"] for line in lines), reverse=True)
    flows, _ = asked(log)
    assert sum(line["flows"] for line in lines) == len(flows)
    [ssh] = [line for line in lines if (line["dport"], line["proto"]) == (22, "tcp")]
    there = [flow for flow in flows if flow["destination"].get("port") == 22 and flow["network"]["transport"] == "tcp"]
    assert ssh["flows"] == len(there)
    assert ssh["bytes"]["sent"] == sum(flow["source"]["bytes"] for flow in there)


def test_a_terminal_gets_rows_below_a_header(log: Path) -> None:
    shown = []
    for options in (("--where", "dport:22", "--limit", "5"), ("--by", "src", "--limit", "2")):
        with terminal("flows", str(log), *options) as screen:
            code, stderr = screen.end()
            screen.wait_for(b"\n")
            shown.append(bytes(screen.shown).decode().splitlines())
            assert (code, "found in 1 file" in stderr) == (0, True)
    rows, counts = shown
    assert rows[0].split() == [
        *("START", "(UTC)", "DURATION", "PROTO", "SOURCE", "DESTINATION", "PACKETS", "SENT", "RECEIVED"),
        *("VERDICT", "P", "LABEL"),
    ]
    assert len(rows) == 6
    column = rows[0].index("DESTINATION")
    assert all(":22 " in row[column : column + 22] for row in rows[1:])
    assert counts[0].startswith("SRC")
    assert counts[3].startswith("and ")


def test_a_table_of_what_was_found_is_the_native_one(log: Path, tmp_path: Path) -> None:
    whole = flowvigil("flows", DEMO, "-o", tmp_path / "whole.csv")
    found = flowvigil("flows", log, "--where", "dport:22 proto:tcp", "-o", tmp_path / "found.csv")
    assert (whole.code, found.code, found.stdout) == (0, 0, b"")
    header, *rows = (tmp_path / "whole.csv").read_text().splitlines()
    first, *others = (tmp_path / "found.csv").read_text().splitlines()
    assert first == header
    assert len(others) > 10
    ended = {row for row in others if ",snapshot," not in row}
    assert ended <= set(rows)
    assert flowvigil("flows", log, "-o", tmp_path / "found.parquet").code == 0
    lines, _ = asked(tmp_path / "found.parquet", "--where", "dport:22 proto:tcp")
    assert len(lines) == len(others)
    assert "verdict" not in lines[0]["flowvigil"]


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (("{log}", "{demo}"), 2, "found a flow log, {log}, and captures, {demo}: expected one kind at a time"),
        (("{demo}", "--where", "dport:22"), 2, "expected a flow log or a flow table to ask; flowvigil read {demo}"),
        (("{demo}", "--by", "src"), 2, "found captures, {demo}"),
        (("-", "--where", "dport:22"), 2, "found captures, -"),
        (("{log}", "--where", "port:22 prot:tcp"), 2, "query, column 9: found 'prot:', expected one of src:, dst:"),
        (("{log}", "--filter", "tcp"), 2, "found a flow log or a flow table, expected captures to meter"),
        (("{log}", "--dialect", "tot"), 2, "found a flow log or a flow table, expected captures to meter"),
        (("{log}", "--by", "src", "-o", "{tmp}/x.csv"), 2, "found --by beside it"),
        (("{log}", "-o", "{tmp}/x.txt"), 2, "expected a name ending in .csv or .parquet"),
        (("{tmp}/gone", "--where", "dport:22"), 6, "{tmp}/gone: no such file or directory, expected a flow log"),
        (("{mixed}", "--where", "dport:22"), 2, "{mixed}: found a flow log, flows-"),
    ],
)
def test_what_cannot_be_asked_is_refused_with_a_line(
    log: Path, tmp_path: Path, arguments: tuple[str, ...], code: int, said: str
) -> None:
    mixed = tmp_path / "mixed"
    mixed.mkdir()
    for path in log.iterdir():
        (mixed / path.name).write_bytes(path.read_bytes())
    (mixed / "a.pcap").write_bytes(bytes.fromhex("d4c3b2a1") + bytes(20))
    names = {"log": log, "demo": DEMO, "tmp": tmp_path, "mixed": mixed}
    result = flowvigil("flows", *(argument.format(**names) for argument in arguments))
    assert result.code == code
    assert said.format(**names) in "\n".join(result.stderr)
    assert result.stdout == b""


def test_captures_beside_a_table_of_them_are_metered_as_ever(tmp_path: Path) -> None:
    (tmp_path / "demo.pcap.gz").write_bytes(DEMO.read_bytes())
    for _ in range(2):
        result = flowvigil("flows", tmp_path, "-o", tmp_path / "flows.parquet")
        assert result.code == 0
    assert any("skipped 1, no capture: " in line for line in result.stderr)


def test_a_damaged_file_is_named_and_the_others_are_asked(log: Path, tmp_path: Path) -> None:
    for path in log.iterdir():
        (tmp_path / path.name).write_bytes(path.read_bytes())
        broken = tmp_path / path.name.replace("-000001", "-000002")
        broken.write_bytes(path.read_bytes()[:5000])
    result = flowvigil("flows", tmp_path, "--where", "dport:22")
    assert result.code == 6
    assert result.stdout == flowvigil("flows", log, "--where", "dport:22").stdout
    assert f"flowvigil: {broken}: cut short: found no end of a Parquet file, expected a whole one" in result.stderr
    for path in tmp_path.glob("*-000001.parquet"):
        path.unlink()
    alone = flowvigil("flows", tmp_path, "--where", "dport:22")
    assert (alone.code, alone.stdout, len(alone.stderr)) == (6, b"", 1)


def test_a_reader_that_goes_away_ends_it(log: Path) -> None:
    process = started("flows", log, "-q")
    assert process.stdout is not None
    process.stdout.read(10)
    process.stdout.close()
    assert process.wait(30) in (0, 141)


def test_asking_loads_no_kernel(log: Path) -> None:
    script = (
        "import sys\nfrom sensor.flow_log.query import flow_terms\nfrom sensor.flow_log.reading import FlowLog\n"
        "from sensor.flow_log.search import FlowSearch\nimport sensor.cli.flow_search\n"
        f"print(sum(map(len, FlowSearch(FlowLog([{str(log)!r}]), flow_terms('dport:22')).found())))\n"
        "assert not {'numba', 'llvmlite'} & set(sys.modules)\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=60, check=True)
    assert int(result.stdout) > 10


def test_a_directory_of_thousands_of_foreign_files_is_told_in_short(tmp_path: Path) -> None:
    for number in range(1500):
        (tmp_path / f"{number}.parquet").touch()
    asked = flowvigil("flows", str(tmp_path), "--by", "proto")
    assert asked.code == 6
    lines = asked.stderr
    assert lines[-1].endswith("and 500 more problems")
    assert len(lines) == 1001
