"""Datasets of several files and of any size: one table, the same however it is cut into blocks or files."""

import bz2
import dataclasses
import gzip
import lzma
import resource
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import lz4.frame
import numpy as np
import pytest
import zstandard

from flows.batch import DST_PORT
from flows.columns import COLUMNS
from flows.dialects import CIC2017, DIALECTS, NATIVE, PYTHON_DIALECT, TOT, V4, Dialect
from tests.support.flow_files import lines, many_shapes, rewritten, table_of_2017, written
from tests.support.labelled_flows import read_flows
from training import memory
from training.datasets import packed, rows, text
from training.datasets.collection import read_dataset
from training.datasets.programs import BEFORE_V4
from training.datasets.table import FlowTable
from training.errors import DatasetError

pytest.importorskip("polars")


def quiet(_: str) -> None:
    pass


def read(path: Path) -> FlowTable:
    return read_dataset(path, quiet)


def complaint(path: Path) -> str:
    with pytest.raises(DatasetError) as error:
        read(path)
    return str(error.value)


def same(one: FlowTable, other: FlowTable) -> bool:
    fields = (field.name for field in dataclasses.fields(FlowTable) if field.name not in {"path", "sha256"})
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in fields)


@pytest.fixture
def small_blocks(monkeypatch: pytest.MonkeyPatch) -> Callable[[], None]:
    """After its call, everything is read and kept a few rows at a time."""

    def shrink() -> None:
        monkeypatch.setattr(packed, "BLOCK_BYTES", 1500)
        monkeypatch.setattr(packed, "READ_BYTES", 100)
        monkeypatch.setattr(text, "PARQUET_ROWS", 3)
        monkeypatch.setattr(rows, "ROWS_AT_ONCE", 5)
        monkeypatch.setattr(memory, "IN_MEMORY_BYTES", 0)

    return shrink


# A directory of days


def two_days(directory: Path, dialect: Dialect = V4) -> tuple[Path, Path]:
    """The flows of one table in two files: even rows in the second by name, odd rows in the first."""
    header, *flows = lines(written(directory, many_shapes(), dialect))
    (directory / f"{dialect.name}.csv").unlink()
    days = directory / "days"
    (days / "later").mkdir(parents=True)
    return (
        rewritten(days / "b.csv", [header, *flows[::2]]),
        rewritten(days / "later" / "a.csv", [header, *flows[1::2]]),
    )


def test_files_of_a_directory_are_one_table_in_the_order_of_time(tmp_path: Path) -> None:
    parts = [read(path) for path in two_days(tmp_path)]
    table = read(tmp_path / "days")
    assert len(table) == sum(len(part) for part in parts)
    assert (np.diff(table.start_ns) >= 0).all()
    order = np.argsort(np.concatenate([part.start_ns for part in parts]), kind="stable")
    for name in ("values", "host", "start_ns", "end_ns", "label", "family", "day", "dst_port"):
        assert (getattr(table, name) == np.concatenate([getattr(part, name) for part in parts])[order]).all(), name
    assert table.repairs["rows"] == sum(part.repairs["rows"] for part in parts)


def test_one_file_keeps_its_order_where_it_is_asked_for_as_such(tmp_path: Path) -> None:
    path = written(tmp_path, many_shapes(), NATIVE)
    start_ns = read_flows(path).start_ns
    header, *flows = lines(path)
    rewritten(path, [header, *reversed(flows)])
    assert (read_flows(path).start_ns == start_ns[::-1]).all()
    assert (read(path).start_ns == np.sort(start_ns)).all()


def test_the_digest_of_a_directory_changes_with_any_file(tmp_path: Path) -> None:
    one, _ = two_days(tmp_path)
    before = read(tmp_path / "days").sha256
    assert read(tmp_path / "days").sha256 == before
    rewritten(one, lines(one)[:-1])
    assert read(tmp_path / "days").sha256 != before


def test_rows_that_stand_in_two_files_are_duplicates(tmp_path: Path) -> None:
    one, other = two_days(tmp_path)
    once = read(tmp_path / "days").repairs["duplicate rows (kept)"]
    rewritten(other, [*lines(other), *lines(one)[1:4]])
    assert read(tmp_path / "days").repairs["duplicate rows (kept)"] == once + 3


def test_what_else_lies_in_a_directory_is_named_and_skipped(tmp_path: Path) -> None:
    two_days(tmp_path)
    (tmp_path / "days" / "README.md").write_text("hello")
    (tmp_path / "days" / ".b.csv").write_text("half")
    told: list[str] = []
    table = read_dataset(tmp_path / "days", told.append)
    assert [line.split(":")[0] for line in told if line.startswith("skipped")] == [
        f"skipped {tmp_path / 'days' / name}" for name in (".b.csv", "README.md")
    ]
    assert len(table) > 0


def test_a_directory_without_tables_is_refused(tmp_path: Path) -> None:
    (tmp_path / "README.md").write_text("hello")
    assert complaint(tmp_path).startswith(f"{tmp_path}: has no flow tables")


