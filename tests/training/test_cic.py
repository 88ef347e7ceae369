import gzip
from pathlib import Path

import numpy as np
import pytest

from flows.columns import COLUMNS, INDEX
from tests.support.labelled_flows import read_cic
from training.errors import DatasetError

pytest.importorskip("polars")

FIRST = {"Src IP": "10.0.0.1", "Timestamp": "2017-07-04 12:00:00.250000", "Label": "BENIGN", "Protocol": "6"}


def header() -> list[str]:
    names = ["id", "Src IP", "Timestamp"]
    names += [column.v4 for column in COLUMNS if column.use != "never" and column.v4]
    return [*names, "Bwd Init Win Bytes", "Total TCP Flow Time", "Label", "Attempted Category"]


def write(tmp_path: Path, *rows: dict[str, str], names: list[str] | None = None) -> Path:
    names = names or header()
    lines = [",".join({**dict.fromkeys(names, "0"), **FIRST, **row}.get(name, "0") for name in names) for row in rows]
    path = tmp_path / "flows.csv"
    path.write_text("\n".join([",".join(names), *lines]) + "\n", encoding="utf-8")
    return path


def column(path: Path, name: str) -> list[float]:
    return read_cic(path).values[:, INDEX[name]].tolist()


def test_a_row_keeps_time_host_and_family(tmp_path: Path) -> None:
    path = write(tmp_path, {"Flow Duration": "1500", "Label": "FTP-Patator", "Src IP": "2001:db8::1"}, {})
    table = read_cic(path)
    assert table.start_ns[0] == np.datetime64("2017-07-04T12:00:00.25", "ns").astype(np.int64)
    assert (table.end_ns - table.start_ns).tolist() == [1_500_000, 0]
    assert table.host.tolist() == [[0x2001_0DB8_0000_0000, 1], [0, 0x0A000001]]
    assert table.family.tolist() == ["BruteForce", "BENIGN"]
    assert table.day.tolist() == ["2017-07-04"] * 2


def test_gz_reads_as_the_plain_file(tmp_path: Path) -> None:
    path = write(tmp_path, {"Flow Duration": "7"})
    packed = tmp_path / "flows.csv.gz"
    packed.write_bytes(gzip.compress(path.read_bytes()))
    assert (read_cic(packed).values == read_cic(path).values).all()


def test_rates_without_duration_are_zero(tmp_path: Path) -> None:
    rows = [{"Flow Bytes/s": bad, "Flow Packets/s": bad} for bad in ("NaN", "Infinity", "-1")]
    path = write(tmp_path, *rows)
    assert column(path, "flow_bytes_per_s") == column(path, "flow_packets_per_s") == [0, 0, 0]
    assert read_cic(path).repairs["flow_bytes_per_s without duration -> 0"] == 3


def test_the_published_backward_window_is_the_last_one(tmp_path: Path) -> None:
    answered = {"Bwd Init Win Bytes": "235", "Total Bwd packets": "3"}
    path = write(tmp_path, answered, {**answered, "Protocol": "17"}, {"Bwd Init Win Bytes": "0"})
    assert column(path, "bwd_last_win_bytes") == [235, -1, -1]
    assert column(path, "bwd_init_win_bytes") == [0, 0, 0]
    assert "bwd_init_win_bytes" in read_cic(path).missing


def test_a_first_packet_with_payload_counts_as_data(tmp_path: Path) -> None:
    udp = {"Protocol": "17", "Total Fwd Packet": "4", "Fwd Packet Length Min": "30", "Fwd Act Data Pkts": "3"}
    tcp = {"Total Fwd Packet": "4", "Fwd Packet Length Min": "0", "Fwd Act Data Pkts": "1"}
    assert column(write(tmp_path, udp, tcp), "fwd_act_data_packets") == [4, 1]


