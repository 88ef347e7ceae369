"""Packets of alerts: every packet of the flows they rest on is in the alert's file, or counted as missing."""

import itertools
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from flows.batch import FlowBatch
from flows.block import PacketBlock
from flows.columns import COLUMNS, INDEX
from flows.meter import Meter, concatenate
from sensor.alerts.alert import Alert, Observer
from sensor.alerts.alert_flow import AlertFlow
from sensor.packets.directory import PacketDirectory
from sensor.packets.recorder import PacketRecorder
from sensor.packets.ring import PacketRing
from sensor.progress.progress import KeptPackets
from sensor.progress.words import kept_in_words
from tests.support.alerts import an_alert
from tests.support.capture_bytes import read
from tests.support.packets import Packet, block, tcp, udp

pytestmark = pytest.mark.ux

ALERT, OTHER = "A" * 26, "B" * 26
ENDS = "10.0.0.1:1000", "10.0.0.2:80"


def talk(source: str, target: str, count: int, *, at: float = 0.0, size: int = 10) -> list[Packet]:
    """A conversation: a packet every 10 ms, both ways in turn."""
    ends = source, target
    return [tcp(ends[n % 2], ends[1 - n % 2], at=at + n / 100, payload=size) for n in range(count)]


class Scene:
    """A recorder, its directory and the meter of the same packets."""

    def __init__(self, path: Path, *, memory: int = 1 << 20, total: int = 1 << 30, **limits: Any) -> None:
        self.path = path
        self.meter = Meter(1024, news_only=True)
        self.numbers = itertools.count(1)
        self.recorder = PacketRecorder(
            PacketRing(memory),
            PacketDirectory(path, total),
            Observer("gw1", "0"),
            interfaces=("eth0", "eth1"),
            **{"max_packets": 1000, "max_bytes": 1 << 20, **limits},
        )

    def see(self, packets: list[Packet], **fields: Any) -> list[AlertFlow]:
        """Packets come; flows that the meter tells of by then."""
        taken = replace(block(packets), **fields)
        self.recorder.ring.add(taken, np.zeros(len(taken), dtype=np.int64))
        return flows_of(self.meter.feed(taken), self.numbers)

    def retain(self, alerts: list[Alert], flows: list[AlertFlow]) -> list[Alert]:
        """Alerts and flows in the order that episodes give them: an alert closes after its flows. The alerts, named."""
        open_ones = [alert for alert in alerts if alert.action != "closed"]
        closing = [alert for alert in alerts if alert.action == "closed"]
        return [item for item in self.recorder.retain([*open_ones, *flows, *closing]) if isinstance(item, Alert)]

    def end(self) -> list[AlertFlow]:
        return flows_of(self.meter.drain(), self.numbers)

    def frames(self, alert: str = ALERT) -> list[bytes]:
        return [packet.frame for packet in read((self.path / f"{alert}.pcapng").read_bytes())[0]]

    def comment(self, alert: str = ALERT) -> str:
        content = (self.path / f"{alert}.pcapng").read_bytes()
        return content[28 : 28 + int.from_bytes(content[26:28], "little")].decode()


def flows_of(records: FlowBatch, numbers: Iterator[int]) -> list[AlertFlow]:
    return [
        AlertFlow(
            alert_id=ALERT,
            number=next(numbers),
            identity=identity,
            values=values,
            p_known=0.1,
            p_novel=0.1,
            label=None,
        )
        for identity, values in zip(records.identity.tolist(), records.values, strict=True)
    ]


def lines(*actions: str, alert: str = ALERT, **fields: Any) -> list[Alert]:
    return [an_alert(action=action, id=alert, **fields) for action in actions]


