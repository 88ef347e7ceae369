import gzip
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest
import zstandard
from hypothesis import given
from hypothesis import strategies as st

from flows.kdd.columns import FLAGS, KDD_COLUMNS, PROTOCOLS, SERVICES, UNKNOWN
from tests.training.kdd_lines import NAMES, record, records, written
from training import memory
from training.datasets import packed, rows
from training.datasets.kdd import NO_DIFFICULTY, KddTable, read_kdd
from training.datasets.kdd_files import is_kdd, kdd_files
from training.datasets.kdd_overlap import overlap
from training.errors import DatasetError

pytest.importorskip("polars")

LABELS = ("normal", "neptune", "satan", "guess_passwd", "rootkit", "smurf", "normal")


def quiet(_: str) -> None:
    pass


def read(path: Path) -> KddTable:
    return read_kdd(path, quiet)


def complaint(path: Path) -> str:
    with pytest.raises(DatasetError) as error:
        read(path)
    assert "\n" not in str(error.value)
    return str(error.value)


def table(tmp_path: Path, lines: Sequence[str], name: str = "kdd.txt") -> KddTable:
    return read(written(tmp_path / name, lines))


def same(one: KddTable, other: KddTable) -> bool:
    names = ("records", "label", "family", "difficulty")
    return all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names)


def test_records_are_the_numbers_and_symbols_of_the_file(tmp_path: Path) -> None:
    line = record("neptune", difficulty="18", protocol_type="udp", service="domain_u", flag="SF", src_bytes="44")
    found = table(tmp_path, [line])
    cells = dict(zip(NAMES, found.records[0].tolist(), strict=True))
    assert found.records.shape == (1, 41)
    assert (PROTOCOLS[int(cells["protocol_type"])], SERVICES[int(cells["service"])]) == ("udp", "domain_u")
    assert (FLAGS[int(cells["flag"])], cells["src_bytes"]) == ("SF", 44.0)
    numbers = [i for i, column in enumerate(KDD_COLUMNS) if column.kind != "symbol"]
    assert found.records[0, numbers].tolist() == [float(line.split(",")[i]) for i in numbers]
    assert (found.label[0], found.family[0], found.difficulty[0]) == ("neptune", "DoS", 18)


def test_rows_keep_their_order_and_attacks_their_families(tmp_path: Path) -> None:
    found = table(tmp_path, records(LABELS))
    assert tuple(found.label) == LABELS
    assert found.family.tolist() == ["BENIGN", "DoS", "Probe", "R2L", "U2R", "DoS", "BENIGN"]
    assert found.repairs == {"rows": len(LABELS)}


def test_the_dot_of_kdd_99_is_no_part_of_a_name(tmp_path: Path) -> None:
    new = table(tmp_path, records(LABELS), "new.txt")
    old = table(tmp_path, records([f"{label}." for label in LABELS], difficulty=None), "kddcup.data")
    assert np.array_equal(new.records, old.records)
    assert np.array_equal(new.label, old.label)
    assert (old.difficulty == NO_DIFFICULTY).all()


def test_a_file_may_begin_with_an_attack_that_is_called_like_a_column(tmp_path: Path) -> None:
    found = table(tmp_path, records(("land", "normal")))
    assert found.label.tolist() == ["land", "normal"]


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("pack", [bytes, gzip.compress, zstandard.compress], ids=["plain", "gzip", "zstd"])
def test_a_file_is_the_same_however_it_is_stored(tmp_path: Path, pack: type, end: str) -> None:
    plain = table(tmp_path, records(LABELS))
    stored = tmp_path / "stored"
    stored.write_bytes(pack((end.join(records(LABELS)) + end).encode()))
    assert same(read(stored), plain)


@pytest.mark.parametrize("label", ["class", "label", "attack", "Attack Type"])
def test_a_header_names_columns_in_any_order(tmp_path: Path, label: str) -> None:
    plain = table(tmp_path, records(LABELS))
    header = [*NAMES, label, "difficulty_level"]
    lines = [line.split(",") for line in [",".join(header), *records(LABELS)]]
    moved = [",".join(cells[::-1]) for cells in lines]
    assert same(table(tmp_path, [",".join(cells) for cells in lines], "a.csv"), plain)
    assert same(table(tmp_path, moved, "b.csv"), plain)


