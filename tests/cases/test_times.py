"""Clocks that are wrong: flows keep the times of their packets, and what was odd is told.

The forward-only clock is for timeouts; a filter by a flow's times finds its packets.
"""

from pathlib import Path

import pytest

from flows.batch import END_NS, SRC_LOW, START_NS, FlowBatch
from tests.cases.test_together import EPOCH_NS, SECOND, read, stored
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


def test_a_clock_that_was_set_back_for_good(tmp_path: Path) -> None:
    packets = questions(60)
    back = [stamped(packet, packet.ts_ns - HOUR) for packet in questions(60, first=60)]
    flows, source = read(stored(tmp_path / "back", packets + back))
    assert times(flows) == {1 + i: (packet.ts_ns, packet.ts_ns) for i, packet in enumerate(packets + back)}
    assert source.remarks == [
        f"{tmp_path}/back: the clock was set back 1 time, by up to 60 min; flows keep the times of their packets "
        "(editcap -t shifts them)"
    ]


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
