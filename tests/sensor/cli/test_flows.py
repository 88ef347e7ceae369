"""`flowvigil flows` as a user meets it: the real command in its own process, its files, its words, its exit codes."""

import csv
import gzip
import io
import os
import select
import signal
import stat
import time
from pathlib import Path
from threading import Thread

import numpy as np
import pytest

import flows
from flows.batch import END_REASON, SNAPSHOT, FlowBatch
from flows.dialects import DIALECTS, NATIVE, V4, as_columns
from flows.meter import COMPATIBLE, Meter, concatenate
from sensor.cli.flows import Compat, DialectName
from sensor.flow_tables.table import ROWS_AT_ONCE, open_table
from sensor.metering.due import in_order
from sensor.sources.captures.files import open_capture
from tests.support.command import DEMO, Result, flowvigil, started

pytest.importorskip("pyarrow")


@pytest.fixture(scope="module")
def metered() -> FlowBatch:
    """The demo's flows, snapshots included, metered in this process, in the order that a run has them in."""
    meter = Meter()
    batches = [meter.feed(block) for block in open_capture(DEMO)]
    return in_order(concatenate([*batches, meter.drain()]))


@pytest.fixture(scope="module")
def ended(metered: FlowBatch) -> FlowBatch:
    final = metered.identity[:, END_REASON] != SNAPSHOT
    return FlowBatch(metered.identity[final], metered.values[final])


@pytest.fixture(scope="module")
def native() -> Result:
    """The demo's table on stdout."""
    return flowvigil("flows", DEMO)


def rows_of(content: bytes) -> list[list[str]]:
    return list(csv.reader(io.StringIO(content.decode())))


def spelled(field: np.ndarray) -> list[float] | list[str]:
    """A field as a reader of the CSV gets it."""
    if field.dtype.kind == "M":
        return [f"{np.datetime_as_string(instant)}Z" for instant in field]
    return field.tolist()


def assert_table(rows: list[list[str]], batch: FlowBatch, dialect: flows.Dialect) -> None:
    assert tuple(rows[0]) == dialect.header
    assert len(rows) - 1 == len(batch)
    for i, field in enumerate(as_columns(batch, dialect).values()):
        cells = [row[i] for row in rows[1:]]
        assert (cells if field.dtype.kind in "UM" else [float(cell) for cell in cells]) == spelled(field), i


# The table


def test_the_names_of_the_command_are_those_of_the_library() -> None:
    assert [name.value for name in DialectName] == [dialect.name for dialect in DIALECTS]
    assert [name.value for name in Compat] == list(COMPATIBLE)


def test_without_a_file_the_table_is_csv_on_stdout(native: Result, ended: FlowBatch) -> None:
    assert native.code == 0
    assert_table(rows_of(native.stdout), ended, NATIVE)
    assert len(native.stderr) == 1
    assert f"{len(ended):,} flows written" in native.stderr[0]


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_every_dialect_is_written_as_csv(dialect: flows.Dialect, ended: FlowBatch, tmp_path: Path) -> None:
    with open_table(tmp_path / "t.csv", dialect) as table:
        table.write(ended)
    assert_table(rows_of((tmp_path / "t.csv").read_bytes()), ended, dialect)


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_every_dialect_is_written_as_parquet(dialect: flows.Dialect, ended: FlowBatch, tmp_path: Path) -> None:
    from pyarrow import parquet

    with open_table(tmp_path / "t.parquet", dialect) as table:
        table.write(ended)
    read = parquet.read_table(tmp_path / "t.parquet")
    expected = as_columns(ended, dialect)
    assert tuple(read.column_names) == tuple(expected)
    for name, field in expected.items():
        found = read[name].to_pylist()
        if field.dtype.kind == "M":
            found = [np.datetime64(instant.replace(tzinfo=None), "us") for instant in found]
        assert found == (list(field) if field.dtype.kind == "M" else field.tolist()), name


def test_the_commands_file_is_the_librarys(ended: FlowBatch, tmp_path: Path) -> None:
    assert flowvigil("flows", DEMO, "-o", tmp_path / "t.csv", "--dialect", "v4", "-q").stderr == []
    assert_table(rows_of((tmp_path / "t.csv").read_bytes()), ended, V4)
    assert stat.S_IMODE((tmp_path / "t.csv").stat().st_mode) & 0o007 == 0
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


