"""Flow logs read back: the same records in the same order, whoever wrote the file and whatever befell it."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pytest
from pyarrow import parquet

from flows.batch import (
    END_NS,
    END_REASON,
    NEW_PACKETS,
    REPORTED_NS,
    SEEN,
    SEEN_RST,
    SEEN_RST_BACK,
    SEEN_SYN,
    SEEN_SYN_BACK,
    SNAPSHOT,
    SRC_HIGH,
    START_NS,
    VLAN,
    FlowBatch,
)
from flows.dialects import CIC2017, NATIVE
from flows.meter import Meter, concatenate
from sensor.cli.flow_log_argument import is_flow_log
from sensor.errors import InputError
from sensor.flow_log import reading
from sensor.flow_log.reading import FlowLog
from tests.support.flow_files import many_shapes, written
from tests.support.flow_logs import BY, about, changed, judged, logged, moved, part, same, together
from tests.support.packets import block, tcp, udp

pytestmark = pytest.mark.takes(12)


def reported_often() -> FlowBatch:
    """Records with snapshots and with reports that come out of the order of their flows, of IPv4 and IPv6."""
    packets = [tcp("10.0.0.1:40000", "10.0.0.2:22", "PA", at=float(i), payload=30) for i in range(0, 200, 3)]
    packets += [udp("[2001:db8::1]:5000", "[2001:db8::2]:53", at=5.0 + i, payload=20, vlan=(7,)) for i in range(20)]
    packets.sort(key=lambda packet: packet.ts_ns)
    meter = Meter(64, news_only=True)
    return concatenate([meter.feed(block(packets)), meter.drain()])


def read(*paths: Path) -> tuple[FlowBatch, FlowLog]:
    log = FlowLog(paths)
    return together(list(log.batches())), log


def test_a_log_gives_the_very_records_that_were_written(tmp_path: Path) -> None:
    records = together([reported_often(), many_shapes()])
    logged(tmp_path, judged(part(records, 0, 9)), judged(part(records, 9)))
    found, log = read(tmp_path)
    assert same(found, records)
    assert (records.identity[:, END_REASON] == SNAPSHOT).any()
    assert not log.problems
    assert not log.remarks


def test_what_was_said_of_records_comes_back_with_who_said_it(tmp_path: Path) -> None:
    first, second = (
        judged(part(many_shapes(), 0, 20), dropped=3),
        judged(part(many_shapes(), 20), seed=4, clock_step_ns=-9),
    )
    logged(tmp_path, first, second)
    for wrote, found in zip((first, second), FlowLog([tmp_path]).judged(), strict=True):
        assert same(found.records, wrote.records)
        assert (found.by, found.dropped, found.clock_step_ns) == (BY, wrote.dropped, wrote.clock_step_ns)
        for name in ("verdict", "p_known", "p_novel", "label", "judged"):
            assert np.array_equal(getattr(found.judgement, name), getattr(wrote.judgement, name))
        assert all(np.array_equal(found.judgement.scores[name], wrote.judgement.scores[name]) for name in BY.detectors)


def test_labels_come_back_whatever_their_letters_are(tmp_path: Path) -> None:
    odd = replace(BY, labels=("BENIGN", "a\x1b[2J\n", "é" * 90))
    wrote = judged(many_shapes(), odd)
    logged(tmp_path, wrote)
    [found] = FlowLog([tmp_path]).judged()
    assert found.by == odd
    assert np.array_equal(found.judgement.label, wrote.judgement.label)


def test_circumstances_that_change_within_a_row_group_part_its_records(tmp_path: Path) -> None:
    records = many_shapes()
    parts = [judged(part(records, 0, 5)), judged(part(records, 5, 9), dropped=2), judged(part(records, 9), dropped=8)]
    logged(tmp_path, *parts)
    one_group = parquet.read_table(next(tmp_path.iterdir()))
    parquet.write_table(one_group, next(tmp_path.iterdir()))
    assert [(len(found), found.dropped) for found in FlowLog([tmp_path]).judged()] == [
        (5, 0),
        (4, 2),
        (len(records) - 9, 8),
    ]


def test_files_of_a_run_follow_one_another_by_number_wherever_they_are_named(tmp_path: Path) -> None:
    records = reported_often()
    second = logged(tmp_path, judged(part(records, 6)), number=2)
    first = logged(tmp_path, judged(part(records, 0, 6)), number=1)
    assert same(read(second, first)[0], records)


def test_runs_that_overlap_are_merged_in_the_order_of_their_reports(tmp_path: Path) -> None:
    records = reported_often()
    for number, run in enumerate(("a" * 16, "b" * 16, "c" * 16)):
        logged(tmp_path, *(judged(part(moved(records, 20 * number), i, i + 3)) for i in range(0, 8, 3)), run=run)
    found, _ = read(tmp_path)
    assert len(records) == 8
    assert (np.diff(found.identity[:, REPORTED_NS]) >= 0).all()
    wanted = together([moved(records, 20 * number) for number in range(3)])
    assert sorted(found.identity.tolist()) == sorted(wanted.identity.tolist())


def test_runs_one_after_the_other_are_read_one_at_a_time(tmp_path: Path) -> None:
    records = part(many_shapes(), 0, 8)
    for number in range(5):
        logged(tmp_path, judged(moved(records, 1000 * (5 - number))), run=f"{number:016x}")
    found = list(FlowLog([tmp_path]).batches())
    assert [len(batch) for batch in found] == [8] * 5
    assert same(together(found), together([moved(records, 1000 * number) for number in range(1, 6)]))


def test_late_records_of_a_worker_stay_where_they_came(tmp_path: Path) -> None:
    records = reported_often()
    order = np.array([0, 2, 1, 3, 5, 4])
    late = FlowBatch(records.identity[order], records.values[order])
    logged(tmp_path, judged(late))
    assert same(read(tmp_path)[0], late)


def test_a_native_flow_table_is_read_and_what_it_lacks_is_said(tmp_path: Path) -> None:
    records = many_shapes()
    found, log = read(written(tmp_path, records, NATIVE, ".parquet"))
    assert found.values.tobytes() == records.values.tobytes()
    same_words = [*range(SRC_HIGH, VLAN + 1), END_REASON]
    assert np.array_equal(found.identity[:, same_words], records.identity[:, same_words])
    for word in (START_NS, END_NS):
        assert np.array_equal(found.identity[:, word], records.identity[:, word] // 1000 * 1000)
    assert (np.diff(found.identity[:, REPORTED_NS]) >= 0).all()
    assert np.array_equal(found.identity[:, NEW_PACKETS], records.values[:, 2] + records.values[:, 3])
    told = SEEN_SYN | SEEN_SYN_BACK | SEEN_RST | SEEN_RST_BACK
    agreed = (found.identity[:, SEEN] & told) == (records.identity[:, SEEN] & told)
    assert agreed.mean() > 0.6  # which side sent a SYN is a guess in a table
    assert len(log.remarks) == 1
    assert "no reports of flows that went on" in log.remarks[0]
    assert not list(FlowLog([tmp_path / "native.parquet"]).judged())


def test_a_table_that_passed_through_another_program_is_read_as_it_was(tmp_path: Path) -> None:
    path = written(tmp_path, many_shapes(), NATIVE, ".parquet")
    wanted, _ = read(path)
    table = parquet.read_table(path)
    for name in ("src_port", "fwd_packets", "start", "src_address"):
        kind = {"src_port": pa.int32(), "fwd_packets": pa.int32(), "start": pa.timestamp("ns", "UTC")}
        at = table.column_names.index(name)
        table = table.set_column(at, name, table.column(at).cast(kind.get(name, pa.large_string())))
    parquet.write_table(table, path)
    assert same(read(path)[0], wanted)


@pytest.mark.parametrize("together_up_to", [reading.ROWS_AT_ONCE, 0], ids=["small ones together", "each by itself"])
def test_a_table_in_many_parts_is_read_as_the_table(
    together_up_to: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = written(tmp_path, many_shapes(), NATIVE, ".parquet")
    table = parquet.read_table(path).sort_by("end")
    parquet.write_table(table, path)
    wanted, _ = read(path)
    for row in range(table.num_rows):
        part = tmp_path / "parts" / f"day={row % 3}" / f"part-{row:05d}.parquet"
        part.parent.mkdir(parents=True, exist_ok=True)
        parquet.write_table(table.slice(row, 1), part)
    parquet.write_table(table.slice(0, 0), tmp_path / "parts" / "day=0" / "part-empty.parquet")
    (tmp_path / "parts" / "_SUCCESS").write_bytes(b"")
    monkeypatch.setattr(reading, "ROWS_AT_ONCE", together_up_to)
    for name in (tmp_path / "parts", tmp_path / "pa*" / "**" / "part-*.parquet"):
        found, log = read(name)
        assert same(found, wanted)
        assert len(log.paths) == table.num_rows + 1
        assert is_flow_log(str(name))


def damaged(path: Path, kind: str) -> str:
    """Damage a file in a way, and what is said of it."""
    content = path.read_bytes()
    middle = len(content) // 2
    changes = {
        "cut": (content[:middle], "cut short"),
        "empty": (b"", "found an empty file"),
        "text": (b"src,dst\n1,2\n", "found a text file"),
        "footer": (content[:-1008] + bytes(1000) + content[-8:], "damaged: "),
        "pages": (content[:200] + bytes(middle) + content[200 + middle :], "damaged: "),
        "name": (renamed(content, b"reported"), "damaged: "),
        "length": (content[:-8] + b"\xff\xff\xff\x7f" + content[-4:], "damaged: "),
    }
    path.write_bytes(changes[kind][0])
    return changes[kind][1]


def renamed(content: bytes, name: bytes) -> bytes:
    """The column's last name in the footer, that of its statistics, in letters that are none."""
    at = content.rindex(name)
    return content[:at] + b"\x86" * len(name) + content[at + len(name) :]


