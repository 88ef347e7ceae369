"""Flow tables of every public dialect: as the programs wrote them, as this product writes them, and as they break."""

import gzip
from pathlib import Path

import numpy as np
import pytest

from flows.batch import SRC_HIGH, SRC_LOW, START_NS, FlowBatch
from flows.columns import COLUMNS, INDEX, NAMES
from flows.dialects import CIC2017, DIALECTS, NATIVE, PYTHON_DIALECT, TOT, V4, Dialect
from tests.support.flow_files import lines, many_shapes, rewritten, table_of_2017, written
from tests.support.labelled_flows import read_cic, read_flows
from training.datasets.programs import BEFORE_V4, FLAGS
from training.datasets.table import FlowTable
from training.errors import DatasetError

pytest.importorskip("polars")
pytest.importorskip("pyarrow")

DOUBLED = "Fwd Header Length"


@pytest.fixture(scope="module")
def batch() -> FlowBatch:
    return many_shapes()


def column(table: FlowTable, name: str) -> list[float]:
    return table.values[:, INDEX[name]].tolist()


def complaint(path: Path) -> DatasetError:
    with pytest.raises(DatasetError) as error:
        read_flows(path)
    assert error.value.file == path
    return error.value


# What this product writes


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_our_own_table_reads_back_as_it_was_metered(dialect: Dialect, batch: FlowBatch, tmp_path: Path) -> None:
    table = read_flows(written(tmp_path, batch, dialect))
    kept = np.ones(len(batch), dtype=np.bool_)
    if not dialect.any_protocol:
        kept = np.isin(batch.column("protocol"), (6, 17))
    expected = batch.values[kept].copy()
    carried = [name for name in NAMES if name in dialect.fields]
    assert len(carried) >= 76
    assert set(table.missing) == set(NAMES) - set(carried)
    for name in carried:
        assert column(table, name) == expected[:, INDEX[name]].tolist(), name
    assert (table.host == batch.identity[kept][:, [SRC_HIGH, SRC_LOW]]).all()
    assert set(table.family) == {""}
    assert table.repairs["rows of protocol 0, left out"] == int((~kept).sum())


