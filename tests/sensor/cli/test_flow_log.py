"""`flowvigil read --flows` as a user meets it: all flows in a log, which judged again gives the same alerts."""

import json
import os
import subprocess
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
from tests.support.command import DEMO, flowvigil
from tests.support.context_bundles import context_hybrid
from tests.support.flow_logs import same, together

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
