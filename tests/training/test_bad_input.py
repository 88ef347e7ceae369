"""What an operator's own table can get wrong: each fault is told with file, line and column, and what was expected."""

import decimal
import gzip
import os
import random
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
import zstandard

from flows.dialects import CIC2017, NATIVE, V4
from tests.support.flow_files import lines, many_shapes, rewritten, table_of_2017, written
from training.datasets import collection, text
from training.datasets.collection import read_dataset
from training.datasets.kdd import read_kdd
from training.datasets.kdd_files import is_kdd
from training.datasets.packed import sha256_of, unpacked_sha256
from training.datasets.table import require_labels, require_normal_and_attacks
from training.errors import DatasetError
from training.labels import cic_vocabulary

if TYPE_CHECKING:
    import pyarrow as pa

pytest.importorskip("polars")

Rows = list[list[str]]


@pytest.fixture
def table() -> Rows:
    """Six flows with the header of 2017, two of them attacks."""
    header, tcp_flow, udp_flow = table_of_2017()
    flows = [tcp_flow.copy(), udp_flow.copy(), tcp_flow.copy(), udp_flow.copy(), tcp_flow.copy(), udp_flow.copy()]
    flows[1][-1], flows[4][-1] = "PortScan", "DoS Hulk"
    return [header, *flows]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "monday.csv"


def complaint(path: Path) -> str:
    with pytest.raises(DatasetError) as error:
        read_dataset(path, lambda _: None)
    assert "\n" not in str(error.value)
    return str(error.value)


def place(name: str) -> int:
    """Of a column of the 2017 header."""
    return [found.strip() for found in CIC2017.header].index(name)


def without(table: Rows, at: int) -> Rows:
    return [[cell for i, cell in enumerate(row) if i != at] for row in table]


def test_a_sound_table_is_no_fault(table: Rows, path: Path) -> None:
    read = read_dataset(rewritten(path, table), lambda _: None)
    require_normal_and_attacks(read)
    assert len(read) == 6


def test_a_missing_column(table: Rows, path: Path) -> None:
    message = complaint(rewritten(path, without(table, place("Flow IAT Mean"))))
    assert message.startswith(f'{path}:1, column "Flow IAT Mean": the header lacks this column of the cic2017 dialect')


@pytest.mark.parametrize("name", ["Source IP", "Timestamp", "Label"])
def test_a_missing_column_that_no_model_sees(name: str, table: Rows, path: Path) -> None:
    message = complaint(rewritten(path, without(table, place(name))))
    assert message.startswith(f'{path}:1, column "{name}": the header lacks this column')


def test_a_renamed_column(table: Rows, path: Path) -> None:
    table[0][place("Flow Bytes/s")] = "Flow Bytes per s"
    message = complaint(rewritten(path, table))
    assert message.startswith(f'{path}:1, column "Flow Bytes/s": the header lacks')
    assert message.endswith('nearest is "Flow Bytes per s"')


def test_an_extra_column_is_kept_out_and_counted(table: Rows, path: Path) -> None:
    plain = read_dataset(rewritten(path, table), lambda _: None)
    extra = read_dataset(rewritten(path, [["Note", *row] for row in table]), lambda _: None)
    assert (extra.values == plain.values).all()
    assert extra.repairs["columns of no use here, not read"] == 1


def test_text_where_a_number_belongs(table: Rows, path: Path) -> None:
    table[3][place("Total Fwd Packets")] = "many"
    message = complaint(rewritten(path, table))
    assert message == f"""{path}:4, column "Total Fwd Packets": 'many' is not a finite number, expected one"""


def test_a_label_is_one_however_it_is_spelled_and_as_wide_as_its_words(table: Rows, path: Path) -> None:
    table[1][place("Label")], table[2][place("Label")] = "DoS" + " " * 100_000 + "Hulk", "dos  HULK"
    read = read_dataset(rewritten(path, table), lambda _: None)
    assert read.label.tolist().count("DoS Hulk") == 3
    assert read.label.itemsize < 100


def test_more_days_than_any_recording_has(table: Rows, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collection, "MOST_DAYS", 2)
    for day, row in enumerate(table[1:4], start=1):
        row[place("Timestamp")] = f"0{day}/07/2017 08:55:58"
    assert complaint(rewritten(path, table)).startswith(f"{path}: has flows of 3 different days; expected 2 at most")