@pytest.mark.parametrize(("dialect", "unit_ns"), [(NATIVE, 1000), (TOT, 10**9), (V4, 10**9), (PYTHON_DIALECT, 10**9)])
def test_our_own_times_read_back_to_the_dialects_unit(
    dialect: Dialect, unit_ns: int, batch: FlowBatch, tmp_path: Path
) -> None:
    table = read_flows(written(tmp_path, batch, dialect))
    start = batch.identity[:, START_NS]
    if not dialect.any_protocol:
        start = start[np.isin(batch.column("protocol"), (6, 17))]
    assert (table.start_ns == start // unit_ns * unit_ns).all()


def test_our_own_table_is_not_taken_for_labelled(batch: FlowBatch, tmp_path: Path) -> None:
    for dialect in DIALECTS:
        with pytest.raises(DatasetError, match="have no label"):
            read_cic(written(tmp_path, batch, dialect))


def test_a_labelled_table_of_ours_can_be_fitted_on(batch: FlowBatch, tmp_path: Path) -> None:
    path = written(tmp_path, batch, V4)
    rows = [[cell.replace("NeedManualLabel", "PortScan") for cell in row] for row in lines(path)]
    assert set(read_cic(rewritten(path, rows)).family) == {"PortScan"}


# What the programs wrote


@pytest.mark.parametrize("capture", ["syn20k_long", "syn_first10k"])
def test_a_first_packet_that_was_counted_twice_is_taken_out(capture: str, shared_data: Path) -> None:
    """V4's own tables against those of the fork, which counts it once, over the flows that both cut alike.

    Of the third golden capture they cut two flows alike.
    """
    golden = shared_data / "meter-golden"
    repaired, right = (read_flows(golden / f"{capture}.java-{fork}.csv.gz") for fork in ("v4", "engelen"))
    key = ["flow_duration", "fwd_packets", "bwd_packets", "fwd_bytes", "bwd_bytes", "flow_iat_std"]
    compared = ["packet_length_mean", "packet_length_std", "packet_length_variance", "average_packet_size"]
    at = {tuple(row[[INDEX[name] for name in key]]): row for row in right.values}
    pairs = [(row, at[tuple(row[[INDEX[name] for name in key]])]) for row in repaired.values
             if tuple(row[[INDEX[name] for name in key]]) in at]  # fmt: skip
    assert len(pairs) > 0.5 * len(repaired)
    for name in compared:
        ours, theirs = (np.array([pair[i][INDEX[name]] for pair in pairs]) for i in (0, 1))
        assert ours == pytest.approx(theirs, rel=1e-6, abs=1e-4), name
    assert repaired.repairs["packet_length_mean: first packet counted twice -> once"] > 40


def test_the_forks_table_needs_no_repair_of_the_first_packet(shared_data: Path) -> None:
    table = read_flows(shared_data / "meter-golden" / "syn20k_long.java-engelen.csv.gz")
    assert table.missing == ("bwd_init_win_bytes",)
    assert not any("first packet counted twice" in reason for reason in table.repairs)


def test_v4s_table_lacks_the_forks_columns_and_says_which_others_are_unfit(shared_data: Path) -> None:
    table = read_flows(shared_data / "meter-golden" / "syn20k_long.java-v4.csv.gz")
    assert {"fwd_rst_flags", "bwd_psh_flags", "fwd_bulk_bytes_avg", "bwd_init_win_bytes"} <= set(table.missing)
    assert not FLAGS & set(table.missing)


def test_python_cicflowmeters_table_is_recognised_by_its_frames(shared_data: Path) -> None:
    table = read_flows(shared_data / "meter-golden" / "syn_first10k.pycic-0.2.0.csv.gz")
    assert len(table) == 720
    assert {"fwd_bytes", "packet_length_std", "fwd_header_length", "cwr_flag_count"} <= set(table.missing)
    assert {"flow_duration", "fwd_packets", "flow_iat_mean"}.isdisjoint(table.missing)


@pytest.mark.parametrize(
    ("name", "rows", "repaired"),
    [
        ("2017-10-10_online", 36, "times of 12 hours without AM or PM, 1 to 5 -> afternoon"),
        ("2017-10-11_online", 990, "flow_bytes_per_s without duration -> 0"),
        ("2017-10-16_online", 5450, "rows with the doubled column, whose name the header lacks"),
        ("2017-10-17_online", 2269, "rows whose flag counts stood under other flags' names"),
        ("2017-12-15_online", 6289, "columns in another release's spelling"),
    ],
)
def test_the_tables_of_2017_read_whole(name: str, rows: int, repaired: str, shared_data: Path) -> None:
    table = read_cic(shared_data / "cicflowmeter-benign" / f"{name}.csv.gz")
    assert len(table) == rows
    assert table.repairs[repaired] > 0
    assert set(table.missing) >= BEFORE_V4.unfit
    assert set(table.family) == {"BENIGN"}
    hour = table.start_ns // (3600 * 10**9) % 24
    assert hour.min() >= 8
    assert hour.max() < 18
    lengths = table.values[:, [INDEX["fwd_header_length"], INDEX["bwd_header_length"], INDEX["fwd_seg_size_min"]]]
    assert (lengths >= 0).all()
    assert column(table, "psh_flag_count") == column(table, "fwd_psh_flags")
    assert column(table, "urg_flag_count") == column(table, "fwd_urg_flags")


# Defects of the published files, one by one


@pytest.fixture
def published() -> list[list[str]]:
    return table_of_2017()


def test_permuted_flags_stand_under_their_own_names_again(published: list[list[str]], tmp_path: Path) -> None:
    table = read_cic(rewritten(tmp_path / "t.csv", published))
    # SYN held PSH, RST held ECE, and PSH, which is 0, held SYN
    assert column(table, "psh_flag_count") == [1, 0]
    assert column(table, "ece_flag_count") == [1, 1]
    assert column(table, "ack_flag_count") == [1, 1]
    assert column(table, "syn_flag_count") == column(table, "rst_flag_count") == [0, 0]
    assert table.repairs["rows whose flag counts stood under other flags' names"] == 2
    assert set(table.missing) >= FLAGS


def test_flags_of_a_later_program_are_left_where_they_are(published: list[list[str]], tmp_path: Path) -> None:
    names = [field if field in INDEX else "" for field in TOT.fields]
    at = {field: i for i, field in reversed(list(enumerate(CIC2017.fields)))}
    rows = [[row[at[field]] for field in TOT.fields] for row in published[1:]]
    assert "syn_flag_count" in names
    table = read_cic(rewritten(tmp_path / "t.csv", [list(TOT.header), *rows]))
    assert column(table, "syn_flag_count") == [1, 0]


def test_the_first_packets_length_counts_once(published: list[list[str]], tmp_path: Path) -> None:
    table = read_cic(rewritten(tmp_path / "t.csv", published))
    lengths = np.array([31, 0, 0])
    assert column(table, "packet_length_mean") == pytest.approx([lengths.mean()] * 2)
    assert column(table, "average_packet_size") == pytest.approx([lengths.mean()] * 2)
    assert column(table, "packet_length_std") == pytest.approx([lengths.std(ddof=1)] * 2)
    assert column(table, "packet_length_variance") == pytest.approx([lengths.var(ddof=1)] * 2)


def test_negative_lengths_and_times_are_set_right(published: list[list[str]], tmp_path: Path) -> None:
    table = read_cic(rewritten(tmp_path / "t.csv", published))
    assert column(table, "fwd_header_length") == [64, 16]
    assert column(table, "fwd_seg_size_min") == [32, 8]
    assert column(table, "flow_duration") == [33, 0]
    assert column(table, "flow_iat_min") == [0, 0]
    assert table.repairs["fwd_header_length negative on UDP -> 8 a packet"] == 1
    assert table.repairs["flow_duration negative -> 0"] == 1


def test_infinite_rates_are_zero_and_counted(published: list[list[str]], tmp_path: Path) -> None:
    table = read_cic(rewritten(tmp_path / "t.csv", published))
    assert column(table, "flow_bytes_per_s") == [9.4e5, 0]
    assert column(table, "flow_packets_per_s") == [90909.09, 0]
    assert table.repairs["flow_bytes_per_s without duration -> 0"] == 1
    assert table.repairs["flow_packets_per_s without duration -> 0"] == 1


def test_hours_without_am_or_pm_are_working_hours(published: list[list[str]], tmp_path: Path) -> None:
    at = CIC2017.fields.index("start")
    rows = [published[1].copy() for _ in range(5)]
    for row, clock in zip(rows, ("08:00:00", "12:59:59", "01:00:00", "05:59:59", "06:30:00"), strict=True):
        row[at] = f"03/07/2017 {clock}"
    table = read_cic(rewritten(tmp_path / "t.csv", [published[0], *rows]))
    clocks = [str(time)[11:19] for time in table.start_ns.astype("datetime64[ns]")]
    assert clocks == ["08:00:00", "12:59:59", "13:00:00", "17:59:59", "06:30:00"]
    assert table.repairs["times of 12 hours without AM or PM, 1 to 5 -> afternoon"] == 2
    assert table.repairs["times of 12 hours without AM or PM, 6 or 7, left in the morning"] == 1


def test_hours_of_a_whole_day_are_left_alone(published: list[list[str]], tmp_path: Path) -> None:
    at = CIC2017.fields.index("start")
    published[1][at], published[2][at] = "03/07/2017 23:00:00", "03/07/2017 03:00:00"
    table = read_cic(rewritten(tmp_path / "t.csv", published))
    assert [str(time)[11:13] for time in table.start_ns.astype("datetime64[ns]")] == ["23", "03"]
    assert not any("12 hours" in reason for reason in table.repairs)


def test_times_that_went_through_a_spreadsheet_are_read(published: list[list[str]], tmp_path: Path) -> None:
    at = CIC2017.fields.index("start")
    published[1][at], published[2][at] = "4/7/2017 8:54", "5/7/2017 2:07"
    table = read_cic(rewritten(tmp_path / "t.csv", published))
    assert [str(time)[:16] for time in table.start_ns.astype("datetime64[ns]")] == [
        "2017-07-04T08:54",
        "2017-07-05T14:07",
    ]


def test_header_rows_and_empty_rows_inside_the_table_are_left_out(published: list[list[str]], tmp_path: Path) -> None:
    empty = [""] * len(published[0])
    rows = [published[0], published[1], published[0], empty, published[2], [""]]
    table = read_cic(rewritten(tmp_path / "t.csv", rows))
    assert len(table) == 2
    assert table.repairs["header rows inside the table, left out"] == 1
    assert table.repairs["empty rows, left out"] == 2


def test_a_fault_after_rows_left_out_keeps_its_line(published: list[list[str]], tmp_path: Path) -> None:
    published[2][CIC2017.fields.index("fwd_packets")] = "two"
    rows = [published[0], published[1], published[0], [""] * len(published[0]), published[2]]
    error = complaint(rewritten(tmp_path / "t.csv", rows))
    assert (error.line, error.column) == (5, "Total Fwd Packets")


def test_the_doubled_column_may_lack_its_name_but_not_its_agreement(published: list[list[str]], tmp_path: Path) -> None:
    second = CIC2017.fields.index("fwd_header_length", CIC2017.fields.index("fwd_header_length") + 1)
    header = [name.strip() for i, name in enumerate(published[0]) if i != second]
    table = read_cic(rewritten(tmp_path / "t.csv", [header, *published[1:]]))
    assert column(table, "fwd_seg_size_min") == [32, 8]
    assert table.repairs["rows with the doubled column, whose name the header lacks"] == 2
    published[2][second] = "77"
    assert "85 fields, the header has 84" in str(complaint(rewritten(tmp_path / "u.csv", [header, *published[1:]])))
    error = complaint(rewritten(tmp_path / "v.csv", published))
    assert (error.line, error.column) == (3, DOUBLED)


def test_the_dash_of_a_published_label_may_be_windows(published: list[list[str]], tmp_path: Path) -> None:
    published[1][-1] = "Web Attack # XSS"
    path = rewritten(tmp_path / "t.csv", published)
    path.write_bytes(path.read_bytes().replace(b"#", b"\x96"))
    table = read_cic(path)
    assert table.family.tolist() == ["WebAttack", "BENIGN"]
    assert table.repairs["dashes of Windows-1252 -> UTF-8"] == 1


def test_line_ends_marks_and_quotes_of_other_systems_change_nothing(published: list[list[str]], tmp_path: Path) -> None:
    plain = rewritten(tmp_path / "t.csv", published)
    quoted = "\r\n".join(",".join(f'"{cell}"' for cell in row) for row in published) + "\r\n"
    other = tmp_path / "u.csv"
    other.write_bytes(b"\xef\xbb\xbf" + quoted.encode())
    assert (read_cic(other).values == read_cic(plain).values).all()


def test_seconds_of_python_cicflowmeter_04_are_told_by_the_rates(batch: FlowBatch, tmp_path: Path) -> None:
    path = written(tmp_path, batch, PYTHON_DIALECT)
    micros = read_flows(path)
    times = {column.name for column in COLUMNS if column.unit == "µs"}
    header, *rows = lines(path)
    for row in rows:
        for i, field in enumerate(PYTHON_DIALECT.fields):
            if field in times:
                row[i] = repr(float(row[i]) / 1e6)
    seconds = read_flows(rewritten(path, [header, *rows]))
    assert seconds.values == pytest.approx(micros.values)
    assert seconds.repairs["rows with times in seconds -> µs"] == len(batch)
    rows[0], rows[1] = lines(written(tmp_path, batch, PYTHON_DIALECT))[1:3]
    assert "contradict" in str(complaint(rewritten(path, [header, *rows])))


# Tables that are none


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_a_missing_column_is_named(dialect: Dialect, batch: FlowBatch, tmp_path: Path) -> None:
    path = written(tmp_path, batch, dialect)
    at = dialect.fields.index("flow_iat_mean")
    rows = [[cell for i, cell in enumerate(row) if i != at] for row in lines(path)]
    error = complaint(rewritten(path, rows))
    assert (error.line, error.column) == (1, dialect.header[at].strip())
    assert f"the {dialect.name} dialect" in str(error)


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_a_renamed_column_is_named_with_its_nearest(dialect: Dialect, batch: FlowBatch, tmp_path: Path) -> None:
    path = written(tmp_path, batch, dialect)
    header, *rows = lines(path)
    at = dialect.fields.index("idle_max")
    wanted, header[at] = header[at].strip(), header[at].strip() + "imum"
    error = complaint(rewritten(path, [header, *rows]))
    assert (error.line, error.column) == (1, wanted)
    assert f'nearest is "{wanted}imum"' in str(error)


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_extra_columns_are_read_past(dialect: Dialect, batch: FlowBatch, tmp_path: Path) -> None:
    path = written(tmp_path, batch, dialect)
    plain = read_flows(path)
    rows = [["extra", *row, "more"] for row in lines(path)]
    assert (read_flows(rewritten(path, rows)).values == plain.values).all()


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
@pytest.mark.parametrize(("field", "cell"), [("flow_iat_mean", "fast"), ("src_address", "gateway"), ("start", "noon")])
def test_a_bad_cell_is_named_with_line_and_column(
    dialect: Dialect, field: str, cell: str, batch: FlowBatch, tmp_path: Path
) -> None:
    path = written(tmp_path, batch, dialect)
    rows = lines(path)
    at = dialect.fields.index(field)
    rows[7][at] = cell
    error = complaint(rewritten(path, rows))
    assert (error.line, error.column) == (8, dialect.header[at].strip())
    assert repr(cell) in str(error)


def test_a_second_table_of_another_dialect_in_one_file_is_refused(batch: FlowBatch, tmp_path: Path) -> None:
    first = lines(written(tmp_path, batch, TOT))
    second = lines(written(tmp_path, batch, V4))
    error = complaint(rewritten(tmp_path / "t.csv", first + second))
    assert error.line == len(first) + 1


def test_a_header_of_two_dialects_is_refused(batch: FlowBatch, tmp_path: Path) -> None:
    path = written(tmp_path, batch, V4)
    header, *rows = lines(path)
    error = complaint(rewritten(path, [[*TOT.header[:40], *header[40:]], *rows]))
    assert error.line == 1
    assert error.column is not None


@pytest.mark.parametrize("dialect", DIALECTS, ids=lambda dialect: dialect.name)
def test_a_header_alone_is_no_table(dialect: Dialect, tmp_path: Path) -> None:
    for tail in ("", "\n", "\n\n", "\n" + "," * (len(dialect.header) - 1)):
        path = tmp_path / "t.csv"
        path.write_text(",".join(dialect.header) + tail)
        error = complaint(path)
        assert "no rows" in str(error)
        assert error.line == 1


def test_a_line_too_long_or_too_short_is_named(batch: FlowBatch, tmp_path: Path) -> None:
    path = written(tmp_path, batch, V4)
    rows = lines(path)
    longer = [*rows[:9], [*rows[9], "1"], *rows[10:]]
    assert complaint(rewritten(path, longer)).line == 10
    shorter = [*rows[:9], rows[9][:30], *rows[10:]]
    assert complaint(rewritten(path, shorter)).line == 10
    assert complaint(rewritten(path, [rows[0], rows[1][:30]])).line == 2


@pytest.mark.parametrize(
    "content",
    [b"", b"\n", b"a,b\n1,2\n", b"\x00" * 500, "Flow ID,Src IP\nü,1\n".encode("utf-16"), b"\x1f\x8b\x08\x00broken"],
)
def test_what_is_no_flow_table_is_refused(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "t.csv"
    path.write_bytes(content)
    complaint(path)


def test_bytes_of_another_encoding_are_named_by_their_line(batch: FlowBatch, tmp_path: Path) -> None:
    path = written(tmp_path, batch, V4)
    rows = lines(path)
    rows[4][-1] = "BENIGNé"
    path.write_bytes("\n".join(",".join(row) for row in rows).encode("latin-1"))
    assert complaint(path).line == 5


def test_a_cut_gz_is_refused_with_the_line_it_reaches(batch: FlowBatch, tmp_path: Path) -> None:
    whole = gzip.compress(written(tmp_path, batch, V4).read_bytes())
    path = tmp_path / "cut.csv.gz"
    path.write_bytes(whole[: len(whole) // 2])
    assert (complaint(path).line or 0) > 1
