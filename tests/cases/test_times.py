"""Clocks that are wrong: flows keep the times of their packets, and what was odd is told.

The forward-only clock is for timeouts; a filter by a flow's times finds its packets.
"""

from pathlib import Path

import pytest

from flows.batch import END_NS, END_REASON, REPORTED_NS, SRC_LOW, START_NS, FlowBatch
from flows.meter import Meter
from sensor.metering.captures import CaptureTurns
from sensor.sources.captures.stream import CaptureStream
from tests.cases.test_together import EPOCH_NS, SECOND, counts, read, session, stored
from tests.support.packets import Packet, udp

HOUR = 3600 * SECOND
YEAR_2106_NS = 4_294_967_295 * SECOND  # the last second of a pcap


def questions(count: int, first: int = 0) -> list[Packet]:
    """A datagram a second, each of another host."""
    return [udp(f"10.0.0.{1 + i}:5", "10.0.1.1:53", at=float(i)) for i in range(first, first + count)]


def stamped(packet: Packet, ts_ns: int) -> Packet:
    return Packet(packet.frame, ts_ns)


def times(flows: FlowBatch) -> dict[int, tuple[int, int]]:
    """First and last time of each source's flow, by the last byte of its address."""
    return {int(row[SRC_LOW]) & 0xFF: (int(row[START_NS]), int(row[END_NS])) for row in flows.identity}


@pytest.mark.parametrize("wrong_ns", [0, EPOCH_NS - 5 * HOUR, EPOCH_NS + HOUR // 2, EPOCH_NS + 30 * HOUR, YEAR_2106_NS])
def test_one_wrong_stamp_moves_no_other_flow(tmp_path: Path, wrong_ns: int) -> None:
    """The flow of that packet has its time; all others have theirs, and all have ended as they would have."""
    packets = questions(100)
    packets[40] = stamped(packets[40], wrong_ns)
    flows, source = read(stored(tmp_path / "odd", packets))
    expected = {1 + i: (packet.ts_ns, packet.ts_ns) for i, packet in enumerate(packets)}
    assert times(flows) == expected
    assert len(source.remarks) == 1
    assert "1 packet stamped up to" in source.remarks[0]


@pytest.mark.parametrize("ahead_ns", [HOUR // 2, 30 * HOUR, YEAR_2106_NS - EPOCH_NS])
def test_a_wrong_stamp_at_the_beginning_moves_no_flow(tmp_path: Path, ahead_ns: int) -> None:
    """All flows but that packet's are as they would have been, and another capture stays in its place."""
    talk = [packet for i in range(60) for packet in session(f"10.0.0.1:{40_000 + i}", at=0.5 * i)]
    alone = [udp("10.0.0.9:5", "10.0.1.1:53", at=-1.0), *talk]
    right, _ = read(stored(tmp_path / "right", alone))
    wrong = stored(tmp_path / "wrong", [stamped(alone[0], alone[0].ts_ns + ahead_ns), *alone[1:]])
    flows, source = read(wrong)
    assert len(source.remarks) == 1
    assert "1 packet stamped up to" in source.remarks[0]
    talks, rights = (batch.values[batch.column("protocol") == 6] for batch in (flows, right))
    assert (talks == rights).all()
    later = stored(tmp_path / "later", [udp(f"10.0.0.{i}:5", "10.0.1.1:53", at=10.0 + i) for i in range(10, 40)])
    flows, source = read(wrong, later)
    assert len(source.remarks) == 1
    assert (flows.values[flows.column("protocol") == 6] == rights).all()


def test_a_clock_that_was_set_back_for_good(tmp_path: Path) -> None:
    packets = questions(60)
    back = [stamped(packet, packet.ts_ns - HOUR) for packet in questions(60, first=60)]
    flows, source = read(stored(tmp_path / "back", packets + back))
    assert times(flows) == {1 + i: (packet.ts_ns, packet.ts_ns) for i, packet in enumerate(packets + back)}
    assert source.remarks == [
        f"{tmp_path}/back: the clock was set back 1 time, by up to 60 min; flows keep the times of their packets "
        "(editcap -t shifts them)"
    ]


def test_a_last_stamp_that_nothing_confirms_ends_no_flow(tmp_path: Path) -> None:
    packets = questions(50)
    right, _ = read(stored(tmp_path / "right", packets))
    flows, source = read(stored(tmp_path / "odd", [*packets[:-1], stamped(packets[-1], YEAR_2106_NS)]))
    assert flows.identity[:, END_REASON].tolist() == right.identity[:, END_REASON].tolist()
    assert flows.identity[:, REPORTED_NS].max() <= right.identity[:, REPORTED_NS].max()
    assert source.remarks == []


def test_the_first_connection_after_days_is_whole(tmp_path: Path) -> None:
    """Captures of several days in one stream, or one that begins before its clock was set: nothing to confirm there."""
    monday, friday = session("10.0.0.1:40000", at=0.0), session("10.0.0.1:40001", at=4 * 86400.0)
    flows, source = read(stored(tmp_path / "friday", friday), stored(tmp_path / "monday", monday))
    assert counts(flows) == {(6, 4): 2}
    assert [turn.totals.stats.clock_jumps for turn in CaptureTurns(CaptureStream([str(tmp_path)]), Meter(64))][-1] == 0
    assert source.remarks == []
    flows, _ = read(stored(tmp_path / "unset", [stamped(monday[0], 0), *friday]))
    assert counts(flows) == {(1, 0): 1, (6, 4): 1}


def test_a_capture_from_1970_to_2106(tmp_path: Path) -> None:
    """A clock that was not set yet, then one far ahead: two times, both told as they are."""
    packets = [stamped(packet, SECOND * i) for i, packet in enumerate(questions(50))]
    packets += [stamped(packet, YEAR_2106_NS - SECOND * (60 - i)) for i, packet in enumerate(questions(50, first=50))]
    flows, _ = read(stored(tmp_path / "far", packets))
    assert times(flows) == {1 + i: (packet.ts_ns, packet.ts_ns) for i, packet in enumerate(packets)}


def test_a_sensor_whose_clock_is_an_hour_behind_beside_a_right_one(tmp_path: Path) -> None:
    """They do not overlap as they are stamped, and each keeps its times."""
    behind = [stamped(packet, packet.ts_ns - HOUR) for packet in questions(40)]
    flows, source = read(stored(tmp_path / "a", questions(40, first=40)), stored(tmp_path / "b", behind))
    assert len(times(flows)) == 80
    assert times(flows)[1] == (EPOCH_NS - HOUR, EPOCH_NS - HOUR)
    assert source.remarks == []