@pytest.mark.parametrize("kind", ["cut", "empty", "text", "footer", "pages", "name", "length"])
def test_a_damaged_file_is_one_line_and_the_others_are_read(tmp_path: Path, kind: str) -> None:
    records = many_shapes()
    first = logged(tmp_path, judged(records), number=1)
    logged(tmp_path, judged(moved(records, 60)), number=2)
    said = damaged(first, kind)
    found, log = read(tmp_path)
    assert same(found, moved(records, 60))
    assert len(log.problems) == 1
    assert log.problems[0].startswith(f"{first}: {said}")
    assert "\n" not in log.problems[0]


def test_every_flipped_byte_is_read_or_refused(tmp_path: Path) -> None:
    path = logged(tmp_path, judged(part(many_shapes(), 0, 12)))
    content = path.read_bytes()
    draw = np.random.default_rng(1)
    for at in draw.choice(len(content), 150, replace=False).tolist():
        path.write_bytes(content[:at] + bytes([content[at] ^ draw.integers(1, 256)]) + content[at + 1 :])
        log = FlowLog([path])
        sum(len(batch) for batch in log.batches())
        assert all("\n" not in problem for problem in log.problems)


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("fwd_bytes", float("nan"), "fwd_bytes is nan in a row, expected a finite number"),
        ("flow_iat_std", float("inf"), "flow_iat_std is inf in a row"),
        ("bwd_packets", -5.0, "bwd_packets is -5.0 in a row"),
        ("fwd_bytes", 1e300, "fwd_bytes is 1e+300 in a row"),
        ("src_port", 70_000, "src_port is 70000 in a row, expected 0 to 65,535"),
        ("protocol", 256, "protocol is 256 in a row, expected 0 to 255"),
        ("ip_version", 5, "ip_version is 5 in a row, expected 4 or 6"),
        ("dst_low", 1 << 40, "dst_low is 1099511627776 in a row, expected an IPv4 address of 32 bits"),
        ("vlan", -1, "vlan is -1 in a row"),
        ("report", -1, "report is -1 in a row"),
        ("start", -1, "start is -1 in a row"),
        ("start_shift_ns", -(1 << 62), "expected times of a clock that never goes back"),
        ("end_shift_ns", (1 << 63) - 1, "expected times of a clock that never goes back"),
        ("end_reason", "boredom", "end_reason has a text that is none of snapshot, idle timeout"),
        ("fwd_packets", None, "fwd_packets lacks a value in a row"),
        ("seen", 1 << 60, "seen is "),
    ],
)
def test_a_row_that_no_meter_writes_is_refused(tmp_path: Path, name: str, value: object, said: str) -> None:
    path = changed(logged(tmp_path, judged(part(many_shapes(), 0, 9))), name, value)
    log = FlowLog([path])
    assert not list(log.batches())
    assert len(log.problems) == 1
    assert f"{path}: damaged: " in log.problems[0]
    assert said in log.problems[0]


