"""What independent captures leave in files: tables, pages, packets and flow logs are those of each alone."""

import html
import json
import os
import random
from pathlib import Path

import pytest

from sensor.cli.kept_of_captures import KeptOfCaptures, directory_name
from sensor.jobs.run_directory import Capture
from sensor.settings.config import Config
from sensor.synth.generate import SCENARIOS, generate
from sensor.synth.pcap import pcap_bytes, write_pcap
from tests.sensor.cli.test_independent import read_with_kills
from tests.support.command import flowvigil

pytestmark = pytest.mark.takes(60)

CAPTURES = 3


@pytest.fixture(scope="module")
def captures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("captures")
    for seed, name in enumerate(("a,b.pcap", 'say "x".pcap', "net.pcap")):
        write_pcap(directory / name, pcap_bytes(generate(SCENARIOS, seed, 0.3).packets, 96))
    return directory


def sorted_files(directory: Path) -> list[Path]:
    return sorted(directory.iterdir(), key=str)


@pytest.mark.parametrize("workers", ["1", "3"])
def test_a_table_has_the_rows_of_each_capture_with_its_path(captures: Path, workers: str, tmp_path: Path) -> None:
    table = tmp_path / "all.csv"
    result = flowvigil("flows", captures, "--independent", "--workers", workers, "-o", table)
    assert result.code == 0, result.stderr
    expected: list[str] = []
    for path in sorted_files(captures):
        name = str(path)
        field = '"' + name.replace('"', '""') + '"' if "," in name or '"' in name else name
        rows = flowvigil("flows", path, "-q").stdout.decode().splitlines()
        expected += [f"{row},{field}" for row in rows[1:]]
        header = f"{rows[0]},capture"
    assert table.read_text().splitlines() == [header, *expected]
    dialect = flowvigil("flows", captures, "--independent", "--dialect", "v4", "--compat", "cicflowmeter-v4", "-q")
    alone = [flowvigil("flows", path, "--dialect", "v4", "--compat", "cicflowmeter-v4", "-q").stdout.splitlines()
             for path in sorted_files(captures)]  # fmt: skip
    assert dialect.stdout.splitlines() == [alone[0][0], *(row for rows in alone for row in rows[1:])]


