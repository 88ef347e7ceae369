"""The index of captures: what it says of each, and one line for whatever is wrong with it."""

import gzip
import hashlib
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.networks import COLUMNS, write_index
from training.datasets.captures.index import read_index
from training.errors import DatasetError

CONTENT = b"not looked into"
DIGEST = hashlib.sha256(CONTENT).hexdigest()
GOOD = {"path": "a.pcap", "kind": "benign", "network": "one"}
ATTACK = {"path": "a.pcap", "kind": "attack", "network": "one", "group": "c2", "expect": "T1071.004 T1571"}


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    (tmp_path / "inside").mkdir()
    for name in ("inside/a.pcap", "inside/b.pcap", "inside/truth.csv", "outside.pcap"):
        (tmp_path / name).write_bytes(CONTENT)
    return tmp_path / "inside"


def test_an_index_tells_of_each_capture_what_it_is(directory: Path) -> None:
    path = write_index(directory, [{**GOOD, "sha256": DIGEST}, {**ATTACK, "path": "b.pcap", "network": "two"}])
    index = read_index(path)
    benign, attack = index.captures
    assert (benign.network, benign.group, benign.expect, benign.family) == ("one", "benign", frozenset(), "")
    assert (attack.group, attack.expect, attack.family) == ("c2", {"T1071", "T1571"}, "Tunnel")
    assert attack.path == directory / "b.pcap"
    assert index.networks == ("one", "two")


def test_a_byte_order_mark_is_no_part_of_a_name(directory: Path) -> None:
    path = write_index(directory, [GOOD])
    before = read_index(path)
    path.write_bytes(b"\xef\xbb\xbf" + path.read_bytes())
    assert read_index(path) == before


def test_a_directory_stands_for_its_index(directory: Path) -> None:
    path = write_index(directory, [GOOD])
    assert read_index(directory) == read_index(path)


def test_whose_project_it_is_names_the_network_where_no_column_does(directory: Path) -> None:
    write_index(directory, [{"path": "a.pcap", "kind": "benign", "source": "zeek"}], ("path", "kind", "source"))
    assert read_index(directory).networks == ("zeek",)


def test_a_digest_is_that_of_the_unpacked_capture(directory: Path) -> None:
    (directory / "a.pcap.gz").write_bytes(gzip.compress(CONTENT))
    packed, plain = {**GOOD, "path": "a.pcap.gz", "sha256": DIGEST}, {**GOOD, "sha256": DIGEST}
    write_index(directory, [packed])
    first = read_index(directory)
    write_index(directory, [plain])
    assert first.captures[0].sha256 == DIGEST
    assert first.sha256 == read_index(directory).sha256


def test_the_digest_of_an_index_hangs_on_its_truths_too(directory: Path) -> None:
    write_index(directory, [{**GOOD, "kind": "labelled", "truth": "truth.csv"}])
    before = read_index(directory).sha256
    (directory / "truth.csv").write_bytes(b"other")
    assert read_index(directory).sha256 != before


@pytest.mark.parametrize(
    ("rows", "problem"),
    [
        ([], "names no captures"),
        ([{**GOOD, "path": "c.pcap"}], 'index.csv:2, column "path": names c.pcap, which is not there'),
        ([{**GOOD, "path": "."}], "names ., which is no file"),
        ([{**GOOD, "path": ""}], "names '', which is no file below"),
        ([{**GOOD, "path": "../outside.pcap"}], r"names '\.\./outside.pcap', which is no file below"),
        ([{**GOOD, "path": "/etc/passwd"}], "names '/etc/passwd', which is no file below"),
        ([{**GOOD, "path": "out"}], "names 'out', which is no file below"),
        ([GOOD, GOOD], 'index.csv:3, column "path": names a.pcap again, as line 2 does'),
        ([GOOD, {**GOOD, "path": "./a.pcap"}], "names ./a.pcap again, as line 2 does"),
        ([{**GOOD, "sha256": "0" * 64}], f"says sha256 000000000000… of a.pcap; found {DIGEST[:12]}…"),
        ([{**GOOD, "sha256": "md5"}], "has the digest 'md5'; expected 64 hexadecimal digits"),
        ([{**GOOD, "kind": "evil"}], "has the kind 'evil'; expected benign, attack, labelled"),
        ([{**GOOD, "network": " "}], "names no network"),
        ([{**ATTACK, "expect": "T1071 T9999"}], "has the unknown technique 'T9999'; known are T1110"),
        ([{**ATTACK, "expect": "beacon"}], "has the unknown technique 'beacon'"),
        ([{**GOOD, "expect": "T1071"}], "expects T1071, which only an attack may"),
        ([{**GOOD, "kind": "labelled"}], "names no truth of its flows"),
        ([{**GOOD, "truth": "truth.csv"}], "names a truth, though its kind is benign"),
        ([{**GOOD, "kind": "labelled", "truth": "none.csv"}], 'column "truth": names none.csv, which is not there'),
    ],
)
def test_what_is_wrong_is_one_line_with_its_place(directory: Path, rows: list[dict[str, str]], problem: str) -> None:
    (directory / "out").symlink_to(directory.parent / "outside.pcap")
    write_index(directory, rows)
    with pytest.raises(DatasetError, match=problem) as error:
        read_index(directory)
    assert "\n" not in str(error.value)
    assert str(directory / "index.csv") in str(error.value)


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        (b"", "has the columns of nothing; expected an index of captures"),
        (b"path,kind\na.pcap,benign\n", "expected an index of captures with the columns path, kind and network"),
        (b"path,kind,network,sha265\n", "has the unknown column 'sha265'"),
        (b"path,kind,network,kind\n", "has the column 'kind' twice"),
        (b"path,kind,network\na.pcap,benign\n", "index.csv:2: has 2 cells; expected 3"),
        (b"path,kind,network\na.pcap,benign,one,two\n", "index.csv:2: has 4 cells; expected 3"),
        (b'path,kind,network\n"a.pcap,benign,one\n', "is no CSV"),
        (b"path,kind,network\n\xff\xfe,benign,one\n", "is not UTF-8 text"),
        (b"path,kind,network\na\0.pcap,benign,one\n", r"names 'a\\x00.pcap', which is no file below|is no CSV"),
    ],
)
def test_a_file_that_is_no_index_is_told(directory: Path, text: bytes, problem: str) -> None:
    (directory / "index.csv").write_bytes(text)
    with pytest.raises(DatasetError, match=problem) as error:
        read_index(directory)
    assert "\n" not in str(error.value)


def test_an_index_that_is_one_endless_line_or_a_device_is_told_at_once(tmp_path: Path) -> None:
    sparse = tmp_path / "index.csv"
    sparse.touch()
    os.truncate(sparse, 1 << 40)
    with pytest.raises(DatasetError, match=r"index\.csv:1: is a line of more than 65,536 characters"):
        read_index(sparse)
    if sys.platform == "linux":
        with pytest.raises(DatasetError, match="is a pipe or a device"):
            read_index(Path("/dev/zero"))


def test_a_missing_index_is_told(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match=r"index\.csv: cannot be read \(no such file"):
        read_index(tmp_path)


def test_every_column_of_an_index_is_known(directory: Path) -> None:
    row: dict[str, Any] = {**GOOD, "sha256": DIGEST, "group": "desk"}
    assert read_index(write_index(directory, [row], COLUMNS)).captures[0].group == "desk"