def test_an_unknown_label(table: Rows, path: Path) -> None:
    table[5][place("Label")] = "Ransomware"
    assert (
        complaint(rewritten(path, table))
        == f"""{path}:6, column "Label": unknown label 'Ransomware'; known are {cic_vocabulary()}"""
    )


def test_no_label_in_one_row(table: Rows, path: Path) -> None:
    table[5][place("Label")] = ""
    assert complaint(rewritten(path, table)) == f"""{path}:6, column "Label": unknown label ''"""


def test_a_time_that_cannot_be_read(table: Rows, path: Path) -> None:
    table[2][place("Timestamp")] = "yesterday"
    message = complaint(rewritten(path, table))
    assert message == f"""{path}:3, column "Timestamp": 'yesterday' is not a time like 03/07/2017 08:57:41"""


@pytest.mark.parametrize("when", ["9999-12-31 00:00:00", "2262-04-11 23:47:16", "1512-01-01 00:00:00"])
def test_a_time_out_of_range(when: str, table: Rows, path: Path) -> None:
    for row in table[1:]:
        row[place("Timestamp")] = "2017-07-03 08:55:58"
    table[2][place("Timestamp")] = when
    message = complaint(rewritten(path, table))
    assert message == f"""{path}:3, column "Timestamp": '{when}' is not between 1970 and 2162"""


@pytest.mark.parametrize(
    ("name", "value", "problem"),
    [
        ("flow_duration", 1e29, "longer than a century"),
        ("flow_iat_max", 1e300, "'1e+300' is no number of traffic, expected one within 1e+30"),
        ("flow_duration", -1e18, "longer than a century"),
        ("protocol", 1e29, "no protocol of IP; expected 0 to 255"),
        ("protocol", -5.0, "no protocol of IP; expected 0 to 255"),
    ],
)
def test_a_number_that_no_flow_has(path: Path, name: str, value: float, problem: str) -> None:
    import polars as pl

    table = pl.read_parquet(written(path.parent, many_shapes(), NATIVE, ".parquet"))
    numbers = table[name].cast(pl.Float64).to_list()
    numbers[1] = value
    table.with_columns(pl.Series(name, numbers)).write_parquet(path)
    assert complaint(path) == f'{path}:2, column "{name}": {problem}'


def test_a_table_without_columns_is_none_of_any_kind(path: Path) -> None:
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    parquet.write_table(pa.table({"a": [1, 2]}).select([]), path)
    assert not is_kdd(path)
    assert "has a header and no rows" in complaint(path)


def test_two_columns_of_one_name_that_differ(table: Rows, path: Path) -> None:
    at = place("Idle Max")
    doubled = [[*row, row[at]] for row in table]
    assert len(read_dataset(rewritten(path, doubled), lambda _: None)) == 6
    doubled[4][-1] = "77"
    message = complaint(rewritten(path, doubled))
    assert message == f'{path}:5, column "Idle Max": two columns have this name and differ here; expected one'


# Classes


def test_no_normal_traffic(table: Rows, path: Path) -> None:
    for row in table[1:]:
        row[-1] = "PortScan" if row[-1] == "BENIGN" else row[-1]
    read = read_dataset(rewritten(path, table), lambda _: None)
    with pytest.raises(DatasetError) as error:
        require_normal_and_attacks(read)
    assert str(error.value) == (
        f'{path}, column "Label": has no normal traffic, only DoS, PortScan; expected flows labelled BENIGN as well'
    )


def test_a_single_class(table: Rows, path: Path) -> None:
    for row in table[1:]:
        row[-1] = "BENIGN"
    read = read_dataset(rewritten(path, table), lambda _: None)
    with pytest.raises(DatasetError) as error:
        require_normal_and_attacks(read)
    assert str(error.value) == (
        f'{path}, column "Label": has a single class, BENIGN; expected flows of at least one attack as well'
    )


def test_nobody_has_labelled_them(path: Path) -> None:
    read = read_dataset(written(path.parent, many_shapes(), V4), lambda _: None)
    for require in (require_labels, require_normal_and_attacks):
        with pytest.raises(DatasetError, match=f"{len(read)} flows have no label"):
            require(read)


def test_nothing_but_attempts(table: Rows, path: Path) -> None:
    for row in table[1:]:
        row[-1] = "DoS Hulk - Attempted"
    read = read_dataset(rewritten(path, table), lambda _: None)
    with pytest.raises(DatasetError, match="has no flows"):
        require_normal_and_attacks(read)