@pytest.mark.parametrize("other", [dialect for dialect in DIALECTS if dialect is not V4], ids=lambda d: d.name)
def test_two_dialects_in_a_directory_are_refused_with_two_files(other: Dialect, tmp_path: Path) -> None:
    one, _ = two_days(tmp_path)
    stranger = written(tmp_path / "days" / "later", many_shapes(), other)
    message = complaint(tmp_path / "days")
    assert (
        message == f"{stranger}:1: has the header of {other.name}, {one} that of v4; expected one dialect in a dataset"
    )


def test_two_programs_behind_one_header_are_refused_with_two_files(shared_data: Path, tmp_path: Path) -> None:
    for name in ("java-v4", "java-engelen"):
        shutil.copy(shared_data / "meter-golden" / f"syn20k_long.{name}.csv.gz", tmp_path)
    message = complaint(tmp_path)
    assert "syn20k_long.java-v4.csv.gz" in message
    assert "syn20k_long.java-engelen.csv.gz" in message
    assert "CICFlowMeter V4" in message


def test_a_day_too_small_to_tell_its_program_follows_the_others(shared_data: Path) -> None:
    table = read(shared_data / "cicflowmeter-benign")
    assert len(table) == 36 + 990 + 5450 + 2269 + 6289
    assert set(table.missing) >= BEFORE_V4.unfit
    assert np.unique(table.day).tolist() == ["2017-10-10", "2017-10-11", "2017-10-16", "2017-10-17", "2017-12-15"]


def test_a_day_that_cannot_tell_its_program_follows_the_others(shared_data: Path, tmp_path: Path) -> None:
    """Flows without payload do not show how often the first packet was counted."""
    golden = gzip.decompress((shared_data / "meter-golden" / "syn20k_long.java-v4.csv.gz").read_bytes()).decode()
    header, *flows = (line.split(",") for line in golden.splitlines())
    at = header.index("Packet Length Mean")
    rewritten(tmp_path / "a.csv", [header, *(flow for flow in flows if float(flow[at]) == 0)])
    rewritten(tmp_path / "b.csv", [header, *(flow for flow in flows if float(flow[at]) > 0)])
    rewritten(tmp_path / "c.txt", [header, *flows])
    assert read(tmp_path).missing == read(tmp_path / "c.txt").missing == read(tmp_path / "b.csv").missing
    assert read(tmp_path / "a.csv").missing != read(tmp_path).missing


def test_the_public_sample_reads_the_same_as_a_directory(shared_data: Path) -> None:
    directory = shared_data / "cic-ids-2017"
    assert same(read(directory), read_flows(directory / "improved-sample-mon-thu.csv.gz"))


# Any size


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_how_a_file_is_cut_into_blocks_changes_nothing(
    dialect: Dialect, small_blocks: Callable[[], None], tmp_path: Path
) -> None:
    path = written(tmp_path, many_shapes(), dialect)
    whole = read(path)
    small_blocks()
    assert same(read(path), whole)


def test_how_a_published_table_is_cut_into_blocks_changes_nothing(
    small_blocks: Callable[[], None], tmp_path: Path
) -> None:
    header, *flows = table_of_2017()
    empty = [""] * len(header)
    path = rewritten(tmp_path / "t.csv", [header, *flows * 9, empty, header, [""], empty, *flows * 9])
    whole = read(path)
    assert whole.repairs["empty rows, left out"] == 3
    small_blocks()
    assert same(read(path), whole)


def test_the_last_row_decides_over_the_first(small_blocks: Callable[[], None], tmp_path: Path) -> None:
    small_blocks()
    header, *flows = table_of_2017()
    clock = CIC2017.fields.index("start")
    flows = [flows[0].copy() for _ in range(40)]
    for flow in flows:
        flow[clock] = "03/07/2017 02:00:00"
    table = read(rewritten(tmp_path / "t.csv", [header, *flows]))
    assert str(table.start_ns.astype("datetime64[ns]")[0])[11:13] == "14"
    assert table.repairs["times of 12 hours without AM or PM, 1 to 5 -> afternoon"] == 40
    flows[-1][clock] = "03/07/2017 23:00:00"
    table = read(rewritten(tmp_path / "t.csv", [header, *flows]))
    assert str(table.start_ns.astype("datetime64[ns]")[0])[11:13] == "02"


def test_times_in_seconds_are_told_from_all_rows(small_blocks: Callable[[], None], tmp_path: Path) -> None:
    path = written(tmp_path, many_shapes(), PYTHON_DIALECT)
    micros = read(path)
    times = {column.name for column in COLUMNS if column.unit == "µs"}
    header, *flows = lines(path)
    for flow in flows:
        for i, field in enumerate(PYTHON_DIALECT.fields):
            if field in times:
                flow[i] = repr(float(flow[i]) / 1e6)
    small_blocks()
    seconds = read(rewritten(path, [header, *flows]))
    assert seconds.values == pytest.approx(micros.values)
    contradicting = max(flows, key=lambda flow: float(flow[header.index("flow_duration")]))
    contradicting[header.index("flow_duration")] = "5000000.0"
    assert "contradict" in complaint(rewritten(path, [header, *flows]))