def test_a_table_is_the_same_however_it_is_cut_into_blocks(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = written(tmp_path / "kdd.txt", records(LABELS * 5))
    whole = read(path)
    monkeypatch.setattr(packed, "BLOCK_BYTES", 700)
    monkeypatch.setattr(packed, "READ_BYTES", 100)
    monkeypatch.setattr(memory, "IN_MEMORY_BYTES", 0)
    monkeypatch.setattr(rows, "ROWS_AT_ONCE", 3)
    assert same(read(path), whole)


def test_symbols_that_nobody_knows_are_counted_and_have_a_code(tmp_path: Path) -> None:
    found = table(tmp_path, records(LABELS[:2], service="quic") + records(LABELS[2:3], flag="S9"))
    assert found.records[:, NAMES.index("service")].tolist()[:2] == [UNKNOWN, UNKNOWN]
    assert found.records[2, NAMES.index("flag")] == UNKNOWN
    assert found.repairs["cells of an unknown service"] == 2
    assert found.repairs["cells of an unknown flag"] == 1


@pytest.mark.parametrize(
    ("cells", "problem"),
    [
        ({"src_bytes": "many"}, r"kdd\.txt:2, column \"src_bytes\": 'many' is not a finite number"),
        ({"duration": "nan"}, r":2, column \"duration\": 'nan' is not a finite number"),
        ({"dst_bytes": "inf"}, r":2, column \"dst_bytes\": 'inf' is not a finite number"),
        ({"count": "-1"}, r":2, column \"count\": '-1' is not a whole number of at least 0"),
        ({"count": "1.5"}, r":2, column \"count\": '1.5' is not a whole number"),
        ({"duration": "-1"}, r":2, column \"duration\": '-1' is not a number of at least 0"),
        ({"serror_rate": "1.01"}, r":2, column \"serror_rate\": '1.01' is not a share of 0 to 1"),
        ({"serror_rate": "-0.5"}, r":2, column \"serror_rate\": '-0.5' is not a share of 0 to 1"),
        ({"land": "2"}, r":2, column \"land\": '2' is not 0 or 1"),
        ({"protocol_type": "1"}, r":2, column \"protocol_type\": '1' is no protocol type"),
        ({"flag": ""}, r":2, column \"flag\": '' is no flag"),
    ],
)
def test_a_cell_that_cannot_be_is_named_with_its_place(tmp_path: Path, cells: dict[str, str], problem: str) -> None:
    lines = [record(), record(seed=1, **cells)]
    with pytest.raises(DatasetError, match=problem):
        table(tmp_path, lines)


@pytest.mark.parametrize(
    ("label", "difficulty", "problem"),
    [
        ("ransomware", "21", "column \"attack\": unknown attack 'ransomware'"),
        ("neptune..", "21", "unknown attack 'neptune..'"),
        ("", "21", "unknown attack ''"),
        ("normal", "22", "column \"difficulty\": '22' is not a difficulty of 0 to 21"),
        ("normal", "hard", "'hard' is not a finite number"),
    ],
)
def test_a_label_that_nobody_gave_is_named(tmp_path: Path, label: str, difficulty: str, problem: str) -> None:
    path = written(tmp_path / "kdd.txt", [record(), record(label, difficulty=difficulty)])
    assert f"kdd.txt:2, {problem}" in complaint(path) or problem in complaint(path)
    assert ":2, " in complaint(path)


@pytest.mark.parametrize("change", [lambda line: line + ",1", lambda line: line.rpartition(",")[0]])
def test_a_row_of_another_width_is_named_with_its_line(tmp_path: Path, change: type) -> None:
    lines = records(LABELS)
    lines[3] = change(lines[3])
    width = 44 if len(lines[3].split(",")) > 43 else 42
    path = written(tmp_path / "kdd.txt", lines)
    assert complaint(path) == f"{path}:4: {width} fields, expected 43"


@pytest.mark.parametrize("width", [1, 41, 44])
def test_a_file_of_another_width_is_refused(tmp_path: Path, width: int) -> None:
    line = ",".join((record() + ",0").split(",")[:width])
    assert f":1: {width} fields; expected 41 columns" in complaint(written(tmp_path / "kdd.txt", [line] * 3))


def test_a_header_that_lacks_a_column_or_has_it_twice_is_refused(tmp_path: Path) -> None:
    header = ",".join([*NAMES, "class"])
    line = record(difficulty=None)
    lacking = written(tmp_path / "a.csv", [header.replace("hot", "cold"), line])
    assert 'a.csv:1, column "hot": the header lacks this column' in complaint(lacking)
    twice = written(tmp_path / "b.csv", [f"{header},hot", f"{line},0"])
    assert 'b.csv:1, column "hot": the header has this column twice' in complaint(twice)


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"", "is empty"),
        (b"\x1f\x8bnot gzip", "compressed data ends or breaks"),
        (gzip.compress(record().encode() * 50)[:-9], "compressed data ends or breaks"),
        (b"@relation 'KDDTrain'\n@attribute 'duration' real\n", "is an ARFF file"),
        (b"a,b\0c\n", "NUL byte"),
    ],
    ids=["empty", "not gz", "cut gz", "arff", "binary"],
)
def test_what_is_no_such_file_is_refused(tmp_path: Path, content: bytes, problem: str) -> None:
    path = tmp_path / "kdd.txt"
    path.write_bytes(content)
    assert problem in complaint(path)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    assert "absent.txt: cannot be read" in complaint(tmp_path / "absent.txt")
    assert "cannot be read" in complaint(tmp_path)