@pytest.mark.parametrize(
    ("name", "value", "said"),
    [
        ("p_known", 0.0, "p_known has a value that is no p-value"),
        ("p_novel", float("nan"), "p_novel has a value that is no p-value"),
        ("score_lstm", float("inf"), "score_lstm has a value that is not finite"),
        ("label", "Heartbleed", "label has a text that is none of BENIGN, PortScan, DoS"),
        ("verdict", "guilty", "verdict has a text that is none of benign"),
        ("judged", None, "judged lacks a value in a row"),
    ],
)
def test_words_that_no_judge_says_are_refused(tmp_path: Path, name: str, value: object, said: str) -> None:
    path = changed(logged(tmp_path, judged(part(many_shapes(), 0, 9))), name, value)
    log = FlowLog([path])
    assert not list(log.judged())
    assert said in log.problems[0]


def test_a_log_of_another_version_or_meaning_is_told_so(tmp_path: Path) -> None:
    path = logged(tmp_path, judged(part(many_shapes(), 0, 9)))
    for changes, said in (
        ({"schema": "flow-log/2"}, "found flow-log/2, which a newer flowvigil wrote; expected flow-log/1: upgrade"),
        ({"columns": "0" * 16}, "found a flow-log/1 with values of another meaning (0000000000000000), expected "),
        ({"schema": 3}, "found metadata that no flow log has"),
    ):
        other = about(logged(tmp_path / "other", judged(part(many_shapes(), 0, 9))), **changes)
        log = FlowLog([other])
        assert not list(log.batches())
        assert said in log.problems[0]
    log = FlowLog([about(path, judge=None)])
    assert not list(log.judged())
    assert "found no word of who judged" in log.problems[0]