def test_headers_that_wrapped_at_16_bits_are_unwrapped(tmp_path: Path) -> None:
    bare = {"Total Fwd Packet": "2251", "Fwd Header Length": "-20516"}
    stamped = {"Total Fwd Packet": "2685", "Fwd Header Length": "20392"}
    assert column(write(tmp_path, bare, stamped), "fwd_header_length") == [2251 * 20, 20392 + 65536]


def test_attempts_and_unknown_protocols_are_left_out_and_counted(tmp_path: Path) -> None:
    table = read_cic(write(tmp_path, {}, {"Label": "DoS Hulk - Attempted"}, {"Protocol": "0"}))
    assert len(table) == 1
    assert table.repairs["rows of attempted attacks, left out"] == 1
    assert table.repairs["rows of protocol 0, left out"] == 1


def test_duplicates_are_counted_and_kept(tmp_path: Path) -> None:
    table = read_cic(write(tmp_path, {"id": "1"}, {"id": "2"}, {"id": "3", "Flow Duration": "1"}))
    assert (len(table), table.repairs["duplicate rows (kept)"]) == (3, 1)


@pytest.mark.parametrize(
    ("row", "name", "found"),
    [
        ({"Flow Duration": "fast"}, "Flow Duration", "'fast'"),
        ({"Flow Duration": ""}, "Flow Duration", "''"),
        ({"Flow IAT Mean": "NaN"}, "Flow IAT Mean", "'NaN'"),
        ({"Flow Bytes/s": "Infinity", "Flow Duration": "5"}, "Flow Bytes/s", "not finite"),
        ({"Label": "Ransomware"}, "Label", "'Ransomware'"),
        ({"Timestamp": "4/7/2017 8:00"}, "Timestamp", "'4/7/2017 8:00'"),
        ({"Src IP": "gateway"}, "Src IP", "'gateway'"),
    ],
)
def test_a_bad_value_is_named_with_line_and_column(tmp_path: Path, row: dict[str, str], name: str, found: str) -> None:
    path = write(tmp_path, {}, row)
    with pytest.raises(DatasetError) as error:
        read_cic(path)
    assert (error.value.file, error.value.line, error.value.column) == (path, 3, name)
    assert found in str(error.value)


def test_a_renamed_column_is_named_with_its_nearest(tmp_path: Path) -> None:
    names = [name.replace("Total Fwd Packet", "Total Fwd Packets") for name in header()]
    with pytest.raises(DatasetError, match=r'column "Total Fwd Packet".*nearest is "Total Fwd Packets"') as error:
        read_cic(write(tmp_path, {}, names=names))
    assert error.value.line == 1


def test_a_row_too_long_is_named_by_its_line(tmp_path: Path) -> None:
    path = write(tmp_path, {}, {})
    path.write_text(path.read_text() + "1," * 200 + "\n")
    with pytest.raises(DatasetError, match="201 fields") as error:
        read_cic(path)
    assert error.value.line == 4


@pytest.mark.parametrize("content", [b"", b"\x1f\x8b\x08\x00broken", b"\xff\xfe\x00a", b"a,b\n1,2\n"])
def test_a_foreign_file_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "flows.csv.gz"
    path.write_bytes(content)
    with pytest.raises(DatasetError):
        read_cic(path)


def test_a_truncated_gz_is_refused(tmp_path: Path) -> None:
    whole = gzip.compress(write(tmp_path, *[{"Flow Duration": str(i)} for i in range(500)]).read_bytes())
    path = tmp_path / "cut.csv.gz"
    path.write_bytes(whole[: len(whole) // 2])
    with pytest.raises(DatasetError):
        read_cic(path)


def test_a_missing_file_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DatasetError, match="no such file"):
        read_cic(tmp_path / "none.csv")


def test_the_public_sample_reads_whole(shared_data: Path) -> None:
    table = read_cic(shared_data / "cic-ids-2017" / "improved-sample-mon-thu.csv.gz")
    assert len(table) == 39_449
    assert np.isfinite(table.values).all()
    assert (table.values[:, INDEX["fwd_header_length"]] >= 0).all()
    assert int((table.family == "BENIGN").sum()) == 6_186