@pytest.mark.parametrize("at", [1, 30, 61])
def test_a_fault_in_a_later_block_keeps_its_line(at: int, small_blocks: Callable[[], None], tmp_path: Path) -> None:
    small_blocks()
    path = written(tmp_path, many_shapes(), V4)
    header, *flows = lines(path)
    flows[at][header.index("Flow IAT Mean")] = "fast"
    message = complaint(rewritten(path, [header, [""], *flows]))
    assert message == f"""{path}:{at + 3}, column "Flow IAT Mean": 'fast' is not a finite number, expected one"""
    flows[at][header.index("Flow IAT Mean")] = "0"
    flows[at][header.index("Flow Bytes/s")], flows[at][header.index("Flow Duration")] = "Infinity", "5"
    message = complaint(rewritten(path, [header, [""], *flows]))
    assert message == f'{path}:{at + 3}, column "Flow Bytes/s": not finite though the flow has a duration'


def test_a_large_table_lies_in_a_file_that_nobody_can_leave_behind(
    small_blocks: Callable[[], None], monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = written(tmp_path, many_shapes(), NATIVE)
    small = read(path)
    small_blocks()
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    large = read(path)
    assert not large.values.flags.owndata
    assert list(temporary.iterdir()) == []
    drawn = np.random.default_rng(1).permutation(len(small))[:20]
    assert same(large.take(drawn), small.take(drawn))
    assert same(large.take(small.dst_port == 80), small.take(small.dst_port == 80))


def test_a_full_directory_for_temporary_files_is_named(tmp_path: Path) -> None:
    path = written(tmp_path, many_shapes(), NATIVE)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    try:
        resource.setrlimit(resource.RLIMIT_FSIZE, (1000, before[1]))
        message = complaint(path)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)
    assert message.startswith(f"{path}: its values do not fit into {tempfile.gettempdir()} (file too large); TMPDIR")


# Any form


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_every_file_format_reads_as_the_plain_csv(dialect: Dialect, tmp_path: Path) -> None:
    pytest.importorskip("pyarrow")
    path = written(tmp_path, many_shapes(), dialect)
    plain = read(path)
    content = path.read_bytes()
    halves = content[:5000], content[5000:]
    packings = {"gz": gzip, "zst": zstandard, "xz": lzma, "bz2": bz2, "lz4": lz4.frame}
    for suffix, packing in packings.items():
        (tmp_path / f"t.csv.{suffix}").write_bytes(b"".join(packing.compress(half) for half in halves))
        assert same(read(tmp_path / f"t.csv.{suffix}"), plain), suffix
    parquet = read(written(tmp_path, many_shapes(), dialect, ".parquet"))
    assert same(dataclasses.replace(parquet, repairs=plain.repairs), plain)


def test_the_port_is_that_of_the_responder(tmp_path: Path) -> None:
    batch = many_shapes()
    table = read_flows(written(tmp_path, batch, NATIVE))
    assert (table.dst_port == batch.identity[:, DST_PORT]).all()
    assert (table.take(np.array([5, 3])).dst_port == table.dst_port[[5, 3]]).all()


def test_a_table_without_ports_has_none(tmp_path: Path) -> None:
    path = written(tmp_path, many_shapes(), TOT)
    at = TOT.fields.index("dst_port")
    table = read(rewritten(path, [[cell for i, cell in enumerate(row) if i != at] for row in lines(path)]))
    assert set(table.dst_port.tolist()) == {-1}


@pytest.mark.parametrize("port", ["65536", "-1", "80.5"])
def test_what_is_no_port_is_named(port: str, tmp_path: Path) -> None:
    path = written(tmp_path, many_shapes(), V4)
    flows = lines(path)
    flows[3][V4.fields.index("dst_port")] = port
    message = complaint(rewritten(path, flows))
    assert message == f"""{path}:4, column "Dst Port": '{port}' is not a port number; expected 0 to 65535"""


@pytest.mark.parametrize("dialect", [NATIVE, PYTHON_DIALECT], ids=lambda dialect: dialect.name)
def test_a_label_added_to_a_dialect_without_one_is_read(dialect: Dialect, tmp_path: Path) -> None:
    path = written(tmp_path, many_shapes(), dialect)
    header, *flows = lines(path)
    table = read(rewritten(path, [[*header, "Label"], *([*flow, "Bot"] for flow in flows)]))
    assert set(table.family) == {"Botnet"}


def test_columns_of_no_use_are_counted(tmp_path: Path) -> None:
    path = written(tmp_path, many_shapes(), V4)
    plain = read(path)
    extra = read(rewritten(path, [["SimillarHTTP", *row, "Inbound"] for row in lines(path)]))
    assert same(dataclasses.replace(extra, repairs=plain.repairs), plain)
    assert extra.repairs == plain.repairs | {"columns of no use here, not read": 2}