def test_foreign_tables_are_told_what_they_lack(tmp_path: Path) -> None:
    tables = {
        "other.parquet": pa.table({"a": [1]}),
        "empty.parquet": pa.table({}),
    }
    for name, table in tables.items():
        parquet.write_table(table, tmp_path / name)
    published = written(tmp_path, many_shapes(), CIC2017, ".parquet")
    log = FlowLog([tmp_path])
    assert not list(log.batches())
    assert len(log.problems) == 3
    assert all("found no column src_address, src_port, dst_address and " in problem for problem in log.problems)
    assert str(published) in " ".join(log.problems)
    twice = parquet.read_table(logged(tmp_path / "log", judged(many_shapes())))
    parquet.write_table(twice.append_column("report", twice.column("seen")), tmp_path / "log" / "twice.parquet")
    assert "found column report twice" in _problem(tmp_path / "log" / "twice.parquet")


def test_a_column_of_another_type_is_refused(tmp_path: Path) -> None:
    table = parquet.read_table(logged(tmp_path, judged(many_shapes())))
    at = table.column_names.index("report")
    path = tmp_path / "typed.parquet"
    parquet.write_table(table.set_column(at, "report", table.column(at).cast(pa.float64())), path)
    assert "column report is of double, expected int64" in _problem(path)


def _problem(path: Path) -> str:
    log = FlowLog([path])
    assert not list(log.batches())
    return log.problems[0]


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe.parquet")
    assert "found no regular file" in _problem(tmp_path / "pipe.parquet")


def test_nothing_to_read_is_an_error_at_once(tmp_path: Path) -> None:
    with pytest.raises(InputError, match="found no Parquet file, expected a flow log"):
        FlowLog([tmp_path])
    with pytest.raises(InputError, match="no such file or directory"):
        FlowLog([tmp_path / "gone"])