@given(st.lists(st.integers(0, len(LABELS) - 1)))
def test_taken_rows_are_those_of_the_table(tmp_path_factory: pytest.TempPathFactory, chosen: list[int]) -> None:
    found = table(tmp_path_factory.getbasetemp(), records(LABELS))
    few = found.take(np.array(chosen, dtype=np.int64))
    assert few.label.tolist() == [LABELS[i] for i in chosen]
    assert np.array_equal(few.records, found.records[chosen])
    marked = np.isin(np.arange(len(found)), chosen)
    assert same(found.take(marked), found.take(np.array(sorted(set(chosen)), dtype=np.int64)))


ROWS = st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["normal", "neptune"])), min_size=1, max_size=12)


@given(ROWS, ROWS)
def test_common_records_are_counted_as_by_comparing_all_of_them(
    tmp_path_factory: pytest.TempPathFactory, one: list[tuple[int, str]], other: list[tuple[int, str]]
) -> None:
    place = tmp_path_factory.getbasetemp()
    first, second = (
        table(place, [record(label, seed=seed) for seed, label in made], name)
        for name, made in (("one.txt", one), ("other.txt", other))
    )
    found = overlap(first, second)
    seeds, others = [seed for seed, _ in one], [seed for seed, _ in other]
    assert found.distinct == len(set(seeds) & set(others))
    assert found.rows == (sum(seed in others for seed in seeds), sum(seed in seeds for seed in others))
    assert found.relabelled == sum(row[0] in others and row not in other for row in one)


def test_files_are_told_by_their_content(tmp_path: Path) -> None:
    header = ",".join([*NAMES, "class"])
    written(tmp_path / "b.csv", [header, record(difficulty=None)])
    written(tmp_path / "a.txt", records(LABELS))
    written(tmp_path / "Field Names.csv", ["duration,continuous", "protocol_type,symbolic"])
    written(tmp_path / "notes.md", records(LABELS))
    told: list[str] = []
    assert kdd_files(tmp_path, told.append) == [tmp_path / "a.txt", tmp_path / "b.csv"]
    assert [line.partition(":")[0] for line in told] == [
        f"skipped {tmp_path / 'Field Names.csv'}", f"skipped {tmp_path / 'notes.md'}",
    ]  # fmt: skip
    assert is_kdd(written(tmp_path / "damaged.txt", [record().rpartition(",0")[0]]))
    assert not is_kdd(written(tmp_path / "flows.csv", ["Src IP,Dst IP,Protocol", "10.0.0.1,10.0.0.2,6"]))


def test_nsl_kdd_is_read_whole(shared_data: Path) -> None:
    found = read(shared_data / "nsl-kdd" / "KDDTrain+.txt.gz")
    assert found.repairs == {"rows": 125_973}
    names, counts = np.unique(found.family, return_counts=True)
    families = dict(zip(names.tolist(), counts.tolist(), strict=True))
    assert families == {"BENIGN": 67_343, "DoS": 45_927, "Probe": 11_656, "R2L": 995, "U2R": 52}
    assert len(np.unique(found.label)) == 23
    assert overlap(found, found).rows == (125_973, 125_973)