def test_a_parquet_table_has_the_same_rows_and_is_asked(captures: Path, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet")
    table = tmp_path / "all.parquet"
    run = tmp_path / "run"
    arguments = ("flows", captures, "--independent", "-o", table, "--run", run, "-q")
    assert flowvigil(*arguments).code == 0
    found, alone = parquet.read_table(table), []
    for number, path in enumerate(sorted_files(captures)):
        own = tmp_path / f"{number}.parquet"
        assert flowvigil("flows", path, "-o", own, "-q").code == 0
        alone += parquet.read_table(own).to_pylist()
    names = found.column("capture").to_pylist()
    assert found.drop_columns(["capture"]).to_pylist() == alone
    assert list(dict.fromkeys(names)) == [str(path) for path in sorted_files(captures)]
    assert flowvigil("flows", table, "--where", "proto:tcp", "--limit", "3").stdout.count(b"\n") == 3
    written = table.read_bytes()
    ends = {path: path.stat().st_mtime_ns for path in run.glob("ends/*/*.json")}
    assert flowvigil(*arguments, "--resume").code == 0
    assert table.read_bytes() == written
    assert {path: path.stat().st_mtime_ns for path in run.glob("ends/*/*.json")} == ends  # nothing was metered again
    assert flowvigil("flows", captures, "--independent", "--run", run, "--resume", "--snapshots", "-q").code == 3


def test_a_page_says_of_each_alert_in_which_capture_it_was_found(captures: Path, tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    result = flowvigil("report", captures, "--independent", "-o", page)
    assert result.code == 0, result.stderr
    text = page.read_text()
    assert "Captures with alerts" in text
    for path in sorted_files(captures):
        assert html.escape(str(path)) in html.escape(html.unescape(text))
    lines = flowvigil("read", captures, "--independent").stdout.splitlines()
    alerts = {(line["log"]["file"]["path"], line["event"]["id"]) for line in map(json.loads, lines)}
    assert text.count("<dt>Capture</dt>") == len(alerts)


@pytest.fixture(scope="module")
def kept_alone(captures: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """Files of packets that each capture leaves alone, by directory and name."""
    found = {}
    for path in sorted_files(captures):
        own = tmp_path_factory.mktemp("alone")
        assert flowvigil("read", path, "--keep-packets", own, "-q").code == 0
        name = directory_name(Capture(str(path), None))
        found |= {f"{name}/{file.name}": file.read_bytes() for file in own.iterdir()}
    assert len(found) > CAPTURES
    return found


def files_below(directory: Path) -> dict[str, bytes]:
    return {str(path.relative_to(directory)): path.read_bytes() for path in directory.rglob("*") if path.is_file()}


def test_packets_are_those_of_each_alone_and_survive_kills(
    captures: Path, kept_alone: dict[str, bytes], tmp_path: Path
) -> None:
    run, packets, log, file = (tmp_path / name for name in ("run", "packets", "log", "alerts.jsonl"))
    arguments = (
        "read", captures, "--independent", "--keep-packets", packets, "--flows", log, "--run", run, "-o", file, "-q",
    )  # fmt: skip
    chance = random.Random(3)
    read_with_kills((*arguments, "--workers", "2"), run, chance, of="main")
    assert read_with_kills((*arguments, "--workers", "1", "--resume"), run, chance, of="reader") == 0
    assert files_below(packets) == kept_alone
    told = {json.loads(line)["flowvigil"].get("packets_file") for line in (run / "alerts.jsonl").open()}
    assert told == set(kept_alone)
    runs = [path.name.split("-")[2] for path in log.iterdir()]
    assert len(set(runs)) == CAPTURES
    flows = flowvigil("flows", log, "--limit", "1000000").stdout.splitlines()
    once = flowvigil("read", captures, "--independent", "--flows", tmp_path / "log2", "-q")
    assert once.code == 0
    assert len(flows) == len(flowvigil("flows", tmp_path / "log2", "--limit", "1000000").stdout.splitlines())
    # what somebody deleted is made again, and nothing else
    gone = sorted(packets.iterdir())[0]
    for path in gone.iterdir():
        path.unlink()
    gone.rmdir()
    assert flowvigil(*arguments, "--resume").code == 0
    assert files_below(packets) == kept_alone


def test_packets_of_all_captures_stay_within_the_limit(
    captures: Path, kept_alone: dict[str, bytes], tmp_path: Path
) -> None:
    limit = 1 << 20
    sizes = sum(map(len, kept_alone.values()))
    more = captures.parent / "many"
    if not more.exists():
        more.mkdir()
        for number in range(limit // (sizes // CAPTURES) + 3):
            (more / f"{number:03}.pcap").symlink_to(captures / "net.pcap")
    packets, run = tmp_path / "packets", tmp_path / "run"
    arguments = ("read", more, "--independent", "--keep-packets", packets, "--run", run, "--set",
                 f"keep_packets.directory_bytes={limit}")  # fmt: skip
    result = flowvigil(*arguments)
    assert result.code == 0, result.stderr
    left = files_below(packets)
    assert limit * 0.8 < sum(map(len, left.values())) <= limit
    assert re_counted(result.stderr) > 0
    last = directory_name(Capture(str(sorted(more.iterdir())[-1]), None))
    assert any(name.startswith(last) for name in left)  # the first captures' files go first
    ends = {path: path.stat().st_mtime_ns for path in run.glob("ends/*/*.json")}
    assert flowvigil(*arguments, "--resume").code == 0
    assert {path: path.stat().st_mtime_ns for path in run.glob("ends/*/*.json")} == ends  # nor are those missing
    assert files_below(packets) == left


def test_flow_logs_that_gave_way_to_the_limit_are_not_missed(tmp_path: Path) -> None:
    limit = 1 << 24
    config = Config.model_validate({"flow_log": {"directory": tmp_path, "directory_bytes": limit}})
    capture, other = Capture("net.pcap", 1), tmp_path / f"flows-20260302T090000Z-{'0' * 16}-000001.parquet"
    for stored, suffices in ((0, False), (limit - 100, True)):
        other.touch()
        os.truncate(other, stored)
        result = {"flow_files": 1, "account": {"logged": {"bytes": 200}}}
        assert KeptOfCaptures(config, [capture]).has(capture, result) == suffices


def test_packets_that_a_run_kept_are_no_captures_of_the_next(tmp_path: Path) -> None:
    kept = tmp_path / directory_name(Capture("net.pcap", 1)) / "alert.pcapng"
    kept.parent.mkdir()
    kept.write_bytes(b"")
    result = flowvigil("read", kept, "--independent", "--keep-packets", tmp_path)
    assert (result.code, len(result.stderr)) == (7, 1)
    assert f"found {kept} there, which is to be read" in result.stderr[0]


def re_counted(lines: list[str]) -> int:
    """Files that gave way, as the last line says it."""
    words = " ".join(lines)
    return int(words.split(" oldest files deleted")[0].rsplit(" ", 1)[1].replace(",", ""))