def test_a_name_with_controls_is_told_without_them(tmp_path: Path) -> None:
    path = tmp_path / "a\x1b[2J\n.parquet"
    path.write_bytes(b"")
    assert "\x1b" not in _problem(path)


def test_a_file_that_is_small_as_it_is_stored_takes_little_memory(tmp_path: Path) -> None:
    path = logged(tmp_path, judged(part(many_shapes(), 0, 1)))
    same_row = parquet.read_table(path).take(pa.array(np.zeros(100_000, dtype=np.int32)))
    parquet.write_table(same_row, path, compression="zstd", row_group_size=100_000)
    assert path.stat().st_size < 1 << 20 < 80 << 20 < same_row.nbytes
    script = (
        "import pyarrow as pa\nfrom sensor.flow_log.reading import FlowLog\n"
        f"assert sum(map(len, FlowLog([{str(path)!r}]).batches())) == 100_000\n"
        "print(pa.default_memory_pool().max_memory())\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=60, check=True)
    assert int(result.stdout) < 30 << 20


def test_a_long_text_that_repeats_takes_no_memory_of_its_rows(tmp_path: Path) -> None:
    path = written(tmp_path, many_shapes(), NATIVE, ".parquet")
    rows = parquet.read_table(path).take(pa.array(np.zeros(8192, dtype=np.int32)))
    long = pa.DictionaryArray.from_arrays(pa.array(np.zeros(8192, dtype=np.int32)), pa.array(["x" * 50_000]))
    at = rows.column_names.index("src_address")
    parquet.write_table(rows.set_column(at, "src_address", long.cast(pa.string())), path)
    assert path.stat().st_size < 1 << 20
    script = (
        "import pyarrow as pa\nfrom sensor.flow_log.reading import FlowLog\n"
        f"log = FlowLog([{str(path)!r}])\nassert not list(log.batches())\n"
        "assert 'src_address has a text that is no address' in log.problems[0]\n"
        "print(pa.default_memory_pool().max_memory())\n"
    )
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, timeout=60, check=True)
    assert int(result.stdout) < 40 << 20


def claiming_a_row(content: bytes, rows: int, *, in_groups: bool) -> bytes:
    """A file whose footer says that it has 1 row, and its row group too if asked; pages and columns stay."""
    length = int.from_bytes(content[-8:-4], "little")
    footer = bytearray(content[-8 - length : -8])
    digits = [2 * rows >> at & 127 for at in range(0, (2 * rows).bit_length(), 7)]  # as Thrift's compact numbers
    field = bytes([0x16, *(digit | 128 for digit in digits[:-1]), digits[-1]])
    one = bytes([0x16, 0x82, *[0x80] * (len(digits) - 2), 0])
    for at in [footer.find(field), *([footer.rfind(field)] if in_groups else [])]:
        footer[at : at + len(field)] = one
    return content[: -8 - length] + footer + content[-8:]


@pytest.mark.parametrize("in_groups", [False, True], ids=["as a whole", "in its row groups"])
def test_parts_that_claim_few_rows_and_hold_many_are_not_held_at_once(tmp_path: Path, *, in_groups: bool) -> None:
    path = written(tmp_path, many_shapes(), NATIVE, ".parquet")
    row, rows = parquet.read_table(path).slice(0, 1), 50_000
    path.unlink()
    for name, count in (("a", 1), ("b", rows), ("c", 1)):
        same_row = row.take(pa.array(np.zeros(count, dtype=np.int32)))
        parquet.write_table(same_row, tmp_path / f"{name}.parquet", row_group_size=rows)
    lies = tmp_path / "b.parquet"
    lies.write_bytes(claiming_a_row(lies.read_bytes(), rows, in_groups=in_groups))
    assert parquet.read_metadata(lies).num_rows == 1
    log = FlowLog([tmp_path])
    found = [len(batch) for batch in log.batches()]
    assert max(found) <= 3 * reading.ROWS_AT_ONCE
    assert sum(found) == (3 if in_groups else rows + 2)
    assert not log.problems


def test_a_row_group_without_bounds_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sensor.flow_log.files.MAX_GROUP_ROWS", 8)
    assert "found a row group of 9 rows" in _problem(logged(tmp_path, judged(part(many_shapes(), 0, 9))))