def test_snapshots_come_on_request(metered: FlowBatch, ended: FlowBatch) -> None:
    result = flowvigil("flows", DEMO, "--snapshots")
    assert_table(rows_of(result.stdout), metered, NATIVE)
    reasons = [row[NATIVE.header.index("end_reason")] for row in rows_of(result.stdout)]
    assert reasons.count("snapshot") == len(metered) - len(ended) > 0


def test_a_table_of_many_batches_is_the_table_of_one(ended: FlowBatch, tmp_path: Path) -> None:
    many = ROWS_AT_ONCE // len(ended) * 3
    for name, batches in (("one", [concatenate([ended] * many)]), ("many", [ended] * many)):
        with open_table(tmp_path / f"{name}.csv", V4) as table:
            for batch in batches:
                table.write(batch)
    assert (tmp_path / "one.csv").read_bytes() == (tmp_path / "many.csv").read_bytes()
    assert len((tmp_path / "one.csv").read_bytes().splitlines()) == many * len(ended) + 1


def test_numbers_that_are_none_are_spelled_as_java_does(ended: FlowBatch, tmp_path: Path) -> None:
    odd = FlowBatch(ended.identity[:3], ended.values[:3].copy())
    at = V4.fields.index("flow_bytes_per_s")
    odd.column("flow_bytes_per_s")[:] = (np.nan, np.inf, 0.1)
    with open_table(tmp_path / "t.csv", V4) as table:
        table.write(odd)
    assert [row[at] for row in rows_of((tmp_path / "t.csv").read_bytes())[1:]] == ["NaN", "Infinity", "0.1"]


@pytest.mark.parametrize("capture", ["real_2015", "syn20k_long", "syn_first10k"])
def test_the_compatible_table_holds_the_java_programs_flows(capture: str, shared_data: Path) -> None:
    golden = shared_data / "meter-golden"
    result = flowvigil("flows", golden / f"{capture}.pcap.gz", "--dialect", "v4", "--compat", "cicflowmeter-v4")
    assert result.code == 0
    header, *ours = rows_of(result.stdout)
    right_header, *right = rows_of(gzip.decompress((golden / f"{capture}.java-v4.csv.gz").read_bytes()))
    assert header == right_header
    # the program writes the last flows in the order of a hash map
    numbers = [[float(cell) if i >= 7 and i < len(row) - 1 else cell for i, cell in enumerate(row)] for row in ours]
    expected = [[float(cell) if i >= 7 and i < len(row) - 1 else cell for i, cell in enumerate(row)] for row in right]
    assert sorted(map(str, numbers)) == sorted(map(str, expected))


# Inputs


def test_several_captures_in_any_order_are_one_table(native: Result, tmp_path: Path) -> None:
    whole = gzip.decompress(DEMO.read_bytes())
    at = 24
    while at < len(whole) // 2:
        at += 16 + int.from_bytes(whole[at + 8 : at + 12], "little")
    first, second = tmp_path / "z.pcap", tmp_path / "a.pcap.gz"
    first.write_bytes(whole[:at])
    second.write_bytes(gzip.compress(whole[:24] + whole[at:]))
    result = flowvigil("flows", second, first)
    assert (result.code, result.stdout) == (0, native.stdout)


def test_a_capture_on_stdin_gives_the_same_table(native: Result) -> None:
    result = flowvigil("flows", "-", stdin=DEMO.read_bytes())
    assert (result.code, result.stdout) == (0, native.stdout)


