"""Datasets of many part files: one table, whatever the parts are called and however each of them is written."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from flows.dialects import V4
from tests.support.flow_files import many_shapes, written
from tests.support.past_memory import past_memory, small_ones
from training import memory
from training.datasets import text
from training.datasets.collection import read_dataset
from training.datasets.table import FlowTable
from training.errors import DatasetError
from training.explore.dataset import read_labelled

pl = pytest.importorskip("polars")
LABELS = ("BENIGN", "DoS Hulk", "Web Attack - XSS")


def quiet(_: str) -> None:
    pass


def told_of(path: Path) -> tuple[FlowTable, list[str]]:
    told: list[str] = []
    return read_dataset(path, told.append), told


def read(path: Path) -> FlowTable:
    return told_of(path)[0]


def complaint(path: Path) -> str:
    with pytest.raises(DatasetError) as error:
        read(path)
    return str(error.value)


def same(one: FlowTable, other: FlowTable) -> bool:
    names = {field.name for field in dataclasses.fields(FlowTable)} - {"path", "sha256"}
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names)


@pytest.fixture
def whole(tmp_path: Path) -> "pl.DataFrame":
    """Flows of three labels, four rows twice; whole numbers are such."""
    frame = pl.read_parquet(written(tmp_path, many_shapes(), V4, ".parquet")).sort("Timestamp")
    (tmp_path / "v4.parquet").unlink()
    frame = frame.with_columns(Label=pl.Series([LABELS[i % 3] for i in range(len(frame))]))
    return pl.concat([frame[:20], frame[:4], frame[20:]]).sort("Timestamp", maintain_order=True)


@pytest.fixture
def one_file(tmp_path: Path, whole: "pl.DataFrame") -> FlowTable:
    path = tmp_path / "one.parquet"
    whole.write_parquet(path)
    return read(path)


def parts(directory: Path, whole: "pl.DataFrame", at: int = 30) -> Path:
    directory.mkdir(parents=True)
    whole[:at].write_parquet(directory / "part-0.parquet")
    whole[at:].write_parquet(directory / "part-1.parquet")
    return directory


def test_parts_of_a_directory_and_those_of_a_pattern_are_the_table(
    tmp_path: Path, whole: "pl.DataFrame", one_file: FlowTable
) -> None:
    directory = parts(tmp_path / "parts", whole)
    assert same(read(directory), one_file)
    assert same(read(directory / "part-*.parquet"), one_file)
    assert same(read(tmp_path / "pa*" / "**" / "*.parquet"), one_file)
    assert read_labelled(directory / "part-*.parquet", quiet).files == ("part-0.parquet", "part-1.parquet")
    assert one_file.repairs["duplicate rows (kept)"] == 4


def test_a_pattern_without_files_is_refused(tmp_path: Path) -> None:
    assert complaint(tmp_path / "part-*.parquet") == f"{tmp_path}/part-*.parquet: matches no file; expected flow tables"


def test_a_directory_says_the_label_of_its_rows(tmp_path: Path, whole: "pl.DataFrame", one_file: FlowTable) -> None:
    from pyarrow import dataset

    dataset.write_dataset(
        whole.to_arrow(), tmp_path / "hive", format="parquet", partitioning=["Label"], partitioning_flavor="hive"
    )
    assert (tmp_path / "hive" / "Label=DoS%20Hulk").is_dir()
    table = read(tmp_path / "hive")
    of_one = np.lexsort((one_file.label, one_file.start_ns))
    of_parts = np.lexsort((table.label, table.start_ns))
    for name in ("values", "host", "start_ns", "label", "family"):
        assert np.array_equal(getattr(one_file, name)[of_one], getattr(table, name)[of_parts]), name
    assert table.repairs == one_file.repairs


def test_a_directory_that_names_no_column_of_flows_is_told_and_changes_nothing(
    tmp_path: Path, whole: "pl.DataFrame", one_file: FlowTable
) -> None:
    for day, some in (("1", whole[:30]), ("2", whole[30:])):
        (tmp_path / "days" / f"day={day}").mkdir(parents=True)
        some.write_parquet(tmp_path / "days" / f"day={day}" / "part.parquet")
    table, told = told_of(tmp_path / "days")
    assert f"{tmp_path}/days: directories day=… are not read, no column of flows has this name" in told
    assert same(table, one_file)


def test_parts_may_have_their_columns_in_another_order_and_of_other_types(
    tmp_path: Path, whole: "pl.DataFrame", one_file: FlowTable
) -> None:
    directory = parts(tmp_path / "parts", whole, 22)  # the rows that stand twice lie in both
    other = whole[22:]
    whole_numbers = [name for name, kind in other.schema.items() if kind.is_integer()]
    other = other.select(reversed(other.columns)).with_columns(pl.col(whole_numbers).cast(pl.Float64))
    other = other.with_columns(pl.col("Label").cast(pl.Categorical))
    other.write_parquet(directory / "part-1.parquet")
    assert same(read(directory), one_file)


def test_a_part_without_rows_is_skipped_and_told(tmp_path: Path, whole: "pl.DataFrame", one_file: FlowTable) -> None:
    directory = parts(tmp_path / "parts", whole)
    whole[:0].write_parquet(directory / "part-2.parquet")
    whole[:0].write_csv(directory / "part-3.csv")
    (directory / "part-4.csv").write_bytes(b"")
    table, told = told_of(directory)
    for name in ("part-2.parquet", "part-3.csv", "part-4.csv"):
        assert f"skipped {directory}/{name}: has no rows" in told
    assert same(table, one_file)
    (directory / "part-3.csv").unlink()
    (directory / "part-4.csv").unlink()
    for name in ("part-0.parquet", "part-1.parquet"):
        whole[:0].write_parquet(directory / name)
    assert complaint(directory) == f"{directory}: has no rows in any of its 3 files; expected flows"


@pytest.mark.parametrize("content", [b"", b"no table at all\n", b"PAR1 and then something else", bytes(4096)])
def test_a_part_that_is_no_parquet_is_named(content: bytes, tmp_path: Path, whole: "pl.DataFrame") -> None:
    directory = parts(tmp_path / "parts", whole)
    (directory / "part-1.parquet").write_bytes(content)
    assert complaint(directory).startswith(f"{directory}/part-1.parquet:")


def test_a_damaged_part_is_named_with_its_row(tmp_path: Path, whole: "pl.DataFrame") -> None:
    directory = parts(tmp_path / "parts", whole)
    content = bytearray((directory / "part-1.parquet").read_bytes())
    content[4 : len(content) // 2] = bytes(len(content) // 2 - 4)
    (directory / "part-1.parquet").write_bytes(content)
    assert complaint(directory).startswith(f"{directory}/part-1.parquet:1: is a broken Parquet file")


def other(whole: "pl.DataFrame", kind: str) -> "pl.DataFrame":
    """The same rows as a part that does not fit to the others."""
    if kind == "lacks columns":
        return whole.drop(whole.columns[8:60])
    if kind == "foreign columns":
        return pl.DataFrame({"time": [1.5, 2.5], "value": ["a", "b"]})
    if kind == "text for numbers":
        return whole.with_columns(pl.lit("many").alias("Total Fwd Packet"))
    if kind == "lists for numbers":
        return whole.with_columns(pl.lit([1, 2]).alias("Total Fwd Packet"))
    return whole.with_columns(pl.lit("nobody").alias("Label"))


@pytest.mark.parametrize(
    "kind", ["lacks columns", "foreign columns", "text for numbers", "lists for numbers", "an unknown label"]
)
def test_a_part_that_is_unlike_the_others_is_named(kind: str, tmp_path: Path, whole: "pl.DataFrame") -> None:
    directory = parts(tmp_path / "parts", whole)
    other(whole[30:], kind).write_parquet(directory / "part-1.parquet")
    said = complaint(directory)
    assert said.startswith(f"{directory}/part-1.parquet")
    assert "\n" not in said


def test_a_part_that_is_cut_short_or_gone_is_named(tmp_path: Path, whole: "pl.DataFrame") -> None:
    directory = parts(tmp_path / "parts", whole)
    last = directory / "part-1.parquet"

    def gone(line: str) -> None:
        if line == f"reading {directory}/part-0.parquet":
            last.unlink()

    content = last.read_bytes()
    last.write_bytes(content[:-100])
    assert complaint(directory).startswith(f"{last}")
    with pytest.raises(DatasetError) as error:
        read_dataset(directory, gone)
    assert str(error.value).startswith(f"{last}: ")


def test_three_rows_a_part_are_the_table_still(tmp_path: Path, whole: "pl.DataFrame", one_file: FlowTable) -> None:
    for row in range(0, len(whole), 3):
        directory = tmp_path / "parts" / f"day={row // 20:03d}"
        directory.mkdir(parents=True, exist_ok=True)
        whole[row : row + 3].write_parquet(directory / f"part-{row:03d}.parquet")
    assert same(read(tmp_path / "parts"), one_file)


def test_a_bound_changes_nothing_of_what_is_read(
    tmp_path: Path, whole: "pl.DataFrame", one_file: FlowTable, monkeypatch: pytest.MonkeyPatch
) -> None:
    directory = parts(tmp_path / "parts", whole)
    monkeypatch.setattr(text, "PARQUET_ROWS", 7)
    sizes = past_memory(monkeypatch)
    with memory.bounded(memory.MOST_BYTES):
        assert same(read(directory), one_file)
    assert len(small_ones(sizes)) > 9