def test_the_file_holds_the_packets_of_the_flagged_flows_in_time_order(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    flagged, others = talk(*ENDS, 6), talk("10.0.0.9:1", "10.0.0.2:80", 6, at=0.005)
    scene.see(sorted([*flagged, *others], key=lambda packet: packet.ts_ns))
    flows = [flow for flow in scene.end() if flow.identity[4] == 1000]
    named = scene.retain(lines("opened", "closed"), flows)
    scene.recorder.write()
    assert [alert.packets_file for alert in named] == [f"{ALERT}.pcapng"] * 2
    assert scene.frames() == [packet.frame for packet in flagged]
    assert scene.recorder.state == KeptPackets(1, 6, sum(len(packet.frame) for packet in flagged))


def test_a_flow_told_again_and_again_adds_each_packet_once(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    packets = [tcp(*ENDS, at=second) for second in range(100)]
    opened = lines("opened")
    for begin in range(0, 100, 10):
        scene.retain(opened, scene.see(packets[begin : begin + 10]))
        scene.recorder.write()
        opened = []
    scene.retain(lines("closed"), scene.end())
    scene.recorder.write()
    assert scene.frames() == [packet.frame for packet in packets]
    assert scene.recorder.state.forgotten == 0
    assert "100 packets of 1 of its 318 flows; packets of its flows that are missing: none" in scene.comment()


def test_a_flow_told_late_stands_in_time_order_with_those_before(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    slow, quick = talk(*ENDS, 3, at=0.001), [udp("10.0.0.3:5", "10.0.0.4:5", at=0.015)]
    scene.see(sorted([*slow, *quick], key=lambda packet: packet.ts_ns))
    first, second = sorted(scene.end(), key=lambda flow: flow.identity[6], reverse=True)
    scene.recorder.retain([*lines("opened"), first])
    scene.recorder.write()
    scene.recorder.retain([second])
    scene.recorder.write()
    assert [packet.ts_ns for packet in read((tmp_path / f"{ALERT}.pcapng").read_bytes())[0]] == sorted(
        packet.ts_ns for packet in [*slow, *quick]
    )


def test_packets_beyond_either_limit_are_counted_and_told_in_the_file(tmp_path: Path) -> None:
    for limit, first, last in ({"max_packets": 4}, 2, 2), ({"max_bytes": 200}, 1, 2):
        scene = Scene(tmp_path, **limit)
        scene.see(packets := talk(*ENDS, 10))
        scene.retain(lines("opened", "closed"), scene.end())
        scene.recorder.write()
        assert scene.frames() == [packet.frame for packet in packets[:first] + packets[-last:]]
        assert scene.recorder.state.over_limit == 10 - first - last
        assert f"{10 - first - last} over the limit of this file" in scene.comment()
        scene.recorder.retain(lines("opened"))
        scene.recorder.close()


def test_a_long_alert_has_its_beginning_and_its_end_and_its_file_is_not_written_for_each_packet(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene(tmp_path, max_packets=100)
    written: list[int] = []
    write = PacketDirectory.write
    monkeypatch.setattr(
        PacketDirectory, "write", lambda self, name, content: (written.append(len(content)), write(self, name, content))
    )
    packets = [udp(f"10.0.0.1:{1 + n}", "10.0.0.2:9", at=n) for n in range(3000)]
    opened = lines("opened")
    for packet in packets:
        scene.retain(opened, scene.see([packet]))
        scene.recorder.write()
        opened = []
    before_the_end = len(written)
    scene.retain(lines("closed"), scene.end())
    scene.recorder.write()
    frames, sent = scene.frames(), [packet.frame for packet in packets]
    assert frames[:50] == sent[:50]
    assert frames[-25:] == sent[-25:]
    assert len(frames) == 100
    assert frames == [frame for frame in sent if frame in set(frames)]
    assert (scene.recorder.state.packets, scene.recorder.state.over_limit) == (100, 2900)
    assert "100 packets of 100 of its 318 flows" in scene.comment()
    assert 50 < before_the_end <= 50 + 3000 / 12  # each packet of the beginning, then an eighth of the limit at once


def test_a_flow_that_goes_on_for_long_has_its_latest_packets_in_the_file(tmp_path: Path) -> None:
    scene = Scene(tmp_path, max_packets=40)
    packets = [tcp(*ENDS, at=second) for second in range(400)]
    opened = lines("opened")
    for begin in range(0, 400, 10):
        scene.retain(opened, scene.see(packets[begin : begin + 10]))
        scene.recorder.write()
        opened = []
    scene.retain(lines("closed"), scene.end())
    scene.recorder.write()
    frames = scene.frames()
    assert frames[:20] == [packet.frame for packet in packets[:20]]
    assert frames[-10:] == [packet.frame for packet in packets[-10:]]
    assert (scene.recorder.state.packets, scene.recorder.state.over_limit) == (40, 360)
    assert "40 packets of 4 of its 318 flows" in scene.comment()  # three ended by the active timeout


def test_what_waits_for_a_file_is_written_before_long_while_the_alert_goes_on(tmp_path: Path) -> None:
    scene = Scene(tmp_path, max_packets=100)
    packets = [udp(f"10.0.0.1:{1 + n}", "10.0.0.2:9", at=n) for n in range(100)]
    scene.retain(lines("opened"), [*scene.see(packets), *scene.end()])
    scene.recorder.write()
    scene.see(late := [udp("10.0.0.1:999", "10.0.0.2:9", at=200)])
    scene.retain([], scene.end())
    for _ in range(39):
        scene.recorder.write()
    assert (late[0].frame in scene.frames(), scene.recorder.due) == (False, True)
    scene.recorder.write()
    assert (late[0].frame in scene.frames(), scene.recorder.due) == (True, False)


def test_a_flood_between_two_writes_leaves_few_flows_waiting(tmp_path: Path) -> None:
    scene = Scene(tmp_path, memory=1 << 24, max_packets=100)
    packets = [udp(f"10.0.{n >> 12}.1:{1 + (n & 4095)}", "10.0.0.2:9", at=n / 1e4) for n in range(20_000)]
    opened = lines("opened")
    for begin in range(0, 20_000, 500):
        scene.see(packets[begin : begin + 500])
        scene.retain(opened, scene.end())
        opened = []
        assert sum(len(recording.pending) for recording in scene.recorder._open.values()) < 1000
    scene.retain(lines("closed"), [])
    scene.recorder.write()
    frames, sent = scene.frames(), {packet.frame: n for n, packet in enumerate(packets)}
    places = [sent[frame] for frame in frames]
    assert len(places) == 100
    assert places[:50] == list(range(50))
    assert places[-25:] == list(range(19_975, 20_000))
    assert np.diff(places[50:75]).max() <= 2 * np.median(np.diff(places[50:75]))
    assert scene.recorder.state.over_limit == 19_900


def test_a_file_that_somebody_wrote_to_is_left_alone(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.see(talk(*ENDS, 5))
    scene.retain(lines("opened"), scene.end())
    scene.recorder.write()
    for content in (b"", bytes(100)):
        (tmp_path / f"{ALERT}.pcapng").write_bytes(content)
        scene.see(talk("10.0.0.7:1", "10.0.0.2:80", 3, at=5))
        scene.retain([], scene.end())
        scene.recorder.write()
        assert (tmp_path / f"{ALERT}.pcapng").read_bytes() == content
    assert (scene.recorder.state.packets, scene.recorder.state.over_limit) == (5, 6)
    assert scene.recorder.problem is None


def test_packets_that_have_left_the_memory_are_counted_and_told(tmp_path: Path) -> None:
    scene = Scene(tmp_path, memory=1 << 13)
    scene.see(packets := talk(*ENDS, 100))
    scene.retain(lines("opened", "closed"), scene.end())
    scene.recorder.write()
    kept = scene.recorder.state.packets
    assert 0 < kept < 100
    assert scene.frames() == [packet.frame for packet in packets[-kept:]]
    assert scene.recorder.state.forgotten == 100 - kept
    assert f"{100 - kept} had left the memory" in scene.comment()


def test_an_alert_whose_packets_are_all_gone_has_a_file_that_says_so(tmp_path: Path) -> None:
    scene = Scene(tmp_path, memory=1 << 13)
    scene.see(talk(*ENDS, 5))
    flows = scene.end()
    scene.see(talk("10.0.0.9:1", "10.0.0.2:80", 200, at=10))
    scene.retain(lines("opened", "closed"), flows)
    scene.recorder.write()
    assert scene.frames() == []
    assert "5 had left the memory" in scene.comment()


def test_a_file_that_gave_way_does_not_come_again(tmp_path: Path) -> None:
    scene = Scene(tmp_path, memory=1 << 21, total=1 << 20)
    scene.see(talk(*ENDS, 400, size=1300))
    flows = scene.end()
    scene.see(talk("10.0.0.9:1", "10.0.0.2:80", 400, at=10, size=1300))
    others = [replace(flow, alert_id=OTHER) for flow in scene.end()]
    scene.retain(lines("opened"), flows)
    scene.recorder.write()
    scene.retain(lines("opened", alert=OTHER), others)
    scene.recorder.write()
    assert os.listdir(tmp_path) == [f"{OTHER}.pcapng"]
    scene.retain(lines("closed"), flows)
    scene.recorder.write()
    state = scene.recorder.state
    assert os.listdir(tmp_path) == [f"{OTHER}.pcapng"]
    assert (state.files, state.files_deleted) == (2, 1)


def test_a_file_that_somebody_deleted_does_not_come_again_and_its_packets_are_counted(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    scene.see(talk(*ENDS, 5))
    scene.retain(lines("opened"), scene.end())
    scene.recorder.write()
    (tmp_path / f"{ALERT}.pcapng").unlink()
    scene.see(talk("10.0.0.7:1", "10.0.0.2:80", 3, at=5))
    scene.retain(lines("closed"), scene.end())
    scene.recorder.write()
    assert os.listdir(tmp_path) == []
    assert (scene.recorder.state.packets, scene.recorder.state.over_limit) == (5, 3)


def test_a_disk_that_takes_no_more_is_told_once_counted_and_tried_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    scene = Scene(tmp_path)
    scene.see(talk(*ENDS, 5))
    flows = scene.end()
    with monkeypatch.context() as patched:
        patched.setattr(os, "write", full_disk)
        scene.retain(lines("opened"), flows)
        scene.recorder.write()
    assert scene.recorder.problem == f"{tmp_path / ALERT}.pcapng: packets cannot be written: no space left"
    assert (scene.recorder.state.lost, scene.recorder.state.packets, os.listdir(tmp_path)) == (5, 0, [])
    scene.see(talk("10.0.0.7:1", "10.0.0.2:80", 3, at=5))
    scene.retain(lines("closed"), scene.end())
    scene.recorder.write()
    assert (scene.recorder.state.lost, scene.recorder.state.packets) == (5, 3)
    assert "5 could not be written" in scene.comment()


def full_disk(_descriptor: int, _content: bytes) -> int:
    raise OSError(28, "No space left on device")


def test_more_alerts_at_once_than_files_may_begin_are_counted_and_name_no_file(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    opened = [an_alert(id=f"{number:026d}".translate(str.maketrans("0189", "WXYZ"))) for number in range(600)]
    named = scene.retain(opened, [])
    scene.recorder.write()
    assert sum(alert.packets_file is not None for alert in named) == 512 == len(os.listdir(tmp_path))
    assert scene.recorder.state.alerts_without == 88
    later = [an_alert(id=OTHER, time_ns=opened[0].time_ns + 10**9)]
    assert scene.retain(later, [])[0].packets_file


def test_interfaces_and_link_types_have_a_description_each(tmp_path: Path) -> None:
    scene = Scene(tmp_path)
    frames = talk(*ENDS, 6)
    packets = block(frames)
    raw = [PacketBlock(  # the same without Ethernet, from another interface
        packets.buffer, packets.offset + 14, packets.caplen - 14, packets.wirelen - 14, packets.ts_ns + 10**9,
        np.full(6, 101, dtype=np.int64),
    )]  # fmt: skip
    for number, part in enumerate([packets, *raw]):
        scene.recorder.ring.add(part, np.full(6, number, dtype=np.int64))
        scene.retain(lines("opened")[number:], flows_of(scene.meter.feed(part), scene.numbers))
    scene.retain(lines("closed"), scene.end())
    scene.recorder.write()
    found = read((tmp_path / f"{ALERT}.pcapng").read_bytes())[0]
    assert [packet.linktype for packet in found] == [1] * 6 + [101] * 6
    assert [packet.frame for packet in found[6:]] == [packet.frame[14:] for packet in frames]
    content = (tmp_path / f"{ALERT}.pcapng").read_bytes()
    assert (content.count(b"eth0"), content.count(b"eth1")) == (1, 1)


@pytest.mark.parametrize("seed", range(12))
def test_every_packet_told_of_is_kept_or_counted_whatever_comes(tmp_path: Path, seed: int) -> None:
    rng = np.random.default_rng(seed)
    limits = {"max_packets": int(rng.integers(1, 300)), "max_bytes": int(rng.integers(100, 60_000))}
    scene = Scene(tmp_path, memory=int(rng.integers(1 << 12, 1 << 18)), **limits)
    packets = [
        tcp(f"10.0.0.{rng.integers(1, 6)}:{rng.integers(1, 4)}", "10.0.1.1:80", at=at, payload=int(rng.integers(600)))
        for at in np.cumsum(rng.exponential(rng.choice([0.05, 2.0]), 500)).tolist()
    ]
    told: list[FlowBatch] = []
    opened = lines("opened")
    for begin in range(0, 500, 50):
        flows = scene.see(packets[begin : begin + 50])
        told += [FlowBatch(np.array([flow.identity]), flow.values[None]) for flow in flows]
        scene.retain(opened, flows)
        opened = []
        if rng.random() < 0.6:
            scene.recorder.write()
    last = scene.end()
    told += [FlowBatch(np.array([flow.identity]), flow.values[None]) for flow in last]
    scene.retain(lines("closed"), last)
    scene.recorder.write()
    newest = {}  # a flow's last report counts all of its packets
    for record in told:
        newest[tuple(record.identity[0, :10].tolist())] = record.values[0]
    total = sum(values[INDEX["fwd_packets"]] + values[INDEX["bwd_packets"]] for values in newest.values())
    state = scene.recorder.state
    assert state.packets + state.forgotten + state.over_limit == total == 500
    assert len(scene.frames()) == state.packets <= limits["max_packets"]
    assert sum(map(len, scene.frames())) == state.bytes <= limits["max_bytes"]
    assert len(COLUMNS) == concatenate(told).values.shape[1]


def test_the_account_in_words_tells_what_is_missing_and_only_that() -> None:
    assert kept_in_words(KeptPackets(2, 3000, 9)) == "packets of alerts: 3,000 kept in 2 files"
    everything = KeptPackets(1, 2, 3, forgotten=4, over_limit=5, lost=6, alerts_without=7, files_deleted=8)
    assert kept_in_words(everything) == (
        "packets of alerts: 2 kept in 1 file, 4 packets had left the memory (keep_packets.memory_bytes), 5 packets "
        "over the limit of their file (keep_packets.alert_packets, alert_bytes), 6 packets could not be written, "
        "7 alerts without a file, 8 oldest files deleted (keep_packets.directory_bytes)"
    )


def test_of_more_open_files_than_may_be_the_one_that_got_nothing_for_longest_is_ended_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sensor.packets.recorder.OPEN_FILES", 1)
    scene = Scene(tmp_path)
    scene.see(talk(*ENDS, 4))
    scene.retain(lines("opened"), scene.end())
    scene.see(talk("10.0.0.9:1", "10.0.0.2:80", 3, at=5))
    scene.retain(lines("opened", alert=OTHER), [replace(flow, alert_id=OTHER) for flow in scene.end()])
    scene.recorder.write()
    assert (len(scene.frames()), len(scene.frames(OTHER))) == (4, 3)
    scene.see(talk(*ENDS, 5, at=9))
    named = scene.retain(lines("updated", "closed"), scene.end())
    named += scene.retain(lines("closed", alert=OTHER), [])
    scene.recorder.write()
    assert [alert.packets_file for alert in named] == [f"{ALERT}.pcapng"] * 2 + [f"{OTHER}.pcapng"]
    state = scene.recorder.state
    assert (len(scene.frames()), state.packets, state.over_limit, state.lost) == (4, 7, 5, 0)
    assert not scene.recorder._ended_early