@pytest.mark.real_start
def test_flows_come_down_a_pipe_before_it_ends() -> None:
    whole = gzip.decompress(DEMO.read_bytes())
    run = started("flows", "-", "-q")
    assert run.stdin is not None
    assert run.stdout is not None
    # in a thread of its own: the command stops reading while nobody takes its lines
    feeder = Thread(target=run.stdin.write, args=(whole[: len(whole) * 3 // 4],), daemon=True)
    feeder.start()
    assert select.select([run.stdout], [], [], 60)[0], "nothing came"
    assert run.stdout.read(8) == b"flow_id,"
    taken = b""
    while taken.count(b"\n") < 100:
        assert select.select([run.stdout], [], [], 60)[0], "nothing came"
        taken += run.stdout.read(65536)
    run.kill()
    run.wait(60)


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_cut_capture_gives_what_could_be_read_and_code_6(suffix: str, tmp_path: Path) -> None:
    cut, output = tmp_path / "cut.pcap", tmp_path / f"t.{suffix}"
    cut.write_bytes(gzip.decompress(DEMO.read_bytes())[:-7])
    result = flowvigil("flows", cut, tmp_path / "none.pcap", "-o", output)
    assert result.code == 6
    assert any("cut.pcap: truncated" in line for line in result.stderr)
    assert any("none.pcap" in line and "no such file" in line for line in result.stderr)
    assert output.stat().st_size > 10_000


def test_no_capture_at_all_leaves_no_table(tmp_path: Path) -> None:
    before = tmp_path / "t.csv"
    before.write_text("as it was")
    result = flowvigil("flows", tmp_path / "none.pcap", "-o", before)
    assert result.code == 6
    assert before.read_text() == "as it was"
    assert [path.name for path in tmp_path.iterdir()] == ["t.csv"]


# What can go wrong with the output


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        (("-o", "flows.txt"), "ending in .csv or .parquet"),
        (("--dialect", "klingon"), "klingon"),
        (("--compat", "nfstream"), "nfstream"),
        (("--compat", "cicflowmeter-v4", "--snapshots"), "has none"),
        (("--compat", "cicflowmeter-v4", "--decap"), "does not look into tunnels"),
    ],
)
def test_what_cannot_be_asked_for_is_a_usage_error(arguments: tuple[str, ...], complaint: str) -> None:
    result = flowvigil("flows", DEMO, *arguments)
    assert result.code == 2
    assert complaint in result.stderr[-1]


def test_a_file_that_cannot_be_made_is_named_with_code_7(tmp_path: Path) -> None:
    result = flowvigil("flows", DEMO, "-o", tmp_path / "none" / "t.csv")
    assert result.code == 7
    assert "cannot be written: no such file or directory" in result.stderr[-1]


@pytest.mark.parametrize("suffix", ["csv", "parquet"])
def test_a_full_disk_leaves_no_half_a_table_and_code_7(suffix: str, tmp_path: Path) -> None:
    limit = ("bash", "-c", 'ulimit -f 200; exec "$@"', "-")
    result = flowvigil("flows", DEMO, "-o", tmp_path / f"t.{suffix}", prefix=limit)
    assert result.code == 7
    assert "cannot be written" in result.stderr[-1]
    assert list(tmp_path.iterdir()) == []


@pytest.mark.real_start
def test_a_reader_that_goes_ends_the_command_with_code_141() -> None:
    run = started("flows", DEMO)
    assert run.stdout is not None
    run.stdout.close()
    assert run.wait(60) == 141


def test_a_device_is_written_and_stays_a_device(tmp_path: Path) -> None:
    pipe = tmp_path / "t.csv"
    os.mkfifo(pipe)
    run = started("flows", DEMO, "-o", pipe, "-q")
    content = pipe.read_bytes()
    assert run.wait(60) == 0
    assert len(content.splitlines()) > 100
    assert stat.S_ISFIFO(pipe.stat().st_mode)


def test_an_interrupt_writes_what_was_read_and_gives_code_130(tmp_path: Path) -> None:
    whole = gzip.decompress(DEMO.read_bytes())
    output = tmp_path / "t.csv"
    run = started("flows", "-", "-o", output)
    assert run.stdin is not None
    assert run.stderr is not None
    run.stdin.write(whole[: len(whole) // 2])
    for _ in range(600):
        if any(path.stat().st_size > 2000 for path in tmp_path.iterdir()):
            break
        time.sleep(0.1)
    assert not output.exists()
    run.send_signal(signal.SIGINT)
    assert run.wait(60) == 130
    assert len(output.read_bytes().splitlines()) > 100
    assert b"stopped by the user" in run.stderr.read()


def test_progress_is_shown_on_request_on_stderr_only(native: Result) -> None:
    result = flowvigil("flows", DEMO, "--progress")
    assert result.stdout == native.stdout
    assert any("%: " in line for line in result.stderr)


def test_read_never_loads_the_table_writer() -> None:
    result = flowvigil("read", DEMO, "-q", PYTHONPROFILEIMPORTTIME="1")
    assert any("flows.meter" in line for line in result.stderr)
    assert not any("pyarrow" in line for line in result.stderr)