# Files


def test_an_empty_file(path: Path) -> None:
    for content in (b"", b"\n", b"\n\n", b"\xef\xbb\xbf"):
        path.write_bytes(content)
        assert complaint(path) == f"{path}: is empty; expected a header and flows"


def test_a_header_alone(table: Rows, path: Path) -> None:
    assert complaint(rewritten(path, table[:1])) == f"{path}:1: has a header and no rows; expected flows below it"


def test_a_foreign_table(path: Path) -> None:
    message = complaint(rewritten(path, [["a", "b"], ["1", "2"]]))
    assert message.startswith(f"{path}:1: the header is none of native, cic2017, tot, v4, python")


def test_a_cut_gz_says_how_far_it_reaches(path: Path) -> None:
    plain = written(path.parent, many_shapes(), V4).read_bytes()
    whole = gzip.compress(plain)
    path.write_bytes(whole[:-500])
    message = complaint(path)
    line = int(message.removeprefix(f"{path}:").split(":")[0])
    assert 40 < line < plain.count(b"\n")
    assert "compressed data ends or breaks after this line" in message
    path.write_bytes(whole + b"more")
    assert "compressed data ends or breaks after this line" in complaint(path)


def test_a_cut_zst_is_refused(path: Path) -> None:
    whole = zstandard.compress(written(path.parent, many_shapes(), V4).read_bytes())
    for content in (whole[:-5], whole[:20], whole + whole[:30], whole + b"more", whole[:30] + whole[40:]):
        path.write_bytes(content)
        assert "compressed data ends or breaks after this line" in complaint(path)


def test_a_cut_parquet_is_refused(path: Path) -> None:
    whole = written(path.parent, many_shapes(), V4, ".parquet").read_bytes()
    named = whole.replace(b"protocol", b"\xf6rotocol").replace(b"Protocol", b"\xf6rotocol")
    for content in (whole[:-5], whole[:20], whole[:1000] + b"x" * 100 + whole[1100:], named):
        path.write_bytes(content)
        assert "is a broken Parquet file" in complaint(path)


def test_texts_of_parquet_that_are_no_letters_or_none_of_their_dictionary_are_refused(path: Path) -> None:
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    table = arrow_table(path)
    labels = pa.array(["BENIGN", "PortScan", "Bot"] * table.num_rows).slice(0, table.num_rows).dictionary_encode()
    parquet.write_table(table.drop_columns(["Label"]).append_column("Label", labels), path, compression="none")
    whole, group = path.read_bytes(), parquet.read_metadata(path).row_group(0)
    column = group.column(group.num_columns - 1)
    end = column.dictionary_page_offset + column.total_compressed_size
    for content in (whole.replace(b"PortScan", b"\xff\xfertScan"), whole[: end - 3] + b"\xff" * 3 + whole[end:]):
        path.write_bytes(content)
        assert "is a broken Parquet file" in complaint(path)


def test_a_fault_in_a_parquet_file_is_told_with_its_row(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    import polars as pl

    monkeypatch.setattr(text, "PARQUET_ROWS", 4)
    table = pl.read_parquet(written(path.parent, many_shapes(), V4, ".parquet"))
    labels = ["BENIGN"] * 9 + ["Ransomware"] + ["BENIGN"] * (len(table) - 10)
    table.with_columns(pl.Series("Label", labels)).write_parquet(path)
    assert complaint(path) == f"""{path}:10, column "Label": unknown label 'Ransomware'; known are {cic_vocabulary()}"""


def test_types_of_parquet_that_no_flow_has_are_told_with_their_column(path: Path) -> None:
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    table = arrow_table(path)
    parts = {
        "map": pa.array([[("a", 1)]] * len(table), pa.map_(pa.string(), pa.int32())),
        "wide": pa.array([decimal.Decimal("1.5")] * len(table), pa.decimal256(50, 2)),
        "list": pa.array([[1]] * len(table)),
    }
    for name, column in parts.items():
        parquet.write_table(table.append_column(name, column), path)
        assert f'column "{name}": is of ' in complaint(path)
    parquet.write_table(table.append_column("Label", table["Label"]).append_column("Label", table["Label"]), path)
    assert len(read_dataset(path, lambda _: None)) == len(table)
    at = table.column_names.index("Timestamp")
    for kind in (pa.timestamp("ms"), pa.timestamp("us"), pa.timestamp("us", "UTC"), pa.date32()):
        far = pa.array([2**30 if kind == pa.date32() else 2**60] * len(table), kind)  # the library panics at some
        parquet.write_table(table.set_column(at, "Timestamp", far), path)
        assert "is not a time like" in complaint(path)


def test_a_long_text_that_repeats_takes_no_memory_of_its_rows(path: Path) -> None:
    pa, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    rows, words = 16_384, pa.array(["x" * 100_000, "y"])
    places = pa.array([int(number % 8 != 0) for number in range(rows)], pa.int32())
    parquet.write_table(pa.table({"n": range(rows), "a": pa.DictionaryArray.from_arrays(places, words)}), path)
    assert path.stat().st_size < 1 << 20
    read, largest = [], 0
    for part in text.text_tables(path, Counter()):
        largest = max(largest, int(part.frame.estimated_size()))
        read += part.frame["0"].to_list()
    assert read == [str(number) for number in range(rows)]
    assert largest < 96 << 20
    parquet.write_table(pa.table({"a": ["y", "x" * (2 << 20)]}), path)
    with pytest.raises(DatasetError, match="has rows of up to 2,097,152 bytes"):
        list(text.text_tables(path, Counter()))


def arrow_table(path: Path) -> "pa.Table":
    import polars as pl

    return pl.read_parquet(written(path.parent, many_shapes(), V4, ".parquet")).to_arrow()


def test_binary_garbage(path: Path) -> None:
    for seed in range(20):
        path.write_bytes(random.Random(seed).randbytes(50_000))
        assert complaint(path).startswith(str(path))


def test_a_nul_byte(table: Rows, path: Path) -> None:
    table[3][place("Total Fwd Packets")] = "1\0"
    assert complaint(rewritten(path, table)) == f"{path}:4: a NUL byte in this line; expected text"
    path.write_bytes(path.read_text(encoding="utf-8").replace("\0", "").encode("utf-16"))
    assert ":1: " in complaint(path)


def test_a_very_long_cell_is_shown_in_part(table: Rows, path: Path) -> None:
    table[3][place("Total Fwd Packets")] = "9x" * 1_000_000
    message = complaint(rewritten(path, table))
    assert message.startswith(f'{path}:4, column "Total Fwd Packets": \'9x9x9x')
    assert len(message) < 300


def test_a_very_long_line(table: Rows, path: Path) -> None:
    rewritten(path, table)
    with path.open("a", encoding="utf-8") as stream:
        stream.write("1," * 100_000 + "\n")
    assert complaint(path) == f"{path}:8: 100001 fields, expected {len(table[0])}"


def test_a_line_that_never_ends(table: Rows, path: Path) -> None:
    rewritten(path, table)
    with path.open("a", encoding="utf-8") as stream:
        stream.write("1" * (40 << 20))
    message = complaint(path)
    assert message.startswith(f"{path}:8: this line is longer than 16,777,216 bytes")


def test_a_directory_in_which_one_file_is_bad(table: Rows, path: Path) -> None:
    rewritten(path.with_name("a.csv"), table)
    table[3][place("Total Fwd Packets")] = "many"
    rewritten(path.with_name("b.csv"), table)
    assert complaint(path.parent).startswith(f'{path.with_name("b.csv")}:4, column "Total Fwd Packets": ')


def test_lines_of_two_tables_glued_together(table: Rows, path: Path) -> None:
    other = lines(written(path.parent, many_shapes(), V4))
    message = complaint(rewritten(path, [*table, *other]))
    assert message.startswith(f"{path}:{len(table) + 1}, column ")


@pytest.mark.skipif(sys.platform != "linux", reason="needs pipes and /dev/zero")
@pytest.mark.parametrize("read", [read_dataset, read_kdd], ids=["flows", "records"])
def test_what_has_no_end_or_can_be_read_once_is_no_dataset(read: Callable[..., object], tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path in (tmp_path / "pipe", Path("/dev/zero")):
        with pytest.raises(DatasetError, match="is a pipe or a device; expected a file"):
            read(path, lambda _: None)
        for digest in (sha256_of, unpacked_sha256):  # of what an index names, too
            with pytest.raises(DatasetError, match="is a pipe or a device; expected a file"):
                digest(path)
